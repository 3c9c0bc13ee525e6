//! As much as the records need that come in: `DS2`'s one pass through the graph (OSDI'18, eq. 7), with measured capacity
//! curves, the backlog, and the cost of the restart itself.

use crate::model::Parallelism;
use crate::signals::{Curve, Needed};

use super::capacity::Capacity;
use super::load::{self, CatchUp, Load};
use super::said::{Context, Silence};
use super::{Throughput, UtilizationBand, Want, Why, restart};

/// A backlog stands when it is more than what arrives in so many seconds: less is on its way through any connector
/// (fetch waits of half a second, batches, the age of the metrics).
const STANDING_SECONDS: f64 = 3.0;

/// Of a curve's best capacity, the share that is worth having: the last few per cent may cost as many subtasks as all before.
const WORTH_HAVING: f64 = 0.95;

/// Where the last few per cent cost no more than twice their share of the subtasks, as where the key groups end before the
/// capacity does, they are worth having.
const WORTH_THEIR_SUBTASKS: f64 = 1.0 - 2.0 * (1.0 - WORTH_HAVING);

/// What a product of a size and a factor may be off by: 100 x 0.29 is 28.999999999999996.
const ROUNDING: f64 = 1e-9;

/// What the throughput rule asks for.
pub(super) fn wants(rule: &Throughput, context: &Context<'_>) -> Vec<Want> {
    let Context { signals, snapshot, policy, ledger, .. } = *context;
    let restart_seconds = restart::seconds(rule, ledger);
    let catch_up = CatchUp { seconds: rule.catch_up.0.as_secs(), restart_seconds };
    let loads = load::spread(signals, &snapshot.graph, catch_up);
    loads
        .iter()
        .zip(&context.capacities)
        .enumerate()
        .map(|(vertex, (load, capacity))| {
            let current = signals.vertices[vertex].parallelism;
            let vertex = &snapshot.graph.vertices()[vertex];
            if policy.for_vertex(vertex).exclude {
                return Want::unchanged(current, Why::Excluded);
            }
            match (load, capacity) {
                (Some(load), Some(capacity)) => {
                    let mut want = want(&rule.band(vertex), current, vertex.max_parallelism, load, capacity);
                    keep_within_factors(&mut want, rule);
                    want
                }
                (load, _) => Want {
                    target_rate: load.map(|l| l.after_restart),
                    ..Want::unchanged(current, Why::NoSignal)
                },
            }
        })
        .collect()
}

/// What keeps the rule from knowing what every vertex needs: one that records go through, and of which the load or the cost is
/// not measured now, might need more than it has.
pub(super) fn unknown(wants: &[Want], context: &Context<'_>) -> Option<Silence> {
    let Context { signals, snapshot, .. } = *context;
    let is_unknown = |&(vertex, want): &(usize, &Want)| {
        let seen = &signals.vertices[vertex];
        // What a source costs is measured only while it is full.
        let is_source = snapshot.graph.is_source(vertex);
        let (rate, cost) =
            if is_source { (seen.rate_out, true) } else { (seen.rate_in, seen.service_time.is_some()) };
        let is_idle =
            rate.is_some_and(|rate| rate.mean <= 0.0) || seen.busy.is_some_and(|share| share <= 0.0);
        want.why != Why::Excluded && !is_idle && (want.target_rate.is_none() || !cost)
    };
    let (vertex, _) = wants.iter().enumerate().find(is_unknown)?;
    Some(Silence::VertexUnknown { vertex: snapshot.graph.vertices()[vertex].name.clone() })
}

/// Records/s that arrive at the sources, and records that stand at them, as far as they are known.
pub(super) fn sources(context: &Context<'_>) -> (f64, f64) {
    let sources = || context.snapshot.graph.sources().map(|v| &context.signals.vertices[v]);
    let load = sources().filter_map(|source| source.arrival).map(|arrival| arrival.mean).sum();
    let standing = sources().filter_map(|source| {
        let (backlog, arrival) = (source.backlog?, source.arrival?.mean);
        (backlog > arrival.max(0.0) * STANDING_SECONDS).then_some(backlog)
    });
    (load, standing.sum())
}

