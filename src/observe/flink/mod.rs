//! Flink's REST API, 1.17 to 2.3: a client that is gentle with it, and a poller that turns its answers into snapshots.
//!
//! Comes in: a [`FlinkRef`](crate::policy::FlinkRef). Goes out: an [`Observation`](crate::model::Observation) per cycle, of at
//! most two calls and one per source. This module must never trust an answer: whatever the bytes are, the outcome is a
//! snapshot or a reason.

mod calls;
mod checkup;
mod client;
#[cfg(test)]
mod connection_tests;
mod discover;
mod error;
mod fault;
mod findings;
mod freshness;
mod memory;
mod pending;
mod poll;
#[cfg(test)]
pub(crate) mod scripted;
mod watch;
mod wire;

pub use checkup::{Checkpoints, Checkup, JobCheckup};
pub use client::FlinkClient;
#[cfg(test)]
pub(crate) use client::played;
pub use error::{Asked, FlinkError, Refusal};
pub use findings::{OtherWays, findings};
pub use poll::Poller;
pub(crate) use wire::{
    JobView, Requirements, RunRequest, SavepointOutcome, StopRequest, TaskManagerListed, TaskManagers,
};

use crate::model::{Graph, Reading, VertexId};

/// Reads the body of `/jobs/:id` as a poll does. For the benches: the form of Flink's answers is nobody else's matter.
#[doc(hidden)]
pub fn read_job(body: &[u8]) -> Option<(Graph, Vec<(VertexId, Reading)>)> {
    let view = <JobView as wire::Answer>::read(body).ok()?;
    Some((view.graph?, view.readings))
}
