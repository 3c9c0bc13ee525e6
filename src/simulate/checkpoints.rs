//! Checkpoints: where a restart goes back to, and what Flink keeps in its history of them.

use std::collections::VecDeque;

use super::flow::Positions;
use super::scenario::CheckpointScenario;
use super::simulation::millis;

/// Flink's `web.checkpoints.history`.
const HISTORY: usize = 10;

/// The checkpoints of one submission of a job.
#[derive(Clone, Debug)]
pub(super) struct Checkpoints {
    settings: Option<CheckpointScenario>,
    /// Where the last complete one stands, or the submission itself.
    restore: Positions,
    next: u64,
    under_way: Option<Positions>,
    pub(super) history: VecDeque<CheckpointRecord>,
    pub(super) counts: CheckpointCounts,
    pub(super) last_completed: Option<CheckpointRecord>,
    pub(super) last_failed: Option<CheckpointRecord>,
    pub(super) last_restored: Option<(u64, u64)>,
    /// The savepoint that the job was submitted with, and when it was last restored from it.
    pub(super) begun_from: Option<(String, Option<u64>)>,
    /// The last savepoint, and when it was asked for.
    pub(super) savepoint: Option<(String, u64)>,
}

/// One checkpoint in Flink's history; times are milliseconds since the start of the scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointRecord {
    /// Its number.
    pub id: u64,
    /// When it began.
    pub triggered: u64,
    /// When it was complete or failed; `None` while it is under way.
    pub ended: Option<u64>,
    /// Whether it failed.
    pub failed: bool,
}

/// How many checkpoints there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "Flink's own words")]
pub struct CheckpointCounts {
    pub restored: u64,
    pub completed: u64,
    pub failed: u64,
    pub in_progress: u64,
}

impl Checkpoints {
    /// None yet; a restart would go back to `submitted`.
    pub(super) fn new(settings: Option<CheckpointScenario>, submitted: Positions) -> Self {
        Self {
            settings,
            restore: submitted,
            next: u64::MAX,
            under_way: None,
            history: VecDeque::new(),
            counts: CheckpointCounts::default(),
            last_completed: None,
            last_failed: None,
            last_restored: None,
            begun_from: None,
            savepoint: None,
        }
    }

    /// The same of a job that was submitted with a savepoint.
    pub(super) fn begun_from(self, savepoint: Option<String>) -> Self {
        Self { begun_from: savepoint.map(|path| (path, None)), ..self }
    }

    /// A savepoint is complete: a restart goes back to it.
    pub(super) fn saved(&mut self, path: String, asked: u64, positions: Positions) {
        self.restore = positions;
        self.savepoint = Some((path, asked));
    }

    /// The time between two, where there are any.
    pub(super) fn interval(&self) -> Option<u64> {
        self.settings.map(|settings| millis(settings.interval))
    }

    /// Where a restart goes back to; `None` where there are no checkpoints.
    pub(super) fn restore_point(&self) -> Option<&Positions> {
        self.settings.map(|_| &self.restore)
    }

    /// The job has started at `now`.
    pub(super) fn start(&mut self, now: u64) {
        self.next = self.interval().map_or(u64::MAX, |interval| now.saturating_add(interval));
        if let Some(last) = self.last_completed {
            self.last_restored = Some((last.id, now));
            self.counts.restored += 1;
        } else if let Some((_, restored)) = &mut self.begun_from {
            *restored = Some(now);
            self.counts.restored += 1;
        }
    }

    /// The job has stopped at `now`: a checkpoint that was under way fails.
    pub(super) fn stop(&mut self, now: u64) {
        self.next = u64::MAX;
        if self.under_way.take().is_some() {
            self.last_failed = self.end(now, true);
        }
    }

    /// Begins and completes what is due while the job runs; `positions` says where it stands now.
    pub(super) fn advance(&mut self, now: u64, positions: impl FnOnce() -> Positions) {
        let Some(settings) = self.settings else { return };
        if self.under_way.is_some() {
            let begun = self.history.back().map_or(now, |record| record.triggered);
            if now >= begun.saturating_add(millis(settings.duration)) {
                self.complete(now);
            }
        } else if now >= self.next {
            self.next = self.next.saturating_add(millis(settings.interval)).max(now);
            self.trigger(now, positions());
        }
    }

    /// Begins one now unless one is under way; says which one is.
    pub(super) fn trigger(&mut self, now: u64, positions: Positions) -> u64 {
        if self.under_way.is_none() {
            let id = self.counts.completed + self.counts.failed + 1;
            self.under_way = Some(positions);
            self.counts.in_progress = 1;
            self.history.push_back(CheckpointRecord { id, triggered: now, ended: None, failed: false });
            if self.history.len() > HISTORY {
                self.history.pop_front();
            }
        }
        self.counts.completed + self.counts.failed + 1
    }

    fn complete(&mut self, now: u64) {
        if let Some(positions) = self.under_way.take() {
            self.restore = positions;
            self.last_completed = self.end(now, false);
        }
    }

    fn end(&mut self, now: u64, failed: bool) -> Option<CheckpointRecord> {
        self.counts.in_progress = 0;
        if failed {
            self.counts.failed += 1;
        } else {
            self.counts.completed += 1;
        }
        let record = self.history.back_mut()?;
        (record.ended, record.failed) = (Some(now), failed);
        Some(*record)
    }
}
