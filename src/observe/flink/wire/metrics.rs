//! Lists of metrics and their aggregates: `.../subtasks/metrics`.

use std::borrow::Cow;

use serde::Deserialize;

use super::number::Number;

/// One metric: its id alone in a list, with its sum where that was asked for.
#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Metric<'a> {
    /// Flink's id of it, without the subtask.
    #[serde(borrow)]
    pub(crate) id: Cow<'a, str>,
    /// The sum over the subtasks that have it.
    #[serde(default)]
    pub(crate) sum: Number,
}

/// The sum over all of `ids`; `None` when one of them is missing or no count. Flink answers `[]` when one of the metrics
/// that were asked for is on none of the subtasks.
pub(crate) fn sum_of(metrics: &[Metric<'_>], ids: &[String]) -> Option<u64> {
    ids.iter()
        .map(|id| metrics.iter().find(|metric| metric.id == **id).and_then(|metric| metric.sum.count()))
        .try_fold(0_u64, |sum, count| sum.checked_add(count?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_only_what_is_all_there() {
        let ids = ["a".to_owned(), "b".to_owned()];
        for (json, sum) in [
            (r#"[{"id":"a","sum":3.0},{"id":"b","sum":4}]"#, Some(7)),
            (r#"[{"id":"b","sum":4.0},{"id":"a","sum":3.0},{"id":"c","sum":9.0}]"#, Some(7)),
            (r#"[{"id":"a","sum":3.0}]"#, None),
            (r#"[{"id":"a","sum":3.0},{"id":"b","sum":"NaN"}]"#, None),
            (r#"[{"id":"a","sum":3.0},{"id":"b","sum":-1.0}]"#, None),
            (r#"[{"id":"a","sum":3.0},{"id":"b"}]"#, None),
            (r#"[{"id":"a","sum":18446744073709551615},{"id":"b","sum":1}]"#, None),
            ("[]", None),
        ] {
            let metrics: Vec<Metric<'_>> = serde_json::from_str(json).expect(json);
            assert_eq!(sum_of(&metrics, &ids), sum, "{json}");
        }
    }
}