/// What one vertex needs.
fn want(
    band: &UtilizationBand,
    current: Parallelism,
    most: Parallelism,
    load: &Load,
    capacity: &Capacity,
) -> Want {
    let curve = capacity.curve;
    let now = curve.capacity(current);
    let (wanted, enough) = match curve.needed(load.after_restart, band.target, most) {
        Needed::Enough(p) if p <= current => (p, true),
        // Growing into the last few per cent is not paid for, though it would be enough.
        Needed::Enough(p) => {
            let worth = worth_having(&curve, most).max(current);
            (p.min(worth), p <= worth)
        }
        // As much as it can be made to do; never fewer than now, since it is short.
        Needed::Unscalable { .. } => (worth_having(&curve, most).max(current), false),
    };
    let wanted = if capacity.lets_shrink { wanted } else { wanted.max(current) };
    let (at_least, at_most) = (now * capacity.within.0, now * capacity.within.1);
    let why = if load.low > at_most * band.max {
        match (enough, load.arrival > now * band.max) {
            (false, _) if wanted <= current => Why::Unscalable,
            (_, true) => Why::TargetRateAboveCapacity,
            (_, false) => Why::BacklogStands,
        }
    } else if load.high < at_least * band.min && wanted < current {
        Why::UtilizationBelowBand
    } else {
        Why::WithinBand
    };
    // It grows along with others only if it is surely fuller than it should be: what was added in doubt would soon be taken
    // away again, at the price of another restart.
    let joins = why != Why::WithinBand || load.low > at_most * band.target;
    let wanted = if joins { wanted } else { wanted.min(current) };
    Want {
        current,
        wanted,
        target_rate: Some(load.after_restart),
        capacity: Some(now),
        curve: Some(curve),
        found: Some(capacity.found),
        utilization: (now > 0.0).then(|| load.steady / now),
        why,
        rule: None,
        unlimited: None,
    }
}

/// The most subtasks that are worth having, whatever the load.
fn worth_having(curve: &Curve, most: Parallelism) -> Parallelism {
    let (best, capacity) = curve.best(most);
    match curve.needed(capacity * WORTH_HAVING, 1.0, most) {
        Needed::Enough(p) if p.as_f64() < best.as_f64() * WORTH_THEIR_SUBTASKS => p,
        _ => best,
    }
}

