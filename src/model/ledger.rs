//! What was done to a job before, and what was learned of it: everything that a decision needs besides what was just seen.
//!
//! Vertices are named by id, not by index, so that a ledger outlives a restart of Tidegate and of the job. Serialised in
//! the state directory and in journals: the fields are a promise.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    JobId, Memory, Parallelism, Reached, Resubmission, Scaled, Scaling, Seconds, Stage, Timestamp, Upgrade,
    VertexId,
};

/// Past rescales kept; the budget per day is far below.
const RESCALES_KEPT: usize = 64;

/// Readings of the TaskManagers' memory that are kept: a quarter of an hour of one a minute.
const MEMORY_KEPT: usize = 15;

/// The memory of one job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// What each vertex needed lately: scaling down goes to the most of it.
    pub needs: BTreeMap<VertexId, NeedWindow>,
    /// Pairs of parallelism and service time that were seen, from which the capacity curve is fitted.
    pub curves: BTreeMap<VertexId, Vec<CurvePoint>>,
    /// How much less than its busy time says each vertex took in when it was full: its hottest subtask against the mean.
    #[serde(default)]
    pub skews: BTreeMap<VertexId, f64>,
    /// The rescale that is under way, if one is.
    pub attempt: Option<Attempt>,
    /// Rescales that have ended, oldest first.
    pub rescales: VecDeque<Rescale>,
    /// What the last rescale was expected to bring, until it has been checked.
    pub expectation: Option<Expectation>,
    /// Since when vertices wait for others, or do not.
    #[serde(default, skip_serializing_if = "Pressure::is_none")]
    pub pressure: Pressure,
    /// Since when rules have been silent, by their place in the policy.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub silent: BTreeMap<usize, Timestamp>,
    /// What was done to the replicas of the workload.
    #[serde(default, skip_serializing_if = "Scaling::is_none")]
    pub scaling: Scaling,
    /// What the TaskManagers used of their memory lately, oldest first.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub memory: VecDeque<Memory>,
    /// Where the savepoints are that were taken for a rescale, oldest first, until they are disposed of or a person may need them.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub savepoints: VecDeque<String>,
}

impl Ledger {
    /// Adds an ended rescale and forgets the oldest beyond the few dozen that are kept.
    pub fn add_rescale(&mut self, rescale: Rescale) {
        self.rescales.push_back(rescale);
        while self.rescales.len() > RESCALES_KEPT {
            self.rescales.pop_front();
        }
    }

    /// Lists a savepoint as one of ours, to be disposed of when newer ones are there.
    pub fn keep_savepoint(&mut self, location: String) {
        if !self.savepoints.contains(&location) {
            self.savepoints.push_back(location);
        }
    }

    /// Somebody else goes on from this savepoint, or may: it is theirs.
    pub fn leave_savepoint(&mut self, location: &str) {
        self.savepoints.retain(|listed| listed != location);
    }

    /// Adds a reading of the TaskManagers' memory, if it is a new one, and forgets the oldest.
    pub fn add_memory(&mut self, memory: Memory) {
        if self.memory.back().is_none_or(|last| last.at < memory.at) {
            self.memory.push_back(memory);
            while self.memory.len() > MEMORY_KEPT {
                self.memory.pop_front();
            }
        }
    }

    /// The last rescale that changed the job.
    pub fn last_applied(&self) -> Option<&Rescale> {
        self.rescales.iter().rev().find(|rescale| rescale.end.changed_the_job())
    }
}

/// Since when vertices make those before them wait, as the rule `backpressure` has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pressure {
    /// The vertices that do.
    pub since: BTreeMap<VertexId, Timestamp>,
    /// Since when no vertex waits for another.
    pub calm: Option<Timestamp>,
}

impl Pressure {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What a vertex needed at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// When.
    pub at: Timestamp,
    /// The parallelism that was wanted, before any limit.
    pub wanted: Parallelism,
}

/// The needs of one vertex over a sliding window, kept so that the most of any recent time is at hand.
///
/// Needs that a later one has reached or passed are dropped, so the entries fall from the first to the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeedWindow {
    /// Since when needs have been added without a gap.
    pub since: Timestamp,
    /// When the last need was added.
    pub until: Timestamp,
    entries: VecDeque<Need>,
    /// The same for the least: entries rise from the first to the last.
    #[serde(default)]
    lows: VecDeque<Need>,
}

impl NeedWindow {
    /// A window that begins with one need.
    pub fn new(need: Need) -> Self {
        Self { since: need.at, until: need.at, entries: VecDeque::from([need]), lows: VecDeque::from([need]) }
    }

