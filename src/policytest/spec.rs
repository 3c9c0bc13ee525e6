//! What a person writes under `tests:`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::{HeldFor, RuleName, ScenarioName};
use super::units::{Percent, ServiceTime};
use crate::model::Timestamp;
use crate::plan::LimitedBy;
use crate::policy::{Bounds, FlinkRef, Quantity, ReplicaBounds, Span, VertexSpec, Why};
use crate::simulate::Scenario;

/// A test of the policy that it stands beside: a job on a simulated cluster, what happens to it, and what is expected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Test {
    /// What it shows, in a few words.
    #[schemars(length(min = 1))]
    pub name: String,
    /// When it begins, for rules that go by the clock: 2026-01-01T00:00:00Z unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("x-form" = "time"))]
    pub at: Option<Timestamp>,
    /// A small job; it, `scenario` or `simulation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<TestJob>,
    /// A scenario that comes with the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<ScenarioName>,
    /// A scenario of one's own, as `tidegate simulate` takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulation: Option<Scenario>,
    /// What the job's FlinkAutoscaler would say of its bounds.
    #[serde(default)]
    pub bounds: TestBounds,
    /// The labels that it would have, for `when` to ask about.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How often the job is polled.
    #[serde(default = "poll")]
    #[schemars(extend("x-minimum" = "1s", "x-why" = "Flink's answers are not newer"))]
    pub poll: Span,
    /// The diary, in the order in which things happen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// Without a diary: how long it runs before what is expected must have come about; a minute for a job, ten for a
    /// scenario.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-minimum" = "1s", "x-why" = "nothing is decided in no time"))]
    pub after: Option<Span>,
    /// Without a diary: what is expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
}

fn poll() -> Span {
    FlinkRef::POLL
}

/// The bounds of a job, as in a FlinkAutoscaler.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TestBounds {
    /// Bounds of every vertex's parallelism.
    pub parallelism: Bounds,
    /// Bounds of the number of TaskManagers.
    pub replicas: ReplicaBounds,
    /// What is different for some vertices; the first entry whose name matches counts.
    pub vertices: Vec<VertexSpec>,
}

/// A small job on a simulated Flink.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestJob {
    /// Its name, for `when` to ask about.
    #[serde(default = "name")]
    #[schemars(length(min = 1))]
    pub name: String,
    /// Its vertices, each after those that it takes records from.
    #[schemars(length(min = 1))]
    pub vertices: Vec<TestVertex>,
    /// A cluster of just so many TaskManagers. Without it they are the pods of a workload, which come as soon as the job
    /// needs them, and go when it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub taskmanagers: Option<u32>,
    /// Slots of each TaskManager.
    #[serde(default = "slots")]
    #[schemars(range(min = 1, max = 1000))]
    pub slots_per_taskmanager: u32,
    /// What each pod requests.
    #[serde(default)]
    pub pods: TestPods,
    /// How long a restart takes.
    #[serde(default = "restart")]
    pub restart: Span,
}

fn name() -> String {
    "test".to_owned()
}

fn slots() -> u32 {
    4
}

fn restart() -> Span {
    Span::from_secs(1)
}

/// One vertex of a small job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestVertex {
    /// Its name.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Its subtasks at the start.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 32768))]
    pub parallelism: u32,
    /// Its key groups.
    #[serde(default = "key_groups")]
    #[schemars(range(min = 1, max = 32768))]
    pub max_parallelism: u32,
    /// How long one subtask is busy with one record.
    #[serde(default = "little")]
    pub service_time: ServiceTime,
    /// For a source: records/s that come to exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub rate: Option<f64>,
    /// For a source: whether it says how many records wait for it.
    #[serde(default = "yes")]
    pub reports_backlog: bool,
    /// For a source: whether its records have times, so that how late they are is known where how many wait is not.
    #[serde(default)]
    pub reports_lag: bool,
    /// The vertices that it takes records from; the one before it in the list unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Vec<String>>,
    /// Records that it sends along each edge for each that it takes in.
    #[serde(default = "all")]
    #[schemars(range(min = 0.0))]
    pub selectivity: f64,
    /// Whether records come to it by key: then key groups are shared out among its subtasks, and sizes are aligned.
    #[serde(default = "yes")]
    pub keyed: bool,
    /// Vertices of one group share slots.
    #[serde(default = "group")]
    #[schemars(length(min = 1))]
    pub slot_sharing_group: String,
}

fn one() -> u32 {
    1
}

