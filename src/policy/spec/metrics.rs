//! The rules that are an HPA's: a resource of the pods, and any PromQL, against a target.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Fallback;
use crate::policy::{Quantity, Query, When};

/// CPU or memory of the workload's pods against what they request, exactly as the HPA computes it. Where metrics-server does not tell,
/// and outside of Kubernetes, the CPU is that which the Prometheus of `spec.prometheus` has of the pods (cAdvisor and
/// kube-state-metrics), or of the job's TaskManagers (Flink's own reporter).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resource {
    /// The resource.
    pub name: ResourceName,
    /// The one container of each pod that counts; all of them otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub container: Option<String>,
    /// What it is to be.
    pub target: ResourceTarget,
    /// Whether the rule is on, in CEL; always, without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// What to hold to when the metric is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}

/// A resource of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ResourceName {
    /// Cores.
    Cpu,
    /// Bytes.
    Memory,
}

/// What a resource is to be, per pod.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum ResourceTarget {
    /// A share of what the pods request.
    Utilization {
        /// Per cent of the request.
        #[schemars(range(min = 1))]
        average_utilization: u32,
    },
    /// So much per pod.
    AverageValue {
        /// The value.
        average_value: Quantity,
    },
}

/// The result of a query against a target, as an HPA's external metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prometheus {
    /// PromQL that gives one number; of several series the sum counts. In the value of a label, ${namespace}, ${autoscaler},
    /// ${workload}, ${job} and ${jobId} stand for those of the job: `sum(lag{job="${job}"})`
    pub query: Query,
    /// What it is to be.
    pub target: ExternalTarget,
    /// Whether the rule is on, in CEL; always, without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// What to hold to when the metric is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}

/// What a number from outside is to be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum ExternalTarget {
    /// So much altogether.
    Value {
        /// The value.
        value: Quantity,
    },
    /// So much per TaskManager.
    AverageValue {
        /// The value.
        average_value: Quantity,
    },
}
