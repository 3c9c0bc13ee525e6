//! Flink's schedulers: requirements, slots, and when a job is restarted, at another size or not.
//!
//! Comes in: requirements, the slots that are there, completed checkpoints. Goes out: when the job stops and starts, and at
//! which sizes. What each version does was measured on real servers; the waiting times are Flink's defaults.

use super::checkpoints::Checkpoints;
use super::session::RunFault;
use super::slots::{Bounds, Groups};
use super::station::whole;
use crate::model::{FlinkVersion, Graph, JobState, Vertex};

/// `scaling-interval.min` of 1.19 and 1.20, `executing.cooldown-after-rescaling` of 2.x: 30 s.
const COOLDOWN_MS: u64 = 30_000;
/// `executing.resource-stabilization-timeout` of 2.x: 60 s.
const EXECUTING_STABILIZATION_MS: u64 = 60_000;
/// `(submission.)resource-stabilization-timeout`: 10 s.
const STABILIZATION_MS: u64 = 10_000;
/// `(submission.)resource-wait-timeout`: 5 min.
const RESOURCE_WAIT_MS: u64 = 300_000;
/// `rescale-trigger.max-delay` of 2.x in checkpoint intervals, from `max-checkpoint-failures` (2).
const CHECKPOINTS_AWAITED: u64 = 3;

/// What a line of versions does when requirements or slots have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Before 1.18: there are no requirements.
    NoRequirements,
    /// 1.18: restarts at once.
    AtOnce,
    /// 1.19 and 1.20: restarts at once, but not within 30 s of the last start.
    AfterInterval,
    /// From 2.0: waits for 30 s after the last start, and then for a checkpoint or, when slots are missing, 60 s.
    AfterCheckpoint,
}

impl From<FlinkVersion> for Family {
    fn from(version: FlinkVersion) -> Self {
        match (version.major, version.minor) {
            (0, _) | (1, ..=17) => Self::NoRequirements,
            (1, 18) => Self::AtOnce,
            (1, _) => Self::AfterInterval,
            _ => Self::AfterCheckpoint,
        }
    }
}

/// What the job is doing; times are milliseconds since the start of the scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its subtasks are being stopped.
    Stopping { until: u64, hurry: bool },
    /// It waits for slots; with `hurry` it takes what is there at once.
    Waiting { since: u64, hurry: bool },
    /// Its subtasks are being deployed and load their state.
    Deploying { until: u64 },
    /// All of its subtasks run.
    Running,
    /// Nobody runs it: the JobManager is gone.
    Orphaned,
    /// It has ended for good.
    Ended(JobState),
}

/// When the job last entered each state, in milliseconds since the start of the scenario.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StateTimes {
    pub(super) submitted: u64,
    pub(super) created: u64,
    pub(super) running: Option<u64>,
    pub(super) restarting: Option<u64>,
    pub(super) ended: Option<u64>,
}

/// What has just happened to the job's subtasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// They do not run any more.
    Stopped,
    /// They run.
    Started,
}

/// How long it takes to stop and start.
#[derive(Clone, Copy, Debug)]
pub(super) struct RestartTimes {
    pub(super) time_ms: f64,
    /// Milliseconds for which one slot loads state.
    pub(super) state_slot_ms: f64,
}

/// The scheduler of one submission of a job.
#[derive(Clone, Debug)]
pub(super) struct Scheduler {
    family: Family,
    groups: Groups,
    restart: RestartTimes,
    pub(super) bounds: Vec<Bounds>,
    /// Whether it takes all slots there are: it waits for none, and for as long as there are none.
    takes_all: bool,
    /// What keeps the job from running as it is to.
    ill: Option<RunFault>,
    /// The sizes that it runs at, or is to run at.
    pub(super) parallelism: Vec<u32>,
    pub(super) phase: Phase,
    pub(super) times: StateTimes,
    /// Flink's `numRestarts`.
    pub(super) restarts: u32,
    /// Flink's `numRescales`.
    pub(super) rescales: u32,
    /// Since when requirements or slots differ from what it runs at.
    changed: Option<u64>,
}

