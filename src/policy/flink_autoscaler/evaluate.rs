//! From a window of samples to what the operator decides on: for each vertex what it has to take in and what it can.

use std::time::Duration;

use thiserror::Error;

use super::Options;
use super::capacity::{Demand, Thresholds, thresholds};
use super::edges::output_ratio;
use super::processing_rate::{busy_ms_per_second, input_rate, true_processing_rate, values};
use super::sample::{GlobalSample, Sample};
use super::topology::Topology;
use super::window::{average, rate};

/// What is known of one vertex over the window.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluatedVertex {
    /// What it has to take in.
    pub demand: Demand,
    /// Records/s that it can take in; infinite for one without input.
    pub true_processing_rate: f64,
    /// The share of its time that it is busy.
    pub load: f64,
    /// Records that wait, as of the last sample; NaN for what is no source.
    pub lag: f64,
    /// Between which rates it is left alone.
    pub thresholds: Thresholds,
}

/// A metric of the `TaskManagers` as of the last sample, and over the window; NaN where it is not known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatestAndAverage {
    /// Of the last sample.
    pub latest: f64,
    /// Over the window.
    pub average: f64,
}

/// What is known of the `TaskManagers` over the window.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluatedGlobal {
    /// The share of time spent collecting garbage, as of the last sample.
    pub gc_pressure: f64,
    /// The share of the heap in use.
    pub heap_usage_ratio: LatestAndAverage,
    /// Bytes of heap in use.
    pub heap_used: LatestAndAverage,
    /// Bytes of managed memory in use.
    pub managed_used: LatestAndAverage,
    /// Bytes of metaspace in use.
    pub metaspace_used: LatestAndAverage,
    /// Slots that are taken, as of the last sample.
    pub slots_used: f64,
}

/// What is known of a job over the window.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// One for each vertex, in the topology's order.
    pub vertices: Vec<EvaluatedVertex>,
    /// Of the `TaskManagers`.
    pub global: EvaluatedGlobal,
    /// Whether a source is far behind.
    pub processing_backlog: bool,
}

/// Nothing can be evaluated without the ingestion rate of every source.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the ingestion rate of source `{0}` is not known")]
pub struct NoIngestionRate(pub String);

/// Evaluates a window.
///
/// # Errors
/// When the ingestion rate of a source is not known.
pub fn evaluate(
    options: &Options,
    topology: &Topology,
    window: &[Sample],
    restart_time: Duration,
) -> Result<Evaluated, NoIngestionRate> {
    let processing_backlog = is_processing_backlog(options, topology, window);
    let demands = demands(options, topology, window)?;
    let vertices = topology
        .vertices()
        .iter()
        .zip(demands)
        .enumerate()
        .map(|(index, (vertex, demand))| EvaluatedVertex {
            demand,
            true_processing_rate: true_processing_rate(options, window, index, vertex.parallelism),
            load: busy_ms_per_second(options, window, index, vertex.parallelism) / 1000.0,
            lag: latest_lag(window, index),
            thresholds: thresholds(options, demand, processing_backlog, restart_time),
        })
        .collect();
    Ok(Evaluated { vertices, global: evaluate_global(window), processing_backlog })
}

/// What each vertex has to take in: sources what comes to exist, all others what their inputs send on.
fn demands(
    options: &Options,
    topology: &Topology,
    window: &[Sample],
) -> Result<Vec<Demand>, NoIngestionRate> {
    let mut demands = vec![Demand { target: 0.0, catch_up: 0.0 }; topology.vertices().len()];
    for &vertex in topology.order() {
        demands[vertex] = if topology.is_source(vertex) {
            of_source(options, window, vertex)
                .ok_or_else(|| NoIngestionRate(topology.vertices()[vertex].id.clone()))?
        } else {
            let mut sum = Demand { target: 0.0, catch_up: 0.0 };
            for &(input, _) in &topology.vertices()[vertex].inputs {
                let ratio = output_ratio(topology, window, input, vertex);
                sum.target += demands[input].target * ratio;
                sum.catch_up += demands[input].catch_up * ratio;
            }
            sum
        };
    }
    Ok(demands)
}

fn of_source(options: &Options, window: &[Sample], vertex: usize) -> Option<Demand> {
    let target = input_rate(window, vertex) + rate(values(window, vertex, |sample| sample.lag));
    if target.is_nan() {
        return None;
    }
    let lag = latest_lag(window, vertex);
    let seconds = options.catch_up_duration.as_secs() as f64;
    let catch_up = if seconds > 0.0 && !lag.is_nan() { lag / seconds } else { 0.0 };
    Some(Demand { target: target.max(0.0), catch_up })
}

fn latest_lag(window: &[Sample], vertex: usize) -> f64 {
    window.last().and_then(|last| last.vertices.get(vertex)).map_or(f64::NAN, |sample| sample.lag)
}

/// Whether a source would take longer than the threshold to take in what waits.
pub fn is_processing_backlog(options: &Options, topology: &Topology, window: &[Sample]) -> bool {
    let threshold = options.backlog_lag_threshold.as_secs() as f64;
    (0..topology.vertices().len()).filter(|&vertex| topology.is_source(vertex)).any(|vertex| {
        // Neither a lag nor a rate that is not known is above anything.
        latest_lag(window, vertex) / input_rate(window, vertex) > threshold
    })
}

/// The metrics of the `TaskManagers`.
pub fn evaluate_global(window: &[Sample]) -> EvaluatedGlobal {
    let unknown = GlobalSample::default();
    let last = window.last().map_or(&unknown, |sample| &sample.global);
    let both = |of: fn(&GlobalSample) -> f64| LatestAndAverage {
        latest: of(last),
        average: average(window.iter().map(|sample| of(&sample.global)), 1),
    };
    EvaluatedGlobal {
        gc_pressure: last.gc_pressure,
        heap_usage_ratio: both(|global| global.heap_usage_ratio),
        heap_used: both(|global| global.heap_used),
        managed_used: both(|global| global.managed_used),
        metaspace_used: both(|global| global.metaspace_used),
        slots_used: last.slots_used,
    }
}
