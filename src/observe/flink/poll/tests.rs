//! Which calls a cycle makes, and what it makes of the answers.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::scripted::{Reply, Scripted, VERSIONS, fixture, recorded_job};
use super::*;
use crate::model::{JobState, MissedWhy, Scheduler};
use crate::policy::Span;

const VERSION: &str = "2.3.0";

/// A poller of the recorded job by its name, and a clock that stands.
fn poller(server: &Scripted, job: Option<&str>) -> Poller {
    let flink = FlinkRef { job: job.map(str::to_owned), ..server.flink() };
    Poller::new(FlinkClient::new(&flink).expect("a client"), &flink)
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_000)
}

/// The next cycle, a poll interval later.
async fn seen(poller: &mut Poller) -> Snapshot {
    sleep(Duration::from_millis(40)).await;
    match poller.observe(now).await {
        Observation::Seen(snapshot) => snapshot,
        Observation::Missed(missed) => panic!("{missed:?}"),
    }
}

async fn missed(poller: &mut Poller) -> (MissedWhy, String) {
    match poller.observe(now).await {
        Observation::Seen(snapshot) => panic!("{snapshot:?}"),
        Observation::Missed(missed) => (missed.why, missed.detail),
    }
}

/// What was asked, with `J` and `V` for the ids of the job and of a vertex.
fn asked(server: &Scripted) -> Vec<String> {
    let is_id = |part: &&str| part.len() == 32 && part.bytes().all(|b| b.is_ascii_hexdigit());
    let short = |line: String| {
        let path = line.strip_prefix("GET ").unwrap_or(&line).to_owned();
        let ids: Vec<&str> = path.split(['/', '?']).filter(is_id).collect();
        ids.iter().zip(["J", "V"]).fold(path.clone(), |path, (id, letter)| path.replace(id, letter))
    };
    let mut lines: Vec<String> = server.lines().into_iter().map(short).collect();
    lines.sort();
    lines
}

/// The recorded job, changed.
fn job(change: impl FnOnce(&mut Value)) -> Reply {
    let mut job: Value = serde_json::from_str(&fixture(VERSION, "job-running")).expect("json");
    change(&mut job);
    Reply::ok(job.to_string())
}

fn jobs(listed: &[(&str, &str, &str)]) -> Reply {
    let listed: Vec<Value> = listed
        .iter()
        .map(|(jid, name, state)| json!({"jid": jid, "name": name, "state": state, "start-time": 1}))
        .collect();
    Reply::ok(json!({ "jobs": listed }).to_string())
}

const LIST: &str = "/jobs/J/vertices/V/subtasks/metrics";
const SUM: &str = "/jobs/J/vertices/V/subtasks/metrics?get=Source__source.pendingRecords&agg=sum";
const PRIME: &str = "/jobs/J/metrics?get=numRestarts";

#[tokio::test]
async fn a_cycle_takes_at_most_two_calls_and_one_per_source() {
    for version in VERSIONS {
        let server = Scripted::recorded(version).await;
        let mut poller = poller(&server, Some("chain"));

        let snapshot = seen(&mut poller).await;
        let first = ["/config", "/jobmanager/config", "/jobs/J", "/jobs/overview", "/overview"];
        assert_eq!(asked(&server), first, "{version}: what it is, which job, its slots, the job");
        assert_eq!(snapshot.cluster.version.to_string(), version);
        assert_eq!(snapshot.slots.map(|slots| slots.total), Some(16), "{version}");
        assert_eq!(snapshot.vertices[0].pending_records, None, "{version}");

        seen(&mut poller).await;
        assert_eq!(asked(&server), ["/jobs/J", PRIME, LIST, SUM], "{version}: how it is called, once");

        for _ in 0..3 {
            let snapshot = seen(&mut poller).await;
            assert_eq!(asked(&server), ["/jobs/J", PRIME, SUM], "{version}");
            assert!(snapshot.vertices[0].pending_records.is_some(), "{version}");
            assert!(snapshot.is_fully_running(), "{version}");
        }

        poller.refresh_slots();
        seen(&mut poller).await;
        assert_eq!(asked(&server), ["/jobs/J", SUM, "/overview"], "{version}");
        // One, one for what is asked at the same time, and one when the second was not back in time for the name's question.
        assert!((2..=3).contains(&server.connections()), "{version}: {}", server.connections());
    }
}

