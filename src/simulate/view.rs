//! What can be seen of the job: as old, and as partial, as Flink's own answers.

use std::sync::Arc;

use super::scenario::{Fault, FaultKind, SchedulerKind};
use super::scheduler::{Phase, StateTimes};
use super::simulation::{Simulation, is_on, millis};
use super::store::Known;
use crate::model::{
    Around, Cluster, JobState, Missed, MissedWhy, Observation, Parallelism, Reading, Scheduler, Seconds,
    Slots, Snapshot, Timestamp,
};

/// An observer gives up on an answer after so long: the default time limit of a request.
const PATIENCE_MS: u64 = 10_000;

/// The part of `/jobs/:id` that Flink keeps for a few seconds; counters are not part of it.
#[derive(Clone, Debug)]
pub(super) struct Cached {
    at: u64,
    pub(super) state: JobState,
    pub(super) phase: Phase,
    pub(super) times: StateTimes,
    pub(super) parallelism: Vec<Parallelism>,
    /// The start that its vertices are of, or will be of.
    pub(super) attempt: u32,
    /// When its vertices began to run.
    pub(super) started: Option<u64>,
}

impl Cached {
    /// When its vertices began to be deployed.
    pub(super) fn deployed(&self) -> Option<u64> {
        self.times.running
    }

    /// When its vertices were stopped.
    pub(super) fn stopped(&self) -> Option<u64> {
        self.times.ended.or(self.times.restarting)
    }
}

/// What is so, whatever Flink says of it; for tables and scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// The virtual clock.
    pub at: Timestamp,
    /// The job's state.
    pub state: JobState,
    /// Whether all of its subtasks run.
    pub running: bool,
    /// Subtasks of each vertex, in the graph's order.
    pub parallelism: Vec<u32>,
    /// Records/s that each vertex took in just now, in the graph's order.
    pub throughput: Vec<f64>,
    /// What there is outside for each source, in the graph's order.
    pub sources: Vec<SourceTruth>,
    /// Registered TaskManagers.
    pub taskmanagers: u32,
    /// Replicas of the workload, where the scenario has one.
    pub replicas: Option<u32>,
    /// Slots that the job holds.
    pub slots_held: u32,
    /// How often the job was restarted, for whatever reason.
    pub restarts: u32,
    /// Slots held, summed over the time since the start.
    pub slot_seconds: Seconds,
    /// Time since the start for which a record waited outside for longer than the scenario's `slo.lag`.
    pub late: Seconds,
}

impl Truth {
    /// Records/s that come to exist for all sources.
    pub fn load(&self) -> f64 {
        self.sources.iter().map(|source| source.load).sum()
    }

    /// Records that wait outside for all sources.
    pub fn backlog(&self) -> f64 {
        self.sources.iter().map(|source| source.backlog).sum()
    }

    /// For how long the oldest record of any source has waited outside.
    pub fn lag(&self) -> Seconds {
        self.sources.iter().map(|source| source.lag).fold(Seconds::ZERO, |a, b| if b > a { b } else { a })
    }
}

/// What there is outside for one source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SourceTruth {
    /// Index of the source in the graph.
    pub vertex: usize,
    /// Records/s that come to exist, without the load's noise.
    pub load: f64,
    /// Records that ever came to exist.
    pub arrived: f64,
    /// Records that wait to be read.
    pub backlog: f64,
    /// For how long the oldest of them has waited; precise to about a second.
    pub lag: Seconds,
}

impl Simulation {
    /// Makes a cheap request that does nothing but bring the metric store up to date where it is due: an observation a
    /// moment later is told what is so now.
    pub fn prime(&mut self) {
        if !self.is_unreachable() {
            self.touch_store();
        }
    }

    /// Polls the job, as an observer outside would.
    pub fn observe(&mut self) -> Observation {
        let at = self.now();
        let missed = |why, detail: &str| Observation::Missed(Missed { at, why, detail: detail.to_owned() });
        if self.is_unreachable() {
            return missed(MissedWhy::Unreachable, "GET /jobs: connection refused");
        }
        let delay = self.delay_ms();
        if delay > PATIENCE_MS {
            return missed(MissedWhy::TimedOut, "GET /jobs: no answer within 10 s");
        }
        let snapshot = self.snapshot(delay);
        self.touch_store();
        Observation::Seen(snapshot)
    }

    /// The cluster's slots now.
    pub fn slots(&self) -> Slots {
        Slots {
            at: self.now(),
            total: self.total_slots(),
            available: self.available_slots(),
            taskmanagers: self.taskmanagers,
            jobs_running: u32::from(self.scheduler.state() == JobState::Running),
        }
    }

    /// What is so, whatever Flink says of it.
    pub fn truth(&self) -> Truth {
        let sources = self.flow.outside.iter().zip(&self.arrivals).map(|(source, arrivals)| SourceTruth {
            vertex: source.vertex,
            load: source.load(self.now),
            arrived: source.arrived,
            backlog: source.pending(),
            lag: seconds(if source.pending() >= 1.0 { arrivals.age(self.done, source.taken) } else { 0.0 }),
        });
        Truth {
            at: self.now(),
            state: self.scheduler.state(),
            running: self.scheduler.phase == Phase::Running,
            parallelism: self.scheduler.parallelism.clone(),
            throughput: self.flow.stations.iter().map(|station| station.rate).collect(),
            sources: sources.collect(),
            taskmanagers: self.taskmanagers,
            replicas: self.pods.as_ref().map(super::workload::Pods::replicas),
            slots_held: self.scheduler.held(self.total_slots()),
            restarts: self.restarts,
            slot_seconds: seconds(self.slot_ms),
            late: seconds(self.late_ms as f64),
        }
    }

