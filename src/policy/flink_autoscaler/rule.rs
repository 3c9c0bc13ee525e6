//! The operator's autoscaler as a rule of a policy: what it would choose for each vertex, from Tidegate's own signals.
//!
//! Metrics are Tidegate's, over its own window and with its own restarts; every step after them is the operator's. Four things
//! are left to the rest of a policy, which does them for all rules: the wait before a scale-down, the window and the time in
//! which a job becomes stable, quotas, and memory. Where the operator would count a number it does not know as zero, a vertex
//! keeps its size.

mod terms;

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::model::{Parallelism, Timestamp};
use crate::policy::capacity::Capacity;
use crate::policy::said::Context;
use crate::policy::{Want, Why};
use crate::signals::Curve;

use super::capacity::needed;
use super::delay::DelayedScaleDown;
use super::evaluate::{Evaluated, EvaluatedVertex};
use super::excluded::is_excluded;
use super::job::{JobDecision, Memory, decide_job};
use super::options::Options;
use super::vertex::{Outcome, VertexDecision};
pub(in crate::policy) use terms::topology;
use terms::{evaluate, history, restarts};

/// What the operator would choose for every vertex, in the graph's order. Its excluded periods are read in UTC, the time zone
/// of Flink's container images.
pub(in crate::policy) fn propose(options: &Options, context: &Context<'_>) -> Vec<Want> {
    let Context { signals, snapshot, policy, ledger, now, ref capacities } = *context;
    let unchanged = |why| signals.vertices.iter().map(|v| Want::unchanged(v.parallelism, why)).collect();
    let held = !options.scaling_enabled
        || utc(now).is_some_and(|local| is_excluded(&options.excluded_periods, local));
    if held {
        return unchanged(Why::Excluded);
    }
    let Some(topology) = topology(&snapshot.graph, signals, policy) else { return unchanged(Why::NoSignal) };
    // The wait before a scale-down is that of the policy: a need that is told late would wait twice.
    let at_once = Options { scale_down_interval: Duration::ZERO, ..options.clone() };
    let restart_time = restarts(options, ledger, now).restart_time(options);
    let evaluated = evaluate(options, &snapshot.graph, signals, capacities, restart_time);
    let decision = decide_job(
        &at_once,
        &topology,
        &evaluated,
        Memory {
            history: &history(options, &snapshot.graph, &topology, ledger, now),
            restart_time,
            delayed: &mut DelayedScaleDown::default(),
        },
        now,
        |_| false,
    );
    (0..topology.vertices().len())
        .map(|vertex| {
            let current = signals.vertices[vertex].parallelism;
            want(options, current, &evaluated, &decision, vertex, restart_time, capacities[vertex].as_ref())
        })
        .collect()
}

fn utc(now: Timestamp) -> Option<DateTime> {
    jiff::Timestamp::from_millisecond(now.as_millis()).ok().map(|now| Offset::UTC.to_datetime(now))
}

/// What is asked for one vertex.
fn want(
    options: &Options,
    current: Parallelism,
    evaluated: &Evaluated,
    decision: &JobDecision,
    vertex: usize,
    restart_time: Duration,
    capacity: Option<&Capacity>,
) -> Want {
    let EvaluatedVertex { demand, true_processing_rate: rate, thresholds, .. } = evaluated.vertices[vertex];
    let Some(decided) = decision.vertices[vertex] else { return Want::unchanged(current, Why::Excluded) };
    let wanted = decided
        .change()
        .filter(|_| decision.triggered)
        .map_or(current, |(to, _)| Parallelism::clamped(u64::from(to)));
    let finite = |rate: f64| Some(rate).filter(|rate| rate.is_finite());
    let one = current.as_f64() / rate;
    Want {
        current,
        wanted,
        // What it is to take in when it is as busy as it may be.
        target_rate: finite(needed(options, demand, 1.0, Some(restart_time))),
        capacity: finite(rate),
        curve: (one.is_finite() && one > 0.0).then(|| Curve::flat(one)),
        found: capacity.map(|capacity| capacity.found),
        utilization: finite((demand.target + demand.catch_up) / rate),
        why: why(&decided, wanted, current, rate < thresholds.up, evaluated.processing_backlog),
        rule: None,
        unlimited: None,
    }
}

