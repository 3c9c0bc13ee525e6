//! The documents of a configuration file, as they are written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::{AutoscalerSpec, PolicySpec};
use crate::policytest::Test;

/// How one job is to be scaled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FlinkAutoscaler {
    /// The version of this schema.
    pub api_version: ApiVersion,
    /// What this document is.
    pub kind: FlinkAutoscalerKind,
    /// What it is called.
    pub metadata: Metadata,
    /// What it says.
    pub spec: AutoscalerSpec,
}

/// How the right size is found, and what limits it; FlinkAutoscalers name it in their policyRef.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScalingPolicy {
    /// The version of this schema.
    pub api_version: ApiVersion,
    /// What this document is.
    pub kind: ScalingPolicyKind,
    /// What it is called.
    pub metadata: Metadata,
    /// What it says.
    pub spec: PolicySpec,
    /// What it is to do when: run by `tidegate policy test`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<Test>,
}

/// The versions of the schema that there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum ApiVersion {
    /// The first.
    #[default]
    #[serde(rename = "tidegate.dev/v1alpha1")]
    V1Alpha1,
}

/// The kind of a [`FlinkAutoscaler`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum FlinkAutoscalerKind {
    /// How one job is to be scaled.
    #[default]
    FlinkAutoscaler,
}

/// The kind of a [`ScalingPolicy`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum ScalingPolicyKind {
    /// How the right size is found, and what limits it.
    #[default]
    ScalingPolicy,
}

/// What a document is called; as much of Kubernetes' metadata as means something in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// The name; one of its kind in a namespace.
    #[schemars(extend("x-form" = "dns-subdomain", "maxLength" = 253,
        "pattern" = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"))]
    pub name: String,
    /// The namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-form" = "dns-label", "maxLength" = 63, "pattern" = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: Option<String>,
    /// Words to tell documents apart by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Anything else worth noting.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}
