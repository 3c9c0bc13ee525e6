//! A job that is stopped with a savepoint and run again at another size: how far it is, and what comes next.
//!
//! Comes in: what is so, and what was just seen. Goes out: the next state. Each state is written down before anything is done
//! in it, and what is done in a state can be done again without harm: the stop has a trigger id of our own, and each run a job
//! id that was chosen beforehand, which Flink takes once. So whoever reads the state after a crash goes on where it was.
//! Serialised in the state and in journals: the fields are a promise.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{JobId, JobState, Manager, Rerun, Timestamp, TriggerId};

/// A job whose savepoint is complete finishes within seconds. One that still runs after this long has failed while finishing,
/// and Flink has started it again.
const FINISHES_WITHIN: Duration = Duration::from_mins(2);

/// The job is to run at its new size within this long, or it comes back at the old one: as long as Flink waits for slots
/// (`resource-wait-timeout`, `slot.request.timeout`: 5 min), and the loading of its state.
const RUNS_WITHIN: Duration = Duration::from_mins(10);

/// How long the job may run without all of its subtasks being told to have restored the savepoint (checkpoint statistics are
/// cached for 3 s).
const RESTORED_WITHIN: Duration = Duration::from_secs(15);

/// What could not be reached for this long while the job does not run needs a person, who may bring it back elsewhere.
pub(super) const LOST_AFTER: Duration = Duration::from_mins(30);

/// A size that was decided on longer ago may be another than what is needed now.
pub(super) const STILL_WANTED: Duration = Duration::from_mins(1);

/// A stop that no JobManager knows of, though it was asked for again and again, is given up.
const STOPS_WITHIN: Duration = Duration::from_mins(5);

/// A request to run the job that nobody has heard the end of may still be worked on: the program's `main` runs first. Within this
/// long a refusal of the same says nothing, and another size is not run.
const COMES_LATE: Duration = Duration::from_mins(1);

/// How often the job is run again at its old size before a person is asked: a refusal is mostly the same each time.
const OLD_SIZE_TRIES: u32 = 3;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// Nothing was done yet.
    Planned,
    /// Flink was asked to stop the job with a savepoint, or is about to be.
    StopRequested,
    /// The savepoint is complete.
    SavepointDone,
    /// The job has ended; nothing runs.
    Stopped,
    /// The job was run again at its new size, or is about to be.
    Submitted,
    /// Flink has taken it; it is to run with all of its subtasks, from the savepoint.
    Confirming,
    /// The job runs at its new size.
    Done,
    /// The job does not come up at its new size, and is being cancelled.
    Cancelling,
    /// The job was run again at its old size, or is about to be.
    RollingBack,
    /// The job runs at its old size, from the savepoint.
    RolledBack,
    /// The job was not stopped: it runs on as before.
    NotStopped,
    /// Somebody else has acted in between: nothing more is touched.
    Superseded,
    /// The job does not run, and nothing that may be done by itself brings it back: a person is needed.
    Failed,
}

impl Stage {
    /// Whether nothing more is to be done.
    pub fn is_over(self) -> bool {
        match self {
            Self::Done | Self::RolledBack | Self::NotStopped | Self::Superseded | Self::Failed => true,
            Self::Planned
            | Self::StopRequested
            | Self::SavepointDone
            | Self::Stopped
            | Self::Submitted
            | Self::Confirming
            | Self::Cancelling
            | Self::RollingBack => false,
        }
    }
}

/// A state that was reached, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The state.
    pub stage: Stage,
    /// When.
    pub at: Timestamp,
}

/// A job on its way from one run to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resubmission {
    /// What the stop is known by.
    pub trigger: TriggerId,
    /// The job's id at its new size.
    pub target: JobId,
    /// The job's id at its old size, if it has to come back.
    pub fallback: JobId,
    /// The states it was in, the present one last.
    pub reached: Vec<Reached>,
    /// Where the savepoint is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// What went wrong, in the words of whoever said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How often the job was run again at its old size.
    #[serde(default)]
    pub old_size_tries: u32,
    /// When the job was first seen again at its old size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_since: Option<Timestamp>,
    /// When Flink was last asked to run the job, in this state, and was not heard to have done so or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<Timestamp>,
    /// Whether Flink is not asked to run the job any more in this state, though it may yet do so by an earlier request.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_given_up: bool,
    /// Since when nothing was heard of Flink in this state.
    #[serde(skip)]
    pub silent_since: Option<Timestamp>,
    /// What runs the JobManager, where the job is run again by its arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<Box<Manager>>,
    /// How it is brought back by hand, where a person is needed for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun: Option<Box<Rerun>>,
}

