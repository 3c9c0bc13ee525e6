//! Tests on real Flink clusters. One program, so that it links once and its tests run side by side.
#![cfg(feature = "daemon")]
#![expect(clippy::print_stdout, reason = "tests print the figures that they measured")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes and times of a test are small and not negative"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "what runs here is real, and so are its clock and its environment"
)]
#![expect(unreachable_pub, reason = "`pub` marks what other files may use; a test program exports nothing")]

#[path = "../testbed/mod.rs"]
mod testbed;

mod alerts;
mod daemon;
mod doctor;
mod exact;
mod faults;
mod fleet;
mod hasten;
mod late;
mod metrics;
mod policies;
mod prometheus;
mod quiet;
mod record_fixtures;
mod savepoint;
mod soak;
mod steps;
mod stops;
mod testbed_works;
mod traces;
mod up;
mod watch;
