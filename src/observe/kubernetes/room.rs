//! How many pods more like a given one the nodes have room for: what the scheduler would find, by requests alone.
//!
//! Taints that keep pods away, cordoned nodes and the number of pods of a node are minded; affinities and priorities are not:
//! they may leave less room, or make some. What finds no place after all stays pending, which is dealt with elsewhere.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Pod, PodSpec, Taint};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Raw;
use kube::Api;
use kube::api::ListParams;

use super::fault::{Fault, in_time};
use super::pod::milli;
use super::target::Target;
use crate::model::{Room, Timestamp};

/// Amounts of CPU, memory and pods, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amounts {
    cpu: i64,
    memory: i64,
    pods: i64,
}

/// How many pods more like `pattern` the nodes have room for as of `at`, and how many of the workload's own have a place.
pub(super) async fn read(
    target: &Target,
    selector: &str,
    pattern: &PodSpec,
    at: Timestamp,
) -> Result<Room, Fault> {
    // From the API server's own memory: half a minute is no matter, and large clusters are spared.
    let cached = ListParams::default().match_any();
    let nodes: Api<Node> = Api::all(target.client().clone());
    let pods: Api<Pod> = Api::all(target.client().clone());
    let (own, of_it) = (target.pods(), cached.clone().labels(selector));
    let (nodes, pods, own) = tokio::try_join!(
        in_time(nodes.list(&cached)),
        in_time(pods.list(&cached)),
        in_time(own.list(&of_it))
    )?;
    let placed = own.iter().filter(|pod| !has_ended(pod) && node_of(pod).is_some()).count();
    let placed = u32::try_from(placed).unwrap_or(u32::MAX);
    Ok(Room { at, pods: room(&nodes.items, &pods.items, pattern), placed: Some(placed) })
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

fn room(nodes: &[Node], pods: &[Pod], pattern: &PodSpec) -> u32 {
    let mut taken: BTreeMap<&str, Amounts> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| !has_ended(pod)) {
        let Some((spec, node)) = pod.spec.as_ref().zip(node_of(pod)) else { continue };
        let (taken, asked) = (taken.entry(node).or_default(), requested(spec));
        taken.cpu = taken.cpu.saturating_add(asked.cpu);
        taken.memory = taken.memory.saturating_add(asked.memory);
        taken.pods = taken.pods.saturating_add(asked.pods);
    }
    let asked = requested(pattern);
    let of_node = |node: &Node| {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        fit(allocatable(node), taken.get(name).copied().unwrap_or_default(), asked)
    };
    let open = nodes.iter().filter(|node| takes(node, pattern));
    open.map(of_node).fold(0, u32::saturating_add)
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// What a pod requests: the sum over its containers. Init containers are done before these need it.
fn requested(spec: &PodSpec) -> Amounts {
    let sum = |resource: &str| {
        let requests = spec.containers.iter().filter_map(|one| one.resources.as_ref()?.requests.as_ref());
        requests.filter_map(|requests| requests.get(resource)).filter_map(milli).fold(0, i64::saturating_add)
    };
    Amounts { cpu: sum("cpu"), memory: sum("memory"), pods: 1000 }
}

fn allocatable(node: &Node) -> Amounts {
    let all = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
    let of =
        |resource: &str| all.and_then(|all| all.get(resource)).and_then(|raw: &Raw| milli(raw)).unwrap_or(0);
    Amounts { cpu: of("cpu"), memory: of("memory"), pods: of("pods") }
}

fn fit(all: Amounts, taken: Amounts, asked: Amounts) -> u32 {
    let times = |all: i64, taken: i64, asked: i64| {
        if asked <= 0 { i64::MAX } else { all.saturating_sub(taken).max(0) / asked }
    };
    let most = times(all.cpu, taken.cpu, asked.cpu)
        .min(times(all.memory, taken.memory, asked.memory))
        .min(times(all.pods, taken.pods, asked.pods));
    u32::try_from(most).unwrap_or(u32::MAX)
}

/// Whether new pods of this kind are taken by a node: it is ready, not cordoned, and has no taint that keeps them away.
fn takes(node: &Node, pattern: &PodSpec) -> bool {
    let spec = node.spec.clone().unwrap_or_default();
    let is_bearable = |taint: &Taint| {
        !matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute") || is_tolerated(taint, pattern)
    };
    spec.unschedulable != Some(true) && spec.taints.unwrap_or_default().iter().all(is_bearable)
}

fn is_tolerated(taint: &Taint, pattern: &PodSpec) -> bool {
    pattern.tolerations.iter().flatten().any(|toleration| {
        let key = toleration.key.as_deref().unwrap_or_default();
        let exists = toleration.operator.as_deref() == Some("Exists");
        let effect = toleration.effect.as_deref().unwrap_or_default();
        (effect.is_empty() || effect == taint.effect)
            && ((exists && key.is_empty())
                || (key == taint.key
                    && (exists
                        || toleration.value.as_deref().unwrap_or_default()
                            == taint.value.as_deref().unwrap_or_default())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).expect("as Kubernetes writes it")
    }

    #[expect(clippy::needless_pass_by_value, reason = "rows are easier to read without a reference each")]
    fn node(name: &str, cpu: &str, memory: &str, pods: &str, spec: Value) -> Node {
        of(json!({
            "metadata": {"name": name}, "spec": spec,
            "status": {"allocatable": {"cpu": cpu, "memory": memory, "pods": pods}}
        }))
    }

    fn pod(node: &str, phase: &str, cpu: &str) -> Pod {
        of(json!({
            "metadata": {"name": "p"},
            "spec": {"nodeName": node, "containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]},
            "status": {"phase": phase}
        }))
    }

    #[test]
    fn counts_what_still_finds_a_place() {
        let taint = json!({"taints": [{"key": "flink", "value": "only", "effect": "NoSchedule"}]});
        let rows = [
            ("an empty node", node("a", "4", "8Gi", "110", json!({})), "0", json!([]), 4),
            ("what runs on it counts", node("a", "4", "8Gi", "110", json!({})), "1500m", json!([]), 2),
            ("memory is short", node("a", "4", "3Gi", "110", json!({})), "0", json!([]), 1),
            ("no more pods", node("a", "4", "8Gi", "2", json!({})), "0", json!([]), 1),
            ("cordoned", node("a", "4", "8Gi", "110", json!({"unschedulable": true})), "0", json!([]), 0),
            ("tainted", node("a", "4", "8Gi", "110", taint.clone()), "0", json!([]), 0),
            (
                "tolerated",
                node("a", "4", "8Gi", "110", taint.clone()),
                "0",
                json!([{"key": "flink", "value": "only"}]),
                4,
            ),
            ("everything is", node("a", "4", "8Gi", "110", taint), "0", json!([{"operator": "Exists"}]), 4),
        ];
        for (what, node, taken, tolerations, expected) in rows {
            let pattern: PodSpec = of(json!({
                "containers": [{"name": "tm", "resources": {"requests": {"cpu": "1", "memory": "2Gi"}}}],
                "tolerations": tolerations
            }));
            let pods = [pod("a", "Running", taken), pod("a", "Succeeded", "3"), pod("b", "Running", "3")];
            assert_eq!(room(&[node], &pods, &pattern), expected, "{what}");
        }
    }

    #[test]
    fn what_requests_nothing_is_bounded_by_the_pods_of_a_node() {
        let pattern: PodSpec = of(json!({"containers": [{"name": "tm"}]}));
        assert_eq!(room(&[node("a", "1", "1Gi", "10", json!({}))], &[], &pattern), 10);
        assert_eq!(room(&[], &[], &pattern), 0);
    }
}
