//! What real Flinks answered is read as it is meant, and whatever else comes is turned away without a panic.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::scripted::{VERSIONS, fixture};
use super::*;
use crate::model::{JobState, Ship};

fn job(version: &str, file: &str) -> JobView {
    JobView::read(fixture(version, file).as_bytes())
        .unwrap_or_else(|error| panic!("{version} {file}: {error}"))
}

#[test]
fn reads_a_job_of_every_version() {
    for version in VERSIONS {
        let view = job(version, "job-running");
        assert_eq!((view.name.as_str(), view.state), ("chain", JobState::Running), "{version}");
        let graph = view.graph.as_ref().expect("a plan");
        let names: Vec<&str> = graph.vertices().iter().map(|vertex| vertex.name.as_str()).collect();
        assert_eq!(names, ["Source: source", "parse", "enrich", "sink"], "{version}");
        let edges: Vec<_> = graph.edges().iter().map(|edge| (edge.from, edge.to, edge.ship)).collect();
        assert_eq!(edges, [(0, 1, Ship::Hash), (1, 2, Ship::Hash), (2, 3, Ship::Rebalance)], "{version}");
        assert!(graph.vertices().iter().all(|vertex| vertex.max_parallelism.get() == 128), "{version}");
        // Flink says which group a vertex is in since 1.20; all are in one.
        let group = (version >= "1.20").then_some("0");
        assert_eq!(graph.slot_sharing_groups(), [(group, vec![0, 1, 2, 3])], "{version}");

        let since = view.running_since.expect("it runs");
        assert!(since < view.now && view.now.since(since).as_secs() < 120, "{version}");
        for ((id, reading), size) in view.readings.iter().zip([2, 3, 1, 1]) {
            assert_eq!((reading.parallelism.get(), reading.running), (size, size), "{version} {id}");
            assert!(reading.read_records.is_some() && reading.write_records.is_some(), "{version} {id}");
            let times = [reading.busy_ms, reading.idle_ms, reading.back_pressured_ms];
            let clock: u64 =
                times.into_iter().map(|time| time.expect("a clock")).sum::<u64>() / u64::from(size);
            let age = u64::try_from(view.now.since(since).as_millis()).expect("seconds");
            assert!(clock <= age + 1000 && clock + 10_000 > age, "{version} {id}: {clock} of {age} ms");
            assert_eq!(reading.pending_records, None, "{version} {id}");
        }
    }
}

#[test]
fn a_restart_is_remembered_by_when_the_new_graph_was_made() {
    for version in VERSIONS.into_iter().filter(|version| *version >= "1.18") {
        let (before, after) = (job(version, "job-running"), job(version, "job-rescaled"));
        let raw: Value = serde_json::from_str(&fixture(version, "job-rescaled")).expect("json");
        assert_eq!(raw["timestamps"]["RESTARTING"], 0, "{version}");
        let (stopped, started) = (after.restarting_since, after.running_since);
        assert!(before.running_since < stopped && stopped <= started, "{version}: {stopped:?} {started:?}");
    }
    let mut raw: Value = serde_json::from_str(&fixture("2.3.0", "job-running")).expect("json");
    raw["timestamps"]["RESTARTING"] = json!(1_795_373_999_000_i64);
    let view = JobView::read(raw.to_string().as_bytes()).expect("a job");
    assert_eq!(view.restarting_since.map(crate::model::Timestamp::as_millis), Some(1_795_373_999_000));
}

#[test]
fn what_is_not_known_yet_is_none() {
    for version in VERSIONS {
        let text = fixture(version, "job-fresh");
        let raw: Value = serde_json::from_str(&text).expect("json");
        let view = JobView::read(text.as_bytes()).expect(version);
        for (raw, (_, reading)) in raw["vertices"].as_array().expect("vertices").iter().zip(&view.readings) {
            let complete = raw["metrics"]["read-records-complete"].as_bool().expect("a flag");
            let known = [reading.read_records, reading.write_records, reading.busy_ms, reading.idle_ms];
            assert_eq!(known.map(|value| value.is_some()), [complete; 4], "{version}");
        }
    }
    // A legacy source has no busy time.
    let mut raw: Value = serde_json::from_str(&fixture("1.20.5", "job-running")).expect("json");
    raw["vertices"][0]["metrics"]["accumulated-busy-time"] = json!("NaN");
    let (_, reading) = &JobView::read(raw.to_string().as_bytes()).expect("a job").readings[0];
    assert_eq!(reading.busy_ms, None);
    assert!(reading.idle_ms.is_some());
}

#[test]
fn reads_a_graph_with_forks_and_joins() {
    for version in VERSIONS {
        let graph = job(version, "job-diamond").graph.expect("a plan");
        let index =
            |name: &str| graph.vertices().iter().position(|vertex| vertex.name.ends_with(name)).expect(name);
        let inputs = |name: &str| -> Vec<usize> {
            graph.inputs(index(name)).iter().map(|&edge| graph.edges()[edge].from).collect()
        };
        assert_eq!(inputs("join"), [index("explode"), index("clean")], "{version}");
        assert_eq!(graph.outputs(index("join")).len(), 2, "{version}");
        assert_eq!(graph.sources().collect::<Vec<_>>(), [index("left"), index("right")], "{version}");
    }
}

#[test]
fn a_job_that_waits_for_slots_has_no_graph_yet() {
    let mut raw: Value = serde_json::from_str(&fixture("2.3.0", "job-running")).expect("json");
    raw["state"] = json!("CREATED");
    raw["timestamps"]["RUNNING"] = json!(0);
    // `{}` up to 2.0, an empty list later.
    for plan in [json!({}), json!({"jid": "", "name": "", "type": "", "nodes": []})] {
        raw["plan"] = plan;
        let view = JobView::read(raw.to_string().as_bytes()).expect("a job");
        assert_eq!((view.graph, view.running_since, view.state), (None, None, JobState::Created));
        assert_eq!(view.readings.len(), 4);
    }
}

