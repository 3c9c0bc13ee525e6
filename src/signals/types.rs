//! What the signals are, apart from how they are derived.

use serde::{Deserialize, Serialize};

use crate::model::{Parallelism, Seconds, Timestamp};

/// A measured number with its 95 % confidence interval (Student's t over the samples of the window).
///
/// `low <= mean <= high`, all finite. With few samples the interval is at least that of the noise such a number is known to have.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean over the window, each sample weighted by the time it covers.
    pub mean: f64,
    /// Lower bound of the interval.
    pub low: f64,
    /// Upper bound of the interval.
    pub high: f64,
    /// Samples it rests on.
    pub samples: u32,
}

/// Whether the load is the same over the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trend {
    /// The samples of the window agree.
    Steady,
    /// The last sample lies plainly outside what came before, and no second one has confirmed it: it may be a mixture of
    /// before and after. Nothing is decided on it, and it is no need of the scale-down window.
    Changing,
}

/// What is known of one vertex over the window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VertexSignals {
    /// Its subtasks.
    pub parallelism: Parallelism,
    /// Records/s taken in; for a source, records/s taken from outside as far as they are known (= `rate_out` otherwise).
    pub rate_in: Option<Estimate>,
    /// Records/s put out, over all of its outputs together.
    pub rate_out: Option<Estimate>,
    /// Busy seconds of one subtask per record taken in; `None` without records, for sources, and without a clock.
    pub service_time: Option<Estimate>,
    /// Share of its subtasks' time spent busy, 0 to 1.
    pub busy: Option<f64>,
    /// Share of its subtasks' time spent back-pressured, 0 to 1.
    pub back_pressured: Option<f64>,
    /// Sources: records/s that come to exist outside (not: that it took in).
    pub arrival: Option<Estimate>,
    /// Sources: records that wait, as of the last sample; `None` where the connector does not report it.
    pub backlog: Option<f64>,
    /// Sources: records/s by which the backlog grows (negative: shrinks).
    pub backlog_growth: Option<Estimate>,
    /// Sources that do not report their backlog: how late their records are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<Lag>,
    /// Records the service time rests on; 0 while the tasks are cold, when nothing is to be learned from it.
    pub records: f64,
}

/// How late the records of a source are when it puts them out: the clock minus their event time, of the subtask that is furthest
/// behind.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lag {
    /// Seconds, as of the last sample.
    pub now: f64,
    /// The least over the window, in seconds: of what comes and goes, what stays.
    pub least: f64,
    /// Seconds by which it grows in a second, over the window: 1 while no record comes, below 0 while it is worked off.
    pub growth: f64,
    /// Seconds that it has while the source keeps up, as far as that was seen: what is on its way in the best of times.
    pub usual: Option<f64>,
}

/// What is known of one edge over a long window (joins and windows emit in bursts).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EdgeSignals {
    /// Records/s that travel along it.
    pub flow: Option<f64>,
    /// Records along it per record into its sending vertex (per record out, for a source).
    pub selectivity: Option<Estimate>,
    /// The most records/s it was seen to carry when its flow did not grow with the input (a window that fires by the
    /// clock): a bound on what it will carry. `None` where the flow follows the input.
    pub flow_bound: Option<f64>,
}

/// What a job is doing, as of its last sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Signals {
    /// End of the last sample, by Tidegate's clock.
    pub at: Timestamp,
    /// Time that the window covers, by the counters' own clock.
    pub window: Seconds,
    /// Samples in the window.
    pub samples: u32,
    /// Whether the load is the same over the window.
    pub trend: Trend,
    /// Whether the tasks had warmed up: before that, a restarted job works off what piled up, and its costs are too high.
    pub warm: bool,
    /// One for each vertex, in the graph's order.
    pub vertices: Vec<VertexSignals>,
    /// One for each edge, in the graph's order.
    pub edges: Vec<EdgeSignals>,
}
