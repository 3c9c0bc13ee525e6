//! Stops with savepoints and runs of the jar, asked for as they are of Flink.

use std::time::Duration;

use serde_json::{Value, json};

use super::model_tests::{chain, run, start};
use super::rest::Request;
use super::*;
use crate::model::JobState;
use crate::policy::Span;

const TRIGGER: &str = "00000000000000000000000000000001";
const NEXT: &str = "000000000000000000000000000000aa";

fn ask(flink: &mut Simulation, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body).expect("JSON") };
    let request = Request { method, path, query: "", body: &body };
    let answer = flink.answer(request).expect("it answers");
    (answer.status, answer.body)
}

fn get(flink: &mut Simulation, path: &str) -> Value {
    ask(flink, "GET", path, &Value::Null).1
}

/// A job under the default scheduler: one subtask each, with room for eight.
fn scenario(version: &str, faults: &[FaultKind]) -> Scenario {
    let fault = |what: &FaultKind| Fault { at: Span::from_secs(5), what: what.clone() };
    Scenario {
        name: "orders".to_owned(),
        scheduler: SchedulerKind::Default,
        flink_version: version.parse().expect("a version"),
        taskmanagers: 2,
        slots_per_taskmanager: 4,
        faults: faults.iter().map(fault).collect(),
        ..chain(Load::constant(300.0), &[(1.0, 1), (2.0, 1)])
    }
}

fn job_of(flink: &mut Simulation) -> String {
    let jobs = get(flink, "/jobs/overview");
    jobs["jobs"].as_array().and_then(|jobs| jobs.last()).expect("a job")["jid"]
        .as_str()
        .expect("an id")
        .to_owned()
}

/// Asks for a stop, and waits for its end: the operation as it is told then.
fn stop(flink: &mut Simulation, job: &str, seconds: f64) -> Value {
    let asked = json!({"triggerId": TRIGGER, "drain": false, "formatType": "CANONICAL"});
    let taken = ask(flink, "POST", &format!("/jobs/{job}/stop"), &asked);
    assert_eq!(taken, (202, json!({"request-id": TRIGGER})));
    run(flink, seconds);
    get(flink, &format!("/jobs/{job}/savepoints/{TRIGGER}"))
}

/// Runs the jar from a savepoint, at sizes for the vertices of the first job.
fn run_jar(flink: &mut Simulation, savepoint: &str, sizes: [u32; 3]) -> (u16, Value) {
    let jars = get(flink, "/jars");
    let jar = &jars["files"][0];
    let id = jar["id"].as_str().unwrap_or("none").to_owned();
    let pairs = flink.graph().vertices().iter().zip(sizes).map(|(v, size)| format!("{}:{size}", v.id));
    let body = json!({
        "jobId": NEXT, "savepointPath": savepoint, "parallelism": sizes.iter().max(), "entryClass": "a.Job",
        "programArgsList": [], "allowNonRestoredState": false,
        "flinkConfiguration": {"pipeline.jobvertex-parallelism-overrides": pairs.collect::<Vec<_>>().join(",")},
    });
    ask(flink, "POST", &format!("/jars/{id}/run"), &body)
}

fn read(flink: &Simulation) -> f64 {
    let source = flink.truth().sources[0];
    source.arrived - source.backlog
}

#[test]
fn a_job_is_stopped_and_run_again_at_another_size_with_nothing_lost() {
    for (version, sizes) in [("1.20.5", [1, 2, 4]), ("1.18.1", [4; 3]), ("2.3.0", [4; 3])] {
        let mut flink = start(&scenario(version, &[]));
        run(&mut flink, 30.0);
        let job = job_of(&mut flink);
        let under_way = stop(&mut flink, &job, 0.0);
        assert_eq!(under_way["status"]["id"], "IN_PROGRESS");
        // The same again asks for nothing new.
        let ended = stop(&mut flink, &job, 2.0);
        let savepoint = ended["operation"]["location"].as_str().expect("a savepoint").to_owned();
        assert_eq!(get(&mut flink, &format!("/jobs/{job}/status"))["status"], "FINISHED");
        let told = get(&mut flink, &format!("/jobs/{job}/checkpoints"));
        assert_eq!(told["latest"]["savepoint"]["external_path"], savepoint);
        let before = read(&flink);
        run(&mut flink, 5.0);
        assert!((read(&flink) - before).abs() < 1e-6, "nobody reads");

        assert_eq!(run_jar(&mut flink, "file:/nowhere", [1, 2, 4]).0, 400, "no such savepoint");
        assert_eq!(run_jar(&mut flink, &savepoint, [1, 2, 4]), (200, json!({"jobid": NEXT})));
        let (status, said) = run_jar(&mut flink, &savepoint, [1, 2, 4]);
        assert!(status == 400 && said.to_string().contains("one job at a time"), "{said}");
        run(&mut flink, 3.0);
        let truth = flink.truth();
        assert_eq!((truth.state, &truth.parallelism[..]), (JobState::Running, &sizes[..]), "{version}");
        assert!(read(&flink) > before);
        let restored = &get(&mut flink, &format!("/jobs/{NEXT}/checkpoints"))["latest"]["restored"];
        assert_eq!(
            (&restored["is_savepoint"], &restored["external_path"]),
            (&json!(true), &json!(savepoint))
        );

        let (status, asked) =
            ask(&mut flink, "POST", "/savepoint-disposal", &json!({"savepoint-path": savepoint}));
        let request = asked["request-id"].as_str().expect("an id").to_owned();
        let gone = get(&mut flink, &format!("/savepoint-disposal/{request}"));
        assert_eq!((status, &gone["operation"]), (202, &json!({})));
    }
}

