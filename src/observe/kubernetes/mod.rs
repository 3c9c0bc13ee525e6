//! The workload that gives a job its slots, seen through the API server: its scale and its pods, which are watched, so that a
//! cycle costs no call.
//!
//! Comes in: the name of anything with a `scale` subresource. Goes out: a [`Workload`](crate::model::Workload), or one line on
//! why there is none. This module must never change anything: `act` does.

mod checkup;
mod fault;
mod findings;
mod manager;
mod matching;
mod needs;
mod operator;
mod pod;
mod room;
mod seen;
mod target;
mod usage;
mod watch;

pub use checkup::{ClusterCheckup, Denied, Named, OperatorCheckup, WorkloadCheckup, WorkloadSeen};
pub(crate) use fault::{Fault, in_time};
pub use findings::findings;
pub use manager::ManagerTarget;
pub(crate) use manager::{Try, of_gone, patch, to_create, with_args};
pub(crate) use matching::matched;
pub use operator::OperatorTarget;
pub(crate) use operator::Read;
pub(crate) use pod::DELETION_COST;
pub use target::Target;
pub use watch::{Besides, Watch};
