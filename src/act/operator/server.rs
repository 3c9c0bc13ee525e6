//! An API server with one operator's resource, its operator, and the job that it runs: time is its own. It answers as the real ones do,
//! with the faults of a seed, and notes whatever must never happen.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::act::played::api::{Reply, status_of};
use crate::act::played::cut::{Cut, Heard};
use crate::act::played::dice::Dice;
use crate::act::played::run::{NAME, Run};
use crate::model::{JobId, JobState, VertexId};

/// A client waits this long for an answer.
const TIMEOUT_MS: u64 = 10_000;

/// What an operator makes of a spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goes {
    Well,
    /// It says that it cannot.
    Breaks,
    /// It never comes to an end of it.
    Hangs,
    /// It calls it stable, and the job does not run.
    Lies,
    /// Of a size, the API server takes no change: a webhook refuses it.
    Refused,
}

/// What somebody else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Somebody {
    ChangesTheImage,
    ChangesTheSize,
    PutsItBack,
    Deletes,
    /// The API server is away for so long.
    KillsTheServer(u64),
    /// The operator is away for so long.
    KillsTheOperator(u64),
}

/// What goes wrong in a schedule.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    /// Of a hundred requests, so many never arrive, or their answers do not.
    pub(super) lost: u64,
    /// Of a hundred changes, so many are worked on only when nobody waits for them any more.
    pub(super) late: u64,
    /// Of a hundred changes, before so many the operator has just written its status.
    conflicts: u64,
    pub(super) new_size: Goes,
    pub(super) old_size: Goes,
    notices_within: u64,
    start_takes: u64,
    pub(super) somebody: Vec<(u64, Somebody)>,
}

impl Faults {
    fn draw(dice: &mut Dice) -> Self {
        use Goes::{Breaks, Hangs, Lies, Refused, Well};
        let lost = dice.one_of(&[0, 0, 2, 10, 30]);
        let late = dice.one_of(&[0, 0, 10, 40]);
        let conflicts = dice.one_of(&[0, 20, 80]);
        let new_size = dice.one_of(&[Well, Well, Well, Well, Breaks, Hangs, Lies, Refused]);
        let old_size = dice.one_of(&[Well, Well, Well, Well, Breaks, Hangs, Refused]);
        let notices_within = dice.one_of(&[100, 2_000, 15_000]);
        let start_takes = dice.one_of(&[1_000, 20_000, 200_000]);
        let mut somebody = Vec::new();
        while dice.percent(30) {
            let lasts = dice.one_of(&[5_000, 60_000, 600_000]);
            let what = dice.one_of(&[
                Somebody::ChangesTheImage,
                Somebody::ChangesTheSize,
                Somebody::PutsItBack,
                Somebody::Deletes,
                Somebody::KillsTheServer(lasts),
                Somebody::KillsTheServer(lasts),
                Somebody::KillsTheOperator(lasts),
            ]);
            let most = dice.one_of(&[2_000, 20_000, 200_000, 2_000_000]);
            somebody.push((1 + dice.below(most), what));
        }
        somebody.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        Self { lost, late, conflicts, new_size, old_size, notices_within, start_takes, somebody }
    }
}

/// The resource.
#[derive(Clone, Debug)]
struct Resource {
    generation: u64,
    version: u64,
    workers: u32,
    image: String,
    phase: &'static str,
    observed: u64,
}

impl Resource {
    fn object(&self) -> Value {
        json!({
            "apiVersion": "example.org/v1", "kind": "Streaming",
            "metadata": {
                "name": NAME, "namespace": "streams", "generation": self.generation,
                "resourceVersion": self.version.to_string(),
            },
            "spec": {"workers": self.workers, "image": self.image},
            "status": {"phase": self.phase, "observedGeneration": self.observed},
        })
    }

    fn write(&mut self, workers: u32, image: String) {
        if (self.workers, &self.image) != (workers, &image) {
            self.generation += 1;
        }
        self.version += 1;
        (self.workers, self.image) = (workers, image);
    }

    fn say(&mut self, phase: &'static str, observed: u64) {
        self.version += 1;
        (self.phase, self.observed) = (phase, observed);
    }
}

/// All of it; times are milliseconds since the start.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) now: u64,
    pub(super) faults: Faults,
    dice: Dice,
    resource: Option<Resource>,
    pub(super) run: Run,
    /// What the operator does next, and when: a generation to begin with, or one that is done.
    next: Option<(u64, u64)>,
    away_until: u64,
    operator_away_until: u64,
    waiting: Vec<(u64, Value)>,
    pub(super) from: u32,
    pub(super) to: u32,
    /// The sizes that Tidegate has set, in order.
    pub(super) set: Vec<u32>,
    /// Whether somebody has changed what is not theirs to leave alone.
    pub(super) is_disturbed: bool,
    pub(super) has_late_change: bool,
    pub(super) longest_away: u64,
    pub(super) wrong: Vec<String>,
    pub(super) diary: Vec<String>,
    pub(super) cut: Cut,
}