impl Scheduler {
    /// A job that is submitted at `now` with these sizes.
    pub(super) fn new(
        family: Family,
        groups: Groups,
        restart: RestartTimes,
        parallelism: Vec<u32>,
        now: u64,
    ) -> Self {
        Self {
            family,
            groups,
            restart,
            bounds: parallelism.iter().map(|&upper| Bounds { lower: 1, upper }).collect(),
            takes_all: false,
            ill: None,
            parallelism,
            phase: Phase::Waiting { since: now, hurry: false },
            times: StateTimes { submitted: now, created: now, ..StateTimes::default() },
            restarts: 0,
            rescales: 0,
            changed: None,
        }
    }

    /// The same in reactive mode.
    pub(super) fn taking_all(mut self, graph: &Graph) -> Self {
        let all = |vertex: &Vertex| Bounds { lower: 1, upper: vertex.max_parallelism.get() };
        self.bounds = graph.vertices().iter().map(all).collect();
        self.takes_all = true;
        self
    }

    /// The same under the default scheduler, which waits for all of its slots.
    pub(super) fn keeping_its_size(mut self) -> Self {
        self.bounds.iter_mut().for_each(|bounds| bounds.lower = bounds.upper);
        self
    }

    /// The same of a job that is not to run as it should.
    pub(super) fn ailing(mut self, how: Option<RunFault>) -> Self {
        self.ill = how;
        self
    }

    /// Lets a job that has all of its slots run at once: a scenario begins with a job that runs.
    pub(super) fn skip_deployment(&mut self, now: u64, slots: u32) -> Option<Turn> {
        let sizes = self.groups.share_out(&self.bounds, slots)?;
        (self.takes_all || self.is_desired(&sizes)).then(|| {
            self.parallelism = sizes;
            self.phase = Phase::Running;
            self.times.running = Some(now);
            Turn::Started
        })
    }

    /// The job's state in Flink's words.
    pub(super) fn state(&self) -> JobState {
        match self.phase {
            Phase::Stopping { .. } => JobState::Restarting,
            Phase::Waiting { .. } => JobState::Created,
            Phase::Deploying { .. } | Phase::Running => JobState::Running,
            Phase::Orphaned => JobState::Initializing,
            Phase::Ended(state) => state,
        }
    }

    /// Slots that it holds of these.
    pub(super) fn held(&self, slots: u32) -> u32 {
        match self.phase {
            Phase::Orphaned | Phase::Ended(_) => 0,
            _ => self.groups.held(&self.parallelism).min(slots),
        }
    }

    /// Takes new requirements, which are known to be possible.
    pub(super) fn require(&mut self, bounds: Vec<Bounds>, now: u64) {
        if bounds != self.bounds {
            self.bounds = bounds;
            self.changed.get_or_insert(now);
        }
    }

    /// There are more slots than before.
    pub(super) fn slots_added(&mut self, now: u64) {
        self.changed.get_or_insert(now);
    }

    /// Subtasks have died: the job starts again.
    pub(super) fn fail(&mut self, now: u64) -> Option<Turn> {
        match self.phase {
            Phase::Running | Phase::Deploying { .. } => Some(self.stop(now, false)),
            _ => None,
        }
    }

    /// The JobManager is gone.
    pub(super) fn orphan(&mut self) -> Option<Turn> {
        match self.phase {
            Phase::Ended(_) | Phase::Orphaned => None,
            _ => {
                self.phase = Phase::Orphaned;
                Some(Turn::Stopped)
            }
        }
    }

    /// The JobManager is back: what it knew of earlier restarts is gone, what was required of it is not.
    pub(super) fn adopt(&mut self, now: u64) {
        if self.phase == Phase::Orphaned {
            self.phase = Phase::Waiting { since: now, hurry: false };
            self.times = StateTimes { submitted: now, created: now, ..StateTimes::default() };
            (self.restarts, self.rescales) = (0, 0);
        }
    }

    /// The job ends for good.
    pub(super) fn end(&mut self, state: JobState, now: u64) -> Option<Turn> {
        if let Phase::Ended(_) = self.phase {
            return None;
        }
        self.phase = Phase::Ended(state);
        self.times.ended = Some(now);
        Some(Turn::Stopped)
    }

