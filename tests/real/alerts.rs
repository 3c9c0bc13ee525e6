//! The alerts of deploy/monitoring on a real Prometheus that scrapes a daemon: each fires when its fault is made, and stops when it
//! is mended. `TidegateNobodyActs` takes a Lease that nobody can have, so that it is beside the tests of leading.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tidegate::daemon::clock;
use tidegate::model::FlinkVersion;
use tidegate::serve::flink::{FlinkServer, Pace};
use tidegate::simulate::{EdgeScenario, Load, Scenario, Simulation, VertexScenario, scenarios};
use tokio::net::TcpListener;

use crate::testbed::{Fault, Prometheus, Proxy, free_port, until};

/// Far longer than anything here takes on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_mins(3);

/// The alerts as they are, but that they wait for nothing and look back for seconds, as a test has no hour.
fn rules() -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/monitoring/alerts.yaml");
    let mut rules = fs::read_to_string(path)?;
    for (theirs, ours) in [
        ("> 300\n", "> 6\n"),
        ("tidegate_backlog_records[10m]", "tidegate_backlog_records[5s]"),
        ("[30m]", "[15s]"),
        ("[5m]", "[15s]"),
        ("[1h])) > 6", "[15s])) > 0"),
    ] {
        ensure!(rules.contains(theirs), "the alerts say {theirs:?} no more");
        rules = rules.replace(theirs, ours);
    }
    let lines = rules.lines().filter(|line| !line.trim_start().starts_with("for: "));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// A simulated Flink, whose job takes in 250 records/s, behind a proxy.
pub async fn flink(load: Load) -> Result<Proxy> {
    Proxy::start(&simulated(load).await?).await
}

/// The same without a proxy; its URL.
pub async fn simulated(load: Load) -> Result<String> {
    let scenario = Scenario {
        name: "orders".to_owned(),
        // Rescales at once; later versions wait until half a minute after a start.
        flink_version: FlinkVersion { major: 1, minor: 18, patch: 1 },
        taskmanagers: 2,
        slots_per_taskmanager: 8,
        vertices: vec![
            VertexScenario::new("source", 0.01).with_load(load),
            VertexScenario::new("parse", 4.0).with_parallelism(1),
        ],
        edges: vec![EdgeScenario::new("source", "parse")],
        faults: Vec::new(),
        ..scenarios::demo()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let simulation = Simulation::starting_at(&scenario, clock::now())?;
    tokio::spawn(FlinkServer::new(simulation, Pace::Times(1.0)).serve(listener, std::future::pending()));
    Ok(url)
}

pub fn autoscaler(name: &str, flink: &Proxy, more: &str) -> String {
    format!(
        "apiVersion: tidegate.dev/v1alpha1\nkind: FlinkAutoscaler\nmetadata: {{name: {name}}}\nspec:\n  \
         flink: {{url: '{}', poll: 1s}}\n{more}---\n",
        flink.url()
    )
}

/// A process that ends with the test.
pub struct Ends(pub Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until each of these has fired for its autoscaler, now or before.
async fn fired(prometheus: &Prometheus, alerts: &[(&str, &str)], log: &Path) -> Result<()> {
    for (alert, autoscaler) in alerts {
        let labels = format!("alertname=\"{alert}\",autoscaler=\"{autoscaler}\",alertstate=\"firing\"");
        until(&format!("{alert} of {autoscaler}"), PATIENCE, async || {
            let fired = prometheus.query(&format!("max_over_time(ALERTS{{{labels}}}[10m])")).await?;
            ensure!(!fired.is_empty(), "{}", fs::read_to_string(log)?);
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn each_fires_when_its_fault_is_made_and_stops_after() -> Result<()> {
    let mut grows = flink(Load::steps(&[(0, 700.0)])).await?;
    let mut lost = flink(Load::steps(&[(0, 100.0)])).await?;
    grows.set(Fault::Refusal(500)).await?;
    lost.set(Fault::Refuse).await?;
    let port = free_port()?;
    let scrapes = [("tidegate", vec![format!("127.0.0.1:{port}")])];
    let prometheus = Prometheus::with_rules(&scrapes, &rules()?).await?;
    let mut asked = Proxy::start(&prometheus.url()).await?;
    // Nobody may give it more than it has, until its load has gone.
    let short = flink(Load::steps(&[(0, 700.0), (60, 20.0)])).await?;
    let folder = tempfile::tempdir()?;
    let policy = "apiVersion: tidegate.dev/v1alpha1\nkind: ScalingPolicy\nmetadata: {name: asks}\nspec:\n  \
                  rules: [{throughput: {}}, {prometheus: {query: 'vector(1)', target: {type: Value, value: \"1000\"}}}]\n  \
                  limits: {cooldown: 1s, rescales: {max: 100, per: 1h}}\n";
    let asks = format!("  policyRef: {{name: asks}}\n  prometheus: {{url: '{}'}}\n", asked.url());
    let config = autoscaler("short", &short, "  parallelism: {max: 1}\n")
        + &autoscaler("grows", &grows, &asks)
        + &autoscaler("lost", &lost, "")
        + policy;
    fs::write(folder.path().join("jobs.yaml"), config)?;
    let log = folder.path().join("log");
    let stderr = fs::File::create(&log)?;
    let _daemon = Ends(
        Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["run", "--no-journal", "--listen", &format!("127.0.0.1:{port}"), "--config"])
            .arg(folder.path().join("jobs.yaml"))
            .arg("--state-dir")
            .arg(folder.path().join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .context("cannot start the daemon")?,
    );
    let first = [
        ("TidegateJobNeverSeen", "lost"),
        ("TidegateRescaleFails", "grows"),
        ("TidegateJobTooSmall", "short"),
        ("TidegateBacklogGrows", "short"),
    ];
    fired(&prometheus, &first, &log).await?;

    grows.set(Fault::None).await?;
    lost.set(Fault::None).await?;
    fired(&prometheus, &[("TidegateRestless", "grows")], &log).await?;
    asked.set(Fault::Refuse).await?;
    fired(&prometheus, &[("TidegateRuleSilent", "grows")], &log).await?;
    asked.set(Fault::None).await?;
    grows.set(Fault::Refuse).await?;
    fired(&prometheus, &[("TidegateJobNotSeen", "grows")], &log).await?;

    grows.set(Fault::None).await?;
    until("no alert to fire any more", PATIENCE, async || {
        let firing = prometheus.query("ALERTS{alertstate=\"firing\"}").await?;
        let which = prometheus.query("count by (alertname) (ALERTS)").await?;
        ensure!(
            firing.is_empty(),
            "{} fire, of {} kinds: {}",
            firing.len(),
            which.len(),
            fs::read_to_string(&log)?
        );
        Ok(())
    })
    .await
}
