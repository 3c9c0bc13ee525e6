//! From the samples of an epoch to [`Signals`].

use std::ops::Range;

use super::cost::cost;
use super::estimate::{Tally, rate_variance, ratio_variance};
use super::flow::{Edge, FlowMemory};
use super::lag::{UsualLags, lag};
use super::sample::float;
use super::window::{Seen, Window, last_regime, window};
use super::{EdgeSignals, Estimate, Sample, Signals, VertexSample, VertexSignals};
use crate::model::{Parallelism, Reading, Seconds, Snapshot};

/// A load has changed when it differs by more than a tenth: a band of utilization is several times as wide.
const LOAD_CHANGES: f64 = 0.1;

/// A selectivity is averaged over more and more of the past until its interval is this share of it to either side, half of
/// what is called a change of the load.
const PRECISE: f64 = 0.05;

/// A selectivity rests on no fewer samples, where there are as many: of a window that fires every so often, ten samples in
/// a row are not by chance all with a burst or all without.
const SELECTIVITY_SAMPLES: u32 = 10;

/// Beyond this back-pressured share, a source tells no more how much it would put out: one that is pinned by a backlog waits for nearly all
/// of its time, whatever comes to it. Four fifths stand for a load of five times what is taken in.
const MOST_BACK_PRESSURE: f64 = 0.8;

/// Samples that are watched for a change of the load: a few more than a window has.
const WATCHED: usize = 16;

/// What the samples say, and what is remembered of each edge. `None` without a sample.
pub(super) fn signals(
    samples: &[Sample],
    last: &Snapshot,
    memories: &[FlowMemory],
    usual: &UsualLags,
) -> Option<Signals> {
    let newest = samples.last()?;
    // Once they are warm, what cold tasks did says nothing any more.
    let samples =
        if newest.warm { &samples[samples.partition_point(|sample| !sample.warm)..] } else { samples };
    let window = watch_loads(samples, last);
    let of_window = &samples[window.start..];
    let covered = of_window.iter().map(Sample::seconds).sum();
    Some(Signals {
        at: newest.at,
        window: Seconds::new(covered).unwrap_or_default(),
        samples: u32::try_from(of_window.len()).unwrap_or(u32::MAX),
        trend: window.trend,
        warm: newest.warm,
        vertices: vertices(samples, window, last, usual),
        edges: memories
            .iter()
            .enumerate()
            .map(|(e, memory)| edge(samples, window, last, e, memory))
            .collect(),
    })
}

/// The window: since the load of any source last changed. The rates of the vertices after them are not watched: a window that
/// fires makes them jump, and a backlog being worked off bends them, with the load the same.
fn watch_loads(samples: &[Sample], last: &Snapshot) -> Window {
    let first = samples.len().saturating_sub(WATCHED);
    let watched = &samples[first..];
    let sources: Vec<usize> = last.graph.sources().collect();
    let guesses: Vec<bool> = sources.iter().map(|&v| !reports_backlog(samples, last, v)).collect();
    let at = |sample: usize, source: usize| {
        let v = sources[source];
        let sample = &watched[sample].vertices[v];
        let value = arrival(sample, last.vertices[v].parallelism, guesses[source])?;
        Some(Seen { value, weight: sample.seconds() })
    };
    let variance = |sample: usize, source: usize| {
        at(sample, source).map_or(0.0, |seen| rate_variance(seen.value, seen.weight))
    };
    let regime = last_regime::<4>(watched.len(), LOAD_CHANGES, sources.len(), at, variance);
    window(watched.len(), regime, |sample| watched[sample].seconds()).after(first)
}

/// Whether a source says how many records wait for it, now or at any time since it last started.
fn reports_backlog(samples: &[Sample], last: &Snapshot, v: usize) -> bool {
    last.vertices[v].pending_records.is_some()
        || samples.iter().any(|sample| sample.vertices[v].growth().is_some())
}

/// Records/s that come to exist outside, over one sample, in records as the source puts them out. Where its backlog is not
/// known, they are guessed from its back-pressure if it `guesses`: a source that will tell with the next poll need not.
fn arrival(sample: &VertexSample, parallelism: Parallelism, guesses: bool) -> Option<f64> {
    let put_out = sample.rate_out()?;
    if let Some(growth) = sample.growth() {
        let selectivity = sample.rate_in().filter(|taken_in| *taken_in > 0.0).map_or(1.0, |r| put_out / r);
        return Some((put_out + growth * selectivity).max(0.0));
    }
    if !guesses {
        return None;
    }
    let all = sample.seconds() * parallelism.as_f64();
    let waited = sample.back_pressured_seconds().unwrap_or(0.0) / all;
    Some(put_out / (1.0 - waited.min(MOST_BACK_PRESSURE)))
}

