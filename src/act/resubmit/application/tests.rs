//! What is asked of Flink and of the API server in application mode, and what is not.

use serde_json::{Value, json};

use super::super::Program;
use super::*;
use crate::model::{Attempt, Reached, Resubmission, Timestamp};
use crate::observe::flink::FlinkClient;
use crate::observe::flink::scripted::{Reply, Scripted};
use crate::policy::{JobManagerRef, SavepointSpec};

const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const JOB: JobId = JobId::from_bits(7);
const STARTED: i64 = 5;
const SAVED: &str = "file:/s/savepoint-1";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/shop/deployments/jm";
const A_JOB: &str = "/apis/batch/v1/namespaces/shop/jobs/jm";

/// A Flink, an API server, and a job that is on its way.
struct World {
    flink: Scripted,
    api: Scripted,
    kind: ManagerKind,
    attempt: Attempt,
}

fn sizes(size: u64) -> BTreeMap<VertexId, Parallelism> {
    [(VertexId::from_bits(1), Parallelism::clamped(size))].into()
}

/// The object, of a job that is started by these arguments.
fn object(kind: ManagerKind, args: &[String]) -> Value {
    let version = if kind == ManagerKind::Job { "batch/v1" } else { "apps/v1" };
    let status = if kind == ManagerKind::Job {
        json!({"active": 1, "ready": 1})
    } else {
        json!({"observedGeneration": 1, "updatedReplicas": 1, "readyReplicas": 1})
    };
    json!({
        "apiVersion": version, "kind": kind.name(),
        "metadata": {"name": "jm", "namespace": "shop", "uid": "u", "resourceVersion": "3", "generation": 1},
        "spec": {
            "strategy": {"type": "Recreate"},
            "template": {"metadata": {}, "spec": {"containers": [{"name": "jobmanager", "args": args}]}},
        },
        "status": status,
    })
}

fn before() -> Vec<String> {
    ["standalone-job", "--job-classname", "a.B", "--topic", "orders"].map(str::to_owned).into()
}

impl World {
    async fn new(kind: ManagerKind, stage: Stage) -> Self {
        let (flink, api) = (Scripted::start().await, Scripted::start().await);
        let mut resubmission = Resubmission::new(JOB, AT);
        if stage != Stage::Planned {
            let found = of_gone(&object(kind, &before())).expect("a JobManager");
            resubmission.manager = Some(Box::new(Manager {
                kind,
                namespace: "shop".to_owned(),
                name: "jm".to_owned(),
                uid: found.uid,
                args: found.args_digest,
                rest: found.rest,
                started: STARTED,
                is_highly_available: false,
                savepoint_before: Some("file:/s/theirs".to_owned()),
                object: (kind == ManagerKind::Job).then(|| Box::new(to_create(&object(kind, &before())))),
                earlier: Vec::new(),
            }));
        }
        resubmission.location =
            (!matches!(stage, Stage::Planned | Stage::StopRequested)).then(|| SAVED.to_owned());
        resubmission.reached = vec![Reached { stage, at: AT }];
        let attempt = Attempt::new(JOB, AT, AT, sizes(2), sizes(4));
        let world =
            Self { flink, api, kind, attempt: Attempt { resubmission: Some(resubmission), ..attempt } };
        world.object(&before());
        world.job("RUNNING", STARTED);
        world
    }

    fn resubmission(&mut self) -> &mut Resubmission {
        self.attempt.resubmission.as_mut().expect("it is under way")
    }

    fn manager(&mut self) -> &mut Manager {
        self.resubmission().manager.as_mut().expect("a JobManager")
    }

