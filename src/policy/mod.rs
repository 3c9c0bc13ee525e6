//! From what a job is doing to what it should have: each rule proposes, the largest proposal wins.
//!
//! Comes in: [`Signals`], the ledger and a [`Policy`]. Goes out: a [`Proposal`], one [`Want`] per
//! vertex with the numbers it rests on. This module must never look at bounds, cooldowns or anything else that is not
//! about need: that is `plan`'s and `guard`'s part.

mod backlog;
mod backpressure;
mod capacity;
mod clock;
mod compose;
pub mod ds2;
pub mod flink_autoscaler;
mod glob;
pub mod hpa;
mod load;
mod memory;
mod prometheus;
mod proposal;
mod quantity;
mod query;
mod replicas;
mod resource;
mod restart;
mod said;
mod schedule;
mod span;
mod spec;
mod switch;
#[cfg(test)]
pub(crate) mod testing;
mod throughput;
mod when;

pub use memory::{MemoryAdvice, MemoryJob, MemoryNeed, MemorySizes, advise};
pub use proposal::{Ceiling, Found, Proposal, Want, Why};
pub use quantity::{Quantity, QuantityError};
pub use query::{Query, QueryError, QueryFacts, QueryFault, Unfilled, Variable};
pub use said::{MeasuredBy, Replicas, ReplicasLimit, ReplicasLimitedBy, RuleSaid, Said, Silence};
pub use schedule::{Cron, CronError, Demand, InForce, OpenWindow, Schedule, ScheduleWindow, Zone, ZoneError};
pub use span::{Span, SpanError};
pub use spec::{
    Alignment, AutoscalerSpec, Backlog, Backpressure, Behavior, Blackout, Bounds, Budget, CatchUp,
    ExternalTarget, Fallback, FlinkAutoscaler, FlinkRef, JobManagerRef, Limits, Mechanism, MemoryPressure,
    Mode, ObservedOr, OperatorKind, OperatorPaths, OperatorRef, PAUSE_ANNOTATION, Pause, PauseError, Policy,
    PolicyRef, PolicySpec, Prometheus, PrometheusRef, Quota, ReplicaBounds, Resource, ResourceName,
    ResourceTarget, Rival, Rule, SavepointFormat, SavepointSpec, ScaleDirection, ScalingPolicyType,
    ScalingRate, ScalingRules, ServicePort, ServiceRef, SpecPath, StatusPath, Throughput, UtilizationBand,
    VertexSpec, VertexUtilization, WorkloadRef, check_operator_api,
};
pub use when::{Facts, JobFacts, SignalFacts, Unanswered, When, WhenError, WhenFault};

use crate::model::{Ledger, Snapshot, Timestamp};
use crate::signals::Signals;
use said::Context;

pub(crate) use backpressure::pressure;
pub(crate) use memory::MemoryState;
pub(crate) use replicas::least as least_replicas;
pub(crate) use restart::scale_down_window;

/// What the rules of a policy ask for.
pub fn propose(
    signals: &Signals,
    snapshot: &Snapshot,
    policy: &Policy,
    ledger: &Ledger,
    now: Timestamp,
) -> Proposal {
    compose::propose(&Context::new(signals, snapshot, policy, ledger, now))
}