/// How the stop goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It is under way.
    UnderWay,
    /// The savepoint is here.
    Saved(String),
    /// It has failed, in Flink's words; with a savepoint, where the job failed after it.
    Failed(String, Option<String>),
    /// The JobManager does not know of it: it was asked of another one, or too long ago. The newest savepoint of the job since it
    /// was asked for, if there is one.
    Forgotten(Option<String>),
}

/// What a run was restored from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Where that is.
    pub path: String,
    /// Whether it is a savepoint; otherwise it is a checkpoint that the run itself has made.
    pub is_savepoint: bool,
}

/// What was seen of a run of the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run {
    /// The cluster does not know it.
    Absent,
    /// It is there.
    Present {
        /// Its state.
        state: JobState,
        /// Whether all subtasks of all vertices are running.
        all_up: bool,
        /// What it was restored from.
        restored: Option<Restored>,
    },
}

/// What was just seen, or came of what was just done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// No word from Flink.
    Silence(String),
    /// Flink was asked for the stop, and for how it goes; and the state of the job, `None` where the cluster does not know it.
    Stop(Stop, Option<JobState>),
    /// All is as it was planned for, and the job is run again by the arguments of this JobManager.
    Fit(Box<Manager>),
    /// What the plan assumed is no longer so, or somebody else has taken over what runs the job.
    Changed(String),
    /// Another job of the same name runs, which is none of ours.
    Rival(JobId),
    /// The run that this state is about.
    Run(Run),
    /// Flink was asked to run the job, and nobody knows what came of it.
    Unanswered(String),
    /// Flink has refused to run the job, in its own words.
    Refused(String),
    /// The job runs at its new size beside another, or though it is to come back at the old one: Flink has worked on a request late.
    Late,
}

/// Why one does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotResumed {
    /// It goes on by itself, or is over.
    #[error("it is {0:?}, and only what is Failed needs somebody to say that it may go on")]
    NotFailed(Stage),
    /// There is nothing to run the job from.
    #[error("where its savepoint is is not known: run the job by hand, from its last checkpoint")]
    NoSavepoint,
}

impl Resubmission {
    /// One that begins now. Its ids follow from the job's and the time, so that they are the same whenever it is written down
    /// again, and no other's.
    pub fn new(job: JobId, at: Timestamp) -> Self {
        let id = |purpose: u64| mixed(job.bits(), at.as_millis().unsigned_abs(), purpose);
        Self {
            trigger: TriggerId::from_bits(id(1)),
            target: JobId::from_bits(id(2)),
            fallback: JobId::from_bits(id(3)),
            reached: vec![Reached { stage: Stage::Planned, at }],
            location: None,
            detail: None,
            old_size_tries: 0,
            unanswered: None,
            is_given_up: false,
            silent_since: None,
            manager: None,
            rerun: None,
            back_since: None,
        }
    }

    /// Goes on with one that has failed, once somebody has mended what was in the way: the job is run again from its savepoint, at
    /// its new size, or else at the old one. Under ids that no run has had, and not before a look whether it runs already.
    ///
    /// # Errors
    /// When it has not failed, or left no savepoint.
    pub fn resume(&mut self, job: JobId, now: Timestamp) -> Result<(), NotResumed> {
        match (self.stage(), &self.location) {
            (Stage::Failed, Some(_)) => {}
            (Stage::Failed, None) => return Err(NotResumed::NoSavepoint),
            (stage, _) => return Err(NotResumed::NotFailed(stage)),
        }
        if let Some(manager) = &mut self.manager {
            manager.earlier.extend([self.target, self.fallback]);
        }
        let Self { target, fallback, .. } = Self::new(job, now);
        (self.target, self.fallback) = (target, fallback);
        (self.detail, self.old_size_tries, self.rerun) = (None, 0, None);
        self.reach(Stage::Stopped, now);
        Ok(())
    }

    /// Takes it up from whoever has looked after it until now, and may have asked Flink to run the job just before, without having
    /// written down that there was no answer.
    pub fn take_up(&mut self, now: Timestamp) {
        if self.stage() == Stage::Submitted {
            self.unanswered = Some(now);
        }
    }

    /// How far it is.
    pub fn stage(&self) -> Stage {
        self.reached.last().map_or(Stage::Planned, |reached| reached.stage)
    }

    /// Since when.
    pub fn since(&self) -> Timestamp {
        self.reached.last().map_or(Timestamp::from_millis(0), |reached| reached.at)
    }

