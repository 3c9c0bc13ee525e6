//! The kinds about one vertex at one moment, and what all kinds about vertices have in common.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tidegate::model::{Ship, Timestamp};
use tidegate::policy::flink_autoscaler::Options;
use tidegate::policy::flink_autoscaler::capacity::{Demand, thresholds};
use tidegate::policy::flink_autoscaler::delay::DelayedScaleDown;
use tidegate::policy::flink_autoscaler::evaluate::EvaluatedVertex;
use tidegate::policy::flink_autoscaler::history::Scaling;
use tidegate::policy::flink_autoscaler::scalability::coefficient;
use tidegate::policy::flink_autoscaler::topology::Vertex;
use tidegate::policy::flink_autoscaler::vertex::decide_vertex;

use super::Computed;
use super::value::{Float, at, fields, written};
use crate::frame::{Fault, Vector};

/// A past decision.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScalingInput {
    #[serde(alias = "parallelism")]
    current_parallelism: u32,
    #[serde(default)]
    new_parallelism: u32,
    #[serde(default)]
    true_processing_rate: Float,
    #[serde(default)]
    expected_processing_rate: Float,
}

fn history(inputs: &[ScalingInput]) -> Vec<Scaling> {
    let scaling = |(nth, input): (u64, &ScalingInput)| Scaling {
        at: Timestamp::default() + Duration::from_secs(nth),
        from: input.current_parallelism,
        to: input.new_parallelism,
        true_processing_rate: input.true_processing_rate.0,
        expected_rate: input.expected_processing_rate.0,
    };
    (0..).zip(inputs).map(scaling).collect()
}

/// The rates that a vertex is decided on.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct RatesInput {
    target_data_rate: Float,
    #[serde(default)]
    catch_up_data_rate: Option<Float>,
    true_processing_rate: Float,
    #[serde(default)]
    processing_backlog: bool,
}

pub(crate) fn evaluated(options: &Options, rates: RatesInput, restart_time: Duration) -> EvaluatedVertex {
    let catch_up = rates.catch_up_data_rate.map_or(0.0, |rate| rate.0);
    let demand = Demand { target: rates.target_data_rate.0, catch_up };
    EvaluatedVertex {
        demand,
        true_processing_rate: rates.true_processing_rate.0,
        load: f64::NAN,
        lag: f64::NAN,
        thresholds: thresholds(options, demand, rates.processing_backlog, restart_time),
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct OneVertex {
    #[serde(default)]
    pub(crate) current_parallelism: u32,
    pub(crate) max_parallelism: u32,
    pub(crate) num_source_partitions: u32,
    pub(crate) input_ship_strategies: Vec<Ship>,
}

impl OneVertex {
    pub(crate) fn vertex(&self, current: u32) -> Vertex {
        Vertex {
            id: "v".to_owned(),
            parallelism: current,
            max_parallelism: self.max_parallelism,
            partitions: Some(self.num_source_partitions),
            slot_sharing_group: None,
            finished: false,
            inputs: (0..).zip(self.input_ship_strategies.iter().copied()).collect(),
        }
    }
}

pub(crate) fn seconds(vector: &Vector, options: &Options) -> Result<Duration, Fault> {
    #[derive(Deserialize)]
    struct Inputs {
        restart_time_s: Option<f64>,
    }
    let inputs: Inputs = vector.part("inputs")?;
    Ok(inputs.restart_time_s.map_or(options.restart_time, Duration::from_secs_f64))
}

pub(crate) fn vertex(vector: &Vector, options: &Options) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        #[serde(default)]
        scaling_history: Vec<ScalingInput>,
    }
    let (inputs, vertex, rates): (Inputs, OneVertex, RatesInput) =
        (vector.part("inputs")?, vector.part("inputs")?, vector.part("inputs")?);
    let restart_time = seconds(vector, options)?;
    let decision = decide_vertex(
        options,
        &vertex.vertex(vertex.current_parallelism),
        &evaluated(options, rates, restart_time),
        &history(&inputs.scaling_history),
        restart_time,
        &mut DelayedScaleDown::default(),
        at(0.0),
    );
    Ok(fields([
        ("new_parallelism", json!(decision.change().map_or(vertex.current_parallelism, |(to, _)| to))),
        ("outside_utilization_bound", json!(decision.change().is_some_and(|(_, outside)| outside))),
        ("expected_processing_rate", written(decision.expected_rate)),
        ("ineffective_event", json!(decision.ineffective.is_some())),
        ("scaling_limited_event", json!(decision.limited.is_some())),
    ]))
}

pub(crate) fn scalability(vector: &Vector, options: &Options) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        history: Vec<ScalingInput>,
    }
    let inputs: Inputs = vector.part("inputs")?;
    Ok(fields([("coefficient", written(coefficient(options, &history(&inputs.history))))]))
}

pub(crate) fn rate_thresholds(vector: &Vector, options: &Options) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        target_data_rate: Float,
        catch_up_data_rate: Float,
        processing_backlog: bool,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let demand = Demand { target: inputs.target_data_rate.0, catch_up: inputs.catch_up_data_rate.0 };
    let got = thresholds(options, demand, inputs.processing_backlog, seconds(vector, options)?);
    Ok(fields([
        ("scale_up_rate_threshold", written(got.up)),
        ("scale_down_rate_threshold", written(got.down)),
    ]))
}
