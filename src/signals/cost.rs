//! What a record costs: busy seconds of one subtask per record taken in.

use super::estimate::{Tally, ratio_variance};
use super::sample::{HIDDEN_SECONDS, float};
use super::window::{Seen, last_regime};
use super::{Estimate, Sample, VertexSample};
use crate::model::Parallelism;

/// The cost of a record has changed when it differs by more than this. Records of one job differ among themselves, and
/// compilers and caches go on for minutes: costs waver more than loads do.
const CHANGES: f64 = 0.2;

/// Samples that are watched for a change: a few more than a window has.
const WATCHED: usize = 16;

/// A cost is averaged over more and more of the past until its interval is this share of it to either side, half of what
/// is called a change of the load.
const PRECISE: f64 = 0.05;

/// What a record costs, and what that rests on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    /// Busy seconds of one subtask per record.
    pub(super) service_time: Estimate,
    /// Records that it rests on; zero while the tasks are cold: nothing is to be learned from them.
    pub(super) records: f64,
}

/// The cost of a record of one vertex, of samples whose window begins with number `window`. `None` without records.
///
/// It is a matter of the code more than of the load: where the window is too short to tell it precisely, it is averaged over
/// more of the past, back to when it last changed. Where waits are counted twice (`counts_waits_twice`), busy time is too short by
/// that, and the cost is known only as far as that goes.
pub(super) fn cost(
    samples: &[Sample],
    window: usize,
    v: usize,
    parallelism: Parallelism,
    counts_waits_twice: bool,
) -> Option<Cost> {
    let is_warm = samples.last()?.warm;
    let window = window.min(samples.len() - 1);
    let of = |index: usize| &samples[index].vertices[v];

    let (mut watched, mut sums, mut seconds) = (Watched::default(), Tally::default(), 0.0);
    let first = samples.len().saturating_sub(WATCHED).min(window);
    for index in (first..samples.len()).rev() {
        let cost = of_sample(of(index));
        watched.add(of(index), cost, parallelism);
        if let Some(cost) = cost.filter(|_| index >= window) {
            sums.add(cost.weight, cost.value);
            seconds += of(index).seconds();
        }
    }
    let changed =
        if watched.is_even() { 0 } else { last_change(samples, v, parallelism, watched.longest_wait) };
    let estimate = |sums: &Tally, seconds: f64| {
        let hidden = hidden(watched.longest_wait, sums.weight(), parallelism);
        let time = sums.estimate(ratio_variance)?.widened(hidden);
        // A wait that an update of the timers falls into is counted twice as far as it had lasted by then.
        let missing = hidden * seconds / HIDDEN_SECONDS;
        Some(if counts_waits_twice { time.raised(missing) } else { time })
    };
    let is_precise = |sums: &Tally, seconds: f64| {
        estimate(sums, seconds).is_some_and(|time| time.relative_half_width() <= PRECISE)
    };
    let mut start = window;
    if changed > window {
        (start, sums, seconds) = (samples.len(), Tally::default(), 0.0);
    }
    while start > changed && (start > window || !is_precise(&sums, seconds)) {
        start -= 1;
        if let Some(cost) = of_sample(of(start)) {
            sums.add(cost.weight, cost.value);
            seconds += of(start).seconds();
        }
    }
    let service_time = estimate(&sums, seconds).filter(|time| time.mean > 0.0)?.at_least_zero();
    Some(Cost { service_time, records: if is_warm { sums.weight() } else { 0.0 } })
}

/// What the last samples show of how costs differ, and of how long a subtask waits.
struct Watched {
    least: f64,
    most: f64,
    /// Seconds that a subtask waits at a stretch, at the least.
    longest_wait: f64,
}

impl Default for Watched {
    fn default() -> Self {
        Self { least: f64::INFINITY, most: f64::NEG_INFINITY, longest_wait: 0.0 }
    }
}

impl Watched {
    fn add(&mut self, sample: &VertexSample, cost: Option<Seen>, parallelism: Parallelism) {
        if let Some(cost) = cost {
            (self.least, self.most) = (self.least.min(cost.value), self.most.max(cost.value));
        }
        if let Some(wait) = longer_wait(sample, parallelism, self.longest_wait) {
            self.longest_wait = wait.min(HIDDEN_SECONDS);
        }
    }

    /// Whether all costs are so close together that none can lie outside of the others, as they nearly always are.
    fn is_even(&self) -> bool {
        self.least > 0.0 && self.most - self.least <= self.least * CHANGES
    }
}

/// Seconds for which a subtask must have waited at a stretch within a sample, at the least: its waiting divided by the
/// pauses that its records leave room for. Busy time that is taken back was such a wait, too. `None` unless that is longer than
/// what is known, which costs no division to see.
fn longer_wait(sample: &VertexSample, parallelism: Parallelism, known: f64) -> Option<f64> {
    let (busy, records) = (sample.busy_seconds()?, float(sample.read?));
    let subtasks = parallelism.as_f64();
    let (waiting, pauses) = (sample.seconds() * subtasks - busy, records + subtasks);
    let on_average = (waiting > known * pauses).then(|| waiting / pauses);
    let taken_back = (-busy > known * subtasks).then(|| -busy / subtasks);
    on_average.into_iter().chain(taken_back).reduce(f64::max)
}