fn vertices(samples: &[Sample], window: Window, last: &Snapshot, usual: &UsualLags) -> Vec<VertexSignals> {
    let mut sources = 0..;
    let of_vertex = |v: usize| {
        let source = if last.graph.is_source(v) { sources.next() } else { None };
        // What came at once waits, or has been taken in: it is no part of what arrives.
        let burst = source.map_or(0..0, |source| window.burst_of(source));
        let lag = source.and_then(|_| lag(samples, window.start, v, usual));
        VertexSignals { lag, ..vertex(samples, window, burst, last, v) }
    };
    (0..last.graph.len()).map(of_vertex).collect()
}

fn vertex(
    samples: &[Sample],
    window: Window,
    burst: Range<usize>,
    last: &Snapshot,
    v: usize,
) -> VertexSignals {
    let Reading { parallelism, pending_records, .. } = last.vertices[v];
    let is_source = last.graph.is_source(v);
    let guesses = is_source && !reports_backlog(samples, last, v);
    let mut sums = Sums::default();
    for (index, sample) in samples.iter().enumerate().skip(window.start) {
        sums.add(&sample.vertices[v]);
        if is_source && !burst.contains(&index) {
            sums.add_arrival(&sample.vertices[v], parallelism, guesses);
        }
    }
    let each = sums.seconds / f64::from(sums.samples.max(1));
    let rate = |tally: &Tally| tally.estimate(|mean| rate_variance(mean, each)).map(Estimate::at_least_zero);
    let (rate_in, rate_out) = (rate(&sums.taken_in), rate(&sums.put_out));
    let counts_waits_twice = last.cluster.version.counts_waits_twice();
    let cost = if is_source { None } else { cost(samples, window.start, v, parallelism, counts_waits_twice) };
    VertexSignals {
        parallelism,
        // Up to Flink 1.20 a source counts nothing as taken in: what comes from outside are no records of the task.
        rate_in: if is_source { rate_in.filter(|rate| rate.mean > 0.0).or(rate_out) } else { rate_in },
        rate_out,
        service_time: cost.map(|cost| cost.service_time),
        busy: sums.busy.share(parallelism),
        back_pressured: sums.back_pressured.share(parallelism),
        arrival: rate(&sums.arrival),
        backlog: if is_source { pending_records.map(|records| records as f64) } else { None },
        // The gauge wavers with what goes through it, not with its own change.
        backlog_growth: sums.growth.estimate(|_| rate_variance(rate_out.map_or(0.0, |rate| rate.mean), each)),
        lag: None,
        records: cost.map_or(0.0, |cost| cost.records),
    }
}

/// One vertex's rates, weighted by time, and times over the window.
#[derive(Default)]
struct Sums {
    samples: u32,
    seconds: f64,
    taken_in: Tally,
    put_out: Tally,
    busy: Time,
    back_pressured: Time,
    arrival: Tally,
    growth: Tally,
}

impl Sums {
    fn add(&mut self, sample: &VertexSample) {
        if sample.micros == 0 {
            return;
        }
        let seconds = sample.seconds();
        self.samples += 1;
        self.seconds += seconds;
        if let Some((rate, read)) = sample.rate_in().zip(sample.read) {
            self.taken_in.add_total(seconds, float(read), rate);
        }
        if let Some((rate, written)) = sample.rate_out().zip(sample.written) {
            self.put_out.add_total(seconds, float(written), rate);
        }
        self.busy.add(sample.busy_ms, sample.micros);
        self.back_pressured.add(sample.back_pressured_ms.map(u64::cast_signed), sample.micros);
    }

    /// What only sources have.
    fn add_arrival(&mut self, sample: &VertexSample, parallelism: Parallelism, guesses: bool) {
        if sample.micros == 0 {
            return;
        }
        if let Some(arrival) = arrival(sample, parallelism, guesses) {
            self.arrival.add(sample.seconds(), arrival);
        }
        if let Some(growth) = sample.growth() {
            self.growth.add(sample.seconds(), growth);
        }
    }
}

/// Milliseconds of subtasks spent in some way, and the microseconds for which that is known.
#[derive(Default)]
struct Time {
    spent: i64,
    known: u64,
}

