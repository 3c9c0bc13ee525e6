//! From counters to what a job is doing: rates, service times, selectivities, backlog, and the capacity curve.
//!
//! Comes in: observations, one per cycle. Goes out: [`Signals`], each number with how sure it is, or `None` where it
//! cannot be known. This module must never guess a number that was not measured, and never let a difference span two epochs.
//! Formulas: `DS2` (OSDI'18) for service time and selectivity, Gunther's Universal Scalability Law for the curve.

mod cost;
mod curve;
mod derive;
mod estimate;
mod flow;
mod history;
mod lag;
#[cfg(test)]
mod properties;
mod sample;
#[cfg(test)]
mod testing;
mod types;
mod window;

pub use curve::{Curve, Needed, learn};
pub use history::History;
pub(crate) use lag::STANDS;
pub use sample::{Sample, SourceLag, VertexSample};
pub use types::{EdgeSignals, Estimate, Lag, Signals, Trend, VertexSignals};
