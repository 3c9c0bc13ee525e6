//! What every vertex must take in: the arrival at the sources, spread down the graph by selectivity (`DS2`, OSDI'18, eq. 8).

use std::ops::Add;

use super::ds2;
use crate::model::Graph;
use crate::signals::{Estimate, Signals};

/// Records/s that one vertex must take in.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Load {
    /// As surely as it is at least: arrival and catch-up at the lower bound of the interval.
    pub(super) low: f64,
    /// As surely as it is at most.
    pub(super) high: f64,
    /// What arrives, with no backlog to work off.
    pub(super) arrival: f64,
    /// Arrival and catch-up.
    pub(super) steady: f64,
    /// Arrival, catch-up, and what piles up while the job restarts: what a new size is chosen for.
    pub(super) after_restart: f64,
}

impl Load {
    fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self {
            low: f(self.low),
            high: f(self.high),
            arrival: f(self.arrival),
            steady: f(self.steady),
            after_restart: f(self.after_restart),
        }
    }

    fn is_finite(self) -> bool {
        [self.low, self.high, self.arrival, self.steady, self.after_restart]
            .iter()
            .all(|rate| rate.is_finite())
    }
}

impl Add for Load {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            low: self.low + other.low,
            high: self.high + other.high,
            arrival: self.arrival + other.arrival,
            steady: self.steady + other.steady,
            after_restart: self.after_restart + other.after_restart,
        }
    }
}

/// How a backlog is worked off.
#[derive(Clone, Copy, Debug)]
pub(super) struct CatchUp {
    /// The time in which it is to be gone; 0: as it comes.
    pub(super) seconds: f64,
    /// The time for which nothing is taken in when the job restarts.
    pub(super) restart_seconds: f64,
}

/// The load of every vertex, in the graph's order; `None` where it cannot be known.
pub(super) fn spread(signals: &Signals, graph: &Graph, catch_up: CatchUp) -> Vec<Option<Load>> {
    let source = |vertex| of_source(signals, vertex, catch_up);
    let along = |edge, from: Load| along(signals, edge, from).filter(|_| from.is_finite());
    ds2::spread(graph, source, along).into_iter().map(|load| load.filter(|load| load.is_finite())).collect()
}

/// `control.md` section 4: arrival + (backlog + arrival x restart time) / catch-up time.
fn of_source(signals: &Signals, vertex: usize, catch_up: CatchUp) -> Option<Load> {
    let source = &signals.vertices[vertex];
    let arrival = source.arrival?;
    let per_second = if catch_up.seconds > 0.0 { 1.0 / catch_up.seconds } else { 0.0 };
    let backlog = source.backlog.unwrap_or(0.0) * per_second;
    Some(Load {
        low: arrival.low.max(0.0) + backlog,
        high: arrival.high.max(0.0) + backlog,
        arrival: arrival.mean.max(0.0),
        steady: arrival.mean.max(0.0) + backlog,
        after_restart: arrival.mean.max(0.0) * (1.0 + catch_up.restart_seconds * per_second) + backlog,
    })
}

/// The part of a vertex's load that travels along one of its outputs.
fn along(signals: &Signals, edge: usize, from: Load) -> Option<Load> {
    // Nothing in gives nothing out, whatever the selectivity would be.
    if from.after_restart <= 0.0 {
        return Some(Load::default());
    }
    let edge = &signals.edges[edge];
    let Estimate { low, mean, high, .. } = edge.selectivity?;
    let bound = edge.flow_bound.unwrap_or(f64::INFINITY);
    Some(Load {
        low: (from.low * low).min(bound),
        high: (from.high * high).min(bound),
        ..from.map(|rate| (rate * mean).min(bound))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Job, estimate};
    use super::*;

    const CATCH_UP: CatchUp = CatchUp { seconds: 300.0, restart_seconds: 10.0 };

    fn arrivals(job: &Job) -> Vec<Option<f64>> {
        spread(&job.signals, &job.snapshot.graph, CATCH_UP)
            .iter()
            .map(|load| load.map(|l| l.arrival))
            .collect()
    }

    #[test]
    fn follows_selectivity_down_the_graph() {
        let job = Job::chain(&[(1, 0.0), (1, 0.004), (1, 0.001)]).arriving(500.0).selectivity(1, 3.0);
        assert_eq!(arrivals(&job), [Some(500.0), Some(500.0), Some(1500.0)]);
    }

    #[test]
    fn a_flow_that_does_not_grow_is_bounded_by_what_was_seen() {
        let mut job = Job::chain(&[(1, 0.0), (1, 0.004), (1, 0.001)]).arriving(500.0);
        job.signals.edges[1].flow_bound = Some(40.0);
        assert_eq!(arrivals(&job)[2], Some(40.0));
    }

    #[test]
    fn what_is_not_sure_of_a_flow_is_not_sure_of_the_load() {
        let mut job = Job::chain(&[(1, 0.0), (1, 0.004), (1, 0.001)]).arriving(500.0);
        job.signals.edges[1].selectivity = Some(Estimate { low: 0.5, high: 3.0, ..estimate(2.0) });
        let load = spread(&job.signals, &job.snapshot.graph, CATCH_UP)[2].expect("it is known");
        assert_eq!((load.low, load.arrival, load.high), (250.0, 1000.0, 1500.0));
    }

    #[test]
    fn what_cannot_be_known_is_not_guessed() {
        let mut job = Job::chain(&[(1, 0.0), (1, 0.004), (1, 0.001)]).arriving(500.0);
        job.signals.edges[1].selectivity = None;
        assert_eq!(arrivals(&job), [Some(500.0), Some(500.0), None]);
        job.signals.vertices[0].arrival = Some(estimate(0.0));
        assert_eq!(arrivals(&job), [Some(0.0), Some(0.0), Some(0.0)], "but nothing in gives nothing out");
    }

    #[test]
    fn a_backlog_and_a_restart_add_what_must_be_caught_up() {
        let job = Job::chain(&[(1, 0.0), (1, 0.004)]).arriving(300.0).backlog(3000.0);
        let load = spread(&job.signals, &job.snapshot.graph, CATCH_UP)[1].expect("it is known");
        assert!((load.steady - 310.0).abs() < 1e-9 && (load.after_restart - 320.0).abs() < 1e-9, "{load:?}");
    }
}
