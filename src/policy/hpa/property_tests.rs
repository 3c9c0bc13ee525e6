//! What holds for any input, however odd: thousands of cases of each.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::Timestamp;

const NOW: Timestamp = Timestamp::from_millis(1_000_000_000_000);

/// Quantities with those in them that break arithmetic.
fn quantity() -> impl Strategy<Value = i64> {
    prop_oneof![
        8 => 0..10_000_i64,
        1 => any::<i64>(),
        1 => prop::sample::select(vec![0, 1, -1, i64::MAX, i64::MIN, i64::MAX - 1]),
    ]
}

/// Sizes, now and then absurd.
fn size() -> impl Strategy<Value = u32> {
    prop_oneof![9 => 0..40_u32, 1 => prop::sample::select(vec![0, 1, MOST, MOST + 1, u32::MAX])]
}

/// Moments, now and then after now, or as far off as there are any.
fn moment() -> impl Strategy<Value = Timestamp> {
    let near = (-1_000_000_i64..100_000).prop_map(|millis| NOW.as_millis() + millis);
    prop_oneof![
        8 => near,
        1 => any::<i64>(),
        1 => prop::sample::select(vec![0, i64::MIN, i64::MAX]),
    ]
    .prop_map(Timestamp::from_millis)
}

fn period() -> impl Strategy<Value = Duration> {
    prop_oneof![9 => (0..2_000_u64).prop_map(Duration::from_secs), 1 => Just(Duration::MAX)]
}

fn tolerance() -> impl Strategy<Value = Tolerance> {
    let part = || prop_oneof![4 => Just(0.1), 4 => 0.0..1.0_f64, 1 => Just(0.0), 1 => Just(f64::INFINITY)];
    (part(), part()).prop_map(|(down, up)| Tolerance::new(down, up).expect("0 or more"))
}

fn pod() -> impl Strategy<Value = Pod> {
    let phase = prop::sample::select(vec![
        Phase::Running,
        Phase::Running,
        Phase::Pending,
        Phase::Succeeded,
        Phase::Failed,
        Phase::Unknown,
    ]);
    let status = prop::sample::select(vec![ReadyStatus::True, ReadyStatus::False, ReadyStatus::Unknown]);
    let ready =
        prop::option::weighted(0.9, (status, moment()).prop_map(|(status, since)| Ready { status, since }));
    let sample =
        (quantity(), moment(), period()).prop_map(|(value, at, window)| Sample { value, at, window });
    let (sample, request) = (prop::option::weighted(0.8, sample), prop::option::weighted(0.98, quantity()));
    (phase, prop::bool::weighted(0.05), ready, prop::option::weighted(0.9, moment()), request, sample)
        .prop_map(|(phase, is_deleted, ready, started, request, sample)| Pod {
            phase,
            is_deleted,
            ready,
            started,
            request,
            sample,
        })
}

/// A metric that owns what it was measured from.
#[derive(Clone, Debug)]
enum Given {
    Utilization(Vec<Pod>, Vec<i64>, u32),
    PodAverage(Vec<Pod>, Vec<i64>, i64),
    Value(Vec<i64>, i64, u32),
    PerReplica(Vec<i64>, i64),
    Failed,
}

fn given() -> impl Strategy<Value = Given> {
    let pods = || prop::collection::vec(pod(), 0..8);
    let values = || prop::collection::vec(quantity(), 0..3);
    prop_oneof![
        3 => (pods(), values(), 0..300_u32).prop_map(|(pods, others, target)| Given::Utilization(pods, others, target)),
        3 => (pods(), values(), quantity()).prop_map(|(pods, others, target)| Given::PodAverage(pods, others, target)),
        3 => (values(), quantity(), size()).prop_map(|(values, target, ready)| Given::Value(values, target, ready)),
        3 => (values(), quantity()).prop_map(|(values, target)| Given::PerReplica(values, target)),
        1 => Just(Given::Failed),
    ]
}

impl Given {
    fn metric(&self, now: Timestamp) -> Metric<'_> {
        let pods = |source, pods, strangers, cpu| PodMetrics { source, pods, strangers, cpu, now };
        let (source, ask) = match self {
            Self::Utilization(of, others, percent) => {
                let pods = pods(Source::Resource, of, others, Some(Timing::default()));
                (Source::Resource, Ask::Utilization { pods, percent: *percent })
            }
            Self::PodAverage(of, others, target) => {
                let pods = pods(Source::Pods, of, others, None);
                (Source::Pods, Ask::PodAverage { pods, target: *target })
            }
            Self::Value(values, target, ready_pods) => (
                Source::External,
                Ask::Value { value: total(values), target: *target, ready_pods: *ready_pods },
            ),
            Self::PerReplica(values, target) => {
                (Source::External, Ask::PerReplica { value: total(values), target: *target })
            }
            Self::Failed => {
                let cause = Unmeasured::Unavailable("gone".to_owned());
                return Metric::Failed(Failure { reason: Inactive::FailedGetExternalMetric, cause });
            }
        };
        Metric::Measured { source, ask }
    }
}

