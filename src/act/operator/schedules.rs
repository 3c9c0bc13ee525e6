//! Schedules of crashes, time-outs, late answers, conflicts and people who act in between, each from a seed, for a job that an operator
//! runs: whatever happens, its resource is changed once and put back at most once, what somebody else has changed is left alone,
//! and every attempt ends.
//!
//! What is driven is what the daemon runs, with a real client of the API server. A seed that fails is printed; `SEED=n` plays it alone.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::Client;
use serde_json::json;

use super::server::{Goes, Server, sizes};
use super::step;
use crate::act::played::api::{self, Reply};
use crate::act::played::dice::Dice;
use crate::act::played::run::NAME;
use crate::act::played::{Ends, OVER_WITHIN, START, seeds};
use crate::model::{
    Attempt, JobId, JobState, Observation, OperatorChange, OperatorFields, Parallelism, RescaleEnd, Sighting,
    Stage, Timestamp, Upgrade, VertexId,
};
use crate::observe::flink::FlinkClient;
use crate::observe::flink::played;
use crate::observe::kubernetes::{OperatorTarget, Read};
use crate::policy::testing::Job;
use crate::policy::{OperatorPaths, OperatorRef, Policy, Span};
use crate::record::State;

const JOB: JobId = JobId::from_bits(7);

/// Seconds, as each request goes through a real client.
const SCHEDULES: u64 = 200;

thread_local! {
    /// The server's clock, for who asks for the time by a function.
    static NOW: Cell<i64> = const { Cell::new(0) };
}

fn now() -> Timestamp {
    Timestamp::from_millis(NOW.get())
}

fn named() -> OperatorRef {
    let path = |text: &str| text.parse().expect("a path");
    OperatorRef {
        api_version: "example.org/v1".to_owned(),
        kind: "Streaming".to_owned(),
        name: NAME.to_owned(),
        within: Span::from_secs(600),
        fields: Some(OperatorPaths {
            parallelism: path("spec.workers"),
            overrides: None,
            replicas: None,
            state: "status.phase".parse().expect("a path"),
            stable: vec!["Ready".to_owned()],
            failed: vec!["Broken".to_owned()],
            observed_generation: Some("status.observedGeneration".parse().expect("a path")),
        }),
    }
}

/// The server behind a real client.
fn client(server: &Arc<Mutex<Server>>) -> Client {
    let server = Arc::clone(server);
    api::client(
        "streams",
        Arc::new(move |asked| {
            if asked.path == "/apis/example.org/v1" {
                let resource = json!({
                    "name": "streamings", "singularName": "streaming", "namespaced": true, "kind": "Streaming",
                    "verbs": ["get", "patch"],
                });
                let kinds = json!({
                    "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "example.org/v1",
                    "resources": [resource],
                });
                return Reply::Status(200, kinds);
            }
            server.lock().expect("nobody has panicked").ask(&asked.method, &asked.body)
        }),
    )
}

fn clamped(sizes: &BTreeMap<VertexId, u32>) -> BTreeMap<VertexId, Parallelism> {
    sizes.iter().map(|(vertex, size)| (*vertex, Parallelism::clamped(u64::from(*size)))).collect()
}

struct Play {
    server: Arc<Mutex<Server>>,
    target: OperatorTarget,
    flink: FlinkClient,
    state: State,
    /// What a process that is started again knows.
    written: String,
    dice: Dice,
    crashes: u64,
    /// Turns in which nothing has changed.
    waited: u32,
}