impl Time {
    fn add(&mut self, spent: Option<i64>, micros: u64) {
        if let Some(spent) = spent {
            self.spent = self.spent.saturating_add(spent);
            self.known = self.known.saturating_add(micros);
        }
    }

    /// The share of the subtasks' time, from 0 to 1. What counted as busy in one sample may be taken back in the next, so
    /// that only the sum is within bounds, and not even that at the ends.
    fn share(&self, parallelism: Parallelism) -> Option<f64> {
        let all = self.known as f64 * parallelism.as_f64();
        (all > 0.0).then(|| (self.spent as f64 * 1e3 / all).clamp(0.0, 1.0))
    }
}

fn edge(samples: &[Sample], window: Window, last: &Snapshot, e: usize, memory: &FlowMemory) -> EdgeSignals {
    let edge = Edge::new(&last.graph, e);
    let (older, of_window) = samples.split_at(window.start);
    let mut flows = Flows::default();
    for sample in of_window {
        flows.add(&edge, sample);
    }
    let Flows { seconds, flow, input, .. } = flows;
    for sample in older.iter().rev() {
        if flows.are_precise() {
            break;
        }
        flows.add(&edge, sample);
    }
    let bound = memory.bound();
    let selectivity = if bound.is_some() && input > 0.0 {
        // It does not follow the input: what it is on average, against the input of now.
        memory.flow().map(|flow| flow.scaled(seconds / input))
    } else if flows.ratios.samples() < SELECTIVITY_SAMPLES {
        memory.selectivity()
    } else {
        flows.ratios.estimate(ratio_variance)
    };
    let flow = (seconds > 0.0).then(|| flow / seconds);
    EdgeSignals {
        flow,
        selectivity: selectivity.map(Estimate::at_least_zero),
        // What it carries now has been seen, too.
        flow_bound: bound.map(|bound| bound.max(flow.unwrap_or(0.0))),
    }
}

/// Records along one edge, and into its sender.
#[derive(Clone, Copy, Default)]
struct Flows {
    seconds: f64,
    flow: f64,
    input: f64,
    /// Records along it per record into its sender, weighted by these.
    ratios: Tally,
}

impl Flows {
    fn add(&mut self, edge: &Edge<'_>, sample: &Sample) {
        let Some((flow, drive)) = edge.rates(sample) else { return };
        let seconds = sample.seconds();
        self.seconds += seconds;
        self.flow += flow * seconds;
        self.input += drive * seconds;
        if drive > 0.0 {
            self.ratios.add_total(drive * seconds, flow * seconds, flow / drive);
        }
    }

    fn are_precise(&self) -> bool {
        self.ratios.samples() >= SELECTIVITY_SAMPLES
            && self
                .ratios
                .estimate(ratio_variance)
                .is_some_and(|ratio| ratio.relative_half_width() <= PRECISE)
    }
}

#[cfg(test)]
mod tests {
    use super::super::History;
    use super::super::Trend;
    use super::super::testing::{Doing, Job, doing};
    use super::*;
    use crate::model::Observation;

    fn about(got: Option<f64>, expected: f64, share: f64) -> bool {
        got.is_some_and(|got| (got - expected).abs() <= share * expected.abs())
    }

    fn watch(parallelism: &[u64], phases: &[(usize, f64, &[Doing])]) -> Signals {
        let (mut job, mut history) = (Job::chain(parallelism), History::default());
        job.run(60.0, phases[0].2);
        history.push(&job.seen());
        for &(polls, seconds, doing) in phases {
            job.polls(&mut history, polls, seconds, doing);
        }
        history.signals().expect("there are samples")
    }

    fn source(writes: f64, waits: f64, pending_grows: Option<f64>) -> Doing {
        Doing { writes, waits, pending_grows, ..Doing::default() }
    }

    fn mean(estimate: Option<Estimate>) -> Option<f64> {
        estimate.map(|estimate| estimate.mean)
    }

