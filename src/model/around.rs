//! What is around a job: the pods of the workload that gives it its slots, the memory of its TaskManagers, and numbers that
//! other systems answered. What was not asked for, or could not be had, is not there.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{OperatorSeen, Timestamp};

/// What is around a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Around {
    /// The workload that gives the job its slots, with its pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
    /// Why the workload that is named could not be looked at, in one line for people; `None` where it was, or none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_unseen: Option<String>,
    /// The resource by which an operator runs the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<Box<OperatorSeen>>,
    /// Why the operator's resource that is named could not be looked at, in one line for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator_unseen: Option<String>,
    /// What the nodes have room for besides, where nodes may be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<Room>,
    /// What the TaskManagers use of their memory, when it was last read: about once a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Box<Memory>>,
    /// What the pods use of the CPU by Prometheus, where the metrics API of Kubernetes does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Box<Cpu>>,
    /// The last answers to the queries of the policy, by query.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub queries: BTreeMap<String, Answer>,
}

impl Around {
    /// Whether nothing was asked.
    pub fn is_empty(&self) -> bool {
        let Self { workload, workload_unseen, operator, operator_unseen, room, memory, cpu, queries } = self;
        workload.is_none()
            && workload_unseen.is_none()
            && operator.is_none()
            && operator_unseen.is_none()
            && room.is_none()
            && memory.is_none()
            && cpu.is_none()
            && queries.is_empty()
    }
}

/// How many pods more, like those of the workload, could be scheduled on the nodes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    /// When the nodes were looked at, by Tidegate's clock.
    pub at: Timestamp,
    /// Pods that would still find a place, besides those that have one.
    pub pods: u32,
    /// Pods of the workload that had a place then: one that has none yet is still to take it from the room. Not in old journals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed: Option<u32>,
}

/// What TaskManagers use of their memory, in bytes: of each number that of the one that has the most of it. On a cluster of
/// several jobs it is that of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// When it was read, by Tidegate's clock.
    pub at: Timestamp,
    /// Heap in use, with what the next garbage collection will free.
    pub heap_used: u64,
    /// The most that the heap may have.
    pub heap_max: u64,
    /// Metaspace in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metaspace_used: Option<u64>,
    /// Managed memory that is reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_used: Option<u64>,
    /// Share of the time that went into garbage collection, 0 to 1, over the last minute; `None` before Flink 1.19.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gc_share: Option<f64>,
    /// How the memory is shared out, where that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pools: Option<MemoryPools>,
}

/// How the memory of a TaskManager is shared out, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryPools {
    /// All of the process.
    pub process: u64,
    /// Heap, that of Flink itself and that of tasks.
    pub heap: u64,
    /// Managed memory.
    pub managed: u64,
    /// Network buffers.
    pub network: u64,
    /// Metaspace.
    pub metaspace: u64,
    /// What the JVM needs beside heap and metaspace.
    pub overhead: u64,
    /// Off-heap memory of Flink itself.
    pub framework_off_heap: u64,
    /// Off-heap memory of tasks.
    pub task_off_heap: u64,
}

/// A workload and its pods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// When it was read.
    pub at: Timestamp,
    /// Replicas asked for (`spec.replicas`).
    pub replicas: u32,
    /// Replicas that exist (`status.replicas`).
    pub observed: u32,
    /// Its pods.
    pub pods: Vec<Pod>,
    /// What is to be known to change its replicas; `None` where it is only looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scalable: Option<Scalable>,
}

impl Workload {
    /// Whether Kubernetes has made no more pods of it for so long, though it has fewer than it is to have and nothing stands in
    /// the way: a `StatefulSet` makes its next pod as soon as those before are ready, and when a quota refuses it, only
    /// its Events tell. Of all others the object itself does ([`Scalable::refused`]).
    pub fn has_stopped_short(&self, now: Timestamp, for_long: Duration) -> bool {
        let of_it = self.scalable.as_ref().map(|scalable| scalable.removes);
        let mut alive = self.pods.iter().filter(|pod| pod.is_alive());
        let is_short = u32::try_from(alive.clone().count()).is_ok_and(|pods| pods < self.replicas);
        let is_calm = |pod: &Pod| {
            pod.ready
                .is_some_and(|ready| ready.status == ReadyStatus::True && now.since(ready.since) >= for_long)
        };
        of_it == Some(Removes::HighestOrdinal) && is_short && alive.all(is_calm)
    }
}

