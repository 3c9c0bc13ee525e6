//! What a cycle is found by: its trace id in each line of the JSON log, and its trace at a collector of OTLP.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use serde_json::Value;
use tidegate::simulate::Load;
use tokio::net::TcpListener;

use crate::alerts::{Ends, autoscaler, flink};
use crate::testbed::until;

const PATIENCE: Duration = Duration::from_mins(1);

type Spans = Arc<Mutex<Vec<Value>>>;

/// Takes in what a collector would.
async fn take(State(spans): State<Spans>, uri: Uri, headers: HeaderMap, body: String) -> &'static str {
    assert_eq!((uri.path(), headers["content-type"].as_bytes()), ("/v1/traces", &b"application/json"[..]));
    assert_eq!(headers["x-tenant"].as_bytes(), b"streams");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let resource = &body["resourceSpans"][0];
    assert_eq!(resource["resource"]["attributes"][0]["value"]["stringValue"], "tidegate");
    let sent = resource["scopeSpans"][0]["spans"].as_array().expect("spans").clone();
    spans.lock().expect("no holder panics").extend(sent);
    "{}"
}

fn attribute<'a>(span: &'a Value, key: &str) -> Option<&'a str> {
    let attributes = span["attributes"].as_array()?;
    attributes.iter().find(|one| one["key"] == key)?["value"]["stringValue"].as_str()
}

#[tokio::test]
async fn every_line_of_a_cycle_has_its_trace_id_and_a_collector_gets_its_spans() -> Result<()> {
    let spans = Spans::default();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let collector = format!("http://{}", listener.local_addr()?);
    let router = Router::new().fallback(take).with_state(Arc::clone(&spans));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let flink = flink(Load::steps(&[(0, 700.0)])).await?;
    let folder = tempfile::tempdir()?;
    let (config, log) = (folder.path().join("jobs.yaml"), folder.path().join("log"));
    let asks = "  policyRef: {name: asks}\n  prometheus: {url: 'http://127.0.0.1:9'}\n";
    let policy = "apiVersion: tidegate.dev/v1alpha1\nkind: ScalingPolicy\nmetadata: {name: asks}\nspec:\n  \
                  rules: [{throughput: {}}, {prometheus: {query: 'up', target: {type: Value, value: \"1\"}}}]\n";
    fs::write(&config, autoscaler("orders", &flink, asks) + policy)?;
    let mut daemon = Ends(
        Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["run", "--no-journal", "-vv", "--log-format", "json", "--config"])
            .arg(&config)
            .arg("--state-dir")
            .arg(folder.path().join("state"))
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector)
            .env("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=streams")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log)?)
            .spawn()?,
    );
    until("a cycle that acts", PATIENCE, async || {
        let spans = spans.lock().expect("no holder panics");
        let acted = spans.iter().any(|span| attribute(span, "outcome") == Some("Applied"));
        ensure!(acted, "{:?} {}", spans.last(), fs::read_to_string(&log)?);
        Ok(())
    })
    .await?;
    let pid = daemon.0.id().to_string();
    ensure!(Command::new("kill").args(["-TERM", &pid]).status()?.success(), "cannot signal {pid}");
    // The collector, which runs here, is to hear the last of it.
    let ended = tokio::task::spawn_blocking(move || daemon.0.wait()).await??;
    ensure!(ended.success(), "{}", fs::read_to_string(&log)?);

    let text = fs::read_to_string(&log)?;
    let lines = text.lines().map(serde_json::from_str::<Value>);
    let lines: Vec<Value> = lines.collect::<Result<_, _>>().with_context(|| text.clone())?;
    let of_cycles: Vec<&Value> = lines.iter().filter(|line| line["trace_id"].is_string()).collect();
    let logged: BTreeSet<&str> = of_cycles.iter().filter_map(|line| line["trace_id"].as_str()).collect();
    ensure!(logged.len() > 2 && logged.iter().all(|id| id.len() == 32), "{logged:?}");
    ensure!(of_cycles.iter().all(|line| line["autoscaler"] == "orders"), "{text}");
    // What a cycle decides, what it asks of Flink, and what it asks of Prometheus, the job's name as soon as it is known.
    let first = |part: &str| {
        of_cycles.iter().find(|line| line["message"].as_str().is_some_and(|said| said.contains(part)))
    };
    ensure!(first("no numbers from Prometheus").is_some(), "{text}");
    let with_job = of_cycles.iter().filter(|line| line["job"] == "orders").count();
    ensure!(with_job > 2, "{text}");
    for line in lines.iter().filter(|line| !line["verdict"].is_null()) {
        ensure!(line["trace_id"].is_string(), "a decision outside of a cycle: {line}");
    }

    // The last of them were sent when it ended.
    let spans = spans.lock().expect("no holder panics");
    let cycles: Vec<&Value> = spans.iter().filter(|span| span["name"] == "cycle").collect();
    let sent: BTreeSet<&str> = cycles.iter().filter_map(|span| span["traceId"].as_str()).collect();
    ensure!(sent.is_superset(&logged), "{logged:?} and {sent:?}");
    for cycle in &cycles {
        ensure!(
            cycle["parentSpanId"].is_null() && attribute(cycle, "autoscaler") == Some("orders"),
            "{cycle}"
        );
        let of_it = spans.iter().filter(|span| span["parentSpanId"] == cycle["spanId"]);
        ensure!(of_it.clone().all(|span| span["traceId"] == cycle["traceId"]), "{cycle}");
        let end =
            |span: &Value, field: &str| span[field].as_str().and_then(|nanos| nanos.parse::<u64>().ok());
        ensure!(end(cycle, "startTimeUnixNano") <= end(cycle, "endTimeUnixNano"), "{cycle}");
        if attribute(cycle, "outcome").is_some() {
            let names: BTreeSet<&str> = of_it.filter_map(|span| span["name"].as_str()).collect();
            ensure!(names.is_superset(&["act", "observe"].into()), "{names:?}");
        }
    }
    Ok(())
}
