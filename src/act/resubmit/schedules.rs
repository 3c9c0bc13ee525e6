//! Thousands of schedules of crashes, time-outs, late answers and people who act in between, each from a seed: whatever happens, one
//! copy of the job runs, and every attempt ends.
//!
//! What is driven is what the daemon runs: the steps of this module, the states of the model, and a state that goes through its
//! written form whenever the process is cut off. Time is the cluster's own. A seed that fails is printed; `SEED=n` plays it alone.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::cluster::{Cluster, JAR};
use super::faults::Goes;
use super::{Program, dispose, step};
use crate::act::played::dice::Dice;
use crate::act::played::run::NAME;
use crate::act::played::{Ends, OVER_WITHIN, START, conclude, numbers, seeds, sizes};
use crate::model::{Attempt, Event, JobId, JobState, RescaleEnd, Resubmission, Stage, Timestamp};
use crate::observe::flink::FlinkClient;
use crate::policy::SavepointSpec;
use crate::record::State;
use crate::simulate::{RunFault, StopFault};

const OLD: JobId = JobId::from_bits(7);

/// Of earlier rescales.
const OLD_SAVEPOINTS: [&str; 2] = ["file:/s/savepoint-1", "file:/s/savepoint-2"];

/// A process that sees an attempt through, and the cluster.
struct Play {
    cluster: Arc<Mutex<Cluster>>,
    client: FlinkClient,
    program: Program,
    state: State,
    /// What a process that is started again knows.
    written: String,
    dice: Dice,
    crashes: u64,
    /// Turns in which nothing has changed.
    waited: u32,
    stages: Vec<Stage>,
}

