//! The rules of a policy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Prometheus, Resource, Throughput};
use crate::model::Parallelism;
use crate::policy::flink_autoscaler::Settings;
use crate::policy::{Quantity, Schedule, Span, When};

/// One rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Rule {
    /// As much as the records need that come in.
    Throughput(Throughput),
    /// CPU or memory of the pods, as the HPA has it.
    Resource(Resource),
    /// Any PromQL, as an HPA's external metric.
    Prometheus(Prometheus),
    /// The share of time that vertices wait for those after them.
    Backpressure(Backpressure),
    /// What waits at the sources.
    Backlog(Backlog),
    /// Sizes by the clock.
    Schedule(Schedule),
    /// What the Flink operator's autoscaler would compute.
    FlinkAutoscaler(Box<FlinkAutoscaler>),
}

impl Rule {
    /// Those of which a policy has one at the most: a second one would say nothing that one cannot, and what is remembered for one
    /// (since when vertices wait, from where a band lets go) would be taken for the other's.
    pub const SINGLE: [&str; 3] = ["throughput", "backpressure", "flinkAutoscaler"];

    /// Its name, as it is written.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Throughput(_) => "throughput",
            Self::Resource(_) => "resource",
            Self::Prometheus(_) => "prometheus",
            Self::Backpressure(_) => "backpressure",
            Self::Backlog(_) => "backlog",
            Self::Schedule(_) => "schedule",
            Self::FlinkAutoscaler(_) => "flinkAutoscaler",
        }
    }

    /// Whether it is on.
    pub fn when(&self) -> Option<&When> {
        match self {
            Self::Throughput(rule) => rule.when.as_ref(),
            Self::Resource(rule) => rule.when.as_ref(),
            Self::Prometheus(rule) => rule.when.as_ref(),
            Self::Backpressure(rule) => rule.when.as_ref(),
            Self::Backlog(rule) => rule.when.as_ref(),
            Self::Schedule(rule) => rule.when.as_ref(),
            Self::FlinkAutoscaler(rule) => rule.when.as_ref(),
        }
    }

    /// What to hold to when what it looks at is gone.
    pub fn fallback(&self) -> Option<Fallback> {
        match self {
            Self::Throughput(rule) => rule.fallback,
            Self::Resource(rule) => rule.fallback,
            Self::Prometheus(rule) => rule.fallback,
            Self::Backpressure(rule) => rule.fallback,
            Self::Backlog(rule) => rule.fallback,
            // The clock always tells, and the operator's autoscaler has its own ways.
            Self::Schedule(_) | Self::FlinkAutoscaler(_) => None,
        }
    }
}

/// What the Flink operator's autoscaler would compute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "FlinkAutoscalerRule")]
pub struct FlinkAutoscaler {
    /// Its options `job.autoscaler.*`, old names too, as Flink writes them; those that are left out have its defaults.
    pub options: Settings,
    /// Whether the rule is on, in CEL; always, without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
}

/// The share of time that a vertex waits for those after it: the vertex that causes it grows, not the one that suffers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-order" = ["below < above"]))]
pub struct Backpressure {
    /// More than this share asks for more subtasks.
    #[schemars(range(min = 0.01, max = 1.0))]
    pub above: f64,
    /// Less than this share everywhere, and a vertex may shrink as far as its busy time allows.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub below: f64,
    /// It must have been so for this long.
    #[serde(rename = "for")]
    pub lasts: Span,
    /// Whether the rule is on, in CEL; always, without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// What to hold to when the metric is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}

impl Default for Backpressure {
    fn default() -> Self {
        // Flink's own web page calls more than 0.5 "high" and less than 0.1 "ok"; its colours follow a minute.
        Self { above: 0.5, below: 0.1, lasts: Span::from_secs(60), when: None, fallback: None }
    }
}

/// What waits at the sources: it is to be worked off within a time, or to stay under a number. Where a source does not say how
/// many records wait (`pendingRecords`), the event times of what it puts out tell, and the lag is kept under that time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Backlog {
    /// In what time what waits is to be worked off, beside what arrives.
    #[schemars(extend("x-minimum" = "1s", "x-why" = "no size works a backlog off in no time"))]
    pub target: Span,
    /// So many records may wait at a source at any time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<Quantity>,
    /// Whether the rule is on, in CEL; always, without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// What to hold to when the metric is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}

impl Default for Backlog {
    fn default() -> Self {
        // What a reader of results takes for "now"; design.md's own example.
        Self { target: Span::from_secs(30), records: None, when: None, fallback: None }
    }
}

/// What to hold to when what a rule looks at is gone. Until then, and without it, nothing shrinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fallback {
    /// Gone for this long.
    #[schemars(extend("x-minimum" = "10s", "x-why" = "one lost answer is no outage"))]
    pub after: Span,
    /// Every vertex has at least so many subtasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u32>", range(min = 1, max = 32768))]
    pub min_parallelism: Option<Parallelism>,
    /// Every vertex has exactly so many subtasks. Without either, everything stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u32>", range(min = 1, max = 32768))]
    pub parallelism: Option<Parallelism>,
}
