//! What the pods use, as metrics-server measured it (`metrics.k8s.io`): what an HPA on CPU or memory goes by.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde::Deserialize;

use super::fault::{Fault, in_time};
use super::target::Target;
use crate::model::{Pod, Timestamp};
use crate::policy::Quantity;

/// What one pod uses.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Usage {
    at: Timestamp,
    window: Duration,
    /// By container: thousandths of a core, and of a byte.
    containers: BTreeMap<String, (Option<i64>, Option<i64>)>,
}

#[derive(Deserialize)]
struct Measured {
    timestamp: String,
    window: String,
    containers: Vec<MeasuredContainer>,
}

#[derive(Deserialize)]
struct MeasuredContainer {
    name: String,
    usage: BTreeMap<String, String>,
}

/// What the pods of a selector use, by name.
pub(super) async fn read(target: &Target, selector: &str) -> Result<BTreeMap<String, Usage>, Fault> {
    let kind = GroupVersionKind::gvk("metrics.k8s.io", "v1beta1", "PodMetrics");
    let resource = ApiResource::from_gvk_with_plural(&kind, "pods");
    let api: Api<DynamicObject> =
        Api::namespaced_with(target.client().clone(), target.namespace(), &resource);
    let list = in_time(api.list(&ListParams::default().labels(selector))).await?;
    let of_pod = |object: DynamicObject| Some((object.metadata.name?, usage(object.data)?));
    Ok(list.items.into_iter().filter_map(of_pod).collect())
}

fn usage(data: serde_json::Value) -> Option<Usage> {
    let Measured { timestamp, window, containers } = serde_json::from_value(data).ok()?;
    let milli = |usage: &BTreeMap<String, String>, resource: &str| {
        usage.get(resource)?.parse::<Quantity>().ok().map(Quantity::milli)
    };
    Some(Usage {
        at: timestamp.parse().ok()?,
        window: go_duration(&window)?,
        containers: containers
            .into_iter()
            .map(|one| (one.name, (milli(&one.usage, "cpu"), milli(&one.usage, "memory"))))
            .collect(),
    })
}

/// A duration as Go writes it, such as `15.03s` or `1m0s`.
fn go_duration(text: &str) -> Option<Duration> {
    let (mut total, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| digits + end);
        total += number
            * match &rest[digits..unit] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    Duration::try_from_secs_f64(total).ok()
}

/// A pod with what it uses, where that was measured.
pub(super) fn add(pod: &mut Pod, usage: Option<&Usage>) {
    let Some(Usage { at, window, containers }) = usage else { return };
    pod.measured = Some((*at, *window));
    for container in &mut pod.containers {
        if let Some(&(cpu, memory)) = containers.get(&container.name) {
            (container.cpu.used, container.memory.used) = (cpu, memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Container;
    use serde_json::json;

    #[test]
    fn reads_what_metrics_server_says() {
        let read = usage(json!({
            "timestamp": "2026-01-01T00:00:10Z", "window": "15.5s",
            "containers": [{"name": "taskmanager", "usage": {"cpu": "123456789n", "memory": "1Ki"}}]
        }));
        let container = |name: &str| Container { name: name.to_owned(), ..Container::default() };
        let mut pod = Pod { containers: vec![container("taskmanager"), container("new")], ..Pod::default() };
        add(&mut pod, read.as_ref());
        let used: Vec<_> = pod.containers.iter().map(|c| (c.cpu.used, c.memory.used)).collect();
        assert_eq!(used, [(Some(124), Some(1_024_000)), (None, None)], "rounded up, as quantities are");
        assert_eq!(pod.measured.map(|(_, window)| window), Some(Duration::from_millis(15_500)));
    }

    #[test]
    fn reads_durations_as_go_writes_them() {
        for (text, millis) in
            [("15s", Some(15_000)), ("1m0.5s", Some(60_500)), ("500ms", Some(500)), ("5", None), ("5x", None)]
        {
            assert_eq!(go_duration(text), millis.map(Duration::from_millis), "{text}");
        }
    }
}
