//! What was done to the replicas of a job's workload: what is awaited, what could not be had, and what was changed when.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Slots, Timestamp};

/// Changes that are kept: those of the longest period that a behavior's policies may have (30 min), one a poll at the most
/// often, and then some.
const CHANGES_KEPT: usize = 64;

/// The memory of a workload's replicas.
///
/// Nothing in it is needed to go on after a crash: what is seen of the workload and of Flink's slots tells what is to be done
/// next. It only says how long something has been waited for, and what is not to be tried again so soon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Scaling {
    /// TaskManagers that were asked for, until they are there or are waited for no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growth: Option<Growth>,
    /// That no more TaskManagers could be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_room: Option<NoRoom>,
    /// The change that is being asked of Kubernetes: written before it is, and gone when it has answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Scaled>,
    /// Changes that were made, oldest first.
    #[serde(skip_serializing_if = "VecDeque::is_empty")]
    pub changes: VecDeque<Scaled>,
    /// When a change last failed, until one has been made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<Timestamp>,
}

impl Scaling {
    /// Whether there is nothing to remember.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Notes a change that was made, and forgets the oldest beyond those that are kept.
    pub fn add(&mut self, change: Scaled) {
        self.failed = None;
        self.changes.push_back(change);
        while self.changes.len() > CHANGES_KEPT {
            self.changes.pop_front();
        }
    }

    /// The most TaskManagers there is room for, if it was found out and has not been forgotten.
    pub fn room(&self, now: Timestamp) -> Option<u32> {
        self.no_room.as_ref().filter(|no_room| now < no_room.until).map(|no_room| no_room.replicas)
    }
}

/// TaskManagers that were asked for and are awaited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Growth {
    /// When the first of them were asked for.
    pub since: Timestamp,
    /// When they were last asked for.
    pub at: Timestamp,
    /// Replicas before the first of them was asked for: those that the job's size goes by meanwhile.
    pub from: u32,
    /// Replicas asked for.
    pub to: u32,
    /// Until when they are awaited.
    pub until: Timestamp,
    /// Slots of one TaskManager as they were known before: one that has just registered is counted before its slots are (seen
    /// on 2.3.0), so that their quotient is wrong for a moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots_of_each: Option<u32>,
}

impl Growth {
    /// TaskManagers whose slots are there.
    pub fn arrived(&self, slots: Slots) -> u32 {
        match self.slots_of_each {
            Some(each) if each > 0 => slots.taskmanagers.min(slots.total / each),
            _ => slots.taskmanagers,
        }
    }

    /// For how long the last of them have been awaited.
    pub fn age(&self, now: Timestamp) -> Duration {
        now.since(self.at)
    }
}

/// That no more TaskManagers could be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NoRoom {
    /// TaskManagers that there was room for.
    pub replicas: u32,
    /// When more are asked for again.
    pub until: Timestamp,
    /// Why, in the words of whoever refused; `None` where nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A change of a workload's replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scaled {
    /// When.
    pub at: Timestamp,
    /// Replicas before.
    pub from: u32,
    /// Replicas after.
    pub to: u32,
}