    /// Goes on to a state.
    pub fn reach(&mut self, stage: Stage, now: Timestamp) {
        self.reached.push(Reached { stage, at: now });
        (self.unanswered, self.is_given_up, self.silent_since) = (None, false, None);
    }

    /// Takes in what was seen in the present state; whether anything is to be written down before the next step.
    pub fn follow(&mut self, event: &Event, now: Timestamp) -> bool {
        let kept =
            |this: &Self| (this.old_size_tries, this.back_since, this.unanswered.is_some(), this.is_given_up);
        let before = kept(self);
        match event {
            Event::Silence(_) => drop(self.silent_since.get_or_insert(now)),
            _ => self.silent_since = None,
        }
        let stage = self.next(event, now);
        if let Some(stage) = stage {
            self.reach(stage, now);
        }
        stage.is_some() || kept(self) != before
    }

    /// Whether the job may yet be taken by a request that nobody waits for any more.
    fn may_come_late(&self, now: Timestamp) -> bool {
        self.unanswered.is_some_and(|at| now.since(at) <= COMES_LATE)
    }

    fn next(&mut self, event: &Event, now: Timestamp) -> Option<Stage> {
        let age = now.since(self.since());
        match (self.stage(), event) {
            (stage, Event::Silence(_)) if stage.is_over() => None,
            // Nothing was done yet.
            (Stage::Planned, Event::Silence(why)) => (age > STILL_WANTED).then(|| self.superseded(why)),
            // The job may run on: nothing is lost by waiting.
            (Stage::StopRequested, Event::Silence(_)) => None,
            (_, Event::Silence(why)) => {
                let silent = self.silent_since.map_or(Duration::ZERO, |since| now.since(since));
                (silent > LOST_AFTER).then(|| self.failed(why))
            }

            (Stage::Planned, Event::Run(Run::Present { state: JobState::Running, .. }))
                if age <= STILL_WANTED =>
            {
                Some(Stage::StopRequested)
            }
            (Stage::Planned, Event::Fit(manager)) if age <= STILL_WANTED => {
                self.manager = Some(manager.clone());
                Some(Stage::StopRequested)
            }
            (stage, Event::Changed(why)) if !stage.is_over() => Some(self.superseded(why)),
            (Stage::Planned, _) => Some(self.superseded("what it was planned for is no longer so")),

            (Stage::StopRequested, Event::Stop(stop, job)) => self.stopping(stop, *job, age),
            (Stage::SavepointDone, Event::Run(run)) => self.finishing(run, age),
            // Ours may yet come up beside it, and would have to go.
            (Stage::Submitted, Event::Rival(_)) if self.may_come_late(now) => {
                self.is_given_up = true;
                None
            }
            (Stage::Stopped | Stage::Submitted | Stage::RollingBack, Event::Rival(rival)) => {
                Some(self.superseded(&format!("job {rival} of the same name runs")))
            }
            (Stage::Stopped, _) => Some(Stage::Submitted),

            (Stage::Submitted, Event::Unanswered(why)) => {
                self.unanswered = Some(now);
                if age > RUNS_WITHIN {
                    (self.detail, self.is_given_up) = (Some(why.clone()), true);
                }
                None
            }
            (Stage::RollingBack, Event::Unanswered(why)) => {
                self.unanswered = Some(now);
                if age > LOST_AFTER {
                    self.add_detail(why);
                    self.is_given_up = true;
                }
                None
            }
            (Stage::Submitted, Event::Refused(why)) => {
                (self.detail, self.is_given_up) = (Some(why.clone()), true);
                (!self.may_come_late(now)).then_some(Stage::RollingBack)
            }
            (Stage::Submitted, Event::Run(Run::Absent)) if self.is_given_up => {
                (!self.may_come_late(now)).then_some(Stage::RollingBack)
            }
            // Not there yet: it is run, again if need be.
            (Stage::Submitted, Event::Run(Run::Absent)) => (age > RUNS_WITHIN).then(|| {
                self.detail = Some("Flink did not take the job at its new size".to_owned());
                Stage::RollingBack
            }),
            (Stage::Submitted, Event::Run(Run::Present { .. })) => Some(Stage::Confirming),
            (Stage::Confirming, Event::Run(run)) => self.confirming(run, age),
            (Stage::Cancelling, Event::Run(run)) => match run {
                Run::Absent => Some(Stage::RollingBack),
                Run::Present { state, .. } => state.is_terminal().then_some(Stage::RollingBack),
            },
            (Stage::RollingBack, Event::Refused(why)) => {
                self.old_size_tries += 1;
                (self.old_size_tries >= OLD_SIZE_TRIES).then(|| self.failed(why))
            }
            (Stage::RollingBack, Event::Run(run)) => self.rolling_back(run, age, now),
            (Stage::Submitted | Stage::RollingBack, Event::Late) => Some(Stage::Cancelling),

            // What a state is not about.
            (
                Stage::StopRequested,
                Event::Run(_)
                | Event::Fit(_)
                | Event::Changed(_)
                | Event::Rival(_)
                | Event::Unanswered(_)
                | Event::Refused(_)
                | Event::Late,
            )
            | (
                Stage::SavepointDone | Stage::Confirming | Stage::Cancelling,
                Event::Stop(..)
                | Event::Fit(_)
                | Event::Changed(_)
                | Event::Rival(_)
                | Event::Unanswered(_)
                | Event::Refused(_)
                | Event::Late,
            )
            | (Stage::Submitted | Stage::RollingBack, Event::Stop(..) | Event::Fit(_) | Event::Changed(_))
            | (Stage::Done | Stage::RolledBack | Stage::NotStopped | Stage::Superseded | Stage::Failed, _) => {
                None
            }
        }
    }

