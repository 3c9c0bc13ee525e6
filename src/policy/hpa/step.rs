//! One reconciliation of an HPA, from what was observed to the size it sets.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::bounds::{Burst, clamp};
use super::conditions::{Able, Inactive, Limited};
use super::events::{EventLog, ScaleEvent};
use super::metric::{Failure, Metric, largest};
use super::proposal::Proposal;
use super::rate::{Behavior, limit};
use super::stabilize::{Recommendation, highest_recent, remember, within_windows};
use super::tolerance::Tolerance;
use crate::model::Timestamp;

/// What an HPA, and the controller's flags, say.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The fewest replicas; with 0 the workload may be scaled to nothing.
    pub min: u32,
    /// The most replicas.
    pub max: u32,
    /// How fast to follow; `None` where the HPA has no `behavior`, which is not the same as one without fields.
    pub behavior: Option<Behavior>,
    /// The controller's tolerance, or that of the HPA's `behavior`: see [`Tolerance::or`].
    pub tolerance: Tolerance,
    /// The controller's `downscale-stabilization`: for an HPA without `behavior`.
    pub window: Duration,
    /// How far an HPA without `behavior` grows at once.
    pub burst: Burst,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            min: 1,
            max: 10,
            behavior: None,
            tolerance: Tolerance::DEFAULT,
            // The flag's default.
            window: Duration::from_mins(5),
            burst: Burst::default(),
        }
    }
}

/// What there is now.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// Replicas that were asked for (the spec's).
    pub current: u32,
    /// Replicas that exist (the status').
    pub existing: u32,
    /// The HPA's metrics.
    pub metrics: &'a [Metric<'a>],
}

/// What is remembered from one reconciliation to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// Sizes asked for; `None` before the first reconciliation, which begins with the size it finds, so that a restart
    /// of the controller is no reason to scale down.
    pub recommendations: Option<Vec<Recommendation>>,
    /// Where the size grew.
    pub grown: EventLog,
    /// Where it shrank.
    pub shrunk: EventLog,
}

/// What one reconciliation comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The size to set.
    pub size: u32,
    /// The reason of `AbleToScale`.
    pub able: Able,
    /// Of `ScalingActive`: the reason why it is false; `None` where the metrics were not looked at, or gave a size.
    pub inactive: Option<Inactive>,
    /// The reason of `ScalingLimited`; `None` where the size was set without asking the metrics, or stays without.
    pub limited: Option<Limited>,
    /// What each metric asked for.
    pub proposals: Vec<Result<Proposal, Failure>>,
    /// What changed the number that the metrics asked for, in order.
    pub changes: Vec<Changed>,
    /// What to remember.
    pub history: History,
}

/// What changed a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// The limit.
    pub by: ChangedBy,
    /// The number before.
    pub before: u32,
    /// The number after.
    pub after: u32,
}

/// A limit that changed a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ChangedBy {
    /// The size was below the minimum, and is set to it whatever the metrics say.
    BelowMin,
    /// The size was above the maximum, and is set to it whatever the metrics say.
    AboveMax,
    /// A metric that failed might have asked for more: no scaling down.
    MetricsFailed,
    /// A smaller size was asked for within the window.
    ScaleUpStabilized,
    /// A larger size was asked for within the window.
    ScaleDownStabilized,
    /// The minimum.
    TooFewReplicas,
    /// The maximum.
    TooManyReplicas,
    /// A policy for scaling up.
    ScaleUpLimit,
    /// A policy for scaling down.
    ScaleDownLimit,
}

/// One reconciliation. Setting the size is the caller's part, and so is telling [`History::rescaled`] of it.
pub fn step(settings: &Settings, observed: &Observed<'_>, history: &History, now: Timestamp) -> Step {
    let current = observed.current;
    let history = begun(history, current, now);
    if current == 0 && settings.min != 0 {
        return Step { inactive: Some(Inactive::ScalingDisabled), ..unasked(current, history) };
    }
    if current > settings.max {
        return set_right(current, settings.max, ChangedBy::AboveMax, history);
    }
    if current < settings.min {
        return set_right(current, settings.min, ChangedBy::BelowMin, history);
    }
    let propose = |metric: &Metric<'_>| metric.propose(current, observed.existing, settings.tolerance);
    let proposals: Vec<_> = observed.metrics.iter().map(propose).collect();
    match largest(proposals.iter().map(Result::as_ref), |one| one.replicas, current) {
        Ok(desired) => Step { proposals, ..normalize(settings, current, desired, history, now) },
        Err(failure) => {
            let inactive = failure.map_or(Inactive::InvalidMetricSourceType, |failure| failure.reason);
            let asked = proposals.iter().flatten().map(|one| one.replicas).max();
            let changes = asked
                .map(|before| Changed { by: ChangedBy::MetricsFailed, before, after: current })
                .into_iter()
                .collect();
            Step { inactive: Some(inactive), proposals, changes, ..unasked(current, history) }
        }
    }
}

