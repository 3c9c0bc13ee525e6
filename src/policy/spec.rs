//! What a person writes: the fields of a `FlinkAutoscaler` and of a `ScalingPolicy`, with their defaults.
//!
//! These types are the one definition of the schema: the JSON schema, the reference, the checks of a file and the CRDs
//! are generated from them, descriptions included. Everything is optional that has a sound default.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Span, glob};
use crate::model::{Parallelism, Vertex};

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
        }
    }

    /// What is said of a vertex by name or id: the first entry that matches, with the bounds of the job where it says none.
    pub(crate) fn for_vertex(&self, vertex: &Vertex) -> VertexRule {
        let named = |spec: &&VertexSpec| {
            glob::matches(&spec.name, &vertex.name) || vertex.id.to_string().eq_ignore_ascii_case(&spec.name)
        };
        let spec = self.vertices.iter().find(named);
        VertexRule {
            min: spec.and_then(|s| s.min).unwrap_or(self.parallelism.min),
            max: spec.and_then(|s| s.max).unwrap_or(self.parallelism.max),
            exclude: spec.is_some_and(|s| s.exclude),
        }
    }

    /// The throughput rule, if there is one.
    pub fn throughput(&self) -> Option<&Throughput> {
        self.spec.rules.iter().map(|Rule::Throughput(rule)| rule).next()
    }
}

/// What holds for one vertex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VertexRule {
    pub(crate) min: Parallelism,
    pub(crate) max: Parallelism,
    pub(crate) exclude: bool,
}

/// How one job is to be scaled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AutoscalerSpec {
    /// Where the job is.
    pub flink: FlinkRef,
    /// The workload whose pods give the job its slots; without it, only the slots that are there are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<WorkloadRef>,
    /// Auto carries decisions out, Recommend only says them, Paused watches.
    #[serde(default)]
    pub mode: Mode,
    /// How the job is rescaled.
    #[serde(default)]
    pub mechanism: Mechanism,
    /// Bounds of every vertex's parallelism.
    #[serde(default)]
    pub parallelism: Bounds,
    /// Bounds of the number of TaskManagers.
    #[serde(default)]
    pub replicas: ReplicaBounds,
    /// What is different for some vertices; the first entry whose name matches counts.
    #[serde(default)]
    pub vertices: Vec<VertexSpec>,
    /// The policy: a built-in one, a file in the policy directory, or a ScalingPolicy in the same file.
    #[serde(default)]
    pub policy_ref: PolicyRef,
}

/// Where a job is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FlinkRef {
    /// Flink's REST endpoint, with any URL prefix: `http://orders-rest:8081`
    #[schemars(extend("x-form" = "http-url", "pattern" = "^https?://[^/?#@\\s]+(/[^?#\\s]*)?$"))]
    pub url: String,
    /// The job's name or id; may be left out when the cluster runs one job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub job: Option<String>,
    /// How often the job is polled.
    #[serde(default = "default_poll")]
    #[schemars(extend("x-minimum" = "1s", "x-why" = "more often is load for the JobManager and tells nothing new"))]
    pub poll: Span,
    /// Time limit of one request.
    #[serde(default = "default_timeout")]
    #[schemars(extend("x-minimum" = "100ms", "x-why" = "a JobManager that collects garbage takes longer"))]
    pub timeout: Span,
    /// A file with the certificate authority (PEM) that signed Flink's certificate; the system's own otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub ca_file: Option<String>,
    /// A file with a client certificate and its key (PEM), where Flink asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub client_cert_file: Option<String>,
    /// A file with a bearer token for a proxy before Flink; read again when it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub token_file: Option<String>,
}

fn default_poll() -> Span {
    // Half of Flink's default metric fetch interval (10 s): a change is seen with the fetch that brings it.
    Span::from_secs(5)
}

fn default_timeout() -> Span {
    // Flink answers in milliseconds; ten seconds is what its own clients wait.
    Span::from_secs(10)
}

/// A workload, as an HPA's `scaleTargetRef` names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadRef {
    /// The API version, such as apps/v1.
    #[schemars(length(min = 1))]
    pub api_version: String,
    /// The kind, such as Deployment.
    #[schemars(length(min = 1))]
    pub kind: String,
    /// The name.
    #[schemars(length(min = 1))]
    pub name: String,
}

/// Whether decisions are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Carry decisions out.
    #[default]
    Auto,
    /// Decide and say so; change nothing.
    Recommend,
    /// Watch; decide nothing.
    Paused,
}

/// How a job is rescaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mechanism {
    /// Picked from what the cluster is.
    #[default]
    Auto,
    /// By resource requirements; needs Flink 1.18 or later and the adaptive scheduler.
    InPlace,
}