/// Of what is wanted, as much as the rule's factors allow at once. One subtask more or less is always allowed: a small vertex
/// would never change otherwise.
fn keep_within_factors(want: &mut Want, rule: &Throughput) {
    let now = want.current.as_f64();
    let change = |factor: f64| (now * factor + ROUNDING).floor().max(1.0);
    let most = rule.max_scale_up_factor.map(|factor| Parallelism::ceil(now + change(factor - 1.0)));
    let least = rule.max_scale_down_factor.map(|factor| Parallelism::ceil(now - change(factor)));
    let below = want.wanted.min(most.unwrap_or(want.wanted));
    let wanted = below.max(least.unwrap_or(below));
    want.unlimited = (wanted != want.wanted).then_some(want.wanted);
    want.wanted = wanted;
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Job, estimate};
    use super::super::{Policy, VertexUtilization};
    use super::*;
    use crate::signals::Estimate;

    /// (wanted, why) of every vertex.
    fn wants(job: &Job) -> Vec<(u32, Why)> {
        let policy = Policy::default();
        let wants = super::wants(&Throughput::default(), &job.context(&policy));
        wants.iter().map(|want| (want.wanted.get(), want.why)).collect()
    }

    #[test]
    fn sizes_the_chain_of_the_brief_in_one_step() {
        use Why::{
            NoSignal, TargetRateAboveCapacity as Above, UtilizationBelowBand as Below, WithinBand as Within,
        };
        // Arrival 1500 and ten seconds of restart to catch up in 300: 1550/s x 4 ms / 0.7 = 8.9, x 1 ms / 0.7 = 2.2.
        let steps = [
            (500.0, (3, 1), [(3, Within), (1, Within)]),
            (1500.0, (3, 1), [(9, Above), (3, Above)]),
            (1500.0, (9, 3), [(9, Within), (3, Within)]),
            (400.0, (9, 3), [(3, Below), (1, Below)]),
        ];
        for (rate, (parse, enrich), expected) in steps {
            let job = Job::chain(&[(1, 0.0), (parse, 0.004), (enrich, 0.001)]).arriving(rate);
            let all = [(1, NoSignal), expected[0], expected[1]];
            assert_eq!(wants(&job), all, "{rate}/s at {parse} and {enrich}");
        }
    }

    #[test]
    fn a_backlog_that_takes_too_long_is_a_reason_of_its_own() {
        // 900/s of 1000/s leaves 100/s: 30,000 records take as long as the catch-up time allows, 40,000 longer.
        for (backlog, why) in
            [(0.0, Why::WithinBand), (29_000.0, Why::WithinBand), (40_000.0, Why::BacklogStands)]
        {
            let mut job = Job::chain(&[(1, 0.0), (4, 0.004)]).arriving(900.0).backlog(backlog);
            job.signals.vertices[0].back_pressured = Some(0.2);
            assert_eq!(wants(&job)[1].1, why, "{backlog}");
        }
    }

    #[test]
    fn an_interval_that_straddles_the_band_is_no_reason() {
        let mut job = Job::chain(&[(1, 0.0), (4, 0.004)]).arriving(1050.0);
        let arrival = job.signals.vertices[0].arrival.as_mut().expect("a chain has arrivals");
        arrival.low = 980.0;
        assert_eq!(wants(&job)[1].1, Why::WithinBand);
        job.signals.vertices[0].arrival = Some(estimate(1050.0));
        assert_eq!(wants(&job)[1].1, Why::TargetRateAboveCapacity);
    }

    #[test]
    fn a_cost_known_within_an_interval_is_no_reason_at_its_far_end() {
        // 1100/s of 1000/s at 4 ms, 350/s of 1000/s: more or less than the band allows, unless a record costs 15 % less or more.
        for (rate, half, why) in [
            (1100.0, 0.0, Why::TargetRateAboveCapacity),
            (1100.0, 0.000_6, Why::WithinBand),
            (1100.0, 0.004, Why::WithinBand),
            (350.0, 0.0, Why::UtilizationBelowBand),
            (350.0, 0.000_6, Why::WithinBand),
        ] {
            let mut job = Job::chain(&[(1, 0.0), (4, 0.004)]).arriving(rate);
            let time = job.signals.vertices[1].service_time.as_mut().expect("a chain has costs");
            (time.low, time.high) = (time.mean - half, time.mean + half);
            assert_eq!(wants(&job)[1].1, why, "{rate}/s, 4 ms +- {half} s");
        }
    }

    #[test]
    fn a_vertex_may_have_a_band_of_its_own() {
        let band = |target, min, max| UtilizationBand { target, min, max };
        let entry = |name: &str, utilization| VertexUtilization { name: name.to_owned(), utilization };
        let careful = || entry("v1", band(0.5, 0.2, 0.8));
        // 900/s and the restart: 930/s x 4 ms / 0.7 = 5.3, / 0.5 = 7.4.
        for (vertices, expected) in [
            (vec![], (6, Why::WithinBand)),
            (vec![entry("v2", band(0.5, 0.2, 0.8))], (6, Why::WithinBand)),
            (vec![careful()], (8, Why::TargetRateAboveCapacity)),
            (vec![entry("v?", band(0.9, 0.2, 1.0)), careful()], (4, Why::WithinBand)),
            (vec![entry("0*1", band(0.5, 0.2, 0.8))], (6, Why::WithinBand)),
        ] {
            let rule = Throughput { vertices, ..Throughput::default() };
            let (job, policy) = (Job::chain(&[(1, 0.0), (4, 0.004)]).arriving(900.0), Policy::default());
            let want = &super::wants(&rule, &job.context(&policy))[1];
            assert_eq!((want.wanted.get(), want.why), expected, "{:?}", rule.vertices);
        }
    }

    #[test]
    fn factors_limit_what_is_asked_for_at_once() {
        // (now, wanted, factor up, factor down, asked for)
        for (now, wanted, up, down, expected) in [
            (3, 9, None, None, 9),
            (3, 9, Some(2.0), Some(0.1), 6),
            (3, 5, Some(2.0), None, 5),
            (3, 9, Some(1.5), None, 4),
            (3, 9, Some(1.0), None, 4), // always one more
            (1, 9, Some(1.5), None, 2),
            (100, 200, Some(1.29), None, 129),
            (10, 1, None, Some(0.7), 3),
            (10, 5, None, Some(0.7), 5),
            (10, 1, None, Some(1.0), 1),
            (10, 1, None, Some(0.0), 9), // always one less
            (2, 1, None, Some(0.3), 1),
            (100, 1, None, Some(0.29), 71),
            (20_000, 32_768, Some(1e9), None, 32_768),
        ] {
            let rule =
                Throughput { max_scale_up_factor: up, max_scale_down_factor: down, ..Throughput::default() };
            let mut got = Want {
                wanted: Parallelism::clamped(wanted),
                ..Want::unchanged(Parallelism::clamped(now), Why::WithinBand)
            };
            keep_within_factors(&mut got, &rule);
            assert_eq!(u64::from(got.wanted.get()), expected, "{now} to {wanted}: {up:?} {down:?}");
            let before = got.unlimited.map(|size| u64::from(size.get()));
            assert_eq!(before, (expected != wanted).then_some(wanted), "{now} to {wanted}: {up:?} {down:?}");
        }
    }

    #[test]
    fn grows_along_with_others_only_what_is_surely_too_full() {
        // 900/s of 1000/s at 4 ms: within the band, and fuller than the target.
        for (low, wanted) in [(1.0, 6), (0.85, 6), (0.5, 4)] {
            let mut job = Job::chain(&[(1, 0.0), (4, 0.004)]).arriving(900.0);
            job.signals.edges[0].selectivity = Some(Estimate { low, high: 2.0 - low, ..estimate(1.0) });
            assert_eq!(wants(&job)[1], (wanted, Why::WithinBand), "selectivity from {low}");
        }
    }

    #[test]
    fn adds_nothing_where_more_brings_nothing() {
        // Two cores: capacity is 4,700/s whatever the size (control.md section 3).
        let mut job = Job::chain(&[(1, 0.0), (4, 0.000_838)]).arriving(6000.0);
        job.learned(1, &[(2, 0.427), (4, 0.838)]);
        assert_eq!(wants(&job)[1], (4, Why::Unscalable));
    }

    #[test]
    fn more_load_never_asks_for_less_at_the_end_of_a_curve() {
        // Coherence: capacity is at its best, 2236/s, with some 70 subtasks, and 95 % of that are had with 51.
        let coherent = &[(1, 16.0), (10, 16.3), (30, 18.8), (60, 27.3), (100, 47.7)][..];
        // The key groups end before the capacity does: the last per cents are worth as much as those before.
        let linear = &[(1, 4.0), (10, 4.0)][..];
        for (costs, now, step) in [(coherent, 10, 16.3), (linear, 10, 4.0)] {
            let mut last = 0;
            for rate in (100..40_000).step_by(50) {
                let mut job = Job::chain(&[(1, 0.0), (now, step / 1e3)]).arriving(f64::from(rate));
                job.learned(1, costs);
                let (size, _) = wants(&job)[1];
                assert!(size >= last, "{rate}/s: {size} after {last}");
                last = size;
            }
            let most = if costs == linear { 128..=128 } else { 49..=53 };
            assert!(most.contains(&last), "{last} of {costs:?}");
        }
    }

    #[test]
    fn leaves_alone_what_it_cannot_know() {
        let mut job = Job::chain(&[(1, 0.0), (4, 0.004), (2, 0.001)]).arriving(900.0);
        job.signals.vertices[1].service_time = None;
        assert_eq!(wants(&job)[1], (4, Why::NoSignal));
        // What is only remembered lets it grow and not shrink.
        job.learned(1, &[(4, 4.0), (8, 4.0)]);
        for (rate, expected) in [(100.0, (4, Why::WithinBand)), (2000.0, (12, Why::TargetRateAboveCapacity))]
        {
            let mut job = job.clone().arriving(rate);
            job.signals.vertices[1].service_time = None;
            assert_eq!(wants(&job)[1], expected, "{rate}/s");
        }
        job.signals.vertices[0].arrival = None;
        assert_eq!(wants(&job)[2], (2, Why::NoSignal));
    }

    #[test]
    fn a_vertex_that_is_not_known_keeps_the_rule_from_knowing_all() {
        type Change = fn(&mut Job);
        let rows: [(&str, Change, Option<&str>); 7] = [
            ("all is measured", |_| {}, None),
            ("no cost", |job| job.signals.vertices[1].service_time = None, Some("v1")),
            (
                "a cost that is only remembered",
                |job| {
                    job.signals.vertices[1].service_time = None;
                    job.learned(1, &[(4, 4.0), (8, 4.0)]);
                },
                Some("v1"),
            ),
            ("no load", |job| job.signals.vertices[0].arrival = None, Some("v0")),
            ("no share of the input", |job| job.signals.edges[1].selectivity = None, Some("v2")),
            (
                "no records",
                |job| {
                    job.signals.vertices[1].service_time = None;
                    job.signals.vertices[1].rate_in = Some(estimate(0.0));
                },
                None,
            ),
            (
                "records that cost nothing",
                |job| {
                    job.signals.vertices[1].service_time = None;
                    job.signals.vertices[1].busy = Some(0.0);
                },
                None,
            ),
        ];
        for (name, change, expected) in rows {
            let mut job = Job::chain(&[(1, 0.0), (4, 0.004), (2, 0.001)]).arriving(900.0);
            change(&mut job);
            let policy = Policy::default();
            let context = job.context(&policy);
            let got = unknown(&super::wants(&Throughput::default(), &context), &context);
            let expected = expected.map(|vertex| Silence::VertexUnknown { vertex: vertex.to_owned() });
            assert_eq!(got, expected, "{name}");
        }
    }

    #[test]
    fn a_backlog_stands_only_beyond_what_is_on_its_way() {
        for (backlog, standing) in [(0.0, 0.0), (1_400.0, 0.0), (1_600.0, 1_600.0)] {
            let (job, policy) =
                (Job::chain(&[(1, 0.0), (4, 0.004)]).arriving(500.0).backlog(backlog), Policy::default());
            let (_, got) = sources(&job.context(&policy));
            assert!((got - standing).abs() < 1e-9, "{backlog}: {got}");
        }
    }
}
