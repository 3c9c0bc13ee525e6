//! What can be wrong with the options.

use thiserror::Error;

use crate::model::Hint;

/// A mistake in the options.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum OptionError {
    /// No option has this name.
    #[error("`{key}` is not an option of the Flink autoscaler: {hint}")]
    Unknown {
        /// The name that was written.
        key: String,
        /// What may have been meant.
        hint: Hint,
    },
    /// The value is not of the option's type.
    #[error("`{key}`: expected {expected}, not `{value}`{}", did_you_mean(.hint.as_ref()))]
    Value {
        /// The name that was written.
        key: String,
        /// What its values look like.
        expected: &'static str,
        /// What was written.
        value: String,
        /// The nearest word, where the option is one of a few.
        hint: Option<Hint>,
    },
    /// The value is outside the range that the operator's validator allows.
    #[error("`{key}`: expected a number from {low} to {high}, not {value}")]
    OutOfRange {
        /// The option's name.
        key: &'static str,
        /// The least that is allowed.
        low: f64,
        /// The most that is allowed; infinite when there is no end.
        high: f64,
        /// What was written.
        value: f64,
    },
    /// A period that is neither a time of day nor a cron expression, nor one of each.
    #[error("`job.autoscaler.excluded.periods`: `{period}`: {why}")]
    Period {
        /// What was written.
        period: String,
        /// What is wrong with it.
        why: super::super::excluded::PeriodError,
    },
}

fn did_you_mean(hint: Option<&Hint>) -> String {
    hint.map_or_else(String::new, |hint| format!(": {hint}"))
}
