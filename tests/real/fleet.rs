//! Many jobs that ask one real Prometheus: what is equal is asked once for all.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use tidegate::simulate::Load;

use crate::alerts::{Ends, simulated};
use crate::testbed::{Prometheus, free_port, until};

const JOBS: usize = 200;

/// Two cores, of which one simulates the jobs.
const PATIENCE: Duration = Duration::from_mins(3);

/// Four that all ask, and one of each job's own.
const POLICY: &str = r#"
apiVersion: tidegate.dev/v1alpha1
kind: ScalingPolicy
metadata: {name: asks}
spec:
  rules:
    - throughput: {}
    - prometheus: {query: 'sum(up)', target: {type: Value, value: "1000"}}
    - prometheus: {query: 'count(up)', target: {type: Value, value: "1000"}}
    - prometheus: {query: 'max(up)', target: {type: Value, value: "1000"}}
    - prometheus: {query: 'min(up)', target: {type: Value, value: "1000"}}
    - prometheus: {query: 'sum(up{autoscaler!="${autoscaler}"})', target: {type: Value, value: "1000"}}
"#;

async fn job(number: usize) -> Result<String> {
    let url = simulated(Load::steps(&[(0, 100.0)])).await?;
    Ok(format!(
        "---\napiVersion: tidegate.dev/v1alpha1\nkind: FlinkAutoscaler\nmetadata: {{name: job-{number}}}\n\
         spec: {{flink: {{url: '{url}', poll: 10s}}, mode: Recommend, policyRef: {{name: asks}}}}\n"
    ))
}

/// The sum of all series of a metric that begin so.
fn sum(page: &str, begin: &str) -> f64 {
    let lines = page.lines().filter(|line| line.starts_with(begin));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// What has happened so far.
#[derive(Clone, Copy, Debug)]
struct Counts {
    /// Cycles of all jobs.
    cycles: f64,
    /// Queries that were answered, by Tidegate's count.
    asked: f64,
    /// And by Prometheus' own, with the seconds that they took it.
    served: f64,
    seconds: f64,
    failed: f64,
}

#[tokio::test]
async fn two_hundred_jobs_with_five_queries_each_ask_what_is_equal_once() -> Result<()> {
    let prometheus = Prometheus::start(&[("nothing", vec!["127.0.0.1:9".to_owned()])]).await?;
    let folder = tempfile::tempdir()?;
    let mut config = POLICY.to_owned();
    for number in 0..JOBS {
        config += &job(number).await?;
    }
    fs::write(folder.path().join("jobs.yaml"), config)?;
    let port = free_port()?;
    let log = fs::File::create(folder.path().join("log"))?;
    let _daemon = Ends(
        Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["run", "--no-journal", "--prometheus", &prometheus.url()])
            .arg(format!("--listen=127.0.0.1:{port}"))
            .arg("--config")
            .arg(folder.path().join("jobs.yaml"))
            .arg("--state-dir")
            .arg(folder.path().join("state"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?,
    );
    let counts = async || -> Result<Counts> {
        let get = async |url: String| reqwest::get(url).await?.text().await;
        let own = get(format!("http://127.0.0.1:{port}/metrics")).await?;
        let theirs = get(format!("{}/metrics", prometheus.url())).await?;
        let of_queries = |name: &str| sum(&theirs, &format!("{name}{{handler=\"/api/v1/query\"}}"));
        Ok(Counts {
            cycles: sum(&own, "tidegate_cycles_total{"),
            asked: sum(&own, "tidegate_prometheus_queries_total{result=\"ok\"}"),
            served: of_queries("prometheus_http_request_duration_seconds_count"),
            seconds: of_queries("prometheus_http_request_duration_seconds_sum"),
            failed: sum(&own, "tidegate_prometheus_queries_total{result=\"failed\"}"),
        })
    };
    let enough = async |cycles: f64| {
        until("so many cycles", PATIENCE, async || {
            let counts = counts().await?;
            ensure!(counts.cycles >= cycles, "{counts:?} {}", fs::read_to_string(folder.path().join("log"))?);
            Ok(counts)
        })
        .await
    };
    // All jobs have been seen, and each has asked.
    let before = enough(2.0 * JOBS as f64).await?;
    let after = enough(before.cycles + 2.0 * JOBS as f64).await?;
    let cycles = after.cycles - before.cycles;
    let (answered, failed) = (after.asked - before.asked, after.failed - before.failed);
    let took = (after.seconds - before.seconds) / (after.served - before.served).max(1.0);
    println!(
        "{JOBS} jobs with 5 queries each: {:.2} queries for each cycle of a job ({failed} not answered in time), {:.1} ms each at the \
         server",
        (answered + failed) / cycles,
        took * 1e3
    );
    // One of its own, and a two-hundredth of the four; without sharing it would be five. On a machine that is too busy for them an
    // answer serves more than one cycle.
    ensure!(answered > 0.0 && (answered + failed) / cycles < 1.5, "{before:?} {after:?}");
    Ok(())
}
