//! What is kept: the state between cycles, how cycles ended, and the journal from which every decision can be made again.
//!
//! Comes in: observations, decisions, outcomes. Goes out: the [`State`] for the next decision, and lines of the journal.
//! This module must never open a file or read a clock: the daemon does, and hands in what it read.

mod attempt;
pub mod journal;
mod learn;
mod outcome;
mod scaling;
mod state;
pub mod summary;

pub use outcome::Outcome;
pub use state::State;
pub use summary::Summary;