/// Bounds of a vertex's parallelism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-order" = ["min <= max"]))]
pub struct Bounds {
    /// Never fewer subtasks than this.
    #[serde(default = "one")]
    #[schemars(with = "u32", range(min = 1, max = 32768))]
    pub min: Parallelism,
    /// Never more subtasks than this; without it, the vertex's max parallelism.
    #[serde(default = "most")]
    #[schemars(with = "u32", range(min = 1, max = 32768))]
    pub max: Parallelism,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { min: one(), max: most() }
    }
}

fn one() -> Parallelism {
    Parallelism::ONE
}

fn most() -> Parallelism {
    Parallelism::clamped(u64::MAX)
}

/// Bounds of the number of TaskManagers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-order" = ["min <= max"]))]
pub struct ReplicaBounds {
    /// Never fewer TaskManagers than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub min: Option<u32>,
    /// Never more TaskManagers than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max: Option<u32>,
}

/// What is different for the vertices of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-order" = ["min <= max"]))]
pub struct VertexSpec {
    /// The vertex's name or id; `*` stands for any text, `?` for one character.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Never fewer subtasks than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u32>", range(min = 1, max = 32768))]
    pub min: Option<Parallelism>,
    /// Never more subtasks than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u32>", range(min = 1, max = 32768))]
    pub max: Option<Parallelism>,
    /// Leave it at the size it has.
    #[serde(default)]
    pub exclude: bool,
}

/// Names a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyRef {
    /// The policy's name.
    #[schemars(length(min = 1))]
    pub name: String,
}

impl Default for PolicyRef {
    fn default() -> Self {
        Self { name: "throughput".to_owned() }
    }
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
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Rule {
    /// As much as the records need that come in.
    Throughput(Throughput),
}

/// As much as the records need that come in: target rates through the graph, divided by measured capacity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Throughput {
    /// How full a vertex may be.
    pub utilization: UtilizationBand,
    /// In what time a backlog is to be gone.
    #[schemars(with = "Span", extend("x-minimum" = "1s", "x-why" = "no size works a backlog off in no time"))]
    pub catch_up: CatchUp,
    /// How long a restart takes: `observed`, or a fixed time.
    pub restart: ObservedOr,
}

/// In what time a backlog is to be gone; five minutes unless told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CatchUp(pub Span);

impl Default for CatchUp {
    fn default() -> Self {
        // Long against a restart (seconds), short against what a reader of late results puts up with.
        Self(Span::from_secs(300))
    }
}

/// How full a vertex may be: target rate over capacity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-order" = ["min < target", "target <= max"]))]
pub struct UtilizationBand {
    /// A new size is chosen to be this full.
    #[schemars(range(min = 0.05, max = 1.0))]
    pub target: f64,
    /// Less full than this asks for fewer subtasks.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min: f64,
    /// Fuller than this asks for more subtasks.
    #[schemars(range(min = 0.05, max = 2.0))]
    pub max: f64,
}

impl Default for UtilizationBand {
    fn default() -> Self {
        // The Flink autoscaler's own 0.7 +- 0.3, so that who comes from there finds the same; see facts on its options.
        Self { target: 0.7, min: 0.4, max: 1.0 }
    }
}

/// `observed`, or a fixed length of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ObservedOr {
    /// What was seen of this job.
    #[default]
    Observed,
    /// This, always.
    Fixed(Span),
}

impl From<ObservedOr> for String {
    fn from(value: ObservedOr) -> Self {
        match value {
            ObservedOr::Observed => "observed".to_owned(),
            ObservedOr::Fixed(span) => span.to_string(),
        }
    }
}

impl TryFrom<String> for ObservedOr {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text == "observed" {
            return Ok(Self::Observed);
        }
        text.parse().map(Self::Fixed).map_err(|_| {
            format!("expected `observed` or a length of time such as 90s, 5m or 1h30m, not {text:?}")
        })
    }
}

impl JsonSchema for ObservedOr {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ObservedOr".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "x-form": "duration-or-observed",
            "pattern": r"^(observed|0|([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+)$",
        })
    }
}

/// How fast to follow the need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Behavior {
    /// Shrinking.
    pub scale_down: ScalingRules,
}

/// How fast to follow the need in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ScalingRules {
    /// Seconds of past needs of which the largest counts; without it, sixty times the observed restart time, from 2
    /// minutes to an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3600))]
    pub stabilization_window_seconds: Option<u32>,
}

/// What is never exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// The least time between the end of one rescale and the request for the next.
    pub cooldown: Span,
    /// How many rescales in how long.
    pub rescales: Budget,
    /// Which sizes of a vertex are preferred.
    pub alignment: Alignment,
}

impl Default for Limits {
    fn default() -> Self {
        // Flink 2.x itself will not rescale again within 30 s; two minutes lets the effect of one be seen first.
        Self { cooldown: Span::from_secs(120), rescales: Budget::default(), alignment: Alignment::default() }
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

/// Which sizes of a vertex with keyed input are preferred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Alignment {
    /// The smallest size at which the subtask with the most key groups has no more than at the size that is needed.
    #[default]
    Balanced,
    /// A size that divides the number of key groups.
    Even,
    /// Any size.
    Off,
}