    /// Adds a need and forgets what is older than `keep`. After a gap longer than `gap`, or when the clock has gone
    /// back, the window begins anew: what was not seen cannot be known to have been small.
    pub fn add(&mut self, need: Need, keep: Duration, gap: Duration) {
        if need.at < self.until || need.at.since(self.until) > gap {
            *self = Self::new(need);
            return;
        }
        self.until = need.at;
        while self.entries.back().is_some_and(|last| last.wanted <= need.wanted) {
            self.entries.pop_back();
        }
        while self.lows.back().is_some_and(|last| last.wanted >= need.wanted) {
            self.lows.pop_back();
        }
        let oldest = need.at - keep;
        for entries in [&mut self.entries, &mut self.lows] {
            entries.push_back(need);
            while entries.front().is_some_and(|first| first.at < oldest) {
                entries.pop_front();
            }
        }
    }

    /// The most that was wanted at or after `from`; `None` when the window does not reach back that far.
    pub fn most_since(&self, from: Timestamp) -> Option<Parallelism> {
        self.first_since(&self.entries, from)
    }

    /// The least that was wanted at or after `from`; `None` when the window does not reach back that far.
    pub fn least_since(&self, from: Timestamp) -> Option<Parallelism> {
        self.first_since(&self.lows, from)
    }

    fn first_since(&self, entries: &VecDeque<Need>, from: Timestamp) -> Option<Parallelism> {
        (self.since <= from).then(|| entries.iter().find(|need| need.at >= from).map(|need| need.wanted))?
    }

    /// When a need above `size` was last added.
    pub fn last_above(&self, size: Parallelism) -> Option<Timestamp> {
        self.entries.iter().rev().find(|need| need.wanted > size).map(|need| need.at)
    }
}

/// One observed point of a vertex's capacity curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CurvePoint {
    /// The parallelism at which it was seen.
    pub parallelism: Parallelism,
    /// Busy seconds of one subtask per record.
    pub service_time: Seconds,
    /// Records it rests on, the weight of the point.
    pub records: f64,
    /// When it was last seen.
    pub at: Timestamp,
}

/// A rescale that was asked for and has not ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// The job it was asked of.
    pub job: JobId,
    /// When it was asked for.
    pub at: Timestamp,
    /// When it is given up.
    pub deadline: Timestamp,
    /// Parallelism of every vertex before.
    pub from: BTreeMap<VertexId, Parallelism>,
    /// Parallelism of every vertex that was asked for.
    pub to: BTreeMap<VertexId, Parallelism>,
    /// When the job was last seen to run at its old size, by the JobManager's clock.
    pub last_running: Option<Timestamp>,
    /// Records/s that the sources were to take in when it was asked for.
    pub load: f64,
    /// Capacity in records/s of each vertex that grows: before, and as expected after.
    pub expects: BTreeMap<VertexId, (f64, f64)>,
    /// How far it is, where the job is stopped with a savepoint for it and run again; `None` for one in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resubmission: Option<Resubmission>,
    /// The change of the replicas that is all of it, where the job takes the slots there are; `None` elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaled: Option<Scaled>,
    /// How far it is, where an operator is asked for it; `None` for one by any other way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<Upgrade>,
}

impl Attempt {
    /// One in place, of which nothing but this is known.
    pub fn new(
        job: JobId,
        at: Timestamp,
        deadline: Timestamp,
        from: BTreeMap<VertexId, Parallelism>,
        to: BTreeMap<VertexId, Parallelism>,
    ) -> Self {
        Self {
            job,
            at,
            deadline,
            from,
            to,
            last_running: None,
            load: 0.0,
            expects: BTreeMap::new(),
            resubmission: None,
            scaled: None,
            upgrade: None,
        }
    }

    /// Whether nothing but the end of a rescale in place is to be seen or to be taken back.
    pub fn is_in_place(&self) -> bool {
        self.resubmission.is_none() && self.upgrade.is_none()
    }

    /// The states it was in, where it has any of its own.
    pub fn reached(&self) -> &[Reached] {
        match (&self.resubmission, &self.upgrade) {
            (Some(resubmission), _) => &resubmission.reached,
            (None, Some(upgrade)) => &upgrade.reached,
            (None, None) => &[],
        }
    }

    /// The state that it is in, and since when, where it has states of its own.
    pub fn stage(&self) -> Option<Reached> {
        self.reached().last().copied()
    }

    /// Whether nothing that may be done by itself helps any more.
    pub fn needs_a_person(&self) -> bool {
        self.stage().is_some_and(|reached| reached.stage == Stage::Failed)
    }
}

