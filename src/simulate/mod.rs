//! A Flink job on a cluster under a virtual clock: what the demo, the tests and the benchmarks are run against.
//!
//! Comes in: a [`Scenario`], how far the clock is to run, and requests as Flink takes them. Goes out: observations as Flink
//! would have answered them, old metrics included, and the [`Truth`] to compare them with. The same scenario and the same
//! requests give the same run, byte for byte. This module must never read a clock or do IO; only `drive` knows of decisions.
//!
//! Records are a fluid that moves in steps of a fifth of a second (`flow`): each vertex takes in what its inputs have, its
//! capacity allows and its outputs can hold, and its time is busy, idle or back-pressured accordingly (`station`).

mod anew;
#[cfg(test)]
mod anew_tests;
mod check;
mod checkpoints;
mod drive;
mod flow;
mod lag;
mod load;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod property_tests;
mod random;
mod refused;
pub mod rest;
mod scenario;
pub mod scenarios;
mod scheduler;
#[cfg(test)]
mod scheduler_tests;
pub(crate) mod session;
mod simulation;
mod slots;
mod station;
mod store;
mod view;
mod workload;

pub use check::{Problem, ScenarioError};
pub use checkpoints::{CheckpointCounts, CheckpointRecord};
pub use drive::{Crash, Drive, Driven, Score};
pub use load::{Load, Point, Shape, Sine, Trace};
pub use refused::Refused;
pub use scenario::{
    CheckpointScenario, ColdStart, EdgeScenario, Fault, FaultKind, MetricScenario, RestartScenario, Scenario,
    SchedulerKind, Slo, SourceScenario, VertexScenario, Waiting, Window, WorkloadKind, WorkloadScenario,
};
pub use session::{RunFault, StopFault};
pub use simulation::Simulation;
pub use view::{SourceTruth, Truth};
