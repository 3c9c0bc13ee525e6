//! The sizes that were changed lately, for the policies that allow so much change in so long.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;

/// A size that was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaleEvent {
    /// When.
    pub at: Timestamp,
    /// By how many: above zero where it grew, below where it shrank.
    pub change: i64,
}

/// What was added, less what was taken away, since `period` before `now`.
pub(super) fn changed_within(events: &[ScaleEvent], period: Duration, now: Timestamp) -> i64 {
    let cutoff = now - period;
    let recent = events.iter().filter(|event| event.at > cutoff);
    recent.fold(0, |sum: i64, event| sum.saturating_add(event.change))
}

/// The changes in one direction, as the HPA's controller keeps them: one that no policy of that direction looks at any
/// more gives its place to the next. So it is gone, too, for a policy of the other direction that looks back further.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventLog(Vec<LoggedEvent>);

/// A change that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoggedEvent {
    /// The change.
    pub event: ScaleEvent,
    /// Whether it was found to be older than what any policy looks at.
    pub is_outdated: bool,
}

impl EventLog {
    /// With changes that are all in use.
    pub fn new(events: impl IntoIterator<Item = ScaleEvent>) -> Self {
        Self(events.into_iter().map(|event| LoggedEvent { event, is_outdated: false }).collect())
    }

    /// All that is kept.
    pub fn entries(&self) -> &[LoggedEvent] {
        &self.0
    }

    /// The changes.
    pub fn events(&self) -> impl Iterator<Item = ScaleEvent> {
        self.0.iter().map(|logged| logged.event)
    }

    /// Writes a change down. `longest` is the longest period of the policies for its direction.
    pub fn record(&mut self, event: ScaleEvent, longest: Duration) {
        let cutoff = event.at - longest;
        for logged in &mut self.0 {
            logged.is_outdated |= logged.event.at < cutoff;
        }
        let new = LoggedEvent { event, is_outdated: false };
        match self.0.iter_mut().rev().find(|logged| logged.is_outdated) {
            Some(outdated) => *outdated = new,
            None => self.0.push(new),
        }
    }

    /// What was changed since `period` before `now`.
    pub fn changed_within(&self, period: Duration, now: Timestamp) -> i64 {
        let events: Vec<_> = self.events().collect();
        changed_within(&events, period, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(second: i64, change: i64) -> ScaleEvent {
        ScaleEvent { at: Timestamp::from_millis(second * 1_000), change }
    }

    #[test]
    fn the_last_outdated_place_is_taken_and_the_others_wait() {
        let minute = Duration::from_mins(1);
        let mut log = EventLog::new([event(0, 1), event(10, 2), event(50, 9), event(100, 3)]);
        log.record(event(110, 4), minute);
        let kept: Vec<_> =
            log.entries().iter().map(|logged| (logged.event.change, logged.is_outdated)).collect();
        assert_eq!(kept, [(1, true), (4, false), (9, false), (3, false)]);
        assert_eq!(log.changed_within(Duration::from_secs(11), event(110, 0).at), 7);
        assert_eq!(log.changed_within(Duration::from_secs(10), event(110, 0).at), 4);
    }
}
