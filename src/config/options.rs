//! The options of the rule `flinkAutoscaler`: texts by name, which the schema cannot tell right from wrong.

use std::collections::BTreeMap;

use super::error::{ConfigError, Problem};
use super::source::Source;
use super::yaml::{Entry, Node};
use crate::policy::flink_autoscaler::{OptionError, Options, Settings};

/// What is wrong with each option of a document, at its place.
pub(super) fn check(source: &Source, root: &Node) -> Vec<ConfigError> {
    let rules = root.get("spec").and_then(|spec| spec.get("rules")).map(Node::items).unwrap_or_default();
    let mut errors = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let options = rule.get("flinkAutoscaler").and_then(|rule| rule.get("options"));
        let texts =
            options.map(Node::entries).unwrap_or_default().iter().filter_map(
                |Entry { key, value, .. }| Some((key.clone(), (value, value.text()?.to_owned()))),
            );
        let texts: BTreeMap<String, (&Node, String)> = texts.collect();
        let mut told = |at: &Node, error: &OptionError| {
            let path = format!("spec.rules[{index}].flinkAutoscaler.options");
            errors.push(source.error(at.at, path, Problem::Rejected(error.to_string())));
        };
        let mut is_read = true;
        for (key, (at, text)) in &texts {
            if let Err(wrong) = Options::from_map(&BTreeMap::from([(key.clone(), text.clone())])) {
                is_read = false;
                for error in &wrong {
                    told(at, error);
                }
            }
        }
        // One option's range may hang on another's value, so these are looked at together.
        if is_read
            && let Err(wrong) =
                Settings::new(texts.iter().map(|(key, (_, text))| (key.clone(), text.clone())).collect())
        {
            for error in &wrong.0 {
                let key = match error {
                    OptionError::OutOfRange { key, .. } => key,
                    _ => "job.autoscaler.excluded.periods",
                };
                // One that is written under an older name is told of at all of them.
                let at = texts.get(key).map(|(at, _)| *at).or(options);
                if let Some(at) = at {
                    told(at, error);
                }
            }
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

    #[test]
    fn a_range_goes_by_the_other_options() {
        let read = |max: &str| {
            let text = format!(
                "apiVersion: tidegate.dev/v1alpha1\nkind: ScalingPolicy\nmetadata: {{name: p}}\nspec:\n  rules:\n  - flinkAutoscaler:\n      \
                 options:\n        job.autoscaler.utilization.target: '0.5'\n        job.autoscaler.utilization.max: '{max}'\n"
            );
            load_policy(&Source::new("f", text)).map(|_| ()).map_err(|errors| errors.to_string())
        };
        assert_eq!(read("0.6"), Ok(()));
        let wrong = read("0.4").expect_err("it is below the target");
        assert!(wrong.starts_with("f:9:41: ") && wrong.contains("from 0.5 to 1, not 0.4"), "{wrong}");
    }
}
