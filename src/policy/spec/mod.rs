//! What a person writes: the fields of a `FlinkAutoscaler` and of a `ScalingPolicy`, with their defaults.
//!
//! These types are the one definition of the schema: the JSON schema, the reference, the checks of a file and the CRDs
//! are generated from them, descriptions included. Everything is optional that has a sound default.

mod autoscaler;
mod behavior;
mod limits;
mod metrics;
mod operator;
mod outside;
mod prometheus;
mod rule;
mod service;
mod throughput;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use autoscaler::{
    AutoscalerSpec, Bounds, FlinkRef, JobManagerRef, Mechanism, Mode, PolicyRef, ReplicaBounds,
    SavepointFormat, SavepointSpec, VertexSpec, WorkloadRef,
};
pub use behavior::{Behavior, ScalingPolicyType, ScalingRate, ScalingRules};
pub use limits::{Alignment, Blackout, Budget, Limits, MemoryPressure, Quota, ScaleDirection};
pub use metrics::{ExternalTarget, Prometheus, Resource, ResourceName, ResourceTarget};
pub use operator::{OperatorKind, OperatorPaths, OperatorRef, SpecPath, StatusPath, check_operator_api};
pub use outside::{PAUSE_ANNOTATION, Pause, PauseError, Rival};
pub use prometheus::PrometheusRef;
pub use rule::{Backlog, Backpressure, Fallback, FlinkAutoscaler, Rule};
pub use service::{ServicePort, ServiceRef};
pub use throughput::{CatchUp, ObservedOr, Throughput, UtilizationBand, VertexUtilization};

use crate::model::{Graph, Parallelism, Vertex};
use crate::policy::{Span, Zone, glob};

/// What decides: the policy with the bounds of the job it is applied to. Recorded in journals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// Whether decisions are carried out.
    pub mode: Mode,
    /// Bounds of every vertex's parallelism.
    pub parallelism: Bounds,
    /// Bounds of the TaskManagers.
    pub replicas: ReplicaBounds,
    /// What is different for some vertices.
    pub vertices: Vec<VertexSpec>,
    /// How often the job is polled: a sample is late when it is three of these old.
    pub poll: Span,
    /// The rules, and what limits them.
    pub spec: PolicySpec,
    /// The labels of the `FlinkAutoscaler`, for `when` to ask about.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Pauses that somebody asked for by an annotation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pauses: Vec<Pause>,
    /// Who else scales the same job or the same workload: while there is anybody, nothing is rescaled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rivals: Vec<Rival>,
    /// How the job is rescaled.
    #[serde(default, skip_serializing_if = "Mechanism::is_auto")]
    pub mechanism: Mechanism,
    /// Whether it is known how the job is run again from a savepoint.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub can_run_again: bool,
    /// Whether that is by the arguments of its JobManager, and not by a jar.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub runs_by_manifest: bool,
    /// Whether the workload is named that gives the job its slots.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_workload: bool,
    /// How long an operator has to bring the job to another size, where one runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_within: Option<Span>,
}

impl Policy {
    /// A policy for one job: what its `FlinkAutoscaler` says, and the `ScalingPolicy` that it names.
    pub fn new(autoscaler: &AutoscalerSpec, spec: PolicySpec) -> Self {
        Self {
            mode: autoscaler.mode,
            parallelism: autoscaler.parallelism,
            replicas: autoscaler.replicas,
            vertices: autoscaler.vertices.clone(),
            poll: autoscaler.flink.poll,
            spec,
            labels: BTreeMap::new(),
            pauses: Vec::new(),
            rivals: Vec::new(),
            mechanism: autoscaler.mechanism,
            can_run_again: autoscaler.savepoint.is_some(),
            runs_by_manifest: autoscaler
                .savepoint
                .as_ref()
                .is_some_and(|savepoint| savepoint.job_manager.is_some()),
            has_workload: autoscaler.workload.is_some(),
            operator_within: autoscaler.operator.as_ref().map(|operator| operator.within),
        }
    }

    /// What is said of a vertex by name or id: the first entry that matches, with the bounds of the job where it says none.
    pub(crate) fn for_vertex(&self, vertex: &Vertex) -> VertexRule {
        let spec = self.spec_of(vertex);
        VertexRule {
            min: spec.and_then(|s| s.min).unwrap_or(self.parallelism.min),
            max: spec.and_then(|s| s.max).unwrap_or(self.parallelism.max),
            exclude: spec.is_some_and(|s| s.exclude),
        }
    }

    fn spec_of(&self, vertex: &Vertex) -> Option<&VertexSpec> {
        self.vertices.iter().find(|spec| glob::names(&spec.name, vertex))
    }

    /// The partitions that a source reads from, where somebody has said how many; `None` for what is no source, whatever its
    /// name.
    pub(crate) fn partitions(&self, graph: &Graph, vertex: usize) -> Option<u32> {
        graph.is_source(vertex).then(|| self.spec_of(&graph.vertices()[vertex])?.partitions)?
    }

    /// The throughput rule, if there is one; of several the one that is to catch up soonest, after the longest restart: the
    /// same one whatever their order.
    pub fn throughput(&self) -> Option<&Throughput> {
        let rules = self.spec.rules.iter().filter_map(|rule| match rule {
            Rule::Throughput(rule) => Some(rule),
            _ => None,
        });
        rules.min_by_key(|rule| (rule.catch_up.0, Reverse(rule.restart)))
    }
}

/// What holds for one vertex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VertexRule {
    pub(crate) min: Parallelism,
    pub(crate) max: Parallelism,
    pub(crate) exclude: bool,
}

/// How the right size is found, and what limits it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicySpec {
    /// Each rule proposes; the largest proposal wins.
    #[schemars(length(min = 1))]
    pub rules: Vec<Rule>,
    /// How fast to follow, up and down; the fields of an HPA's `behavior`.
    #[serde(default)]
    pub behavior: Behavior,
    /// What is never exceeded.
    #[serde(default)]
    pub limits: Limits,
    /// Whose clocks `when` goes by, by its IANA name.
    #[serde(default, skip_serializing_if = "Zone::is_utc")]
    pub time_zone: Zone,
}
