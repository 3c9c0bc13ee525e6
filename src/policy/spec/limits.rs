//! What is never exceeded.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Timestamp;
use crate::policy::{Cron, Quantity, Span, Zone, schedule};

/// What is never exceeded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// The least time between the end of one rescale and the request for the next.
    pub cooldown: Span,
    /// The same before growing, where it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_up_cooldown: Option<Span>,
    /// The same before shrinking, where it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down_cooldown: Option<Span>,
    /// How many rescales in how long.
    pub rescales: Budget,
    /// When nothing is rescaled, whatever the need.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blackout: Vec<Blackout>,
    /// What the TaskManagers may request together. Where their requests are not known, the job does not grow beyond the
    /// TaskManagers that there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// Never ask for more TaskManagers than the nodes there are have room for, by the requests of their pods. Not where a cluster
    /// autoscaler adds nodes for pods that wait: with this, none would. Needs the right to list nodes, and pods of all
    /// namespaces; without it there is no such limit
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cluster_capacity: bool,
    /// How full the TaskManagers' memory may be for the job to shrink.
    pub memory_pressure: MemoryPressure,
    /// Which sizes of a vertex are preferred.
    pub alignment: Alignment,
}

impl Default for Limits {
    fn default() -> Self {
        // Flink 2.x itself will not rescale again within 30 s; two minutes lets the effect of one be seen first.
        Self {
            cooldown: Span::from_secs(120),
            scale_up_cooldown: None,
            scale_down_cooldown: None,
            rescales: Budget::default(),
            blackout: Vec::new(),
            quota: None,
            cluster_capacity: false,
            memory_pressure: MemoryPressure::default(),
            alignment: Alignment::default(),
        }
    }
}

/// How full the TaskManagers' memory may be for the job to shrink: each of fewer subtasks holds more, and makes more garbage. 1 is
/// no limit. They mean what the operator's `memory.gc-pressure.threshold` and `memory.heap-usage.threshold` mean, whose defaults
/// are 1; those stop growing as well, which is what relieves the memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MemoryPressure {
    /// The most time that may go into garbage collection, as a share.
    #[schemars(range(min = 0.001, max = 1.0))]
    pub gc_time: f64,
    /// The most of the heap that may be in use after a garbage collection, as a share: the least that was seen in ten minutes.
    #[schemars(range(min = 0.01, max = 1.0))]
    pub heap: f64,
}

impl Default for MemoryPressure {
    fn default() -> Self {
        // The JVM's own goal for G1 is one part in thirteen (GCTimeRatio = 12): a tenth is beyond it. A fifth fewer TaskManagers
        // hold a quarter more each: what takes 0.8 of the heap now would take all of it.
        Self { gc_time: 0.1, heap: 0.8 }
    }
}

/// How many rescales in how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Budget {
    /// At most this many rescales.
    #[schemars(range(min = 1))]
    pub max: u32,
    /// In this long.
    #[schemars(extend("x-minimum" = "1m", "x-why" = "in a shorter time the cooldown is the limit"))]
    pub per: Span,
}

impl Default for Budget {
    fn default() -> Self {
        // Users call more than 20 a day too many (FLINK-36018); a load with two peaks a day needs 4 to 8.
        Self { max: 12, per: Span::from_secs(86_400) }
    }
}

/// A window of time in which nothing is rescaled, not even back into its bounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-any-of" = ["for", "end"]))]
pub struct Blackout {
    /// Whose clocks count, by its IANA name.
    #[serde(default)]
    pub time_zone: Zone,
    /// When it opens: minute hour day-of-month month day-of-week.
    pub cron: Cron,
    /// How long it stays open; it opens anew at each start.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-minimum" = "1m", "x-why" = "a cron expression knows nothing shorter"))]
    pub lasts: Option<Span>,
    /// When it closes; with `for` as well, whichever comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Cron>,
    /// The one direction in which nothing is rescaled; both, without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<ScaleDirection>,
}

impl Blackout {
    /// When it closes, if it is open; as far as the calendar goes where that is beyond it.
    pub fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        let (_, until) = schedule::open(&self.time_zone, &self.cron, self.lasts, self.end.as_ref(), now)?;
        Some(until.unwrap_or(Timestamp::from_millis(jiff::Timestamp::MAX.as_millisecond())))
    }
}

/// A direction of scaling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScaleDirection {
    /// Growing.
    Up,
    /// Shrinking.
    Down,
}

/// What the requests of all TaskManagers together are never above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-any-of" = ["cpu", "memory"]))]
pub struct Quota {
    /// Cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
}

/// Which sizes of a vertex with keyed input, or of a source with known partitions, are preferred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Alignment {
    /// The smallest size at which the subtask with the most key groups or partitions has no more than at the size that is
    /// needed.
    #[default]
    Balanced,
    /// A size that divides the number of key groups or partitions.
    Even,
    /// Any size.
    Off,
}
