//! What a rule asks for, and why: typed, with the numbers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::said::{RuleSaid, Said, Silence};
use crate::model::Parallelism;
use crate::signals::Curve;

/// What the rules ask for, one want per vertex in the graph's order.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    /// What each rule said, in the policy's order; those that are switched off are left out.
    pub rules: Vec<RuleSaid>,
    /// One per vertex.
    pub wants: Vec<Want>,
    /// What no size may be above for now, besides the job's own bounds.
    #[serde(skip_serializing_if = "Ceiling::is_none")]
    pub ceiling: Ceiling,
    /// Records/s that arrive at the sources, all together, as far as they are known.
    pub load: f64,
    /// Seconds that a restart is expected to take.
    pub restart_seconds: f64,
    /// Records that wait at sources where they stand, that is, for longer than the way through the job takes.
    pub backlog_standing: f64,
}

/// What no size may be above for now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ceiling {
    /// Subtasks of any vertex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<u32>,
    /// TaskManagers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
}

impl Ceiling {
    /// The lower of both.
    pub(super) fn lower(self, other: Self) -> Self {
        let lower = |a: Option<u32>, b: Option<u32>| a.into_iter().chain(b).min();
        Self {
            parallelism: lower(self.parallelism, other.parallelism),
            replicas: lower(self.replicas, other.replicas),
        }
    }

    fn is_none(&self) -> bool {
        *self == Self::default()
    }
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
    /// The rule that asked for it, as its place in [`Proposal::rules`]: the one that asked for the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<usize>,
    /// What the rule would have asked for but for its own factors, where they made a difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlimited: Option<Parallelism>,
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
    /// What the rule would have asked for but for its own factors.
    pub fn needed(&self) -> Parallelism {
        self.unlimited.unwrap_or(self.wanted)
    }

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
            rule: None,
            unlimited: None,
        }
    }
}

impl Proposal {
    /// The rules that could not speak, or not for every vertex.
    pub fn silent(&self) -> impl Iterator<Item = (&RuleSaid, &Silence)> {
        self.rules.iter().filter_map(|rule| match &rule.said {
            Said::Silent { why, .. } | Said::Partly { why } => Some((rule, why)),
            _ => None,
        })
    }
}

/// Why a vertex is wanted at its size; a closed list, fit for a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Reason")]
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
    /// A metric of the TaskManagers, or a query, is above its target.
    MetricAboveTarget,
    /// A metric of the TaskManagers, or a query, is below its target.
    MetricBelowTarget,
    /// The vertices before it wait for it.
    PushesBack,
    /// It has been idle, and nothing waits for it.
    PushesNothingBack,
    /// What the rule looks at has been gone for so long that its fallback holds.
    FellBack,
    /// A window of the schedule is open that has a higher floor.
    ScheduledMore,
    /// No window of the schedule has a floor as high.
    ScheduledLess,
}

impl Why {
    /// Whether it is a reason to grow.
    pub fn is_short(self) -> bool {
        matches!(
            self,
            Self::TargetRateAboveCapacity
                | Self::BacklogStands
                | Self::MetricAboveTarget
                | Self::PushesBack
                | Self::FellBack
                | Self::ScheduledMore
        )
    }

    /// Whether it is a reason to shrink.
    pub fn is_large(self) -> bool {
        matches!(
            self,
            Self::UtilizationBelowBand
                | Self::MetricBelowTarget
                | Self::PushesNothingBack
                | Self::FellBack
                | Self::ScheduledLess
        )
    }
}