impl Step {
    /// The one reason that says most: why the size is limited, or else why nothing is asked for, or why the size was set
    /// without asking.
    pub fn reason(&self) -> &'static str {
        let set_right = || match self.changes.first()?.by {
            ChangedBy::BelowMin => Some(Limited::TooFewReplicas),
            ChangedBy::AboveMax => Some(Limited::TooManyReplicas),
            _ => None,
        };
        match (self.limited.or_else(set_right), self.inactive) {
            (Some(limited), _) => limited.as_str(),
            (None, Some(inactive)) => inactive.as_str(),
            (None, None) => self.able.as_str(),
        }
    }
}

impl History {
    /// Remembers that the size was set. Without `behavior` nothing looks at it.
    pub fn rescaled(&mut self, behavior: Option<&Behavior>, from: u32, to: u32, now: Timestamp) {
        let Some(behavior) = behavior else { return };
        let event = ScaleEvent { at: now, change: i64::from(to) - i64::from(from) };
        match event.change {
            0 => {}
            1.. => self.grown.record(event, behavior.up.longest()),
            _ => self.shrunk.record(event, behavior.down.longest()),
        }
    }
}

fn begun(history: &History, current: u32, now: Timestamp) -> History {
    let mut history = history.clone();
    history.recommendations.get_or_insert_with(|| vec![Recommendation { at: now, size: current }]);
    history
}

/// The size stays, and nothing is remembered of this time.
fn unasked(size: u32, history: History) -> Step {
    let (proposals, changes) = (Vec::new(), Vec::new());
    Step { size, able: Able::SucceededGetScale, inactive: None, limited: None, proposals, changes, history }
}

fn set_right(before: u32, after: u32, by: ChangedBy, history: History) -> Step {
    Step { changes: vec![Changed { by, before, after }], ..unasked(after, history) }
}

/// What was asked for lately, then how much may change at once, then the fewest and the most.
fn normalize(settings: &Settings, current: u32, desired: u32, mut history: History, now: Timestamp) -> Step {
    let past = history.recommendations.get_or_insert_default();
    let bounds = (settings.min, settings.max);
    let (stable, (size, limited), keep);
    if let Some(behavior) = &settings.behavior {
        let (up, down) = (behavior.up.window, behavior.down.window);
        let events: Vec<_> = history.grown.events().chain(history.shrunk.events()).collect();
        stable = within_windows(past, current, desired, up, down, now);
        (size, limited) = limit(current, stable, bounds, behavior, &events, now);
        keep = up.max(down);
    } else {
        stable = highest_recent(past, desired, settings.window, now);
        (size, limited) = clamp(current, stable, bounds, settings.burst);
        keep = settings.window;
    }
    remember(past, desired, keep, now);
    let able = match settings.behavior {
        _ if stable == desired => Able::ReadyForNewScale,
        Some(_) if desired >= current => Able::ScaleUpStabilized,
        _ => Able::ScaleDownStabilized,
    };
    let changes = [(able.changes(), desired, stable), (limited.changes(), stable, size)];
    let changes =
        changes.into_iter().filter_map(|(by, before, after)| Some(Changed { by: by?, before, after }));
    let (limited, changes) = (Some(limited), changes.collect());
    Step { able, limited, changes, ..unasked(size, history) }
}

impl Able {
    fn changes(self) -> Option<ChangedBy> {
        match self {
            Self::SucceededGetScale | Self::ReadyForNewScale => None,
            Self::ScaleUpStabilized => Some(ChangedBy::ScaleUpStabilized),
            Self::ScaleDownStabilized => Some(ChangedBy::ScaleDownStabilized),
        }
    }
}

