//! A JobManager in application mode, what Kubernetes makes of it, and what Flink says: time is its own. All of it behaves as real pods
//! were seen to, with the faults of a seed, and notes whatever must never happen.
//!
//! Here is what is due when, and what people do; in `kubernetes` the object and its pod, in `flink` the JobManager and its jobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Notify;

use self::flink::Process;
use self::kubernetes::{Object, Pod};
use super::faults::{Faults, Somebody};
use crate::act::played::api::Asked;
use crate::act::played::cut::{Cut, Heard};
use crate::act::played::dice::Dice;
use crate::act::played::run::Run;
use crate::model::{JobId, JobState, ManagerKind, VertexId};
use crate::simulate::session::Session;

mod flink;
mod kubernetes;

/// A client waits this long for an answer.
const TIMEOUT_MS: u64 = 10_000;

/// The run that there is in the beginning. With high availability its id is the cluster's, where the arguments say none.
pub(super) const OLD: JobId = JobId::from_bits(7);

/// What is due at some time. What it is about may be gone by then.
#[derive(Clone, Debug)]
enum Due {
    /// Kubernetes notices what is to be done about the object.
    Notice,
    /// The container of this pod is started.
    Start(u64),
    /// The pod is gone.
    Gone(u64),
    /// The JobManager answers.
    Serve(u64),
    /// Its program has come to its job.
    Main(u64),
    /// A job of it changes by itself.
    Job(u64, JobId, JobState),
    /// A stop may have ended.
    StopEnds(u64),
    /// It ends, as its job has.
    Exit(u64),
    Somebody(Somebody),
    /// A request to the API server that nobody waits for any more.
    LateChange(Asked),
    /// The same to a JobManager.
    LateAsk(u64, String, String, Vec<u8>),
}

/// The runs that may be written into the object.
#[derive(Clone, Debug)]
pub(super) struct Ours {
    pub(super) target: JobId,
    pub(super) fallback: JobId,
    pub(super) from: BTreeMap<VertexId, u32>,
    pub(super) to: BTreeMap<VertexId, u32>,
}

/// What came about that explains how a schedule ends.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own")]
pub(super) struct Happened {
    /// A person has acted.
    pub(super) disturbed: bool,
    /// The JobManager has run the job by the arguments of the beginning again.
    pub(super) anew: bool,
    pub(super) killed: bool,
    /// A JobManager has gone that alone knew where the savepoint is.
    pub(super) lost_a_stop: bool,
    pub(super) longest_away: u64,
    pub(super) forbidden: bool,
    /// With high availability, a run by somebody's arguments has begun beside what was left of another.
    pub(super) doubled_by_others: bool,
    /// The object was changed while no JobManager was there to tell what it would leave behind, or before it had come to its job: with
    /// high availability that comes back beside the next run, which is seen when that one answers. Until it has begun.
    pub(super) blind: bool,
}

/// All of it; times are milliseconds since the start.
pub(super) struct World {
    pub(super) now: u64,
    pub(super) faults: Faults,
    dice: Dice,
    due: BTreeMap<(u64, u64), Due>,
    /// Numbers of pods, processes, and of what is due.
    counted: u64,
    pub(super) ours: Ours,
    pub(super) object: Option<Object>,
    /// The arguments and the image that were there at the last look before anything was done.
    as_planned: (Vec<String>, String),
    pod: Option<Pod>,
    process: Option<Process>,
    /// With high availability: the jobs that a JobManager left that has gone.
    store: Vec<Run>,
    /// Of which a savepoint keeps how much had been worked off.
    pub(super) session: Session<u64>,
    server_away_until: u64,
    cache: BTreeMap<String, (u64, Value)>,
    /// The sizes whose first try was refused.
    refused: Vec<BTreeMap<VertexId, u32>>,
    /// The ids that were written, in order.
    pub(super) written: Vec<JobId>,
    /// Every run that has begun: its id, its sizes, and the savepoint that its arguments said.
    pub(super) begun: Vec<(JobId, BTreeMap<VertexId, u32>, Option<String>)>,
    pub(super) happened: Happened,
    pub(super) wrong: Vec<String>,
    pub(super) diary: Vec<String>,
    pub(super) cut: Cut,
    /// How much longer each pause is while nothing new is seen.
    pub(super) stretched: u64,
    has_ended: bool,
    /// Told when who asks is cut off.
    pub(super) is_cut: Arc<Notify>,
}

impl World {
    pub(super) fn new(seed: u64, ours: Ours) -> Self {
        let mut dice = Dice::new(seed);
        let faults = Faults::draw(&mut dice);
        let mut world = Self {
            now: 0,
            dice,
            due: BTreeMap::new(),
            counted: 0,
            object: None,
            as_planned: (Vec::new(), "first".to_owned()),
            pod: None,
            process: None,
            store: Vec::new(),
            session: Session::new("", OLD),
            server_away_until: 0,
            cache: BTreeMap::new(),
            refused: Vec::new(),
            written: Vec::new(),
            begun: Vec::new(),
            happened: Happened::default(),
            wrong: Vec::new(),
            diary: Vec::new(),
            cut: Cut::default(),
            stretched: 1,
            has_ended: false,
            is_cut: Arc::default(),
            ours,
            faults,
        };
        for (at, what) in world.faults.somebody.clone() {
            world.in_(at, Due::Somebody(what));
        }
        world.begin();
        world
    }

    fn number(&mut self) -> u64 {
        self.counted += 1;
        self.counted
    }

