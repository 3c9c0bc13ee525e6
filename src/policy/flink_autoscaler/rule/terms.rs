//! Tidegate's signals and memory in the operator's terms.

use std::time::Duration;

use crate::model::{Graph, Ledger, Ship, Timestamp, VertexId};
use crate::policy::Policy;
use crate::policy::capacity::Capacity;
use crate::signals::{Signals, VertexSignals};

use super::super::capacity::{Demand, thresholds};
use super::super::evaluate::{Evaluated, EvaluatedVertex, evaluate_global};
use super::super::history::{RestartTracking, Scaling, ScalingHistory};
use super::super::options::{BusyTime, Options};
use super::super::processing_rate::{choose, from_busy_time};
use super::super::reading::observed_rate_sample;
use super::super::topology::{Topology, Vertex};

/// The job's graph in the operator's terms.
pub(in crate::policy) fn topology(graph: &Graph, signals: &Signals, policy: &Policy) -> Option<Topology> {
    let vertex = |(index, vertex): (usize, &crate::model::Vertex)| {
        let mut inputs = Vec::new();
        for edge in graph.inputs(index).iter().map(|edge| graph.edges()[*edge]) {
            match inputs.iter_mut().find(|(from, _)| *from == edge.from) {
                // Of two edges the one by key counts: it is what the alignment is for.
                Some((_, ship)) if edge.ship == Ship::Hash => *ship = Ship::Hash,
                Some(_) => {}
                None => inputs.push((edge.from, edge.ship)),
            }
        }
        Vertex {
            id: vertex.id.to_string(),
            parallelism: signals.vertices[index].parallelism.get(),
            max_parallelism: vertex.max_parallelism.get(),
            partitions: policy.partitions(graph, index),
            slot_sharing_group: None,
            finished: false,
            inputs,
        }
    };
    Topology::new(graph.vertices().iter().enumerate().map(vertex).collect()).ok()
}

/// Restarts that were seen, as far back as the operator would remember them.
pub(super) fn restarts(options: &Options, ledger: &Ledger, now: Timestamp) -> RestartTracking {
    let oldest = now - options.history_max_age;
    let most = usize::try_from(options.history_max_count).unwrap_or(usize::MAX);
    let seen = ledger.rescales.iter().rev().take(most).filter(|rescale| rescale.at >= oldest);
    let seconds = seen.filter_map(|rescale| rescale.downtime);
    let seconds: Vec<Duration> =
        seconds.filter_map(|downtime| Duration::try_from_secs_f64(downtime.get()).ok()).collect();
    RestartTracking::of_durations(&seconds)
}

/// Past rescales of each vertex, with what it could take in at the size before, as far as that was learned; none where the options
/// make no use of them.
pub(super) fn history(
    options: &Options,
    graph: &Graph,
    topology: &Topology,
    ledger: &Ledger,
    now: Timestamp,
) -> ScalingHistory {
    let mut history = ScalingHistory::default();
    if !(options.effectiveness_detection || options.observed_scalability) {
        return history;
    }
    for (vertex, named) in graph.vertices().iter().zip(topology.vertices()) {
        for scaling in scalings(options, &vertex.id, ledger) {
            history.add(options, &named.id, scaling);
        }
    }
    history.forget(options, now, |_| true);
    history
}

fn scalings(options: &Options, id: &VertexId, ledger: &Ledger) -> Vec<Scaling> {
    let Some(points) = ledger.curves.get(id) else { return Vec::new() };
    // As the rate of now is reckoned: points are learned without skew.
    let skew = busiest(options, ledger.skews.get(id).copied());
    let made = ledger.rescales.iter().filter(|rescale| rescale.end.changed_the_job());
    made.filter_map(|rescale| {
        let (from, to) = (*rescale.from.get(id)?, *rescale.to.get(id)?);
        let point = points.iter().find(|point| point.parallelism == from)?;
        let rate = from.as_f64() / (point.service_time.get() * skew);
        (from != to).then(|| Scaling {
            at: rescale.at,
            from: from.get(),
            to: to.get(),
            true_processing_rate: rate,
            expected_rate: rate / from.as_f64() * to.as_f64(),
        })
    })
    .collect()
}

