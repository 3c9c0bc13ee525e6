//! The options of the rule `flinkAutoscaler`: texts by name, which the schema cannot tell right from wrong.

use std::collections::BTreeMap;

use super::error::{ConfigError, Problem};
use super::source::Source;
use super::yaml::{Entry, Node};
use crate::policy::flink_autoscaler::Settings;

/// What is wrong with each option of a document, at its place.
pub(super) fn check(source: &Source, root: &Node) -> Vec<ConfigError> {
    let rules = root.get("spec").and_then(|spec| spec.get("rules")).map(Node::items).unwrap_or_default();
    let mut errors = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let options = rule.get("flinkAutoscaler").and_then(|rule| rule.get("options"));
        for Entry { key, at: _, value } in options.map(Node::entries).unwrap_or_default() {
            let Some(text) = value.text() else { continue };
            let Err(wrong) = Settings::new(BTreeMap::from([(key.clone(), text.to_owned())])) else {
                continue;
            };
            errors.extend(wrong.0.iter().map(|error| {
                let path = format!("spec.rules[{index}].flinkAutoscaler.options");
                source.error(value.at, path, Problem::Rejected(error.to_string()))
            }));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use crate::config::{Source, load_policy};

    #[test]
    fn each_is_told_at_its_place() {
        let text = "apiVersion: tidegate.dev/v1alpha1\nkind: ScalingPolicy\nmetadata: {name: p}\nspec:\n  rules:\n  - flinkAutoscaler:\n      options:\n        job.autoscaler.metrics.windw: 5 m\n        job.autoscaler.utilization.target: much\n        job.autoscaler.metrics.window: 5 m\n";
        let errors = load_policy(&Source::new("f", text)).expect_err("two are wrong").to_string();
        let lines: Vec<&str> = errors.lines().collect();
        assert!(lines.len() == 2, "{errors}");
        assert!(
            lines[0].contains("f:8:39") && lines[0].contains("job.autoscaler.metrics.window"),
            "{errors}"
        );
        assert!(lines[1].contains("f:9:44") && lines[1].contains("much"), "{errors}");
    }
}