#[test]
fn a_stop_goes_wrong_in_each_way() {
    use JobState::{Failed, Running};
    for (how, seconds, says, state, has_savepoint) in [
        (StopFault::CannotWrite, 2.0, "IOException", Running, false),
        (StopFault::TimesOut, 601.0, "Checkpoint expired", Running, false),
        (StopFault::FailsFinishing, 5.0, "A savepoint has been created at: file:/savepoints/", Running, true),
        (StopFault::FailsForGood, 5.0, "A savepoint has been created at: file:/savepoints/", Failed, true),
    ] {
        let mut flink = start(&scenario("1.20.5", &[FaultKind::StopFails { how, times: 1 }]));
        run(&mut flink, 30.0);
        let job = job_of(&mut flink);
        let ended = stop(&mut flink, &job, seconds);
        let cause = ended["operation"]["failure-cause"]["stack-trace"].as_str().expect("a cause").to_owned();
        assert!(cause.contains(says), "{how:?}: {cause}");
        assert_eq!(flink.truth().state, state, "{how:?}");
        let told = get(&mut flink, &format!("/jobs/{job}/checkpoints"));
        assert_eq!(told["latest"]["savepoint"].is_object(), has_savepoint, "{how:?}");
    }
    let how = StopFault::Refused;
    let mut flink = start(&scenario("1.20.5", &[FaultKind::StopFails { how, times: 1 }]));
    run(&mut flink, 30.0);
    let path = format!("/jobs/{}/stop", job_of(&mut flink));
    assert_eq!(ask(&mut flink, "POST", &path, &json!({ "triggerId": TRIGGER })).0, 400);
    assert_eq!(ask(&mut flink, "POST", &path, &json!({ "triggerId": TRIGGER })).0, 202, "once");
}

#[test]
fn a_run_goes_wrong_in_each_way() {
    use JobState::{Created, Failed, Restarting, Running};
    let ill = |how| vec![FaultKind::RunFails { how, times: 1 }];
    for (what, faults, scheduler, status, states) in [
        ("refused", ill(RunFault::Refused), SchedulerKind::Default, 400, &[][..]),
        ("no jar", vec![FaultKind::JarLost], SchedulerKind::Default, 500, &[]),
        ("fails", ill(RunFault::Fails), SchedulerKind::Default, 200, &[Failed]),
        ("no slots", ill(RunFault::NoSlots), SchedulerKind::Default, 200, &[Created, Failed]),
        ("too few", ill(RunFault::FewerSlots), SchedulerKind::Default, 200, &[Created, Failed]),
        ("too few, adaptive", ill(RunFault::FewerSlots), SchedulerKind::Adaptive, 200, &[Created, Running]),
        (
            "a TaskManager less",
            vec![FaultKind::TaskmanagersLost { count: 1 }],
            SchedulerKind::Default,
            200,
            &[Created, Failed],
        ),
    ] {
        let mut flink = start(&Scenario { scheduler, ..scenario("1.20.5", &faults) });
        run(&mut flink, 30.0);
        let job = job_of(&mut flink);
        let ended = stop(&mut flink, &job, 2.0);
        let savepoint = ended["operation"]["location"].as_str().expect("a savepoint").to_owned();
        let (got, said) = run_jar(&mut flink, &savepoint, [1, 6, 6]);
        assert_eq!(got, status, "{what}: {said}");
        for (state, after) in states.iter().zip([5.0, 310.0]) {
            run(&mut flink, after);
            assert_eq!(flink.truth().state, *state, "{what}, {after} s later");
        }
        if states.last() == Some(&Running) {
            assert_eq!(flink.truth().parallelism, [1, 3, 3], "{what}");
        }
    }
    let mut flink = start(&scenario("1.20.5", &ill(RunFault::NeverUp)));
    run(&mut flink, 30.0);
    let job = job_of(&mut flink);
    let savepoint = stop(&mut flink, &job, 2.0)["operation"]["location"].as_str().expect("one").to_owned();
    assert_eq!(run_jar(&mut flink, &savepoint, [1, 2, 2]).0, 200);
    let mut seen = Vec::new();
    for _ in 0..60 {
        run(&mut flink, 0.5);
        let truth = flink.truth();
        assert!(!truth.running);
        seen.push(truth.state);
    }
    assert!(
        seen.contains(&Restarting) && flink.now().since(flink.start) > Duration::from_secs(30),
        "{seen:?}"
    );
}

#[test]
fn a_jobmanager_that_goes_knows_of_no_stop() {
    let lasts = Span::from_secs(5);
    let lost = Fault { at: Span::from_secs(31), what: FaultKind::JobmanagerLost { lasts } };
    let mut scenario = scenario("1.20.5", &[FaultKind::StopFails { how: StopFault::TimesOut, times: 1 }]);
    scenario.faults.push(lost);
    let mut flink = start(&scenario);
    run(&mut flink, 30.0);
    let job = job_of(&mut flink);
    assert_eq!(stop(&mut flink, &job, 0.5)["status"]["id"], "IN_PROGRESS");
    run(&mut flink, 20.0);
    let path = format!("/jobs/{job}/savepoints/{TRIGGER}");
    assert_eq!(ask(&mut flink, "GET", &path, &Value::Null).0, 404);
    assert_eq!(flink.truth().state, JobState::Running);
}
