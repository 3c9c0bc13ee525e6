//! Carrying out what was approved, and nothing else.
//!
//! Comes in: an [`Approved`](crate::guard::Approved) plan, which only `guard` can make. Goes out: an
//! [`Outcome`](crate::record::Outcome). This module must never choose: it looks once more whether what the plan assumes is
//! still so, and then does all of it or nothing.

mod check;
mod checkpoint;
mod in_place;
mod operator;
#[cfg(test)]
mod played;
mod replicas;
mod resubmit;

pub use checkpoint::Hastener;
pub use in_place::{rescale, roll_back, take_up};
pub use operator::step as upgrade;
pub use replicas::{scale, scale_back};
pub use resubmit::{Program, dispose, rerun, step as resubmit};
