//! What is seen of the world: one [`Observation`](crate::model::Observation) per cycle and job.
//!
//! Comes in: where a job is. Goes out: snapshots of it, or why there is none. This module must never decide anything, and
//! must never send a request that changes something.

pub mod flink;
mod gate;
pub mod kubernetes;

pub use gate::Gate;
