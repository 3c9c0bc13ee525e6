//! Schedules of crashes, time-outs, late answers, conflicts and people who act in between, each from a seed, for a job in application
//! mode: whatever happens, one copy of the job runs, none is set back to where it once began and called done, and every attempt ends.
//!
//! What is driven is what the daemon runs: the steps of this module, with a real client of the API server, and a state that goes
//! through its written form whenever the process is cut off. Time is the world's own. A seed that fails is printed; `SEED=n` plays it alone.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::faults::Goes;
use super::super::{Program, rerun, step};
use super::world::{OLD, Ours, World};
use crate::act::played::dice::Dice;
use crate::act::played::run::NAME;
use crate::act::played::{Ends, OVER_WITHIN, START, api, conclude, numbers, seeds, sizes};
use crate::model::{Attempt, Event, JobId, JobState, RescaleEnd, Resubmission, Stage, Timestamp};
use crate::observe::flink::{FlinkClient, played};
use crate::observe::kubernetes::ManagerTarget;
use crate::policy::{JobManagerRef, SavepointSpec};
use crate::record::State;
use crate::simulate::{RunFault, StopFault};

/// Seconds, as each request goes through a real client.
const SCHEDULES: u64 = 120;

/// A process that sees an attempt through, and the world.
struct Play {
    world: Arc<Mutex<World>>,
    client: FlinkClient,
    program: Program,
    state: State,
    /// What a process that is started again knows.
    written: String,
    dice: Dice,
    crashes: u64,
    has_crashed: bool,
    /// Whether the seed has nothing go wrong.
    is_calm: bool,
    /// Turns in which nothing has changed.
    waited: u32,
}

