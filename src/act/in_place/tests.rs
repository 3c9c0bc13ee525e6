//! What is asked of Flink, and what is not, when the world is not what a plan assumes.

use serde_json::{Value, json};

use super::*;
use crate::model::{Rescale, RescaleEnd};
use crate::observe::flink::scripted::{Reply, Request, Scripted, fixture, recorded_job};
use crate::plan::{Assumptions, Change, Direction, Way};

const VERSION: &str = "2.3.0";

/// A cluster of 16 slots that runs the recorded chain (2, 3, 1 and 1 subtasks), and a plan for it.
struct World {
    server: Scripted,
    job: String,
    plan: Plan,
    ledger: Ledger,
}

impl World {
    async fn new() -> Self {
        let server = Scripted::recorded(VERSION).await;
        let job = recorded_job(VERSION);
        let recorded: Value = serde_json::from_str(&fixture(VERSION, "job-running")).expect("json");
        let changes =
            recorded["vertices"].as_array().expect("vertices").iter().zip([2, 6, 2, 1]).map(|(raw, to)| {
                Change {
                    vertex: raw["id"].as_str().expect("an id").parse().expect("an id"),
                    name: raw["name"].as_str().expect("a name").to_owned(),
                    from: Parallelism::clamped(raw["parallelism"].as_u64().expect("a size")),
                    to: Parallelism::clamped(to),
                    capacity_before: None,
                    capacity_after: None,
                }
            });
        let plan = Plan {
            scale: None,
            direction: Direction::Up,
            changes: changes.collect(),
            slots_before: 3,
            slots_after: 6,
            replicas: None,
            way: Way::InPlace,
            operator: None,
            assumes: Assumptions {
                job: job.parse().expect("an id"),
                version: VERSION.parse().expect("a version"),
                running_since: recorded["timestamps"]["RUNNING"].as_i64().map(Timestamp::from_millis),
                slots: 6,
            },
            load: 500.0,
            within_bounds_again: false,
        };
        let world = Self { server, job, plan, ledger: Ledger::default() };
        world.set("GET", "/resource-requirements", Reply::ok(fixture(VERSION, "resource-requirements")));
        world.set("PUT", "/resource-requirements", Reply::ok("{}"));
        world
    }

    fn set(&self, method: &str, path: &str, reply: Reply) {
        self.server.set(&format!("{method} /jobs/{}{path}", self.job), reply);
    }

    fn vertex(&self, index: usize) -> VertexId {
        self.plan.changes[index].vertex
    }

    fn sizes(&self, sizes: [u64; 4]) -> BTreeMap<VertexId, Parallelism> {
        sizes
            .into_iter()
            .enumerate()
            .map(|(index, p)| (self.vertex(index), Parallelism::clamped(p)))
            .collect()
    }

    /// The requirements in which every vertex may have as many.
    fn requirements(&self, uppers: [i64; 4]) -> Value {
        let bounds = |upper: i64| json!({"parallelism": {"lowerBound": 1, "upperBound": upper}});
        let each = uppers.into_iter().enumerate();
        each.map(|(index, upper)| (self.vertex(index).to_string(), bounds(upper))).collect()
    }

    fn required(&self, uppers: [i64; 4]) {
        self.set("GET", "/resource-requirements", Reply::ok(self.requirements(uppers).to_string()));
    }

    fn job(&self, change: impl FnOnce(&mut Value)) {
        let mut job: Value = serde_json::from_str(&fixture(VERSION, "job-running")).expect("json");
        change(&mut job);
        self.set("GET", "", Reply::ok(job.to_string()));
    }

    fn overview(&self, total: u32, available: u32, jobs: u32) {
        let body = json!({"taskmanagers": 2, "slots-total": total, "slots-available": available, "jobs-running": jobs});
        self.server.set("GET /overview", Reply::ok(body.to_string()));
    }

    /// A rescale from 2, 3, 1 and 1 subtasks, written down at the time 0.
    fn attempt(&self, to: [u64; 4]) -> Attempt {
        let moment = Timestamp::from_millis(0);
        let job = self.plan.assumes.job;
        Attempt::new(job, moment, moment, self.sizes([2, 3, 1, 1]), self.sizes(to))
    }

    fn client(&self) -> FlinkClient {
        FlinkClient::new(&self.server.flink()).expect("a client")
    }

    async fn carry_out(&self) -> Outcome {
        carry_out(&self.client(), &self.plan, &self.ledger, Timestamp::from_millis(0)).await
    }

    /// The sizes that were asked of it.
    fn puts(&self) -> Vec<Request> {
        self.writes().into_iter().filter(|request| request.line.starts_with("PUT ")).collect()
    }

