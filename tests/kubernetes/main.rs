//! Tests on a real Kubernetes. One program, so that one cluster serves them all.
#![cfg(feature = "daemon")]
#![expect(
    clippy::disallowed_methods,
    reason = "what runs here is real, and so are its clock and its environment"
)]
#![expect(unreachable_pub, reason = "`pub` marks what other files may use; a test program exports nothing")]

#[path = "../testbed/kubernetes/mod.rs"]
mod kubernetes;
#[expect(dead_code, unused_imports, reason = "of what Flink on loopback needs, the tests here use a part")]
#[path = "../testbed/mod.rs"]
mod testbed;

mod against_hpa;
mod application;
mod bed_works;
mod controller;
mod crd;
mod deploy;
mod doctor;
mod monitored;
mod operator;
mod reactive;
mod sidecar;
mod statefulset;
mod story;
