//! The mathematics of `DS2` (Kalavri et al., "Three steps is all you need", OSDI'18), for the throughput rule and for whoever has
//! rates and no signals.
//!
//! Equation 8: what a vertex must put out is what it must take in times its selectivity, beginning with the sources. Equation 7: it
//! needs as many subtasks as take that in at their true rate. The rule puts a learned [`crate::signals::Curve`] in the place
//! of the one rate; on a flat curve, at full utilization, that is equation 7 as it stands.

use std::ops::Add;

use crate::model::{Graph, Parallelism};
use crate::signals::{Curve, Needed};

/// What each vertex must take in, in the graph's order; `None` where it cannot be known (equation 8).
///
/// `source` gives what comes to a source, by its index; `along` gives how much of a vertex's share travels along one of its outputs,
/// by the edge's index.
pub fn spread<T: Copy + Default + Add<Output = T>>(
    graph: &Graph,
    source: impl Fn(usize) -> Option<T>,
    along: impl Fn(usize, T) -> Option<T>,
) -> Vec<Option<T>> {
    let mut shares: Vec<Option<T>> = vec![None; graph.len()];
    for &vertex in graph.order() {
        shares[vertex] = if graph.is_source(vertex) {
            source(vertex)
        } else {
            graph.inputs(vertex).iter().try_fold(T::default(), |sum, &edge| {
                let from = shares[graph.edges()[edge].from]?;
                Some(sum + along(edge, from)?)
            })
        };
    }
    shares
}

/// The smallest parallelism that takes in `target` records/s where one subtask takes in `true_rate` (equation 7): at least 1, at most
/// Flink's 32768; `None` when that is not enough either, or a rate is not a number.
pub fn needed(target: f64, true_rate: f64) -> Option<Parallelism> {
    let is_rate = target.is_finite() && true_rate.is_finite() && true_rate > 0.0;
    match is_rate.then(|| Curve::flat(1.0 / true_rate).needed(target, 1.0, Parallelism::clamped(u64::MAX)))? {
        Needed::Enough(parallelism) => Some(parallelism),
        Needed::Unscalable { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_what_the_division_says() {
        for (target, true_rate, parallelism) in [
            (0.0, 10.0, Some(1)),
            (10.0, 10.0, Some(1)),
            (10.1, 10.0, Some(2)),
            (1_000_000.0, 93_441.4, Some(11)),
            (327_680.0, 10.0, Some(32_768)),
            (327_681.0, 10.0, None),
            (1.0, 0.0, None),
            (f64::NAN, 1.0, None),
            (f64::INFINITY, 1.0, None),
            (1.0, -1.0, None),
        ] {
            assert_eq!(
                needed(target, true_rate).map(Parallelism::get),
                parallelism,
                "{target} / {true_rate}"
            );
        }
    }
}