fn key_groups() -> u32 {
    // Flink's own for a job of up to 85 subtasks.
    128
}

fn little() -> ServiceTime {
    ServiceTime::LITTLE
}

fn yes() -> bool {
    true
}

fn all() -> f64 {
    1.0
}

fn group() -> String {
    "default".to_owned()
}

/// What a TaskManager's pod requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TestPods {
    /// Cores.
    pub cpu: Quantity,
    /// Bytes of memory.
    pub memory: Quantity,
}

impl Default for TestPods {
    fn default() -> Self {
        Self { cpu: Quantity::from_units(1), memory: Quantity::from_units(1 << 30) }
    }
}

/// One entry of the diary: what is set, then how long that lasts, and then what is expected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Step {
    /// What is different from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<TestSignals>,
    /// So much time passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Span>,
    /// What must have come about since the expectation before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
}

/// What is different from now on; what is not named stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TestSignals {
    /// Records/s that come to exist for the job's one source.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub rate: Option<f64>,
    /// The same for each of several sources, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rates: BTreeMap<String, f64>,
    /// So many records come at once to the job's one source, and wait there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub backlog: Option<f64>,
    /// The same for each of several sources, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub backlogs: BTreeMap<String, f64>,
    /// CPU that the pods that are there now use, of what they request. Other numbers of pods share the same work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Percent>,
    /// The same for memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Percent>,
    /// What a garbage collection leaves in use of the heap, of the TaskManager that has the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heap: Option<Percent>,
    /// Share of the time that goes into garbage collection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gc_time: Option<Percent>,
    /// What Prometheus answers, by query; nothing where there is no number.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub queries: BTreeMap<String, Option<f64>>,
    /// What cannot be had any more, until it is set again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<Gone>,
}

/// What can be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Gone {
    /// The use of CPU by the pods.
    Cpu,
    /// The use of memory by the pods.
    Memory,
    /// Every answer of Prometheus.
    Queries,
}

/// What must have come about since the expectation before, or since the start. What is said of a decision is said of the
/// last one that was acted on in this time; where none was, of the last one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Expect {
    /// Subtasks by vertex: as decided, whether carried out or held; as they are where nothing is to change.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parallelism: BTreeMap<String, u32>,
    /// The same, where no fewer are expected.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub min_parallelism: BTreeMap<String, u32>,
    /// The same, where no more are expected.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub max_parallelism: BTreeMap<String, u32>,
    /// TaskManagers that these sizes take, within their bounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// What was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// Why a vertex is wanted at its size: one of those named above, where any is named, or else any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Why>,
    /// The rule that asked for that size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<RuleName>,
    /// What changed the size of one of these vertices on its way from the rules to the decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limited_by: Option<LimitedBy>,
    /// What the last decision of all waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldFor>,
    /// How many rescales there were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rescales: Option<Range>,
    /// Seconds for which records waited for longer than the job's limit: 10 s, or what the scenario says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_over_slo: Option<Range>,
}

/// What can have been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Nothing.
    None,
    /// The job grew.
    Up,
    /// The job shrank.
    Down,
}

/// From a number to a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-order" = ["min <= max"]))]
pub struct Range {
    /// Not less.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub min: Option<f64>,
    /// Not more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub max: Option<f64>,
}

impl Test {
    /// The diary, also of a test that has none: it runs for a while, and then something is expected.
    pub(super) fn diary(&self) -> Vec<Step> {
        if !self.steps.is_empty() {
            return self.steps.clone();
        }
        let after = self.after.unwrap_or(match self.job {
            // Twelve polls: a load is seen, believed and acted on.
            Some(_) => Span::from_secs(60),
            // As long as `simulate` runs.
            None => Span::from_secs(600),
        });
        vec![Step { set: None, after: Some(after), expect: self.expect.clone() }]
    }

    /// Where an expectation of the diary stands in the file, from the test's own fields on.
    pub(super) fn path_of(&self, step: usize) -> String {
        if self.steps.is_empty() { "expect".to_owned() } else { format!("steps[{step}].expect") }
    }
}

impl TestJob {
    /// What the pods of its workload request; `None` where the TaskManagers are just there.
    pub(super) fn workload(&self) -> Option<TestPods> {
        self.taskmanagers.is_none().then_some(self.pods)
    }
}

impl Expect {
    /// The vertices that are named.
    pub(super) fn vertices(&self) -> impl Iterator<Item = &String> {
        self.parallelism.keys().chain(self.min_parallelism.keys()).chain(self.max_parallelism.keys())
    }
}