    fn path(&self) -> &'static str {
        if self.kind == ManagerKind::Job { A_JOB } else { DEPLOYMENT }
    }

    fn object(&self, args: &[String]) {
        self.object_is(&object(self.kind, args));
    }

    fn object_is(&self, object: &Value) {
        self.api.set(&format!("GET {}", self.path()), Reply::ok(object.to_string()));
    }

    /// The one job that Flink knows.
    fn job(&self, state: &str, started: i64) {
        let job = json!({"jid": JOB, "name": "orders", "state": state, "start-time": started});
        self.flink.set("GET /jobs/overview", Reply::ok(json!({"jobs": [job]}).to_string()));
        self.flink.set(&format!("GET /jobs/{JOB}/status"), Reply::ok(json!({"status": state}).to_string()));
    }

    /// The arguments of a run of ours.
    fn args(&self, wanted: Wanted) -> Vec<String> {
        let resubmission = self.attempt.resubmission.as_ref().expect("it is under way");
        let (id, sizes) = match wanted {
            Wanted::New => (resubmission.target, &self.attempt.to),
            Wanted::Old => (resubmission.fallback, &self.attempt.from),
        };
        let found = of_gone(&object(self.kind, &before())).expect("a JobManager");
        Manager::arguments(&found, WantedRun { id, sizes }, SAVED).expect("arguments")
    }

    async fn step(&self) -> Event {
        let config = kube::Config::new(self.api.url().parse().expect("a URL"));
        let client = kube::Client::try_from(config).expect("a client");
        let named = JobManagerRef { kind: self.kind, name: "jm".to_owned() };
        let program = Program {
            savepoint: SavepointSpec { job_manager: Some(named.clone()), ..SavepointSpec::default() },
            job: Some("orders".to_owned()),
            manager: Some(Ok(ManagerTarget::new(client, "shop", &named))),
        };
        let flink = FlinkClient::new(&self.flink.flink()).expect("a client");
        let resubmission = self.attempt.resubmission.as_ref().expect("it is under way");
        super::super::step(&flink, &self.attempt, resubmission, &program).await
    }

    /// What was asked to change, of Flink and of the API server, and the last body.
    fn changes(&self) -> (Vec<String>, Value) {
        let all = [self.flink.requests(), self.api.requests()].concat();
        let changes: Vec<_> = all.into_iter().filter(|request| !request.line.starts_with("GET ")).collect();
        let body = changes.last().and_then(|last| serde_json::from_str(&last.body).ok()).unwrap_or_default();
        (changes.into_iter().map(|request| request.line).collect(), body)
    }
}

fn refusal(code: u16) -> Reply {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "you may not", "code": code});
    Reply::Status(code, status.to_string())
}

fn absent() -> Event {
    Event::Run(Run::Absent)
}

#[tokio::test]
async fn the_result_of_a_stop_that_ends_is_left_unread() {
    let world = World::new(ManagerKind::Deployment, Stage::StopRequested).await;
    let states =
        ["RUNNING", "RUNNING", "FINISHED"].map(|state| Reply::ok(json!({"status": state}).to_string()));
    world.flink.set(&format!("GET /jobs/{JOB}/status"), Reply::Turns(states.into()));
    world.flink.set(&format!("POST /jobs/{JOB}/stop"), Reply::ok("{}"));
    let at = |path: &str| {
        let saved =
            json!({"status": "COMPLETED", "trigger_timestamp": AT.as_millis(), "external_path": path});
        Reply::ok(json!({"latest": {"completed": null, "savepoint": saved}}).to_string())
    };
    // From a cache of before, at first.
    let told = vec![at("file:/s/theirs"), at("file:/s/theirs"), at(SAVED)];
    world.flink.set(&format!("GET /jobs/{JOB}/checkpoints"), Reply::Turns(told));
    let saved = Event::Stop(Stop::Saved(SAVED.to_owned()), Some(JobState::Finished));
    assert_eq!(world.step().await, saved);
    let asked = world.flink.lines();
    assert!(!asked.iter().any(|line| line.contains("/savepoints/")), "{asked:?}");
}

