//! Tidegate, an autoscaling engine for Apache Flink.
//!
//! ```text
//! observe -> signals -> policy -> plan -> guard -> act -> record
//! (async)    (pure)     (pure)    (pure)  (pure)   (async)  (append)
//! ```
//!
//! Everything between `observe` and `act` is one pure function, [`decide::decide`]. A module uses only modules above it
//! in the list below; `tests/tidy.rs` holds the table.

pub mod config;
#[cfg(feature = "daemon")]
pub mod daemon;
pub mod decide;
pub mod guard;
pub mod model;
pub mod plan;
pub mod policy;
pub mod record;
pub mod signals;
