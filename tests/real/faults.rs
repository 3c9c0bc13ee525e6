//! What goes wrong on a real cluster, and nothing wrong being done about it.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::daemon::{Daemon, Settings};
use crate::testbed::{Fault, Flink, Job, Options, Proxy};

const PATIENCE: Duration = Duration::from_mins(1);

/// A short window: whatever would scale down on missing data has every occasion to.
fn eager() -> Settings {
    Settings { window: 6, cooldown: "5s", ..Settings::default() }
}

#[tokio::test]
async fn a_lost_jobmanager_and_a_lost_taskmanager_cause_no_wrong_action() -> Result<()> {
    let options = Options { ha: true, slots: 4, taskmanagers: 3, ..Options::default() };
    let mut flink = Flink::start("2.3", options).await?;
    let topic = flink.topic("orders")?;
    let job = flink.submit(&Job::chain(&topic).parallelism("parse", 4)).await?;
    flink.client().running_at(&job, PATIENCE, &[("parse", 4)]).await?;
    topic.set_rate(600.0)?;
    let mut daemon = Daemon::start(flink.url(), "chain", &eager())?;
    daemon.cycles_with("Unchanged", 5, PATIENCE).await?;

    flink.kill_jobmanager()?;
    daemon.cycles_with("Unobserved", 3, PATIENCE).await?;
    flink.restart_jobmanager().await?;
    flink.client().running_at(&job, PATIENCE, &[("parse", 4)]).await?;
    daemon.cycles_with("Unchanged", 3, PATIENCE).await?;
    daemon.check_alive()?;

    // The job needs four slots of the eight that are left.
    flink.kill_taskmanager(0)?;
    flink.client().running_at(&job, PATIENCE, &[("parse", 4)]).await?;
    daemon.cycles_with("Unchanged", 3, PATIENCE).await?;
    let asked = daemon.asked()?;
    ensure!(asked.iter().all(|asked| asked.to.iter().all(|(_, size)| *size >= 4)), "scaled down: {asked:?}");
    ensure!(daemon.log().contains("since"), "it says since when Flink was away: {}", daemon.log());
    daemon.replays()?;
    daemon.stop()
}

#[tokio::test]
async fn a_slow_or_silent_flink_causes_no_action() -> Result<()> {
    let flink = Flink::start("1.20", Options { taskmanagers: 1, ..Options::default() }).await?;
    let topic = flink.topic("orders")?;
    // Twice as many as needed: it would scale down at the first occasion, if it believed what it has not seen.
    let job = flink.submit(&Job::chain(&topic).parallelism("parse", 3)).await?;
    flink.client().running_at(&job, PATIENCE, &[("parse", 3)]).await?;
    topic.set_rate(450.0)?;
    let mut proxy = Proxy::start(flink.url()).await?;
    let mut daemon = Daemon::start(&proxy.url(), "chain", &eager())?;
    daemon.cycles_with("Unchanged", 3, PATIENCE).await?;
    for fault in [Fault::Status(503), Fault::Cut, Fault::Refuse, Fault::Delay(Duration::from_secs(15))] {
        proxy.set(fault).await?;
        daemon.cycles_with("Unobserved", 2, PATIENCE * 2).await.with_context(|| format!("{fault:?}"))?;
        proxy.set(Fault::None).await?;
        daemon.cycles_with("Unchanged", 2, PATIENCE * 2).await.with_context(|| format!("after {fault:?}"))?;
        daemon.check_alive()?;
    }
    // Slow, but answering in time: it goes on as before.
    proxy.set(Fault::Delay(Duration::from_millis(500))).await?;
    daemon.cycles_with("Unchanged", 3, PATIENCE).await?;
    ensure!(daemon.asked()?.is_empty(), "{:?}", daemon.asked()?);
    daemon.replays()?;
    daemon.stop()
}

#[tokio::test]
async fn a_daemon_killed_in_mid_rescale_goes_on_where_it_was() -> Result<()> {
    let flink = Flink::start("2.3", Options::default()).await?;
    let topic = flink.topic("orders")?;
    let job = flink.submit(&Job::chain(&topic).parallelism("parse", 1)).await?;
    flink.client().running_at(&job, PATIENCE, &[("parse", 1)]).await?;
    topic.set_rate(500.0)?;
    // Within Flink's own cooldown the request is taken and carried out later: time enough to be killed in between.
    let mut daemon = Daemon::start(flink.url(), "chain", &Settings::default())?;
    let asked = daemon.asks(1, PATIENCE).await?;
    let size = asked.to.iter().find(|(name, _)| name == "parse").context("parse is changed")?.1;
    ensure!((3..=4).contains(&size), "500/s of 4 ms, and what piled up: {asked:?}");
    daemon.crash_and_restart()?;
    flink.client().running_at(&job, PATIENCE, &[("parse", size)]).await?;
    daemon.cycles_with("Unchanged", 2, PATIENCE).await?;
    ensure!(daemon.asked()?.len() == 1, "asked twice for one: {:?}", daemon.asked()?);
    daemon.stop()
}

#[tokio::test]
async fn recommend_only_reads_and_says_what_run_would_do() -> Result<()> {
    let flink = Flink::start("2.3", Options::default()).await?;
    let topic = flink.topic("orders")?;
    let job = flink.submit(&Job::chain(&topic).parallelism("parse", 2)).await?;
    flink.client().running_at(&job, PATIENCE, &[("parse", 2)]).await?;
    topic.set_rate(900.0)?;
    let proxy = Proxy::start(flink.url()).await?;
    let url = proxy.url();
    let output = tokio::task::spawn_blocking(move || {
        Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["recommend", "--flink", &url, "--for", "20s", "-o", "json"])
            .output()
    })
    .await??;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{said}");
    let methods: Vec<_> = proxy.requests().iter().map(|(method, _)| method.to_string()).collect();
    ensure!(!methods.is_empty() && methods.iter().all(|method| method == "GET"), "{methods:?}");
    let decision: Value = serde_json::from_slice(&output.stdout).context("JSON on stdout")?;
    let parse = decision["decision"]["plan"]["changes"]
        .as_array()
        .and_then(|changes| changes.iter().find(|change| change["name"] == "parse"))
        .and_then(|change| change["to"].as_u64())
        .with_context(|| format!("no plan for parse: {decision}"))?;

    let daemon = Daemon::start(flink.url(), "chain", &Settings::default())?;
    let asked = daemon.asks(1, PATIENCE).await?;
    let run = asked.to.iter().find(|(name, _)| name == "parse").context("parse is changed")?.1;
    ensure!(parse.abs_diff(run) <= 1, "recommend says {parse}, run does {run}");
    daemon.stop()
}
