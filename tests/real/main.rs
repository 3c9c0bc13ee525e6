//! Tests on real Flink clusters. One program, so that it links once and its tests run side by side.
#![cfg(feature = "daemon")]
#![expect(unreachable_pub, reason = "`pub` marks what other files may use; a test program exports nothing")]

#[path = "../testbed/mod.rs"]
mod testbed;

mod daemon;
mod exact;
mod faults;
mod hasten;
mod quiet;
mod record_fixtures;
mod steps;
mod testbed_works;
mod watch;
