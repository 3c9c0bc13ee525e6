//! What is wrong with a configuration: every mistake with its place, what was found, and what to write instead.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::model::Hint;

/// A place in a text: line and column, both from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
}

impl Position {
    /// Where every text begins.
    pub const START: Self = Self { line: 1, column: 1 };
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Error)]
pub struct ConfigError {
    /// The file, as whoever asked for it named it.
    pub file: Arc<str>,
    /// Where in the file.
    pub at: Position,
    /// The field, from the top of its document: `spec.rules[0].throughput`; empty for the document itself.
    pub path: String,
    /// What is wrong there.
    pub problem: Problem,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.at.line, self.at.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        self.problem.fmt(f)
    }
}

/// All mistakes that were found, by file and place; never empty. One line each.
#[derive(Clone, Debug, PartialEq, Error)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// `value`, unless something is wrong.
    pub(crate) fn unless_any<T>(errors: Vec<ConfigError>, value: T) -> Result<T, Self> {
        if errors.is_empty() { Ok(value) } else { Err(Self::all(errors)) }
    }

    /// All of `errors`, of which there must be one.
    pub(crate) fn all(mut errors: Vec<ConfigError>) -> Self {
        // Stable, so that mistakes at one place keep the order in which they were found.
        errors.sort_by(|a, b| (&a.file, a.at).cmp(&(&b.file, b.at)));
        Self(errors)
    }

    /// The mistakes, by file and place.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }
}

impl IntoIterator for ConfigErrors {
    type Item = ConfigError;
    type IntoIter = std::vec::IntoIter<ConfigError>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

/// What can be wrong at a place.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Problem {
    /// The bytes are no text.
    #[error("not UTF-8; save the file as UTF-8 text")]
    NotUtf8,
    /// More than a configuration can need.
    #[error("{bytes} bytes are too many for one file (at most {most}); split it")]
    TooLarge {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
    /// Not YAML.
    #[error("not valid YAML: {0}")]
    Syntax(String),
    /// YAML that has no meaning here.
    #[error("{0}")]
    Unsupported(&'static str),
    /// One key twice in a mapping.
    #[error("`{key}` is written twice; it is on line {first} already")]
    DuplicateKey {
        /// The key.
        key: String,
        /// The line of the one that counts.
        first: usize,
    },
    /// A name that is not known.
    #[error("unknown {noun} `{name}`; {hint}")]
    Unknown {
        /// What the name is of: a field, a rule, a mode.
        noun: String,
        /// The name.
        name: String,
        /// What may have been meant.
        hint: Hint,
    },
    /// A field that must be there is not.
    #[error("`{field}` is missing: {about}")]
    Missing {
        /// The field.
        field: String,
        /// What it is for, or what may be written there.
        about: String,
    },
    /// A field is there, but holds nothing.
    #[error("has no value; expected {expected}{mend}")]
    Empty {
        /// What belongs there.
        expected: String,
        /// What else would do: ", or leave the field out".
        mend: &'static str,
    },
    /// Another kind of value.
    #[error("expected {expected}, found {found}{mend}")]
    WrongType {
        /// What belongs there.
        expected: String,
        /// What is there.
        found: String,
        /// What to do, if it is plain: "; write it without quotes".
        mend: String,
    },
    /// More than one key where one says which of several things it is.
    #[error(
        "a {noun} has one key, found {found}; make each an item of its own, or indent what belongs to the first"
    )]
    ManyKeys {
        /// What the key names.
        noun: String,
        /// The keys.
        found: String,
    },
    /// A number or a length of time outside its range.
    #[error("{found} is {side} {bound}{why}")]
    OutOfRange {
        /// What is there, as it is written.
        found: String,
        /// "below the minimum" or "above the maximum".
        side: &'static str,
        /// The nearest that is allowed.
        bound: String,
        /// The reason, if there is one to give: "; it would ...".
        why: String,
    },
    /// Fewer than there must be.
    #[error("expected at least {least} {of}{}, found {found}", if *least == 1 { "" } else { "s" })]
    TooFew {
        /// As many there must be.
        least: u64,
        /// Of what, in the singular.
        of: &'static str,
        /// As many there are.
        found: usize,
    },
    /// A text that is not of the form it must have; says itself what was expected.
    #[error("{0}")]
    Format(String),
    /// Two fields that contradict each other.
    #[error("{value} is {relation} {other} {other_value}; {mend}")]
    Order {
        /// The value of the field at this place.
        value: String,
        /// "above", "below", "not above" or "not below".
        relation: &'static str,
        /// The other field.
        other: String,
        /// Its value, and whether that is the default.
        other_value: String,
        /// What to do: "lower min or raise max".
        mend: String,
    },
    /// A field that excludes another one which is there.
    #[error("it and {other} exclude each other; leave one of them out")]
    NotBoth {
        /// The other field.
        other: String,
    },
    /// A field that nothing but a cluster can make sense of.
    #[error("only a FlinkAutoscaler in Kubernetes can have it; {mend}")]
    OnlyInKubernetes {
        /// What to write in a file.
        mend: String,
    },
    /// Two documents with one name.
    #[error("there is a {kind} `{name}` already, at {other}")]
    DuplicateName {
        /// The kind.
        kind: &'static str,
        /// The name.
        name: String,
        /// Where the other is.
        other: String,
    },
    /// Two autoscalers for one job.
    #[error("the job is scaled by `{name}` already, at {other}; two would work against each other")]
    SameJob {
        /// The other autoscaler.
        name: String,
        /// Where it is.
        other: String,
    },
    /// An autoscaler without `job` beside another one on the same cluster.
    #[error(
        "without a job this is the cluster's only job, which `{name}` scales already, at {other}; name the job"
    )]
    OnlyJob {
        /// The other autoscaler.
        name: String,
        /// Where it is.
        other: String,
    },
    /// A rule that may be in a policy once.
    #[error(
        "a policy has one {rule} rule, which is on line {first} already: put both into one, or give the second job a policy of its own; \
         what changes with the time of day is said by a schedule rule"
    )]
    RepeatedRule {
        /// The rule.
        rule: &'static str,
        /// The line of the first.
        first: usize,
    },
    /// A file that should hold a policy of a name.
    #[error("there is no ScalingPolicy `{0}` in this file, which is named after it")]
    NoSuchPolicy(String),
    /// Nothing to do.
    #[error("there is no {0} in it")]
    Nothing(&'static str),
    /// What the type behind the schema turned away although the schema let it pass.
    #[error("{0}")]
    Rejected(String),
}

/// As much of a text as a message can bear.
pub(super) fn short(text: &str) -> String {
    const MOST: usize = 40;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST - 1).chain(['…']).collect()
}
