//! The decision for one vertex: how many subtasks it should have.

use std::time::Duration;

use crate::model::Timestamp;

use super::Options;
use super::align::{Alignment, AlignmentMode};
use super::capacity::needed;
use super::delay::{DelayedScaleDown, Recommendation};
use super::evaluate::EvaluatedVertex;
use super::history::Scaling;
use super::options::Release;
use super::scalability::{Ineffective, coefficient, ineffective};
use super::scaled::{Limits, scaled};
use super::topology::Vertex;

/// What is decided for a vertex.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VertexDecision {
    /// Another size, or why there is none.
    pub outcome: Outcome,
    /// Records/s that it is expected to take in at the size that was wanted; NaN when that is the present one.
    pub expected_rate: f64,
    /// The size that was wanted and could not be aligned (`ScalingLimited`).
    pub limited: Option<u32>,
    /// What the last scale-up brought, when that was too little (`IneffectiveScaling`), whether that stops this one or not.
    pub ineffective: Option<Ineffective>,
}

/// Another size, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Another size.
    Change {
        /// Its subtasks then.
        to: u32,
        /// Whether it is outside its band.
        outside: bool,
    },
    /// Its rate or what it has to take in is not known.
    Unknown,
    /// It has the size it should have.
    Same,
    /// The last scale-up brought too little.
    Ineffective,
    /// A smaller size has not been wanted for long enough.
    Delayed,
}

impl VertexDecision {
    fn keep(outcome: Outcome) -> Self {
        Self { outcome, expected_rate: f64::NAN, limited: None, ineffective: None }
    }

    /// The new size and whether the vertex is outside its band, when there is one.
    pub fn change(&self) -> Option<(u32, bool)> {
        match self.outcome {
            Outcome::Change { to, outside } => Some((to, outside)),
            Outcome::Unknown | Outcome::Same | Outcome::Ineffective | Outcome::Delayed => None,
        }
    }
}

/// Decides for one vertex, and notes a wish to scale it down.
pub fn decide_vertex(
    options: &Options,
    vertex: &Vertex,
    evaluated: &EvaluatedVertex,
    history: &[Scaling],
    restart_time: Duration,
    delayed: &mut DelayedScaleDown,
    now: Timestamp,
) -> VertexDecision {
    let current = vertex.parallelism;
    let rate = evaluated.true_processing_rate;
    let Some(factor) = scale_factor(options, evaluated, history, restart_time) else {
        return VertexDecision::keep(Outcome::Unknown);
    };
    let Some((wanted, limited)) = wanted(options, vertex, factor) else {
        return VertexDecision::keep(Outcome::Same);
    };
    if wanted == current {
        delayed.clear_vertex(&vertex.id);
        return VertexDecision { limited, ..VertexDecision::keep(Outcome::Same) };
    }
    let outside = evaluated.thresholds.exclude(rate);
    let decision = VertexDecision {
        outcome: Outcome::Change { to: wanted, outside },
        expected_rate: match options.release {
            Release::V1_15 => rate * factor,
            Release::V1_16 => rate / f64::from(current) * f64::from(wanted),
        },
        limited,
        ineffective: None,
    };
    if wanted < current {
        let recommendation = Recommendation { at: now, parallelism: wanted, outside };
        let outcome = match delayed.recommend(&vertex.id, recommendation, options.scale_down_interval) {
            None => Outcome::Delayed,
            Some(most) if most.parallelism == current => Outcome::Same,
            Some(most) => Outcome::Change { to: most.parallelism, outside: most.outside },
        };
        return VertexDecision { outcome, ..decision };
    }
    delayed.clear_vertex(&vertex.id);
    let ineffective = ineffective(options, history, current, rate);
    let outcome = if ineffective.is_some() && options.effectiveness_detection {
        Outcome::Ineffective
    } else {
        decision.outcome
    };
    VertexDecision { outcome, ineffective, ..decision }
}

/// What the vertex should have over what it has, as far as it may change at once; `None` when it is not known.
fn scale_factor(
    options: &Options,
    evaluated: &EvaluatedVertex,
    history: &[Scaling],
    restart_time: Duration,
) -> Option<f64> {
    let rate = evaluated.true_processing_rate;
    let capacity = needed(options, evaluated.demand, options.utilization_target, Some(restart_time));
    if rate.is_nan() || capacity.is_nan() {
        return None;
    }
    let share = if options.observed_scalability { coefficient(options, history) } else { 1.0 };
    let factor = capacity / rate / share;
    let (least, most) = (1.0 - options.scale_down_max_factor, 1.0 + options.scale_up_max_factor);
    Some(if factor < least {
        least
    } else if factor > most {
        most
    } else {
        factor
    })
}

/// The size for a factor, and the one that was wanted before the alignment when that could not do it. `None` when the limits
/// leave none.
fn wanted(options: &Options, vertex: &Vertex, factor: f64) -> Option<(u32, Option<u32>)> {
    let current = vertex.parallelism;
    let limits = Limits {
        // Never against the present size: one that is below the least is not raised to it, nor one above the most lowered.
        lower: current.min(options.vertex_min_parallelism),
        upper: current.max(options.vertex_max_parallelism),
        max_parallelism: vertex.max_parallelism,
    };
    let target = scaled(current, factor, limits).ok()?;
    let aligned = Alignment {
        current,
        target,
        partitions: vertex.partitions,
        max_parallelism: vertex.max_parallelism,
        lower: limits.lower,
        upper: limits.upper,
        keyed: vertex.is_keyed(),
    }
    .align(AlignmentMode::of(options));
    Some((aligned.parallelism, aligned.limited.then_some(target)))
}
