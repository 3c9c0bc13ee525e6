//! One acts: by a Lease, and by what is written before anything is done.

use std::time::Duration;

use anyhow::{Result, ensure};
use tidegate::daemon::clock;
use tokio::time::{Instant, sleep};

use super::bed::{ASKED, Controller, Job, PATIENCE, are_told, namespace};
use crate::kubernetes::Cluster;
use crate::testbed::{Fault, Prometheus, free_port, until};

/// A Lease that somebody keeps who is not there any more.
const KEPT: &str = "
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: tidegate}
spec: {holderIdentity: somebody, leaseDurationSeconds: 3600, acquireTime: NOW, renewTime: NOW}
";

#[tokio::test]
async fn another_takes_over_from_a_killed_leader_and_does_nothing_twice() -> Result<()> {
    let (namespace, mut job) = (namespace().await?, Job::new().await?);
    let mut first = Controller::start(Cluster::shared()?, &namespace)?;
    first.says("this process leads").await?;
    let mut second = Controller::start(Cluster::shared()?, &namespace)?;
    second.says("another process leads").await?;
    // So slow that the first is killed before it hears the answer.
    job.proxy.set(Fault::Delay(Duration::from_millis(400))).await?;
    namespace.apply(&job.autoscaler("orders", "")).await?;
    job.is_asked().await?;
    first.signal("KILL")?;
    let killed = Instant::now();
    job.proxy.set(Fault::None).await?;
    second.says("this process leads").await?;
    let took = killed.elapsed();
    ensure!(took < Duration::from_secs(15), "it took {took:?} to take over");
    second.says("looked after").await?;
    // It knows what was asked for, and sees what came of it.
    sleep(Duration::from_secs(8)).await;
    ensure!(job.changes() == 1, "Flink was asked {} times:\n{}", job.changes(), second.said());
    let map = namespace.object("ConfigMap", "tidegate-orders").await?;
    ensure!(map["data"]["state.json"].as_str().is_some_and(|state| state.contains("Done")), "{map}");
    Ok(())
}

#[tokio::test]
async fn one_that_stops_gives_the_lease_back_at_once() -> Result<()> {
    let namespace = namespace().await?;
    let mut first = Controller::start(Cluster::shared()?, &namespace)?;
    first.says("this process leads").await?;
    let mut second = Controller::start(Cluster::shared()?, &namespace)?;
    second.says("another process leads").await?;
    let told = Instant::now();
    first.stops().await?;
    second.says("this process leads").await?;
    ensure!(told.elapsed() < Duration::from_secs(6), "it took {:?}", told.elapsed());
    are_told(&namespace, "tidegate", &["LeaderElection", "LeaderElection"]).await
}

#[tokio::test]
async fn one_that_was_stopped_in_its_sleep_acts_no_more_when_it_wakes() -> Result<()> {
    let (namespace, mut job) = (namespace().await?, Job::new().await?);
    let mut first = Controller::start(Cluster::shared()?, &namespace)?;
    first.says("this process leads").await?;
    job.proxy.set(Fault::Refuse).await?;
    namespace.apply(&job.autoscaler("orders", "")).await?;
    first.says("nothing usable from Flink").await?;
    first.signal("STOP")?;
    let mut second = Controller::start(Cluster::shared()?, &namespace)?;
    second.says("this process leads").await?;
    job.proxy.set(Fault::None).await?;
    first.signal("CONT")?;
    first.says("another process leads").await?;
    second.says(ASKED).await?;
    sleep(Duration::from_secs(3)).await;
    ensure!(job.changes() == 1, "Flink was asked {} times", job.changes());
    ensure!(!first.said().contains(ASKED), "{}", first.said);
    Ok(())
}

#[tokio::test]
async fn a_state_that_somebody_else_wrote_is_read_again_before_anything_is_done() -> Result<()> {
    let (namespace, mut job) = (namespace().await?, Job::new().await?);
    job.proxy.set(Fault::Refuse).await?;
    namespace.apply(&job.autoscaler("orders", "")).await?;
    let mut controller = Controller::start(Cluster::shared()?, &namespace)?;
    controller.says("nothing usable from Flink").await?;
    namespace.kubectl(&["annotate", "configmap", "tidegate-orders", "somebody=else"]).await?;
    job.proxy.set(Fault::None).await?;
    controller.says("has been written by another process since").await?;
    ensure!(job.changes() == 0, "something was done that could not be written down");
    controller.says("looked after").await?;
    controller.says(ASKED).await?;
    ensure!(job.changes() == 1);
    Ok(())
}

#[tokio::test]
async fn an_alert_tells_that_nobody_can_have_the_lease() -> Result<()> {
    let namespace = namespace().await?;
    // To the microsecond, as the API server wants it.
    let now = clock::now().to_string().replace('Z', "000Z");
    namespace.apply(&KEPT.replace("NOW", &now)).await?;
    let address = format!("127.0.0.1:{}", free_port()?);
    let kubeconfig = Cluster::shared()?.kubeconfig();
    let mut controller = Controller::with(kubeconfig, &namespace, &["--listen", &address])?;
    controller.says("another process leads").await?;
    let rules = include_str!("../../../deploy/monitoring/alerts.yaml").lines();
    // A test has no five minutes to wait.
    let rules: Vec<&str> = rules.filter(|line| !line.trim_start().starts_with("for: ")).collect();
    let prometheus = Prometheus::with_rules(&[("tidegate", vec![address])], &rules.join("\n")).await?;
    let fires = async |wanted: usize| {
        until(&format!("{wanted} alerts to fire"), PATIENCE, async || {
            let query = "ALERTS{alertname=\"TidegateNobodyActs\",alertstate=\"firing\"}";
            let found = prometheus.query(query).await?.len();
            ensure!(found == wanted, "{found} fire");
            Ok(())
        })
        .await
    };
    fires(1).await?;
    namespace.kubectl(&["delete", "lease", "tidegate"]).await?;
    controller.says("this process leads").await?;
    fires(0).await
}
