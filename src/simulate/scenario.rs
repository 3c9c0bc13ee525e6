//! What a person writes: a job, its cluster, its load, and what goes wrong when.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Load, RunFault, StopFault};
use crate::model::{FlinkVersion, Ship};
use crate::policy::Span;

/// A simulated Flink: one job on one cluster, and what happens to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// The scenario's name, and its job's.
    #[schemars(length(min = 1))]
    pub name: String,
    /// The same seed gives the same run, byte for byte.
    #[serde(default)]
    pub seed: u64,
    /// The Flink version whose scheduler is to be followed.
    #[serde(default = "newest")]
    #[schemars(with = "String")]
    pub flink_version: FlinkVersion,
    /// The scheduler that runs the job.
    #[serde(default)]
    pub scheduler: SchedulerKind,
    /// TaskManagers at the start.
    #[schemars(range(min = 1))]
    pub taskmanagers: u32,
    /// Slots of each TaskManager.
    #[schemars(range(min = 1))]
    pub slots_per_taskmanager: u32,
    /// The workload that makes the TaskManagers; without it there are as many as at the start, but for faults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<WorkloadScenario>,
    /// The job's vertices. Those that no edge leads to are sources.
    #[schemars(length(min = 1))]
    pub vertices: Vec<VertexScenario>,
    /// How records travel between them.
    #[serde(default)]
    pub edges: Vec<EdgeScenario>,
    /// Checkpoints; without them a restart loses the operators' state and reads nothing again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoints: Option<CheckpointScenario>,
    /// How long a restart takes.
    #[serde(default)]
    pub restart: RestartScenario,
    /// How old Flink's answers are.
    #[serde(default)]
    pub metrics: MetricScenario,
    /// When the job counts as late.
    #[serde(default)]
    pub slo: Slo,
    /// What goes wrong, and when.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

fn newest() -> FlinkVersion {
    FlinkVersion { major: 2, minor: 3, patch: 0 }
}

/// A Kubernetes workload whose pods are the TaskManagers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct WorkloadScenario {
    /// How its pods go.
    pub kind: WorkloadKind,
    /// From when a pod is made until its TaskManager has registered, where a node has room for it.
    pub starts_within: Span,
    /// Pods that nodes have room for; the others stay pending. Without it, all find a place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<u32>,
    /// Pods that a quota lets be made. Without it, there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<u32>,
    /// Whether Flink spreads a job's slots over all TaskManagers, as session clusters may (seen on 2.3.0), instead of filling as
    /// few as it can.
    pub spread: bool,
}

impl Default for WorkloadScenario {
    fn default() -> Self {
        // Seen on a real node: a third TaskManager has registered 7 s after the patch of replicas.
        let starts_within = Span::from_secs(7);
        Self { kind: WorkloadKind::default(), starts_within, room: None, quota: None, spread: false }
    }
}

/// How a workload's pods go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum WorkloadKind {
    /// Those that do not run, then those with the lowest deletion cost.
    #[default]
    Deployment,
    /// Those with the highest numbers.
    StatefulSet,
}

/// The scheduler that runs the job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SchedulerKind {
    /// Takes resource requirements from Flink 1.18 on.
    #[default]
    Adaptive,
    /// Keeps the parallelism that the job was submitted with, and waits for all of its slots.
    Default,
    /// Adaptive in reactive mode: takes all slots there are, and no requirements.
    Reactive,
}

/// One vertex of the job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VertexScenario {
    /// Its name; edges and faults call it by that.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Its subtasks at the start.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 32768))]
    pub parallelism: u32,
    /// Its key groups.
    #[serde(default = "flinks_max_parallelism")]
    #[schemars(range(min = 1, max = 32768))]
    pub max_parallelism: u32,
    /// Milliseconds that one subtask is busy with one record when it is the only subtask.
    #[schemars(range(min = 0.0))]
    pub service_ms: f64,
    /// Share of the service time that is added for each further subtask: they wait for one another (the Universal
    /// Scalability Law's contention).
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub contention: f64,
    /// Share of the service time that is added for each further pair of subtasks: they must agree with one another (the
    /// Universal Scalability Law's coherency).
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub coherency: f64,
    /// Load of the busiest of several subtasks over their mean, besides what uneven numbers of key groups make of it.
    #[serde(default = "even")]
    #[schemars(range(min = 1.0))]
    pub skew: f64,
    /// Slower for a while after each start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cold_start: Option<ColdStart>,
    /// Vertices of the same group share slots.
    #[serde(default = "default_group")]
    #[schemars(length(min = 1))]
    pub slot_sharing_group: String,
    /// What comes in from outside; every source has it and no other vertex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceScenario>,
    /// Emits by the clock instead of with each record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
}