/// How a rescale ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RescaleEnd {
    /// The job runs at the size that was asked for.
    Done,
    /// The job runs at another size than before, but not at the one asked for.
    Partial,
    /// The job still runs at its old size after the deadline.
    TimedOut,
    /// The job was stopped, resubmitted or resized by someone else.
    Superseded,
    /// Flink refused.
    Failed,
}

impl RescaleEnd {
    /// Whether the job was restarted by it.
    pub fn changed_the_job(self) -> bool {
        matches!(self, Self::Done | Self::Partial)
    }

    /// The state that says so.
    pub fn stage(self) -> Stage {
        match self {
            Self::Done | Self::Partial => Stage::Done,
            Self::TimedOut => Stage::RolledBack,
            Self::Superseded => Stage::Superseded,
            Self::Failed => Stage::NotStopped,
        }
    }
}

/// A rescale that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rescale {
    /// When it was asked for.
    pub at: Timestamp,
    /// When it was seen to have ended.
    pub ended: Timestamp,
    /// How.
    pub end: RescaleEnd,
    /// Parallelism of every vertex before.
    pub from: BTreeMap<VertexId, Parallelism>,
    /// Parallelism of every vertex that was asked for.
    pub to: BTreeMap<VertexId, Parallelism>,
    /// Seconds for which the job did not run, where it was seen.
    pub downtime: Option<Seconds>,
    /// Records/s that the sources were to take in when it was asked for.
    pub load: f64,
    /// Share of the expected gain in capacity that came true, once it has been checked.
    pub brought: Option<f64>,
    /// The states it went through, where the job was stopped with a savepoint for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reached: Vec<Reached>,
}

impl Rescale {
    /// Whether it asked for more subtasks in all.
    pub fn is_up(&self) -> bool {
        let sum =
            |sizes: &BTreeMap<VertexId, Parallelism>| sizes.values().map(|p| u64::from(p.get())).sum::<u64>();
        sum(&self.to) > sum(&self.from)
    }
}

/// What the last rescale was expected to bring; looked at when `check_at` has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Expectation {
    /// When to look whether it came true.
    pub check_at: Timestamp,
    /// Capacity in records/s of each vertex that grew: before, and as expected after.
    pub capacity: BTreeMap<VertexId, (f64, f64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(second: i64, wanted: u64) -> Need {
        Need { at: Timestamp::from_millis(second * 1000), wanted: Parallelism::clamped(wanted) }
    }

    fn window(needs: &[(i64, u64)]) -> NeedWindow {
        let mut window = NeedWindow::new(need(needs[0].0, needs[0].1));
        for &(second, wanted) in &needs[1..] {
            window.add(need(second, wanted), Duration::from_mins(1), Duration::from_secs(20));
        }
        window
    }

    #[test]
    fn the_most_of_the_time_asked_for() {
        let w = window(&[(0, 3), (10, 9), (20, 4), (30, 5), (40, 2)]);
        for (from, most) in
            [(-1, None), (0, Some(9)), (10, Some(9)), (11, Some(5)), (30, Some(5)), (31, Some(2))]
        {
            let got = w.most_since(Timestamp::from_millis(from * 1000)).map(Parallelism::get);
            assert_eq!(got, most, "since second {from}");
        }
    }

    #[test]
    fn begins_anew_after_a_gap_or_a_clock_that_went_back() {
        for late in [55, 5] {
            let w = window(&[(0, 3), (10, 9), (30, 9), (late, 2)]);
            assert_eq!(w.most_since(Timestamp::from_millis(0)), None);
            assert_eq!(w.most_since(Timestamp::from_millis(late * 1000)).map(Parallelism::get), Some(2));
        }
    }

    #[test]
    fn forgets_what_is_older_than_it_keeps() {
        let w = window(&[(0, 9), (20, 3), (40, 3), (60, 3), (80, 3)]);
        assert_eq!(w.most_since(Timestamp::from_millis(0)).map(Parallelism::get), Some(3));
        assert_eq!(w.last_above(Parallelism::clamped(3)), None);
    }

    #[test]
    fn knows_when_more_was_last_needed() {
        let w = window(&[(0, 3), (10, 9), (20, 4), (30, 5), (40, 2)]);
        for (size, second) in [(9, None), (8, Some(10)), (4, Some(30)), (2, Some(30)), (1, Some(40))] {
            let got = w.last_above(Parallelism::clamped(size)).map(|at| at.as_millis() / 1000);
            assert_eq!(got, second, "above {size}");
        }
    }
}
