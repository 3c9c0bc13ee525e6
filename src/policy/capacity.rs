//! What every vertex can take in: the learned curve, put through the point where the vertex is now.

use crate::model::{CurvePoint, Ledger, Seconds, Snapshot, Timestamp};
use crate::signals::{self, Curve, Signals, VertexSignals};

use super::Found;

/// A vertex pushes back when the vertices before it spend more of their time than this waiting for it. Flink's own web
/// page calls 0.1 to 0.5 "low" and more "high"; a third is beyond what bursts of a window cause.
pub(super) const PUSHES_BACK: f64 = 0.33;

/// A vertex that itself waits for less than this share of its time is not held up by those after it.
const FREE: f64 = 0.1;

/// A source that has more than this many seconds of its own output waiting works as fast as it can: no connector holds
/// back that much by itself.
const SOURCE_IS_BEHIND_SECONDS: f64 = 10.0;

/// So does one for which more and more is waiting, beyond what may be on its way.
const SOURCE_FALLS_BEHIND_SECONDS: f64 = 2.0;

/// What one vertex can take in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Capacity {
    /// Service time by parallelism, skew included.
    pub(super) curve: Curve,
    /// How it was found.
    pub(super) found: Found,
    /// Shares of the curve's capacity that it has at the least and at the most: what a record costs is known within an
    /// interval.
    pub(super) within: (f64, f64),
    /// Whether it may be taken for too much. Not where it is only remembered: what is not measured now lowers no size. What a source
    /// can do is measured only while it is full, and remembered for when it is not.
    pub(super) lets_shrink: bool,
}

/// The capacity of every vertex, in the graph's order; `None` where it cannot be known.
pub(super) fn of_all(
    signals: &Signals,
    snapshot: &Snapshot,
    ledger: &Ledger,
    now: Timestamp,
) -> Vec<Option<Capacity>> {
    (0..snapshot.graph.len()).map(|vertex| of_one(vertex, signals, snapshot, ledger, now)).collect()
}

fn of_one(
    vertex: usize,
    signals: &Signals,
    snapshot: &Snapshot,
    ledger: &Ledger,
    now: Timestamp,
) -> Option<Capacity> {
    let graph = &snapshot.graph;
    let id = graph.vertices()[vertex].id;
    let seen = &signals.vertices[vertex];
    let parallelism = seen.parallelism;
    let full_rate = full_rate(vertex, signals, snapshot);
    let measured = if graph.is_source(vertex) {
        // A source that waits counts as busy: only when it is full does its rate tell what it can do.
        full_rate.map(|rate| parallelism.as_f64() / rate)
    } else {
        seen.service_time.map(|time| time.mean)
    };
    let learned = ledger.curves.get(&id).and_then(|points| shape(points, measured, seen, signals.at, now));
    let service_time = measured
        .or_else(|| learned.map(|curve| curve.service_time(parallelism)))
        .filter(|time| time.is_finite() && *time > 0.0)?;

    let skew = match full_rate {
        Some(rate) if !graph.is_source(vertex) => (parallelism.as_f64() / (service_time * rate)).max(1.0),
        _ => ledger.skews.get(&id).copied().unwrap_or(1.0),
    };
    let shape = learned.unwrap_or_else(|| Curve::flat(service_time));
    // The shape is what was learned; the height is what is measured now, so that a change of the cost itself counts at once.
    let height = service_time * skew / shape.service_time(parallelism);
    let curve = shape.scaled(height);
    let found = Found { service_time, is_measured: measured.is_some(), skew, is_full: full_rate.is_some() };
    let within = match seen.service_time {
        // A rate at which it is full is its capacity, whatever a record costs.
        Some(time) if full_rate.is_none() => (time.mean / time.high, time.mean / time.low),
        _ => (1.0, 1.0),
    };
    let lets_shrink = measured.is_some() || graph.is_source(vertex);
    curve.capacity(parallelism).is_finite().then_some(Capacity { curve, found, within, lets_shrink })
}

/// The curve through what was learned, and through what is measured now where that is another size: right after a rescale it
/// is the one point that tells what the rescale brought.
fn shape(
    points: &[CurvePoint],
    measured: Option<f64>,
    seen: &VertexSignals,
    at: Timestamp,
    now: Timestamp,
) -> Option<Curve> {
    let service_time = measured.and_then(|time| Seconds::new(time).ok());
    match service_time {
        Some(service_time) if points.iter().all(|point| point.parallelism != seen.parallelism) => {
            let records = seen.records;
            let mut points = points.to_vec();
            signals::learn(
                &mut points,
                CurvePoint { parallelism: seen.parallelism, service_time, records, at },
            );
            Curve::fit(&points, now)
        }
        _ => Curve::fit(points, now),
    }
}

