//! What a record costs: busy seconds of one subtask per record taken in.

use super::estimate::{Tally, both, ratio_noise};
use super::sample::HIDDEN_SECONDS;
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
/// more of the past, back to when it last changed.
pub(super) fn cost(samples: &[Sample], window: usize, v: usize, parallelism: Parallelism) -> Option<Cost> {
    let is_warm = samples.last()?.warm;
    let window = window.min(samples.len() - 1);
    let of = |index: usize| &samples[index].vertices[v];

    let mut sums = Sums::default();
    let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
    for index in (samples.len().saturating_sub(WATCHED).min(window)..samples.len()).rev() {
        if let Some(cost) = of_sample(of(index)) {
            (least, most) = (least.min(cost.value), most.max(cost.value));
            if index >= window {
                sums.add(of(index), cost, parallelism);
            }
        }
    }
    // Nearly always all are so close together that none can lie outside of the others.
    let changed =
        if least > 0.0 && most - least <= least * CHANGES { 0 } else { last_change(samples, v, parallelism) };
    let mut start = window;
    if changed > window {
        (sums, start) = (Sums::default(), samples.len());
    }
    while start > changed && (start > window || !sums.is_precise(parallelism)) {
        start -= 1;
        if let Some(cost) = of_sample(of(start)) {
            sums.add(of(start), cost, parallelism);
        }
    }
    let service_time = sums.estimate(parallelism).filter(|time| time.mean > 0.0)?.at_least_zero();
    Some(Cost { service_time, records: if is_warm { sums.costs.weight() } else { 0.0 } })
}

/// Records and seconds per record over one sample.
fn of_sample(sample: &VertexSample) -> Option<Seen> {
    let records = sample.read.filter(|records| *records > 0)? as f64;
    Some(Seen { value: sample.busy_seconds()? / records, weight: records })
}

/// The first sample since the cost of a record last changed.
fn last_change(samples: &[Sample], v: usize, parallelism: Parallelism) -> usize {
    let first = samples.len().saturating_sub(WATCHED);
    let of = |sample: usize| &samples[first + sample].vertices[v];
    let noise = |sample: usize, _| {
        of_sample(of(sample)).map_or(0.0, |cost| {
            let waiting = waiting(of(sample), cost, parallelism);
            both(ratio_noise(cost.value), hidden(waiting, cost.weight, parallelism))
        })
    };
    let at = |sample: usize, _| of_sample(of(sample));
    let regime = last_regime::<1>(samples.len() - first, CHANGES, 1, at, noise);
    if regime.start == 0 { 0 } else { first + regime.start }
}

/// Seconds of subtasks that were not busy.
fn waiting(sample: &VertexSample, cost: Seen, parallelism: Parallelism) -> f64 {
    sample.seconds() * parallelism.as_f64() - cost.value * cost.weight
}

/// Seconds per record by which a service time may be wrong because waiting counted as busy, at either end: up to as long as
/// a subtask waits for a record, on every subtask.
fn hidden(waiting: f64, records: f64, parallelism: Parallelism) -> f64 {
    parallelism.as_f64() * (waiting.max(0.0) / records).min(HIDDEN_SECONDS) / records
}

#[derive(Default)]
struct Sums {
    /// Seconds per record, weighted by records.
    costs: Tally,
    waiting: f64,
}

impl Sums {
    fn add(&mut self, sample: &VertexSample, cost: Seen, parallelism: Parallelism) {
        self.costs.add(cost.weight, cost.value);
        self.waiting += waiting(sample, cost, parallelism);
    }

    fn estimate(&self, parallelism: Parallelism) -> Option<Estimate> {
        let hidden = hidden(self.waiting, self.costs.weight(), parallelism);
        Some(self.costs.estimate(ratio_noise)?.widened(hidden))
    }

    fn is_precise(&self, parallelism: Parallelism) -> bool {
        self.estimate(parallelism).is_some_and(|time| time.relative_half_width() <= PRECISE)
    }
}