    #[test]
    fn reads_rates_and_costs_of_a_chain() {
        let step = Doing { cost: 0.004, ..doing(500.0, 1500.0) };
        let sink = Doing { cost: 0.0005, ..doing(1500.0, 0.0) };
        let got = watch(&[1, 4, 2], &[(6, 5.0, &[source(500.0, 0.0, Some(0.0)), step, sink])]);
        assert_eq!((got.samples, got.trend, got.window.get()), (6, Trend::Steady, 30.0));
        let [from, step, sink] = &got.vertices[..] else { panic!("three vertices") };
        assert_eq!(
            (mean(from.arrival), mean(from.rate_in), from.backlog),
            (Some(500.0), Some(500.0), Some(0.0))
        );
        assert_eq!((from.service_time, step.arrival), (None, None));
        assert_eq!((mean(step.rate_in), mean(step.rate_out)), (Some(500.0), Some(1500.0)));
        assert!(about(mean(step.service_time), 0.004, 1e-9) && about(step.busy, 0.5, 1e-9), "{step:?}");
        assert!(about(mean(sink.service_time), 0.0005, 1e-9) && about(sink.busy, 0.375, 1e-9), "{sink:?}");
        assert!(
            about(mean(got.edges[0].selectivity), 1.0, 1e-9)
                && about(mean(got.edges[1].selectivity), 3.0, 1e-9)
        );
        assert_eq!((got.edges[0].flow, got.edges[0].flow_bound), (Some(500.0), None));
    }

    #[test]
    fn what_arrives_at_a_source() {
        // What is put out, the share it is back-pressured, by how much its backlog grows, and what arrives.
        for (writes, waits, grows, arrives) in [
            (500.0, 0.0, None, 500.0),
            (500.0, 0.0, Some(0.0), 500.0),
            (500.0, 0.9, Some(1000.0), 1500.0),
            (2000.0, 0.0, Some(-500.0), 1500.0),
            (500.0, 0.5, None, 1000.0),
            (500.0, 0.99, None, 2500.0),
            (0.0, 0.0, Some(-100.0), 0.0),
            (0.0, 0.0, None, 0.0),
        ] {
            let mut from = source(writes, waits, None);
            let (mut job, mut history) = (Job::chain(&[2, 1]), History::default());
            // A backlog to begin with, so that it can shrink.
            from.pending_grows = grows.map(|_| 1000.0);
            job.run(60.0, &[from, doing(writes, 0.0)]);
            history.push(&job.seen());
            from.pending_grows = grows;
            job.polls(&mut history, 4, 5.0, &[from, doing(writes, 0.0)]);
            let got = history.signals().expect("there are samples").vertices.swap_remove(0);
            assert!(about(mean(got.arrival), arrives, 1e-3), "{writes} {waits} {grows:?}: {got:?}");
            assert_eq!(mean(got.backlog_growth).is_some(), grows.is_some());
            assert_eq!(got.backlog, grows.map(|growth| 60_000.0 + 20.0 * growth));
        }
    }

    #[test]
    fn a_source_that_will_tell_its_backlog_is_not_guessed_at() {
        let held_up = |grows: Option<f64>| [source(500.0, 0.9, grows), doing(500.0, 0.0)];
        let (mut job, mut history) = (Job::chain(&[2, 1]), History::default());
        history.push(&job.seen());
        // It is not known yet what waits: whether it will be, nobody can tell.
        job.polls(&mut history, 1, 5.0, &held_up(None));
        let arrival =
            |history: &History| mean(history.signals().expect("there is a sample").vertices[0].arrival);
        assert!(about(arrival(&history), 2500.0, 1e-3));
        // Now it is, but not yet by how much it grows.
        job.polls(&mut history, 1, 5.0, &held_up(Some(1000.0)));
        assert_eq!(arrival(&history), None);
        job.polls(&mut history, 1, 5.0, &held_up(Some(1000.0)));
        assert!(about(arrival(&history), 1500.0, 1e-3));
        // The gauge is away for a poll: what was known before still counts.
        job.run(5.0, &held_up(Some(1000.0)));
        let Observation::Seen(mut snapshot) = job.seen() else { panic!("the job is there") };
        snapshot.vertices[0].pending_records = None;
        history.push(&Observation::Seen(snapshot));
        assert!(about(arrival(&history), 1500.0, 1e-3));
    }

