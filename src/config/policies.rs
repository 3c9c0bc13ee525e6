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
    let policy: ScalingPolicy = document.typed(errors)?;
    let mistake = |path: String, what: String| {
        document.source.error(document.root.place(&path), path, Problem::Rejected(what))
    };
    let before = errors.len();
    for (index, test) in policy.tests.iter().enumerate() {
        let inside = format!("tests[{index}]");
        for problem in policytest::mistakes(test) {
            let dot = if problem.path.is_empty() { "" } else { "." };
            errors.push(mistake(format!("{inside}{dot}{}", problem.path), problem.what));
        }
        // Reports tell tests by their names.
        if policy.tests[..index].iter().any(|other| other.name == test.name) {
            errors
                .push(mistake(format!("{inside}.name"), format!("there is a test {:?} already", test.name)));
        }
    }
    (errors.len() == before).then_some(policy)
}