/// What is to be known of a workload to change its replicas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scalable {
    /// Which pods go when there are to be fewer.
    pub removes: Removes,
    /// Why Kubernetes makes no more pods of it, such as a quota, in its own words; `None` where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The TaskManagers that are registered with the JobManager; `None` where they were not asked for. They are only when it
    /// matters; what each pod's is, is with the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<Registered>,
}

/// Which pods go when a workload is to have fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Removes {
    /// Those that do not run, then those with the lowest `controller.kubernetes.io/pod-deletion-cost` (a `ReplicaSet`'s).
    LowestCost,
    /// Those with the highest numbers, whatever they are marked with (a `StatefulSet`'s).
    HighestOrdinal,
}

/// What was read of the registered TaskManagers as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    /// When.
    pub at: Timestamp,
    /// Those that no pod of the workload could be found for.
    pub unmatched: u32,
}

/// A pod, as far as an HPA looks at it, and the TaskManager in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// Its name; empty where nobody asked for it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// How far it is in its life.
    pub phase: Phase,
    /// Whether it is on its way out (it has a deletion timestamp).
    #[serde(default)]
    pub is_deleted: bool,
    /// Its Ready condition; `None` where it has none.
    pub ready: Option<Ready>,
    /// When the kubelet took it on; `None` where it has not.
    pub started: Option<Timestamp>,
    /// Why no node takes it, in the scheduler's words; `None` where one has, or it has not been tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unschedulable: Option<String>,
    /// The end of the time that its use was measured over, and that time; `None` where nothing was measured.
    pub measured: Option<(Timestamp, Duration)>,
    /// Its containers.
    pub containers: Vec<Container>,
    /// Its `controller.kubernetes.io/pod-deletion-cost`, where it has one: of several that run, the lowest goes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_cost: Option<i32>,
    /// The TaskManager in it, where it is registered and the TaskManagers were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taskmanager: Option<TaskManager>,
}

impl Pod {
    /// Whether it counts: it is not on its way out and has not ended.
    pub fn is_alive(&self) -> bool {
        !self.is_deleted && !matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }

    /// Whether its Ready condition says that it serves.
    pub fn is_ready(&self) -> bool {
        self.ready.is_some_and(|ready| ready.status == ReadyStatus::True)
    }
}

/// A registered TaskManager's slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskManager {
    /// All of them.
    pub slots: u32,
    /// Those that no job holds. Flink keeps a slot for the job that gave it up for `slot.idle.timeout` (50 s).
    pub free: u32,
}

impl TaskManager {
    /// Whether nothing is lost with it.
    pub fn is_idle(self) -> bool {
        self.free == self.slots
    }
}

/// A container of a pod. Amounts are in thousandths: of a core, of a byte.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// What it requests and uses of CPU.
    pub cpu: Amount,
    /// What it requests and uses of memory.
    pub memory: Amount,
}

/// What a container requests and uses of a resource, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Amount {
    /// What it requests, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<i64>,
    /// What it was measured to use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<i64>,
}

/// How far a pod is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Taken on, not yet running.
    Pending,
    /// Running.
    #[default]
    Running,
    /// All containers ended well.
    Succeeded,
    /// A container ended badly.
    Failed,
    /// Its node cannot be reached.
    Unknown,
}

/// A pod's Ready condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// What it says.
    pub status: ReadyStatus,
    /// Since when.
    pub since: Timestamp,
}

/// What a Ready condition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadyStatus {
    /// It serves.
    True,
    /// It does not.
    False,
    /// Its node cannot be reached.
    Unknown,
}

/// What came of a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// When it was answered, by Tidegate's clock.
    pub at: Timestamp,
    /// The value of each series, or one line on why there is none.
    pub values: Result<Vec<f64>, String>,
}

/// What the pods use of the CPU, as Prometheus has it. Amounts are in thousandths of a core.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cpu {
    /// When it was answered, by Tidegate's clock.
    pub at: Timestamp,
    /// What was answered, or one line on why nothing was.
    pub told: Result<CpuTold, String>,
}

/// What Prometheus has of the CPU; empty is what it has not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CpuTold {
    /// By cAdvisor and kube-state-metrics: the containers of the workload's pods.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<ContainerCpu>,
    /// By Flink's own reporter: what each TaskManager uses that runs the job.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cores: Vec<i64>,
    /// By the same: the share that this is of the cores that the TaskManager's JVM sees, in thousandths.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<i64>,
}

/// What a container uses and requests of the CPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerCpu {
    /// Its pod.
    pub pod: String,
    /// Its name.
    pub container: String,
    /// What it uses and requests.
    pub cpu: Amount,
}
