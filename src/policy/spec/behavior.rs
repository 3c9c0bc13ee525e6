//! How fast to follow the need: the fields of an HPA v2's `behavior`, with its meaning.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::hpa::SelectPolicy;

/// How fast to follow the need; the fields of an HPA's `behavior`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Behavior {
    /// Growing.
    pub scale_up: ScalingRules,
    /// Shrinking.
    pub scale_down: ScalingRules,
}

/// How fast to follow the need in one direction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ScalingRules {
    /// Seconds of past needs that count: shrinking goes to the largest of them, growing to the smallest. Without it,
    /// growing follows at once, and shrinking after sixty times the observed restart time, from 2 minutes to an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3600))]
    pub stabilization_window_seconds: Option<u32>,
    /// Which of the policies counts: the one that allows the most change, the least, or none.
    pub select_policy: SelectPolicy,
    /// How much may change in how long; without any there is no limit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<ScalingRate>,
    /// How far from its target a metric of the rules resource and prometheus may be before anything is done, as a share of
    /// it; 0.1 unless told otherwise, as the HPA has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 10.0))]
    pub tolerance: Option<f64>,
}

/// So much change in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScalingRate {
    /// What is counted.
    #[serde(rename = "type")]
    pub kind: ScalingPolicyType,
    /// How many, or how many per cent of what there was at the start of the period.
    #[schemars(range(min = 1))]
    pub value: u32,
    /// In so many seconds.
    #[schemars(range(min = 1, max = 1800))]
    pub period_seconds: u32,
}

/// What a policy counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScalingPolicyType {
    /// TaskManagers.
    Pods,
    /// Subtasks of each vertex.
    Subtasks,
    /// Per cent of each vertex's subtasks.
    Percent,
}
