//! What is seen of the world: one [`Observation`](crate::model::Observation) per cycle and job.
//!
//! Comes in: where a job is. Goes out: snapshots of it, or why there is none. This module must never decide anything, and
//! must never send a request that changes something.

mod cause;
mod connection;
mod finding;
pub mod flink;
mod gate;
mod join;
pub mod kubernetes;
pub mod prometheus;
mod traffic;
mod within;

pub use connection::SetupError;
pub use finding::{Finding, Weight};
pub use gate::Gate;
pub use traffic::{FLINK, PROMETHEUS, Traffic};
pub use within::Within;
