//! `FlinkAutoscaler` and `ScalingPolicy` as resources of Kubernetes.
//!
//! The fields of their specs are those of files: the types of [`policy`](crate::policy), with the schema that is generated from
//! them. Here is what Kubernetes has beside that: the objects, their definitions for the API server, the status of an autoscaler
//! and how it follows from a cycle. Comes in: what a cycle brought. Goes out: values. This module must never talk to a server or
//! read a clock.

mod condition;
mod definition;
mod figures;
mod reasons;
mod resource;
mod rules;
mod schema;
mod status;
mod update;

pub use condition::{Condition, ConditionStatus, ConditionType};
pub use definition::definitions;
pub use resource::{FlinkAutoscaler, GROUP, ScalingPolicy, VERSION};
pub use status::{FlinkAutoscalerStatus, JobSeen, LastDecision, LimitSeen, Numbers, Size, UsedMechanism};
pub use update::{Cycle, after_cycle, refused};
