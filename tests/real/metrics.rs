//! Tidegate's own metrics, as a real Prometheus reads them from a daemon that scales a real job.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::daemon::{Daemon, Settings};
use crate::testbed::{Flink, Job, Options, Prometheus, until};

const PATIENCE: Duration = Duration::from_mins(1);

/// The queries of the dashboard, as Grafana would send them for all autoscalers, each with its panel's title.
fn dashboard() -> Result<Vec<(String, String)>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/monitoring/dashboard.json");
    let dashboard: Value = serde_json::from_slice(&fs::read(path)?)?;
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().context("panels")? {
        for target in panel["targets"].as_array().context("targets")? {
            let query = target["expr"].as_str().context("a query")?;
            let query = query
                .replace("$autoscaler", ".*")
                .replace("$__rate_interval", "10s")
                .replace("$__range", "1m");
            queries.push((panel["title"].to_string(), query));
        }
    }
    Ok(queries)
}

/// Hands the metrics to `promtool check metrics`, which says what is against the conventions.
fn check(metrics: &str) -> Result<()> {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("promtool")?;
    promtool.stdin.take().context("its input")?.write_all(metrics.as_bytes())?;
    let run = promtool.wait_with_output()?;
    let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    ensure!(run.status.success() && said.trim().is_empty(), "{said}\n{metrics}");
    Ok(())
}

#[tokio::test]
async fn a_real_prometheus_reads_them_and_no_panel_is_empty() -> Result<()> {
    let flink = Flink::start("2.3", Options { taskmanagers: 1, ..Options::default() }).await?;
    let topic = flink.topic("orders")?;
    let job = flink.submit(&Job::chain(&topic)).await?;
    flink.client().running_at(&job, PATIENCE, &[("parse", 1)]).await?;
    topic.set_rate(400.0)?;
    let daemon = Daemon::start(flink.url(), "chain", &Settings { listens: true, ..Settings::default() })?;
    let url = daemon.url().context("it listens")?;
    let prometheus =
        Prometheus::start(&[("tidegate", vec![url.trim_start_matches("http://").to_owned()])]).await?;
    daemon.asks(1, PATIENCE).await?;
    until("no panel to be empty", PATIENCE, async || {
        for (title, query) in dashboard()? {
            let values = prometheus.query(&query).await?;
            ensure!(!values.is_empty(), "{title}: {query}");
        }
        Ok(())
    })
    .await?;
    let values = prometheus.query("tidegate_vertex_parallelism{vertex=\"parse\"}").await?;
    let applied = prometheus.query("tidegate_vertex_applied_parallelism{vertex=\"parse\"}").await?;
    ensure!(values.len() == 1 && applied.len() == 1 && applied[0] >= 2.0, "{values:?}, {applied:?}");
    let calls = prometheus.query("tidegate_flink_requests_total{result=\"ok\"}").await?;
    ensure!(calls.iter().sum::<f64>() > 5.0, "{calls:?}");

    let http = reqwest::Client::new();
    for path in ["healthz", "readyz"] {
        let status = http.get(format!("{url}/{path}")).send().await?.status();
        ensure!(status.is_success(), "{path}: {status}");
    }
    check(&http.get(format!("{url}/metrics")).send().await?.text().await?)?;
    daemon.stop()
}
