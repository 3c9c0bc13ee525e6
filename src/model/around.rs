//! What is around a job: the pods of the workload that gives it its slots, and numbers that other systems answered. What
//! was not asked for, or could not be had, is not there.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// What is around a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Around {
    /// The workload that gives the job its slots, with its pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
    /// The last answers to the queries of the policy, by query.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub queries: BTreeMap<String, Answer>,
}

impl Around {
    /// Whether nothing was asked.
    pub fn is_empty(&self) -> bool {
        self.workload.is_none() && self.queries.is_empty()
    }
}

/// A workload and its pods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// When it was read.
    pub at: Timestamp,
    /// Replicas asked for (`spec.replicas`).
    pub replicas: u32,
    /// Replicas that exist (`status.replicas`).
    pub observed: u32,
    /// Its pods.
    pub pods: Vec<Pod>,
}

/// A pod, as far as an HPA looks at it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// How far it is in its life.
    pub phase: Phase,
    /// Whether it is on its way out (it has a deletion timestamp).
    #[serde(default)]
    pub is_deleted: bool,
    /// Its Ready condition; `None` where it has none.
    pub ready: Option<Ready>,
    /// When the kubelet took it on; `None` where it has not.
    pub started: Option<Timestamp>,
    /// The end of the time that its use was measured over, and that time; `None` where nothing was measured.
    pub measured: Option<(Timestamp, Duration)>,
    /// Its containers.
    pub containers: Vec<Container>,
}

/// A container of a pod. Amounts are in thousandths: of a core, of a byte.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// What it requests and uses of CPU.
    pub cpu: Amount,
    /// What it requests and uses of memory.
    pub memory: Amount,
}

/// What a container requests and uses of a resource, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Amount {
    /// What it requests, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<i64>,
    /// What it was measured to use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<i64>,
}

/// How far a pod is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Taken on, not yet running.
    Pending,
    /// Running.
    #[default]
    Running,
    /// All containers ended well.
    Succeeded,
    /// A container ended badly.
    Failed,
    /// Its node cannot be reached.
    Unknown,
}

/// A pod's Ready condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// What it says.
    pub status: ReadyStatus,
    /// Since when.
    pub since: Timestamp,
}

/// What a Ready condition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadyStatus {
    /// It serves.
    True,
    /// It does not.
    False,
    /// Its node cannot be reached.
    Unknown,
}

/// What came of a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// When it was answered, by Tidegate's clock.
    pub at: Timestamp,
    /// The value of each series, or one line on why there is none.
    pub values: Result<Vec<f64>, String>,
}