/// What the operator would evaluate.
pub(super) fn evaluate(
    options: &Options,
    graph: &Graph,
    signals: &Signals,
    capacities: &[Option<Capacity>],
    restart_time: Duration,
) -> Evaluated {
    let demands = demands(options, graph, signals);
    let processing_backlog = graph.sources().any(|source| is_behind(options, &signals.vertices[source]));
    let vertices = demands
        .into_iter()
        .enumerate()
        .map(|(vertex, demand)| {
            let seen = &signals.vertices[vertex];
            let rate = true_processing_rate(
                options,
                signals,
                seen,
                graph.is_source(vertex),
                capacities[vertex].as_ref(),
            );
            EvaluatedVertex {
                demand,
                true_processing_rate: rate,
                load: seen.busy.unwrap_or(f64::NAN),
                lag: seen.backlog.unwrap_or(f64::NAN),
                thresholds: thresholds(options, demand, processing_backlog, restart_time),
            }
        })
        .collect();
    Evaluated { vertices, global: evaluate_global(&[]), processing_backlog }
}

/// What each vertex has to take in; NaN where a rate or a selectivity is not known.
fn demands(options: &Options, graph: &Graph, signals: &Signals) -> Vec<Demand> {
    let mut demands = vec![Demand { target: f64::NAN, catch_up: f64::NAN }; graph.len()];
    let seconds = options.catch_up_duration.as_secs() as f64;
    for &vertex in graph.order() {
        let seen = &signals.vertices[vertex];
        demands[vertex] = if graph.is_source(vertex) {
            let catch_up = if seconds > 0.0 { seen.backlog.unwrap_or(0.0) / seconds } else { 0.0 };
            Demand { target: seen.arrival.map_or(f64::NAN, |arrival| arrival.mean.max(0.0)), catch_up }
        } else {
            let mut sum = Demand { target: 0.0, catch_up: 0.0 };
            for &edge in graph.inputs(vertex) {
                let from = demands[graph.edges()[edge].from];
                // Nothing in gives nothing out, whatever the selectivity would be.
                let ratio = match signals.edges[edge].selectivity {
                    _ if from.target == 0.0 && from.catch_up == 0.0 => 0.0,
                    Some(selectivity) => selectivity.mean,
                    None => f64::NAN,
                };
                sum.target += from.target * ratio;
                sum.catch_up += from.catch_up * ratio;
            }
            sum
        };
    }
    demands
}

fn is_behind(options: &Options, source: &VertexSignals) -> bool {
    let (Some(backlog), Some(rate)) = (source.backlog, source.rate_in) else { return false };
    backlog / rate.mean > options.backlog_lag_threshold.as_secs() as f64
}

/// What a vertex can take in, by its busy time or, for a source that is behind, by what it does.
fn true_processing_rate(
    options: &Options,
    signals: &Signals,
    seen: &VertexSignals,
    is_source: bool,
    capacity: Option<&Capacity>,
) -> f64 {
    let rate = seen.rate_in.map_or(f64::NAN, |rate| rate.mean);
    let skew = busiest(options, capacity.map(|capacity| capacity.found.skew));
    let by_busy_time = match seen.service_time {
        Some(time) => seen.parallelism.as_f64() / (time.mean * skew),
        None => from_busy_time(seen.busy.unwrap_or(f64::NAN) * 1000.0 * skew, rate),
    };
    let observed = if is_source && signals.samples >= options.observed_rate_min_observations {
        let back_pressured = seen.back_pressured.unwrap_or(f64::NAN) * 1000.0;
        observed_rate_sample(options, seen.backlog.unwrap_or(0.0), rate, back_pressured, || f64::NAN)
    } else {
        f64::NAN
    };
    choose(options, by_busy_time, observed)
}

/// How much busier the subtask is whose busy time counts than the mean: of the busiest that is what Tidegate calls skew. Of the
/// least busy it is not known, so the mean stands for it.
fn busiest(options: &Options, skew: Option<f64>) -> f64 {
    match options.busy_time {
        BusyTime::Max => skew.unwrap_or(1.0),
        BusyTime::Min | BusyTime::Avg => 1.0,
    }
}