fn rules() -> impl Strategy<Value = Rules> {
    let change = prop_oneof![size().prop_map(Change::Count), size().prop_map(Change::Percent)];
    let policy = (change, period()).prop_map(|(change, period)| RatePolicy { change, period });
    let select = prop::sample::select(vec![SelectPolicy::Max, SelectPolicy::Min, SelectPolicy::Disabled]);
    (period(), select, prop::collection::vec(policy, 0..4)).prop_map(|(window, select, policies)| Rules {
        window,
        select,
        policies,
    })
}

fn behavior() -> impl Strategy<Value = Behavior> {
    (rules(), rules()).prop_map(|(up, down)| Behavior { up, down })
}

fn settings() -> impl Strategy<Value = Settings> {
    let burst = (0..4_u32, size()).prop_map(|(factor, least)| Burst { factor, least });
    (size(), size(), prop::option::of(behavior()), tolerance(), period(), burst).prop_map(
        |(one, other, behavior, tolerance, window, burst)| Settings {
            min: one.min(other),
            max: one.max(other),
            behavior,
            tolerance,
            window,
            burst,
        },
    )
}

fn event() -> impl Strategy<Value = ScaleEvent> {
    (moment(), prop_oneof![-30..30_i64, any::<i64>()]).prop_map(|(at, change)| ScaleEvent { at, change })
}

fn history() -> impl Strategy<Value = History> {
    let past = (moment(), size()).prop_map(|(at, size)| Recommendation { at, size });
    let events = || prop::collection::vec(event(), 0..5).prop_map(EventLog::new);
    (prop::option::of(prop::collection::vec(past, 0..6)), events(), events())
        .prop_map(|(recommendations, grown, shrunk)| History { recommendations, grown, shrunk })
}

/// Pods of which nothing is unusual: ready for long, using some of 1000. So many as are asked for now.
fn usual(usages: &[i64]) -> Vec<Pod> {
    let at = Timestamp::from_millis(0);
    let ready = Some(Ready { status: ReadyStatus::True, since: at });
    let sample = |value| Sample { value, at: NOW, window: Duration::from_mins(1) };
    let pod = |usage: &i64| Pod {
        phase: Phase::Running,
        is_deleted: false,
        ready,
        started: Some(at),
        request: Some(1_000),
        sample: Some(sample(*usage)),
    };
    usages.iter().map(pod).collect()
}

fn cpu(pods: &[Pod]) -> PodMetrics<'_> {
    PodMetrics { source: Source::Resource, pods, strangers: &[], cpu: Some(Timing::default()), now: NOW }
}