    /// What was asked of it that changes something.
    fn writes(&self) -> Vec<Request> {
        self.server.requests().into_iter().filter(|request| !request.line.starts_with("GET ")).collect()
    }
}

fn unsupported(message: &str) -> Reply {
    let trace =
        format!("<Exception on server side:\njava.lang.UnsupportedOperationException: {message}\n\tat a.b\n");
    Reply::error(500, &["Internal server error.", &trace])
}

const NOT_ADAPTIVE: &str =
    "The DefaultScheduler does not support changing the parallelism without a job restart.";
const REACTIVE: &str = "Cannot change the parallelism of a job running in reactive mode.";

#[tokio::test]
async fn asks_for_every_vertex_at_once() {
    let world = World::new().await;
    assert_eq!(world.carry_out().await, Outcome::Applied);
    let puts = world.puts();
    let lines: Vec<&str> = puts.iter().map(|put| put.line.as_str()).collect();
    assert_eq!(lines, [format!("PUT /jobs/{}/resource-requirements", world.job)]);
    let body: Value = serde_json::from_str(&puts[0].body).expect("json");
    assert_eq!(body, world.requirements([2, 6, 2, 1]));
}

#[tokio::test]
async fn a_checkpoint_comes_before_the_request_or_right_after_it() {
    for (version, expected) in [
        ("1.18.1", ["POST /checkpoints", "PUT /resource-requirements"]),
        ("1.20.5", ["POST /checkpoints", "PUT /resource-requirements"]),
        ("2.0.0", ["PUT /resource-requirements", "POST /checkpoints"]),
        ("2.3.0", ["PUT /resource-requirements", "POST /checkpoints"]),
    ] {
        let mut world = World::new().await;
        world.plan.assumes.version = version.parse().expect("a version");
        world.set("POST", "/checkpoints", Reply::ok(r#"{"request-id":"c0ffee"}"#));
        let status = |id| Reply::ok(format!(r#"{{"status":{{"id":"{id}"}},"operation":null}}"#));
        world.set(
            "GET",
            "/checkpoints/c0ffee",
            Reply::Turns(vec![status("IN_PROGRESS"), status("COMPLETED")]),
        );
        assert_eq!(world.carry_out().await, Outcome::Applied);
        let writes: Vec<String> = world
            .writes()
            .iter()
            .map(|write| write.line.replace(&format!("/jobs/{}", world.job), ""))
            .collect();
        assert_eq!(writes, expected, "{version}");
    }
}

#[tokio::test]
async fn a_rescale_does_without_its_checkpoint() {
    for version in ["1.20.5", "2.3.0"] {
        for reply in [Reply::error(500, &["Checkpointing has not been enabled."]), Reply::cut()] {
            let mut world = World::new().await;
            world.plan.assumes.version = version.parse().expect("a version");
            world.set("POST", "/checkpoints", reply);
            assert_eq!(world.carry_out().await, Outcome::Applied, "{version}");
            assert_eq!(world.puts().len(), 1, "{version}");
        }
    }
}

#[tokio::test]
async fn does_nothing_in_a_world_that_the_plan_does_not_assume() {
    type Change = fn(&mut World);
    let rows: [(Change, &str); 9] = [
        (
            |world| world.set("GET", "/status", Reply::ok(r#"{"status":"RESTARTING"}"#)),
            "the job is Restarting",
        ),
        (|world| world.job(|job| job["state"] = json!("CANCELLING")), "the job is Cancelling"),
        (
            |world| world.job(|job| job["timestamps"]["RUNNING"] = json!(1_795_999_999_999_i64)),
            "started again at 2026-",
        ),
        (
            |world| world.job(|job| job["vertices"][1]["parallelism"] = json!(4)),
            "parse has 4 subtasks, not 3",
        ),
        (|world| world.job(|job| job["plan"] = json!({})), "other vertices"),
        (|world| drop(world.plan.changes.pop()), "other vertices"),
        (|world| world.plan.changes[0].vertex = VertexId::from_bits(7), "other vertices"),
        (|world| world.required([2, 9, 1, 1]), "somebody else has asked for 9 subtasks of parse"),
        (
            |world| world.set("GET", "/resource-requirements", unsupported("x FlinkJobNotFoundException x")),
            "the job is gone",
        ),
    ];
    for (change, part) in rows {
        let mut world = World::new().await;
        change(&mut world);
        match world.carry_out().await {
            Outcome::Superseded { detail } => assert!(detail.contains(part), "{detail}, not {part}"),
            other => panic!("{other:?}, not {part}"),
        }
        assert_eq!(world.puts(), [], "{part}");
    }
}

#[tokio::test]
async fn tells_its_own_requirements_from_those_of_others() {
    type Change = fn(&mut World);
    let rows: [(Change, [i64; 4], bool); 6] = [
        (|_| {}, [2, 3, 1, 1], true),
        // The plan itself, asked for before a restart of Tidegate.
        (|_| {}, [2, 6, 2, 1], true),
        // Asked for by us before, and never come about.
        (|world| world.ledger.add_rescale(last(world, [2, 5, 1, 1])), [2, 5, 1, 1], true),
        (|world| world.ledger.add_rescale(last(world, [2, 5, 1, 1])), [2, 4, 1, 1], false),
        // Submitted larger than the cluster: nothing will come of it.
        (|_| {}, [2, 40, 1, 1], true),
        // As large as every vertex can be, which is larger than the cluster.
        (|_| {}, [-1, -1, -1, -1], true),
    ];
    for (change, uppers, is_ours) in rows {
        let mut world = World::new().await;
        change(&mut world);
        world.required(uppers);
        let outcome = world.carry_out().await;
        assert_eq!(outcome == Outcome::Applied, is_ours, "{uppers:?}: {outcome:?}");
        assert_eq!(world.puts().len(), usize::from(is_ours), "{uppers:?}");
    }
}

fn last(world: &World, to: [u64; 4]) -> Rescale {
    let moment = Timestamp::from_millis(0);
    Rescale {
        at: moment,
        ended: moment,
        end: RescaleEnd::TimedOut,
        from: world.sizes([2, 3, 1, 1]),
        to: world.sizes(to),
        downtime: None,
        load: 1.0,
        brought: None,
        reached: Vec::new(),
    }
}

#[tokio::test]
async fn asks_for_no_slots_that_are_not_there() {
    for (needed, (total, available, jobs), have) in [
        (6, (6, 0, 1), None),
        // Alone on the cluster: what it let go of is its own for a while, and not called available.
        (16, (16, 0, 1), None),
        (17, (16, 13, 1), Some(16)),
        (6, (16, 3, 2), None),
        (7, (16, 3, 2), Some(6)),
        (6, (0, 0, 0), Some(0)),
    ] {
        let mut world = World::new().await;
        world.plan.assumes.slots = needed;
        world.overview(total, available, jobs);
        let expected = match have {
            None => Outcome::Applied,
            Some(have) => Outcome::Held { found: Some(Hold::SlotsMissing { needed, have }) },
        };
        assert_eq!(world.carry_out().await, expected);
        assert_eq!(world.puts().len(), usize::from(have.is_none()));
    }
}

#[tokio::test]
async fn says_why_flink_refuses() {
    for (method, reply, kind, part) in [
        ("GET", unsupported(NOT_ADAPTIVE), "Held", "set jobmanager.scheduler: adaptive"),
        ("PUT", unsupported(NOT_ADAPTIVE), "Held", "set jobmanager.scheduler: adaptive"),
        ("PUT", unsupported(REACTIVE), "Held", "remove scheduler-mode: reactive"),
        ("GET", Reply::error(404, &["Unable to load requested file."]), "Held", "Flink 1.18"),
        ("PUT", Reply::error(409, &["Another update is under way."]), "Superseded", "somebody else"),
        (
            "PUT",
            Reply::error(400, &["java.lang.X: upper is too large\nmore"]),
            "Failed",
            "400: upper is too large",
        ),
        ("GET", Reply::ok("<html>"), "Failed", "does not look like Flink"),
    ] {
        let world = World::new().await;
        world.set(method, "/resource-requirements", reply);
        let outcome = world.carry_out().await;
        assert_eq!(outcome.kind(), kind, "{outcome:?}");
        let text = match &outcome {
            Outcome::Held { found: Some(hold) } => hold.to_string(),
            Outcome::Superseded { detail } | Outcome::Failed { detail } => detail.clone(),
            other => panic!("{other:?}"),
        };
        assert!(text.contains(part), "{text}, not {part}");
        assert_eq!(world.puts().len(), usize::from(method == "PUT"), "{part}");
    }
}

#[tokio::test]
async fn asks_nothing_of_a_flink_that_cannot_be_heard() {
    let world = World::new().await;
    world.set("GET", "/status", Reply::cut());
    let outcome = world.carry_out().await;
    assert_eq!(outcome.kind(), "Failed", "{outcome:?}");
    assert_eq!(world.puts(), []);
}

#[tokio::test]
async fn asks_again_only_when_an_answer_was_lost_and_the_request_too() {
    let (before, wanted) = ([2, 3, 1, 1], [2, 6, 2, 1]);
    let lost = |then: Reply| Reply::Turns(vec![Reply::cut(), then]);
    for (put, seen_then, puts, kind) in [
        (lost(Reply::ok("{}")), Some(wanted), 1, "Applied"),
        (lost(Reply::ok("{}")), Some(before), 2, "Applied"),
        // Whether it was taken cannot be known: what is seen of the job will tell.
        (Reply::cut(), Some(before), 2, "Applied"),
        (Reply::cut(), None, 1, "Applied"),
        (lost(Reply::error(400, &["no"])), Some(before), 2, "Failed"),
        (Reply::error(400, &["no"]), Some(before), 1, "Failed"),
    ] {
        let world = World::new().await;
        let reply = |uppers| Reply::ok(world.requirements(uppers).to_string());
        let then = seen_then.map_or(Reply::cut(), reply);
        world.set("GET", "/resource-requirements", Reply::Turns(vec![reply(before), then]));
        world.set("PUT", "/resource-requirements", put);
        assert_eq!(world.carry_out().await.kind(), kind);
        assert_eq!(world.puts().len(), puts, "{seen_then:?} {kind}");
    }
}

#[tokio::test]
async fn takes_back_what_did_not_come_about() {
    let world = World::new().await;
    let attempt = world.attempt([2, 6, 2, 1]);
    for (asked_for, put, kind, puts) in [
        ([2, 6, 2, 1], Reply::ok("{}"), "RolledBack", 1),
        ([2, 6, 2, 1], Reply::error(400, &["no"]), "Failed", 1),
        // It was never asked for, as when the program was stopped just before.
        ([2, 3, 1, 1], Reply::ok("{}"), "RolledBack", 0),
        // Somebody else has asked since.
        ([2, 9, 2, 1], Reply::ok("{}"), "Superseded", 0),
    ] {
        world.required(asked_for);
        world.set("PUT", "/resource-requirements", put);
        assert_eq!(roll_back(&world.client(), &attempt).await.kind(), kind, "{asked_for:?}");
        let asked = world.puts();
        assert_eq!(asked.len(), puts, "{asked_for:?}");
        for put in asked {
            let body: Value = serde_json::from_str(&put.body).expect("json");
            assert_eq!(body, world.requirements([2, 3, 1, 1]));
        }
    }
    world.set("GET", "/resource-requirements", unsupported("x FlinkJobNotFoundException x"));
    assert_eq!(roll_back(&world.client(), &attempt).await.kind(), "Superseded");
}

#[tokio::test]
async fn takes_up_what_was_written_down_where_the_job_can_have_it_still() {
    type Change = fn(&World);
    let same: Change = |_| {};
    let rows: [(&str, [u64; 4], i64, Change, Option<&str>, usize); 10] = [
        ("nothing has changed", [2, 6, 2, 1], 5, same, None, 1),
        // What the job let go of is its own for a while.
        ("just the slots that it needs", [2, 6, 2, 1], 5, |world| world.overview(6, 0, 1), None, 1),
        ("a TaskManager has gone", [2, 6, 2, 1], 5, |world| world.overview(5, 2, 1), Some("Held"), 0),
        ("another job has the slots", [2, 6, 2, 1], 5, |world| world.overview(16, 2, 2), Some("Held"), 0),
        ("it gives slots back", [2, 2, 1, 1], 5, |world| world.overview(3, 0, 2), None, 1),
        ("long ago", [2, 6, 2, 1], 61, same, Some("RolledBack"), 0),
        (
            "the job has stopped",
            [2, 6, 2, 1],
            5,
            |world| world.job(|job| job["state"] = json!("RESTARTING")),
            Some("Superseded"),
            0,
        ),
        (
            "a TaskManager was lost, and it runs smaller",
            [2, 6, 2, 1],
            5,
            |world| world.job(|job| job["vertices"][1]["parallelism"] = json!(2)),
            Some("Superseded"),
            0,
        ),
        ("it had been asked for", [2, 6, 2, 1], 5, |world| world.required([2, 6, 2, 1]), None, 0),
        ("somebody else has asked", [2, 6, 2, 1], 5, |world| world.required([2, 9, 2, 1]), None, 0),
    ];
    for (what, to, seconds, change, kind, puts) in rows {
        let world = World::new().await;
        world.required([2, 3, 1, 1]);
        change(&world);
        let now = Timestamp::from_millis(seconds * 1000);
        let outcome = take_up(&world.client(), &world.attempt(to), now).await;
        assert_eq!(outcome.as_ref().map(Outcome::kind), kind, "{what}: {outcome:?}");
        let asked = world.puts();
        assert_eq!(asked.len(), puts, "{what}");
        for put in asked {
            let body: Value = serde_json::from_str(&put.body).expect("json");
            assert_eq!(body, world.requirements(to.map(|p| i64::try_from(p).expect("small"))), "{what}");
        }
    }
}
