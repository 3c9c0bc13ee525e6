//! What the autoscaler of the Flink Kubernetes Operator would compute: its options and its semantics, as pure functions.
//!
//! Comes in: the operator's `job.autoscaler.*` options as texts, and what Flink says of a job. Goes out: what the operator
//! would evaluate and decide, number for number. This module must never improve on the operator: whoever moves from it
//! wants to see what it would do, and its oddities are part of that.
//!
//! The semantics are those of 1.16 (main of July 2026), or of 1.15.0 where [`options::Release`] says so. As in the operator,
//! a metric is a float in which NaN stands for what is not known, and an infinite rate for a vertex that does nothing;
//! comparisons with them are written so that what is not known never triggers anything. Plugins do not run here:
//! [`Options::plugins`] names those that were asked for.
//!
//! | what | where |
//! |---|---|
//! | options, names of old, Flink's notation, ranges | [`options`] |
//! | samples, what they are made of, and the window they are kept in | [`sample`], [`reading`], [`window`] |
//! | rates, backlog, thresholds | [`evaluate`], [`processing_rate`], [`edges`], [`capacity`] |
//! | one vertex: factor, limits, alignment, delay, effect | [`vertex`], [`scaled`], [`align`], [`delay`], [`scalability`] |
//! | a job: memory guard, trigger, quota | [`job`], [`resources`] |
//! | memory of the `TaskManagers` | [`memory`] |
//! | excluded periods | [`excluded`], [`quartz`] |
//! | what is asked of Flink then | [`overrides`], [`status`] |
//! | a whole cycle, with what is remembered | [`cycle`], [`history`] |

pub mod align;
pub mod capacity;
pub mod cycle;
pub mod delay;
pub mod edges;
pub mod evaluate;
pub mod excluded;
pub mod history;
pub mod job;
pub mod memory;
pub mod options;
pub mod overrides;
pub mod partitions;
pub mod processing_rate;
#[cfg(test)]
mod properties;
pub mod quartz;
pub mod reading;
pub mod resources;
mod rule;
pub mod sample;
pub mod scalability;
pub mod scaled;
pub mod status;
pub mod topology;
pub mod vertex;
pub mod window;

pub use options::{OptionError, OptionErrors, Options, Settings};
pub(super) use rule::{propose, topology};
