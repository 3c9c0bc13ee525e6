//! How much may be added, or taken away, in how long: the policies of an HPA's `behavior`.
//!
//! Sizes may be replicas or subtasks. A policy says so many ([`Change::Count`]) or so many per cent of what there was at
//! the start of its period; of policies that name a unit (`Pods`, `Subtasks`), the caller hands over those of the unit
//! that it counts.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conditions::Limited;
use super::events::{ScaleEvent, changed_within};
use super::size::{MOST, round_up, saturate, truncate};
use crate::model::Timestamp;

/// How fast to follow what is asked for, in both directions.
#[derive(Clone, Debug, PartialEq)]
pub struct Behavior {
    /// Growing.
    pub up: Rules,
    /// Shrinking.
    pub down: Rules,
}

/// How fast to follow in one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// For how long what was asked for counts.
    pub window: Duration,
    /// Which of the policies counts.
    pub select: SelectPolicy,
    /// What each allows. Without any there is no limit.
    pub policies: Vec<RatePolicy>,
}

/// So much change in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RatePolicy {
    /// So much.
    pub change: Change,
    /// In so long.
    pub period: Duration,
}

/// So much change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// So many: `Pods` in an HPA.
    Count(u32),
    /// So many per cent of what there was.
    Percent(u32),
}

/// Which of several policies counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SelectPolicy {
    /// The one that allows the most change.
    #[default]
    Max,
    /// The one that allows the least change.
    Min,
    /// None: no change in this direction.
    Disabled,
}

impl Rules {
    /// The HPA's for scaling up: at once, four more or twice as many every 15 s, whichever is more.
    pub fn up() -> Self {
        let period = Duration::from_secs(15);
        let policies = vec![
            RatePolicy { change: Change::Count(4), period },
            RatePolicy { change: Change::Percent(100), period },
        ];
        Self { window: Duration::ZERO, select: SelectPolicy::Max, policies }
    }

    /// The HPA's for scaling down: to nothing at once, after five minutes in which no more was asked for.
    pub fn down() -> Self {
        let policies = vec![RatePolicy { change: Change::Percent(100), period: Duration::from_secs(15) }];
        Self { window: Duration::from_mins(5), select: SelectPolicy::Max, policies }
    }

    /// The longest period of a policy: a change before that is of no interest.
    pub fn longest(&self) -> Duration {
        self.policies.iter().map(|policy| policy.period).max().unwrap_or_default()
    }
}

impl Default for Behavior {
    fn default() -> Self {
        Self { up: Rules::up(), down: Rules::down() }
    }
}

/// How many there may be at the most after growing; never below `current`. Changes in both directions count: what was
/// taken away within a period may come back, and does not count as added.
pub fn ceiling(current: u32, events: &[ScaleEvent], rules: &Rules, now: Timestamp) -> u32 {
    let allowed = rules.policies.iter().map(|policy| {
        let start = i64::from(current).saturating_sub(changed_within(events, policy.period, now));
        match policy.change {
            Change::Count(count) => saturate(start.saturating_add(i64::from(count))),
            // Up to the next whole one, or one would never grow by a few per cent.
            Change::Percent(percent) => round_up(start as f64 * (1.0 + f64::from(percent) / 100.0)),
        }
    });
    match rules.select {
        SelectPolicy::Disabled => current,
        SelectPolicy::Max => allowed.max().unwrap_or(MOST).max(current),
        SelectPolicy::Min => allowed.min().unwrap_or(MOST).max(current),
    }
}

/// How many there have to be at the least after shrinking; never above `current`.
pub fn floor(current: u32, events: &[ScaleEvent], rules: &Rules, now: Timestamp) -> u32 {
    let allowed = rules.policies.iter().map(|policy| {
        let start = i64::from(current).saturating_sub(changed_within(events, policy.period, now));
        saturate(match policy.change {
            Change::Count(count) => start.saturating_sub(i64::from(count)),
            // Cut off: one per cent of five takes one away.
            Change::Percent(percent) => truncate(start as f64 * (1.0 - f64::from(percent) / 100.0)),
        })
    });
    match rules.select {
        SelectPolicy::Disabled => current,
        SelectPolicy::Max => allowed.min().unwrap_or(0).min(current),
        SelectPolicy::Min => allowed.max().unwrap_or(0).min(current),
    }
}