impl Play {
    async fn new(seed: u64) -> Self {
        let mut dice = Dice::new(!seed);
        let (from, to) = (4, if dice.percent(50) { 9 } else { 2 });
        let server = Arc::new(Mutex::new(Server::new(seed, JOB, from, to)));
        let target = OperatorTarget::new(client(&server), "streams", &named());
        let asked = Arc::clone(&server);
        let flink = FlinkClient::played(Arc::new(move |_, path, _| {
            let (status, body) = asked.lock().expect("nobody has panicked").flink(path);
            played::Reply::Status(status, body.to_string())
        }));
        let lost = std::mem::take(&mut server.lock().expect("nobody has panicked").faults.lost);
        NOW.set(START.as_millis());
        let found = target.read(Read::Now, START).await.expect("nothing is lost").expect("it is there").seen;
        server.lock().expect("nobody has panicked").faults.lost = lost;
        let fields =
            |parallelism| OperatorFields { parallelism: Some(parallelism), ..OperatorFields::default() };
        let change = OperatorChange {
            resource: found.name.clone(),
            before: fields(from),
            after: fields(to),
            rest: found.rest.clone(),
            within_seconds: 600,
        };
        let mut state = State::default();
        let started = Timestamp::from_millis(0);
        state.ledger.attempt = Some(Attempt {
            last_running: Some(started),
            upgrade: Some(Upgrade::new(change, Some(started), START)),
            ..Attempt::new(
                JOB,
                START,
                START + Duration::from_mins(5),
                clamped(&sizes(from)),
                clamped(&sizes(to)),
            )
        });
        let written = serde_json::to_string(&state).expect("a state");
        let crashes = dice.one_of(&[0, 0, 5, 30, 60]);
        Self { server, target, flink, state, written, dice, crashes, waited: 0 }
    }

    fn server<T>(&self, with: impl FnOnce(&mut Server) -> T) -> T {
        let mut server = self.server.lock().expect("nobody has panicked");
        let told = with(&mut server);
        NOW.set(START.as_millis() + i64::try_from(server.now).expect("hours"));
        told
    }

    fn is_cut_off(&mut self) -> bool {
        let crashes = self.crashes;
        self.dice.percent(crashes)
    }

    fn restart(&mut self, where_: &str) {
        self.state = serde_json::from_str(&self.written).expect("it was written");
        let takes = self.dice.one_of(&[500, 5_000, 90_000, 600_000]);
        self.server(|server| {
            server.note(&format!("cut off {where_}"));
            server.cut.forget();
            server.advance(takes);
        });
        // Nobody crashes for ever.
        self.crashes -= self.crashes.min(1);
    }

    fn upgrade(&self) -> &Upgrade {
        let attempt = self.state.ledger.attempt.as_ref().expect("it has not been concluded");
        attempt.upgrade.as_ref().expect("it is one")
    }

    /// One turn of the daemon's loop; whether there is another.
    async fn turn(&mut self) -> bool {
        let Some((attempt, upgrade)) = self.state.upgrading() else { return false };
        let (attempt, upgrade) = (attempt.clone(), upgrade.clone());
        if self.is_cut_off() {
            let (nth, worked_on) = (1 + self.dice.below(3), self.dice.percent(50));
            self.server(|server| server.cut.off_in(nth, worked_on));
        }
        let sighting = {
            let doing = step(&self.target, &self.flink, &attempt, &upgrade, Some(NAME), now);
            let mut doing = std::pin::pin!(doing);
            // Everything answers at once: what has not ended after so many looks never will.
            let mut looks = 0;
            std::future::poll_fn(move |context| match doing.as_mut().poll(context) {
                std::task::Poll::Ready(sighting) => std::task::Poll::Ready(Some(sighting)),
                std::task::Poll::Pending if looks == 500 => std::task::Poll::Ready(None),
                std::task::Poll::Pending => {
                    looks += 1;
                    context.waker().wake_by_ref();
                    std::task::Poll::Pending
                }
            })
            .await
        };
        let Some(sighting) = sighting else {
            self.restart("while asking");
            return true;
        };
        self.server(|server| server.cut.forget());
        // Of a long wait, a part: nothing comes of looking each second for half an hour.
        self.waited += 1;
        let mut pause = if self.waited > 40 { 20_000 } else { 1_000 };
        if self.state.upgrade(&sighting, now()) {
            self.waited = 0;
            if self.is_cut_off() {
                self.restart("before it wrote");
                return true;
            }
            self.written = serde_json::to_string(&self.state).expect("a state");
            let stage = self.upgrade().stage();
            self.server(|server| server.note(&format!("{stage:?}")));
            if self.is_cut_off() {
                self.restart("after it wrote");
                return true;
            }
            pause = 0;
        }
        if matches!(sighting, Sighting::Silence(_) | Sighting::Refused(_)) {
            pause = 3_000;
        }
        self.server(|server| server.advance(pause));
        true
    }

