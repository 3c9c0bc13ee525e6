//! Tidegate, an autoscaling engine for Apache Flink.
//!
//! ```text
//! observe -> signals -> policy -> plan -> guard -> act -> record
//! (async)    (pure)     (pure)    (pure)  (pure)   (async)  (append)
//! ```
//!
//! Everything between `observe` and `act` is one pure function, [`decide::decide`]. A module uses only modules above it
//! in the list below; `tests/tidy.rs` holds the table.

#[cfg(feature = "daemon")]
pub mod act;
#[cfg(feature = "daemon")]
pub mod cli;
pub mod config;
#[cfg(feature = "daemon")]
pub mod crd;
#[cfg(feature = "daemon")]
pub mod daemon;
pub mod decide;
pub mod guard;
pub mod import;
pub mod model;
#[cfg(feature = "daemon")]
pub mod observe;
pub mod plan;
pub mod policy;
pub mod policytest;
pub mod record;
#[cfg(feature = "daemon")]
pub mod serve;
pub mod signals;
pub mod simulate;
