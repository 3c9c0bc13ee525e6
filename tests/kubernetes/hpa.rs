//! What Tidegate takes the place of: a real HPA on the TaskManagers of a real Flink, under real load.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;

use crate::kubernetes::{Cluster, Options};
use crate::testbed::{Job, until};

/// The HPA looks every 15 s at figures that are up to 20 s old, and new TaskManagers have to start.
const PATIENCE: Duration = Duration::from_mins(5);

/// 3 to 10 at 50 % of the CPU. It goes down at once instead of after five minutes of waiting.
const HPA: &str = "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: flink-taskmanager}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: flink-taskmanager}
  minReplicas: 3
  maxReplicas: 10
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
  behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
";

#[tokio::test]
async fn an_hpa_adds_taskmanagers_under_load_and_takes_them_again() -> Result<()> {
    let Some(cluster) = Cluster::with_pods()? else { return Ok(()) };
    let namespace = cluster.namespace().await?;
    let flink = namespace.flink(Options { taskmanagers: 3, cpu: "200m", ..Options::default() }).await?;
    let topic = namespace.topic("orders")?;
    let job = Job::chain(&topic).parallelism("parse", 3).cost("parse", "burn:1ms").cost("enrich", "none");
    let job = flink.submit(&job).await?;
    flink.client().running_at(&job, PATIENCE, &[("parse", 3)]).await?;

    // 0.6 cores over pods that request 0.2 each: five or six of them have half of that each.
    topic.set_rate(600.0)?;
    namespace.apply(HPA).await?;
    let deployments: Api<Deployment> = namespace.api();
    let replicas = async || {
        let spec = deployments.get("flink-taskmanager").await?.spec.context("a Deployment has a spec")?;
        spec.replicas.context("the API server fills in the replicas")
    };
    let raised = until("the HPA to raise the replicas", PATIENCE, async || {
        let replicas = replicas().await?;
        let status = namespace.kubectl(&["get", "hpa", "--no-headers"]).await?;
        ensure!(replicas > 4, "{status}");
        Ok(usize::try_from(replicas)?)
    })
    .await?;
    ensure!(raised <= 10, "{raised} replicas");
    until("the new TaskManagers in Flink", PATIENCE, async || {
        let seen = flink.client().get("/overview").await?["taskmanagers"].as_u64();
        ensure!(seen > Some(3), "{seen:?}");
        Ok(())
    })
    .await?;

    topic.set_rate(0.0)?;
    until("the HPA to go back to the least replicas", PATIENCE, async || {
        let status = namespace.kubectl(&["get", "hpa", "--no-headers"]).await?;
        ensure!(replicas().await? == 3, "{status}");
        Ok(())
    })
    .await?;
    flink.wait_for_taskmanagers(3).await
}
