//! How Flink makes metric ids and the ids of slot sharing groups.

use crate::simulate::random;

/// Characters of an operator's name that a metric id has at most.
const LONGEST: usize = 80;

/// The prefix of the metrics of a source operator: `Source__orders.`
pub(super) fn source_prefix(vertex: &str) -> String {
    // Flink itself names the vertices of sources so; a scenario may not.
    let name = if vertex.starts_with("Source: ") { vertex.to_owned() } else { format!("Source: {vertex}") };
    format!("{}.", mangled(&name))
}

/// The prefix of the metrics of any operator.
pub(super) fn operator_prefix(vertex: &str) -> String {
    format!("{}.", mangled(vertex))
}

fn mangled(name: &str) -> String {
    let replaced = |c| if matches!(c, ' ' | '.' | ':' | ',') { '_' } else { c };
    name.chars().map(replaced).take(LONGEST).collect()
}

/// The id of a slot sharing group of this name.
pub(super) fn group_id(group: &str) -> String {
    format!("{:032x}", random::fingerprint(group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mangles_names_as_flink_does() {
        for (name, prefix) in [
            ("Source: orders", "Source__orders."),
            ("orders", "Source__orders."),
            ("Source: Kafka Source: my.topic-1 (v2)", "Source__Kafka_Source__my_topic-1_(v2)."),
        ] {
            assert_eq!(source_prefix(name), prefix);
        }
        assert_eq!(operator_prefix(&"x".repeat(100)).len(), 81);
    }
}
