//! What one rule says: a size for every vertex, or why it cannot say.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::capacity::{self, Capacity};
use super::hpa;
use super::{Policy, Want};
use crate::model::{Ledger, Snapshot, Timestamp};
use crate::signals::Signals;

/// What a rule looks at.
pub(super) struct Context<'a> {
    pub(super) signals: &'a Signals,
    pub(super) snapshot: &'a Snapshot,
    pub(super) policy: &'a Policy,
    pub(super) ledger: &'a Ledger,
    pub(super) now: Timestamp,
    /// What every vertex can take in: found once, for all rules that ask.
    pub(super) capacities: Vec<Option<Capacity>>,
}

/// An answer from outside is fresh for three polls, and for as long: metrics-server measures every 15 s, Prometheus scrapes
/// every 15 to 60 s.
const FRESH: Duration = Duration::from_secs(90);

impl<'a> Context<'a> {
    /// The job as these signals show it.
    pub(super) fn new(
        signals: &'a Signals,
        snapshot: &'a Snapshot,
        policy: &'a Policy,
        ledger: &'a Ledger,
        now: Timestamp,
    ) -> Self {
        let capacities = capacity::of_all(signals, snapshot, ledger, now);
        Self { signals, snapshot, policy, ledger, now, capacities }
    }

    /// Turns away an answer from outside that is too old.
    pub(super) fn check_fresh(&self, at: Timestamp) -> Result<(), Silence> {
        let fresh = (self.policy.poll.get() * 3).max(FRESH);
        if self.now.since(at) > fresh { Err(Silence::Stale { at }) } else { Ok(()) }
    }
}

/// What a rule asks for, one want per vertex in the graph's order, or why it is silent.
pub(super) type Asked = Result<(Vec<Want>, Option<Replicas>), Silence>;

/// What one rule said.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleSaid {
    /// The rule, as it is written.
    pub rule: &'static str,
    /// What it said.
    #[serde(flatten)]
    pub said: Said,
}

/// What a rule said.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "said", rename_all_fields = "camelCase")]
pub enum Said {
    /// A size for every vertex.
    Sizes,
    /// A size for every vertex that it knows enough of; one that it does not might need more, so nothing shrinks.
    Partly {
        /// Why it cannot say more.
        why: Silence,
    },
    /// So many TaskManagers.
    Replicas(Replicas),
    /// Nothing: its `when` says that it is off.
    Off,
    /// Nothing, as what it looks at is not there: nothing shrinks.
    Silent {
        /// Why.
        why: Silence,
        /// Since when.
        since: Timestamp,
    },
    /// What it looks at has been gone for so long that its fallback holds.
    FellBack {
        /// Why.
        why: Silence,
        /// Since when.
        since: Timestamp,
    },
}

/// How many TaskManagers a rule asks for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Replicas {
    /// How many there are.
    pub current: u32,
    /// How many it asks for.
    pub wanted: u32,
    /// The metric over its target.
    pub ratio: Option<f64>,
    /// What was measured.
    pub reading: hpa::Reading,
    /// Who measured what the pods use, of a `resource` rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured_by: Option<MeasuredBy>,
    /// What changed the number on its way from the metric over its target, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<ReplicasLimit>,
}

/// Who measures what the pods of a workload use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum MeasuredBy {
    /// The metrics API of Kubernetes (metrics-server).
    MetricsApi,
    /// The kubelet's cAdvisor, by way of Prometheus.
    Cadvisor,
    /// Flink's own reporter, by way of Prometheus: CPU time of the JVM.
    FlinkCpuTime,
    /// The same: the share of the cores that the JVM sees.
    FlinkCpuLoad,
}

impl fmt::Display for MeasuredBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MetricsApi => "the metrics API",
            Self::Cadvisor => "cAdvisor",
            Self::FlinkCpuTime => "Flink's reporter (Status.JVM.CPU.Time)",
            Self::FlinkCpuLoad => "Flink's reporter (Status.JVM.CPU.Load)",
        })
    }
}

/// One limit that changed how many TaskManagers a rule asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicasLimit {
    /// What limited them.
    pub by: ReplicasLimitedBy,
    /// How many it would have been.
    pub before: u32,
    /// How many it became.
    pub after: u32,
}

/// What changes how many TaskManagers a rule asks for; a closed list, fit for a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ReplicasLimitedBy {
    /// The metric is within the tolerance around its target.
    Tolerance,
    /// Pods of unknown load were taken for idle or busy, whichever is the more cautious.
    UnmeasuredPods,
    /// The most TaskManagers, by the job's bounds.
    MaxReplicas,
    /// The least TaskManagers, by the job's bounds.
    MinReplicas,
}

/// Why a rule cannot say anything; a closed list, fit for a metric label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all_fields = "camelCase")]
pub enum Silence {
    /// Nobody has looked: no source of it is set up, or it has not answered yet.
    NotAsked,
    /// The answer is too old.
    Stale {
        /// From when it is.
        at: Timestamp,
    },
    /// The question could not be answered.
    Failed {
        /// One line for people.
        detail: String,
    },
    /// There is no value, or it is no number.
    NoValue {
        /// One line for people.
        detail: String,
    },
    /// Records go through a vertex, and how many will or what they cost is not measured.
    VertexUnknown {
        /// Its name.
        vertex: String,
    },
    /// No source says how many records wait for it, nor how late they are.
    NoBacklog,
    /// No vertex says how long it waits for those after it.
    NoBackPressure,
}

impl std::fmt::Display for Silence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotAsked => f.write_str("nothing tells of what it looks at"),
            Self::Stale { at } => write!(f, "what it looks at was last seen at {at}"),
            Self::Failed { detail } | Self::NoValue { detail } => f.write_str(detail),
            Self::VertexUnknown { vertex } => {
                write!(f, "what vertex {vertex} needs is not known: its load or its busy time is missing")
            }
            Self::NoBacklog => {
                f.write_str("no source says how many records wait for it, nor how late they are")
            }
            Self::NoBackPressure => f.write_str("no vertex says how long it waits for those after it"),
        }
    }
}
