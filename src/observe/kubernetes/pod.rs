//! A pod as the API server tells of it, as far as it matters.

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Raw;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::model::{Amount, Container, Phase, Pod, Ready, ReadyStatus, Timestamp};
use crate::policy::Quantity;

/// What a `ReplicaSet` goes by when it removes pods.
pub(crate) const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// A pod, and where it is to be found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PodSeen {
    /// The pod; what is measured of it and its TaskManager are added later.
    pub(crate) pod: Pod,
    /// Its address, once it has one.
    pub(crate) ip: Option<String>,
}

/// A pod as far as it matters.
pub(crate) fn seen(pod: &core::Pod) -> PodSeen {
    let status = pod.status.as_ref();
    let conditions = || status.and_then(|status| status.conditions.as_deref()).unwrap_or_default().iter();
    let condition = |kind: &str| conditions().find(|condition| condition.type_ == kind);
    let unschedulable = condition("PodScheduled").filter(|condition| {
        condition.status == "False" && condition.reason.as_deref() == Some("Unschedulable")
    });
    let cost = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(DELETION_COST));
    let containers = pod.spec.as_ref().map_or(&[][..], |spec| &spec.containers);
    let pod = Pod {
        name: pod.metadata.name.clone().unwrap_or_default(),
        phase: phase(status.and_then(|status| status.phase.as_deref())),
        is_deleted: pod.metadata.deletion_timestamp.is_some(),
        ready: condition("Ready").map(ready),
        started: status.and_then(|status| status.start_time.as_ref()).map(moment),
        unschedulable: unschedulable.map(|condition| condition.message.clone().unwrap_or_default()),
        measured: None,
        containers: containers.iter().map(container).collect(),
        deletion_cost: cost.and_then(|cost| cost.parse().ok()),
        taskmanager: None,
    };
    PodSeen { pod, ip: status.and_then(|status| status.pod_ip.clone()) }
}

fn phase(phase: Option<&str>) -> Phase {
    match phase {
        Some("Running") => Phase::Running,
        Some("Succeeded") => Phase::Succeeded,
        Some("Failed") => Phase::Failed,
        Some("Unknown") => Phase::Unknown,
        Some(_) | None => Phase::Pending,
    }
}

fn ready(condition: &core::PodCondition) -> Ready {
    let status = match condition.status.as_str() {
        "True" => ReadyStatus::True,
        "False" => ReadyStatus::False,
        _ => ReadyStatus::Unknown,
    };
    Ready { status, since: condition.last_transition_time.as_ref().map(moment).unwrap_or_default() }
}

pub(super) fn moment(Time(at): &Time) -> Timestamp {
    Timestamp::from_millis(at.as_millisecond())
}

fn container(container: &core::Container) -> Container {
    let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let amount = |resource: &str| Amount {
        request: requests.and_then(|requests| requests.get(resource)).and_then(milli),
        used: None,
    };
    Container { name: container.name.clone(), cpu: amount("cpu"), memory: amount("memory") }
}

/// A quantity in thousandths.
pub(super) fn milli(Raw(text): &Raw) -> Option<i64> {
    text.parse::<Quantity>().ok().map(Quantity::milli)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_what_matters_of_a_pod() {
        let running: core::Pod = serde_json::from_value(json!({
            "metadata": {"name": "tm-1", "annotations": {DELETION_COST: "-5"}},
            "spec": {"containers": [
                {"name": "taskmanager", "resources": {"requests": {"cpu": "250m", "memory": "1Ki"}}},
                {"name": "sidecar"}
            ]},
            "status": {
                "phase": "Running", "podIP": "10.0.0.7", "startTime": "2026-01-01T00:00:00Z",
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:05Z"}]
            }
        }))
        .expect("a pod");
        let PodSeen { pod, ip } = seen(&running);
        assert_eq!((pod.name.as_str(), pod.phase, ip.as_deref()), ("tm-1", Phase::Running, Some("10.0.0.7")));
        assert!(pod.is_ready() && pod.is_alive() && pod.unschedulable.is_none());
        assert_eq!(pod.deletion_cost, Some(-5));
        assert_eq!(pod.started, Some(Timestamp::from_millis(1_767_225_600_000)));
        let requests: Vec<_> = pod.containers.iter().map(|c| (c.cpu.request, c.memory.request)).collect();
        assert_eq!(requests, [(Some(250), Some(1_024_000)), (None, None)]);
    }

    #[test]
    fn says_why_no_node_takes_a_pod() {
        for (status, reason, expected) in [
            ("False", "Unschedulable", Some("no room")),
            ("False", "SchedulingGated", None),
            ("True", "", None),
        ] {
            let pending: core::Pod = serde_json::from_value(json!({
                "metadata": {"name": "tm-2", "deletionTimestamp": "2026-01-01T00:00:00Z"},
                "status": {"phase": "Pending", "conditions": [
                    {"type": "PodScheduled", "status": status, "reason": reason, "message": "no room"}
                ]}
            }))
            .expect("a pod");
            let PodSeen { pod, .. } = seen(&pending);
            assert_eq!(pod.unschedulable.as_deref(), expected, "{status} {reason}");
            assert!(pod.phase == Phase::Pending && !pod.is_alive() && pod.ready.is_none());
        }
    }
}