#[tokio::test]
async fn a_jobmanager_that_was_started_again_is_left_alone() {
    for kind in [ManagerKind::Deployment, ManagerKind::Job] {
        let world = World::new(kind, Stage::StopRequested).await;
        // Under the same id, which its arguments say.
        world.job("RUNNING", STARTED + 1);
        assert!(matches!(world.step().await, Event::Changed(_)));
        // Under another.
        let unknown = Reply::error(500, &["FlinkJobNotFoundException"]);
        world.flink.set(&format!("GET /jobs/{JOB}/status"), unknown);
        let other =
            json!({"jid": JobId::from_bits(8), "name": "orders", "state": "RUNNING", "start-time": 9});
        world.flink.set("GET /jobs/overview", Reply::ok(json!({"jobs": [other]}).to_string()));
        assert!(matches!(world.step().await, Event::Changed(_)));
        // Its program has not come to its job yet.
        world.flink.set("GET /jobs/overview", Reply::ok(json!({"jobs": []}).to_string()));
        assert!(matches!(world.step().await, Event::Silence(_)));
        assert_eq!(world.changes().0, [""; 0]);
    }
    // A Job that is complete is not started again, and where its savepoint is nobody tells.
    let world = World::new(ManagerKind::Job, Stage::StopRequested).await;
    world.flink.set(&format!("GET /jobs/{JOB}/status"), Reply::cut());
    assert!(matches!(world.step().await, Event::Silence(_)));
    let mut complete = object(ManagerKind::Job, &before());
    complete["status"] = json!({"conditions": [{"type": "Complete", "status": "True"}]});
    world.object_is(&complete);
    assert_eq!(world.step().await, Event::Stop(Stop::Forgotten(None), Some(JobState::Finished)));
}

#[tokio::test]
async fn what_somebody_has_switched_off_or_changed_is_not_waited_for() {
    let stages = [Stage::StopRequested, Stage::SavepointDone];
    for (kind, stage) in [ManagerKind::Deployment, ManagerKind::Job]
        .into_iter()
        .flat_map(|kind| stages.map(|stage| (kind, stage)))
    {
        let mut world = World::new(kind, stage).await;
        // After a savepoint whose stop has failed, Flink may start the job again.
        world.resubmission().detail = Some("the job has failed with its stop".to_owned());
        world.flink.set(&format!("GET /jobs/{JOB}/status"), Reply::cut());
        assert!(matches!(world.step().await, Event::Silence(_)), "{kind:?} {stage:?}");
        let mut off = object(kind, &before());
        (off["spec"]["replicas"], off["spec"]["suspend"]) = (json!(0), json!(true));
        let mut another = object(kind, &before());
        another["spec"]["template"]["spec"]["containers"][0]["image"] = json!("another");
        let other = object(kind, &[before(), vec!["--other".to_owned()]].concat());
        for theirs in [off, another, other] {
            world.object_is(&theirs);
            assert!(matches!(world.step().await, Event::Changed(_)), "{stage:?}: {theirs}");
        }
        assert_eq!(world.changes().0, [""; 0]);
    }
}

#[tokio::test]
async fn the_savepoint_of_a_job_that_failed_after_it_is_not_lost() {
    let world = World::new(ManagerKind::Deployment, Stage::StopRequested).await;
    world.job("FAILED", STARTED);
    let trigger = world.attempt.resubmission.as_ref().expect("it is under way").trigger;
    let tells = |trace: &str| {
        let cause = json!({"class": "E", "stack-trace": trace});
        let told = json!({"status": {"id": "COMPLETED"}, "operation": {"failure-cause": cause}});
        world.flink.set(&format!("GET /jobs/{JOB}/savepoints/{trigger}"), Reply::ok(told.to_string()));
    };
    let after = format!(
        "E: A savepoint has been created at: {SAVED}, but the corresponding job {JOB} failed during stopping."
    );
    tells(&after);
    let event = world.step().await;
    let is_there =
        matches!(&event, Event::Stop(Stop::Failed(_, Some(path)), Some(JobState::Failed)) if path == SAVED);
    assert!(is_there, "{event:?}");
    // Without one nothing can be run but what its JobManager runs.
    tells("CheckpointException: Checkpoint expired before completing.");
    let event = world.step().await;
    assert!(matches!(&event, Event::Changed(why) if why.contains("expired")), "{event:?}");
}

