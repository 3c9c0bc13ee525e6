//! The process that stays: one task per autoscaler, the state directory, the journals.
//!
//! Comes in: autoscalers from the configuration. Goes out: rescaled jobs, journals, logs. This module must never decide
//! anything about a job: it hands what it saw to [`State::cycle`](crate::record::State::cycle) and does what comes back.
//! One thread is enough for thousands of jobs; what blocks it is writing to the disk, which is brief, and rare.

mod clients;
pub mod clock;
mod health;
mod job;
pub mod journal_file;
mod keep;
pub mod kubernetes;
mod metrics;
mod operator;
mod pace;
mod report;
mod resubmit;
mod run;
pub mod store;
mod trace;
mod workload;

pub(crate) use trace::TRACE_ID;

pub use run::{Options, RunError, full_name, run};
