//! A session cluster, as far as it goes for stopping jobs with savepoints and running them again: no records flow, and time is its
//! own. What it keeps of stops and runs, and says of them, is the simulator's [`Session`]; here are the job's runs, the faults of a
//! seed, and notes of whatever must never happen.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::faults::{Faults, Goes, Somebody};
use crate::act::played::cut::{Cut, Heard};
use crate::act::played::dice::Dice;
use crate::act::played::run::{NAME, Run};
use crate::model::{JobId, JobState, VertexId};
use crate::observe::flink::played::Reply;
use crate::simulate::RunFault;
use crate::simulate::session::{Declined, Session, Then, Wanted};

/// What `/jobs/:id` and `/jobs/:id/checkpoints` say is up to this old (`web.refresh-interval`).
const CACHED_MS: u64 = 3_000;
/// A client waits this long for an answer.
pub(super) const TIMEOUT_MS: u64 = 10_000;
/// A job that does not get its slots fails after this long (`slot.request.timeout`).
const SLOTS_WITHIN_MS: u64 = 300_000;

pub(super) const JAR: &str = "orders.jar";

/// The cluster; times are milliseconds since the start.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) now: u64,
    pub(super) faults: Faults,
    dice: Dice,
    pub(super) runs: Vec<Run>,
    /// Of which a savepoint keeps how much had been worked off.
    pub(super) session: Session<u64>,
    /// When the JobManager is back, where it is away.
    away_until: Option<u64>,
    cache: BTreeMap<String, (u64, Value)>,
    /// Requests that are worked on later: when, method, path, body.
    waiting: Vec<(u64, String, String, Vec<u8>)>,
    /// The runs that were refused once.
    refused: BTreeSet<JobId>,
    /// The size that is asked for: what fails there is `new_size`.
    pub(super) new_sizes: BTreeMap<VertexId, u32>,
    /// Whether somebody has acted, or a JobManager has taken its jobs along.
    pub(super) is_disturbed: bool,
    pub(super) longest_away: u64,
    /// Whether a JobManager has gone that knew how a stop had ended.
    pub(super) has_lost_a_stop: bool,
    /// What must never happen and did.
    pub(super) wrong: Vec<String>,
    pub(super) diary: Vec<String>,
    /// When the one who looks after the job is cut off.
    pub(super) cut: Cut,
}

impl Cluster {
    /// One run of the job, that runs.
    pub(super) fn new(
        seed: u64,
        job: JobId,
        sizes: BTreeMap<VertexId, u32>,
        new_sizes: BTreeMap<VertexId, u32>,
    ) -> Self {
        let mut dice = Dice::new(seed);
        let faults = Faults::draw(&mut dice);
        let run = Run::running(job, sizes);
        Self {
            now: 0,
            faults,
            dice,
            runs: vec![run],
            session: Session::new(JAR, job),
            away_until: None,
            cache: BTreeMap::new(),
            waiting: Vec::new(),
            refused: BTreeSet::new(),
            new_sizes,
            is_disturbed: false,
            longest_away: 0,
            has_lost_a_stop: false,
            wrong: Vec::new(),
            diary: Vec::new(),
            cut: Cut::default(),
        }
    }

