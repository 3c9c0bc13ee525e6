//! The JobManager's process and its jobs: how they begin, end and come back, and what Flink answers.

use serde_json::{Value, json};

use super::super::super::faults::Goes;
use super::super::faults::Keeps;
use super::kubernetes::{Says, says};
use super::{Due, OLD, TIMEOUT_MS, World};
use crate::act::played::run::{NAME, Run};
use crate::model::{JobId, JobState};
use crate::simulate::RunFault;
use crate::simulate::session::{Declined, Then};

/// What `/jobs/:id` and `/jobs/:id/checkpoints` say is up to this old (`web.refresh-interval`).
const CACHED_MS: u64 = 3_000;
/// A job that does not get its slots fails after this long (`slot.request.timeout`).
const SLOTS_WITHIN_MS: u64 = 300_000;
/// A JobManager whose job has ended waits so long for somebody to read how its stop went (`rest.async.store-duration`).
const UNREAD_MS: u64 = 300_000;
/// Then it goes within a fifth of a second.
const EXITS_AFTER_MS: u64 = 200;
const CANCELLED_AFTER_MS: u64 = 400;
/// Between a JobManager's first answer and the submission of its job.
const MAIN_TAKES_MS: u64 = 1_500;

/// A JobManager that runs, or is about to.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) number: u64,
    /// Whether it answers.
    serves: bool,
    pub(super) runs: Vec<Run>,
    /// The run of its program, with which it ends.
    own: Option<JobId>,
    /// Whether nobody has read yet how a stop went that is over.
    is_unread: bool,
}

impl World {
    pub(super) fn first_process(&mut self) {
        let number = self.number();
        let run = Run::running(OLD, self.ours.from.clone());
        let process = Process { number, serves: true, runs: vec![run], own: Some(OLD), is_unread: false };
        self.process = Some(process);
    }

    pub(super) fn process_starts(&mut self) {
        let number = self.number();
        self.process = Some(Process { number, serves: false, runs: Vec::new(), own: None, is_unread: false });
        self.in_(self.faults.boot_takes, Due::Serve(number));
    }

    fn process(&mut self, number: u64) -> Option<&mut Process> {
        self.process.as_mut().filter(|process| process.number == number)
    }

    /// The process, where it answers.
    pub(super) fn running(&self) -> Option<&Process> {
        self.process.as_ref().filter(|process| process.serves)
    }

    /// Whether nobody can tell what job it runs next.
    pub(super) fn is_blind(&self) -> bool {
        self.running().is_none_or(|process| process.own.is_none())
    }

    /// It answers, and with high availability has the jobs of the one before.
    pub(super) fn serve(&mut self, number: u64) {
        let (now, takes) = (self.now, self.faults.start_takes);
        let mut back = std::mem::take(&mut self.store);
        let Some(process) = self.process(number) else {
            self.store = back;
            return;
        };
        let jobs: Vec<_> = back.iter().map(|run| run.id).collect();
        for run in &mut back {
            (run.started, run.state) = (now, JobState::Created);
        }
        (process.serves, process.runs) = (true, back);
        if let Some(pod) = &mut self.pod {
            pod.is_ready = true;
        }
        if !jobs.is_empty() {
            self.note(format!("{jobs:?} come back"));
        }
        for job in jobs {
            self.in_(takes, Due::Job(number, job, JobState::Running));
        }
        self.in_(MAIN_TAKES_MS, Due::Main(number));
    }