    fn stopping(&mut self, stop: &Stop, job: Option<JobState>, age: Duration) -> Option<Stage> {
        match (stop, job) {
            (Stop::UnderWay, Some(JobState::Canceled)) => {
                Some(self.superseded("the job has ended while it was to be stopped, and not by that"))
            }
            // Tasks that fail while they finish: how the stop has ended, and where its savepoint is, is told a moment after the job
            // has failed (140 ms on 1.20.5).
            (Stop::UnderWay, Some(JobState::Failed) | None) => (age > LOST_AFTER).then(|| {
                self.superseded("the job has ended while it was to be stopped, and nobody tells of the stop")
            }),
            (Stop::UnderWay, Some(_)) => None,
            // Whoever asked was away for so long that its end is not told of any more.
            (
                Stop::Saved(location) | Stop::Forgotten(Some(location)),
                Some(JobState::Finished | JobState::Failed),
            )
            | (Stop::Saved(location), _) => {
                self.location = Some(location.clone());
                Some(Stage::SavepointDone)
            }
            // Consistent, and the job has failed after it: if Flink starts it again, it runs on as before.
            (Stop::Failed(why, Some(location)), _) => {
                self.location = Some(location.clone());
                self.detail = Some(why.clone());
                Some(Stage::SavepointDone)
            }
            (Stop::Failed(why, None), Some(state)) if !state.is_terminal() => {
                self.detail = Some(format!("Flink did not stop the job with a savepoint: {why}"));
                Some(Stage::NotStopped)
            }
            // On 1.20.5 a stop that times out makes tasks fail that have had their part of it: without a restart left, that ends the job.
            (Stop::Failed(why, None), Some(JobState::Failed)) => {
                Some(self.failed(&format!("the job has failed with its stop: {why}")))
            }
            // It is asked for again, under the same id.
            (Stop::Forgotten(_), Some(state)) if !state.is_terminal() => (age > STOPS_WITHIN).then(|| {
                self.detail = Some("the JobManager does not know of the stop".to_owned());
                Stage::NotStopped
            }),
            (Stop::Forgotten(None), Some(JobState::Finished)) => {
                Some(self.failed("the job has finished, and where its savepoint is cannot be found out"))
            }
            (Stop::Failed(why, None), None) => Some(self.failed(why)),
            (Stop::Forgotten(_), None) => {
                Some(self.failed("the cluster knows neither the job nor the stop any more"))
            }
            (Stop::Failed(..) | Stop::Forgotten(_), Some(_)) => {
                Some(self.superseded("the job has ended while it was to be stopped, and not by that"))
            }
        }
    }

    fn finishing(&mut self, run: &Run, age: Duration) -> Option<Stage> {
        match run {
            // A cluster forgets what has ended; what has a complete savepoint and is not there does not run.
            Run::Absent | Run::Present { state: JobState::Finished | JobState::Failed, .. } => {
                Some(Stage::Stopped)
            }
            Run::Present { state: JobState::Canceled | JobState::Cancelling, .. } => {
                Some(self.superseded("somebody has cancelled the job"))
            }
            Run::Present { state: JobState::Running, all_up: true, .. } if age > FINISHES_WITHIN => {
                self.detail.get_or_insert_with(|| "the job has started again after its savepoint".to_owned());
                Some(Stage::NotStopped)
            }
            Run::Present { .. } => None,
        }
    }

