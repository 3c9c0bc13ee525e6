//! The kinds about limits and alignment.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidegate::model::Ship;
use tidegate::policy::flink_autoscaler::Options;
use tidegate::policy::flink_autoscaler::align::{Alignment, AlignmentMode};
use tidegate::policy::flink_autoscaler::options::AdjustMode;
use tidegate::policy::flink_autoscaler::scaled::{Limits, scaled};

use super::Computed;
use super::value::{Float, fields};
use super::vertices::OneVertex;
use crate::frame::{Fault, Vector};

#[derive(Debug, Deserialize)]
struct LimitsInput {
    parallelism_lower_limit: u32,
    parallelism_upper_limit: u32,
}

fn align_to(vertex: &OneVertex, limits: &LimitsInput, target: u32) -> Alignment {
    Alignment {
        current: vertex.current_parallelism,
        target,
        partitions: Some(vertex.num_source_partitions),
        max_parallelism: vertex.max_parallelism,
        lower: limits.parallelism_lower_limit,
        upper: limits.parallelism_upper_limit,
        keyed: vertex.input_ship_strategies.contains(&Ship::Hash),
    }
}

pub(crate) fn scaled_and_aligned(vector: &Vector, options: &Options) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        scale_factor: Float,
    }
    let (inputs, vertex, limits): (Inputs, OneVertex, LimitsInput) =
        (vector.part("inputs")?, vector.part("inputs")?, vector.part("inputs")?);
    let within = Limits {
        lower: limits.parallelism_lower_limit,
        upper: limits.parallelism_upper_limit,
        max_parallelism: vertex.max_parallelism,
    };
    let Ok(target) = scaled(vertex.current_parallelism, inputs.scale_factor.0, within) else {
        return Ok(fields([("error", json!("IllegalArgument"))]));
    };
    let aligned = align_to(&vertex, &limits, target).align(AlignmentMode::of(options));
    Ok(fields([
        ("parallelism", json!(aligned.parallelism)),
        ("scaling_limited_event", json!(aligned.limited)),
    ]))
}

pub(crate) fn alignment(vector: &Vector) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        target_parallelism: u32,
        mode: String,
        legacy_mode: bool,
    }
    let (inputs, vertex, limits): (Inputs, OneVertex, LimitsInput) =
        (vector.part("inputs")?, vector.part("inputs")?, vector.part("inputs")?);
    let mode = match (inputs.mode.as_str(), inputs.legacy_mode) {
        ("EVENLY_SPREAD", true) => AlignmentMode::Legacy(AdjustMode::EvenlySpread),
        ("MAXIMIZE_UTILISATION", true) => AlignmentMode::Legacy(AdjustMode::MaximizeUtilisation),
        ("EVENLY_SPREAD", false) => AlignmentMode::EvenlySpread,
        ("BALANCED", false) => AlignmentMode::Balanced,
        ("OFF", false) => AlignmentMode::Off,
        (mode, _) => return Err(Fault::Unreadable(format!("no alignment mode {mode}"))),
    };
    let aligned = align_to(&vertex, &limits, inputs.target_parallelism).align(mode);
    Ok(fields([
        ("parallelism", json!(aligned.parallelism)),
        ("scaling_limited_event", json!(aligned.limited)),
    ]))
}

pub(crate) fn alignment_mode(options: &Options) -> Map<String, Value> {
    let (mode, legacy) = match AlignmentMode::of(options) {
        AlignmentMode::Balanced => ("BALANCED", false),
        AlignmentMode::EvenlySpread => ("EVENLY_SPREAD", false),
        AlignmentMode::Off => ("OFF", false),
        AlignmentMode::Legacy(AdjustMode::EvenlySpread) => ("EVENLY_SPREAD", true),
        AlignmentMode::Legacy(AdjustMode::MaximizeUtilisation) => ("MAXIMIZE_UTILISATION", true),
    };
    fields([("mode", json!(mode)), ("legacy", json!(legacy))])
}