impl Limited {
    fn changes(self) -> Option<ChangedBy> {
        match self {
            Self::DesiredWithinRange => None,
            Self::TooFewReplicas => Some(ChangedBy::TooFewReplicas),
            Self::TooManyReplicas => Some(ChangedBy::TooManyReplicas),
            Self::ScaleUpLimit => Some(ChangedBy::ScaleUpLimit),
            Self::ScaleDownLimit => Some(ChangedBy::ScaleDownLimit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::hpa::{Ask, Change, RatePolicy, Rules, Source, Unmeasured};

    const START: Timestamp = Timestamp::from_millis(1_000_000_000);

    /// An HPA on a queue of so many thousandths, one replica for each thousand.
    struct Diary {
        settings: Settings,
        history: History,
        current: u32,
    }

    impl Diary {
        fn new(behavior: Option<Behavior>, current: u32) -> Self {
            let settings = Settings { min: 2, max: 20, behavior, ..Settings::default() };
            Self { settings, history: History::default(), current }
        }

        /// So many seconds after the start, with such a queue: the size that it sets, and the reason that says most.
        fn at(&mut self, seconds: u64, queue: i64) -> (u32, &'static str) {
            let step = self.step(seconds, &[queue_of(queue)]);
            (step.size, step.reason())
        }

        fn step(&mut self, seconds: u64, metrics: &[Metric<'_>]) -> Step {
            let now = START + Duration::from_secs(seconds);
            let observed = Observed { current: self.current, existing: self.current, metrics };
            let step = step(&self.settings, &observed, &self.history, now);
            self.history = step.history.clone();
            self.history.rescaled(self.settings.behavior.as_ref(), self.current, step.size, now);
            self.current = step.size;
            step
        }
    }

    fn queue_of(value: i64) -> Metric<'static> {
        Metric::Measured { source: Source::External, ask: Ask::PerReplica { value, target: 1_000 } }
    }

    #[test]
    fn without_behavior_it_doubles_up_and_waits_five_minutes_down() {
        let mut hpa = Diary::new(None, 3);
        assert_eq!(hpa.at(0, 3_100), (3, "DesiredWithinRange"));
        assert_eq!(hpa.at(15, 30_000), (6, "ScaleUpLimit"));
        assert_eq!(hpa.at(30, 30_000), (12, "ScaleUpLimit"));
        assert_eq!(hpa.at(45, 30_000), (20, "TooManyReplicas"));
        // Thirty were asked for until second 45, and count until second 345.
        assert_eq!(hpa.at(60, 500), (20, "TooManyReplicas"));
        assert_eq!(hpa.at(345, 500), (20, "TooManyReplicas"));
        assert_eq!(hpa.at(346, 500), (2, "TooFewReplicas"));
    }

    #[test]
    fn with_behavior_changes_are_counted_against_their_policies() {
        let two = RatePolicy { change: Change::Count(2), period: Duration::from_mins(1) };
        let rules = |window| Rules { window, policies: vec![two], ..Rules::up() };
        let behavior = Behavior { up: rules(Duration::ZERO), down: rules(Duration::from_secs(30)) };
        let mut hpa = Diary::new(Some(behavior), 4);
        assert_eq!(hpa.at(0, 9_000), (6, "ScaleUpLimit"));
        assert_eq!(hpa.at(59, 9_000), (6, "ScaleUpLimit"));
        assert_eq!(hpa.at(60, 9_000), (8, "ScaleUpLimit"));
        // Nine were asked for, and the window for scaling down still shows them.
        assert_eq!(hpa.at(61, 2_000), (8, "DesiredWithinRange"));
        assert_eq!(hpa.at(76, 2_000), (8, "DesiredWithinRange"));
        // Two were added within the minute: with those, four may go.
        assert_eq!(hpa.at(91, 2_000), (4, "ScaleDownLimit"));
        assert_eq!(hpa.at(92, 9_000), (8, "ScaleUpLimit"));
    }

    #[test]
    fn a_controller_that_starts_is_no_reason_to_scale_down() {
        let mut hpa = Diary::new(None, 9);
        let first = hpa.step(0, &[queue_of(3_000)]);
        assert_eq!((first.size, first.able), (9, Able::ScaleDownStabilized));
        let changed = Changed { by: ChangedBy::ScaleDownStabilized, before: 3, after: 9 };
        assert_eq!(first.changes, [changed]);
        assert_eq!(hpa.at(301, 3_000), (3, "DesiredWithinRange"));
    }

    #[test]
    fn a_size_out_of_bounds_is_set_right_without_a_look_at_the_metrics() {
        for (current, size, reason, by) in
            [(30, 20, "TooManyReplicas", ChangedBy::AboveMax), (1, 2, "TooFewReplicas", ChangedBy::BelowMin)]
        {
            let mut hpa = Diary::new(None, current);
            let step = hpa.step(0, &[queue_of(10_000)]);
            assert_eq!((step.size, step.reason(), step.limited), (size, reason, None));
            assert_eq!(step.changes, [Changed { by, before: current, after: size }]);
            assert!(step.proposals.is_empty());
        }
    }

    #[test]
    fn a_workload_that_was_switched_off_stays_off() {
        let mut hpa = Diary::new(None, 0);
        assert_eq!(hpa.at(0, 10_000), (0, "ScalingDisabled"));
        // With a minimum of none it was not switched off, but had nothing to do.
        hpa.settings.min = 0;
        assert_eq!(hpa.at(15, 3_000), (3, "DesiredWithinRange"));
    }

    #[test]
    fn a_metric_that_fails_holds_the_size_and_says_so() {
        let cause = Unmeasured::Unavailable("no route to the server".to_owned());
        let failed = Metric::Failed(Failure { reason: Inactive::FailedGetExternalMetric, cause });
        let mut hpa = Diary::new(None, 9);
        let step = hpa.step(0, &[queue_of(3_000), failed.clone()]);
        assert_eq!((step.size, step.reason()), (9, "FailedGetExternalMetric"));
        assert_eq!(step.changes, [Changed { by: ChangedBy::MetricsFailed, before: 3, after: 9 }]);
        let step = hpa.step(15, &[queue_of(12_000), failed]);
        assert_eq!((step.size, step.inactive), (12, None));
        let step = hpa.step(30, &[]);
        assert_eq!((step.size, step.reason()), (12, "InvalidMetricSourceType"));
    }
}
