//! Tests on real Flink clusters. One program, so that it links once and its tests run side by side.
#![cfg(feature = "daemon")]

#[path = "../testbed/mod.rs"]
mod testbed;

mod record_fixtures;
mod testbed_works;