    fn confirming(&mut self, run: &Run, age: Duration) -> Option<Stage> {
        let Run::Present { state, all_up, restored } = run else {
            // As when the JobManager has gone, and has taken the job with it.
            return (age > RUNS_WITHIN).then(|| {
                self.detail = Some("the cluster does not know the job any more".to_owned());
                Stage::RollingBack
            });
        };
        match state {
            JobState::Failed => {
                self.detail = Some("the job has failed at its new size".to_owned());
                Some(Stage::RollingBack)
            }
            JobState::Canceled | JobState::Cancelling | JobState::Suspended => {
                Some(self.superseded("somebody has cancelled the job"))
            }
            // A bounded job has come to its end.
            JobState::Finished => Some(Stage::Done),
            JobState::Running if *all_up && self.is_restored(restored.as_ref()) => Some(Stage::Done),
            JobState::Running if *all_up && age > RESTORED_WITHIN => {
                self.detail = Some("the job runs, but not from its savepoint".to_owned());
                Some(Stage::Cancelling)
            }
            _ => (age > RUNS_WITHIN).then(|| {
                self.detail =
                    Some(format!("the job was {state:?} at its new size for {} min", age.as_secs() / 60));
                Stage::Cancelling
            }),
        }
    }

    fn rolling_back(&mut self, run: &Run, age: Duration, now: Timestamp) -> Option<Stage> {
        let Run::Present { state, all_up, restored } = run else {
            let is_lost = age > LOST_AFTER && !self.may_come_late(now);
            return is_lost.then(|| self.failed("the job does not come up at its old size"));
        };
        // Whoever was away may have run it only now.
        let there = now.since(*self.back_since.get_or_insert(now));
        match state {
            JobState::Failed => Some(self.failed("the job has failed at its old size, too")),
            JobState::Canceled | JobState::Cancelling | JobState::Suspended => {
                Some(self.superseded("somebody has cancelled the job"))
            }
            JobState::Finished => Some(Stage::RolledBack),
            JobState::Running if *all_up && self.is_restored(restored.as_ref()) => Some(Stage::RolledBack),
            // It is Flink's to bring it up now: there is no size left to try.
            _ => (there > LOST_AFTER).then(|| self.failed("the job does not come up at its old size")),
        }
    }

    /// Restored from the savepoint, or from a checkpoint that came after it: a job that has restarted since says that one.
    fn is_restored(&self, restored: Option<&Restored>) -> bool {
        let path = |text: &str| text.trim_end_matches('/').to_owned();
        let is_ours = |from: &Restored| self.location.as_deref().map(path) == Some(path(&from.path));
        restored.is_some_and(|from| !from.is_savepoint || is_ours(from))
    }

    fn failed(&mut self, why: &str) -> Stage {
        self.add_detail(why);
        Stage::Failed
    }

    fn superseded(&mut self, why: &str) -> Stage {
        self.add_detail(why);
        Stage::Superseded
    }

    fn add_detail(&mut self, why: &str) {
        self.detail = Some(match self.detail.take() {
            Some(before) if before != why => format!("{before}; then: {why}"),
            Some(_) | None => why.to_owned(),
        });
    }
}

