//! Tidegate beside the JobManager, as `deploy/kustomize/sidecar` puts it there: killed in the middle of a rescale, it is
//! restarted by the kubelet and goes on.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;

use crate::controller::bed::{awaits, events};
use crate::kubernetes::{Cluster, Namespace, Options, TIDEGATE_IMAGE};
use crate::testbed::{Job, until};

const PATIENCE: Duration = Duration::from_mins(5);

const JOBMANAGER: &str = include_str!("../../deploy/kustomize/sidecar/jobmanager.yaml");
const RIGHTS: &str = include_str!("../../deploy/kustomize/sidecar/rbac.yaml");
const STATE: &str = include_str!("../../deploy/kustomize/sidecar/state.yaml");
const AUTOSCALER: &str = include_str!("../../deploy/kustomize/sidecar/flinkautoscaler.yaml");

/// A text with another in the place of a part, which must be there.
fn with(text: &str, old: &str, new: &str) -> Result<String> {
    ensure!(text.contains(old), "deploy/kustomize/sidecar has no {old:?} any more");
    Ok(text.replace(old, new))
}

/// The JobManager's pod, and how often its sidecar was restarted.
async fn pod(namespace: &Namespace) -> Result<(String, i32)> {
    let pods: Api<Pod> = namespace.api();
    let listed = pods.list(&ListParams::default().labels("component=jobmanager")).await?.items;
    let pod = listed.into_iter().next().context("no JobManager")?;
    let containers = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
    let sidecar = containers.into_iter().find(|container| container.name == "tidegate");
    let restarts = sidecar.context("no sidecar")?.restart_count;
    Ok((pod.metadata.name.context("no name")?, restarts))
}

#[tokio::test]
async fn a_sidecar_killed_in_the_middle_of_a_rescale_finishes_it_once() -> Result<()> {
    let Some(cluster) = Cluster::with_pods()? else { return Ok(()) };
    let namespace = cluster.namespace_of_ours().await?;
    namespace.apply(RIGHTS).await?;
    namespace.apply(STATE).await?;
    namespace.apply(&with(AUTOSCALER, "{min: 3, max: 10}", "{min: 1, max: 4}")?).await?;
    let image = format!("image: {TIDEGATE_IMAGE}\n");
    let options = Options {
        taskmanagers: 1,
        slots: 4,
        beside_jobmanager: Some(with(JOBMANAGER, "image: tidegate\n", &image)?),
        ..Options::default()
    };
    let flink = namespace.flink(options).await?;
    let topic = namespace.topic("orders")?;
    topic.set_rate(900.0)?;
    let job = flink.submit(&Job::chain(&topic).parallelism("parse", 3)).await?;
    let client = flink.client();
    client.running_at(&job, PATIENCE, &[("parse", 3)]).await?;

    let requirements = format!("/jobs/{job}/resource-requirements");
    let before = client.get(&requirements).await?;
    until("Flink to be asked for another size", PATIENCE, async || {
        let asked = client.get(&requirements).await?;
        let said = async || namespace.logs("component=jobmanager", "tidegate").await.unwrap_or_default();
        ensure!(asked != before, "{asked}\n{}", said().await);
        Ok(())
    })
    .await?;
    let (name, restarts) = pod(&namespace).await?;
    namespace.signal(&name, "tidegate", "KILL").await?;
    until("the kubelet to restart it", PATIENCE, async || {
        let (same, now) = pod(&namespace).await?;
        ensure!(same == name && now > restarts, "{same} {now}");
        Ok(())
    })
    .await?;
    let grown = until("a rescale that is over", PATIENCE, async || {
        let map = namespace.object("ConfigMap", "tidegate-flink").await?;
        let state = map["data"]["state.json"].as_str().context("no state")?.to_owned();
        ensure!(state.contains("\"end\":\"Done\"") && state.contains("\"attempt\":null"), "{state}");
        let vertices = client.vertices(&job).await?;
        ensure!(vertices["parse"].parallelism >= 6, "{vertices:?}");
        Ok(vertices["parse"].parallelism)
    })
    .await?;
    client.running_at(&job, PATIENCE, &[("parse", grown)]).await?;
    flink.wait_for_taskmanagers(2).await?;
    awaits(&namespace, "flink", "ScalingActive", "True", "ValidMetricFound").await?;
    let restarts = client.get(&format!("/jobs/{job}/metrics?get=numRestarts")).await?;
    ensure!(restarts[0]["value"] == "1", "{restarts}: one rescale is one restart");
    let told = events(&namespace, "flink").await?;
    let asked = told.iter().filter(|reason| *reason == "Rescaling").count();
    ensure!(asked <= 1, "{told:?}");
    Ok(())
}