#[tokio::test]
async fn counters_of_a_time_that_nobody_knows_are_left_out() {
    let server = Scripted::recorded(VERSION).await;
    let known = |snapshot: &Snapshot| snapshot.vertices.iter().filter(|v| v.busy_ms.is_some()).count();
    let mut first = poller(&server, Some("chain"));
    // The metric store is as it was when somebody last looked, which may be hours ago.
    let snapshot = seen(&mut first).await;
    assert_eq!((known(&snapshot), snapshot.is_fully_running()), (0, true));
    assert_eq!(known(&seen(&mut first).await), 4);
    first.refresh_slots();
    assert_eq!(known(&seen(&mut first).await), 4, "one cycle without priming is no long time");

    // Another poller of the same cluster knows that it was fetched just now.
    let mut second = Poller::new(first.client().clone(), &server.flink());
    assert_eq!(known(&seen(&mut second).await), 4);
    sleep(Duration::from_millis(200)).await;
    assert_eq!(known(&seen(&mut first).await), 4, "it was primed");
    sleep(Duration::from_millis(200)).await;
    let mut third = Poller::new(first.client().clone(), &server.flink());
    assert_eq!(known(&seen(&mut third).await), 0);
}

#[tokio::test]
async fn does_not_prime_while_no_fetch_is_due() {
    let server = Scripted::recorded(VERSION).await;
    server.set(
        "GET /jobmanager/config",
        Reply::ok(r#"[{"key":"metrics.fetcher.update-interval","value":"60 s"}]"#),
    );
    let mut poller = poller(&server, Some("chain"));
    seen(&mut poller).await;
    asked(&server);
    // The first read of the job has started a fetch; the next is due in a minute.
    seen(&mut poller).await;
    assert_eq!(asked(&server), ["/jobs/J", LIST, SUM]);
    for _ in 0..2 {
        seen(&mut poller).await;
        assert_eq!(asked(&server), ["/jobs/J", SUM]);
    }
}

#[tokio::test]
async fn what_started_again_has_its_slots_read_and_keeps_its_names() {
    let server = Scripted::recorded(VERSION).await;
    let path = format!("GET /jobs/{}", recorded_job(VERSION));
    let mut poller = poller(&server, Some("chain"));
    for _ in 0..3 {
        seen(&mut poller).await;
    }
    asked(&server);

    // It restarts: no plan, no counters, other order. Nothing is asked of its sources.
    let waiting = |job: &mut Value| {
        job["state"] = json!("CREATED");
        job["timestamps"]["RUNNING"] = json!(0);
        job["plan"] = json!({});
        job["vertices"].as_array_mut().expect("vertices").reverse();
    };
    server.set(&path, job(waiting));
    let before = seen(&mut poller).await;
    asked(&server);
    let snapshot = seen(&mut poller).await;
    assert_eq!(asked(&server), ["/jobs/J", "/overview"]);
    assert_eq!((snapshot.state, snapshot.running_since), (JobState::Created, None));
    assert_eq!(snapshot.graph.vertices()[0].name, "Source: source", "the graph that was known");
    assert_eq!(snapshot.parallelism(), before.parallelism());
    assert_eq!(snapshot.vertices[0].pending_records, None);
    seen(&mut poller).await;
    assert_eq!(asked(&server), ["/jobs/J"]);

    // It runs again, larger, and its gauge is known under the same name.
    server.set(
        &path,
        job(|job| {
            job["timestamps"]["RUNNING"] = json!(1_795_999_999_999_i64);
            job["vertices"][1]["parallelism"] = json!(6);
        }),
    );
    seen(&mut poller).await;
    assert_eq!(asked(&server), ["/jobs/J"]);
    let snapshot = seen(&mut poller).await;
    assert_eq!(asked(&server), ["/jobs/J", SUM, "/overview"]);
    assert_eq!(snapshot.parallelism()[1].get(), 6);
    assert!(snapshot.vertices[0].pending_records.is_some());
    seen(&mut poller).await;
    assert_eq!(asked(&server), ["/jobs/J", PRIME, SUM]);
}

#[tokio::test]
async fn a_job_that_waits_for_its_first_slots_has_not_started() {
    let server = Scripted::recorded(VERSION).await;
    let path = format!("GET /jobs/{}", recorded_job(VERSION));
    server.set(
        &path,
        job(|job| {
            job["state"] = json!("CREATED");
            job["plan"] = json!({});
        }),
    );
    let mut poller = poller(&server, None);
    let (why, detail) = missed(&mut poller).await;
    assert_eq!(why, MissedWhy::NotStarted);
    assert!(detail.contains("is Created"), "{detail}");
    server.set(&path, job(|_| {}));
    seen(&mut poller).await;
}

#[tokio::test]
async fn finds_a_job_that_was_resubmitted() {
    let server = Scripted::recorded(VERSION).await;
    let (old, new) = (recorded_job(VERSION), "00000000000000000000000000000007");
    let gone = "org.apache.flink.runtime.rest.NotFoundException: Job x not found\n\tat a.b\nCaused by: \
                org.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not find Flink job (x)\n\tat a.b";
    let mut by_name = poller(&server, Some("chain"));
    let mut by_id = poller(&server, Some(&old));
    seen(&mut by_name).await;
    seen(&mut by_id).await;

    server.set(&format!("GET /jobs/{old}"), Reply::error(404, &[gone]));
    server.set("GET /jobs/overview", jobs(&[(new, "chain", "RUNNING"), (&old, "chain", "CANCELED")]));
    server.set(&format!("GET /jobs/{new}"), job(|job| job["jid"] = json!(new)));
    let found = seen(&mut by_name).await;
    assert_eq!(found.job.to_string(), new);
    let source = found.graph.vertices()[0].id;
    server.set(&format!("GET /jobs/{new}/vertices/{source}/subtasks/metrics"), Reply::ok("[]"));
    assert_eq!(missed(&mut by_id).await.0, MissedWhy::NoSuchJob);

    // It ends, and still answers: how it ended is told until another run of it begins.
    asked(&server);
    server.set(
        &format!("GET /jobs/{new}"),
        job(|job| {
            job["jid"] = json!(new);
            job["state"] = json!("FAILED");
        }),
    );
    server.set("GET /jobs/overview", jobs(&[(new, "chain", "FAILED")]));
    for _ in 0..3 {
        assert_eq!(seen(&mut by_name).await.state, JobState::Failed);
    }
    asked(&server);
    seen(&mut by_name).await;
    assert_eq!(asked(&server), ["/jobs/J", "/jobs/overview"]);
    server.set("GET /jobs/overview", jobs(&[(new, "chain", "FAILED"), (&old, "chain", "RUNNING")]));
    server.set(&format!("GET /jobs/{old}"), job(|_| {}));
    assert_eq!(seen(&mut by_name).await.job.to_string(), old);
}

#[tokio::test]
async fn says_which_job_cannot_be_found() {
    let server = Scripted::recorded(VERSION).await;
    let (a, b) = ("0000000000000000000000000000000a", "0000000000000000000000000000000b");
    for (listed, name, why, parts) in [
        (vec![], Some("orders"), MissedWhy::NoSuchJob, vec!["no job \"orders\" is running"]),
        (vec![], None, MissedWhy::NoSuchJob, vec!["no job at all is running"]),
        (vec![(a, "orders", "FINISHED")], Some("orders"), MissedWhy::NoSuchJob, vec![a, "is Finished"]),
        (
            vec![(a, "orders", "RUNNING"), (b, "orders", "RUNNING")],
            Some("orders"),
            MissedWhy::AmbiguousJob,
            vec![a, b, "flink.job"],
        ),
        (vec![(a, "x", "RUNNING"), (b, "y", "RUNNING")], None, MissedWhy::AmbiguousJob, vec!["(x)", "(y)"]),
    ] {
        server.set("GET /jobs/overview", jobs(&listed));
        let (got, detail) = missed(&mut poller(&server, name)).await;
        assert_eq!(got, why, "{detail}");
        assert!(parts.iter().all(|part| detail.contains(part)), "{detail} lacks one of {parts:?}");
    }
}

#[tokio::test]
async fn asks_what_the_cluster_is_after_it_was_away() {
    let server = Scripted::recorded(VERSION).await;
    let path = format!("GET /jobs/{}", recorded_job(VERSION));
    let mut poller = poller(&server, Some("chain"));
    for _ in 0..3 {
        seen(&mut poller).await;
    }
    server.set(&path, Reply::cut());
    let (why, detail) = missed(&mut poller).await;
    assert_eq!(why, MissedWhy::Unreachable, "{detail}");
    asked(&server);

    server.set(&path, job(|_| {}));
    server.set(
        "GET /config",
        Reply::ok(r#"{"flink-version":"2.4-SNAPSHOT","features":{"web-rescale":false}}"#),
    );
    server.set("GET /jobmanager/config", Reply::error(403, &["no"]));
    let snapshot = seen(&mut poller).await;
    assert_eq!(asked(&server), ["/config", "/jobmanager/config", "/jobs/J", SUM, "/overview"]);
    assert_eq!((snapshot.cluster.version.minor, snapshot.cluster.scheduler), (4, Scheduler::Unknown));
}

#[tokio::test]
async fn a_backlog_that_cannot_be_read_is_not_taken_for_none() {
    let server = Scripted::recorded(VERSION).await;
    let mut poller = poller(&server, Some("chain"));
    for _ in 0..3 {
        seen(&mut poller).await;
    }
    let sum = server.lines().pop().expect("a request");
    let sum = if sum.contains("agg=sum") { sum } else { panic!("{sum} was asked last") };
    server.set(&sum, Reply::error(500, &["Internal server error."]));
    assert_eq!(missed(&mut poller).await.0, MissedWhy::Refused);
    // Flink's own way to say that the gauge is not there yet.
    server.set(&sum, Reply::ok("[]"));
    assert_eq!(seen(&mut poller).await.vertices[0].pending_records, None);
}

#[tokio::test]
async fn a_source_that_does_not_tell_what_waits_is_asked_how_late_it_is() {
    let server = Scripted::recorded(VERSION).await;
    let mut poller = poller(&server, Some("chain"));
    seen(&mut poller).await;
    seen(&mut poller).await;
    let sum = server.lines().into_iter().find(|line| line.contains("agg=sum")).expect("it is asked for");
    let list = sum.split('?').next().expect("a path");
    let lag = "Source__source.currentEmitEventTimeLag";
    let without = fixture(VERSION, "source-metrics").replace("Source__source.pendingRecords", "other");
    server.set(list, Reply::ok(without));
    let asks = format!("{list}?get={lag}&agg=max");
    server.set(&asks, Reply::ok(json!([{ "id": lag, "max": 12_345.0 }]).to_string()));
    let mut poller = super::Poller::new(poller.client().clone(), &server.flink());
    seen(&mut poller).await;
    asked(&server);
    let lags = |snapshot: &Snapshot| {
        let source = &snapshot.vertices[0];
        (source.pending_records, source.event_time_lag_ms)
    };
    // How it is called, in place of how late it is; from then on one call, as for the count.
    assert_eq!(lags(&seen(&mut poller).await), (None, None));
    assert_eq!(asked(&server), ["/jobs/J", PRIME, LIST]);
    for (answer, expected) in
        [(r#"[{"id":"Source__source.currentEmitEventTimeLag","max":-1.0}]"#, None), ("[]", None)]
    {
        assert_eq!(lags(&seen(&mut poller).await), (None, Some(12_345)));
        assert_eq!(
            asked(&server),
            ["/jobs/J", PRIME, &LIST.replace("metrics", &format!("metrics?get={lag}&agg=max"))]
        );
        server.set(&asks, Reply::ok(answer));
        assert_eq!(lags(&seen(&mut poller).await), (None, expected));
        server.set(&asks, Reply::ok(json!([{ "id": lag, "max": 12_345.0 }]).to_string()));
        asked(&server);
    }
}

#[tokio::test]
async fn memory_is_read_in_place_of_priming_and_may_be_refused() {
    const USE: &str = "/taskmanagers/metrics?get=Status.JVM.Memory.Heap.Used,Status.JVM.Memory.Heap.Max,\
                       Status.JVM.Memory.Metaspace.Used,Status.Flink.Memory.Managed.Used,\
                       Status.JVM.GarbageCollector.All.TimeMsPerSecond&agg=max";
    let server = Scripted::recorded(VERSION).await;
    let mut without = poller(&server, Some("chain")).watching_memory();
    seen(&mut without).await;
    asked(&server);
    // The scripted server knows neither: Flink is there, and that is all.
    for expected in [[USE, "/jobs/J", LIST, SUM], ["/jobs/J", LIST, SUM, "/taskmanagers"]] {
        let snapshot = seen(&mut without).await;
        let mut got = asked(&server);
        got.retain(|line| line != LIST);
        let mut expected: Vec<_> = expected.into_iter().filter(|line| *line != LIST).collect();
        expected.sort_unstable();
        assert_eq!((got, snapshot.around.memory), (expected.iter().map(ToString::to_string).collect(), None));
    }
    seen(&mut without).await;
    assert_eq!(asked(&server), ["/jobs/J", PRIME, SUM], "for a minute");

    let heap = r#"[{"id":"Status.JVM.Memory.Heap.Used","max":5.0e8},{"id":"Status.JVM.Memory.Heap.Max","max":1.0e9}]"#;
    server.set(&format!("GET {USE}"), Reply::ok(heap));
    let mut with = poller(&server, Some("chain")).watching_memory();
    seen(&mut with).await;
    let memory = seen(&mut with).await.around.memory.expect("it was read");
    assert_eq!((memory.at, memory.heap_used, memory.heap_max), (now(), 500_000_000, 1_000_000_000));
}

#[tokio::test]
async fn says_that_flink_is_set_to_fetch_no_metrics() {
    let server = Scripted::recorded(VERSION).await;
    let settings = |interval: &str| {
        Reply::ok(format!(r#"[{{"key":"metrics.fetcher.update-interval","value":"{interval}"}}]"#))
    };
    for none in ["0", "0 ms", "0 s"] {
        server.set("GET /jobmanager/config", settings(none));
        let mut poller = poller(&server, Some("chain"));
        let (why, detail) = missed(&mut poller).await;
        assert_eq!(why, MissedWhy::NoMetrics);
        assert!(
            detail.contains("metrics.fetcher.update-interval is 0") && detail.contains("10 s"),
            "{detail}"
        );
        assert_eq!(asked(&server), ["/config", "/jobmanager/config"], "nothing else is worth asking");
        server.set("GET /jobmanager/config", settings("1 ms"));
        seen(&mut poller).await;
        asked(&server);
    }
}

#[tokio::test]
async fn a_cycle_ends_in_time_whatever_the_server_does() {
    let server = Scripted::recorded(VERSION).await;
    let flink = FlinkRef { timeout: Span::from_millis(300), ..server.flink() };
    let mut poller = Poller::new(FlinkClient::new(&flink).expect("a client"), &flink);
    for _ in 0..2 {
        seen(&mut poller).await;
    }
    server.set_all(Reply::Late(Duration::from_mins(1), Box::new(Reply::ok("{}"))));
    let started = Instant::now();
    let (why, detail) = missed(&mut poller).await;
    assert_eq!(why, MissedWhy::TimedOut, "{detail}");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}