/// 128 bits that follow from these, and look like any other id (two rounds of `SplitMix64`'s mixer for each half).
fn mixed(job: u128, millis: u64, purpose: u64) -> u128 {
    let mix = |mut x: u64| {
        for _ in 0..2 {
            x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
            x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            x ^= x >> 31;
        }
        x
    };
    let half = |bits: u128| u64::try_from(bits).unwrap_or(u64::MAX);
    let (high, low) = (half(job >> 64), half(job & u128::from(u64::MAX)));
    let first = mix(high ^ mix(mix(millis) ^ purpose));
    u128::from(first) << 64 | u128::from(mix(low ^ first))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const JOB: JobId = JobId::from_bits(7);
    const OURS: &str = "file:/s/savepoint-1";

    fn present(state: JobState, all_up: bool, restored: Option<(&str, bool)>) -> Event {
        let restored = restored.map(|(path, is_savepoint)| Restored { path: path.to_owned(), is_savepoint });
        Event::Run(Run::Present { state, all_up, restored })
    }

    fn run(state: JobState) -> Event {
        present(state, state == JobState::Running, None)
    }

    fn stop(stop: Stop, state: Option<JobState>) -> Event {
        Event::Stop(stop, state)
    }

    /// One that is in a state.
    fn at(stage: Stage) -> Resubmission {
        let mut resubmission = Resubmission::new(JOB, START);
        resubmission.location = (stage != Stage::StopRequested).then(|| OURS.to_owned());
        resubmission.reach(stage, START);
        resubmission
    }

    /// A state, seconds in it, what is seen, and the state after it.
    type Row = (Stage, u64, Event, Stage);

    fn check(rows: Vec<Row>) {
        for (stage, seconds, event, expected) in rows {
            let mut resubmission = at(stage);
            let is_new = resubmission.follow(&event, START + Duration::from_secs(seconds));
            assert_eq!(resubmission.stage(), expected, "{stage:?} after {seconds} s: {event:?}");
            assert!(is_new || stage == expected, "{stage:?} {event:?}: to be kept");
        }
    }

    #[test]
    fn a_stop_that_fails_leaves_the_job_and_one_that_succeeds_tells_where_its_savepoint_is() {
        use JobState::{Canceled, Failed, Finished, Restarting, Running};
        use Stage::{NotStopped, Planned, SavepointDone, StopRequested, Superseded};
        let saved = || Stop::Saved(OURS.to_owned());
        let refused = || Stop::Failed("no directory".to_owned(), None);
        check(vec![
            (Planned, 1, run(Running), StopRequested),
            (Planned, 61, run(Running), Superseded),
            (Planned, 59, Event::Silence("away".to_owned()), Planned),
            (Planned, 61, Event::Silence("away".to_owned()), Superseded),
            (Planned, 1, run(Restarting), Superseded),
            (Planned, 1, Event::Changed("other sizes".to_owned()), Superseded),
            (StopRequested, 1, stop(Stop::UnderWay, Some(Running)), StopRequested),
            (StopRequested, 3600, stop(Stop::UnderWay, Some(Running)), StopRequested),
            (StopRequested, 3600, Event::Silence("away".to_owned()), StopRequested),
            (StopRequested, 1, stop(saved(), Some(Running)), SavepointDone),
            (StopRequested, 1, stop(saved(), Some(Finished)), SavepointDone),
            (StopRequested, 1, stop(saved(), None), SavepointDone),
            (StopRequested, 1, stop(refused(), Some(Running)), NotStopped),
            (StopRequested, 1, stop(refused(), Some(Restarting)), NotStopped),
            (StopRequested, 1, stop(refused(), Some(Canceled)), Superseded),
            (StopRequested, 1, stop(refused(), Some(Failed)), Stage::Failed),
            (StopRequested, 1, stop(refused(), None), Stage::Failed),
            (StopRequested, 1, stop(Stop::UnderWay, Some(Canceled)), Superseded),
            (StopRequested, 1, stop(Stop::UnderWay, Some(Failed)), StopRequested),
            (StopRequested, 1801, stop(Stop::UnderWay, Some(Failed)), Superseded),
            // A JobManager that has started again knows of no stop; it is asked for once more.
            (StopRequested, 10, stop(Stop::Forgotten(None), Some(Running)), StopRequested),
            (StopRequested, 301, stop(Stop::Forgotten(None), Some(Running)), NotStopped),
            (StopRequested, 10, stop(Stop::Forgotten(Some(OURS.to_owned())), Some(Finished)), SavepointDone),
            (StopRequested, 10, stop(Stop::Forgotten(Some(OURS.to_owned())), Some(Failed)), SavepointDone),
            (StopRequested, 10, stop(Stop::Forgotten(None), Some(Failed)), Superseded),
            (StopRequested, 10, stop(Stop::Forgotten(None), Some(Finished)), Stage::Failed),
            (StopRequested, 10, stop(Stop::Forgotten(None), None), Stage::Failed),
            (StopRequested, 10, stop(Stop::Forgotten(None), Some(Canceled)), Superseded),
        ]);
    }

    #[test]
    fn what_has_failed_goes_on_when_somebody_says_so_and_under_other_ids() {
        let later = START + Duration::from_hours(1);
        let mut failed = at(Stage::Failed);
        let before = failed.clone();
        failed.resume(JOB, later).expect("it has a savepoint");
        assert_eq!((failed.stage(), failed.since()), (Stage::Stopped, later));
        assert_eq!(failed.location, before.location);
        let ids = [failed.target, failed.fallback, before.target, before.fallback];
        assert!((1..4).all(|last| !ids[..last].contains(&ids[last])), "{ids:?}");

        let mut lost = at(Stage::Failed);
        lost.location = None;
        assert_eq!(lost.resume(JOB, later), Err(NotResumed::NoSavepoint));
        for stage in [Stage::Stopped, Stage::RollingBack, Stage::Done, Stage::Superseded] {
            assert_eq!(at(stage).resume(JOB, later), Err(NotResumed::NotFailed(stage)));
        }
    }

    #[test]
    fn a_second_copy_is_never_run_beside_the_first() {
        use JobState::{Canceled, Failed, Finished, Restarting, Running};
        use Stage::{NotStopped, SavepointDone, Stopped, Submitted, Superseded};
        check(vec![
            (SavepointDone, 1, run(Running), SavepointDone),
            (SavepointDone, 1, run(Finished), Stopped),
            (SavepointDone, 1, run(Failed), Stopped),
            (SavepointDone, 1, Event::Run(Run::Absent), Stopped),
            (SavepointDone, 600, run(Restarting), SavepointDone),
            (SavepointDone, 121, run(Running), NotStopped),
            (SavepointDone, 1, run(Canceled), Superseded),
            (Stopped, 1, Event::Rival(JobId::from_bits(9)), Superseded),
            (Stopped, 1, Event::Run(Run::Absent), Submitted),
            (Submitted, 300, Event::Rival(JobId::from_bits(9)), Superseded),
            (Stage::RollingBack, 300, Event::Rival(JobId::from_bits(9)), Superseded),
            // At both sizes, or beside another's: the one that came late goes.
            (Submitted, 300, Event::Late, Stage::Cancelling),
            (Stage::RollingBack, 300, Event::Late, Stage::Cancelling),
        ]);
    }

    #[test]
    fn what_does_not_come_up_at_the_new_size_comes_back_at_the_old_one() {
        use JobState::{Canceled, Created, Failed, Finished, Restarting, Running};
        use Stage::{Cancelling, Confirming, Done, RollingBack, Submitted, Superseded};
        let refused = || Event::Refused("no such jar".to_owned());
        check(vec![
            (Submitted, 1, run(Created), Confirming),
            (Submitted, 1, Event::Run(Run::Absent), Submitted),
            (Submitted, 601, Event::Run(Run::Absent), RollingBack),
            (Submitted, 1, refused(), RollingBack),
            (Confirming, 1, present(Running, true, Some((OURS, true))), Done),
            (Confirming, 1, present(Running, false, Some((OURS, true))), Confirming),
            (Confirming, 601, present(Running, false, Some((OURS, true))), Cancelling),
            // It has restarted since, from a checkpoint of its own.
            (Confirming, 1, present(Running, true, Some(("file:/c/chk-3", false))), Done),
            (Confirming, 1, present(Running, true, None), Confirming),
            (Confirming, 16, present(Running, true, None), Cancelling),
            (Confirming, 16, present(Running, true, Some(("file:/s/another", true))), Cancelling),
            (Confirming, 1, run(Failed), RollingBack),
            (Confirming, 1, run(Canceled), Superseded),
            (Confirming, 1, run(Finished), Done),
            (Confirming, 601, run(Restarting), Cancelling),
            (Confirming, 601, Event::Run(Run::Absent), RollingBack),
            (Cancelling, 1, run(Running), Cancelling),
            (Cancelling, 1, run(Canceled), RollingBack),
            (Cancelling, 1, Event::Run(Run::Absent), RollingBack),
        ]);
    }

    #[test]
    fn a_person_is_asked_when_nothing_else_is_left() {
        use JobState::{Canceled, Failed, Running};
        use Stage::{RolledBack, RollingBack, Superseded};
        check(vec![
            (RollingBack, 1, present(Running, true, Some((OURS, true))), RolledBack),
            (RollingBack, 1, Event::Run(Run::Absent), RollingBack),
            (RollingBack, 1, run(Failed), Stage::Failed),
            (RollingBack, 1, run(Canceled), Superseded),
            (RollingBack, 1801, run(Running), RollingBack),
            (RollingBack, 1801, Event::Run(Run::Absent), Stage::Failed),
        ]);
        // It has its time from when it is there, which may be late where whoever runs it was away.
        let mut late = at(RollingBack);
        let seen = [2000, 3799, 3801].map(|seconds| {
            late.follow(&run(Running), START + Duration::from_secs(seconds));
            late.stage()
        });
        assert_eq!(seen, [RollingBack, RollingBack, Stage::Failed]);
        // Nor is it given up while a request that nobody waits for any more may yet be worked on.
        let mut late = at(RollingBack);
        let unanswered = Event::Unanswered("no answer".to_owned());
        let seen = [(1801, &unanswered), (1861, &Event::Run(Run::Absent)), (1862, &Event::Run(Run::Absent))];
        let seen = seen.map(|(seconds, event)| {
            late.follow(event, START + Duration::from_secs(seconds));
            late.stage()
        });
        assert_eq!(seen, [RollingBack, RollingBack, Stage::Failed]);
        // Who was away itself has not heard for as long as it was away.
        for stage in [RollingBack, Stage::Stopped, Stage::Submitted, Stage::Confirming] {
            let mut resubmission = at(stage);
            let seen: Vec<_> = [3000, 3001, 4799, 4801]
                .map(|seconds| {
                    let silence = Event::Silence("connection refused".to_owned());
                    resubmission.follow(&silence, START + Duration::from_secs(seconds));
                    resubmission.stage()
                })
                .into();
            assert_eq!(seen, [stage, stage, stage, Stage::Failed]);
        }
        let mut resubmission = at(RollingBack);
        for tries in 1..=3 {
            assert!(resubmission.follow(&Event::Refused("no such jar".to_owned()), START), "to be kept");
            assert_eq!(resubmission.stage() == Stage::Failed, tries == 3, "{tries} tries");
        }
    }

    /// Flink may be at work on a request that nobody waits for any more when it refuses the next one of the same.
    #[test]
    fn a_refusal_says_nothing_while_the_job_may_yet_be_taken() {
        let unanswered = || Event::Unanswered("no answer".to_owned());
        let refused = || Event::Refused("already submitted".to_owned());
        let absent = || Event::Run(Run::Absent);
        let mut resubmission = at(Stage::Submitted);
        for (seconds, event, is_kept, stage) in [
            (1, unanswered(), true, Stage::Submitted),
            (2, refused(), true, Stage::Submitted),
            (60, absent(), false, Stage::Submitted),
            (62, absent(), true, Stage::RollingBack),
        ] {
            let kept = resubmission.follow(&event, START + Duration::from_secs(seconds));
            assert_eq!((kept, resubmission.stage()), (is_kept, stage), "after {seconds} s: {event:?}");
        }
        let mut resubmission = at(Stage::Submitted);
        resubmission.follow(&unanswered(), START);
        resubmission.follow(&refused(), START + Duration::from_secs(5));
        resubmission.follow(&run(JobState::Created), START + Duration::from_secs(9));
        assert_eq!(resubmission.stage(), Stage::Confirming);
    }

    /// Who asked may have been cut off before it wrote down that nobody answered.
    #[test]
    fn after_a_crash_too_a_refusal_says_nothing_for_a_while() {
        for (stage, at_once) in
            [(Stage::Submitted, Stage::Submitted), (Stage::RollingBack, Stage::RollingBack)]
        {
            let mut resubmission = at(stage);
            resubmission.take_up(START + Duration::from_secs(100));
            assert_eq!(resubmission.unanswered.is_some(), stage == Stage::Submitted);
            for (seconds, expected) in [(101, at_once), (161, Stage::RollingBack)] {
                let refused = Event::Refused("not like this".to_owned());
                resubmission.follow(&refused, START + Duration::from_secs(seconds));
                assert_eq!(resubmission.stage(), expected, "{stage:?} after {seconds} s");
            }
        }
    }

    #[test]
    fn what_is_over_stays_as_it_is() {
        use Stage::{Done, Failed, NotStopped, RolledBack, Superseded};
        let seen = [
            run(JobState::Running),
            run(JobState::Failed),
            Event::Run(Run::Absent),
            Event::Rival(JOB),
            Event::Refused(String::new()),
            Event::Unanswered(String::new()),
            Event::Late,
            Event::Changed(String::new()),
            Event::Silence(String::new()),
            stop(Stop::UnderWay, None),
        ];
        for stage in [Done, RolledBack, NotStopped, Superseded, Failed] {
            let mut resubmission = at(stage);
            let before = resubmission.clone();
            for event in &seen {
                assert!(!resubmission.follow(event, START + Duration::from_hours(9)), "{stage:?} {event:?}");
            }
            assert_eq!(resubmission, before);
        }
    }

    #[test]
    fn ids_follow_from_the_job_and_the_time_and_are_no_others() {
        let of =
            |job: u128, millis: i64| Resubmission::new(JobId::from_bits(job), Timestamp::from_millis(millis));
        assert_eq!(of(7, 5), of(7, 5));
        let mut ids: Vec<u128> = [(7, 5), (7, 6), (8, 5), (7 << 64, 5)]
            .into_iter()
            .map(|(job, millis)| of(job, millis))
            .flat_map(|r| [r.trigger.bits(), r.target.bits(), r.fallback.bits()])
            .collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 12);
    }
}
