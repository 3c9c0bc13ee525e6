//! What one metric asks for, and why it cannot ask.

use serde::Serialize;
use thiserror::Error;

use super::metric::Source;

/// What one metric asks for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    /// So many replicas.
    pub replicas: u32,
    /// The metric over its target, of the pods that count, before anything was assumed of the others; `None` where there
    /// are no replicas to spread it over.
    pub ratio: Option<f64>,
    /// Where the number comes from.
    pub basis: Basis,
    /// What the HPA's status shows of it: as measured, before anything was assumed.
    pub reading: Reading,
}

/// What was measured, in the target's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Reading {
    /// Of what the pods request.
    Utilization {
        /// Whole per cents, cut off.
        percent: i64,
        /// Thousandths per pod, cut off.
        average: i64,
    },
    /// Thousandths per pod.
    Average(i64),
    /// Thousandths altogether.
    Value(i64),
}

/// Where a proposed number comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Basis {
    /// From the metric over its target.
    Ratio,
    /// From it with pods of unknown load taken for idle or busy, whichever is the more cautious.
    Corrected,
    /// The metric is near its target: the size stays.
    WithinTolerance,
    /// The metric is not near its target, but could be with the pods of unknown load: the size stays.
    HeldForUnmeasured,
}

/// Why a metric cannot ask for anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Error)]
#[serde(rename_all = "camelCase")]
pub enum Unmeasured {
    /// There is no value of any pod, or no series.
    #[error("no metrics returned from {} metrics API", .0.api())]
    NoMetrics(Source),
    /// The workload has no pods.
    #[error("no pods returned by selector while calculating replica count")]
    NoPods,
    /// There are values only of pods that do not count.
    #[error("did not receive metrics for targeted pods (pods might be unready)")]
    NoneReady,
    /// A pod requests nothing of the resource, so that there is nothing its use is a part of.
    #[error("missing request for the resource in a container of pod number {0}")]
    MissingRequest(usize),
    /// The pods with values request nothing altogether.
    #[error("no metrics returned matched known pods")]
    NothingRequested,
    /// A target of zero or less is never reached.
    #[error("a target is more than 0, not {0}")]
    Target(i64),
    /// The value could not be had, for a reason that the one who asked for it knows.
    #[error("{0}")]
    Unavailable(String),
    /// No metric is given at all.
    #[error("no metric is given")]
    NothingAsked,
}

/// A target that can be divided by.
pub(super) fn checked(target: i64) -> Result<f64, Unmeasured> {
    if target > 0 { Ok(target as f64) } else { Err(Unmeasured::Target(target)) }
}
