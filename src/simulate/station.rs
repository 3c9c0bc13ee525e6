//! One vertex as a queueing station: what it can do at a size, and what its counters say.

use super::flow::STEP_MS;
use super::scenario::{ColdStart, VertexScenario, Waiting, Window};
use crate::model::FlinkVersion;

/// Records per step that stand for "as many as there are": infinities would turn to NaN when multiplied by zero.
pub(super) const UNLIMITED: f64 = 1e15;

/// What one vertex can do, and what it has done since it last started.
#[derive(Clone, Debug)]
pub(super) struct Station {
    /// Busy seconds per record of a lone subtask.
    alone: f64,
    contention: f64,
    coherency: f64,
    skew: f64,
    /// Key groups, where an edge by key leads here.
    key_groups: Option<f64>,
    cold_start: Option<ColdStart>,
    max_rate: f64,
    waiting: Option<Waiting>,
    /// Whether its task counts what it takes in.
    counts_input: bool,
    pub(super) reports_pending: bool,
    pub(super) window: Option<WindowState>,

    /// Subtasks.
    pub(super) parallelism: u32,
    /// Busy seconds per record at this size.
    service: f64,
    /// Load of the busiest subtask over the mean at this size.
    pub(super) uneven: f64,

    /// Records taken in since the start.
    pub(super) read: f64,
    /// Records put out since the start, over all edges.
    pub(super) written: f64,
    idle: f64,
    back_pressured: f64,
    /// Records taken in per second, over the last step.
    pub(super) rate: f64,
    /// The most records that it could work off in this step.
    capacity: f64,
    /// The most records that its outputs can take in this step, before selectivity.
    pub(super) outlet: f64,
}

/// What a window has collected and not yet sent.
#[derive(Clone, Debug)]
pub(super) struct WindowState {
    every_ms: u64,
    keys: f64,
    /// Records taken in since the last emission.
    pub(super) collected: f64,
    /// Records emitted that no buffer has had room for yet.
    pub(super) outbox: f64,
}

/// How one step went for a station, as far as its clock is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// It took all there was.
    Input,
    /// It could do no more.
    Capacity,
    /// Its outputs took no more.
    Output,
}

/// What Flink's counters of one vertex say, in whole records and milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) read: u64,
    pub(super) written: u64,
    pub(super) busy_ms: Option<u64>,
    pub(super) idle_ms: u64,
    pub(super) back_pressured_ms: u64,
}

impl Station {
    pub(super) fn new(vertex: &VertexScenario, keyed: bool, version: FlinkVersion) -> Self {
        let source = vertex.source.as_ref();
        let window = vertex.window.map(|Window { every, keys }| WindowState {
            every_ms: u64::try_from(every.get().as_millis()).unwrap_or(u64::MAX),
            keys,
            collected: 0.0,
            outbox: 0.0,
        });
        let mut station = Self {
            alone: vertex.service_ms / 1000.0,
            contention: vertex.contention,
            coherency: vertex.coherency,
            skew: vertex.skew,
            key_groups: keyed.then_some(f64::from(vertex.max_parallelism)),
            cold_start: vertex.cold_start,
            max_rate: source.and_then(|s| s.max_rate_per_subtask).unwrap_or(f64::INFINITY),
            waiting: source.map(|s| s.waiting),
            // The tasks of sources count what they read from 2.0 on.
            counts_input: source.is_none() || version.major >= 2,
            reports_pending: source.is_some_and(|s| s.reports_pending),
            window,
            parallelism: 0,
            service: 0.0,
            uneven: 1.0,
            read: 0.0,
            written: 0.0,
            idle: 0.0,
            back_pressured: 0.0,
            rate: 0.0,
            capacity: 0.0,
            outlet: 0.0,
        };
        station.start(vertex.parallelism);
        station
    }

