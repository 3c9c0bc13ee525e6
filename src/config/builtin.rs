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

const ALL: [BuiltIn; 1] =
    [BuiltIn { name: "throughput", text: include_str!("../../policies/throughput.yaml") }];

/// All of them, the default first.
pub fn list() -> &'static [BuiltIn] {
    &ALL
}

/// The one of this name.
pub fn get(name: &str) -> Option<BuiltIn> {
    ALL.into_iter().find(|policy| policy.name == name)
}

impl BuiltIn {
    /// The policy as a file to be read.
    pub(super) fn source(self) -> Source {
        Source::new(format!("policies/{}.yaml", self.name), self.text)
    }
}
