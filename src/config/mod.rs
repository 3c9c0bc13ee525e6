//! What people write: from the text of configuration files to autoscalers with their policies.
//!
//! Comes in: [`Source`]s, which somebody else has read, and a [`Library`] of policies. Goes out: a [`Config`], or every
//! mistake of every file at once, each with its place, what was found and what to write instead. This module must never
//! stop at the first mistake, never guess what was meant without saying so, and never touch a file itself.
//!
//! One definition serves all: the types of [`policy`](crate::policy) and of [`document`] become the JSON schema
//! ([`schema`]), and that is what trees are checked against (`check`), what the reference page lists, and what the types
//! are read from afterwards.

mod advice;
pub mod builtin;
mod check;
mod choice;
mod consistency;
pub mod document;
mod error;
mod format;
mod library;
mod lint;
mod load;
mod options;
mod other;
mod path;
mod policies;
pub mod reference;
pub mod schema;
mod shape;
mod source;
mod yaml;

pub(crate) use check::found;
pub(crate) use format::{dns_label, dns_subdomain};
pub(crate) use yaml::{Entry, Node, Value, parse, plain};

pub use crate::model::Hint;
pub use advice::Advice;
pub use error::{ConfigError, ConfigErrors, Position, Problem};
pub use library::Library;
pub use lint::{Warning, lint};
pub use load::{Autoscaler, Config, load, load_policy};
pub use other::load_as;
pub use policies::{Place, PolicyFile, load_policies};
pub use source::Source;

/// Whether a text is the URL of a REST endpoint, as `flink.url` has it.
///
/// # Errors
/// What is wrong with it.
pub fn is_endpoint(text: &str) -> Result<(), String> {
    format::http_url(text)
}

/// Whether YAML takes an unquoted `text` for text, and not for a number or nothing.
pub fn is_plain_text(text: &str) -> bool {
    matches!(yaml::plain(text), yaml::Value::Text(_))
}

/// The documents of a YAML text, without their places.
#[cfg(all(test, feature = "daemon"))]
pub(crate) fn read_back(text: &str) -> Result<Vec<serde_json::Value>, Vec<ConfigError>> {
    let documents = yaml::parse(&Source::new("text", text))?;
    Ok(documents.iter().map(yaml::Node::to_json).collect())
}