impl Play {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(!seed);
        let to = sizes(if dice.percent(50) { [2, 9] } else { [1, 2] });
        let from = sizes([1, 4]);
        let resubmission = Resubmission::new(OLD, START);
        let Resubmission { target, fallback, .. } = resubmission;
        let ours = Ours { target, fallback, from: numbers(&from), to: numbers(&to) };
        let world = World::new(seed, ours);
        let is_calm = world.faults.are_none();
        let named = JobManagerRef { kind: world.faults.kind, name: "jm".to_owned() };
        let world = Arc::new(Mutex::new(world));
        let (api, flink) = (Arc::clone(&world), Arc::clone(&world));
        let kube = api::client(
            "shop",
            Arc::new(move |asked| {
                let mut world = api.lock().expect("nobody has panicked");
                match world.ask_api(asked) {
                    Some((status, body)) => api::Reply::Status(status, body),
                    None if world.hears() => api::Reply::Nothing,
                    None => api::Reply::Never,
                }
            }),
        );
        let client = FlinkClient::played(Arc::new(move |method, path, body| {
            let mut world = flink.lock().expect("nobody has panicked");
            if method == played::PAUSE {
                let (length, stretched): (u64, _) = (path.parse().expect("milliseconds"), world.stretched);
                world.advance(length * stretched);
                return played::Reply::Nothing;
            }
            match world.ask_flink(method, path, body) {
                Some((status, body)) => played::Reply::Status(status, body.to_string()),
                None if world.hears() => played::Reply::Nothing,
                None => played::Reply::Never,
            }
        }));
        let mut state = State::default();
        state.ledger.attempt = Some(Attempt {
            last_running: Some(START),
            resubmission: Some(resubmission),
            ..Attempt::new(OLD, START, START + Duration::from_mins(5), from, to)
        });
        let written = serde_json::to_string(&state).expect("a state");
        let program = Program {
            savepoint: SavepointSpec { job_manager: Some(named.clone()), ..SavepointSpec::default() },
            job: Some(NAME.to_owned()),
            manager: Some(Ok(ManagerTarget::new(kube, "shop", &named))),
        };
        let crashes = dice.one_of(&[0, 0, 5, 30, 60]);
        Self { world, client, program, state, written, dice, crashes, has_crashed: false, is_calm, waited: 0 }
    }

    fn world<T>(&self, with: impl FnOnce(&mut World) -> T) -> T {
        with(&mut self.world.lock().expect("nobody has panicked"))
    }

    fn now(&self) -> Timestamp {
        START + Duration::from_millis(self.world(|world| world.now))
    }

    /// Whether it is cut off here, as by kill -9.
    fn is_cut_off(&mut self) -> bool {
        let crashes = self.crashes;
        self.dice.percent(crashes)
    }

    fn restart(&mut self, where_: &str) {
        let takes = self.dice.one_of(&[500, 5_000, 5_000, 90_000, 600_000]);
        self.state = serde_json::from_str(&self.written).expect("it was written");
        self.world(|world| {
            world.note(format!("cut off {where_}"));
            world.cut.forget();
            world.advance(takes);
        });
        let now = self.now();
        self.state.take_up(now);
        self.has_crashed = true;
        // Nobody crashes for ever.
        self.crashes -= self.crashes.min(1);
    }

    /// One turn of the daemon's loop; whether there is another.
    async fn turn(&mut self) -> bool {
        let Some((attempt, resubmission)) = self.state.resubmitting() else { return false };
        let (attempt, resubmission) = (attempt.clone(), resubmission.clone());
        if self.is_cut_off() {
            let (nth, worked_on) = (1 + self.dice.below(6), self.dice.percent(50));
            self.world(|world| world.cut.off_in(nth, worked_on));
        }
        let is_cut = self.world(|world| Arc::clone(&world.is_cut));
        let event = tokio::select! {
            biased;
            () = is_cut.notified() => None,
            event = step(&self.client, &attempt, &resubmission, &self.program) => Some(event),
        };
        let Some(event) = event else {
            self.restart("while asking");
            return true;
        };
        self.world(|world| world.cut.forget());
        let now = self.now();
        if self.state.resubmit(&event, now) {
            if self.is_cut_off() {
                self.restart("before it wrote");
                return true;
            }
            self.written = serde_json::to_string(&self.state).expect("a state");
            let stage = self.resubmission().stage();
            if stage != resubmission.stage() {
                self.world(|world| {
                    let told = format!("{event:?}");
                    world.note(format!("{stage:?}: {}", told.chars().take(200).collect::<String>()));
                });
            }
            self.judge_end(stage);
            if self.is_cut_off() {
                self.restart("after it wrote");
                return true;
            }
        }
        // Of a long wait, a part: nothing comes of looking ten times in a second for ten minutes.
        let is_same = self.state.resubmitting().is_some_and(|(_, now)| *now == resubmission);
        self.waited = if is_same { self.waited + 1 } else { 0 };
        let waits = if self.waited > 20 { 10 } else { 1 };
        let pause = if matches!(event, Event::Silence(_) | Event::Unanswered(_)) { 2_000 } else { 250 };
        self.world(|world| {
            world.stretched = waits;
            world.advance(waits * pause);
        });
        true
    }

    fn resubmission(&self) -> &Resubmission {
        let attempt = self.state.ledger.attempt.as_ref().expect("it has not been concluded");
        attempt.resubmission.as_ref().expect("it is one")
    }

    /// A job that is said to run at its size runs from the savepoint, and from nothing else.
    fn judge_end(&self, stage: Stage) {
        let resubmission = self.resubmission();
        let id = match stage {
            Stage::Done => resubmission.target,
            Stage::RolledBack => resubmission.fallback,
            _ => return,
        };
        self.world(|world| {
            let Ours { from, to, .. } = world.ours.clone();
            let wanted = if stage == Stage::Done { to } else { from };
            let runs: Vec<_> = world.begun.iter().filter(|(begun, ..)| *begun == id).collect();
            let is_right =
                runs.iter().all(|(_, sizes, path)| *sizes == wanted && *path == resubmission.location);
            if runs.is_empty() || !is_right || resubmission.location.is_none() {
                world.wrong.push(format!("{stage:?}, and of {id} there was {runs:?}"));
            }
            let others: Vec<_> = world.alive().map(|run| run.id).filter(|other| *other != id).collect();
            if !others.is_empty() && !world.happened.disturbed {
                world.wrong.push(format!("{stage:?}, and {others:?} runs as well"));
            }
        });
    }

    /// What must hold at the end.
    async fn judge(&mut self) -> Result<Stage, String> {
        let resubmission = self.resubmission().clone();
        let stage = resubmission.stage();
        if stage == Stage::Failed {
            self.judge_way_back(&resubmission).await?;
        }
        // What is still on its way arrives.
        self.world(|world| {
            world.calm_down();
            world.advance(900_000 + world.happened.longest_away);
            if world.wrong.is_empty() { Ok(()) } else { Err(world.wrong.join("; ")) }
        })?;
        let running = self.world(|world| {
            let run = world.alive().find(|run| run.state == JobState::Running);
            run.map(|run| (run.id, run.sizes.clone()))
        });
        let now = self.now();
        let end = conclude(&mut self.state, running, now)?;
        let is_calm = self.is_calm && !self.has_crashed;
        let records = self.state.ledger.rescales.len();
        self.world(|world| {
            let alive: Vec<JobId> = world.alive().map(|run| run.id).collect();
            let (faults, happened) = (&world.faults, &world.happened);
            let says = |what: &str| {
                Err(format!(
                    "{stage:?}, recorded as {end:?} ({records}): {what}; {alive:?} runs, and {happened:?}: {:?}",
                    resubmission.detail
                ))
            };
            if alive.len() > 1 && !happened.doubled_by_others {
                return says("more than one copy runs");
            }
            if is_calm && (stage != Stage::Done || happened.anew) {
                return says("nothing was in the way");
            }
            // Whoever has acted in between has the last word.
            if happened.disturbed {
                return Ok(stage);
            }
            let is_untouched = world.written.is_empty();
            let (is_good, is_recorded) = match stage {
                Stage::Done => (
                    alive == [resubmission.target],
                    end == Some(RescaleEnd::Done)
                        || end == Some(RescaleEnd::Partial)
                            && faults.new_size == Goes::Wrong(RunFault::FewerSlots),
                ),
                Stage::RolledBack => (alive == [resubmission.fallback], end == Some(RescaleEnd::TimedOut)),
                Stage::NotStopped => {
                    (is_untouched && is_as_it_was(&alive, happened.anew), end == Some(RescaleEnd::Failed))
                }
                Stage::Superseded => (is_untouched && is_as_it_was(&alive, happened.anew), true),
                Stage::Failed => {
                    let is_hopeless = happened.forbidden
                        || happened.longest_away > 1_500_000
                        || happened.lost_a_stop && resubmission.location.is_none()
                        || matches!(faults.old_size, Goes::Wrong(_))
                        || faults.stop == Some(StopFault::FailsForGood) && faults.new_size != Goes::Well;
                    (is_hopeless, true)
                }
                _ => (false, false),
            };
            match (is_good, is_recorded) {
                (true, true) => Ok(stage),
                (false, _) => says("the job is not as it should be"),
                (true, false) => says("the record is wrong"),
            }
        })
    }

    /// A person who is needed is told how the job is brought back.
    async fn judge_way_back(&mut self, resubmission: &Resubmission) -> Result<(), String> {
        self.world(World::calm_down);
        let attempt = self.state.ledger.attempt.clone().expect("it needs a person");
        let told = rerun(&self.client, &attempt, resubmission, &self.program).await;
        let is_there = self.world(|world| world.object.is_some());
        let is_told = told.savepoint == resubmission.location
            && (told.manifest.is_some() || !is_there || resubmission.manager.is_none());
        if is_told { Ok(()) } else { Err(format!("a person is told no more than {told:?}")) }
    }
}

/// One run of the job, of the id that it had unless its JobManager has begun it anew.
fn is_as_it_was(alive: &[JobId], anew: bool) -> bool {
    alive == [OLD] || anew && alive.len() == 1
}

/// Plays a schedule to its end; the state it ended in, or what was wrong.
async fn play(seed: u64) -> Result<Stage, String> {
    let mut play = Play::new(seed);
    let result = loop {
        if !play.turn().await {
            break play.judge().await;
        }
        if play.now().since(START) > OVER_WITHIN {
            break Err(format!("it never ends: {:?}", play.resubmission().stage()));
        }
    };
    result.map_err(|wrong| {
        play.world(|world| format!("seed {seed}: {wrong}\n{:?}\n{}", world.faults, world.diary.join("\n")))
    })
}

#[tokio::test]
async fn no_job_is_lost_none_runs_twice_and_none_begins_anew_unseen() {
    let mut ends = Ends::default();
    for seed in seeds(SCHEDULES) {
        ends.take(play(seed).await);
    }
    ends.are_as_they_should(2);
}