    #[test]
    fn a_load_that_changes_is_told_once_and_then_believed() {
        let load = |rate: f64| [source(rate, 0.0, Some(0.0)), doing(rate, 0.0)];
        for (phases, trend, samples, arrival) in [
            (vec![(8, 500.0)], Trend::Steady, 8, 500.0),
            (vec![(8, 500.0), (1, 1500.0)], Trend::Changing, 1, 1500.0),
            (vec![(8, 500.0), (2, 1500.0)], Trend::Steady, 2, 1500.0),
            (vec![(8, 500.0), (1, 1100.0), (1, 1500.0)], Trend::Steady, 1, 1500.0),
            (vec![(8, 500.0), (1, 1100.0), (5, 1500.0)], Trend::Steady, 5, 1500.0),
            (vec![(30, 500.0), (30, 400.0)], Trend::Steady, 12, 400.0),
        ] {
            let loads: Vec<_> = phases.iter().map(|&(polls, rate)| (polls, load(rate))).collect();
            let phases: Vec<_> = loads.iter().map(|(polls, load)| (*polls, 5.0, &load[..])).collect();
            let got = watch(&[1, 2], &phases);
            assert_eq!(
                (got.trend, got.samples, mean(got.vertices[0].arrival)),
                (trend, samples, Some(arrival))
            );
        }
    }

    #[test]
    fn what_comes_at_once_is_a_backlog_and_no_load() {
        // 120,000 records at once, of which 1000/s are taken in beside the 500/s that arrive.
        let steady = [source(500.0, 0.0, Some(0.0)), doing(500.0, 0.0)];
        let burst = [source(500.0, 0.0, Some(24_000.0)), doing(500.0, 0.0)];
        let after = [source(1500.0, 0.0, Some(-1000.0)), doing(1500.0, 0.0)];
        for (polls, trend, backlog) in
            [(1, Trend::Steady, 115_000.0), (6, Trend::Steady, 90_000.0), (14, Trend::Steady, 50_000.0)]
        {
            let got = watch(&[1, 2], &[(8, 5.0, &steady), (1, 5.0, &burst), (polls, 5.0, &after)]);
            let source = &got.vertices[0];
            assert_eq!((got.trend, source.backlog), (trend, Some(backlog)), "{polls}");
            assert!(about(mean(source.arrival), 500.0, 1e-3), "{polls} polls later: {:?}", source.arrival);
            let growth = mean(source.backlog_growth).expect("it is reported");
            assert!(growth < 0.0, "{polls} polls later it shrinks: {growth}");
        }
        let lasting = [source(1500.0, 0.0, Some(23_000.0)), doing(1500.0, 0.0)];
        let got = watch(&[1, 2], &[(8, 5.0, &steady), (1, 5.0, &burst), (1, 5.0, &lasting)]);
        assert_eq!((got.trend, mean(got.vertices[0].arrival)), (Trend::Steady, Some(24_500.0)), "a load");
    }

    #[test]
    fn a_cost_that_changes_is_followed() {
        let step = |cost| [source(100.0, 0.0, None), Doing { cost, ..doing(100.0, 0.0) }];
        for (polls, cost) in [(12, 0.002), (2, 0.004), (5, 0.001)] {
            let got = watch(&[1, 2], &[(30, 5.0, &step(0.002)), (polls, 5.0, &step(cost))]);
            let time = mean(got.vertices[1].service_time);
            assert!(about(time, cost, 0.01), "{time:?} instead of {cost} after {polls}");
        }
    }

    #[test]
    fn cold_tasks_teach_nothing() {
        let step = |cost| [source(100.0, 0.0, None), Doing { cost, ..doing(100.0, 0.0) }];
        let (mut job, mut history) = (Job::chain(&[1, 2]), History::default());
        job.polls(&mut history, 3, 4.0, &step(0.005));
        let cold = history.signals().expect("there are samples").vertices.swap_remove(1);
        assert!(about(mean(cold.service_time), 0.005, 0.01) && cold.records == 0.0, "{cold:?}");
        job.polls(&mut history, 2, 4.0, &step(0.004));
        let warm = history.signals().expect("there are samples").vertices.swap_remove(1);
        assert!(about(mean(warm.service_time), 0.004, 0.01) && warm.records > 0.0, "{warm:?}");
    }

    #[test]
    fn waiting_that_counts_as_busy_makes_the_cost_uncertain() {
        // One record a second: up to a second of waiting may hide in the busy time at either end.
        let rare =
            watch(&[1, 1], &[(12, 5.0, &[source(1.0, 0.0, None), doing(1.0, 0.0)])]).vertices.swap_remove(1);
        let time = rare.service_time.expect("there are records");
        assert!(time.low == 0.0 && time.high > 0.005, "{time:?}");
        let often = watch(&[1, 1], &[(12, 5.0, &[source(500.0, 0.0, None), doing(500.0, 0.0)])])
            .vertices
            .swap_remove(1);
        let time = often.service_time.expect("there are records");
        assert!(time.relative_half_width() < 0.02, "{time:?}");
    }