/// The size that may be taken of the one desired, by the policies and by `min` and `max`, and the reason. `current` lies
/// between `min` and `max`: a size outside them is set right before anything is asked for, see [`step`](super::step()).
pub fn limit(
    current: u32,
    desired: u32,
    (min, max): (u32, u32),
    behavior: &Behavior,
    events: &[ScaleEvent],
    now: Timestamp,
) -> (u32, Limited) {
    if desired > current {
        let ceiling = ceiling(current, events, &behavior.up, now);
        let reason = if max > ceiling { Limited::ScaleUpLimit } else { Limited::TooManyReplicas };
        if desired > ceiling.min(max) {
            return (ceiling.min(max), reason);
        }
    } else if desired < current {
        let floor = floor(current, events, &behavior.down, now);
        let reason = if min < floor { Limited::ScaleDownLimit } else { Limited::TooFewReplicas };
        if desired < floor.max(min) {
            return (floor.max(min), reason);
        }
    }
    (desired, Limited::DesiredWithinRange)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

    fn rules(select: SelectPolicy, changes: &[Change]) -> Rules {
        let period = Duration::from_mins(1);
        let policies = changes.iter().map(|change| RatePolicy { change: *change, period }).collect();
        Rules { window: Duration::ZERO, select, policies }
    }

    #[test]
    fn the_policy_with_the_most_or_the_least_change_counts() {
        use Change::{Count, Percent};
        for (select, changes, expected) in [
            (SelectPolicy::Max, &[Count(4), Percent(10)][..], (6, 14)),
            (SelectPolicy::Min, &[Count(4), Percent(10)], (9, 11)),
            (SelectPolicy::Disabled, &[Count(4)], (10, 10)),
            (SelectPolicy::Max, &[], (0, MOST)),
            (SelectPolicy::Min, &[], (0, MOST)),
            (SelectPolicy::Max, &[Count(u32::MAX)], (0, MOST)),
            (SelectPolicy::Max, &[Percent(u32::MAX)], (0, 429_496_740)),
        ] {
            let rules = rules(select, changes);
            let got = (floor(10, &[], &rules, NOW), ceiling(10, &[], &rules, NOW));
            assert_eq!(got, expected, "{select:?} {changes:?}");
        }
    }

    #[test]
    fn where_a_policy_and_a_bound_meet_it_is_the_bound() {
        let four = || rules(SelectPolicy::Max, &[Change::Count(4)]);
        let behavior = Behavior { up: four(), down: four() };
        for (desired, bounds, expected) in [
            (20, (0, 15), (14, Limited::ScaleUpLimit)),
            (20, (0, 14), (14, Limited::TooManyReplicas)),
            (14, (0, 15), (14, Limited::DesiredWithinRange)),
            (10, (0, 15), (10, Limited::DesiredWithinRange)),
            (1, (5, 15), (6, Limited::ScaleDownLimit)),
            (1, (6, 15), (6, Limited::TooFewReplicas)),
            (6, (5, 15), (6, Limited::DesiredWithinRange)),
        ] {
            assert_eq!(limit(10, desired, bounds, &behavior, &[], NOW), expected, "{desired} {bounds:?}");
        }
    }

    #[test]
    fn changes_of_the_period_are_counted_in_both_directions() {
        let event = |seconds, change| ScaleEvent { at: NOW - Duration::from_secs(seconds), change };
        let four = rules(SelectPolicy::Max, &[Change::Count(4)]);
        // Of 10, three were added within the minute: one more, and seven less.
        let grown = [event(30, 3), event(60, 100)];
        assert_eq!((floor(10, &grown, &four, NOW), ceiling(10, &grown, &four, NOW)), (3, 11));
        let grown = [event(30, 9)];
        assert_eq!((floor(10, &grown, &four, NOW), ceiling(10, &grown, &four, NOW)), (0, 10));
        let both = [event(30, 9), event(20, -7)];
        assert_eq!((floor(10, &both, &four, NOW), ceiling(10, &both, &four, NOW)), (4, 12));
    }
}
