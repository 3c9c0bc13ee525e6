//! The test bed: real Flink clusters on loopback, jobs of known cost, topics whose rate a test sets, and a proxy that
//! counts and disturbs. Nothing in here knows of Tidegate; what comes out is what Flink itself says.
//!
//! Each cluster has its own folder and ports and ends with the value that holds it, whatever way the test ends. With
//! `TIDEGATE_KEEP` set in the environment, the folder with the logs stays.
#![expect(unreachable_pub, reason = "`pub` marks what tests may use; a test program exports nothing")]

mod client;
mod flink;
pub mod install;
mod job;
mod ledger;
pub mod ports;
pub mod process;
mod prometheus;
mod proxy;
mod topic;
mod wait;

pub use client::{Client, Vertex};
pub use flink::{Flink, Options};
pub use job::Job;
pub use ledger::{Ledger, Trouble};
pub use ports::free as free_port;
pub use prometheus::Prometheus;
pub use proxy::{Fault, Proxy};
pub use topic::Topic;
pub use wait::until;