    #[test]
    fn no_records_is_no_service_time() {
        let got = watch(&[1, 1], &[(5, 5.0, &[source(0.0, 0.0, None), doing(0.0, 0.0)])]);
        let idle = &got.vertices[1];
        assert_eq!(
            (idle.service_time, mean(idle.rate_in), idle.busy, idle.records),
            (None, Some(0.0), Some(0.0), 0.0)
        );
        assert_eq!(got.edges[0].selectivity, None);
    }

    /// A window of 5 s that puts out 100 records, whatever comes in; polled every 3 s.
    fn burst(job: &mut Job, history: &mut History, polls: usize, load: f64) {
        for _ in 0..polls {
            let millis = job.snapshot.flink_now.as_millis();
            let fires = (millis + 3000).div_euclid(5000) - millis.div_euclid(5000);
            let out = fires as f64 * 100.0 / 3.0;
            job.polls(history, 1, 3.0, &[source(load, 0.0, Some(0.0)), doing(load, out), doing(out, 0.0)]);
        }
    }

    #[test]
    fn bursts_are_averaged_and_do_not_unsettle_the_load() {
        let (mut job, mut history) = (Job::chain(&[1, 2, 1]), History::default());
        for polls in 2..40 {
            burst(&mut job, &mut history, 1, 300.0);
            let Some(got) = history.signals() else { continue };
            assert_eq!(got.trend, Trend::Steady);
            let selectivity = got.edges[1].selectivity.expect("there was an input");
            let truth = 20.0 / 300.0;
            // The first few may all be with a burst, or all without.
            if polls > 5 {
                assert!(
                    selectivity.low <= truth && truth <= selectivity.high,
                    "after {polls}: {selectivity:?}"
                );
            }
            if polls > 12 {
                assert!(about(Some(selectivity.mean), truth, 0.12), "after {polls}: {selectivity:?}");
            }
        }
    }

    #[test]
    fn a_window_is_not_expected_to_put_out_more_than_it_did() {
        let (mut job, mut history) = (Job::chain(&[1, 2, 1]), History::default());
        burst(&mut job, &mut history, 40, 300.0);
        let bursts = history.signals().expect("samples").edges[1].flow_bound;
        assert!(about(bursts, 24.0, 0.2), "bursts tell, before the input has ever changed: {bursts:?}");
        job.restart(&[1, 3, 1]);
        burst(&mut job, &mut history, 20, 900.0);
        let high = history.signals().expect("samples").edges[1];
        assert!(about(high.flow_bound, 20.0, 0.7) && high.flow_bound >= Some(19.0), "{high:?}");
        assert!(about(mean(high.selectivity), 20.0 / 900.0, 0.1), "{high:?}");
        burst(&mut job, &mut history, 3, 300.0);
        let low = history.signals().expect("samples").edges[1];
        assert!(about(mean(low.selectivity), 20.0 / 300.0, 0.1), "at once, of what is remembered: {low:?}");
    }

    #[test]
    fn selectivity_is_known_right_after_a_restart() {
        let (mut job, mut history) = (Job::chain(&[1, 2, 1]), History::default());
        burst(&mut job, &mut history, 30, 300.0);
        job.restart(&[1, 4, 1]);
        for _ in 0..4 {
            burst(&mut job, &mut history, 1, 300.0);
            let Some(got) = history.signals() else { continue };
            assert!(about(mean(got.edges[1].selectivity), 20.0 / 300.0, 0.1), "{:?}", got.edges[1]);
        }
    }

    #[test]
    fn a_legacy_source_has_rates_and_the_step_after_it_a_cost() {
        let (mut job, mut history) = (Job::chain(&[1, 2]), History::default());
        job.run(60.0, &[source(500.0, 0.0, None), doing(500.0, 0.0)]);
        for _ in 0..5 {
            job.run(5.0, &[source(500.0, 0.0, None), doing(500.0, 0.0)]);
            let legacy = &mut job.snapshot.vertices[0];
            (legacy.busy_ms, legacy.idle_ms) = (None, Some(0));
            history.push(&job.seen());
        }
        let got = history.signals().expect("there are samples");
        assert_eq!((mean(got.vertices[0].arrival), got.vertices[0].busy), (Some(500.0), None));
        assert!(about(mean(got.vertices[1].service_time), 0.001, 1e-6));
    }
}
