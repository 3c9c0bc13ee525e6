//! The words of the domain as types: ids, units, time, a job's graph, what one poll saw, what was done before.
//!
//! Comes in: values from outside, turned away here when they are not finite or not possible. Goes out: plain, immutable
//! data that every later stage may trust. This module must never do IO, read a clock, or decide anything.

mod arguments;
mod around;
mod graph;
mod ids;
mod ledger;
mod manager;
pub(crate) mod nearest;
mod operator;
mod rerun;
mod resubmission;
mod scaling;
mod snapshot;
mod time;
mod units;
mod upgrade;

pub use arguments::{NoArguments, OVERRIDES, job_id};
pub use around::{
    Amount, Answer, Around, Container, ContainerCpu, Cpu, CpuTold, Memory, MemoryPools, Phase, Pod, Ready,
    ReadyStatus, Registered, Removes, Room, Scalable, TaskManager, Workload,
};
pub use graph::{Edge, Graph, GraphError, Ship, Vertex};
pub use ids::{IdError, JobId, TriggerId, VertexId};
pub use ledger::{Attempt, CurvePoint, Expectation, Ledger, Need, NeedWindow, Pressure, Rescale, RescaleEnd};
pub use manager::{Manager, ManagerIs, ManagerKind, ManagerPod, ManagerSeen, WantedRun};
pub use nearest::Hint;
pub use operator::{Hindrance, OperatorFields, OperatorSeen, OperatorState, Overrides};
pub use rerun::{ByManifest, Rerun};
pub use resubmission::{Event, NotResumed, Reached, Restored, Resubmission, Run, Stage, Stop};
pub use scaling::{Growth, NoRoom, Scaled, Scaling};
pub use snapshot::{
    Cluster, FlinkVersion, JobState, Missed, MissedWhy, Observation, Reading, Scheduler, Slots, Snapshot,
};
pub use time::Timestamp;
pub use units::{Parallelism, Rate, Seconds, UnitError, Utilization};
pub use upgrade::{JobSeen, OperatorChange, Sighting, Upgrade, Whose};
