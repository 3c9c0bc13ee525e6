//! From what is wanted to what is to be done: one complete, immutable [`Plan`] that leaves the actuator no choice.
//!
//! Comes in: a proposal, bounds, slots. Goes out: a target for every vertex, what it assumes, how to undo it, and the
//! trail of limits that changed the proposal. This module must never decide whether now is the time: that is `guard`'s.

mod align;
mod behavior;
mod bounds;
mod by_operator;
mod fewer;
mod grow;
mod make;
mod more;
mod paced;
mod quota;
mod reactive;
mod shrink;
mod slots;
#[cfg(test)]
mod testing;
mod together;
mod types;
mod way;
mod wish;

pub use by_operator::way_of;
pub use fewer::{Clinging, can_go, fewer};
pub use make::{Made, make};
pub use more::Awaited;
pub use quota::OverQuota;
#[cfg(feature = "daemon")]
pub(crate) use slots::needed as slots_needed;
pub use types::{Assumptions, Change, Direction, Limit, LimitedBy, Plan, Scale, Step};
pub use way::{Way, way};
