//! The policies in files, each with the places of what it says, for whoever has something to tell about them.

use std::fmt;
use std::sync::Arc;

use super::consistency;
use super::document::ScalingPolicy;
use super::error::{ConfigError, ConfigErrors, Position, Problem};
use super::load::{Document, POLICY, read};
use super::source::Source;
use super::yaml::Node;
use crate::policytest;

/// A policy, and where what it says is written.
#[derive(Clone, Debug)]
pub struct PolicyFile {
    /// The policy.
    pub policy: ScalingPolicy,
    file: Arc<str>,
    root: Node,
}

/// A place in a file: `policies/cpu.yaml:12:7`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as whoever asked for it named it.
    pub file: Arc<str>,
    /// Where in the file.
    pub at: Position,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.at.line, self.at.column)
    }
}

impl PolicyFile {
    /// The file, as whoever asked for it named it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Where the field of this path stands (`tests[0].expect.action`), or the nearest one around it that is written.
    pub fn place(&self, path: &str) -> Place {
        Place { file: Arc::clone(&self.file), at: self.root.place(path) }
    }
}

/// Reads all policies of files.
///
/// # Errors
/// All mistakes of all files, by file and place; also when there is no policy in them.
pub fn load_policies(files: &[Source]) -> Result<Vec<PolicyFile>, ConfigErrors> {
    let (documents, mut errors) = read(files);
    errors.extend(consistency::check(&documents));
    let is_policy = |document: &&Document<'_>| document.kind() == Some(POLICY);
    if errors.is_empty() && !documents.iter().any(|document| is_policy(&document)) {
        errors.extend(files.first().map(|file| file.error(Position::START, "", Problem::Nothing(POLICY))));
    }
    let policies = documents.iter().filter(is_policy).filter_map(|document| {
        let policy = policy(document, &mut errors)?;
        Some(PolicyFile { policy, file: Arc::clone(&document.source.name), root: document.root.clone() })
    });
    let policies = policies.collect();
    ConfigErrors::unless_any(errors, policies)
}

/// A document as a policy, if nothing is wrong with it nor with its tests.
pub(super) fn policy(document: &Document<'_>, errors: &mut Vec<ConfigError>) -> Option<ScalingPolicy> {
    let before = errors.len();
    tests(document, errors);
    let policy = document.typed(errors);
    policy.filter(|_| errors.len() == before)
}

/// Notes what is wrong with tests beyond the form of their fields, also where something else is wrong in the document.
fn tests(document: &Document<'_>, errors: &mut Vec<ConfigError>) {
    let mut names: Vec<&str> = Vec::new();
    for (index, node) in document.root.get("tests").map(Node::items).unwrap_or_default().iter().enumerate() {
        let inside = format!("tests[{index}]");
        let mistake = |path: String, what: String| {
            document.source.error(document.root.place(&path), path, Problem::Rejected(what))
        };
        // Of a test whose form is wrong that has been said.
        let is_wrong =
            |error: &ConfigError| error.file == document.source.name && error.path.starts_with(&inside);
        if let (false, Ok(test)) = (errors.iter().any(is_wrong), serde_json::from_value(node.to_json())) {
            errors.extend(policytest::mistakes(&test).into_iter().map(|problem| {
                let dot = if problem.path.is_empty() { "" } else { "." };
                mistake(format!("{inside}{dot}{}", problem.path), problem.what)
            }));
        }
        // Reports tell tests by their names.
        if let Some(name) = node.get("name").and_then(Node::text) {
            if names.contains(&name) {
                errors.push(mistake(format!("{inside}.name"), format!("there is a test {name:?} already")));
            }
            names.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: tidegate.dev/v1alpha1\nkind: ScalingPolicy\nmetadata: {name: p}\n";

    fn said(text: &str) -> Vec<String> {
        match load_policies(&[Source::new("f", text)]) {
            Ok(policies) => panic!("{policies:?}"),
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn mistakes_of_tests_are_said_along_with_all_others() {
        let text = format!(
            "{HEAD}spec: {{rules: [throughput: {{catchUp: 5x}}]}}\ntests:\n\
             - {{name: a, scenario: demo, expect: {{action: upp}}}}\n\
             - {{name: a, scenario: demo, expect: {{parallelism: {{parser: 5}}}}}}\n"
        );
        assert_eq!(
            said(&text),
            [
                "f:4:38: spec.rules[0].throughput.catchUp: expected a length of time such as 90s, 5m or 1h30m, not \"5x\"",
                "f:6:46: tests[0].expect.action: unknown action `upp`; did you mean `up`?",
                "f:7:10: tests[1].name: there is a test \"a\" already",
                "f:7:60: tests[1].expect.parallelism.parser: unknown vertex `parser`; did you mean `parse`?",
            ]
        );
    }

    #[test]
    fn a_place_is_that_of_the_field_or_of_what_is_around_it() {
        let text = format!(
            "{HEAD}spec: {{rules: [throughput: {{}}]}}\ntests:\n- name: a\n  scenario: demo\n  expect:\n\
             \x20   parallelism: {{'Source: orders': 1}}\n"
        );
        let policies = load_policies(&[Source::new("f", text)]).expect("it is right");
        for (path, place) in [
            ("tests[0].expect.parallelism.Source: orders", "f:9:37"),
            ("tests[0].expect.parallelism.parse", "f:9:18"),
            ("tests[0].expect.action", "f:9:5"),
            ("tests[7].expect", "f:6:3"),
            ("", "f:1:1"),
        ] {
            assert_eq!(policies[0].place(path).to_string(), place, "{path}");
        }
    }

    #[test]
    fn a_file_without_a_policy_is_a_mistake() {
        let job = "apiVersion: tidegate.dev/v1alpha1\nkind: FlinkAutoscaler\nmetadata: {name: j}\nspec: {flink: {url: 'http://x'}}\n";
        assert_eq!(said(job), ["f:1:1: there is no ScalingPolicy in it"]);
    }
}
