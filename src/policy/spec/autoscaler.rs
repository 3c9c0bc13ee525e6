//! The fields of a `FlinkAutoscaler`: where a job is, and its bounds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OperatorRef, PrometheusRef, ServiceRef};
use crate::model::{ManagerKind, Parallelism};
use crate::policy::Span;

/// How one job is to be scaled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-at-most-one" = ["savepoint", "operator"]))]
pub struct AutoscalerSpec {
    /// Where the job is.
    pub flink: FlinkRef,
    /// Where the policy's `prometheus` rules are asked, which are silent without it; and the CPU of a `resource` rule where
    /// metrics-server does not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusRef>,
    /// The workload whose pods give the job its slots; without it, only the slots that are there are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<WorkloadRef>,
    /// Auto carries decisions out, Recommend only says them, Paused watches.
    #[serde(default)]
    pub mode: Mode,
    /// How the job is rescaled.
    #[serde(default)]
    pub mechanism: Mechanism,
    /// How the job is run again from a savepoint, where it cannot be rescaled in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub savepoint: Option<SavepointSpec>,
    /// The resource by which an operator runs the job, where one does: its size is changed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<OperatorRef>,
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

/// Where a job is. An object in Kubernetes can name files below `--files-dir` (`/etc/tidegate`) only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-any-of" = ["url", "service"], "x-at-most-one" = ["url", "service"]))]
pub struct FlinkRef {
    /// Flink's REST endpoint, with any URL prefix: `http://orders-rest:8081`
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(extend("x-form" = "http-url", "pattern" = "^https?://[^/?#@\\s]+(/[^?#\\s]*)?$"))]
    pub url: String,
    /// The Service before Flink's REST endpoint, in the namespace of the `FlinkAutoscaler`; instead of `url`, and in Kubernetes
    /// only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-only-in-kubernetes" = "write the URL of its REST port into url"))]
    pub service: Option<ServiceRef>,
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

impl FlinkRef {
    /// How often a job is polled unless told otherwise: half of Flink's default metric fetch interval (10 s), so that a
    /// change is seen with the fetch that brings it.
    pub const POLL: Span = Span::from_secs(5);
}

impl Default for FlinkRef {
    fn default() -> Self {
        Self {
            url: String::new(),
            service: None,
            job: None,
            poll: default_poll(),
            timeout: default_timeout(),
            ca_file: None,
            client_cert_file: None,
            token_file: None,
        }
    }
}

fn default_poll() -> Span {
    FlinkRef::POLL
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
    /// The job is stopped with a savepoint and run again from it, by its jar or by its JobManager's arguments; needs `savepoint`.
    Savepoint,
    /// Only the replicas of `workload` are changed, and the job takes the slots there are; needs `scheduler-mode: reactive`.
    Reactive,
    /// The operator that runs the job is asked, by its resource; needs `operator`.
    Operator,
}

impl Mechanism {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(super) fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

/// How a job is run again from a savepoint: by its jar on a session cluster, as Flink does not tell of a running job which jar it came
/// from; or by the arguments of its JobManager in application mode.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-any-of" = ["jar", "jobManager"], "x-at-most-one" = ["jar", "jobManager"]))]
pub struct SavepointSpec {
    /// The jar's file name as it was uploaded, such as orders.jar: the newest of that name is run. It has to be on the cluster (`POST
    /// /jars/upload`), and stays there where `web.upload.dir` outlives the JobManager.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(min = 1))]
    pub jar: String,
    /// What runs the JobManager, where that is in application mode: its arguments are given another savepoint and size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_manager: Option<JobManagerRef>,
    /// The class whose `main` is run; the one that the jar's manifest names, without it. Only with `jar`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub entry_class: Option<String>,
    /// The arguments of `main`. Only with `jar`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// The directory of the savepoints; the cluster's own (`execution.checkpointing.savepoint-dir`) without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub directory: Option<String>,
    /// The form of the savepoints.
    #[serde(default)]
    pub format: SavepointFormat,
    /// How many of the savepoints that Tidegate has had taken are kept, 2 unless told otherwise: the one that the job was last started
    /// from, and the one before, for a person who finds a fault late. After each rescale the older ones are disposed of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub keep: Option<u32>,
}

/// What runs a JobManager in application mode, in the namespace of the `FlinkAutoscaler`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobManagerRef {
    /// Deployment or Job.
    pub kind: ManagerKind,
    /// The name.
    #[schemars(length(min = 1))]
    pub name: String,
}

/// Savepoints that are kept where nobody says how many.
const SAVEPOINTS_KEPT: u32 = 2;

impl SavepointSpec {
    /// How many savepoints are kept; at least the one that the job was last started from.
    pub fn kept(&self) -> usize {
        usize::try_from(self.keep.unwrap_or(SAVEPOINTS_KEPT).max(1)).unwrap_or(usize::MAX)
    }
}

/// The form of a savepoint, in Flink's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SavepointFormat {
    /// The same for every state backend.
    #[default]
    Canonical,
    /// The state backend's own, which is written and read faster.
    Native,
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
    /// Partitions that a source reads from, such as those of a Kafka topic, which Flink does not tell: never more subtasks than
    /// these, and an even share for each. Says nothing of a vertex that is no source
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub partitions: Option<u32>,
    /// Leave it at the size it has.
    #[serde(default)]
    pub exclude: bool,
}

impl VertexSpec {
    /// An entry for the vertices of a name that says nothing else yet.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), min: None, max: None, partitions: None, exclude: false }
    }
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
