//! The share of time that vertices wait for those after them. The vertex that causes it grows, and not the one that suffers:
//! whoever waits is fast enough.

use super::said::{Asked, Context, Silence};
use super::{Backpressure, Want, Why};
use crate::model::{Graph, Parallelism, Pressure, Timestamp};
use crate::signals::Signals;

/// A vertex that may shrink is to be this full afterwards, as the throughput rule's own target.
const TARGET_BUSY: f64 = 0.7;

/// Waiting for all but a twentieth of the time says no more how much is wanted; twenty times as much is as far as it goes.
const MOST_WAITING: f64 = 0.95;

/// What the rule asks for.
pub(super) fn propose(rule: &Backpressure, context: &Context<'_>) -> Asked {
    if context.signals.vertices.iter().all(|vertex| vertex.back_pressured.is_none()) {
        return Err(Silence::NoBackPressure);
    }
    let wants = (0..context.snapshot.graph.len()).map(|v| want(rule, context, v)).collect();
    Ok((wants, None))
}

fn want(rule: &Backpressure, context: &Context<'_>, v: usize) -> Want {
    let Context { signals, snapshot, ledger, now, .. } = *context;
    let graph = &snapshot.graph;
    let current = signals.vertices[v].parallelism;
    let lasts = |since: Option<&Timestamp>| {
        since.is_some_and(|since| now.since(*since) >= rule.lasts.get()) || rule.lasts.get().is_zero()
    };
    if pushes_back(rule, signals, graph, v) {
        if lasts(ledger.pressure.since.get(&graph.vertices()[v].id)) {
            // Those before it could put out so much more if they did not wait.
            let factor = 1.0 / (1.0 - waiting_for(signals, graph, v).min(MOST_WAITING));
            return Want { wanted: times(current, factor), ..Want::unchanged(current, Why::PushesBack) };
        }
    } else if is_calm(rule, signals) && lasts(ledger.pressure.calm.as_ref()) && !graph.is_source(v) {
        let busy = signals.vertices[v].busy;
        let wanted = busy.map_or(current, |busy| times(current, busy / TARGET_BUSY).min(current));
        if wanted < current {
            return Want { wanted, ..Want::unchanged(current, Why::PushesNothingBack) };
        }
    }
    Want::unchanged(current, Why::WithinBand)
}

/// Since when each vertex pushes back, or none does, as of now: for the ledger, from which the rule knows how long it lasts.
pub(crate) fn pressure(
    rule: &Backpressure,
    signals: &Signals,
    graph: &Graph,
    last: &Pressure,
    now: Timestamp,
) -> Pressure {
    let pushing = (0..graph.len()).filter(|&v| pushes_back(rule, signals, graph, v));
    let since =
        pushing.map(|v| graph.vertices()[v].id).map(|id| (id, last.since.get(&id).copied().unwrap_or(now)));
    Pressure { since: since.collect(), calm: is_calm(rule, signals).then(|| last.calm.unwrap_or(now)) }
}

/// Whether those before a vertex wait for its own work, and not for what comes after it.
fn pushes_back(rule: &Backpressure, signals: &Signals, graph: &Graph, v: usize) -> bool {
    waiting_for(signals, graph, v) > rule.above
        && signals.vertices[v].back_pressured.is_none_or(|share| share <= rule.above)
}

/// The largest share of time that a vertex before this one waits.
fn waiting_for(signals: &Signals, graph: &Graph, v: usize) -> f64 {
    let from = |&edge: &usize| signals.vertices[graph.edges()[edge].from].back_pressured;
    graph.inputs(v).iter().filter_map(from).fold(0.0, f64::max)
}

/// Whether nobody waits for anybody.
fn is_calm(rule: &Backpressure, signals: &Signals) -> bool {
    signals.vertices.iter().all(|vertex| vertex.back_pressured.is_some_and(|share| share < rule.below))
}

fn times(size: Parallelism, factor: f64) -> Parallelism {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
    let wanted = (size.as_f64() * factor).ceil().clamp(1.0, 1e9) as u64;
    Parallelism::clamped(wanted)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Policy;
    use super::super::testing::{Job, policy};
    use super::*;

    /// A source, a step and a sink of four subtasks each, back-pressured and busy as told for so many seconds.
    fn job(back_pressured: [f64; 3], busy: f64, seconds: u64) -> Job {
        let mut job = Job::chain(&[(4, 0.0), (4, 0.001), (4, 0.001)]).arriving(500.0);
        for (vertex, share) in job.signals.vertices.iter_mut().zip(back_pressured) {
            (vertex.back_pressured, vertex.busy) = (Some(share), Some(busy));
        }
        let (rule, last) = (Backpressure::default(), Pressure::default());
        let began = job.now - Duration::from_secs(seconds);
        job.ledger.pressure = pressure(&rule, &job.signals, &job.snapshot.graph, &last, began);
        job
    }

    #[test]
    fn who_causes_it_grows_and_not_who_suffers() {
        use Why::{PushesBack as Causes, PushesNothingBack as Calm, WithinBand as Within};
        let rows = [
            ("the sink", [0.8, 0.75, 0.0], 60, [(4, Within), (4, Within), (16, Causes)]),
            ("the step", [0.75, 0.0, 0.0], 60, [(4, Within), (16, Causes), (4, Within)]),
            ("not for long yet", [0.8, 0.0, 0.0], 59, [(4, Within); 3]),
            ("a little", [0.3, 0.0, 0.0], 600, [(4, Within); 3]),
            ("nobody", [0.0, 0.0, 0.0], 60, [(4, Within), (2, Calm), (2, Calm)]),
            ("nobody, not for long yet", [0.0, 0.0, 0.0], 59, [(4, Within); 3]),
        ];
        for (who, shares, seconds, expected) in rows {
            let (job, policy) = (job(shares, 0.3, seconds), Policy::default());
            let (wants, _) = propose(&Backpressure::default(), &job.context(&policy)).expect("it is known");
            let got: Vec<_> = wants.iter().map(|want| (want.wanted.get(), want.why)).collect();
            assert_eq!(got, expected, "{who}");
        }
    }

    #[test]
    fn what_lasts_is_counted_from_when_it_began() {
        let rule = Backpressure::default();
        let first = job([0.8, 0.0, 0.0], 0.3, 100);
        let (graph, later) = (&first.snapshot.graph, first.now + Duration::from_secs(5));
        let next = pressure(&rule, &first.signals, graph, &first.ledger.pressure, later);
        assert_eq!(next, first.ledger.pressure, "it goes on");
        let calm = job([0.0, 0.0, 0.0], 0.3, 0);
        let after = pressure(&rule, &calm.signals, graph, &next, later);
        assert_eq!((after.since.len(), after.calm), (0, Some(later)), "it is over, and calm from now on");
    }

    #[test]
    fn is_silent_where_nobody_tells() {
        let mut job = job([0.0; 3], 0.3, 60);
        for vertex in &mut job.signals.vertices {
            vertex.back_pressured = None;
        }
        let asked = propose(&Backpressure::default(), &job.context(&policy()));
        assert_eq!(asked.err(), Some(Silence::NoBackPressure));
    }
}
