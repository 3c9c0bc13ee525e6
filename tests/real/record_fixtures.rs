//! Records what real Flink answers into `tests/fixtures/flink/VERSION/`, for tests of what reads it. It is run by
//! `tests/testbed/record-fixtures` only, never with the other tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::testbed::{Client, Flink, Job, Options, until};

#[path = "record_rest.rs"]
mod record_rest;

const VERSIONS: &str = "1.17.2 1.18.1 1.19.3 1.20.5 2.0.2 2.1.3 2.2.1 2.3.0";
const PATIENCE: Duration = Duration::from_mins(1);

/// An id that Flink takes for one and that nothing has.
const UNKNOWN: &str = "00000000000000000000000000000000";

/// How long a trace goes on after the job has reached its new size: until its counters move again.
const SETTLING: Duration = Duration::from_secs(6);

/// Answers in a trace, at most; a rescale that takes more is not the one that was meant to be recorded.
const TRACED: usize = 40;

#[tokio::test]
#[ignore = "rewrites the committed fixtures; run tests/testbed/record-fixtures"]
async fn record_fixtures() -> Result<()> {
    let versions = std::env::var("TIDEGATE_RECORD").unwrap_or_else(|_| VERSIONS.to_owned());
    for version in versions.split_whitespace() {
        record(version).await.with_context(|| format!("Flink {version}"))?;
    }
    Ok(())
}

async fn record(version: &str) -> Result<()> {
    let quick = Options::default().with("jobmanager.adaptive-scheduler.scaling-interval.min", "1s");
    let flink = Flink::start(version, quick).await?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/flink").join(flink.version());
    // A fixture that is no longer recorded must not stay behind.
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let files = Files { client: flink.client(), folder };
    let client = flink.client();

    let topic = flink.topic("orders")?;
    topic.set_rate(500.0)?;
    let job = flink.submit(&Job::chain(&topic).parallelism("source", 2).parallelism("parse", 3)).await?;
    let path = format!("/jobs/{job}");
    // The first answer once the job is RUNNING: Flink knows hardly anything of its counters yet. Not asked for earlier,
    // because an earlier graph of the job would stay in Flink's cache for 3 s.
    until("the job to start", PATIENCE, async || {
        let state = client.state(&job).await?;
        ensure!(state == "RUNNING", "{state}");
        Ok(())
    })
    .await?;
    files.record("job-fresh", &path).await?;
    client.running_at(&job, PATIENCE, &[("parse", 3)]).await?;
    until("a checkpoint", PATIENCE, async || {
        let completed = client.get(&format!("{path}/checkpoints")).await?["counts"]["completed"].clone();
        ensure!(completed.as_u64() > Some(0), "{completed} checkpoints");
        Ok(())
    })
    .await?;
    let vertices = client.vertices_now(&job).await?;
    let source = format!("{path}/vertices/{}/subtasks/metrics", vertices["source"].id);
    let pending = format!("{source}?get=Source__source.pendingRecords");
    for (name, path) in [
        ("config", "/config"),
        ("overview", "/overview"),
        ("jobs", "/jobs"),
        ("jobs-overview", "/jobs/overview"),
        ("job-running", &path),
        ("job-status", &format!("{path}/status")),
        ("job-metrics", &format!("{path}/metrics?get=numRestarts,uptime")),
        ("source-metrics", &source),
        ("source-pending", &pending),
        ("source-pending-sum", &format!("{pending}&agg=sum")),
        ("source-missing", &format!("{source}?get=Source__source.pendingRecords,no.such.metric")),
        ("checkpoints", &format!("{path}/checkpoints")),
        ("taskmanagers", "/taskmanagers"),
    ] {
        files.record(name, path).await?;
    }
    record_rest::record(&files, &job, &vertices).await?;
    // Flink 1.17 knows no resource requirements.
    if client.get_any(&format!("{path}/resource-requirements")).await?.0 == 200 {
        trace_rescale(&files, &job).await?;
    }
    record_errors(&files, &job).await?;
    record_diamond(&flink, &files).await
}