    /// The program has come to its job.
    pub(super) fn main(&mut self, number: u64) {
        // One that is told to go begins nothing more.
        let pod = self.pod.as_ref().filter(|pod| !pod.is_going);
        let Some(args) = pod.map(|pod| pod.args.clone()) else { return };
        let Says { id, savepoint, sizes } = says(&args);
        let keeps = self.faults.keeps;
        let any = self.number();
        let id = id.unwrap_or(if keeps == Keeps::Nothing {
            JobId::from_bits(0xabcd_0000 + u128::from(any))
        } else {
            OLD
        });
        let Some(process) = self.process(number) else { return };
        process.own = Some(id);
        if let Some(run) = process.runs.iter().find(|run| run.id == id) {
            if run.state.is_terminal() {
                self.own_has_ended();
            }
            return;
        }
        let others = process.runs.iter().filter(|run| !run.state.is_terminal());
        let others: Vec<_> = others.map(|run| run.id).collect();
        let sizes = sizes.unwrap_or_else(|| self.ours.from.clone());
        let fault = match self.goes(id) {
            Goes::Well => None,
            Goes::RefusedOnce if self.refused.contains(&sizes) => None,
            Goes::RefusedOnce => {
                self.refused.push(sizes.clone());
                Some(RunFault::Refused)
            }
            Goes::Wrong(fault) => Some(fault),
        };
        let kept = savepoint.as_deref().map_or(Some(0), |path| self.session.kept(path).copied());
        let is_alone = keeps != Keeps::Alone || others.is_empty();
        let Some(work) = kept.filter(|_| is_alone && fault != Some(RunFault::Refused)) else {
            self.note(format!("{id} is not taken in ({fault:?}, beside {others:?})"));
            self.process_is_gone();
            return self.container_ends(false, 0);
        };
        let was_blind = self.written.contains(&id) && std::mem::take(&mut self.happened.blind);
        if !others.is_empty() && !self.happened.disturbed && !was_blind {
            self.wrong.push(format!("{id} is run beside {others:?}, at {}", self.now));
        }
        if ![self.ours.target, self.ours.fallback].contains(&id) {
            self.happened.anew = true;
            self.happened.doubled_by_others |= self.happened.disturbed && !others.is_empty();
        }
        self.note(format!("{id} begins at {work}: {fault:?}"));
        self.begun.push((id, sizes.clone(), savepoint.clone()));
        let (now, takes) = (self.now, self.faults.start_takes);
        let (takes, then) = match fault {
            Some(RunFault::Fails) => (takes, JobState::Failed),
            Some(RunFault::NoSlots) => (SLOTS_WITHIN_MS, JobState::Failed),
            _ => (takes, JobState::Running),
        };
        let mut run = Run::running(id, sizes);
        (run.state, run.started, run.up, run.done) = (JobState::Created, now, None, work);
        (run.restored, run.never_up) = (savepoint, fault == Some(RunFault::NeverUp));
        if fault == Some(RunFault::FewerSlots) {
            run.sizes.values_mut().for_each(|size| *size = (*size).min(2));
        }
        if let Some(process) = &mut self.process {
            process.runs.push(run);
        }
        self.in_(takes, Due::Job(number, id, then));
    }

    pub(super) fn job_goes_on(&mut self, number: u64, job: JobId, state: JobState) {
        let now = self.now;
        let Some(process) = self.process(number) else { return };
        let is_own = process.own == Some(job);
        let Some(run) = process.runs.iter_mut().find(|run| run.id == job && !run.state.is_terminal()) else {
            return;
        };
        let is_cancelling = run.state == JobState::Cancelling;
        match state {
            JobState::Canceled => run.end(state, now),
            _ if is_cancelling => return,
            JobState::Running if run.never_up => run.state = JobState::Restarting,
            JobState::Running => (run.state, run.up) = (state, Some(now)),
            state => run.end(state, now),
        }
        self.note(format!("{job} is {state:?}"));
        if state.is_terminal() && is_own {
            self.own_has_ended();
        }
    }

    fn own_has_ended(&mut self) {
        let Some(process) = &self.process else { return };
        let (number, is_unread) = (process.number, process.is_unread);
        self.in_(if is_unread { UNREAD_MS } else { EXITS_AFTER_MS }, Due::Exit(number));
    }

