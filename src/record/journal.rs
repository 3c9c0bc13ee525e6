//! The journal: every cycle's inputs, decision and outcome as one line of JSON, from which each decision can be made again.
//!
//! Comes in: what a cycle saw and did, or the bytes of a journal. Goes out: lines to append, or the cycles read back. A
//! [`Header`] carries the whole state, so a file that was begun in the middle of a job's life replays on its own; a restart of
//! Tidegate adds a header to the file it finds. This module must never open a file or read a clock.

mod lines;
mod read;
mod replay;

pub use lines::{Cycle, Header, Writer};
pub use read::{Damage, Entry, Reader, Recorded};
pub use replay::{Difference, Replay, Replayer, Step, replay};

/// The version of the form of the lines. A reader refuses every other one.
pub const VERSION: u32 = 1;

#[cfg(test)]
mod tests;