/// Asks for more subtasks and writes down how `/jobs/:id` looks from shortly before until some time after the job runs
/// with them, leaving out answers that tell nothing new.
async fn trace_rescale(files: &Files<'_>, job: &str) -> Result<()> {
    let path = format!("/jobs/{job}");
    let requirements = format!("{path}/resource-requirements");
    files.record("resource-requirements", &requirements).await?;
    files.client.vertices_now(job).await?;
    let started = Instant::now();
    let mut trace = Vec::new();
    let mut last = Value::Null;
    let mut settled = None;
    while settled.is_none_or(|since: Instant| since.elapsed() < SETTLING) {
        let (status, body) = files.client.get_any(&path).await?;
        ensure!(status == 200, "{status}: {body}");
        let answer: Value = serde_json::from_str(&body)?;
        let telling = without_clocks(&answer);
        if telling != last {
            // The body as it came: another writer might order and print it in another way.
            trace.push(format!("{{\"millis\":{},\"job\":{body}}}\n", started.elapsed().as_millis()));
            last = telling;
        }
        if trace.len() == 1 && !files.exists("resource-requirements-asked") {
            files.client.rescale(job, &[("parse", 6)]).await?;
            files.record("resource-requirements-asked", &requirements).await?;
        }
        let parse = stage(&answer, "parse")?;
        if parse["parallelism"] == 6 && parse["tasks"]["RUNNING"] == 6 && settled.is_none() {
            settled = Some(Instant::now());
            files.write("job-rescaled", &body)?;
        }
        ensure!(trace.len() <= TRACED && started.elapsed() < PATIENCE * 2, "the rescale did not happen");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    files.write_as("rescale.jsonl", &trace.concat())
}

fn stage<'a>(job: &'a Value, name: &str) -> Result<&'a Value> {
    let vertices = job["vertices"].as_array().context("no vertices")?;
    vertices.iter().find(|vertex| vertex["name"] == name).with_context(|| format!("no stage {name}"))
}

/// The answer without what differs in every answer, so that a trace holds only those that tell something new.
fn without_clocks(job: &Value) -> Value {
    let mut job = job.clone();
    job["now"] = Value::Null;
    job["duration"] = Value::Null;
    for vertex in job["vertices"].as_array_mut().into_iter().flatten() {
        vertex["duration"] = Value::Null;
    }
    job
}

/// What Flink answers to a job it does not know, to an id that is none, and to a path that is none.
async fn record_errors(files: &Files<'_>, job: &str) -> Result<()> {
    for (name, rest) in [
        ("job", String::new()),
        ("status", "/status".to_owned()),
        ("metrics", "/metrics?get=numRestarts".to_owned()),
        ("requirements", "/resource-requirements".to_owned()),
        ("checkpoints", "/checkpoints".to_owned()),
        ("pending", format!("/vertices/{UNKNOWN}/subtasks/metrics?get=Source__source.pendingRecords")),
    ] {
        files.record_error(&format!("unknown-{name}"), &format!("/jobs/{UNKNOWN}{rest}")).await?;
    }
    files.record_error("malformed-job", "/jobs/no-such-job").await?;
    let vertex = format!("/jobs/{job}/vertices/{UNKNOWN}");
    files.record_error("unknown-vertex", &format!("{vertex}/subtasks/metrics?get=numRecordsOut")).await?;
    files.record_error("unknown-route", "/no/such/route").await
}

/// A graph with two sources, a join and two ends.
async fn record_diamond(flink: &Flink, files: &Files<'_>) -> Result<()> {
    let (left, right) = (flink.topic("left")?, flink.topic("right")?);
    left.set_rate(200.0)?;
    right.set_rate(100.0)?;
    let job = flink.submit(&Job::diamond(&left, &right).parallelism("join", 3)).await?;
    flink.client().running_at(&job, PATIENCE, &[("join", 3)]).await?;
    until("the first windows", PATIENCE, async || {
        let archived = flink.client().vertices(&job).await?["archive"].read_records;
        ensure!(archived >= 256, "{archived} of 256 keys");
        Ok(())
    })
    .await?;
    flink.client().vertices_now(&job).await?;
    files.record("job-diamond", &format!("/jobs/{job}")).await
}

struct Files<'a> {
    client: &'a Client,
    folder: PathBuf,
}

impl Files<'_> {
    async fn record(&self, name: &str, path: &str) -> Result<()> {
        let (status, body) = self.client.get_any(path).await?;
        ensure!(status == 200, "{path}: {status}: {body}");
        self.write(name, &body)
    }

    /// An error's status is in the file's name; a strange one that is answered with 200 is an error too.
    async fn record_error(&self, name: &str, path: &str) -> Result<()> {
        let (status, body) = self.client.get_any(path).await?;
        self.write(&format!("error-{name}-{}", status.as_u16()), &body)
    }

    fn exists(&self, name: &str) -> bool {
        self.folder.join(format!("{name}.json")).exists()
    }

    fn write(&self, name: &str, body: &str) -> Result<()> {
        self.write_as(&format!("{name}.json"), &format!("{body}\n"))
    }

    fn write_as(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.folder.join(name), text).with_context(|| name.to_owned())
    }
}