/// What a way of asking makes of pods: so many replicas now, a target, a tolerance.
type Asks = fn(&PodMetrics<'_>, u32, u32, Tolerance) -> Result<Proposal, Unmeasured>;

/// Both ways of asking pods; a target of one per cent is ten thousandths of the pods' 1000.
const BOTH: [Asks; 2] = [utilization, |pods, current, percent, tolerance| {
    average(pods, current, i64::from(percent) * 10, tolerance)
}];

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn stays_within_bounds_and_says_what_changed_a_number(
        settings in settings(),
        given in prop::collection::vec(given(), 0..4),
        (current, existing) in (size(), size()),
        history in history(),
        now in moment(),
    ) {
        let metrics: Vec<_> = given.iter().map(|one| one.metric(now)).collect();
        let observed = Observed { current, existing, metrics: &metrics };
        let once = step(&settings, &observed, &history, now);
        if once.inactive == Some(Inactive::ScalingDisabled) {
            prop_assert_eq!((current, once.size), (0, 0));
        } else {
            prop_assert!((settings.min..=settings.max).contains(&once.size), "{once:?}");
        }
        // From what the metrics ask for, or from the size, an unbroken row of changes leads to the size taken.
        let asked = once.proposals.iter().flatten().map(|one| one.replicas).max();
        let is_asked = once.limited.is_some() || once.changes.iter().any(|one| one.by == ChangedBy::MetricsFailed);
        let from = asked.filter(|_| is_asked).unwrap_or(current);
        let to = once.changes.iter().try_fold(from, |at, change| (change.before == at).then_some(change.after));
        prop_assert_eq!(to, Some(once.size), "{:?}", once.changes);
        // Twice the same, and in whatever order the metrics are given.
        prop_assert_eq!(&step(&settings, &observed, &history, now), &once);
        let turned: Vec<_> = metrics.iter().rev().cloned().collect();
        let turned = step(&settings, &Observed { metrics: &turned, ..observed }, &history, now);
        prop_assert_eq!((turned.size, turned.limited), (once.size, once.limited));
    }

    #[test]
    fn a_metric_that_is_not_there_never_lowers_the_size(
        settings in settings(),
        given in prop::collection::vec(given(), 0..3),
        current in size(),
        history in history(),
    ) {
        let mut metrics: Vec<_> = given.iter().map(|one| one.metric(NOW)).collect();
        metrics.push(Given::Failed.metric(NOW));
        let observed = Observed { current, existing: current, metrics: &metrics };
        let step = step(&settings, &observed, &history, NOW);
        prop_assert!(step.size >= current.min(settings.max), "{step:?}");
    }

    #[test]
    fn a_pod_without_a_sample_never_lowers_the_size(
        usages in prop::collection::vec(0..=1_000_i64, 1..8),
        gone in prop::collection::vec(any::<bool>(), 8),
        surge in -2..3_i32,
        percent in 1..300_u32,
        tolerance in tolerance(),
    ) {
        let whole = usual(&usages);
        let mut part = whole.clone();
        for (pod, _) in part.iter_mut().zip(gone).filter(|(_, gone)| *gone) {
            pod.sample = None;
        }
        let current = u32::try_from(usages.len()).unwrap_or(0).saturating_add_signed(surge);
        // Utilization takes a pod of unknown load for fully used, so that no other load could ask for more.
        let with = utilization(&cpu(&whole), current, percent, tolerance).expect("all is there").replicas;
        if let Ok(without) = utilization(&cpu(&part), current, percent, tolerance) {
            prop_assert!(without.replicas >= with.min(current), "{} without, {with} with", without.replicas);
        }
    }

    #[test]
    fn more_usage_never_yields_fewer_replicas(
        usages in prop::collection::vec(0..3_000_i64, 1..8),
        more in prop::collection::vec(0..500_i64, 8),
        unknown in 0..3_usize,
        pending in any::<bool>(),
        percent in 1..300_u32,
        tolerance in tolerance(),
    ) {
        let grown: Vec<_> = usages.iter().zip(more).map(|(usage, more)| usage + more).collect();
        let strange = || (0..unknown).map(|_| Pod {
            sample: None,
            phase: if pending { Phase::Pending } else { Phase::Running },
            ..usual(&[0])[0]
        });
        let pods = |usages: &[i64]| usual(usages).into_iter().chain(strange()).collect::<Vec<_>>();
        let (less, more) = (pods(&usages), pods(&grown));
        let current = u32::try_from(less.len()).unwrap_or(0);
        for asks in BOTH {
            let asked = |pods: &[Pod]| asks(&cpu(pods), current, percent, tolerance).expect("one is known").replicas;
            prop_assert!(asked(&less) <= asked(&more), "{} and {}", asked(&less), asked(&more));
        }
    }

    #[test]
    fn a_larger_value_never_yields_fewer_replicas(
        (one, other) in (quantity(), quantity()),
        target in 1..=i64::MAX,
        current in size(),
        tolerance in tolerance(),
    ) {
        let (less, more, current) = (one.min(other), one.max(other), current.min(MOST));
        let whole = |of| value(current, current, of, target, tolerance).expect("it has a target").replicas;
        prop_assert!(whole(less) <= whole(more));
        let each = |of| per_replica(current, of, target, tolerance).expect("it has a target").replicas;
        prop_assert!(each(less) <= each(more));
    }

    #[test]
    fn a_larger_desire_never_yields_a_smaller_size(
        (one, other) in (size(), size()),
        current in size(),
        bounds in (size(), size()),
        behavior in behavior(),
        history in history(),
        burst in (0..4_u32, size()),
    ) {
        let (less, more) = (one.min(other), one.max(other));
        let bounds = (bounds.0.min(bounds.1), bounds.0.max(bounds.1));
        let current = current.clamp(bounds.0, bounds.1);
        let events: Vec<_> = history.grown.events().chain(history.shrunk.events()).collect();
        let limited = |desired| limit(current, desired, bounds, &behavior, &events, NOW).0;
        prop_assert!(limited(less) <= limited(more));
        let burst = Burst { factor: burst.0, least: burst.1 };
        let clamped = |desired| clamp(current, desired, bounds, burst).0;
        prop_assert!(clamped(less) <= clamped(more));
        let past = history.recommendations.unwrap_or_default();
        let (up, down) = (behavior.up.window, behavior.down.window);
        let stable = |desired| within_windows(&past, current, desired, up, down, NOW);
        prop_assert!(stable(less) <= stable(more));
        prop_assert!(highest_recent(&past, less, down, NOW) <= highest_recent(&past, more, down, NOW));
    }

    #[test]
    fn a_policy_moves_only_in_its_own_direction(
        current in size(),
        rules in rules(),
        events in prop::collection::vec(event(), 0..5),
        now in moment(),
    ) {
        prop_assert!(ceiling(current, &events, &rules, now) >= current);
        prop_assert!(floor(current, &events, &rules, now) <= current);
    }
}
