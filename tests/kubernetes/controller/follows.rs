//! What an object says is done, and what comes of it is shown; changes are followed live.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::bed::{ASKED, Controller, Job, PATIENCE, are_told, awaits, namespace};
use crate::kubernetes::Cluster;
use crate::testbed::until;

#[tokio::test]
async fn a_job_is_scaled_once_and_its_object_says_so() -> Result<()> {
    let (namespace, job) = (namespace().await?, Job::new().await?);
    let mut controller = Controller::start(Cluster::shared()?, &namespace)?;
    namespace.apply(&job.autoscaler("orders", "")).await?;
    controller.says(ASKED).await?;
    are_told(&namespace, "orders", &["Rescaled", "Rescaling"]).await?;
    awaits(&namespace, "orders", "ScalingActive", "True", "ValidMetricFound").await?;
    ensure!(job.changes() == 1 && (4..=6).contains(&job.size()), "{} {}", job.changes(), job.size());

    let map = namespace.object("ConfigMap", "tidegate-orders").await?;
    let owner = &map["metadata"]["ownerReferences"][0];
    ensure!(owner["kind"] == "FlinkAutoscaler" && owner["name"] == "orders", "{map}");
    let state = map["data"]["state.json"].as_str().unwrap_or_default();
    ensure!(state.contains("\"version\":1") && state.contains("\"end\":\"Done\""), "{state}");

    namespace.kubectl(&["delete", "fas", "orders"]).await?;
    controller.says("stopped").await?;
    // The garbage collector learns of new kinds twice a minute.
    until("the state to go with its object", PATIENCE * 2, async || {
        let left = namespace.kubectl(&["get", "configmap", "tidegate-orders"]).await;
        ensure!(left.is_err(), "{left:?}");
        Ok(())
    })
    .await?;
    let asked = job.requests();
    tokio::time::sleep(Duration::from_secs(3)).await;
    ensure!(job.requests() == asked, "a job without an autoscaler is still polled");
    let said = controller.stops().await?;
    ensure!(said.contains("the Lease is given back"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_change_of_spec_or_policy_is_followed_and_one_of_the_status_is_none() -> Result<()> {
    let (namespace, job) = (namespace().await?, Job::new().await?);
    let mut controller = Controller::start(Cluster::shared()?, &namespace)?;
    namespace.apply(&job.autoscaler("orders", "  mode: Recommend\n")).await?;
    controller.says("Recommended").await?;
    ensure!(job.changes() == 0, "a mode that recommends has changed something");
    // A policy under which nothing is done.
    let idle =
        super::bed::QUICK.replace("cooldown: 1s", "cooldown: 1s, blackout: [{cron: '* * * * *', for: 1d}]");
    namespace.apply(&idle).await?;
    controller.says("Blackout").await?;
    namespace
        .kubectl(&["patch", "fas", "orders", "--type=merge", "-p", r#"{"spec":{"mode":"Auto"}}"#])
        .await?;
    controller.says("looked after").await?;
    // Nothing is known anew: what was learned was carried over, so that a single poll is enough to go on.
    namespace.apply(super::bed::QUICK).await?;
    controller.says(ASKED).await?;
    awaits(&namespace, "orders", "ScalingActive", "True", "ValidMetricFound").await?;
    let patch = r#"{"status":{"sizes":"9/9"}}"#;
    let status = ["patch", "fas", "orders", "--subresource=status", "--type=merge", "-p", patch];
    namespace.kubectl(&status).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let begun = controller.said().matches("looked after").count();
    ensure!(begun == 4, "its task was begun {begun} times:\n{}", controller.said);
    ensure!(job.changes() == 1);
    Ok(())
}

#[tokio::test]
async fn an_annotation_pauses_until_it_is_taken_off() -> Result<()> {
    let (namespace, job) = (namespace().await?, Job::new().await?);
    let mut controller = Controller::start(Cluster::shared()?, &namespace)?;
    let paused = job.autoscaler("orders", "");
    let paused = paused.replace("{name: orders}", "{name: orders, annotations: {tidegate.dev/pause: up}}");
    namespace.apply(&paused).await?;
    controller.says("PausedByAnnotation").await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    ensure!(job.changes() == 0, "a paused job was changed");
    are_told(&namespace, "orders", &["PausedByAnnotation"]).await?;
    namespace.kubectl(&["annotate", "fas", "orders", "tidegate.dev/pause-"]).await?;
    controller.says(ASKED).await?;
    Ok(())
}

#[tokio::test]
async fn an_object_that_is_wrong_says_why_and_the_others_go_on() -> Result<()> {
    let (namespace, job, other) = (namespace().await?, Job::new().await?, Job::new().await?);
    let mut controller = Controller::start(Cluster::shared()?, &namespace)?;
    let wrong = other.autoscaler("wrong", "").replace("{name: quick}", "{name: qick}");
    namespace.apply(&format!("{}---\n{wrong}", job.autoscaler("orders", ""))).await?;
    controller.says(ASKED).await?;
    let message = awaits(&namespace, "wrong", "ScalingActive", "False", "PolicyNotFound").await?;
    ensure!(message.contains("unknown policy `qick`"), "{message}");
    ensure!(other.requests() == 0, "a job is polled of which nothing is known");
    namespace.apply(&other.autoscaler("wrong", "")).await?;
    other.is_asked().await?;
    awaits(&namespace, "wrong", "ScalingActive", "True", "ValidMetricFound").await?;
    Ok(())
}