/// The sizes of the two vertices of a job of so many workers.
pub(super) fn sizes(workers: u32) -> BTreeMap<VertexId, u32> {
    (0..2).map(|vertex| (VertexId::from_bits(vertex), workers)).collect()
}

impl Server {
    pub(super) fn new(seed: u64, job: JobId, from: u32, to: u32) -> Self {
        let mut dice = Dice::new(seed);
        let faults = Faults::draw(&mut dice);
        let resource = Resource {
            generation: 1,
            version: 7,
            workers: from,
            image: "first".to_owned(),
            phase: "Ready",
            observed: 1,
        };
        let run = Run::running(job, sizes(from));
        Self {
            now: 0,
            faults,
            dice,
            resource: Some(resource),
            run,
            next: None,
            away_until: 0,
            operator_away_until: 0,
            waiting: Vec::new(),
            from,
            to,
            set: Vec::new(),
            is_disturbed: false,
            has_late_change: false,
            longest_away: 0,
            wrong: Vec::new(),
            diary: Vec::new(),
            cut: Cut::default(),
        }
    }

    /// The size that the resource asks for, if it is there.
    pub(super) fn workers(&self) -> Option<u32> {
        self.resource.as_ref().map(|resource| resource.workers)
    }

    pub(super) fn is_as_first(&self) -> bool {
        self.resource.as_ref().is_some_and(|resource| resource.image == "first")
    }

    pub(super) fn note(&mut self, what: &str) {
        self.diary.push(format!("{:>9.3} {what}", self.now as f64 / 1e3));
    }

    /// Lets time pass.
    pub(super) fn advance(&mut self, millis: u64) {
        let until = self.now + millis;
        loop {
            let waiting = self.waiting.iter().map(|(at, _)| *at);
            let somebody = self.faults.somebody.last().map(|(at, _)| *at);
            let next = self.next.map(|(at, _)| at.max(self.operator_away_until));
            let Some(at) = waiting.chain(somebody).chain(next).min().filter(|at| *at <= until) else { break };
            self.now = self.now.max(at);
            self.happen();
        }
        self.now = until;
    }

    fn happen(&mut self) {
        let now = self.now;
        if let Some(index) = self.waiting.iter().position(|(at, _)| *at <= now) {
            let (_, patch) = self.waiting.remove(index);
            if self.away_until <= now {
                let (status, _) = self.patch(&patch);
                self.has_late_change |= status == 200;
                self.note(&format!("late: {patch}: {status}"));
            }
        } else if let Some(&(at, what)) = self.faults.somebody.last()
            && at <= now
        {
            self.faults.somebody.pop();
            self.act(what);
        } else if let Some((_, generation)) = self.next.filter(|(at, _)| *at <= now) {
            self.operate(generation);
        }
    }

    /// The operator begins with a generation, or is done with it.
    fn operate(&mut self, generation: u64) {
        let (now, takes) = (self.now, self.faults.start_takes);
        self.next = None;
        let goes = self.goes();
        let Some(resource) = &mut self.resource else { return };
        if resource.observed != generation || resource.phase == "Ready" && resource.generation != generation {
            // It stops the job, and starts it anew.
            let generation = resource.generation;
            resource.say("Working", generation);
            self.run.end(JobState::Restarting, now);
            if goes != Goes::Hangs {
                self.next = Some((now + takes, generation));
            }
            return;
        }
        let workers = resource.workers;
        match goes {
            Goes::Breaks => resource.say("Broken", generation),
            Goes::Lies => resource.say("Ready", generation),
            Goes::Well | Goes::Hangs | Goes::Refused => {
                resource.say("Ready", generation);
                (self.run.state, self.run.up, self.run.started) = (JobState::Running, Some(now), now);
                self.run.sizes = sizes(workers);
            }
        }
        self.note(&format!("the operator is done with {workers}: {goes:?}"));
    }

    fn goes(&self) -> Goes {
        match self.workers() {
            Some(workers) if workers == self.to => self.faults.new_size,
            Some(workers) if workers == self.from => self.faults.old_size,
            _ => Goes::Well,
        }
    }

    /// The spec has changed: the operator will notice.
    fn changed(&mut self) {
        let Some(resource) = &self.resource else { return };
        let at = self.now + self.dice.below(self.faults.notices_within) + 1;
        self.next = Some((at, resource.generation));
    }