/// Records and seconds per record over one sample.
fn of_sample(sample: &VertexSample) -> Option<Seen> {
    let records = float(sample.read.filter(|records| *records > 0)?);
    Some(Seen { value: sample.busy_seconds()? / records, weight: records })
}

/// The first sample since the cost of a record last changed.
fn last_change(samples: &[Sample], v: usize, parallelism: Parallelism, longest_wait: f64) -> usize {
    let first = samples.len().saturating_sub(WATCHED);
    let at = |sample: usize, _| of_sample(&samples[first + sample].vertices[v]);
    let variance = |sample: usize, _| {
        at(sample, 0).map_or(0.0, |cost| {
            ratio_variance(cost.value) + hidden(longest_wait, cost.weight, parallelism).powi(2)
        })
    };
    let regime = last_regime::<1>(samples.len() - first, CHANGES, 1, at, variance);
    if regime.start == 0 { 0 } else { first + regime.start }
}

/// Seconds per record by which a service time may be wrong because waiting counted as busy, at either end: up to as long as
/// a subtask waits at a stretch, on every subtask.
fn hidden(longest_wait: f64, records: f64, parallelism: Parallelism) -> f64 {
    parallelism.as_f64() * longest_wait / records
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    /// Samples of 2 s of one subtask: records taken in, and milliseconds that count as busy.
    fn samples(counted: &[(u64, i64)]) -> Vec<Sample> {
        let sample = |&(read, busy_ms): &(u64, i64)| Sample {
            lags: Vec::new(),
            at: Timestamp::from_millis(0),
            micros: 2_000_000,
            warm: true,
            vertices: vec![VertexSample {
                micros: 2_000_000,
                read: Some(read),
                busy_ms: Some(busy_ms),
                ..VertexSample::default()
            }],
        };
        counted.iter().map(sample).collect()
    }

    /// The service time of the last samples, those since number `window`, in milliseconds: its interval.
    fn interval(counted: &[(u64, i64)], window: usize) -> (f64, f64) {
        let time = cost(&samples(counted), window, 0, Parallelism::ONE, false);
        let time = time.expect("there are records").service_time;
        (time.low * 1e3, time.high * 1e3)
    }

    #[test]
    fn waiting_that_counts_as_busy_is_allowed_for() {
        // A step of 10 ms a record after a window that fires every 5 s, as a real 1.20.5 showed it.
        let counted = [(154, 2033), (7, -421), (210, 2099), (39, 980), (256, 2519), (10, -433), (208, 2077)];
        for until in 2..=counted.len() {
            for window in 0..until {
                let (low, high) = interval(&counted[..until], window);
                assert!(low <= 10.0 && 10.0 <= high, "{window}..{until}: {low} to {high} ms");
            }
        }
    }

    #[test]
    fn waiting_that_counts_twice_is_allowed_for() {
        // Ten subtasks of 4 ms a record and ten of 1 ms, with ten records/s each, as a real 1.18.1 showed them.
        let parse = [-1271, -361, 2367, -3269, 1274, -1270, 1223, 1323, -3504, 1416, 791, -1415, -138];
        let enrich = [-2306, -783, 2317, -3846, 789, -2815, 846, 775, -3518, 1000, -258, -1818, 257];
        for (millis, busy) in [(4.0, parse), (1.0, enrich)] {
            let counted = busy.map(|busy| (200, busy));
            let ten = Parallelism::clamped(10);
            for first in 0..counted.len() - 2 {
                let cost = cost(&samples(&counted[first..]), 0, 0, ten, true);
                let Estimate { low, high, .. } = cost.expect("it is known within bounds").service_time;
                assert!(low <= millis / 1e3 && millis / 1e3 <= high, "{millis} ms: {low} to {high} s");
            }
        }
        // A subtask that hardly waits is measured as well as ever.
        let full = cost(&samples(&[(500, 1990); 6]), 0, 0, Parallelism::ONE, true).expect("a cost");
        assert!(full.service_time.relative_half_width() < PRECISE, "{full:?}");
    }

    #[test]
    fn a_cost_that_changes_is_seen_and_one_that_does_not_is_known_well() {
        let steady = [(1000, 1000); 6];
        let (low, high) = interval(&steady, 5);
        assert!(0.95 < low && high < 1.05, "{low} to {high} ms");
        let changed = [(1000, 1000), (1000, 1000), (1000, 1000), (800, 1600), (800, 1600)];
        let (low, high) = interval(&changed, 0);
        assert!(1.9 < low && high < 2.1, "{low} to {high} ms");
    }
}
