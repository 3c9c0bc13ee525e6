//! Flink in reactive mode, in real pods: only the replicas are changed, and the job takes the slots that there are.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;

use crate::controller::bed::{Controller, ledger};
use crate::kubernetes::{Cluster, Namespace, Options};
use crate::testbed::{Job, until};

/// Java starts within seconds, and Flink takes a slot seconds later; the machine is busy with other tests.
const PATIENCE: Duration = Duration::from_mins(4);

const OBJECTS: &str = "
apiVersion: tidegate.dev/v1alpha1
kind: ScalingPolicy
metadata: {name: short}
spec:
  rules: [{throughput: {}}]
  # So long that what is saved is more than the restart costs, on a slow machine as well.
  behavior: {scaleDown: {stabilizationWindowSeconds: 30}}
  limits: {cooldown: 5s}
---
apiVersion: tidegate.dev/v1alpha1
kind: FlinkAutoscaler
metadata: {name: flink}
spec:
  flink: {url: 'URL', poll: 2s}
  policyRef: {name: short}
  replicas: {min: 1, max: 4}
  workload: {apiVersion: apps/v1, kind: Deployment, name: flink-taskmanager}
";

/// Replicas that are asked for, and those that exist.
async fn replicas(namespace: &Namespace) -> Result<(i32, i32)> {
    let found = namespace.api::<Deployment>().get("flink-taskmanager").await?;
    let wanted = found.spec.and_then(|spec| spec.replicas).unwrap_or(0);
    Ok((wanted, found.status.and_then(|status| status.replicas).unwrap_or(0)))
}

#[tokio::test]
async fn in_reactive_mode_the_job_follows_its_taskmanagers() -> Result<()> {
    let Some(cluster) = Cluster::with_pods()? else { return Ok(()) };
    let namespace = cluster.namespace_of_ours().await?;
    let topic = namespace.topic("orders")?;
    // A record costs `parse` 4 ms: 250/s for each subtask, of which 175 is what it is to do.
    topic.set_rate(150.0)?;
    let job = Job::chain(&topic);
    let (class, arguments) = job.program();
    let begin = ["standalone-job", "--job-classname", class].map(str::to_owned);
    let arguments: Vec<_> = begin.iter().chain(arguments).collect();
    let jobmanager = json!({"spec": {"template": {"spec": {"containers": [{
        "name": "jobmanager", "args": arguments,
    }]}}}});
    let options = Options {
        taskmanagers: 1,
        slots: 1,
        beside_jobmanager: Some(jobmanager.to_string()),
        ..Options::default()
    };
    let options = options
        .with("scheduler-mode", "reactive")
        // A job that would take more slots than there are waits for a minute before it takes some.
        .with("jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout", "1s");
    let flink = namespace.flink(options).await?;
    let client = flink.client();
    let id = until("the job", PATIENCE, async || {
        let jobs = client.get("/jobs").await?;
        Ok(jobs["jobs"][0]["id"].as_str().with_context(|| jobs.to_string())?.to_owned())
    })
    .await?;
    client.running_at(&id, PATIENCE, &[("parse", 1)]).await?;
    namespace.apply(&OBJECTS.replace("URL", client.url())).await?;
    let mut controller = Controller::start(cluster, &namespace)?;

    topic.set_rate(450.0)?;
    until("three TaskManagers or four, and the job on all of them", PATIENCE, async || {
        let ((wanted, there), vertices) = (replicas(&namespace).await?, client.vertices(&id).await?);
        let sizes: Vec<_> = vertices.values().map(|vertex| vertex.parallelism).collect();
        let follow =
            sizes.iter().all(|&size| i64::try_from(size).is_ok_and(|size| size == i64::from(wanted)));
        let is_there = (3..=4).contains(&wanted) && wanted == there && follow && topic.waiting()? < 100.0;
        ensure!(
            is_there,
            "{there} of {wanted} replicas, {sizes:?}, {} wait\n{}",
            topic.waiting()?,
            controller.said()
        );
        Ok(())
    })
    .await?;
    let done = until("the rescale to have ended as it was asked for", PATIENCE, async || {
        let ends = ends(&namespace).await?;
        ensure!(ends.last().is_some_and(|end| end == "Done"), "{ends:?}\n{}", controller.said());
        Ok(ends)
    })
    .await?;
    ensure!(done.len() == 1, "{done:?}: one step takes one rescale\n{}", controller.said());
    let status = namespace.object("FlinkAutoscaler", "flink").await?["status"].clone();
    ensure!(status["mechanism"] == "Reactive", "{status}");

    topic.set_rate(60.0)?;
    until("one TaskManager, and the job on it", PATIENCE, async || {
        let (counts, vertices) = (replicas(&namespace).await?, client.vertices(&id).await?);
        let sizes: Vec<_> = vertices.values().map(|vertex| vertex.parallelism).collect();
        ensure!(
            counts == (1, 1) && sizes.iter().all(|&size| size == 1),
            "{counts:?} {sizes:?}\n{}",
            controller.said()
        );
        Ok(())
    })
    .await?;
    client.running_at(&id, PATIENCE, &[("parse", 1)]).await?;
    until("the end of that rescale", PATIENCE, async || {
        let ends = ends(&namespace).await?;
        ensure!(ends.len() >= 2 && ends.iter().all(|end| end == "Done"), "{ends:?}\n{}", controller.said());
        Ok(())
    })
    .await
}

/// How the rescales have ended that are kept.
async fn ends(namespace: &Namespace) -> Result<Vec<String>> {
    let rescales = ledger(namespace, "flink").await?["rescales"].as_array().cloned().unwrap_or_default();
    Ok(rescales.iter().map(|rescale| rescale["end"].as_str().unwrap_or_default().to_owned()).collect())
}