#[test]
fn says_what_is_unexpected() {
    type Change = fn(&mut Value);
    let raw: Value = serde_json::from_str(&fixture("2.3.0", "job-running")).expect("json");
    let changes: [(Change, &str); 6] = [
        (|job| job["state"] = json!("DREAMING"), "unknown variant `DREAMING`"),
        (|job| job["vertices"][0]["id"] = json!("1234"), "expected 32 hexadecimal digits"),
        (|job| job["vertices"][1]["parallelism"] = json!(0), "parallelism is \"0\""),
        (|job| job["vertices"][1]["maxParallelism"] = json!(-1), "maxParallelism is \"-1\""),
        (|job| job["vertices"].as_array_mut().expect("vertices").truncate(2), "disagree"),
        (|job| job["plan"]["nodes"].as_array_mut().expect("nodes").truncate(2), "disagree"),
    ];
    for (change, what) in changes {
        let mut raw = raw.clone();
        change(&mut raw);
        let error = JobView::read(raw.to_string().as_bytes()).expect_err(what).to_string();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn reads_the_cluster_of_every_version() {
    for version in VERSIONS {
        let config = Config::read(fixture(version, "config").as_bytes()).expect(version);
        assert_eq!(config.version.to_string(), version);
        assert_eq!(config.web_rescale.is_some(), version >= "1.18", "{version}");
        let overview = Overview::read(fixture(version, "overview").as_bytes()).expect(version);
        let slots = overview.slots(crate::model::Timestamp::from_millis(7));
        assert_eq!((slots.total, slots.taskmanagers, slots.per_taskmanager()), (16, 2, Some(8)), "{version}");
        let jobs = <Vec<Listed>>::read(fixture(version, "jobs-overview").as_bytes()).expect(version);
        assert!(jobs.iter().any(|job| job.name == "chain" && job.state == JobState::Running), "{version}");
        let status = Status::read(fixture(version, "job-status").as_bytes()).expect(version);
        assert_eq!(status.status, JobState::Running);
    }
}

#[test]
fn reads_pending_records_of_every_version() {
    let ids = ["Source__source.pendingRecords".to_owned()];
    for version in VERSIONS {
        let text = fixture(version, "source-pending-sum");
        let metrics = <Vec<Metric<'_>>>::read(text.as_bytes()).expect(version);
        assert!(sum_of(&metrics, &ids).is_some(), "{version}: {text}");
        let text = fixture(version, "source-metrics");
        let metrics = <Vec<Metric<'_>>>::read(text.as_bytes()).expect(version);
        assert!(metrics.iter().any(|metric| metric.id == ids[0]), "{version}");
        // One name that is not there takes all others with it.
        let text = fixture(version, "source-missing");
        assert_eq!(<Vec<Metric<'_>>>::read(text.as_bytes()).expect(version), []);
    }
}

#[test]
fn reads_requirements_of_every_version_that_has_them() {
    for version in VERSIONS.into_iter().filter(|version| *version >= "1.18") {
        let found = Requirements::read(fixture(version, "resource-requirements").as_bytes()).expect(version);
        let view = job(version, "job-running");
        for (id, reading) in &view.readings {
            assert_eq!(found.upper(*id), Some(i64::from(reading.parallelism.get())), "{version}");
        }
    }
}

/// All parsers; whether any of them panics is what matters.
fn read_all(body: &[u8]) {
    let _ = (Config::read(body), Settings::read(body), Overview::read(body), <Vec<Listed>>::read(body));
    let _ = (JobView::read(body), Status::read(body), Requirements::read(body), errors(body));
    let _ = <Vec<Metric<'_>>>::read(body).map(|metrics| sum_of(&metrics, &["a".to_owned()]));
}

fn any_fixture() -> impl Strategy<Value = String> {
    let files =
        ["job-running", "job-fresh", "config", "overview", "jobs-overview", "source-metrics", "job-status"];
    (prop::sample::select(VERSIONS.to_vec()), prop::sample::select(files.to_vec()))
        .prop_map(|(version, file)| fixture(version, file))
}

fn hostile() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        Just(json!(-1)),
        Just(json!(i64::MIN)),
        Just(json!(u64::MAX)),
        Just(json!(1e308)),
        Just(json!("NaN")),
        Just(json!("")),
        Just(json!([])),
        Just(json!({})),
        Just(json!([[[[{}]]]])),
        any::<i64>().prop_map(|number| json!(number)),
        any::<String>().prop_map(|text| json!(text)),
    ]
}

/// Replaces the value that comes `nth` when all are counted.
fn replace(value: &mut Value, nth: &mut usize, by: &Value) {
    if *nth == 0 {
        *value = by.clone();
    }
    *nth = nth.wrapping_sub(1);
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| replace(value, nth, by)),
        Value::Object(fields) => fields.values_mut().for_each(|value| replace(value, nth, by)),
        _ => {}
    }
}

proptest! {
    #[test]
    fn no_bytes_are_a_panic(
        text in any_fixture(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = text.into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        read_all(&bytes);
        read_all(&bytes[..cut.index(bytes.len())]);
    }

    #[test]
    fn no_value_in_any_place_is_a_panic(text in any_fixture(), nth in 0..600_usize, by in hostile()) {
        let mut value: Value = serde_json::from_str(&text).expect("json");
        replace(&mut value, &mut nth.clone(), &by);
        read_all(value.to_string().as_bytes());
    }
}
