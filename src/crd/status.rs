//! The status of a `FlinkAutoscaler`. A promise: fields are added, never changed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Condition;
use crate::model::{JobState, Timestamp};

/// What came of a `FlinkAutoscaler`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FlinkAutoscalerStatus {
    /// The generation of the spec that this is the status of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Those of an HPA: AbleToScale, ScalingActive, ScalingLimited; and Ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The job, as it was last seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<JobSeen>,
    /// How it is rescaled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<UsedMechanism>,
    /// Its size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<Size>,
    /// The size that it is to have, or would be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recommended: Option<Size>,
    /// Both on one line, vertex by vertex: `1/3/1`, or `1/3/1 -> 1/7/2` where they differ.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sizes: String,
    /// The last decision that was not the same as the one before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_decision: Option<LastDecision>,
    /// When the job was last asked to take another size.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub last_scale_time: Option<Timestamp>,
}

/// A job, as it was last seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobSeen {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its state, in Flink's words.
    #[schemars(with = "String")]
    pub state: JobState,
}

/// How a job is rescaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UsedMechanism {
    /// By resource requirements.
    InPlace,
    /// Stopped with a savepoint and run again.
    Savepoint,
    /// By its TaskManagers alone.
    Reactive,
    /// By the operator that runs it.
    Operator,
}

/// A size of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Size {
    /// TaskManagers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// Slots that the job holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// Subtasks of each vertex, by its name; where two have one name, by name and id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parallelism: BTreeMap<String, u32>,
}

/// A decision, and what it rests on, as it was when it was first made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastDecision {
    /// When it was made.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// What was chosen: Unobserved, Unchanged, Held or Approved.
    pub verdict: String,
    /// What came of it: Unobserved, Unchanged, Recommended, Held, Superseded, Applied, Failed or RolledBack.
    pub outcome: String,
    /// Why, on one line.
    pub why: String,
    /// The rule that asked for the size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Why nothing was done then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<String>,
    /// What made the size another than what was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitSeen>,
    /// What was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Numbers>,
}

/// What made a vertex's size another than what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LimitSeen {
    /// The vertex.
    pub vertex: String,
    /// What limited it.
    pub by: String,
    /// What it would have been.
    pub before: u32,
    /// What it became.
    pub after: u32,
}

/// What a decision rests on, rounded: records and seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Numbers {
    /// Records a second that arrive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_per_second: Option<i64>,
    /// Records that wait at the sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backlog: Option<i64>,
    /// Seconds that a restart is expected to take, rounded up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_seconds: Option<i64>,
}
