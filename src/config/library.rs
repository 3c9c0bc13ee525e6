//! Where policies come from that a file does not bring itself: a policy directory, and the built-in ones.

use std::borrow::Cow;
use std::path::Path;

use super::builtin;
use super::source::Source;

/// Policies by name: the files of a policy directory, then the built-in ones.
#[derive(Clone, Debug, Default)]
pub struct Library {
    files: Vec<Source>,
}

impl Library {
    /// The built-in policies.
    pub fn built_in() -> Self {
        Self::default()
    }

    /// The built-in policies, and before them the files of a policy directory: `<name>.yaml` holds the policy `<name>`.
    pub fn with_files(files: Vec<Source>) -> Self {
        Self { files }
    }

    /// All names, each once, the built-in ones last.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let built_in = builtin::list().iter().map(|policy| policy.name);
        let other = built_in.filter(|name| !self.files.iter().any(|file| stem(file) == *name));
        self.files.iter().map(stem).chain(other)
    }

    /// The file that should hold the policy `name`.
    pub fn find(&self, name: &str) -> Option<Cow<'_, Source>> {
        let file = self.files.iter().find(|file| stem(file) == name).map(Cow::Borrowed);
        file.or_else(|| builtin::get(name).map(|policy| Cow::Owned(policy.source())))
    }
}

fn stem(file: &Source) -> &str {
    Path::new(file.name()).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
}