#[tokio::test]
async fn a_deployment_is_patched_once_and_only_as_it_was() {
    for (stage, wanted) in [(Stage::Submitted, Wanted::New), (Stage::RollingBack, Wanted::Old)] {
        let world = World::new(ManagerKind::Deployment, stage).await;
        let patch = format!("PATCH {DEPLOYMENT}?&fieldManager=tidegate");
        world.api.set(&patch, Reply::ok(object(ManagerKind::Deployment, &before()).to_string()));
        assert_eq!(world.step().await, absent());
        let (asked, body) = world.changes();
        assert_eq!(asked, std::slice::from_ref(&patch));
        assert_eq!(body["metadata"]["resourceVersion"], "3");
        let args = world.args(wanted);
        let patched = &body["spec"]["template"]["spec"]["containers"];
        assert_eq!(*patched, json!([{"name": "jobmanager", "args": args}]));

        // Done: it is waited for, and what nobody answers for is not up yet.
        world.object(&args);
        let id = job_of(&args);
        world.flink.set(&format!("GET /jobs/{id}/status"), Reply::cut());
        assert!(matches!(world.step().await, Event::Silence(_)), "its pod is ready: it is the way there");
        let mut starting = object(ManagerKind::Deployment, &args);
        starting["status"]["readyReplicas"] = json!(0);
        world.object_is(&starting);
        assert_eq!(world.step().await, absent());
        assert_eq!(world.changes().0, [""; 0]);

        // Somebody else's.
        let mut other = object(ManagerKind::Deployment, &before());
        other["spec"]["template"]["spec"]["containers"][0]["image"] = json!("another");
        let mut gone = object(ManagerKind::Deployment, &before());
        gone["metadata"]["uid"] = json!("v");
        let mut off = object(ManagerKind::Deployment, &args);
        off["spec"]["replicas"] = json!(0);
        for theirs in [other, gone, off] {
            world.object_is(&theirs);
            assert!(matches!(world.step().await, Event::Changed(_)), "{theirs}");
        }
        world.api.set(&format!("GET {DEPLOYMENT}"), refusal(404));
        assert!(matches!(world.step().await, Event::Changed(_)));
        assert_eq!(world.changes().0, [""; 0]);
    }
}

/// The id that arguments of ours say.
fn job_of(args: &[String]) -> JobId {
    crate::model::job_id(&[], args).expect("arguments").expect("an id")
}

