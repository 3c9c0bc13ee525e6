//! What a rule asks for, and why: typed, with the numbers.

use serde::Serialize;

use crate::model::{Parallelism, Snapshot};
use crate::signals::Curve;

/// What the rules ask for, one want per vertex in the graph's order.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    /// One per vertex.
    pub wants: Vec<Want>,
    /// Records/s that arrive at the sources, all together, as far as they are known.
    pub load: f64,
    /// Seconds that a restart is expected to take.
    pub restart_seconds: f64,
    /// Records that wait at sources where they stand, that is, for longer than the way through the job takes.
    pub backlog_standing: f64,
}

/// What is asked for one vertex.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Want {
    /// Its subtasks now.
    pub current: Parallelism,
    /// Its subtasks as the load needs them, before any limit; `current` where nothing is known.
    pub wanted: Parallelism,
    /// Records/s it must take in: arrival, catch-up and restart, spread down the graph.
    pub target_rate: Option<f64>,
    /// Records/s it can take in now.
    pub capacity: Option<f64>,
    /// How it would be at another size; `None` where nothing is known.
    pub curve: Option<Curve>,
    /// How its capacity was found; `None` where nothing is known.
    pub found: Option<Found>,
    /// Load over capacity, with the catch-up of the backlog and without the restart: what the band is compared with.
    pub utilization: Option<f64>,
    /// Why.
    pub why: Why,
}

/// How a vertex's capacity was found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// Busy seconds of one subtask per record, without skew.
    pub service_time: f64,
    /// Whether that was measured now, and not only remembered.
    pub is_measured: bool,
    /// The hottest subtask against the mean.
    pub skew: f64,
    /// Whether it is full now, so that its rate is its capacity.
    pub is_full: bool,
}

impl Want {
    /// What leaves a vertex as it is.
    pub(super) fn unchanged(current: Parallelism, why: Why) -> Self {
        Self {
            current,
            wanted: current,
            target_rate: None,
            capacity: None,
            curve: None,
            found: None,
            utilization: None,
            why,
        }
    }
}

impl Proposal {
    /// What leaves a job as it is.
    pub(super) fn nothing(snapshot: &Snapshot) -> Self {
        let wants = snapshot.vertices.iter().map(|v| Want::unchanged(v.parallelism, Why::NoSignal)).collect();
        Self { wants, load: 0.0, restart_seconds: 0.0, backlog_standing: 0.0 }
    }
}

/// Why a vertex is wanted at its size; a closed list, fit for a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Why {
    /// What must come in is more than it can take.
    TargetRateAboveCapacity,
    /// A backlog stands for longer than the catch-up time allows, or grows.
    BacklogStands,
    /// It is less full than the band's lower end.
    UtilizationBelowBand,
    /// It is within the band.
    WithinBand,
    /// It needs more than any size gives: more subtasks would bring nothing.
    Unscalable,
    /// No service time or no target rate is known; its size is left alone.
    NoSignal,
    /// The policy leaves it alone.
    Excluded,
}
