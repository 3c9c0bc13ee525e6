//! What holds for any sequence of polls, however mad.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::testing::{Doing, Job};
use super::{Curve, Estimate, History, Needed, Signals, learn};
use crate::model::{CurvePoint, Graph, JobId, JobState, Observation, Parallelism, Seconds, Timestamp};

/// One thing that happens to a job between two polls, or to the poll.
#[derive(Clone, Debug)]
enum Event {
    Runs(f64, Vec<(f64, f64, f64, f64)>),
    Reads(usize, [Option<u64>; 6]),
    Misses,
    Restarts(Vec<u64>),
    Resubmits(u128),
    ClockJumps(i64),
    Stops(bool),
    LosesReadings,
    LosesItsGraph,
}

const VERTICES: usize = 5;

fn counter() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![
        Just(None),
        Just(Some(0)),
        Just(Some(u64::MAX)),
        (0..100_000_u64).prop_map(Some),
        any::<u64>().prop_map(Some)
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let rate = || prop_oneof![Just(0.0), 0.0..1e4, 1e4..1e9];
    let doing = (rate(), rate(), 0.0..0.1, 0.0..1.0);
    let reads = (counter(), counter(), counter(), counter(), counter(), counter());
    prop_oneof![
        12 => (prop_oneof![Just(0.0), 0.1..20.0], prop::collection::vec(doing, VERTICES))
            .prop_map(|(seconds, doing)| Event::Runs(seconds, doing)),
        1 => (0..VERTICES, reads).prop_map(|(v, (a, b, c, d, e, f))| Event::Reads(v, [a, b, c, d, e, f])),
        1 => Just(Event::Misses),
        1 => prop::collection::vec(1..40_000_u64, VERTICES).prop_map(Event::Restarts),
        1 => (0..3_u128).prop_map(Event::Resubmits),
        1 => any::<i64>().prop_map(Event::ClockJumps),
        1 => any::<bool>().prop_map(Event::Stops),
        1 => Just(Event::LosesReadings),
        1 => Just(Event::LosesItsGraph),
    ]
}

/// What a poll sees after an event.
fn happen(job: &mut Job, event: &Event) -> Observation {
    match event {
        Event::Runs(seconds, all) => {
            let doing: Vec<_> = all
                .iter()
                .map(|&(reads, writes, cost, waits)| Doing {
                    reads,
                    writes,
                    cost,
                    waits,
                    pending_grows: Some(reads - writes),
                })
                .collect();
            job.run(*seconds, &doing);
        }
        Event::Reads(v, [read, written, busy, idle, waits, pending]) => {
            let reading = &mut job.snapshot.vertices[*v];
            (reading.read_records, reading.write_records, reading.busy_ms) = (*read, *written, *busy);
            (reading.idle_ms, reading.back_pressured_ms, reading.pending_records) = (*idle, *waits, *pending);
        }
        Event::Misses => return job.missed(),
        Event::Restarts(parallelism) => job.restart(parallelism),
        Event::Resubmits(id) => job.snapshot.job = JobId::from_bits(*id),
        Event::ClockJumps(millis) => job.snapshot.at = Timestamp::from_millis(*millis),
        Event::Stops(stops) => {
            job.snapshot.state = if *stops { JobState::Restarting } else { JobState::Running }
        }
        Event::LosesReadings => {
            let Observation::Seen(mut snapshot) = job.seen() else { return job.missed() };
            snapshot.vertices.pop();
            return Observation::Seen(snapshot);
        }
        Event::LosesItsGraph => {
            let Observation::Seen(mut snapshot) = job.seen() else { return job.missed() };
            snapshot.vertices.clear();
            snapshot.graph = Arc::new(Graph::new(Vec::new(), Vec::new()).expect("no cycle"));
            return Observation::Seen(snapshot);
        }
    }
    job.seen()
}

fn diamond() -> Job {
    Job::new(&[1, 2, 3, 4, 5], &[(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)])
}

fn estimates(signals: &Signals) -> Vec<Estimate> {
    let of_vertices = signals
        .vertices
        .iter()
        .flat_map(|v| [v.rate_in, v.rate_out, v.service_time, v.arrival, v.backlog_growth]);
    of_vertices.chain(signals.edges.iter().map(|edge| edge.selectivity)).flatten().collect()
}

fn check(signals: &Signals) -> Result<(), TestCaseError> {
    for e in estimates(signals) {
        prop_assert!(
            e.low.is_finite() && e.high.is_finite() && e.low <= e.mean && e.mean <= e.high,
            "{:?}",
            e
        );
        prop_assert!(e.samples > 0);
    }
    for vertex in &signals.vertices {
        for share in [vertex.busy, vertex.back_pressured].into_iter().flatten() {
            prop_assert!((0.0..=1.0).contains(&share), "{}", share);
        }
        for rate in [vertex.rate_in, vertex.rate_out, vertex.arrival].into_iter().flatten() {
            prop_assert!(rate.low >= 0.0, "{:?}", rate);
        }
        prop_assert!(vertex.service_time.is_none_or(|time| time.mean > 0.0 && time.low >= 0.0));
        prop_assert!(vertex.records.is_finite() && vertex.records >= 0.0);
    }
    for edge in &signals.edges {
        for rate in [edge.flow, edge.flow_bound].into_iter().flatten() {
            prop_assert!(rate.is_finite() && rate >= 0.0, "{}", rate);
        }
    }
    prop_assert!(signals.samples > 0 && signals.window.get() > 0.0);
    Ok(())
}