impl Play {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(!seed);
        let to = sizes(if dice.percent(50) { [2, 9] } else { [1, 2] });
        let from = sizes([1, 4]);
        let cluster = Cluster::new(seed, OLD, numbers(&from), numbers(&to));
        let cluster = Arc::new(Mutex::new(cluster));
        let asked = Arc::clone(&cluster);
        let client = FlinkClient::played(Arc::new(move |method, path, body| {
            asked.lock().expect("nobody has panicked").ask(method, path, body)
        }));
        let mut state = State::default();
        state.ledger.attempt = Some(Attempt {
            last_running: Some(START),
            resubmission: Some(Resubmission::new(OLD, START)),
            ..Attempt::new(OLD, START, START + Duration::from_mins(5), from, to)
        });
        for path in OLD_SAVEPOINTS {
            state.ledger.savepoints.push_back(path.to_owned());
            cluster.lock().expect("nobody has panicked").session.keep(path.to_owned(), 0);
        }
        let written = serde_json::to_string(&state).expect("a state");
        let savepoint = SavepointSpec { jar: JAR.to_owned(), ..SavepointSpec::default() };
        let program = Program { savepoint, job: Some(NAME.to_owned()), manager: None };
        let crashes = dice.one_of(&[0, 0, 5, 30, 60]);
        Self {
            cluster,
            client,
            program,
            state,
            written,
            dice,
            crashes,
            waited: 0,
            stages: vec![Stage::Planned],
        }
    }

    fn now(&self) -> Timestamp {
        START + Duration::from_millis(self.cluster(|cluster| cluster.now))
    }

    fn cluster<T>(&self, with: impl FnOnce(&mut Cluster) -> T) -> T {
        with(&mut self.cluster.lock().expect("nobody has panicked"))
    }

    fn pass(&self, millis: u64) {
        self.cluster(|cluster| cluster.advance(millis));
    }

    /// Whether it is cut off here, as by kill -9.
    fn is_cut_off(&mut self) -> bool {
        let crashes = self.crashes;
        self.dice.percent(crashes)
    }

    fn restart(&mut self, where_: &str) {
        let takes = self.dice.one_of(&[500, 5_000, 5_000, 90_000, 600_000]);
        self.state = serde_json::from_str(&self.written).expect("it was written");
        self.cluster(|cluster| {
            cluster.diary.push(format!("{:>9.3} cut off {where_}", cluster.now as f64 / 1e3));
            cluster.cut.forget();
            cluster.advance(takes);
        });
        let now = self.now();
        self.state.take_up(now);
        // Nobody crashes for ever.
        self.crashes -= self.crashes.min(1);
    }

    /// One turn of the daemon's loop; whether there is another.
    fn turn(&mut self) -> bool {
        let Some((attempt, resubmission)) = self.state.resubmitting() else { return false };
        let (attempt, resubmission) = (attempt.clone(), resubmission.clone());
        if self.is_cut_off() {
            let (nth, worked_on) = (1 + self.dice.below(4), self.dice.percent(50));
            self.cluster(|cluster| cluster.cut.off_in(nth, worked_on));
        }
        let event = {
            let doing = pin!(step(&self.client, &attempt, &resubmission, &self.program));
            doing.poll(&mut Context::from_waker(Waker::noop()))
        };
        let Poll::Ready(event) = event else {
            self.restart("while asking");
            return true;
        };
        self.cluster(|cluster| cluster.cut.forget());
        let now = self.now();
        if self.state.resubmit(&event, now) {
            if self.is_cut_off() {
                self.restart("before it wrote");
                return true;
            }
            self.written = serde_json::to_string(&self.state).expect("a state");
            let stage = self.stage();
            if self.stages.last() != Some(&stage) {
                self.stages.push(stage);
                self.cluster(|cluster| {
                    cluster.diary.push(format!("{:>9.3} {stage:?}: {event:?}", cluster.now as f64 / 1e3));
                });
            }
            if self.is_cut_off() {
                self.restart("after it wrote");
                return true;
            }
        }
        // Of a long wait, a part: nothing comes of looking four times in a second for ten minutes.
        let is_same = self.state.resubmitting().is_some_and(|(_, now)| *now == resubmission);
        self.waited = if is_same { self.waited + 1 } else { 0 };
        let waits = if self.waited > 40 { 20 } else { 1 };
        self.pass(
            waits * if matches!(event, Event::Silence(_) | Event::Unanswered(_)) { 2_000 } else { 250 },
        );
        true
    }

    fn resubmission(&self) -> &Resubmission {
        let attempt = self.state.ledger.attempt.as_ref().expect("it has not been concluded");
        attempt.resubmission.as_ref().expect("it is one")
    }

    fn stage(&self) -> Stage {
        self.resubmission().stage()
    }

    /// Old savepoints go when the job runs from a newer one, and never the one that it runs from, or may have to.
    fn tidy_up(&mut self, end: Option<RescaleEnd>, resubmission: &Resubmission) -> Result<(), String> {
        let old = self.state.surplus_savepoints(1);
        let disposing = pin!(dispose(self.client.clone(), old));
        if disposing.poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            return Err("the disposal of savepoints does not end".to_owned());
        }
        self.cluster(|cluster| {
            cluster.advance(120_000);
            let left: Vec<_> = cluster.session.savepoints().collect();
            let is_left = |path: &str| left.contains(&path);
            if resubmission.location.as_deref().is_some_and(|path| !is_left(path)) {
                return Err(format!("of {left:?}, that of this rescale is gone"));
            }
            let is_sure = cluster.faults.lost + cluster.faults.late == 0 && !cluster.is_away();
            match end {
                Some(RescaleEnd::Done) if is_sure && OLD_SAVEPOINTS.into_iter().any(is_left) => {
                    Err(format!("{left:?} are left after {end:?}"))
                }
                Some(RescaleEnd::Done) => Ok(()),
                _ if OLD_SAVEPOINTS.into_iter().all(is_left) => Ok(()),
                _ => Err(format!("only {left:?} are left after {end:?}")),
            }
        })
    }

    /// What must hold at the end.
    fn judge(&mut self, stage: Stage, resubmission: &Resubmission) -> Result<(), String> {
        // What is still on its way arrives.
        self.cluster(|cluster| {
            cluster.faults.somebody.clear();
            cluster.advance(120_000);
        });
        let running = self.cluster(|cluster| {
            let run = cluster.alive().find(|run| run.state == JobState::Running);
            run.map(|run| (run.id, run.sizes.clone()))
        });
        let now = self.now();
        let end = conclude(&mut self.state, running, now)?;
        self.tidy_up(end, resubmission)?;
        self.cluster(|cluster| {
            if !cluster.wrong.is_empty() {
                return Err(cluster.wrong.join("; "));
            }
            let alive: Vec<_> = cluster.alive().map(|run| (run.id, run.is_ours)).collect();
            let faults = &cluster.faults;
            let disturbed = cluster.is_disturbed;
            // Nothing that passes by itself may lose a job.
            let is_hopeless = disturbed
                || !cluster.session.has_jar()
                // Flink tells nobody else where the savepoint is.
                || cluster.has_lost_a_stop && resubmission.location.is_none()
                || cluster.longest_away > 1_500_000
                || matches!(faults.old_size, Goes::Wrong(_))
                || faults.stop == Some(StopFault::FailsForGood) && faults.new_size != Goes::Well;
            let expected = match stage {
                Stage::Done => vec![(resubmission.target, true)],
                Stage::RolledBack => vec![(resubmission.fallback, true)],
                Stage::NotStopped => vec![(OLD, true)],
                Stage::Superseded
                    if !disturbed
                        && cluster.runs.iter().any(|run| run.id == OLD && !run.state.is_terminal()) =>
                {
                    vec![(OLD, true)]
                }
                Stage::Superseded if disturbed => {
                    return if alive.len() <= 1 { Ok(()) } else { Err(format!("{alive:?} run")) };
                }
                // A JobManager that is away for long may come back with the job.
                Stage::Failed if is_hopeless => {
                    let may_run = disturbed || cluster.longest_away > 1_500_000;
                    return if alive.is_empty() || may_run && alive.len() <= 1 {
                        Ok(())
                    } else {
                        Err(format!("{stage:?}, and {alive:?} runs"))
                    };
                }
                _ => return Err(format!("{stage:?}, and {alive:?} runs")),
            };
            let is_as_expected = alive == expected || disturbed && alive.len() <= 1;
            if !is_as_expected {
                return Err(format!("{stage:?}, and {alive:?} runs"));
            }
            let ends = match stage {
                Stage::Done => {
                    end == Some(RescaleEnd::Done)
                        || end == Some(RescaleEnd::Partial)
                            && faults.new_size == Goes::Wrong(RunFault::FewerSlots)
                }
                Stage::RolledBack => end == Some(RescaleEnd::TimedOut),
                Stage::NotStopped => end == Some(RescaleEnd::Failed),
                _ => true,
            };
            if ends || disturbed { Ok(()) } else { Err(format!("{stage:?} is recorded as {end:?}")) }
        })
    }
}

/// Seconds, on a machine that is busy with other tests.
const SCHEDULES: u64 = 2_500;

/// Plays a schedule to its end; the state it ended in, or what was wrong.
fn play(seed: u64) -> Result<Stage, String> {
    let mut play = Play::new(seed);
    let result = loop {
        if !play.turn() {
            let resubmission = play.resubmission().clone();
            let stage = resubmission.stage();
            break play.judge(stage, &resubmission).map(|()| stage);
        }
        if play.now().since(START) > OVER_WITHIN {
            break Err(format!("it never ends: {:?}", play.stage()));
        }
    };
    result.map_err(|wrong| {
        play.cluster(|cluster| {
            format!("seed {seed}: {wrong}\n{:?}\n{}", cluster.faults, cluster.diary.join("\n"))
        })
    })
}

#[test]
fn no_job_is_lost_and_none_runs_twice() {
    let mut ends = Ends::default();
    for seed in seeds(SCHEDULES) {
        ends.take(play(seed));
    }
    ends.are_as_they_should(20);
}