fn one() -> u32 {
    1
}

fn even() -> f64 {
    1.0
}

fn flinks_max_parallelism() -> u32 {
    // KeyGroupRangeAssignment.DEFAULT_LOWER_BOUND_MAX_PARALLELISM.
    128
}

fn default_group() -> String {
    "default".to_owned()
}

impl VertexScenario {
    /// One subtask that is busy with each record for as many milliseconds.
    pub fn new(name: &str, service_ms: f64) -> Self {
        Self {
            name: name.to_owned(),
            parallelism: 1,
            max_parallelism: flinks_max_parallelism(),
            service_ms,
            contention: 0.0,
            coherency: 0.0,
            skew: 1.0,
            cold_start: None,
            slot_sharing_group: default_group(),
            source: None,
            window: None,
        }
    }

    /// The same with as many subtasks at the start.
    #[must_use]
    pub fn with_parallelism(self, parallelism: u32) -> Self {
        Self { parallelism, ..self }
    }

    /// The same as a source that reports what waits for it.
    #[must_use]
    pub fn with_load(self, load: Load) -> Self {
        let source = SourceScenario {
            load,
            reports_pending: true,
            reports_lag: false,
            max_rate_per_subtask: None,
            waiting: Waiting::default(),
        };
        Self { source: Some(source), ..self }
    }
}

/// What a source takes in from outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceScenario {
    /// How many records come to exist.
    pub load: Load,
    /// Whether it has the metric `pendingRecords`.
    #[serde(default = "yes")]
    pub reports_pending: bool,
    /// Whether its records have event times, those at which they come to exist: then it has the metric
    /// `currentEmitEventTimeLag`.
    #[serde(default)]
    pub reports_lag: bool,
    /// The most records/s that one subtask takes in, however little there is to do with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.001))]
    pub max_rate_per_subtask: Option<f64>,
    /// What its time counts as while nothing is there to be read.
    #[serde(default)]
    pub waiting: Waiting,
}

fn yes() -> bool {
    true
}

/// What a source's time counts as while nothing is there to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Waiting {
    /// Idle, as with a connector that says when it has no data.
    #[default]
    Idle,
    /// Busy, as with a connector that sleeps in its own code.
    Busy,
    /// Flink does not know: a legacy source function, whose busy time is not a number.
    Unknown,
}

/// A vertex that collects and emits at the end of each period, one record per key.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "WindowScenario")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Window {
    /// From one emission to the next.
    pub every: Span,
    /// The most records that one emission has; fewer only when fewer came in.
    #[schemars(range(min = 1.0))]
    pub keys: f64,
}

/// Slower for a while after each start: caches are empty, code is not compiled yet.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ColdStart {
    /// Service time right after the start over what it is later.
    #[schemars(range(min = 1.0))]
    pub factor: f64,
    /// After so long it has come down, in a straight line, to what it is later.
    pub lasts: Span,
}

/// How records travel from one vertex to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EdgeScenario {
    /// Name of the vertex that sends.
    pub from: String,
    /// Name of the vertex that receives.
    pub to: String,
    /// By which subtask each record is taken: HASH makes uneven numbers of key groups count.
    #[serde(default = "hash")]
    #[schemars(with = "String")]
    pub ship: Ship,
    /// Records sent along it for each record that the sending vertex takes in (or emits, where it has a window).
    #[serde(default = "every_record")]
    #[schemars(range(min = 0.0))]
    pub selectivity: f64,
    /// Records that the network buffers of one receiving subtask hold.
    #[serde(default = "default_buffer")]
    #[schemars(range(min = 1.0))]
    pub buffer: f64,
}