    /// As the daemon does when nothing is left to be done: a poll, and what follows from it.
    async fn conclude(&mut self) -> Result<Option<RescaleEnd>, String> {
        let at = now();
        let resource = self.target.read(Read::Now, at).await.ok().flatten().map(|found| found.seen);
        let run = self.server(|server| server.run.clone());
        if let (JobState::Running, Some(_), Some(resource)) = (run.state, run.up, resource) {
            let of: Vec<_> = run.sizes.values().map(|&size| (u64::from(size), 0.001)).collect();
            let mut snapshot = Job::chain(&of).snapshot;
            (snapshot.job, snapshot.at, snapshot.flink_now) = (run.id, at, at);
            let started = i64::try_from(run.started).unwrap_or(0);
            snapshot.running_since = Some(Timestamp::from_millis(started));
            snapshot.around.operator = Some(Box::new(resource));
            let outcome = self.state.upgrade_outcome(Some(&snapshot));
            self.state.cycle(&Observation::Seen(snapshot), &Policy::default(), at);
            if let Some(outcome) = outcome.filter(|_| self.state.ledger.attempt.is_some()) {
                self.state.end(&outcome, at);
            }
        } else if let Some(outcome) = self.state.upgrade_outcome(None) {
            self.state.end(&outcome, at);
        }
        match (&self.state.ledger.attempt, self.state.ledger.rescales.len()) {
            (Some(attempt), 0) if attempt.needs_a_person() => Ok(None),
            (None, 0) => Ok(None),
            (None, 1) => Ok(self.state.ledger.rescales.back().map(|rescale| rescale.end)),
            (attempt, records) => Err(format!("{records} records, and the attempt is {attempt:?}")),
        }
    }

    /// What must hold at the end.
    async fn judge(&mut self) -> Result<Stage, String> {
        let stage = self.upgrade().stage();
        if let Some(outcome) = self.state.upgrade_outcome(None) {
            self.state.end(&outcome, now());
        }
        // What is still on its way arrives, and the operator comes to its end.
        self.server(|server| {
            server.faults.somebody.clear();
            server.faults.lost = 0;
            server.advance(900_000);
        });
        let end = self.conclude().await?;
        self.server(|server| {
            if !server.wrong.is_empty() {
                return Err(server.wrong.join("; "));
            }
            let (workers, from, to) = (server.workers(), server.from, server.to);
            let says =
                |what: &str| Err(format!("{stage:?}, recorded as {end:?}: {what}, with {workers:?} workers"));
            // Whoever has acted in between has the last word.
            if server.is_disturbed {
                return Ok(stage);
            }
            if server.set.len() > 2 {
                return says("it was changed more than twice");
            }
            if !server.is_as_first() {
                return says("somebody has changed it");
            }
            let (is_good, is_recorded) = match stage {
                Stage::Done => (workers == Some(to), end == Some(RescaleEnd::Done)),
                Stage::RolledBack => (workers == Some(from), end == Some(RescaleEnd::TimedOut)),
                Stage::NotStopped => (
                    workers == Some(from) && server.faults.new_size == Goes::Refused,
                    end == Some(RescaleEnd::Failed),
                ),
                // Not asked for in time; what arrives later than that is done all the same.
                Stage::Superseded => (workers == Some(from) || server.has_late_change, end.is_none()),
                Stage::Failed => (
                    server.faults.old_size != Goes::Well
                        || server.longest_away >= 600_000
                        || server.faults.lost > 0,
                    end.is_none() || end == Some(RescaleEnd::TimedOut),
                ),
                _ => (false, false),
            };
            match (is_good, is_recorded) {
                (true, true) => Ok(stage),
                (false, _) => says("the resource is not as it should be"),
                (true, false) => says("the record is wrong"),
            }
        })
    }
}

/// Plays a schedule to its end; the state it ended in, or what was wrong.
async fn play(seed: u64) -> Result<Stage, String> {
    let mut play = Play::new(seed).await;
    let result = loop {
        if !play.turn().await {
            break play.judge().await;
        }
        if now().since(START) > OVER_WITHIN {
            break Err(format!("it never ends: {:?}", play.upgrade().stage()));
        }
    };
    result.map_err(|wrong| {
        play.server(|server| {
            format!("seed {seed}: {wrong}\n{:?}\n{}", server.faults, server.diary.join("\n"))
        })
    })
}

#[tokio::test]
async fn a_resource_is_changed_once_and_put_back_at_most_once() {
    let mut ends = Ends::default();
    for seed in seeds(SCHEDULES) {
        ends.take(play(seed).await);
    }
    ends.are_as_they_should(2);
}
