//! What a rule asks for, and why: typed, with the numbers.

use serde::Serialize;

use crate::model::Parallelism;

/// What the rules ask for, one want per vertex in the graph's order.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    /// One per vertex.
    pub wants: Vec<Want>,
    /// Seconds that a restart is expected to take.
    pub restart_seconds: f64,
    /// Whether a backlog stands that is longer to work off than the catch-up time allows, or one that grows.
    pub backlog_stands: bool,
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
    /// Records/s it could take in at the wanted size.
    pub capacity_at_wanted: Option<f64>,
    /// Arriving load over capacity, without catch-up: what the band is compared with.
    pub utilization: Option<f64>,
    /// Why.
    pub why: Why,
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