    /// The runs that have not ended.
    pub(super) fn alive(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| !run.state.is_terminal())
    }

    /// Lets time pass.
    pub(super) fn advance(&mut self, millis: u64) {
        let until = self.now + millis;
        while let Some(next) = self.next_event().filter(|at| *at <= until) {
            self.now = self.now.max(next);
            self.happen();
        }
        self.now = until;
    }

    fn next_event(&self) -> Option<u64> {
        let runs = if self.away_until.is_none() { &self.runs[..] } else { &[] };
        let runs = runs.iter().filter_map(|run| run.next.map(|(at, _)| at));
        let stop = self.session.next_end().filter(|_| self.away_until.is_none());
        let waiting = self.waiting.iter().map(|(at, ..)| *at);
        let somebody = self.faults.somebody.last().map(|(at, _)| *at);
        runs.chain(stop).chain(waiting).chain(somebody).chain(self.away_until).min()
    }

    fn note(&mut self, what: impl Into<String>) {
        let now = self.now;
        self.diary.push(format!("{:>9.3} {}", now as f64 / 1e3, what.into()));
    }

    fn happen(&mut self) {
        let now = self.now;
        if self.away_until.is_some_and(|until| until <= now) {
            self.away_until = None;
            self.note("the JobManager is back");
        }
        if let Some(&(at, what)) = self.faults.somebody.last()
            && at <= now
        {
            self.faults.somebody.pop();
            self.act(what);
        }
        if let Some(index) = self.waiting.iter().position(|(at, ..)| *at <= now) {
            let (_, method, path, body) = self.waiting.remove(index);
            if self.away_until.is_none() {
                self.note(format!("late: {method} {path}"));
                self.route(&method, &path, &body, true);
            }
        }
        if self.away_until.is_none() {
            self.stops_end();
            self.runs_go_on();
        }
    }

    fn runs_go_on(&mut self) {
        let (now, start_takes) = (self.now, self.faults.start_takes);
        for run in &mut self.runs {
            let Some((at, state)) = run.next.filter(|(at, _)| *at <= now) else { continue };
            run.next = None;
            match state {
                JobState::Running if run.never_up => {
                    run.state = JobState::Restarting;
                    run.next = Some((at + start_takes.max(1_000), JobState::Running));
                }
                JobState::Running => (run.state, run.up) = (state, Some(now)),
                state => run.end(state, now),
            }
        }
    }

    fn stops_end(&mut self) {
        let (now, skew, start_takes) = (self.now, self.faults.skew, self.faults.start_takes);
        while let Some((trigger, job)) = self.session.ending(now) {
            let run = self.runs.iter_mut().find(|run| run.id == job);
            let mut run = run.filter(|run| run.state == JobState::Running);
            let (then, path) = self.session.end(trigger, run.as_deref().map(|run| run.work(now)));
            if let (Some(run), Some(path)) = (&mut run, path) {
                run.saved(now, skew, path);
                match then {
                    Then::RunsOn => {}
                    Then::StartsAgain => {
                        run.end(JobState::Restarting, now);
                        run.next = Some((now + start_takes, JobState::Running));
                    }
                    Then::Fails => run.end(JobState::Failed, now),
                    Then::Finishes => {
                        // Its result is told before all of its tasks have finished.
                        run.rest(now);
                        run.next = Some((now + 700, JobState::Finished));
                    }
                }
            }
            self.note(format!("stop of {job}: {then:?}"));
        }
    }

    fn act(&mut self, what: Somebody) {
        let now = self.now;
        self.note(format!("somebody: {what:?}"));
        match what {
            Somebody::TakesTheJar => self.session.lose_jar(),
            Somebody::KillsTheJobManager { lasts, keeps_jobs } => self.kill(lasts, keeps_jobs),
            _ if self.away_until.is_some() => {}
            Somebody::Cancels | Somebody::Replaces => {
                let alive: Vec<_> = self.alive().map(|run| run.id).collect();
                for run in self.runs.iter_mut().filter(|run| alive.contains(&run.id)) {
                    run.end(JobState::Canceled, now);
                }
                self.is_disturbed |= !alive.is_empty();
                if what == Somebody::Replaces {
                    self.run_of_somebody();
                }
            }
            Somebody::Helps => {
                if self.alive().next().is_none() {
                    self.run_of_somebody();
                }
            }
        }
    }

    fn run_of_somebody(&mut self) {
        self.is_disturbed = true;
        let id = JobId::from_bits(0xffff_0000 + u128::from(self.now));
        let done = self.runs.iter().map(|run| run.work(self.now)).max().unwrap_or(0);
        self.runs.push(Run {
            id,
            sizes: self.new_sizes.clone(),
            state: JobState::Running,
            next: None,
            started: self.now,
            up: Some(self.now),
            done,
            restored: None,
            never_up: false,
            savepoint: None,
            is_ours: false,
        });
    }

    fn kill(&mut self, lasts: u64, keeps_jobs: bool) {
        let (now, start_takes) = (self.now, self.faults.start_takes);
        self.away_until = Some(now + lasts);
        self.longest_away = self.longest_away.max(lasts);
        self.has_lost_a_stop |= self.session.tells_of_a_savepoint();
        self.session.forget();
        self.cache.clear();
        // What was on its way to it is gone.
        self.waiting.clear();
        if keeps_jobs {
            // What has ended is not known any more; what has not starts again from its last checkpoint.
            for run in &mut self.runs {
                run.rest(now);
                if !run.state.is_terminal() && !matches!(run.next, Some((_, JobState::Finished))) {
                    run.starts(now + lasts + start_takes);
                }
            }
            for run in self.runs.extract_if(.., |run| matches!(run.next, Some((_, JobState::Finished)))) {
                drop(run);
            }
            self.runs.retain(|run| !run.state.is_terminal());
        } else {
            let has_lost = self.alive().next().is_some();
            self.is_disturbed |= has_lost;
            self.runs.clear();
            self.session.forget_jobs();
        }
    }

    pub(super) fn is_away(&self) -> bool {
        self.away_until.is_some()
    }

    /// What comes of a request.
    pub(super) fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> Reply {
        match self.cut.next() {
            Heard::ToTheEnd => self.reply(method, path, body, true),
            Heard::Never => Reply::Never,
            Heard::Sent => {
                self.reply(method, path, body, false);
                Reply::Never
            }
        }
    }

    fn reply(&mut self, method: &str, path: &str, body: &[u8], may_be_late: bool) -> Reply {
        let is_change = method != "GET";
        if self.dice.percent(self.faults.lost) {
            self.advance(TIMEOUT_MS);
            return Reply::Nothing;
        }
        if self.away_until.is_some() {
            return Reply::Status(503, json!({"errors": ["Service temporarily unavailable"]}).to_string());
        }
        if is_change && may_be_late && self.dice.percent(self.faults.late) {
            let at = self.now + TIMEOUT_MS + self.dice.below(40_000);
            self.waiting.push((at, method.to_owned(), path.to_owned(), body.to_vec()));
            self.advance(TIMEOUT_MS);
            return Reply::Nothing;
        }
        let (status, answer) = self.route(method, path, body, false);
        if is_change {
            self.note(format!("{method} {path}: {status}"));
        }
        if self.dice.percent(self.faults.lost) {
            self.advance(TIMEOUT_MS);
            return Reply::Nothing;
        }
        Reply::Status(status, answer.to_string())
    }

    fn route(&mut self, method: &str, target: &str, body: &[u8], is_late: bool) -> (u16, Value) {
        let path = target.split('?').next().unwrap_or_default();
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let unknown =
            || (404, json!({"errors": ["org.apache.flink.runtime.rest.NotFoundException: not found"]}));
        match (method, &segments[..]) {
            ("GET", ["jobs", "overview"]) => (
                200,
                json!({"jobs": self.runs.iter().map(|run| {
                json!({"jid": run.id, "name": NAME, "state": run.state, "start-time": run.started})
            }).collect::<Vec<_>>()}),
            ),
            ("GET", ["jobs", id, "status"]) => match self.run(id) {
                Some(run) => (200, json!({"status": run.state})),
                None => (
                    500,
                    json!({"errors": ["org.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not find Flink job"]}),
                ),
            },
            ("GET", ["jobs", id]) => self
                .cached(path, |this| this.run(id).map(|run| run.details(this.now)))
                .map_or_else(unknown, |v| (200, v)),
            ("GET", ["jobs", id, "checkpoints"]) => self
                .cached(path, |this| this.run(id).map(Run::checkpoints))
                .map_or_else(unknown, |v| (200, v)),
            ("PATCH", ["jobs", id]) => self.cancel(id),
            ("POST", ["jobs", id, "stop"]) => self.stop(id, body).unwrap_or_else(declined),
            ("GET", ["jobs", _, "savepoints", trigger]) => self.operation(trigger),
            ("GET", ["jars"]) => (200, self.session.jars(1)),
            ("POST", ["jars", jar, "run"]) => self.run_jar(jar, body, is_late).unwrap_or_else(declined),
            ("POST", ["savepoint-disposal"]) => match self.session.dispose(body) {
                Ok(trigger) => (202, json!({"request-id": trigger})),
                Err(why) => declined(why),
            },
            ("GET", ["savepoint-disposal", trigger]) => {
                let told = trigger.parse().ok().and_then(|trigger| self.session.disposal(trigger));
                told.map_or_else(unknown, |told| (200, told))
            }
            _ => {
                self.wrong.push(format!("a request that nobody knows: {method} {path}"));
                unknown()
            }
        }
    }

    fn run(&self, id: &str) -> Option<&Run> {
        self.runs.iter().find(|run| run.id.to_string() == id)
    }

    fn cached(&mut self, path: &str, look: impl Fn(&Self) -> Option<Value>) -> Option<Value> {
        if let Some((at, value)) = self.cache.get(path)
            && self.now < at + CACHED_MS
        {
            return Some(value.clone());
        }
        let value = look(self)?;
        self.cache.insert(path.to_owned(), (self.now, value.clone()));
        Some(value)
    }

    fn cancel(&mut self, id: &str) -> (u16, Value) {
        let now = self.now;
        match self.runs.iter_mut().find(|run| run.id.to_string() == id) {
            Some(run) if run.state.is_terminal() => (409, json!({"errors": ["it has ended"]})),
            Some(run) => {
                run.rest(now);
                (run.state, run.next) = (JobState::Cancelling, Some((now + 400, JobState::Canceled)));
                (202, json!({}))
            }
            None => (404, json!({"errors": ["Could not find Flink job"]})),
        }
    }

    fn stop(&mut self, id: &str, body: &[u8]) -> Result<(u16, Value), Declined> {
        let (job, stop, takes) = (id.parse().expect("a job's id"), self.faults.stop, self.faults.stop_takes);
        let is_stopping = self.session.is_stopping(job);
        let (trigger, is_new) = self.session.stop(job, body, self.now, stop, takes)?;
        if is_new && is_stopping {
            self.wrong.push(format!("{job} is being stopped already"));
        }
        Ok((202, json!({"request-id": trigger})))
    }

    fn operation(&self, trigger: &str) -> (u16, Value) {
        let told = trigger.parse().ok().and_then(|trigger| self.session.status(trigger, self.now));
        let unknown = || (404, json!({"errors": ["There is no savepoint operation with that trigger id"]}));
        told.map_or_else(unknown, |told| (200, told))
    }

    fn run_jar(&mut self, jar: &str, body: &[u8], is_late: bool) -> Result<(u16, Value), Declined> {
        let wanted = Wanted::read(body)?;
        let (id, sizes) = (wanted.job_id.expect("an id"), wanted.overrides());
        let goes = if sizes == self.new_sizes { self.faults.new_size } else { self.faults.old_size };
        let is_taken_in = self.session.has_jar() && !self.session.is_taken(id);
        let fault = match goes {
            Goes::Well => None,
            Goes::RefusedOnce => (is_taken_in && self.refused.insert(id)).then_some(RunFault::Refused),
            Goes::Wrong(fault) => Some(fault),
        };
        let path = wanted.savepoint_path.clone().unwrap_or_default();
        if is_taken_in
            && fault != Some(RunFault::Refused)
            && !self.session.savepoints().any(|known| known == path)
        {
            self.wrong.push(format!("{id} is run from {path:?}, which is no savepoint"));
        }
        let work = self.session.run(jar, id, &wanted, fault)?.unwrap_or_default();
        // What somebody has begun since it was asked for, nobody could know of.
        let excused = is_late && self.alive().any(|other| !other.is_ours);
        let beside = self.alive().next().map(|other| (other.id, other.state));
        if let Some((other, state)) = beside.filter(|_| !excused) {
            self.wrong.push(format!("{id} is run beside {other}, which is {state:?}"));
        }
        // What was worked off after the savepoint would be worked off again.
        let most = self.runs.iter().map(|run| run.work(self.now)).max().unwrap_or(0);
        if sizes == self.new_sizes && most > work && !excused {
            self.wrong.push(format!("{id} begins at {work}, and {most} was worked off"));
        }
        self.starts(id, sizes, path, work, fault);
        Ok((200, json!({"jobid": id})))
    }

    fn starts(
        &mut self,
        id: JobId,
        mut sizes: BTreeMap<VertexId, u32>,
        path: String,
        work: u64,
        fault: Option<RunFault>,
    ) {
        let (now, takes) = (self.now, self.faults.start_takes);
        if fault == Some(RunFault::FewerSlots) {
            for size in sizes.values_mut() {
                *size = (*size).min(2);
            }
        }
        let next = match fault {
            Some(RunFault::Fails) => (now + takes, JobState::Failed),
            Some(RunFault::NoSlots) => (now + SLOTS_WITHIN_MS, JobState::Failed),
            _ => (now + takes, JobState::Running),
        };
        self.runs.push(Run {
            id,
            sizes,
            state: JobState::Created,
            next: Some(next),
            started: now,
            up: None,
            done: work,
            restored: Some(path),
            never_up: fault == Some(RunFault::NeverUp),
            savepoint: None,
            is_ours: true,
        });
    }
}

fn declined(Declined { status, errors }: Declined) -> (u16, Value) {
    (status, json!({ "errors": errors }))
}
