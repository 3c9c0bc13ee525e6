//! TaskManagers of a `StatefulSet`, in real pods: idle ones go from its end; one that no node takes is said to be missing, in the
//! scheduler's words, and used when it has come after all.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;

use crate::controller::bed::{Controller, events};
use crate::kubernetes::{Cluster, Namespace, Options};
use crate::testbed::{Job, until};

const PATIENCE: Duration = Duration::from_mins(5);

const POLICY: &str = "
apiVersion: tidegate.dev/v1alpha1
kind: ScalingPolicy
metadata: {name: short}
spec:
  rules: [{throughput: {}}]
  behavior: {scaleDown: {stabilizationWindowSeconds: 5}}
  limits: {cooldown: 5s}
";

async fn replicas(namespace: &Namespace) -> Result<(i32, i32)> {
    let found = namespace.api::<StatefulSet>().get("flink-taskmanager").await?;
    let wanted = found.spec.and_then(|spec| spec.replicas).unwrap_or(0);
    Ok((wanted, found.status.map_or(0, |status| status.replicas)))
}

/// Lets new pods go only to nodes with such a label.
async fn place(namespace: &Namespace, label: &str) -> Result<()> {
    let patch = format!(r#"{{"spec": {{"template": {{"spec": {{"nodeSelector": {label}}}}}}}}}"#);
    namespace.kubectl(&["patch", "statefulset", "flink-taskmanager", "-p", &patch]).await.map(drop)
}

#[tokio::test]
async fn a_statefulset_goes_from_its_end_and_says_what_is_pending() -> Result<()> {
    let Some(cluster) = Cluster::with_pods()? else { return Ok(()) };
    let namespace = cluster.namespace_of_ours().await?;
    let options = Options { taskmanagers: 1, workload: "StatefulSet", ..Options::default() };
    let flink = namespace.flink(options).await?;
    let (client, topic) = (flink.client(), namespace.topic("orders")?);
    topic.set_rate(240.0)?;
    let job = flink.submit(&Job::chain(&topic).parallelism("parse", 2)).await?;
    client.running_at(&job, PATIENCE, &[("parse", 2)]).await?;
    // The job is on the first; this one is idle.
    namespace.kubectl(&["scale", "statefulset/flink-taskmanager", "--replicas", "2"]).await?;
    flink.wait_for_taskmanagers(2).await?;
    namespace.apply(POLICY).await?;
    namespace
        .apply(&format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: FlinkAutoscaler\nmetadata: {{name: flink}}\nspec:\n  \
             flink: {{url: '{}', poll: 2s}}\n  policyRef: {{name: short}}\n  replicas: {{min: 1, max: 4}}\n  \
             workload: {{apiVersion: apps/v1, kind: StatefulSet, name: flink-taskmanager}}\n",
            client.url()
        ))
        .await?;
    let mut controller = Controller::start(cluster, &namespace)?;
    let patience = Duration::from_mins(3);
    until("the idle one to go", patience, async || {
        ensure!(replicas(&namespace).await? == (1, 1), "{}", controller.said());
        Ok(())
    })
    .await?;
    flink.wait_for_taskmanagers(1).await?;
    client.running_at(&job, PATIENCE, &[("parse", 2)]).await?;
    let numbers = client.get(&format!("/jobs/{job}/metrics?get=numRestarts")).await?;
    ensure!(numbers[0]["value"] == "0", "{numbers}\n{}", controller.said());

    place(&namespace, r#"{"place": "nowhere"}"#).await?;
    topic.set_rate(720.0)?;
    until("the scheduler's words in the status", patience, async || {
        let status = namespace.object("FlinkAutoscaler", "flink").await?["status"].to_string();
        ensure!(
            status.contains("SlotsAwaited") && status.contains("node affinity/selector"),
            "{status}\n{}",
            controller.said()
        );
        Ok(())
    })
    .await?;
    until("the Event that says so", PATIENCE, async || {
        let told = events(&namespace, "flink").await?;
        ensure!(told.iter().any(|reason| reason == "SlotsAwaited"), "{told:?}");
        Ok(())
    })
    .await?;
    place(&namespace, "null").await?;
    // Those that wait are made from the template of then.
    namespace
        .kubectl(&[
            "delete",
            "pod",
            "-l",
            "component=taskmanager",
            "--field-selector",
            "status.phase=Pending",
        ])
        .await?;
    let grown = until("the job to grow", patience, async || {
        let parse = client.vertices(&job).await?["parse"].parallelism;
        ensure!(parse >= 5, "parse {parse}\n{}", controller.said());
        Ok(parse)
    })
    .await?;
    client.running_at(&job, PATIENCE, &[("parse", grown)]).await
}
