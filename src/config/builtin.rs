//! The policies that come with the program, each a file under `policies/`.

use super::source::Source;

/// A policy that comes with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltIn {
    /// Its name, for a policyRef.
    pub name: &'static str,
    /// Its file's text, comments included.
    pub text: &'static str,
}

const ALL: [BuiltIn; 6] = [
    BuiltIn { name: "throughput", text: include_str!("../../policies/throughput.yaml") },
    BuiltIn { name: "backlog", text: include_str!("../../policies/backlog.yaml") },
    BuiltIn { name: "business-hours", text: include_str!("../../policies/business-hours.yaml") },
    BuiltIn { name: "cautious", text: include_str!("../../policies/cautious.yaml") },
    BuiltIn { name: "cpu", text: include_str!("../../policies/cpu.yaml") },
    BuiltIn { name: "flink-autoscaler", text: include_str!("../../policies/flink-autoscaler.yaml") },
];

/// All of them, the default first.
pub fn list() -> &'static [BuiltIn] {
    &ALL
}

/// The one of this name.
pub fn get(name: &str) -> Option<BuiltIn> {
    ALL.into_iter().find(|policy| policy.name == name)
}

impl BuiltIn {
    /// What it is for: the first sentence of its file.
    pub fn about(self) -> &'static str {
        let line = self.text.lines().next().unwrap_or_default();
        line.trim_start_matches(['#', ' ']).trim_end_matches('.')
    }

    /// The policy as a file to be read.
    pub(super) fn source(self) -> Source {
        Source::new(format!("policies/{}.yaml", self.name), self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document::ScalingPolicy;
    use crate::config::load_policy;
    use crate::policy::{PolicySpec, Rule, Throughput};
    use crate::policytest;

    #[test]
    fn each_is_right_and_bears_the_name_of_its_file() {
        for policy in list() {
            let read = load_policy(&policy.source()).unwrap_or_else(|errors| panic!("{errors}"));
            assert_eq!(read.metadata.name, policy.name);
            assert!(policy.text.starts_with("# "), "{} does not say what it is for", policy.name);
        }
    }

    #[test]
    fn each_passes_its_own_tests() {
        for policy in list() {
            let ScalingPolicy { spec, tests, .. } =
                load_policy(&policy.source()).unwrap_or_else(|errors| panic!("{errors}"));
            assert!(!tests.is_empty(), "{} has no tests", policy.name);
            for test in tests {
                let run = policytest::run(&test, &spec).expect("it was checked");
                assert!(run.passed(), "{}: {}: {:#?}", policy.name, run.test, run.unmet);
            }
        }
    }

    #[test]
    fn the_default_writes_out_the_defaults() {
        let policy = load_policy(&list()[0].source()).expect("it is right");
        let rules = vec![Rule::Throughput(Throughput::default())];
        assert_eq!(policy.spec, PolicySpec { rules, ..PolicySpec::default() });
        // Every field that has a default is in the text.
        let defaults = serde_json::to_value(&policy.spec).expect("it can be written");
        let mut names = Vec::new();
        fields(&defaults, &mut names);
        for name in names {
            assert!(list()[0].text.contains(&format!("{name}:")), "{name}");
        }
    }

    fn fields(value: &serde_json::Value, names: &mut Vec<String>) {
        for (name, value) in value.as_object().into_iter().flatten() {
            names.push(name.clone());
            fields(value, names);
        }
        value.as_array().into_iter().flatten().for_each(|value| fields(value, names));
    }
}