    /// Does what is due at `now`.
    pub(super) fn advance(&mut self, now: u64, slots: u32, checkpoints: &Checkpoints) -> Option<Turn> {
        let slots = match self.ill {
            Some(RunFault::NoSlots) => 0,
            Some(RunFault::FewerSlots) => {
                let most: Vec<u32> = self.bounds.iter().map(|bounds| bounds.upper).collect();
                slots.min(self.groups.held(&most) / 2)
            }
            _ => slots,
        };
        match self.phase {
            Phase::Running => self.rescale_is_due(now, slots, checkpoints).then(|| {
                self.rescales += 1;
                // From 2.0 on it has made up its mind about the slots before it stops the job; before, it does so after.
                self.stop(now, self.family == Family::AfterCheckpoint)
            }),
            Phase::Stopping { until, hurry } if now >= until => {
                // It goes on from when it was due, not from the step that notices: delays must not add up.
                self.phase = Phase::Waiting { since: until, hurry };
                self.times.created = until;
                // The new graph remembers only when the job was submitted; so Flink itself forgets these.
                (self.times.running, self.times.restarting) = (None, None);
                self.wait(until, until, hurry, slots);
                None
            }
            Phase::Waiting { since, hurry } => {
                self.wait(now, since, hurry, slots);
                None
            }
            Phase::Deploying { until } if now >= until => match self.ill {
                Some(RunFault::Fails) => self.end(JobState::Failed, now),
                Some(RunFault::NeverUp) => Some(self.stop(now, false)),
                _ => {
                    self.phase = Phase::Running;
                    Some(Turn::Started)
                }
            },
            _ => None,
        }
    }

    fn rescale_is_due(&mut self, now: u64, slots: u32, checkpoints: &Checkpoints) -> bool {
        let Some(changed) = self.changed else { return false };
        let cooled = self.times.running.unwrap_or(0).saturating_add(COOLDOWN_MS);
        if now < cooled && matches!(self.family, Family::AfterInterval | Family::AfterCheckpoint) {
            return false;
        }
        match self.groups.share_out(&self.bounds, slots) {
            Some(sizes) if sizes != self.parallelism => match self.family {
                Family::AfterCheckpoint => {
                    Self::is_stable(now, changed.max(cooled), self.is_desired(&sizes), checkpoints)
                }
                _ => true,
            },
            // Nothing would change, or the slots do not reach: it waits for more of them.
            _ => {
                self.changed = None;
                false
            }
        }
    }

    /// From 2.0 on: whether it has waited long enough since it began to look at a change.
    fn is_stable(now: u64, since: u64, desired: bool, checkpoints: &Checkpoints) -> bool {
        if !desired {
            return now >= since.saturating_add(EXECUTING_STABILIZATION_MS);
        }
        let Some(interval) = checkpoints.interval() else { return true };
        let completed = checkpoints.last_completed.and_then(|last| last.ended);
        completed.is_some_and(|at| at > since)
            || now >= since.saturating_add(interval.saturating_mul(CHECKPOINTS_AWAITED))
    }

    fn is_desired(&self, sizes: &[u32]) -> bool {
        sizes.iter().zip(&self.bounds).all(|(&size, bounds)| size == bounds.upper)
    }

    fn stop(&mut self, now: u64, hurry: bool) -> Turn {
        self.restarts += 1;
        self.times.restarting = Some(now);
        // A quarter of the time goes into stopping; the split shows only in how long each state is seen.
        self.phase = Phase::Stopping { until: now + whole(self.restart.time_ms / 4.0), hurry };
        Turn::Stopped
    }

    fn wait(&mut self, now: u64, since: u64, hurry: bool, slots: u32) {
        match self.groups.share_out(&self.bounds, slots) {
            Some(sizes)
                if hurry || self.takes_all || self.is_desired(&sizes) || now >= since + STABILIZATION_MS =>
            {
                self.deploy(now, sizes);
            }
            None if !self.takes_all && now >= since + RESOURCE_WAIT_MS => {
                self.phase = Phase::Ended(JobState::Failed);
                self.times.ended = Some(now);
            }
            // Flink shows the sizes that are wished for.
            _ => self.parallelism = self.bounds.iter().map(|bounds| bounds.upper).collect(),
        }
    }

    fn deploy(&mut self, now: u64, sizes: Vec<u32>) {
        let held = f64::from(self.groups.held(&sizes).max(1));
        self.parallelism = sizes;
        self.changed = None;
        self.times.running = Some(now);
        let loading = self.restart.state_slot_ms / held;
        self.phase = Phase::Deploying { until: now + whole(self.restart.time_ms * 0.75 + loading) };
    }
}