proptest! {
    #[test]
    fn any_polls_give_finite_signals(events in prop::collection::vec(event(), 1..60)) {
        let (mut job, mut history) = (diamond(), History::default());
        for event in &events {
            let observation = happen(&mut job, event);
            history.push(&observation);
            if let Some(signals) = history.signals() {
                check(&signals)?;
            }
            let once = history.clone();
            history.push(&observation);
            prop_assert_eq!(&history, &once, "the same again changes nothing");
        }
    }

    #[test]
    fn no_sample_reaches_back_before_the_epoch(events in prop::collection::vec(event(), 1..60)) {
        let (mut job, mut history) = (diamond(), History::default());
        for event in &events {
            let before = history.last().cloned();
            history.push(&happen(&mut job, event));
            let Some((before, after)) = before.zip(history.last()) else { continue };
            let same = before.job == after.job
                && before.running_since == after.running_since
                && before.graph == after.graph
                && before.parallelism() == after.parallelism();
            prop_assert!(same || history.samples().is_empty());
        }
    }

    #[test]
    fn the_rate_of_a_steady_counter_is_exact(
        rate in 1_000.0..1e7_f64,
        cost in 1e-7..1e-4_f64,
        gaps in prop::collection::vec((1.0..20.0_f64, 0.0..10.0_f64, any::<bool>()), 2..40),
    ) {
        let (mut job, mut history) = (Job::chain(&[2, 64]), History::default());
        let cost = cost.min(60.0 / rate);
        let doing = [Doing { writes: rate, ..Doing::default() }, Doing { reads: rate, cost, ..Doing::default() }];
        for (gap, late, is_missed) in gaps {
            job.run(gap, &doing);
            // The answer is of the last fetch, some time ago.
            job.wait(late);
            history.push(&if is_missed { job.missed() } else { job.seen() });
            if let Some(signals) = history.signals() {
                let [from, to] = &signals.vertices[..] else { panic!("two vertices") };
                for got in [from.rate_out, from.rate_in, from.arrival, to.rate_in] {
                    let got = got.map_or(f64::NAN, |got| got.mean);
                    prop_assert!((got / rate - 1.0).abs() < 1e-3, "{} instead of {}", got, rate);
                }
                let time = to.service_time.map_or(f64::NAN, |time| time.mean);
                prop_assert!((time / cost - 1.0).abs() < 0.05, "{} instead of {}", time, cost);
            }
        }
    }

    #[test]
    fn any_points_give_a_usable_curve_or_none(
        points in prop::collection::vec(
            (1..40_000_u64, prop_oneof![0.0..10.0_f64, 0.0..1e300], prop_oneof![0.0..1e9, any::<f64>()], any::<i64>()),
            0..40,
        ),
        rate in 0.0..1e9_f64,
        most in 1..40_000_u64,
    ) {
        let mut learned = Vec::new();
        for (p, seconds, records, millis) in points {
            learn(&mut learned, CurvePoint {
                parallelism: Parallelism::clamped(p),
                service_time: Seconds::new(seconds).expect("finite"),
                records,
                at: Timestamp::from_millis(millis),
            });
        }
        let Some(curve) = Curve::fit(&learned, Timestamp::from_millis(0) + Duration::from_hours(1)) else { return Ok(()) };
        let most = Parallelism::clamped(most);
        match curve.needed(rate, 0.7, most) {
            Needed::Enough(p) => prop_assert!(p <= most && curve.capacity(p) * 0.7 >= rate),
            Needed::Unscalable { best, capacity } => {
                prop_assert!(best <= most && capacity.is_finite() && capacity * 0.7 < rate);
            }
        }
    }
}

#[test]
fn a_job_of_a_thousand_vertices_is_a_job() {
    let edges: Vec<_> = (1..1000).map(|to| (to / 2, to)).filter(|(from, to)| from < to).collect();
    let (mut job, mut history) = (Job::new(&[3; 1000], &edges), History::default());
    let doing = vec![Doing { reads: 100.0, writes: 200.0, cost: 0.001, ..Doing::default() }; 1000];
    job.polls(&mut history, 40, 5.0, &doing);
    let signals = history.signals().expect("there are samples");
    assert_eq!((signals.vertices.len(), signals.edges.len()), (1000, edges.len()));
    assert!(check(&signals).is_ok());
}
