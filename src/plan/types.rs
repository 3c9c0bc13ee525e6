//! What a plan is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Way;
use crate::model::{FlinkVersion, JobId, OperatorChange, Parallelism, Removes, Timestamp, VertexId};

/// What is to be done to a job, with nothing left to choose.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Which way it goes.
    pub direction: Direction,
    /// Every vertex of the job in the graph's order, changed or not: Flink wants them all.
    pub changes: Vec<Change>,
    /// Slots the job holds now.
    pub slots_before: u32,
    /// Slots the job needs after.
    pub slots_after: u32,
    /// TaskManagers that gives the job its slots, where their size is known.
    pub replicas: Option<u32>,
    /// How the workload is scaled: what is done about it now, before or without the vertices; `None` where nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
    /// Which way the job is rescaled.
    #[serde(skip_serializing_if = "Way::is_in_place")]
    pub way: Way,
    /// What is changed of the operator's resource, where that is the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<OperatorChange>,
    /// What must still be so when it is carried out.
    pub assumes: Assumptions,
    /// Records/s that the sources are to take in, all together: what the plan is for.
    pub load: f64,
    /// Whether it brings a size back within its bounds, which need not pay for itself.
    pub within_bounds_again: bool,
}

impl Plan {
    /// The changes that change something.
    pub fn changed(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.from != change.to)
    }

    /// What of the plan is done now.
    pub fn step(&self) -> Step {
        match &self.scale {
            None => Step::Rescale,
            Some(scale) if scale.to > scale.from => Step::AddTaskManagers,
            Some(_) => Step::RemoveTaskManagers,
        }
    }

    /// Whether the job is rescaled by another number of TaskManagers, and by nothing else.
    pub fn rescales_by_scale(&self) -> bool {
        self.way == Way::Reactive && self.scale.is_some() && self.changed().next().is_some()
    }

    /// The plan's undoing: every vertex back to where it was.
    pub fn undo(&self) -> impl Iterator<Item = (VertexId, Parallelism)> + '_ {
        self.changes.iter().map(|change| (change.vertex, change.from))
    }
}

/// What of a plan is done now: TaskManagers come before a job grows, and go after it has shrunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The workload gets more replicas; the job is rescaled when their slots are there, by the plan that is made then.
    AddTaskManagers,
    /// The job is rescaled.
    Rescale,
    /// Idle TaskManagers go; the job is not touched.
    RemoveTaskManagers,
}

/// Another number of replicas of the workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scale {
    /// Replicas asked for now, which is assumed still to be so when it is carried out.
    pub from: u32,
    /// Replicas to be asked for.
    pub to: u32,
    /// Names of the pods that are to go, where some are: idle ones, and those in which no TaskManager runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<String>,
    /// How the workload picks the pods that go.
    pub removes: Removes,
}

/// One vertex's part of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The vertex.
    pub vertex: VertexId,
    /// Its name, for people.
    pub name: String,
    /// Its subtasks now.
    pub from: Parallelism,
    /// Its subtasks after.
    pub to: Parallelism,
    /// Records/s it can take in now.
    pub capacity_before: Option<f64>,
    /// Records/s it is expected to be able to take in after.
    pub capacity_after: Option<f64>,
}

/// Which way a plan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Direction {
    /// At least one vertex grows that needs it.
    Up,
    /// Nothing grows.
    Down,
}

/// What must still be so when a plan is carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Assumptions {
    /// The job's id.
    pub job: JobId,
    /// The cluster's version: what a rescale does differs from one to the next.
    pub version: FlinkVersion,
    /// When the job last became RUNNING.
    pub running_since: Option<Timestamp>,
    /// Slots that must be there for it, this job's own included.
    pub slots: u32,
}

/// One limit that changed what was proposed for one vertex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Limit {
    /// The vertex.
    pub vertex: VertexId,
    /// What limited it.
    pub by: LimitedBy,
    /// What was proposed until then.
    pub before: Parallelism,
    /// What it became.
    pub after: Parallelism,
}

/// What can change a proposal; a closed list, fit for a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Limit")]
pub enum LimitedBy {
    /// The most that the throughput rule makes of a size at once.
    MaxScaleUpFactor,
    /// The most that the throughput rule takes away of a size at once.
    MaxScaleDownFactor,
    /// The policy's least parallelism.
    MinParallelism,
    /// The policy's most parallelism.
    MaxParallelism,
    /// The vertex's number of key groups.
    KeyGroups,
    /// The partitions that a source reads from.
    Partitions,
    /// Alignment with the key groups, or with a source's partitions.
    Alignment,
    /// This Flink runs a job again with one size for all of its vertices.
    OneSize,
    /// Vertices that records go straight through keep one size.
    Together,
    /// The slots that are there, or that the most TaskManagers would give.
    Slots,
    /// There was no room for more TaskManagers lately.
    NoRoom,
    /// What the nodes of the cluster have room for.
    ClusterCapacity,
    /// The quota of CPU and memory.
    Quota,
    /// What the scale-down window needed at its most.
    ScaleDownWindow,
    /// A rule that cannot speak might ask for more: what is within its bounds does not shrink.
    RuleSilent,
    /// What is within its bounds does not shrink while a backlog stands.
    Backlog,
    /// The ceiling of a schedule's window.
    ScheduleCeiling,
    /// What the window for scaling up needed at its least.
    ScaleUpWindow,
    /// The behavior's policies for growing.
    ScaleUpLimit,
    /// The behavior's policies for shrinking.
    ScaleDownLimit,
    /// Nothing shrinks in a rescale that is for growing, and nothing grows in one that is for shrinking.
    Direction,
}