fn hash() -> Ship {
    Ship::Hash
}

fn every_record() -> f64 {
    1.0
}

fn default_buffer() -> f64 {
    // Two exclusive buffers of 32 KiB for a channel, with records of some 130 bytes.
    500.0
}

impl EdgeScenario {
    /// Every record, by key.
    pub fn new(from: &str, to: &str) -> Self {
        Self {
            from: from.to_owned(),
            to: to.to_owned(),
            ship: Ship::Hash,
            selectivity: 1.0,
            buffer: default_buffer(),
        }
    }
}

/// When checkpoints are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckpointScenario {
    /// From the start of one to the start of the next.
    pub interval: Span,
    /// From its start until it is complete.
    #[serde(default = "quick")]
    pub duration: Span,
}

fn quick() -> Span {
    Span::from_millis(200)
}

/// How long a restart takes, slots being there: `time` and what loading the state adds to it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RestartScenario {
    /// Without any state.
    pub time: Span,
    /// Size of the job's state in MiB.
    #[schemars(range(min = 0.0))]
    pub state_mib: f64,
    /// MiB of state that each slot loads in a second.
    #[schemars(range(min = 0.001))]
    pub mib_per_second: f64,
}

impl Default for RestartScenario {
    fn default() -> Self {
        // Seen on a real 2.3 on a small machine: 0.3 to 2 s for a job with next to no state.
        Self { time: Span::from_secs(1), state_mib: 0.0, mib_per_second: 50.0 }
    }
}

/// How old Flink's answers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MetricScenario {
    /// Flink's `metrics.fetcher.update-interval`.
    pub update_interval: Span,
    /// Flink's `web.refresh-interval`: for how long an answer about the graph may be reused.
    pub refresh_interval: Span,
}

impl Default for MetricScenario {
    fn default() -> Self {
        // Flink's own defaults.
        Self { update_interval: Span::from_secs(10), refresh_interval: Span::from_secs(3) }
    }
}

/// When the job counts as late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Slo {
    /// It is late while a record waits outside for longer than this.
    pub lag: Span,
}

impl Default for Slo {
    fn default() -> Self {
        // Longer than a restart in place, so that a single clean rescale does not break it.
        Self { lag: Span::from_secs(10) }
    }
}

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Since the start of the scenario.
    pub at: Span,
    /// What.
    pub what: FaultKind,
}

/// What can go wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum FaultKind {
    /// TaskManagers die with subtasks on them.
    TaskmanagersLost {
        /// How many.
        count: u32,
    },
    /// TaskManagers register.
    TaskmanagersAdded {
        /// How many.
        count: u32,
    },
    /// The JobManager dies; the job stands still until it is back, and then starts from its last checkpoint.
    JobmanagerLost {
        /// For how long.
        lasts: Span,
    },
    /// Flink cannot be reached; the job does not notice.
    Unreachable {
        /// For how long.
        lasts: Span,
    },
    /// Each answer takes so long.
    SlowAnswers {
        /// For how long.
        lasts: Span,
        /// From a request to its answer.
        delay: Span,
    },
    /// The metric store is not brought up to date.
    StaleMetrics {
        /// For how long.
        lasts: Span,
    },
    /// The metrics of one vertex are not brought up to date.
    PartialMetrics {
        /// For how long.
        lasts: Span,
        /// Name of the vertex.
        vertex: String,
    },
    /// The job is cancelled.
    Cancelled,
    /// The job is submitted again under a new id, as large as at first, and reads on where it stopped.
    Resubmitted,
    /// The next stops of the job with a savepoint go wrong.
    StopFails {
        /// How.
        how: StopFault,
        /// How many of them.
        #[serde(default = "one")]
        times: u32,
    },
    /// The next runs of the jar go wrong.
    RunFails {
        /// How.
        how: RunFault,
        /// How many of them.
        #[serde(default = "one")]
        times: u32,
    },
    /// The jar is gone from the cluster.
    JarLost,
    /// From now on the JobManager's clock is ahead of the one that observes it.
    ClockAhead {
        /// By how much.
        by: Span,
    },
    /// From now on the JobManager's clock is behind the one that observes it.
    ClockBehind {
        /// By how much.
        by: Span,
    },
}