/// The vertex's rate, if it is as much as it can do: it is not held up itself, and what is before it waits for it.
fn full_rate(vertex: usize, signals: &Signals, snapshot: &Snapshot) -> Option<f64> {
    let graph = &snapshot.graph;
    let seen = &signals.vertices[vertex];
    if seen.back_pressured? >= FREE {
        return None;
    }
    let rate = if graph.is_source(vertex) {
        let rate = seen.rate_out?.mean;
        let waits = seen.backlog?;
        let grows = seen.backlog_growth.is_some_and(|growth| growth.low > 0.0);
        let is_behind =
            waits > rate * SOURCE_IS_BEHIND_SECONDS || grows && waits > rate * SOURCE_FALLS_BEHIND_SECONDS;
        is_behind.then_some(rate)?
    } else {
        let waits = |&edge: &usize| {
            let from = graph.edges()[edge].from;
            // Only where this is the one vertex it can be waiting for.
            graph.outputs(from).len() == 1
                && signals.vertices[from].back_pressured.is_some_and(|s| s > PUSHES_BACK)
        };
        graph.inputs(vertex).iter().any(waits).then_some(seen.rate_in?.mean)?
    };
    (rate > 0.0).then_some(rate)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Job, estimate};
    use super::*;
    use crate::model::Parallelism;

    fn capacities(job: &Job) -> Vec<Option<f64>> {
        of_all(&job.signals, &job.snapshot, &job.ledger, job.now)
            .iter()
            .enumerate()
            .map(|(v, c)| c.map(|c| c.curve.capacity(job.signals.vertices[v].parallelism).round()))
            .collect()
    }

    #[test]
    fn is_parallelism_over_service_time() {
        let job = Job::chain(&[(1, 0.0), (3, 0.004), (2, 0.001)]).arriving(500.0);
        assert_eq!(capacities(&job), [None, Some(750.0), Some(2000.0)]);
    }

    #[test]
    fn a_source_tells_its_capacity_only_while_it_is_behind() {
        let mut behind = Job::chain(&[(2, 0.0), (3, 0.004)]).arriving(700.0).backlog(7500.0);
        assert_eq!(capacities(&behind)[0], Some(700.0));
        behind.signals.vertices[0].backlog = Some(5000.0);
        assert_eq!(capacities(&behind)[0], None, "that much may always wait there");
        behind.signals.vertices[0].backlog_growth = Some(estimate(50.0));
        assert_eq!(capacities(&behind)[0], Some(700.0), "but it grows");
        let mut held_up = behind.clone();
        held_up.signals.vertices[0].back_pressured = Some(0.5);
        assert_eq!(capacities(&held_up)[0], None, "what is after it holds it up");
    }

    #[test]
    fn a_hot_subtask_shows_when_the_vertex_is_full() {
        let mut job = Job::chain(&[(1, 0.0), (4, 0.004)]).arriving(600.0);
        job.signals.vertices[0].back_pressured = Some(0.6);
        assert_eq!(capacities(&job)[1], Some(600.0), "its busy time alone would say 1000");
    }

    #[test]
    fn the_last_known_skew_holds_while_it_is_not_full() {
        let mut job = Job::chain(&[(1, 0.0), (4, 0.004)]).arriving(600.0);
        let id = job.snapshot.graph.vertices()[1].id;
        job.ledger.skews.insert(id, 2.0);
        assert_eq!(capacities(&job)[1], Some(500.0));
    }

    #[test]
    fn the_shape_is_learned_and_the_height_is_measured() {
        let mut job = Job::chain(&[(1, 0.0), (2, 0.002)]).arriving(600.0);
        // Learned when a record cost half of what it costs now: twice the parallelism costs 1.5 times the time.
        job.learned(1, &[(2, 1.0), (4, 1.5)]);
        let all = of_all(&job.signals, &job.snapshot, &job.ledger, job.now);
        let curve = all[1].expect("it is known").curve;
        assert!((curve.service_time(Parallelism::clamped(2)) - 0.002).abs() < 1e-9);
        assert!((curve.service_time(Parallelism::clamped(4)) - 0.003).abs() < 1e-4, "{curve:?}");
    }

    #[test]
    fn nothing_measured_and_nothing_learned_is_not_known() {
        let mut job = Job::chain(&[(1, 0.0), (4, 0.004)]).arriving(600.0);
        job.signals.vertices[1].service_time = None;
        assert_eq!(capacities(&job)[1], None);
        job.signals.vertices[1].service_time = Some(estimate(0.0));
        assert_eq!(capacities(&job)[1], None, "a service time of zero is no service time");
    }
}
