//! What REST answers mean: that they tell what the model does. That they have Flink's form is `tests/simulate_shape.rs`.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Answer, Request};
use crate::model::{Observation, Timestamp};
use crate::policy::Span;
use crate::simulate::{
    Fault, FaultKind, Load, Scenario, SchedulerKind, Simulation, VertexScenario, Waiting, scenarios,
};

struct Flink(Simulation);

impl Flink {
    fn start(scenario: &Scenario) -> Self {
        Self(Simulation::new(scenario).expect("a scenario"))
    }

    fn run(&mut self, seconds: f64) {
        self.0.advance_to(self.0.now() + Duration::from_secs_f64(seconds));
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> Answer {
        let path = path.replace(":job", &self.0.job.to_string());
        let path = self.0.graph().vertices().iter().fold(path, |path, vertex| {
            path.replace(&format!(":{}", vertex.name.trim_start_matches("Source: ")), &vertex.id.to_string())
        });
        let request = Request { method, body: body.as_bytes(), ..Request::get(&path) };
        self.0.answer(request).expect("it answers")
    }

    fn get(&mut self, path: &str) -> Value {
        let Answer { status, body } = self.ask("GET", path, "");
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// The body of an answer with metrics that are a second old.
    fn fresh(&mut self, path: &str) -> Value {
        self.run(5.0);
        self.get("/jobs/:job");
        self.run(1.0);
        self.get(path)
    }
}

#[test]
fn a_job_is_told_as_it_is_observed() {
    let mut flink = Flink::start(&scenarios::diamond());
    let job = flink.fresh("/jobs/:job");
    // At the same moment, from the same store.
    let Observation::Seen(seen) = flink.0.observe() else { panic!("not seen") };
    assert_eq!(job["state"], "RUNNING");
    assert_eq!(job["timestamps"]["RUNNING"], json!(seen.running_since.map(Timestamp::as_millis)));
    for (told, reading) in job["vertices"].as_array().expect("a list").iter().zip(&seen.vertices) {
        let metrics = &told["metrics"];
        assert_eq!(metrics["read-records"], json!(reading.read_records));
        assert_eq!(metrics["write-records"], json!(reading.write_records));
        assert_eq!(metrics["accumulated-busy-time"].as_f64(), reading.busy_ms.map(|ms| ms as f64));
        assert_eq!(told["tasks"]["RUNNING"], json!(reading.running));
    }
    let join = &job["plan"]["nodes"][4];
    assert_eq!(join["inputs"].as_array().map(Vec::len), Some(2), "{join}");
}

#[test]
fn what_no_fetch_has_brought_yet_is_not_complete() {
    let mut flink = Flink::start(&scenarios::demo());
    flink.run(5.0);
    let metrics = |flink: &mut Flink| flink.get("/jobs/:job")["vertices"][1]["metrics"].clone();
    let first = metrics(&mut flink);
    assert_eq!((&first["read-records"], &first["read-records-complete"]), (&json!(0), &json!(false)));
    flink.run(1.0);
    let second = metrics(&mut flink);
    assert_eq!(second["read-records-complete"], true);
    assert!(second["read-records"].as_u64() > Some(3000), "{second}");
}

#[test]
fn a_source_without_a_clock_is_busy_for_no_number_of_milliseconds() {
    let mut scenario = scenarios::demo();
    scenario.vertices[0].source.as_mut().expect("a source").waiting = Waiting::Unknown;
    let mut flink = Flink::start(&scenario);
    assert_eq!(flink.fresh("/jobs/:job")["vertices"][0]["metrics"]["accumulated-busy-time"], "NaN");
    let metric = "/jobs/:job/vertices/:orders/subtasks/metrics?get=accumulateBusyTimeMs&agg=sum";
    assert_eq!(flink.fresh(metric)[0]["sum"], "NaN");
}

#[test]
fn subtasks_show_skew_and_add_up() {
    let mut scenario = scenarios::demo();
    scenario.vertices[1] =
        VertexScenario { skew: 1.5, ..VertexScenario::new("parse", 1.0).with_parallelism(4) };
    let mut flink = Flink::start(&scenario);
    let names = "numRecordsIn,accumulateBusyTimeMs,accumulateIdleTimeMs";
    let told = flink.fresh(&format!("/jobs/:job/vertices/:parse/subtasks/metrics?get={names}"));
    let of = |index: usize, aggregate: &str| told[index][aggregate].as_f64().expect("a number");
    assert!((of(0, "max") / of(0, "avg") - 1.5).abs() < 0.01, "{told}");
    assert!((of(1, "max") / of(1, "avg") - 1.5).abs() < 0.01, "{told}");
    let vertex = flink.get("/jobs/:job/vertices/:parse");
    let read = |value: &Value| value["metrics"]["read-records"].as_u64().expect("a number");
    let subtasks = vertex["subtasks"].as_array().expect("a list");
    assert_eq!(Some(subtasks.iter().map(read).sum::<u64>() as f64), told[0]["sum"].as_f64());
    let one = flink.get("/jobs/:job/vertices/:parse/metrics?get=0.numRecordsIn,9.numRecordsIn");
    assert_eq!(one, json!([{"id": "0.numRecordsIn", "value": read(&subtasks[0]).to_string()}]));
}

#[test]
fn one_metric_that_nothing_has_empties_the_answer() {
    let mut flink = Flink::start(&scenarios::diamond());
    let path = "/jobs/:job/vertices/:orders/subtasks/metrics";
    let pending = "Source__orders.pendingRecords";
    assert_eq!(flink.get(path), json!([]), "nothing was fetched yet");
    let ids = flink.fresh(path);
    assert!(ids.as_array().expect("a list").contains(&json!({ "id": pending })), "{ids}");
    assert_eq!(flink.get(&format!("{path}?get={pending}&agg=sum"))[0]["sum"], 0.0);
    assert_eq!(flink.get(&format!("{path}?get={pending},nothing&agg=sum")), json!([]));
    assert_eq!(flink.get(&format!("{path}?get={pending}&subtasks=7")), json!([]));
    let silent = "/jobs/:job/vertices/:clicks/subtasks/metrics?get=Source__clicks.pendingRecords";
    assert_eq!(flink.get(silent), json!([]), "a source that does not say");
}

#[test]
fn requirements_rescale_the_job() {
    let mut flink = Flink::start(&scenarios::demo());
    flink.run(40.0);
    let path = "/jobs/:job/resource-requirements";
    let mut all = flink.get(path);
    let parse = flink.0.graph().vertices()[1].id.to_string();
    assert_eq!(all[&parse]["parallelism"], json!({"lowerBound": 1, "upperBound": 5}));
    all[&parse]["parallelism"] = json!({"lowerBound": -1, "upperBound": 9});
    assert_eq!(flink.ask("PUT", path, &all.to_string()), Answer { status: 200, body: json!({}) });
    assert_eq!(flink.get(path)[&parse]["parallelism"], json!({"lowerBound": 1, "upperBound": 9}));
    flink.run(10.0);
    let job = flink.get("/v1/jobs/:job");
    assert_eq!(
        (&job["vertices"][1]["parallelism"], &job["timestamps"]["RESTARTING"]),
        (&json!(9), &json!(0))
    );
    assert_eq!(flink.fresh("/jobs/:job/metrics?get=numRestarts,numRescales")[1]["value"], "1");
    let checkpoints = flink.get("/jobs/:job/checkpoints");
    assert_eq!(checkpoints["counts"]["restored"], 1, "{checkpoints}");
    assert!(checkpoints["latest"]["restored"]["id"].is_u64(), "{checkpoints}");
}

#[test]
fn states_and_timestamps_follow_a_restart() {
    let mut scenario = scenarios::demo();
    scenario.faults = vec![Fault { at: Span::from_secs(60), what: FaultKind::TaskmanagersLost { count: 2 } }];
    (scenario.taskmanagers, scenario.slots_per_taskmanager) = (4, 2);
    let mut flink = Flink::start(&scenario);
    flink.run(60.2);
    let during = flink.get("/jobs/:job");
    assert_eq!(
        (&during["state"], &during["vertices"][1]["status"]),
        (&json!("RESTARTING"), &json!("CANCELED"))
    );
    assert!(during["timestamps"]["RESTARTING"].as_i64() > during["timestamps"]["RUNNING"].as_i64());
    flink.run(4.0);
    assert_eq!(flink.get("/jobs/:job/status")["status"], "CREATED");
    let waiting = flink.get("/jobs/:job");
    assert_eq!(
        (&waiting["vertices"][1]["parallelism"], &waiting["timestamps"]["RUNNING"]),
        (&json!(5), &json!(0))
    );
    flink.run(10.0);
    let after = flink.get("/jobs/:job");
    assert_eq!((&after["state"], &after["vertices"][1]["parallelism"]), (&json!("RUNNING"), &json!(4)));
    assert_eq!(flink.get("/overview")["taskmanagers"], 2);
    let free = |flink: &mut Flink| {
        let all = flink.get("/taskmanagers")["taskmanagers"].clone();
        all.as_array().expect("a list").iter().map(|tm| tm["freeSlots"].as_u64()).collect::<Vec<_>>()
    };
    assert_eq!(free(&mut flink), [Some(0), Some(0)]);
}

#[test]
fn a_checkpoint_that_is_asked_for_is_made() {
    let mut scenario = scenarios::demo();
    scenario.checkpoints.as_mut().expect("it has them").interval = Span::from_secs(600);
    let mut flink = Flink::start(&scenario);
    flink.run(10.0);
    let trigger = "0123456789abcdef0123456789abcdef";
    let body = json!({"checkpointType": "CONFIGURED", "triggerId": trigger}).to_string();
    for _ in 0..2 {
        let asked = flink.ask("POST", "/jobs/:job/checkpoints", &body);
        assert_eq!(asked, Answer { status: 202, body: json!({"request-id": trigger}) });
    }
    let path = format!("/jobs/:job/checkpoints/{trigger}");
    assert_eq!(flink.get(&path)["status"]["id"], "IN_PROGRESS");
    flink.run(1.0);
    assert_eq!(flink.get(&path)["operation"], json!({"checkpointId": 1}));
    assert_eq!(flink.get("/jobs/:job/checkpoints")["counts"]["completed"], 1, "asked twice, made once");
}

#[test]
fn cancelling_ends_the_job() {
    let mut scenario = scenarios::demo();
    scenario.faults = vec![Fault { at: Span::from_secs(60), what: FaultKind::Resubmitted }];
    let mut flink = Flink::start(&scenario);
    let first = flink.0.job.to_string();
    flink.run(10.0);
    assert_eq!(flink.ask("PATCH", "/jobs/:job?mode=cancel", "").status, 202);
    assert_eq!(flink.ask("PATCH", "/jobs/:job?mode=cancel", "").status, 409);
    assert_eq!(flink.get("/jobs/:job/status")["status"], "CANCELED");
    flink.run(60.0);
    let jobs = flink.get("/jobs");
    assert_eq!(jobs["jobs"][0], json!({"id": first, "status": "CANCELED"}));
    assert_eq!(jobs["jobs"][1]["status"], "RUNNING");
    assert_eq!(flink.get(&format!("/jobs/{first}"))["state"], "CANCELED");
    assert_eq!(flink.get("/jobs/overview")["jobs"].as_array().map(Vec::len), Some(2));
    assert_eq!(flink.get("/overview")["jobs-cancelled"], 1);
}

#[test]
fn faults_are_seen_by_those_who_ask() {
    let mut scenario = scenarios::demo();
    let lasts = Span::from_secs(30);
    scenario.faults = vec![
        Fault { at: Span::from_secs(10), what: FaultKind::Unreachable { lasts } },
        Fault { at: Span::from_secs(60), what: FaultKind::JobmanagerLost { lasts } },
        Fault { at: Span::from_secs(60), what: FaultKind::SlowAnswers { lasts, delay: Span::from_secs(3) } },
    ];
    let mut flink = Flink::start(&scenario);
    flink.run(20.0);
    assert_eq!(flink.0.answer(Request::get("/jobs")), None);
    flink.run(50.0);
    let away = flink.ask("GET", "/jobs", "");
    assert_eq!((away.status, away.body["errors"].as_array().map(Vec::len)), (503, Some(1)));
    assert_eq!(flink.0.delay_ms(), 3000);
    flink.run(30.0);
    assert_eq!(flink.get("/jobs")["jobs"][0]["status"], "RUNNING");
}

#[test]
fn the_default_scheduler_takes_no_requirements() {
    let scenario = Scenario { scheduler: SchedulerKind::Default, ..scenarios::demo() };
    let mut flink = Flink::start(&scenario);
    assert_eq!(flink.get("/config")["features"]["web-rescale"], false);
    for (method, body) in [
        ("GET", ""),
        ("PUT", r#"{"00000000000000000000000000000001":{"parallelism":{"lowerBound":1,"upperBound":1}}}"#),
    ] {
        let answer = flink.ask(method, "/jobs/:job/resource-requirements", body);
        assert_eq!(answer.status, 500);
        let told = answer.body["errors"][1].to_string();
        assert!(told.contains("java.lang.UnsupportedOperationException"), "{told}");
    }
}

#[test]
fn broken_requests_are_turned_away() {
    let mut flink = Flink::start(&scenarios::demo());
    for (method, path, body, status) in [
        ("GET", "/", "", 404),
        ("GET", "", "", 404),
        ("GET", "/v1", "", 404),
        ("GET", "/v1jobs", "", 404),
        ("DELETE", "/jobs/:job", "", 404),
        ("GET", "/jobs/%", "", 400),
        ("GET", "/jobs/:job/metrics?get=50%", "", 500),
        ("POST", "/jobs/:job/checkpoints", "[", 400),
        ("PATCH", "/jobs/:job?mode=stop", "", 400),
        ("PATCH", "/jobs/00000000000000000000000000000000", "", 404),
        ("PUT", "/jobs/:job/resource-requirements", "[1]", 400),
        (
            "PUT",
            "/jobs/:job/resource-requirements",
            r#"{"x":{"parallelism":{"lowerBound":1,"upperBound":1}}}"#,
            400,
        ),
    ] {
        let answer = flink.ask(method, path, body);
        assert_eq!(answer.status, status, "{method} {path} {body}: {}", answer.body);
        assert!(answer.body["errors"][0].is_string(), "{method} {path}: {}", answer.body);
    }
}

#[test]
fn metrics_per_second_are_those_between_two_fetches() {
    let mut scenario = scenarios::demo();
    scenario.vertices[0] = VertexScenario::new("Source: orders", 0.05).with_load(Load::constant(800.0));
    let mut flink = Flink::start(&scenario);
    flink.fresh("/jobs");
    let names = "numRecordsInPerSecond,busyTimeMsPerSecond,idleTimeMsPerSecond";
    let told = flink.fresh(&format!("/jobs/:job/vertices/:parse/subtasks/metrics?get={names}&agg=sum"));
    for (index, expected) in [(0, 800.0), (1, 3200.0), (2, 1800.0)] {
        let got = told[index]["sum"].as_f64().expect("a number");
        assert!((got - expected).abs() < expected * 0.01, "{told}");
    }
}
