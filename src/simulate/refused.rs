//! Requirements that Flink does not take, and why.

use thiserror::Error;

use super::slots::Bounds;
use crate::model::{Graph, JobId, VertexId};

/// Why requirements were not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// Nothing answers.
    #[error("Flink cannot be reached")]
    Unreachable,
    /// This version has no such endpoint.
    #[error("this version of Flink knows no resource requirements")]
    NotFound,
    /// This scheduler cannot do it.
    #[error("the default scheduler does not change the parallelism of a running job")]
    Unsupported,
    /// It takes all slots there are.
    #[error("Cannot change the parallelism of a job running in reactive mode.")]
    Reactive,
    /// The job has ended.
    #[error("job {0} does not run any more")]
    NoSuchJob(JobId),
    /// What was asked for is not possible; one line for each reason.
    #[error("{}", .0.join("\n"))]
    Invalid(Vec<String>),
}

impl Refused {
    /// Checks what is asked for as Flink does: every vertex, and bounds that are possible.
    pub(super) fn check(graph: &Graph, wanted: &[(VertexId, u32, u32)]) -> Result<Vec<Bounds>, Self> {
        let mut problems = Vec::new();
        let mut bounds = vec![None; graph.len()];
        for &(id, lower, upper) in wanted {
            let Some(v) = graph.index_of(id) else {
                problems.push(format!("vertex {id} is not one of the job's"));
                continue;
            };
            let most = graph.vertices()[v].max_parallelism.get();
            if lower < 1 || upper < 1 {
                problems.push(format!("vertex {id}: the bounds {lower} and {upper} must be above 0"));
            } else if lower > upper {
                problems
                    .push(format!("vertex {id}: the lower bound {lower} is above the upper bound {upper}"));
            } else if upper > most {
                problems.push(format!("vertex {id}: {upper} is above its max parallelism {most}"));
            }
            bounds[v] = Some(Bounds { lower, upper });
        }
        for (vertex, _) in graph.vertices().iter().zip(&bounds).filter(|(_, bounds)| bounds.is_none()) {
            problems.push(format!("vertex {} is missing", vertex.id));
        }
        match bounds.into_iter().collect() {
            Some(bounds) if problems.is_empty() => Ok(bounds),
            _ => Err(Self::Invalid(problems)),
        }
    }
}
