//! Replicas before a real API server: rivals who write in between, and quotas. The jobs are simulated, so TaskManagers that
//! are asked for come when a test has them come.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::bed::{Controller, Job, PATIENCE, namespace};
use super::rival::Rival;
use crate::kubernetes::{Cluster, Namespace};
use crate::testbed::until;

/// What the controller says when it has changed the replicas.
const SCALED: &str = "Kubernetes was asked for another number of TaskManagers";

/// A workload of two pods that do nothing.
fn workload(kind: &str, name: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n  replicas: 2\n  \
         selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    \
         spec:\n      terminationGracePeriodSeconds: 0\n      containers:\n      \
         - {{name: taskmanager, image: 'localhost/base:1', command: [sleep, '3600']}}\n"
    )
}

/// The autoscaler of a job with such a workload.
fn autoscaler(job: &Job, kind: &str, name: &str) -> String {
    let workload = format!("{{apiVersion: apps/v1, kind: {kind}, name: {name}}}");
    job.autoscaler(name, &format!("  workload: {workload}\n  replicas: {{min: 1, max: 8}}\n"))
}

async fn replicas(namespace: &Namespace, kind: &str, name: &str) -> Result<u64> {
    let object = namespace.object(kind, name).await?;
    object["spec"]["replicas"].as_u64().context("no replicas")
}

#[tokio::test]
async fn who_writes_in_between_is_not_overwritten() -> Result<()> {
    let note = json!({"metadata": {"annotations": {"somebody": "else"}}});
    let more = json!({"spec": {"replicas": 3}});
    for (write, from) in [(note, "from=2 "), (more, "from=3 ")] {
        let (namespace, job) = (namespace().await?, Job::on(2, 1).await?);
        namespace.apply(&workload("Deployment", "taskmanagers")).await?;
        let rival = Rival::of(&namespace, std::slice::from_ref(&write)).await?;
        namespace.apply(&autoscaler(&job, "Deployment", "taskmanagers")).await?;
        let mut controller = Controller::with(&rival.kubeconfig(), &namespace, &[])?;
        // What was meant for two is done to two, or made anew.
        let said = controller.says(SCALED).await?;
        ensure!(said.contains(from), "after {write}: {said}");
        // The controllers of Kubernetes are rivals, too.
        let answers = rival.answers();
        let (last, before) = answers.split_last().context("no change")?;
        let is_so = *last == 200 && !before.is_empty() && before.iter().all(|status| *status == 409);
        ensure!(is_so, "{answers:?}\n{}", controller.said());
        let superseded = controller.said().contains("3 replicas are asked for now, not 2");
        ensure!(superseded == (from == "from=3 "), "{}", controller.said);
        let found = namespace.object("Deployment", "taskmanagers").await?;
        ensure!(found["spec"]["replicas"].as_u64() >= Some(4), "{found}");
        let kept = &found["metadata"]["annotations"]["somebody"];
        ensure!(superseded || kept == "else", "{found}");
    }
    Ok(())
}

#[tokio::test]
async fn slots_that_come_after_their_taskmanagers_are_not_missed() -> Result<()> {
    let (namespace, job) = (namespace().await?, Job::on(2, 1).await?);
    namespace.apply(&workload("Deployment", "taskmanagers")).await?;
    namespace.apply(&autoscaler(&job, "Deployment", "taskmanagers")).await?;
    let mut controller = Controller::start(Cluster::shared()?, &namespace)?;
    controller.says(SCALED).await?;
    let replicas = u32::try_from(replicas(&namespace, "Deployment", "taskmanagers").await?)?;
    // For some looks, all that were asked for are there, and hold nothing.
    job.flink.with(|flink| flink.register(replicas - 2, Duration::from_secs(4)));
    job.is_asked().await.with_context(|| controller.said().to_owned())?;
    ensure!(job.flink.with(|flink| flink.slots().total) == replicas, "before its slots are there");
    Ok(())
}

#[tokio::test]
async fn what_a_quota_refuses_is_given_back_and_the_job_takes_what_there_is() -> Result<()> {
    let Some(cluster) = Cluster::with_pods()? else { return Ok(()) };
    cluster.install().await?;
    let namespace = namespace().await?;
    let kinds = ["Deployment", "StatefulSet"];
    let jobs = [Job::on(2, 1).await?, Job::on(2, 1).await?];
    for kind in kinds {
        namespace.apply(&workload(kind, &kind.to_lowercase())).await?;
    }
    let quota = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: pods}\nspec: {hard: {pods: '4'}}\n";
    until("all pods", PATIENCE, async || {
        for kind in kinds {
            let found = namespace.object(kind, &kind.to_lowercase()).await?;
            ensure!(found["status"]["readyReplicas"] == 2, "{kind}: {}", found["status"]);
        }
        Ok(())
    })
    .await?;
    namespace.apply(quota).await?;
    until("the quota to be counted", PATIENCE, async || {
        let found = namespace.object("ResourceQuota", "pods").await?;
        ensure!(found["status"]["used"]["pods"] == "4", "{}", found["status"]);
        Ok(())
    })
    .await?;
    let mut controller = Controller::start(cluster, &namespace)?;
    for (kind, job) in kinds.iter().zip(&jobs) {
        namespace.apply(&autoscaler(job, kind, &kind.to_lowercase())).await?;
    }
    for (kind, job, words) in [
        (kinds[0], &jobs[0], "exceeded quota: pods"),
        (kinds[1], &jobs[1], "the Events of the StatefulSet say why"),
    ] {
        let name = kind.to_lowercase();
        until(&format!("the job of the {kind} to take what there is"), PATIENCE, async || {
            let replicas = replicas(&namespace, kind, &name).await?;
            let (changes, size) = (job.changes(), job.size());
            let said = namespace.object("ConfigMap", &format!("tidegate-{name}")).await?.to_string();
            ensure!(
                (changes, size, replicas) == (1, 2, 2) && said.contains(words),
                "{changes} changes, size {size}, {replicas} replicas\n{said}\n{}",
                controller.said()
            );
            Ok(())
        })
        .await?;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    ensure!(jobs.iter().all(|job| job.changes() == 1), "{}", controller.said());
    Ok(())
}
