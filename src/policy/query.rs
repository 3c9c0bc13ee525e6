//! PromQL as a policy writes it, with variables of the job: `${namespace}`, `${autoscaler}`, `${workload}`, `${job}`, `${jobId}`.
//!
//! Comes in: a text, read once when a file is loaded, and [`QueryFacts`] of a job. Goes out: what is sent to Prometheus. A
//! variable stands in the value of a label and nowhere else, and its value is written as the literal around it demands, so
//! that no name of a job or a namespace can ever be more than a name. What is not PromQL for sure (quotes and brackets that
//! do not match) is told at once; the rest is for the server to say.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::model::Hint;

mod read;

/// The longest query, in characters: a screen full of PromQL has some 3,000.
const LONGEST: usize = 8192;

/// A query, maybe with variables. Two are equal when their texts are.
#[derive(Clone, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Query {
    text: String,
    parts: Vec<Part>,
}

/// A part of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(Variable, Literal),
}

/// A variable of the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    /// The namespace of the `FlinkAutoscaler`.
    Namespace,
    /// Its name.
    Autoscaler,
    /// The name of the workload that it names.
    Workload,
    /// The job's name.
    Job,
    /// The job's id, which is another one after each submission.
    JobId,
}

impl Variable {
    const ALL: [(&'static str, Self); 5] = [
        ("namespace", Self::Namespace),
        ("autoscaler", Self::Autoscaler),
        ("workload", Self::Workload),
        ("job", Self::Job),
        ("jobId", Self::JobId),
    ];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, variable)| *variable)
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, variable)| variable == self).map_or("", |(name, _)| name);
        write!(f, "${{{name}}}")
    }
}

/// What a variable stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Literal {
    /// `"`, `'` or `` ` ``.
    quote: char,
    /// Whether it is a regular expression.
    is_regex: bool,
}

/// What is wrong with a query, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryError {
    /// The line of the query, from 1.
    pub line: usize,
    /// The column in it, in characters from 1.
    pub column: usize,
    /// What is wrong there.
    pub fault: QueryFault,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 1 {
            write!(f, "line {}, ", self.line)?;
        }
        write!(f, "column {}: {}", self.column, self.fault)
    }
}

impl std::error::Error for QueryError {}

/// What can be wrong with a query.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QueryFault {
    /// Nothing in it.
    #[error("there is no query")]
    Empty,
    /// Too long.
    #[error("a query has at most {LONGEST} characters, not {0}")]
    TooLong(usize),
    /// A text that does not end.
    #[error("the text that begins here has no closing {0}")]
    Unterminated(char),
    /// A bracket without its other half.
    #[error("the {0} has no counterpart")]
    Unbalanced(char),
    /// A variable where it could become more than a name.
    #[error(
        "{0} may stand in the value of a label only, in quotes, as in {{label=\"{0}\"}}: there it can never be more than a name"
    )]
    Misplaced(Variable),
    /// A variable that does not exist.
    #[error("there is no variable ${{{name}}}; {hint}")]
    Unknown {
        /// Its name.
        name: String,
        /// What may have been meant.
        hint: Hint,
    },
    /// A dollar sign that means nothing in PromQL.
    #[error(
        "`$` means nothing here: what Grafana fills in (`$__rate_interval`, `$job`) is to be written out"
    )]
    Dollar,
}

/// What is known of a job, for the variables of its queries.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueryFacts<'a> {
    /// The namespace of the `FlinkAutoscaler`.
    pub namespace: Option<&'a str>,
    /// Its name.
    pub autoscaler: Option<&'a str>,
    /// The name of the workload that it names.
    pub workload: Option<&'a str>,
    /// The job's name.
    pub job: Option<&'a str>,
    /// The job's id.
    pub job_id: Option<&'a str>,
}

impl<'a> QueryFacts<'a> {
    fn get(&self, variable: Variable) -> Option<&'a str> {
        match variable {
            Variable::Namespace => self.namespace,
            Variable::Autoscaler => self.autoscaler,
            Variable::Workload => self.workload,
            Variable::Job => self.job,
            Variable::JobId => self.job_id,
        }
    }
}

/// Why a query cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unfilled {
    /// Nobody has said.
    #[error("the query asks for {0}, which {why}", why = why_missing(*.0))]
    Missing(Variable),
    /// A backtick in a text between backticks.
    #[error("the value of {0} holds a backtick: put the variable between double quotes")]
    Backtick(Variable),
}

fn why_missing(variable: Variable) -> &'static str {
    match variable {
        Variable::Namespace => "is not known: give the FlinkAutoscaler a metadata.namespace",
        Variable::Autoscaler => "is not known: there is no FlinkAutoscaler",
        Variable::Workload => "is not known: name the workload in the FlinkAutoscaler's spec.workload",
        Variable::Job | Variable::JobId => "is not known before Flink has told it",
    }
}

impl Query {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The variables in it.
    pub fn variables(&self) -> impl Iterator<Item = Variable> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(variable, _) => Some(*variable),
            Part::Text(_) => None,
        })
    }

    /// The query for one job.
    ///
    /// # Errors
    /// When something that it asks for is not known.
    pub fn fill(&self, facts: &QueryFacts<'_>) -> Result<String, Unfilled> {
        let mut filled = String::with_capacity(self.text.len());
        for part in &self.parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Variable(variable, literal) => {
                    let value = facts.get(*variable).ok_or(Unfilled::Missing(*variable))?;
                    let value = if literal.is_regex { as_regex(value) } else { Cow::Borrowed(value) };
                    match literal.quote {
                        '`' if value.contains('`') => return Err(Unfilled::Backtick(*variable)),
                        '`' => filled.push_str(&value),
                        quote => push_escaped(&mut filled, &value, quote),
                    }
                }
            }
        }
        Ok(filled)
    }
}

/// The value as an expression of RE2 that matches just it.
fn as_regex(value: &str) -> Cow<'_, str> {
    const SPECIAL: &str = r"\.+*?()|[]{}^$";
    if !value.contains(|c| SPECIAL.contains(c)) {
        return Cow::Borrowed(value);
    }
    let mut quoted = String::with_capacity(value.len() + 4);
    for c in value.chars() {
        if SPECIAL.contains(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    Cow::Owned(quoted)
}

/// The value within these quotes, as Go writes it: only the quotes that are around it may be escaped.
fn push_escaped(to: &mut String, value: &str, quote: char) {
    for c in value.chars() {
        if c == quote || c == '\\' {
            to.push('\\');
            to.push(c);
        } else if c.is_control() {
            write!(to, "\\u{:04x}", u32::from(c)).expect("a string takes all");
        } else {
            to.push(c);
        }
    }
}

impl FromStr for Query {
    type Err = QueryError;
    fn from_str(text: &str) -> Result<Self, QueryError> {
        Ok(Self { text: text.to_owned(), parts: read::read(text)? })
    }
}

impl TryFrom<String> for Query {
    type Error = QueryError;
    fn try_from(text: String) -> Result<Self, QueryError> {
        text.parse()
    }
}

impl From<Query> for String {
    fn from(query: Query) -> Self {
        query.text
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Query").field(&self.text).finish()
    }
}

impl PartialEq for Query {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Query {}

impl JsonSchema for Query {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Query".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "x-form": "promql", "minLength": 1, "maxLength": LONGEST})
    }
}

#[cfg(test)]
mod tests;
