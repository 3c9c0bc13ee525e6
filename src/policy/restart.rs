//! How long a restart of this job takes, and what follows from it.

use std::time::Duration;

use crate::model::{Ledger, Rescale};

use super::{ObservedOr, Policy, Rule, Throughput};

/// What is assumed of a job that was never seen to restart: published in-place rescales of real jobs took 6.5 to 9 s.
const BEFORE_ANY_WAS_SEEN: f64 = 10.0;

/// So many of the last restarts are looked at: enough to hold a slow one, few enough to follow a state that grows.
const LOOKED_AT: usize = 5;

/// Seconds that a restart of this job takes: the slowest of the last few that were seen. An upper quantile of so few is
/// their largest.
pub(super) fn seconds(rule: &Throughput, ledger: &Ledger) -> f64 {
    match rule.restart {
        ObservedOr::Fixed(span) => span.as_secs(),
        ObservedOr::Observed => observed(ledger).unwrap_or(BEFORE_ANY_WAS_SEEN),
    }
}

/// A scale-down is looked at for so many restarts before it is made: then a restart costs less than two per cent of the
/// time that the smaller size is expected to last, if a low load lasts as long again as it has lasted.
const RESTARTS_PER_WINDOW: f64 = 60.0;

/// Shorter, and every pause of a load would be followed.
const SHORTEST_WINDOW: Duration = Duration::from_mins(2);

/// Longer, and a load with a daily peak would never be followed; the Flink autoscaler's own default.
const LONGEST_WINDOW: Duration = Duration::from_hours(1);

/// For how long the highest need counts before a job shrinks.
pub(crate) fn scale_down_window(policy: &Policy, ledger: &Ledger) -> Duration {
    if let Some(seconds) = policy.spec.behavior.scale_down.stabilization_window_seconds {
        return Duration::from_secs(u64::from(seconds));
    }
    // The operator's own delay, where the policy is its.
    let operators = policy.spec.rules.iter().find_map(|rule| match rule {
        Rule::FlinkAutoscaler(rule) => Some(rule.options.options().scale_down_interval),
        _ => None,
    });
    if let Some(interval) = operators {
        return interval;
    }
    let restart = policy.throughput().map_or(BEFORE_ANY_WAS_SEEN, |rule| seconds(rule, ledger));
    Duration::try_from_secs_f64(restart * RESTARTS_PER_WINDOW)
        .unwrap_or(LONGEST_WINDOW)
        .clamp(SHORTEST_WINDOW, LONGEST_WINDOW)
}

/// By the way that the last one went: a job that is stopped for a rescale stands still for longer than one that goes in place, and
/// one that may go either way mostly goes the same again.
fn observed(ledger: &Ledger) -> Option<f64> {
    let was_stopped = |rescale: &Rescale| !rescale.reached.is_empty();
    let seen = || ledger.rescales.iter().rev().filter(|rescale| rescale.downtime.is_some());
    let last = was_stopped(seen().next()?);
    let alike = seen().filter(|rescale| was_stopped(rescale) == last).filter_map(|rescale| rescale.downtime);
    alike.take(LOOKED_AT).map(f64::from).reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{START, rescale};
    use super::*;
    use crate::model::{Reached, Stage};
    use crate::policy::Span;

    #[test]
    fn the_slowest_of_the_last_five() {
        for (downtimes, seconds_expected) in [
            (&[][..], 10.0),
            (&[Some(1.5)], 1.5),
            (&[Some(9.0), None, Some(2.0)], 9.0),
            (&[Some(60.0), Some(1.0), Some(2.0), Some(1.0), Some(1.0), Some(1.0)], 2.0),
        ] {
            let mut ledger = Ledger::default();
            for (nth, downtime) in downtimes.iter().enumerate() {
                ledger.add_rescale(rescale(nth, *downtime));
            }
            let got = seconds(&Throughput::default(), &ledger);
            assert!((got - seconds_expected).abs() < 1e-9, "{downtimes:?}: {got}");
        }
        let fixed = Throughput { restart: ObservedOr::Fixed(Span::from_secs(45)), ..Throughput::default() };
        assert!((seconds(&fixed, &Ledger::default()) - 45.0).abs() < 1e-9);
    }

    #[test]
    fn what_one_way_costs_is_not_what_another_does() {
        let reached = |stage| vec![Reached { stage, at: START }];
        for (rescales, seconds_expected) in [
            (&[(40.0, true), (1.5, false)][..], 1.5),
            (&[(1.5, false), (40.0, true), (30.0, true)], 40.0),
            (&[(40.0, true), (1.5, false), (2.5, false)], 2.5),
        ] {
            let mut ledger = Ledger::default();
            for (nth, &(downtime, was_stopped)) in rescales.iter().enumerate() {
                let mut rescale = rescale(nth, Some(downtime));
                rescale.reached = if was_stopped { reached(Stage::Done) } else { Vec::new() };
                ledger.add_rescale(rescale);
            }
            let got = seconds(&Throughput::default(), &ledger);
            assert!((got - seconds_expected).abs() < 1e-9, "{rescales:?}: {got}");
        }
    }

    #[test]
    fn the_window_follows_what_a_restart_costs() {
        use super::super::{PolicySpec, Rule};
        let mut policy = Policy {
            spec: PolicySpec {
                rules: vec![Rule::Throughput(Throughput::default())],
                ..PolicySpec::default()
            },
            ..Policy::default()
        };
        for (downtime, minutes) in
            [(None, 10), (Some(1.0), 2), (Some(5.0), 5), (Some(60.0), 60), (Some(1e9), 60)]
        {
            let mut ledger = Ledger::default();
            ledger.add_rescale(rescale(0, downtime));
            assert_eq!(scale_down_window(&policy, &ledger), Duration::from_mins(minutes), "{downtime:?}");
        }
        policy.spec.behavior.scale_down.stabilization_window_seconds = Some(0);
        assert_eq!(scale_down_window(&policy, &Ledger::default()), Duration::ZERO);
    }
}
