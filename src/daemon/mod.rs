//! The process that stays: one task per autoscaler, the state directory, the journals.
//!
//! Comes in: autoscalers from the configuration. Goes out: rescaled jobs, journals, logs. This module must never decide
//! anything about a job: it hands what it saw to [`State::cycle`](crate::record::State::cycle) and does what comes back.

pub mod clock;
pub mod journal_file;
pub mod store;