    pub(super) fn exit(&mut self, number: u64) {
        let Some(process) = self.process(number) else { return };
        let own = process.runs.iter().find(|run| Some(run.id) == process.own);
        let is_success = own.is_some_and(|run| run.state != JobState::Failed);
        self.note(format!("the JobManager ends, with its job: {is_success}"));
        self.process_is_gone();
        self.container_ends(is_success, 0);
    }

    pub(super) fn kill(&mut self, lasts: u64) {
        if self.process.is_some() {
            self.happened.killed = true;
            self.happened.longest_away = self.happened.longest_away.max(lasts);
            self.process_is_gone();
            self.container_ends(false, lasts);
        }
    }

    /// The process is gone, and with it all that only it knew.
    pub(super) fn process_is_gone(&mut self) {
        let now = self.now;
        let Some(process) = self.process.take() else { return };
        self.happened.lost_a_stop |= self.session.tells_of_a_savepoint();
        self.session.forget();
        self.cache.clear();
        if self.faults.keeps != Keeps::Nothing {
            let left = process.runs.into_iter().filter(|run| !run.state.is_terminal());
            self.store.extend(left.map(|mut run| {
                run.rest(now);
                run
            }));
        }
    }

    pub(super) fn result_is_read(&mut self) {
        let Some(process) = self.process.as_mut().filter(|process| process.is_unread) else { return };
        process.is_unread = false;
        let own = process.runs.iter().find(|run| Some(run.id) == process.own);
        if own.is_some_and(|run| run.state.is_terminal()) {
            self.own_has_ended();
        }
    }

    pub(super) fn stops_end(&mut self, number: u64) {
        let (now, skew, takes) = (self.now, self.faults.skew, self.faults.start_takes);
        while let Some((trigger, job)) = self.session.ending(now) {
            let Some(process) = self.process.as_mut().filter(|process| process.number == number) else {
                return;
            };
            process.is_unread = true;
            let run = process.runs.iter_mut().find(|run| run.id == job);
            let mut run = run.filter(|run| run.state == JobState::Running);
            let (then, path) = self.session.end(trigger, run.as_deref().map(|run| run.work(now)));
            if let (Some(run), Some(path)) = (&mut run, path) {
                run.saved(now, skew, path);
                match then {
                    Then::RunsOn => {}
                    Then::StartsAgain => run.end(JobState::Restarting, now),
                    Then::Fails => run.end(JobState::Failed, now),
                    Then::Finishes => run.end(JobState::Finished, now),
                }
                if then == Then::StartsAgain {
                    self.in_(takes, Due::Job(number, job, JobState::Running));
                } else if then != Then::RunsOn {
                    self.own_has_ended();
                }
            }
            self.note(format!("stop of {job}: {then:?}"));
        }
    }

    /// A request to the JobManager.
    pub(super) fn rest(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
        may_be_late: bool,
    ) -> Option<(u16, Value)> {
        let is_change = method != "GET";
        if self.is_lost() {
            return None;
        }
        let Some(number) = self.running().map(|process| process.number) else {
            return Some((503, json!({"errors": ["Service temporarily unavailable"]})));
        };
        if is_change
            && may_be_late
            && let Some(millis) = self.is_late()
        {
            let late = Due::LateAsk(number, method.to_owned(), path.to_owned(), body.to_vec());
            self.in_(millis, late);
            self.advance(TIMEOUT_MS);
            return None;
        }
        let (status, answer) = self.flink(method, path, body);
        if is_change {
            self.note(format!("{method} {path}: {status}"));
        }
        (!self.is_lost()).then_some((status, answer))
    }