fn why(
    decided: &VertexDecision,
    wanted: Parallelism,
    current: Parallelism,
    is_too_small: bool,
    backlog: bool,
) -> Why {
    match decided.outcome {
        Outcome::Unknown => Why::NoSignal,
        Outcome::Ineffective => Why::Unscalable,
        Outcome::Same | Outcome::Delayed if decided.limited.is_some() && is_too_small => Why::Unscalable,
        Outcome::Same | Outcome::Delayed | Outcome::Change { .. } if wanted == current => Why::WithinBand,
        Outcome::Same | Outcome::Delayed | Outcome::Change { .. } if wanted < current => {
            Why::UtilizationBelowBand
        }
        Outcome::Same | Outcome::Delayed | Outcome::Change { .. } if backlog => Why::BacklogStands,
        Outcome::Same | Outcome::Delayed | Outcome::Change { .. } => Why::TargetRateAboveCapacity,
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::BusyTime;
    use super::*;
    use crate::policy::testing::{Job, estimate, rescale};
    use crate::policy::{Policy, VertexSpec};

    fn wants(options: &Options, job: &Job) -> Vec<Want> {
        propose(options, &job.context(&Policy::default()))
    }

    fn sizes(options: &Options, job: &Job) -> Vec<(u32, Why)> {
        wants(options, job).iter().map(|want| (want.wanted.get(), want.why)).collect()
    }

    /// A source that is half busy, and a vertex that needs 4 ms per record.
    fn job(parallelism: u64, rate: f64) -> Job {
        let mut job = Job::chain(&[(1, 0.0), (parallelism, 0.004)]).arriving(rate);
        job.signals.vertices[0].busy = Some(0.5);
        job
    }

    #[test]
    fn chooses_what_the_operator_would() {
        use Why::{TargetRateAboveCapacity as Above, UtilizationBelowBand as Below, WithinBand as Within};
        let options = Options::default();
        for (parallelism, rate, expected) in [
            // 900/0.7 + 900 * 300 / 1800 = 1436 of 750 a second: 1.91 * 3 is 6, and with 7 each has fewer of 128 key groups.
            (3, 900.0, (7, Above)),
            // 750 a second is above 700 and below 2100.
            (3, 700.0, (3, Within)),
            // 10 subtasks take 2500, and from 500/0.4 + 83 = 1333 on that is too much; they may lose six at once.
            (10, 500.0, (4, Below)),
            // 800/0.4 + 133 = 2133 is below 2500, too: to 0.51 of them, and again to the next that does better.
            (10, 800.0, (7, Below)),
        ] {
            assert_eq!(sizes(&options, &job(parallelism, rate))[1], expected, "{parallelism} at {rate}/s");
        }
    }

    #[test]
    fn nothing_changes_until_one_vertex_is_outside_its_band() {
        let options = Options::default();
        let mut job = Job::chain(&[(1, 0.0), (4, 0.004), (4, 0.001)]).arriving(950.0);
        job.signals.vertices[0].busy = Some(0.7);
        // The source would grow to 2, within its band; the last is too large.
        let changed = sizes(&options, &job);
        assert_eq!((changed[0].0, changed[2].0), (2, 2), "{changed:?}");
        let excluded = job.snapshot.graph.vertices()[2].id.to_string();
        let kept = sizes(&Options { excluded_vertices: vec![excluded], ..options }, &job);
        assert_eq!(kept, [(1, Why::WithinBand), (4, Why::WithinBand), (4, Why::Excluded)]);
    }

    #[test]
    fn a_source_has_the_partitions_that_the_job_says() {
        let job = job(10, 500.0);
        let entry = VertexSpec { partitions: Some(12), ..VertexSpec::named("*") };
        let policy = Policy { vertices: vec![entry], ..Policy::default() };
        let topology = topology(&job.snapshot.graph, &job.signals, &policy).expect("a graph");
        let partitions: Vec<_> = topology.vertices().iter().map(|vertex| vertex.partitions).collect();
        assert_eq!(partitions, [Some(12), None], "of what is no source they say nothing");
    }

    #[test]
    fn what_is_not_known_keeps_its_size() {
        let options = Options::default();
        let mut blind = job(10, 100.0);
        blind.signals.vertices[1].service_time = None;
        assert_eq!(sizes(&options, &blind)[1], (10, Why::NoSignal));
        let mut blind = job(10, 100.0);
        blind.signals.edges[0].selectivity = None;
        assert_eq!(sizes(&options, &blind)[1], (10, Why::NoSignal));
        let mut blind = job(10, 100.0);
        blind.signals.vertices[0].arrival = None;
        assert_eq!(sizes(&options, &blind), [(1, Why::NoSignal), (10, Why::NoSignal)]);
    }

    #[test]
    fn a_backlog_is_worked_off_and_keeps_all_sizes_up() {
        // What the source was seen to do has not been seen often enough.
        let options = Options { observed_rate_min_observations: 9, ..Options::default() };
        assert_eq!(sizes(&options, &job(10, 500.0))[1].0, 4);
        assert_eq!(sizes(&options, &job(10, 500.0).backlog(200_000.0))[1], (10, Why::WithinBand));
        let far_behind = job(2, 480.0).backlog(900_000.0);
        assert_eq!(sizes(&options, &far_behind)[1].1, Why::BacklogStands);
    }

    #[test]
    fn a_source_that_is_behind_shows_what_it_can_do() {
        let options = Options { backlog_lag_threshold: Duration::from_hours(9), ..Options::default() };
        let mut behind = job(10, 500.0).backlog(100_000.0);
        behind.signals.vertices[0].busy = Some(0.1);
        behind.signals.vertices[0].arrival = Some(estimate(400.0));
        // By its busy time it takes 5000 a second, by what it does 500.
        assert_eq!(wants(&options, &behind)[0].capacity, Some(500.0));
    }

    #[test]
    fn options_of_the_history_are_followed() {
        let mut grown = job(4, 2000.0);
        let id = grown.snapshot.graph.vertices()[1].id;
        grown.learned(1, &[(2, 2.0), (4, 4.0)]);
        let mut doubled = rescale(0, Some(100.0));
        doubled.at = grown.now - Duration::from_mins(30);
        doubled.from.insert(id, Parallelism::clamped(2));
        doubled.to.insert(id, Parallelism::clamped(4));
        grown.ledger.add_rescale(doubled);
        assert_eq!(sizes(&Options::default(), &grown)[1].1, Why::TargetRateAboveCapacity);
        let blocking = Options { effectiveness_detection: true, ..Options::default() };
        assert_eq!(sizes(&blocking, &grown)[1], (4, Why::Unscalable));
        let tracking = Options { restart_time_tracking: true, ..Options::default() };
        let (fixed, tracked) = (wants(&Options::default(), &grown), wants(&tracking, &grown));
        assert!(tracked[1].target_rate < fixed[1].target_rate, "100 s and not 300 s");
    }

    #[test]
    fn the_busiest_subtask_counts_unless_the_options_say_otherwise() {
        let mut skewed = job(4, 900.0);
        let id = skewed.snapshot.graph.vertices()[1].id;
        skewed.ledger.skews.insert(id, 2.0);
        let capacity = |busy_time| wants(&Options { busy_time, ..Options::default() }, &skewed)[1].capacity;
        assert_eq!((capacity(BusyTime::Max), capacity(BusyTime::Avg)), (Some(500.0), Some(1000.0)));
    }

    #[test]
    fn holds_still_in_excluded_periods_and_when_it_is_told_to() {
        let long = job(10, 500.0);
        let all_day = Options { excluded_periods: vec!["* * * * * ?".to_owned()], ..Options::default() };
        let advisor = Options { scaling_enabled: false, ..Options::default() };
        for options in [all_day, advisor] {
            assert_eq!(sizes(&options, &long), [(1, Why::Excluded), (10, Why::Excluded)]);
        }
    }
}
