//! Whether now is the time: a plan becomes [`Approved`], or is held for typed reasons.
//!
//! Comes in: a plan, the ledger, how fresh the signals are. Goes out: an approval that only this module can make, or every
//! reason against it. This module must never change a plan.

mod hold;
mod judge;

pub use hold::{Hold, HoldKind};
pub use judge::{Approved, Context, SAMPLES_NEEDED, is_stale, judge, not_running};
