//! A real Kubernetes for tests: the API server with its controllers on loopback, or a whole node that runs pods. One
//! serves the whole run of the test program, each test in a namespace of its own, and it ends with that program,
//! whatever way that ends.
//!
//! `TIDEGATE_TEST_KUBECONFIG` names the kubeconfig of an administrator on any cluster that is to be used instead.

mod access;
mod cluster;
mod flink;
mod kubectl;
mod manifests;
mod namespace;
mod node;
mod not_run;
mod operator;
mod program;
mod up;

pub use cluster::{Cluster, TIDEGATE_IMAGE};
pub use flink::{Flink, Options};
pub use namespace::Namespace;
pub use node::Forward;
pub use operator::FlinkOperator;
pub use program::program;
