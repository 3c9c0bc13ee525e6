//! Prometheus' HTTP API, or what speaks it: the queries of policies, asked beside Flink's calls.
//!
//! Comes in: a [`PrometheusRef`](crate::policy::PrometheusRef) and the policy of a job. Goes out: an
//! [`Answer`](crate::model::Answer) for each query in the job's snapshots. A query that many jobs ask is asked once for all,
//! and no answer is waited for longer than half a poll. This module must never trust an answer: whatever the bytes are, the
//! outcome is numbers or one line on why there are none.

mod answer;
mod checkup;
mod client;
mod cpu;
mod error;
mod fault;
mod queries;
mod server;
#[cfg(test)]
mod tests;

pub use checkup::findings;
pub use error::PrometheusError;
pub use queries::{Queries, Whose};
pub use server::{Server, Servers};