    /// Starts anew with so many subtasks: every counter is zero again.
    pub(super) fn start(&mut self, parallelism: u32) {
        let p = f64::from(parallelism);
        self.parallelism = parallelism;
        // The Universal Scalability Law, multiplied out to busy time per record.
        self.service = self.alone * (1.0 + self.contention * (p - 1.0) + self.coherency * p * (p - 1.0));
        let skew = if parallelism > 1 { self.skew } else { 1.0 };
        // The busiest subtask has the most key groups, and the busiest of those. It cannot have more than everything.
        let groups = self.key_groups.map_or(1.0, |groups| (groups / p).ceil() * p / groups);
        self.uneven = (skew * groups).min(p);
        (self.read, self.written, self.idle, self.back_pressured, self.rate) = (0.0, 0.0, 0.0, 0.0, 0.0);
    }

    /// Busy seconds per record, so long after the start.
    fn service(&self, since_start: f64) -> f64 {
        match self.cold_start {
            Some(ColdStart { factor, lasts }) if since_start < lasts.as_secs() => {
                self.service * (factor - (factor - 1.0) * since_start / lasts.as_secs())
            }
            _ => self.service,
        }
    }

    /// Works out the most records that it could work off within `dt` seconds, so long after the start.
    pub(super) fn prepare(&mut self, dt: f64, since_start: f64) {
        let p = f64::from(self.parallelism);
        // Without a service time the division gives infinity, which `UNLIMITED` then replaces.
        let by_work = p * dt / (self.service(since_start) * self.uneven);
        self.capacity = by_work.min(p * self.max_rate * dt).min(UNLIMITED);
    }

    /// The most records that it may take in in this step.
    pub(super) fn room(&self) -> f64 {
        match &self.window {
            // It has one thread: while it cannot send, it does not read.
            Some(window) if window.outbox > self.outlet => 0.0,
            Some(_) => self.capacity,
            None => self.capacity.min(self.outlet),
        }
    }

    /// What kept it from taking in more than `taken` of the records that were there.
    pub(super) fn limit(&self, taken: f64, available: f64) -> Limit {
        let blocked = match &self.window {
            Some(window) => window.outbox > 0.0,
            None => taken < available && self.outlet < self.capacity,
        };
        if blocked {
            Limit::Output
        } else if taken < available {
            Limit::Capacity
        } else {
            Limit::Input
        }
    }

    /// Books a step of `dt` seconds in which it took in `taken` records. The time of all subtasks is busy, idle or
    /// back-pressured, and nothing else.
    pub(super) fn book(&mut self, taken: f64, limit: Limit, dt: f64, since_start: f64) {
        self.read += taken;
        self.rate = taken / dt;
        let all = f64::from(self.parallelism) * dt;
        let busy = (taken * self.service(since_start)).min(all);
        // The others wait for records while the busiest subtask is at its limit.
        let active = (all / self.uneven).max(busy);
        match limit {
            Limit::Input if self.waiting.is_some_and(|w| w != Waiting::Idle) => {}
            Limit::Input => self.idle += all - busy,
            Limit::Capacity => self.idle += all - active,
            Limit::Output => {
                self.back_pressured += active - busy;
                self.idle += all - active;
            }
        }
    }

    /// What the counters say, so many milliseconds after the start.
    pub(super) fn counters(&self, since_start_ms: u64) -> Counters {
        let all = u64::from(self.parallelism) * since_start_ms;
        let idle_ms = whole(self.idle * 1000.0).min(all);
        let back_pressured_ms = whole(self.back_pressured * 1000.0).min(all - idle_ms);
        let busy_ms = (self.waiting != Some(Waiting::Unknown)).then_some(all - idle_ms - back_pressured_ms);
        let read = if self.counts_input { whole(self.read) } else { 0 };
        Counters { read, written: whole(self.written), busy_ms, idle_ms, back_pressured_ms }
    }
}

impl WindowState {
    /// Emits what was collected if a period ends within the step that ends at this millisecond.
    pub(super) fn fire(&mut self, end: u64) {
        if end / self.every_ms != (end - STEP_MS) / self.every_ms {
            self.outbox += self.collected.min(self.keys);
            self.collected = 0.0;
        }
    }
}

/// The whole part of a number of records or milliseconds; a hair below a whole number counts as that number.
pub(super) fn whole(value: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates: below 0 is 0, and what exceeds a u64 is its most"
    )]
    {
        (value + 1e-6).floor() as u64
    }
}