    fn act(&mut self, what: Somebody) {
        let (now, from) = (self.now, self.from);
        self.note(&format!("somebody: {what:?}"));
        match what {
            Somebody::KillsTheServer(lasts) => {
                self.away_until = now + lasts;
                self.longest_away = self.longest_away.max(lasts);
                self.waiting.clear();
                return;
            }
            Somebody::KillsTheOperator(lasts) => {
                self.operator_away_until = now + lasts;
                return;
            }
            Somebody::Deletes => {
                self.resource = None;
                self.run.end(JobState::Canceled, now);
                self.is_disturbed = true;
                return;
            }
            Somebody::ChangesTheImage | Somebody::ChangesTheSize | Somebody::PutsItBack => {}
        }
        let Some(resource) = &mut self.resource else { return };
        match what {
            Somebody::ChangesTheImage => resource.write(resource.workers, "second".to_owned()),
            Somebody::ChangesTheSize => resource.write(77, resource.image.clone()),
            _ => resource.write(from, resource.image.clone()),
        }
        self.is_disturbed = true;
        self.changed();
    }

    /// What comes of a request to the API server.
    pub(super) fn ask(&mut self, method: &str, body: &[u8]) -> Reply {
        match self.cut.next() {
            Heard::ToTheEnd => self.reply(method, body, true),
            Heard::Never => Reply::Never,
            Heard::Sent => {
                self.reply(method, body, false);
                Reply::Never
            }
        }
    }

    fn reply(&mut self, method: &str, body: &[u8], may_be_late: bool) -> Reply {
        if self.away_until > self.now {
            return Reply::Nothing;
        }
        if self.dice.percent(self.faults.lost) {
            self.advance(TIMEOUT_MS);
            return Reply::Nothing;
        }
        if method == "GET" {
            return match &self.resource {
                Some(resource) => Reply::Status(200, resource.object()),
                None => refused(404, "not found"),
            };
        }
        let patch: Value = serde_json::from_slice(body).expect("a patch");
        if may_be_late && self.dice.percent(self.faults.late) {
            let at = self.now + TIMEOUT_MS + self.dice.below(40_000);
            self.waiting.push((at, patch));
            self.advance(TIMEOUT_MS);
            return Reply::Nothing;
        }
        if self.dice.percent(self.faults.conflicts)
            && let Some(resource) = &mut self.resource
        {
            resource.version += 1;
        }
        let (status, answer) = self.patch(&patch);
        self.note(&format!("{patch}: {status}"));
        if self.dice.percent(self.faults.lost) {
            self.advance(TIMEOUT_MS);
            return Reply::Nothing;
        }
        Reply::Status(status, answer)
    }

    fn patch(&mut self, patch: &Value) -> (u16, Value) {
        let (from, to, now) = (self.from, self.to, self.now);
        let says = |status: u16, what: &str| (status, status_of(status, what));
        let Some(resource) = &mut self.resource else { return says(404, "not found") };
        if patch["metadata"]["resourceVersion"].as_str() != Some(&resource.version.to_string()) {
            return says(409, "the object has been modified");
        }
        let wanted = patch["spec"]["workers"].as_u64().and_then(|workers| u32::try_from(workers).ok());
        let workers = wanted.expect("a size");
        let goes = if workers == to { self.faults.new_size } else { self.faults.old_size };
        if goes == Goes::Refused {
            return says(422, "a webhook denies this size");
        }
        let (before, image) = (resource.workers, resource.image.clone());
        resource.write(workers, image.clone());
        let answer = resource.object();
        let last = self.set.last().copied();
        if ![from, to].contains(&workers) || patch["spec"].as_object().is_none_or(|spec| spec.len() != 1) {
            self.wrong.push(format!("{patch} is out of bounds"));
        }
        if image != "first" || before == workers || ![from, to].contains(&before) {
            self.wrong.push(format!("{patch} changes what somebody else has changed, at {now}"));
        }
        // Nobody can tell a change that was put back from one that was never made.
        if last == Some(workers) && !self.is_disturbed {
            self.wrong.push(format!("{patch} is made a second time, at {now}"));
        }
        self.set.push(workers);
        self.changed();
        (200, answer)
    }

    /// What Flink answers.
    pub(super) fn flink(&mut self, path: &str) -> (u16, Value) {
        match path.split('?').next().unwrap_or_default() {
            "/jobs/overview" => {
                let run = &self.run;
                (200, json!({"jobs": [{"jid": run.id, "name": NAME, "state": run.state, "start-time": 0}]}))
            }
            path if path == format!("/jobs/{}", self.run.id) => (200, self.run.details(self.now)),
            path => {
                self.wrong.push(format!("Flink was asked for {path}"));
                (404, json!({"errors": ["not found"]}))
            }
        }
    }
}

fn refused(status: u16, what: &str) -> Reply {
    Reply::Status(status, status_of(status, what))
}