    pub(super) fn flink(&mut self, method: &str, target: &str, body: &[u8]) -> (u16, Value) {
        let path = target.split('?').next().unwrap_or_default();
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let now = self.now;
        let runs = self.running().map(|process| process.runs.clone()).unwrap_or_default();
        let run = |id: &str| runs.iter().find(|run| run.id.to_string() == id);
        let job = |id: &str| id.parse().expect("a job's id");
        match (method, &segments[..]) {
            ("GET", ["jobs", "overview"]) => {
                let listed = runs.iter().map(
                    |run| json!({"jid": run.id, "name": NAME, "state": run.state, "start-time": run.started}),
                );
                (200, json!({"jobs": listed.collect::<Vec<_>>()}))
            }
            ("GET", ["jobs", id, "status"]) => {
                run(id).map_or_else(unknown_job, |run| (200, json!({"status": run.state})))
            }
            ("GET", ["jobs", id]) => self.cached(path, run(id).map(|run| run.details(now))),
            ("GET", ["jobs", id, "checkpoints"]) => self.cached(path, run(id).map(Run::checkpoints)),
            ("PATCH", ["jobs", id]) => self.cancel(job(id)),
            ("POST", ["jobs", id, "stop"]) => match run(id) {
                None => unknown_job(),
                Some(_) => self.stop(job(id), body),
            },
            ("GET", ["jobs", _, "savepoints", trigger]) => {
                let told = trigger.parse().ok().and_then(|trigger| self.session.status(trigger, now));
                if told.as_ref().is_some_and(|told| told["status"]["id"] == "COMPLETED") {
                    self.result_is_read();
                }
                told.map_or_else(unknown_path, |told| (200, told))
            }
            ("GET", ["jobmanager", "config"]) => {
                let is_kept = self.faults.keeps != Keeps::Nothing;
                let setting = json!({"key": "high-availability.type", "value": "kubernetes"});
                (200, Value::from_iter(is_kept.then_some(setting)))
            }
            _ => {
                self.wrong.push(format!("a request that nobody knows: {method} {path}"));
                unknown_path()
            }
        }
    }

    fn cached(&mut self, path: &str, fresh: Option<Value>) -> (u16, Value) {
        let now = self.now;
        if let Some((_, value)) = self.cache.get(path).filter(|(at, _)| now < at + CACHED_MS) {
            return (200, value.clone());
        }
        let Some(value) = fresh else { return unknown_path() };
        self.cache.insert(path.to_owned(), (now, value.clone()));
        (200, value)
    }

    pub(super) fn cancel(&mut self, job: JobId) -> (u16, Value) {
        let now = self.now;
        let Some(process) = &mut self.process else { return unknown_job() };
        let number = process.number;
        match process.runs.iter_mut().find(|run| run.id == job) {
            Some(run) if run.state.is_terminal() => (409, json!({"errors": ["it has ended"]})),
            Some(run) => {
                run.rest(now);
                run.state = JobState::Cancelling;
                self.in_(CANCELLED_AFTER_MS, Due::Job(number, job, JobState::Canceled));
                (202, json!({}))
            }
            None => unknown_job(),
        }
    }

    fn stop(&mut self, job: JobId, body: &[u8]) -> (u16, Value) {
        let (now, how, takes) = (self.now, self.faults.stop, self.faults.stop_takes);
        let is_stopping = self.session.is_stopping(job);
        match self.session.stop(job, body, now, how, takes) {
            Ok((trigger, is_new)) => {
                if is_new && is_stopping {
                    self.wrong.push(format!("{job} is being stopped already"));
                }
                let number = self.process.as_ref().map_or(0, |process| process.number);
                if let Some(end) = self.session.next_end().filter(|_| is_new) {
                    self.in_(end.saturating_sub(now), Due::StopEnds(number));
                }
                (202, json!({"request-id": trigger}))
            }
            Err(Declined { status, errors }) => (status, json!({ "errors": errors })),
        }
    }
}

fn unknown_job() -> (u16, Value) {
    let what = "org.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not find Flink job";
    (500, json!({"errors": [what]}))
}

fn unknown_path() -> (u16, Value) {
    (404, json!({"errors": ["org.apache.flink.runtime.rest.NotFoundException: not found"]}))
}