#[tokio::test]
async fn a_job_is_deleted_by_its_uid_and_created_when_it_is_gone() {
    let world = World::new(ManagerKind::Job, Stage::Submitted).await;
    world.api.set(&format!("DELETE {A_JOB}?"), Reply::ok(object(ManagerKind::Job, &before()).to_string()));
    assert_eq!(world.step().await, absent());
    let (asked, body) = world.changes();
    assert_eq!((asked.len(), &body["preconditions"]["uid"]), (1, &json!("u")), "{asked:?}");
    assert_eq!(body["propagationPolicy"], "Foreground");
    // Its pods are still there.
    let mut going = object(ManagerKind::Job, &before());
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    world.object_is(&going);
    assert_eq!(world.step().await, absent());
    assert_eq!(world.changes().0, [""; 0]);

    world.api.set(&format!("GET {A_JOB}"), refusal(404));
    let create = "POST /apis/batch/v1/namespaces/shop/jobs?&fieldManager=tidegate";
    world.api.set(create, Reply::Status(201, object(ManagerKind::Job, &before()).to_string()));
    assert_eq!(world.step().await, absent());
    let (asked, body) = world.changes();
    assert_eq!(asked, [create]);
    let args = world.args(Wanted::New);
    assert_eq!(body["spec"]["template"]["spec"]["containers"][0]["args"], json!(args));
    assert_eq!((&body["metadata"]["name"], &body["metadata"]["uid"]), (&json!("jm"), &Value::Null));
    // What is not taken now will not be later.
    world.api.set(create, refusal(403));
    assert!(matches!(world.step().await, Event::Refused(_)));
    // Its own next one has another uid; anybody else's has other arguments.
    let mut ours = object(ManagerKind::Job, &args);
    ours["metadata"]["uid"] = json!("v");
    world.object_is(&ours);
    world.flink.set(&format!("GET /jobs/{}/status", job_of(&args)), Reply::ok(r#"{"status":"CREATED"}"#));
    assert!(matches!(world.step().await, Event::Run(Run::Present { state: JobState::Created, .. })));
    ours["spec"]["template"]["spec"]["containers"][0]["args"] = json!(before());
    world.object_is(&ours);
    assert!(matches!(world.step().await, Event::Changed(_)));
    // It has failed for good.
    let mut failed = object(ManagerKind::Job, &args);
    failed["metadata"]["uid"] = json!("v");
    failed["status"] = json!({"conditions": [{"type": "Failed", "status": "True", "message": "too often"}]});
    world.object_is(&failed);
    world.flink.set(&format!("GET /jobs/{}/status", job_of(&args)), Reply::cut());
    assert!(matches!(world.step().await, Event::Refused(why) if why.contains("too often")));
}

#[tokio::test]
async fn a_run_that_does_not_come_up_is_cancelled_only_where_it_would_come_back() {
    for is_highly_available in [false, true] {
        let mut world = World::new(ManagerKind::Deployment, Stage::Cancelling).await;
        world.manager().is_highly_available = is_highly_available;
        let args = world.args(Wanted::New);
        world.object(&args);
        let id = job_of(&args);
        world.flink.set(&format!("GET /jobs/{id}/status"), Reply::ok(r#"{"status":"RESTARTING"}"#));
        let cancel = format!("PATCH /jobs/{id}?mode=cancel");
        world.flink.set(&cancel, Reply::Status(202, "{}".to_owned()));
        let event = world.step().await;
        let (asked, _) = world.changes();
        if is_highly_available {
            assert!(
                matches!(event, Event::Run(Run::Present { state: JobState::Restarting, .. })),
                "{event:?}"
            );
            assert_eq!(asked, [cancel]);
        } else {
            // Its JobManager, which is replaced next, takes it along.
            assert_eq!((event, asked), (absent(), Vec::new()));
        }
    }
    // What runs there is cancelled before the next run where Flink would bring it back.
    let mut world = World::new(ManagerKind::Deployment, Stage::Submitted).await;
    world.manager().is_highly_available = true;
    let cancel = format!("PATCH /jobs/{JOB}?mode=cancel");
    world.flink.set(&cancel, Reply::Status(202, "{}".to_owned()));
    let listed = |state: &str| {
        let job = json!({"jid": JOB, "name": "orders", "state": state, "start-time": STARTED});
        Reply::ok(json!({"jobs": [job]}).to_string())
    };
    let ends = || Reply::Turns(["RUNNING", "CANCELLING", "CANCELED"].map(listed).into());
    world.flink.set("GET /jobs/overview", ends());
    let patch = format!("PATCH {DEPLOYMENT}?&fieldManager=tidegate");
    world.api.set(&patch, Reply::ok(object(ManagerKind::Deployment, &before()).to_string()));
    assert_eq!(world.step().await, absent());
    // At once, for its JobManager starts it anew as soon as it can.
    assert_eq!(world.changes().0, [cancel.clone(), patch]);
    // So is what has come back all the same, beside the next run or in its place.
    let args = world.args(Wanted::New);
    world.object(&args);
    world.flink.set(&format!("GET /jobs/{}/status", job_of(&args)), Reply::ok(r#"{"status":"CREATED"}"#));
    world.flink.set("GET /jobs/overview", ends());
    assert!(matches!(world.step().await, Event::Run(Run::Present { state: JobState::Created, .. })));
    assert_eq!(world.changes().0, [cancel]);
}

#[tokio::test]
async fn what_was_begun_anew_long_ago_is_not_set_back() {
    let mut world = World::new(ManagerKind::Deployment, Stage::Submitted).await;
    let later = AT + Duration::from_hours(1);
    world.resubmission().reached =
        vec![Reached { stage: Stage::SavepointDone, at: AT }, Reached { stage: Stage::Submitted, at: later }];
    assert!(matches!(world.step().await, Event::Changed(_)));
    assert_eq!(world.changes().0, [""; 0]);
}

#[tokio::test]
async fn nothing_is_begun_that_may_not_be_done() {
    let dry = "dryRun=All";
    let setups = |world: &World, running: u64| {
        let args = "GET /jobs/00000000000000000000000000000007";
        let job = json!({
            "jid": JOB, "name": "orders", "state": "RUNNING", "now": 9, "timestamps": {"RUNNING": 5},
            "vertices": [{
                "id": VertexId::from_bits(1), "name": "v", "maxParallelism": 128, "parallelism": 2, "tasks": {"RUNNING": running},
                "metrics": {"read-records": 0, "read-records-complete": true, "write-records": 0, "write-records-complete": true},
            }],
            "plan": {"nodes": [{"id": VertexId::from_bits(1)}]},
        });
        world.flink.set(args, Reply::ok(job.to_string()));
        world.flink.set(&format!("{args}/checkpoints"), Reply::ok(r#"{"latest":{}}"#));
        world.flink.set("GET /jobmanager/config", Reply::ok("[]"));
    };
    let world = World::new(ManagerKind::Deployment, Stage::Planned).await;
    setups(&world, 1);
    let not_up = world.step().await;
    assert!(matches!(&not_up, Event::Changed(why) if why.contains("subtasks")), "{not_up:?}");
    assert_eq!(world.changes().0, [""; 0]);
    setups(&world, 2);
    let patch = format!("PATCH {DEPLOYMENT}?&{dry}&fieldManager=tidegate");
    world.api.set(&patch, refusal(403));
    let refused = world.step().await;
    assert!(matches!(&refused, Event::Changed(why) if why.contains("you may not")), "{refused:?}");
    assert_eq!(world.changes().0, std::slice::from_ref(&patch), "and that was only tried");
    world.api.set(&patch, Reply::ok(object(ManagerKind::Deployment, &before()).to_string()));
    let fit = world.step().await;
    let Event::Fit(manager) = fit else { panic!("{fit:?}") };
    assert_eq!((manager.started, manager.is_highly_available, manager.object), (STARTED, false, None));

    // Not settled, or in no way to be used.
    let mut rolling = object(ManagerKind::Deployment, &before());
    rolling["spec"]["strategy"]["type"] = json!("RollingUpdate");
    let mut changing = object(ManagerKind::Deployment, &before());
    changing["metadata"]["generation"] = json!(2);
    let session = object(ManagerKind::Deployment, &["jobmanager".to_owned()]);
    world.changes();
    for unfit in [rolling, changing, session] {
        world.object_is(&unfit);
        assert!(matches!(world.step().await, Event::Changed(_)), "{unfit}");
        assert_eq!(world.changes().0, [""; 0]);
    }

    let world = World::new(ManagerKind::Job, Stage::Planned).await;
    setups(&world, 2);
    world.api.set(&format!("DELETE {A_JOB}?"), Reply::ok(object(ManagerKind::Job, &before()).to_string()));
    let create = format!("POST /apis/batch/v1/namespaces/shop/jobs?&{dry}&fieldManager=tidegate");
    world.api.set(&create, refusal(403));
    assert!(matches!(world.step().await, Event::Changed(_)));
    world.api.set(&create, Reply::Status(201, object(ManagerKind::Job, &before()).to_string()));
    world.changes();
    let fit = world.step().await;
    let Event::Fit(manager) = fit else { panic!("{fit:?}") };
    let (asked, body) = world.changes();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert_eq!(body["metadata"]["name"], Value::Null, "a name that nobody has");
    let kept = manager.object.expect("all of it is kept");
    assert_eq!((&kept["metadata"]["name"], &kept["metadata"]["uid"]), (&json!("jm"), &Value::Null));
}
