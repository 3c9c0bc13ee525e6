//! `when:` expressions, in the Common Expression Language: they switch a rule on and off by the job's labels, the time and
//! the signals.
//!
//! Comes in: a text, compiled and checked once when a file is loaded, and [`Facts`] in each cycle. Goes out: on, off, or why it
//! cannot be said. An expression costs no more than its text is long: there are no loops (`all`, `exists`, `map`, `filter`), no
//! regular expressions, and bounds on its length and depth, so that a policy cannot slow down or overflow who evaluates it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use cel::common::ast::IdedExpr;
use cel::common::types::CelBool;
use cel::{Context, ExecutionError, Value};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::model::Hint;

mod check;
mod facts;
mod moment;

pub use facts::{Facts, JobFacts, SignalFacts};

/// An expression that is on (true) or off (false). Two are equal when their texts are.
#[derive(Clone, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct When {
    text: String,
    tree: Arc<IdedExpr>,
}

/// What is wrong with an expression, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhenError {
    /// The line of the expression, from 1.
    pub line: usize,
    /// The column in it, in characters from 1.
    pub column: usize,
    /// What is wrong there.
    pub fault: WhenFault,
}

impl fmt::Display for WhenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 1 {
            write!(f, "line {}, ", self.line)?;
        }
        write!(f, "column {}: {}", self.column, self.fault)
    }
}

impl std::error::Error for WhenError {}

/// What can be wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WhenFault {
    /// Not CEL.
    #[error("{0}")]
    Syntax(String),
    /// Too long to be read in each cycle.
    #[error("an expression has at most {most} characters, not {found}")]
    TooLong {
        /// As many as may be.
        most: usize,
        /// As many as there are.
        found: usize,
    },
    /// Nested too deeply.
    #[error("nested too deeply, or too long a sum: at most {0} levels")]
    TooDeep(usize),
    /// A part of CEL that is not offered.
    #[error("{0}")]
    NotOffered(&'static str),
    /// A name that stands for nothing.
    #[error("there is no {kind} `{name}`{}", .hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default())]
    Unknown {
        /// What kind of thing.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What may have been meant.
        hint: Option<Hint>,
    },
    /// An operator or function on values that it is not for.
    #[error("{0}")]
    Types(String),
    /// Not a condition.
    #[error("expected a condition, which is true or false, not a value of type {0}")]
    NotACondition(String),
}

/// Why it cannot be said whether a rule is on. The rule is silent then: it blocks scaling down, and asks for nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum Unanswered {
    /// A label that the job has not, or a signal that is not known now.
    #[error("there is no `{0}` now")]
    Missing(String),
    /// Neither true nor false.
    #[error("it is of type {0}, neither true nor false")]
    NotACondition(String),
    /// What the evaluation says: a division by zero, a text that is no number, and the like.
    #[error("{0}")]
    Failed(String),
}

impl When {
    /// Whether the rule is on.
    ///
    /// # Errors
    /// When the expression needs what is not known, or fails.
    pub fn is_on(&self, facts: &Facts<'_>) -> Result<bool, Unanswered> {
        let mut context = Context::with_env(Arc::clone(&facts::ENVIRONMENT));
        context.set_variable_resolver(facts);
        let value = Value::resolve_val(&self.tree, &context).map_err(|error| match error {
            ExecutionError::NoSuchKey(name) => Unanswered::Missing(name.to_string()),
            ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
                Unanswered::Failed("division by zero".to_owned())
            }
            ExecutionError::Overflow(..) => Unanswered::Failed("a number beyond 64 bits".to_owned()),
            error => Unanswered::Failed(shortened(&error.to_string())),
        })?;
        let condition = value.downcast_ref::<CelBool>().map(|condition| *condition.inner());
        condition.ok_or_else(|| Unanswered::NotACondition(value.get_type().name().to_owned()))
    }
}

/// As much of a message as belongs into a record.
fn shortened(message: &str) -> String {
    message.chars().take(200).collect()
}

impl FromStr for When {
    type Err = WhenError;
    fn from_str(text: &str) -> Result<Self, WhenError> {
        Ok(Self { text: text.to_owned(), tree: Arc::new(check::compile(text)?) })
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("When").field(&self.text).finish()
    }
}

impl PartialEq for When {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for When {}

impl From<When> for String {
    fn from(when: When) -> Self {
        when.text
    }
}

impl TryFrom<String> for When {
    type Error = WhenError;
    fn try_from(text: String) -> Result<Self, WhenError> {
        text.parse()
    }
}

impl JsonSchema for When {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "When".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "x-form": "cel", "maxLength": check::LONGEST})
    }
}

#[cfg(test)]
mod tests;
