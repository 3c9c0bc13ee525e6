//! The `HorizontalPodAutoscaler` v2, to the last rounding, as pure functions.
//!
//! Comes in: pods and metric values, targets, the past, and `now`. Goes out: how many replicas, and which reason changed
//! the number. This module must never read a clock, keep anything between two calls, or fail on a number: what runs over
//! is held at the end of the range, and what cannot be computed is a typed [`Unmeasured`].
//!
//! ```text
//! pods, values -> Metric::propose -> largest -> stabilize -> rate, or bounds -> Step
//! (classify)      (tolerance,        (several    (windows)   (policies, min, max)
//!                  unmeasured pods)   metrics)
//! ```
//!
//! [`step`] is the whole of it, as the controller runs it every 15 s. The parts are public because the rules of a policy
//! use them one by one: what limits a number of replicas limits a number of subtasks just as well, so sizes are plain
//! `u32` here.
//!
//! Where releases of Kubernetes differ, this is the one with a tolerance per direction (1.33 and later): a ratio exactly
//! at the edge of the tolerance holds the size. Quantities are in thousandths (milli), as the HPA computes with.

mod average;
mod bounds;
mod conditions;
mod events;
mod metric;
mod per_pod;
mod pods;
#[cfg(test)]
mod property_tests;
mod proposal;
mod rate;
mod size;
mod stabilize;
mod step;
mod tolerance;

pub use average::{per_replica, ready_pods, total, value};
pub use bounds::{Burst, clamp};
pub use conditions::{Able, Inactive, Limited};
pub use events::{EventLog, LoggedEvent, ScaleEvent};
pub use metric::{Ask, Failure, Metric, Source, largest};
pub use per_pod::{PodMetrics, average, utilization};
pub use pods::{Group, Phase, Pod, Ready, ReadyStatus, Sample, Timing, classify};
pub use proposal::{Basis, Proposal, Reading, Unmeasured};
pub use rate::{Behavior, Change, RatePolicy, Rules, SelectPolicy, ceiling, floor, limit};
pub use size::MOST;
pub use stabilize::{Recommendation, highest_recent, remember, within_windows};
pub use step::{Changed, ChangedBy, History, Observed, Settings, Step, step};
pub use tolerance::{Tolerance, ToleranceError};
