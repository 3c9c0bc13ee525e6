//! The form of Flink's answers, 1.17 to 2.3.
//!
//! Fields that are not named here are ignored, for the outside may grow; fields that not every version has are optional.
//! Bytes come in; values of the model, or a sentence about what is unexpected, go out. Nothing here may panic.

mod checkpoint;
mod cluster;
mod job;
mod metrics;
mod number;
mod pools;
mod requirements;
mod savepoint;
mod taskmanagers;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::Deserialize;
use thiserror::Error;

pub(crate) use checkpoint::{CheckpointStatus, Triggered};
pub(crate) use cluster::{Config, Listed, Overview, Settings, cluster, duration};
pub(crate) use job::{JobView, Status};
pub(crate) use metrics::{Metric, longest_lag, sum_of};
pub(crate) use number::Number;
pub(crate) use pools::Pools;
pub(crate) use requirements::Requirements;
pub(crate) use savepoint::{
    Checkpoints, Jars, NO_REASON, RunRequest, SavepointOutcome, SavepointStatus, StopRequest,
};
pub(crate) use taskmanagers::{TaskManagerListed, TaskManagers, TaskManagersAnswer};

use crate::model::{GraphError, VertexId};

/// What is unexpected about an answer.
#[derive(Debug, Error)]
pub(crate) enum WireError {
    /// It is no JSON, a field is missing, or a value is of another type.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// The plan and the vertices do not make a graph.
    #[error("{0}")]
    Graph(#[from] GraphError),
    /// A value that cannot be.
    #[error("{field} is {value:?}")]
    Value {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
    },
    /// A vertex is in the plan and not in the job, or the other way round.
    #[error("the plan and the vertices disagree about {0}")]
    Disagree(VertexId),
}

/// What can be read from the body of an answer.
pub(crate) trait Answer<'a>: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// When the bytes are something else.
    fn read(body: &'a [u8]) -> Result<Self, WireError>;
}

/// Answers that need no more than their fields.
macro_rules! plain_answers {
    ($($type:ty),* $(,)?) => {$(
        impl<'a> Answer<'a> for $type {
            fn read(body: &'a [u8]) -> Result<Self, WireError> {
                Ok(serde_json::from_slice(body)?)
            }
        }
    )*};
}

plain_answers!(
    CheckpointStatus,
    Checkpoints,
    Jars,
    SavepointStatus,
    Overview,
    Requirements,
    Status,
    TaskManagersAnswer,
    Triggered,
    Vec<Metric<'a>>
);

/// The texts in Flink's `{"errors": [...]}`; `None` when the body is something else.
pub(crate) fn errors(body: &[u8]) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Errors<'a> {
        #[serde(borrow)]
        errors: Vec<Cow<'a, str>>,
    }
    let Errors { errors } = serde_json::from_slice(body).ok()?;
    Some(errors.into_iter().map(Cow::into_owned).collect())
}
