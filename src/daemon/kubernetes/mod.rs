//! The daemon in Kubernetes: jobs are what `FlinkAutoscaler` objects say, state is kept beside them, and of several processes
//! the one that holds the Lease acts.
//!
//! Comes in: objects, by watches. Goes out: rescaled jobs, statuses, Events. Deciding and acting are those of any daemon; this
//! module must never do more than to begin and end the tasks that do so, keep what they know, and show what they say.

pub(super) mod connect;
mod controller;
mod election;
mod endpoint;
mod events;
mod examine;
mod fault;
mod found;
mod kept;
mod key;
mod lease;
mod listener;
mod news;
mod publish;
mod rivals;
mod run;
mod state;
mod wanted;
mod work;
mod world;

pub use examine::{Eyes, Seen, examine};
pub use kept::{Kept, KeptError, Resumed};
pub use run::{ControllerError, Options, run};
pub(super) use state::{ClusterState, StateError};
pub use world::Scope;
