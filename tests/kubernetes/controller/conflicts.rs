//! Two that scale the same: a condition says so, and neither acts.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::bed::{ASKED, Controller, Job, are_told, awaits, namespace};
use crate::kubernetes::Cluster;

#[tokio::test]
async fn of_two_autoscalers_of_one_job_neither_acts_until_one_is_gone() -> Result<()> {
    let (namespace, job) = (namespace().await?, Job::new().await?);
    let both = format!("{}---\n{}", job.autoscaler("one", ""), job.autoscaler("two", ""));
    namespace.apply(&both).await?;
    let mut controller = Controller::start(Cluster::shared()?, &namespace)?;
    controller.says("Conflict").await?;
    controller.says("Conflict").await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    ensure!(job.changes() == 0, "one of two has acted:\n{}", controller.said());
    for name in ["one", "two"] {
        are_told(&namespace, name, &["Conflict"]).await?;
        let message = awaits(&namespace, name, "AbleToScale", "False", "Conflict").await?;
        let other = if name == "one" { "two" } else { "one" };
        ensure!(message.contains(&format!("FlinkAutoscaler {}/{other}", namespace.name())), "{message}");
    }
    namespace.kubectl(&["delete", "fas", "two"]).await?;
    controller.says(ASKED).await?;
    ensure!(job.changes() == 1);
    Ok(())
}

#[tokio::test]
async fn an_hpa_on_the_workload_stops_the_autoscaler() -> Result<()> {
    let (namespace, job) = (namespace().await?, Job::new().await?);
    let workload = "{apiVersion: apps/v1, kind: Deployment, name: taskmanagers}";
    namespace
        .apply(&format!(
            "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: by-cpu}}\n\
             spec: {{minReplicas: 1, maxReplicas: 4, scaleTargetRef: {workload}}}\n---\n{}",
            job.autoscaler("orders", &format!("  workload: {workload}\n"))
        ))
        .await?;
    let mut controller = Controller::start(Cluster::shared()?, &namespace)?;
    let said = controller.says("Conflict").await?;
    ensure!(said.contains(&format!("HorizontalPodAutoscaler {}/by-cpu", namespace.name())), "{said}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    ensure!(job.changes() == 0, "it has acted:\n{}", controller.said());
    Ok(())
}
