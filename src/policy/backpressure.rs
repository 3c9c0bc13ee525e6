//! The share of time that vertices wait for those after them. The vertex that causes it grows, and not the one that suffers:
//! whoever waits is fast enough.

use super::said::{Asked, Context, Silence};
use super::{Backpressure, Want, Why};
use crate::model::Parallelism;
use crate::signals::{Signals, VertexSignals};

/// A vertex that may shrink is to be this full afterwards, as the throughput rule's own target.
const TARGET_BUSY: f64 = 0.7;

/// Waiting for all but a twentieth of the time says no more how much is wanted; twenty times as much is as far as it goes.
const MOST_WAITING: f64 = 0.95;

/// What the rule asks for.
pub(super) fn propose(rule: &Backpressure, context: &Context<'_>) -> Asked {
    let Context { signals, snapshot, .. } = *context;
    if signals.vertices.iter().all(|vertex| vertex.back_pressured.is_none()) {
        return Err(Silence::NoBackPressure);
    }
    let lasts = lasts(rule, context);
    let wants = (0..snapshot.graph.len()).map(|v| want(rule, context, v, lasts)).collect();
    Ok((wants, None))
}

/// Whether what the signals say has been so for as long as the rule asks for.
fn lasts(rule: &Backpressure, context: &Context<'_>) -> bool {
    context.signals.window.get() >= rule.lasts.as_secs()
}

fn want(rule: &Backpressure, context: &Context<'_>, v: usize, lasts: bool) -> Want {
    let signals = context.signals;
    let current = signals.vertices[v].parallelism;
    if !lasts {
        return Want::unchanged(current, Why::WithinBand);
    }
    let waiting = waiting_for(context, v);
    if waiting > rule.above && is_cause(&signals.vertices[v], rule) {
        // Those before it could put out so much more if they did not wait.
        let factor = 1.0 / (1.0 - waiting.min(MOST_WAITING));
        return Want { wanted: times(current, factor), ..Want::unchanged(current, Why::PushesBack) };
    }
    let wanted = signals.vertices[v].busy.map(|busy| times(current, busy / TARGET_BUSY).min(current));
    match wanted {
        Some(wanted)
            if wanted < current && is_calm(rule, signals) && !context.snapshot.graph.is_source(v) =>
        {
            Want { wanted, ..Want::unchanged(current, Why::PushesNothingBack) }
        }
        _ => Want::unchanged(current, Why::WithinBand),
    }
}

/// The largest share of time that a vertex before this one waits.
fn waiting_for(context: &Context<'_>, v: usize) -> f64 {
    let graph = &context.snapshot.graph;
    let shares = graph
        .inputs(v)
        .iter()
        .filter_map(|&edge| context.signals.vertices[graph.edges()[edge].from].back_pressured);
    shares.fold(0.0, f64::max)
}

/// Whether a vertex does not wait itself, so that those before it wait for its own work.
fn is_cause(vertex: &VertexSignals, rule: &Backpressure) -> bool {
    vertex.back_pressured.is_none_or(|share| share <= rule.above)
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