    fn in_(&mut self, millis: u64, what: Due) {
        let number = self.number();
        self.due.insert((self.now + millis, number), what);
    }

    /// Lets time pass.
    pub(super) fn advance(&mut self, millis: u64) {
        let until = self.now + millis;
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= until) {
            let ((at, _), what) = entry.remove_entry();
            self.now = self.now.max(at);
            self.happen(what);
        }
        self.now = until;
    }

    pub(super) fn note(&mut self, what: impl Into<String>) {
        let now = self.now;
        self.diary.push(format!("{:>9.3} {}", now as f64 / 1e3, what.into()));
    }

    fn happen(&mut self, what: Due) {
        match what {
            Due::Notice => self.notice(),
            Due::Start(pod) => self.start(pod),
            Due::Gone(pod) => self.gone(pod),
            Due::Serve(process) => self.serve(process),
            Due::Main(process) => self.main(process),
            Due::Job(process, job, state) => self.job_goes_on(process, job, state),
            Due::StopEnds(process) => self.stops_end(process),
            Due::Exit(process) => self.exit(process),
            Due::Somebody(what) => self.act(what),
            Due::LateChange(asked) => {
                if self.server_away_until <= self.now {
                    let (status, _) = self.change(&asked, true);
                    self.note(format!("late: {} {}: {status}", asked.method, asked.path));
                }
            }
            Due::LateAsk(process, method, path, body) => {
                if self.process.as_ref().is_some_and(|running| running.number == process) {
                    let (status, _) = self.flink(&method, &path, &body);
                    self.note(format!("late: {method} {path}: {status}"));
                }
            }
        }
    }

    /// The jobs that have not ended, wherever they are.
    pub(super) fn alive(&self) -> impl Iterator<Item = &Run> {
        let running = self.process.iter().flat_map(|process| &process.runs);
        running.chain(&self.store).filter(|run| !run.state.is_terminal())
    }

    fn act(&mut self, what: Somebody) {
        let now = self.now;
        self.note(format!("somebody: {what:?}"));
        let is_job = self.faults.kind == ManagerKind::Job;
        match what {
            Somebody::KillsTheServer(lasts) => {
                self.server_away_until = now + lasts;
                self.happened.longest_away = self.happened.longest_away.max(lasts);
                return;
            }
            Somebody::KillsTheJobManager(lasts) => return self.kill(lasts),
            Somebody::ReadsTheResult => return self.result_is_read(),
            Somebody::TakesTheRight => {
                self.happened.forbidden = true;
                return;
            }
            Somebody::Cancels => {
                let jobs: Vec<_> = self.running().iter().flat_map(|it| &it.runs).map(|run| run.id).collect();
                for job in jobs {
                    self.happened.disturbed |= self.cancel(job).0 == 202;
                }
                return;
            }
            _ => {}
        }
        let Some(object) = &mut self.object else { return };
        self.happened.disturbed = true;
        match what {
            Somebody::Deletes => self.delete(),
            // The template of a Job cannot be changed.
            Somebody::DeletesAndCreates => self.replace(),
            Somebody::ChangesTheImage | Somebody::ChangesTheArguments | Somebody::PutsItBack if is_job => {
                self.replace();
            }
            Somebody::ChangesTheImage => {
                "second".clone_into(&mut object.image);
                self.changed();
            }
            Somebody::ChangesTheArguments => {
                object.args.extend(["-s", "file:/theirs"].map(str::to_owned));
                self.changed();
            }
            Somebody::PutsItBack => {
                let args = self.first_args();
                if let Some(object) = &mut self.object {
                    object.args = args;
                }
                self.changed();
            }
            _ => {
                object.is_off = true;
                self.changed();
            }
        }
    }

    /// What comes of a request to the API server.
    pub(super) fn ask_api(&mut self, asked: &Asked) -> Option<(u16, Value)> {
        match self.cut.next() {
            Heard::ToTheEnd => self.api(asked, true),
            Heard::Never => self.cut_off(),
            Heard::Sent => {
                self.api(asked, false);
                self.cut_off()
            }
        }
    }

    /// What comes of a request to Flink; `None` where there is no answer.
    pub(super) fn ask_flink(&mut self, method: &str, path: &str, body: &[u8]) -> Option<(u16, Value)> {
        match self.cut.next() {
            Heard::ToTheEnd => self.rest(method, path, body, true),
            Heard::Never => self.cut_off(),
            Heard::Sent => {
                self.rest(method, path, body, false);
                self.cut_off()
            }
        }
    }

    fn cut_off<T>(&mut self) -> Option<T> {
        self.has_ended = true;
        self.is_cut.notify_one();
        None
    }

    /// Whether somebody waits for what just went unanswered; who is cut off does so no more.
    pub(super) fn hears(&mut self) -> bool {
        !std::mem::take(&mut self.has_ended)
    }

    /// Nothing goes wrong any more, and nobody acts.
    pub(super) fn calm_down(&mut self) {
        self.due.retain(|_, what| !matches!(what, Due::Somebody(_)));
        (self.faults.lost, self.faults.late, self.server_away_until) = (0, 0, 0);
    }

    /// Nothing arrives, or no answer does.
    fn is_lost(&mut self) -> bool {
        let lost = self.dice.percent(self.faults.lost);
        if lost {
            self.advance(TIMEOUT_MS);
        }
        lost
    }

    fn is_late(&mut self) -> Option<u64> {
        self.dice.percent(self.faults.late).then(|| TIMEOUT_MS + self.dice.below(40_000))
    }
}
