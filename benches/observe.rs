//! What a poll costs us for a job of 20 vertices: reading `/jobs/:id`, and the whole poll over a kept-alive connection on
//! loopback, which has the cost of the server that answers in it too.
//!
//! The answers are those that a real Flink 2.3.0 gave; of its job's vertices one is repeated until there are 20.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, Uri};
use criterion::{BatchSize, Criterion, SamplingMode, Throughput};
use serde_json::{Value, json};
use tidegate::daemon::clock;
use tidegate::model::{Observation, Snapshot};
use tidegate::observe::flink::{FlinkClient, Poller, read_job};
use tidegate::policy::{FlinkRef, Span};
use tokio::runtime::{Builder, Runtime};

const VERTICES: usize = 20;

/// A poll makes two calls here, and the client makes no more than 500 a second: the next poll waits for its turn outside
/// of what is measured.
const PAUSE: Duration = Duration::from_millis(5);

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let job = job();
    read(&mut criterion, &job.to_string());
    poll(&mut criterion, &job);
    criterion.final_summary();
}

fn read(criterion: &mut Criterion, body: &str) {
    let (graph, readings) = read_job(body.as_bytes()).expect("it is a job");
    assert_eq!((graph.len(), graph.edges().len(), readings.len()), (VERTICES, VERTICES - 1, VERTICES));
    assert!(readings.iter().all(|(_, reading)| reading.busy_ms.is_some() && reading.read_records.is_some()));

    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function(format!("{VERTICES} vertices"), |bencher| {
        bencher.iter(|| read_job(black_box(body.as_bytes())));
    });
    group.finish();
}

fn poll(criterion: &mut Criterion, job: &Value) {
    let runtime = runtime();
    let flink = FlinkRef {
        url: serve(answers(job)),
        poll: Span::from_secs(5),
        timeout: Span::from_secs(10),
        ..FlinkRef::default()
    };
    let mut poller = Poller::new(FlinkClient::new(&flink).expect("a sound url"), &flink);
    let mut poll = || runtime.block_on(poller.observe(clock::now));
    // The first finds out what the cluster and the job are, the second under which name the source has its backlog.
    let _found_out = [poll(), poll()];
    match poll() {
        Observation::Seen(Snapshot { vertices, .. }) => {
            assert_eq!((vertices.len(), vertices[0].pending_records), (VERTICES, Some(3)));
        }
        Observation::Missed(missed) => panic!("{missed:?}"),
    }

    let mut group = criterion.benchmark_group("poll");
    // Most of the time goes into the pauses.
    group.sampling_mode(SamplingMode::Flat).sample_size(50).measurement_time(Duration::from_secs(1));
    group.bench_function(format!("{VERTICES} vertices"), |bencher| {
        bencher.iter_batched(
            || runtime.block_on(async { tokio::time::sleep(PAUSE).await }),
            |()| poll(),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// `/jobs/:id` of a chain of 20 vertices.
fn job() -> Value {
    let mut job: Value = serde_json::from_str(&recorded("job-running")).expect("json");
    for number in job["vertices"].as_array().map_or(0, Vec::len)..VERTICES {
        let id = json!(format!("{number:032x}"));
        let (mut vertex, mut node) = (job["vertices"][1].clone(), job["plan"]["nodes"][1].clone());
        let last = job["vertices"][number - 1]["id"].clone();
        (vertex["id"], vertex["name"]) = (id.clone(), json!(format!("step {number}")));
        (node["id"], node["inputs"][0]["id"]) = (id, last);
        job["vertices"].as_array_mut().expect("a list").push(vertex);
        job["plan"]["nodes"].as_array_mut().expect("a list").push(node);
    }
    job
}

/// What is answered, by path and query.
fn answers(job: &Value) -> BTreeMap<String, String> {
    let id = job["jid"].as_str().expect("an id");
    let source = job["vertices"][0]["id"].as_str().expect("an id");
    let metrics = format!("/jobs/{id}/vertices/{source}/subtasks/metrics");
    BTreeMap::from([
        ("/config".to_owned(), recorded("config")),
        ("/overview".to_owned(), recorded("overview")),
        ("/jobs/overview".to_owned(), recorded("jobs-overview")),
        // So that none is due: a poll that starts one sleeps until it is done.
        (
            "/jobmanager/config".to_owned(),
            r#"[{"key":"metrics.fetcher.update-interval","value":"10 min"}]"#.to_owned(),
        ),
        (format!("/jobs/{id}"), job.to_string()),
        (format!("{metrics}?get=Source__source.pendingRecords&agg=sum"), recorded("source-pending-sum")),
        (metrics, recorded("source-metrics")),
    ])
}

fn recorded(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/flink/2.3.0");
    fs::read_to_string(folder.join(format!("{name}.json"))).expect("it was recorded")
}

/// A server of these answers, on a thread of its own for as long as the process lives; where it is.
fn serve(answers: BTreeMap<String, String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket can be set so");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let answer = move |uri: Uri| {
        let answer = uri.path_and_query().and_then(|asked| answers.get(asked.as_str()));
        std::future::ready(answer.cloned().ok_or(StatusCode::NOT_FOUND))
    };
    std::thread::spawn(move || {
        runtime().block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("within a runtime");
            axum::serve(listener, Router::new().fallback(answer)).await
        })
    });
    url
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}
