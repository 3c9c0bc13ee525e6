//! From what a job is doing to what it should have: each rule proposes, the largest proposal wins.
//!
//! Comes in: [`Signals`](crate::signals::Signals), the ledger and a [`Policy`]. Goes out: a [`Proposal`], one [`Want`] per
//! vertex with the numbers it rests on. This module must never look at bounds, cooldowns or anything else that is not
//! about need: that is `plan`'s and `guard`'s part.

mod proposal;
mod span;
mod spec;

pub use proposal::{Proposal, Want, Why};
pub use span::{Span, SpanError};
pub use spec::{
    Alignment, AutoscalerSpec, Behavior, Bounds, Budget, CatchUp, FlinkRef, Limits, Mechanism, Mode,
    ObservedOr, Policy, PolicyRef, PolicySpec, ReplicaBounds, Rule, ScalingRules, Throughput,
    UtilizationBand, VertexSpec, WorkloadRef,
};