    fn snapshot(&mut self, delay: u64) -> Snapshot {
        let cached = self.take_cached();
        let snapshot = Snapshot {
            at: self.now(),
            job: self.job,
            name: self.scenario.name.clone(),
            state: cached.state,
            running_since: cached.times.running.map(|at| self.flink_moment(at)),
            restarting_since: Some(
                self.flink_moment(cached.times.restarting.unwrap_or(cached.times.created)),
            ),
            flink_now: self.flink_moment(self.now.saturating_sub(delay)),
            cluster: self.cluster(),
            slots: Some(self.slots()),
            graph: Arc::clone(&self.graph),
            vertices: (0..self.graph.len()).map(|v| self.reading(&cached, v)).collect(),
            around: self.around(),
        };
        self.cached = Some(cached);
        snapshot
    }

    fn around(&self) -> Around {
        let mut around = self.around.clone();
        if let Some(pods) = &self.pods {
            around.workload = Some(pods.view(self.with_taskmanagers, self.now, self.now()));
        }
        around
    }

    fn reading(&self, cached: &Cached, v: usize) -> Reading {
        let parallelism = cached.parallelism[v];
        let running = if cached.phase == Phase::Running { parallelism.get() } else { 0 };
        let known = self.known(cached, v);
        let counters = known.attempt.map(|_| known.counters);
        Reading {
            parallelism,
            running,
            read_records: counters.map(|c| c.read),
            write_records: counters.map(|c| c.written),
            busy_ms: counters.and_then(|c| c.busy_ms),
            idle_ms: counters.map(|c| c.idle_ms),
            back_pressured_ms: counters.map(|c| c.back_pressured_ms),
            pending_records: known.pending,
            // Asked for where nothing tells how many wait.
            event_time_lag_ms: known.lag.filter(|_| known.pending.is_none()),
        }
    }

    /// What a request now is told of a vertex: its counters of the start that the cached graph shows, if they are known.
    pub(super) fn known(&self, cached: &Cached, v: usize) -> Known {
        let known = match cached.phase {
            Phase::Running => self.store.answer(self.now)[v],
            Phase::Stopping { .. } | Phase::Ended(_) => match &self.last_words {
                Some(words) => Known { pending: None, lag: None, ..words[v] },
                None => Known::default(),
            },
            Phase::Waiting { .. } | Phase::Deploying { .. } | Phase::Orphaned => Known::default(),
        };
        if known.attempt == Some(cached.attempt) { known } else { Known::default() }
    }

    /// The graph as a request now is told of it, out of the cache where it is fresh enough; to be put back after use.
    pub(super) fn take_cached(&mut self) -> Cached {
        let refresh = millis(self.scenario.metrics.refresh_interval);
        let fresh = self.cached.take().filter(|cached| self.now < cached.at.saturating_add(refresh));
        fresh.unwrap_or_else(|| self.fresh_look())
    }

    /// The graph as it is now.
    pub(super) fn fresh_look(&self) -> Cached {
        let phase = self.scheduler.phase;
        let coming = matches!(phase, Phase::Waiting { .. } | Phase::Deploying { .. } | Phase::Orphaned);
        Cached {
            at: self.now,
            state: self.scheduler.state(),
            phase,
            times: self.scheduler.times,
            parallelism: self.scheduler.parallelism.iter().map(|&p| Parallelism::clamped(p.into())).collect(),
            attempt: self.attempt + u32::from(coming),
            started: self.started,
        }
    }

    /// What the cluster is.
    pub fn cluster(&self) -> Cluster {
        let scheduler = match self.scenario.scheduler {
            // Only from 1.18 on does it tell.
            SchedulerKind::Adaptive if self.takes_requirements() => Scheduler::Adaptive,
            SchedulerKind::Adaptive => Scheduler::Unknown,
            SchedulerKind::Default => Scheduler::Default,
            SchedulerKind::Reactive => Scheduler::Reactive,
        };
        Cluster { version: self.scenario.flink_version, scheduler, takes_no_jars: false }
    }

    /// How long an answer takes now.
    pub fn delay_ms(&self) -> u64 {
        let now = self.now;
        let on = |fault: &Fault| match fault.what {
            FaultKind::SlowAnswers { lasts, delay } if is_on(fault.at, lasts, now) => Some(millis(delay)),
            _ => None,
        };
        self.scenario.faults.iter().filter_map(on).max().unwrap_or(0)
    }

    /// A moment of the virtual clock as the JobManager's clock shows it.
    pub(super) fn flink_moment(&self, at: u64) -> Timestamp {
        let now = self.now;
        let skew = |moment: Timestamp, fault: &Fault| match fault.what {
            FaultKind::ClockAhead { by } if millis(fault.at) <= now => moment + by.get(),
            FaultKind::ClockBehind { by } if millis(fault.at) <= now => moment - by.get(),
            _ => moment,
        };
        self.scenario.faults.iter().fold(self.moment(at), skew)
    }
}

/// A time of the model, which is finite and not negative.
fn seconds(millis: f64) -> Seconds {
    Seconds::new(millis / 1000.0).unwrap_or(Seconds::ZERO)
}
