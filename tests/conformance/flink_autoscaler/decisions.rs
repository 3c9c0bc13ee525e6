//! The kinds about decisions: of a vertex, over time, and of a whole job.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidegate::model::{Ship, Timestamp};
use tidegate::policy::flink_autoscaler::Options;
use tidegate::policy::flink_autoscaler::align::{Alignment, AlignmentMode};
use tidegate::policy::flink_autoscaler::capacity::{Demand, thresholds};
use tidegate::policy::flink_autoscaler::delay::{DelayedScaleDown, DelayedVertex, Recommendation};
use tidegate::policy::flink_autoscaler::evaluate::{Evaluated, EvaluatedVertex, evaluate_global};
use tidegate::policy::flink_autoscaler::history::{Scaling, ScalingHistory};
use tidegate::policy::flink_autoscaler::job::{JobDecision, Memory, decide_job, memory_pressure};
use tidegate::policy::flink_autoscaler::options::AdjustMode;
use tidegate::policy::flink_autoscaler::resources::{TaskManager, quota_reached, slots_after_rescale};
use tidegate::policy::flink_autoscaler::scalability::coefficient;
use tidegate::policy::flink_autoscaler::scaled::{Limits, scaled};
use tidegate::policy::flink_autoscaler::topology::{Topology, Vertex};
use tidegate::policy::flink_autoscaler::vertex::{VertexDecision, decide_vertex};

use super::Computed;
use super::job::{VertexInput, topology};
use super::value::{Float, Size, at, fields, written};
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
struct RatesInput {
    target_data_rate: Float,
    #[serde(default)]
    catch_up_data_rate: Option<Float>,
    true_processing_rate: Float,
    #[serde(default)]
    processing_backlog: bool,
}

fn evaluated(options: &Options, rates: RatesInput, restart_time: Duration) -> EvaluatedVertex {
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
struct OneVertex {
    #[serde(default)]
    current_parallelism: u32,
    max_parallelism: u32,
    num_source_partitions: u32,
    input_ship_strategies: Vec<Ship>,
}

impl OneVertex {
    fn vertex(&self, current: u32) -> Vertex {
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

fn seconds(vector: &Vector, options: &Options) -> Result<Duration, Fault> {
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecommendationInput {
    t_s: f64,
    parallelism: u32,
    #[serde(alias = "outside")]
    outside_utilization_bound: bool,
}

impl RecommendationInput {
    fn recommendation(&self) -> Recommendation {
        Recommendation {
            at: at(self.t_s),
            parallelism: self.parallelism,
            outside: self.outside_utilization_bound,
        }
    }
}

pub(crate) fn scale_down_sequence(vector: &Vector, options: &Options) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        vertex: OneVertex,
        steps: Vec<Step>,
    }
    #[derive(Deserialize)]
    struct Step {
        t_s: f64,
        current_parallelism: u32,
        inject_recommendation: Option<RecommendationInput>,
        #[serde(flatten)]
        rates: RatesInput,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let restart_time = seconds(vector, options)?;
    let mut delayed = DelayedScaleDown::default();
    let mut steps = Vec::new();
    for step in &inputs.steps {
        if let Some(injected) = &step.inject_recommendation {
            delayed.recommend("v", injected.recommendation(), options.scale_down_interval);
        }
        let decision = decide_vertex(
            options,
            &inputs.vertex.vertex(step.current_parallelism),
            &evaluated(options, step.rates, restart_time),
            &[],
            restart_time,
            &mut delayed,
            at(step.t_s),
        );
        steps.push(json!({
            "new_parallelism": decision.change().map_or(step.current_parallelism, |(to, _)| to),
            "outside_utilization_bound": decision.change().is_some_and(|(_, outside)| outside),
            "delayed_vertices_empty": delayed.waiting().next().is_none(),
        }));
    }
    Ok(fields([("steps", json!(steps))]))
}

pub(crate) fn window_max(vector: &Vector) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        triggers: Vec<RecommendationInput>,
        queries: Vec<Query>,
    }
    #[derive(Deserialize)]
    struct Query {
        window_start_s: f64,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let [first, later @ ..] = inputs.triggers.as_slice() else {
        return Err(Fault::Unreadable("it has no triggers".to_owned()));
    };
    let mut delayed = DelayedVertex::new(first.recommendation());
    for trigger in later {
        delayed.add(trigger.recommendation());
    }
    let seconds = |at: Timestamp| json!(at.as_millis() as f64 / 1000.0);
    let queries: Vec<Value> = inputs
        .queries
        .iter()
        .map(|query| match delayed.most_since(at(query.window_start_s)) {
            Ok(most) => {
                json!({"t_s": seconds(most.at), "parallelism": most.parallelism, "outside": most.outside})
            }
            Err(_) => json!({"error": "IllegalState"}),
        })
        .collect();
    Ok(fields([("first_trigger_s", seconds(delayed.first())), ("queries", json!(queries))]))
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

/// A vertex with its rates.
#[derive(Debug, Deserialize)]
struct JobVertex {
    id: String,
    #[serde(flatten)]
    rates: RatesInput,
    #[serde(default)]
    inputs: BTreeMap<String, Ship>,
    parallelism: u32,
    max_parallelism: u32,
    #[serde(default)]
    num_source_partitions: u32,
    slot_sharing_group: Option<String>,
}

fn decide(vector: &Vector, options: &Options) -> Result<(Topology, JobDecision), Fault> {
    #[derive(Deserialize)]
    struct Inputs {
        vertices: Vec<JobVertex>,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let restart_time = seconds(vector, options)?;
    let graph: Vec<(String, VertexInput)> = inputs
        .vertices
        .iter()
        .map(|vertex| {
            let of_graph = VertexInput {
                inputs: vertex.inputs.clone(),
                parallelism: vertex.parallelism,
                max_parallelism: vertex.max_parallelism,
                num_source_partitions: vertex.num_source_partitions,
                slot_sharing_group: vertex.slot_sharing_group.clone(),
                finished: false,
            };
            (vertex.id.clone(), of_graph)
        })
        .collect();
    let topology = topology(graph.iter().map(|(id, vertex)| (id, vertex)))?;
    let evaluated = Evaluated {
        vertices: inputs.vertices.iter().map(|v| evaluated(options, v.rates, restart_time)).collect(),
        global: evaluate_global(&[]),
        processing_backlog: false,
    };
    let (history, mut delayed) = (ScalingHistory::default(), DelayedScaleDown::default());
    let memory = Memory { history: &history, restart_time, delayed: &mut delayed };
    let decision = decide_job(options, &topology, &evaluated, memory, at(0.0), |_| false);
    Ok((topology, decision))
}

pub(crate) fn job(vector: &Vector, options: &Options) -> Computed {
    let (topology, decision) = decide(vector, options)?;
    let changes: BTreeMap<String, u32> = topology
        .vertices()
        .iter()
        .zip(decision.changes())
        .filter_map(|(vertex, to)| Some((vertex.id.clone(), to?)))
        .collect();
    let outside =
        |decision: &Option<VertexDecision>| decision.and_then(|d| d.change()).map(|(_, outside)| outside);
    let outside: BTreeMap<&str, bool> = topology
        .vertices()
        .iter()
        .zip(&decision.vertices)
        .filter_map(|(vertex, decision)| Some((vertex.id.as_str(), outside(decision)?)))
        .collect();
    Ok(fields([
        ("scaled_vertices", json!(changes.keys().collect::<Vec<_>>())),
        ("new_parallelism", json!(changes)),
        ("outside_utilization_bound", json!(outside)),
    ]))
}

pub(crate) fn memory_guard(vector: &Vector, options: &Options) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        gc_pressure: Float,
        heap_usage_window_avg: Float,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let mut global = evaluate_global(&[]);
    global.gc_pressure = inputs.gc_pressure.0;
    global.heap_usage_ratio.average = inputs.heap_usage_window_avg.0;
    let pressure = memory_pressure(options, &global);
    let event = pressure.map(|_| "MemoryPressure");
    Ok(fields([("blocked", json!(event.is_some())), ("event", json!(event))]))
}

pub(crate) fn quota(vector: &Vector, options: &Options) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        task_slots_per_tm: u32,
        tm_cpu: Option<f64>,
        #[serde(default)]
        tm_memory: Size,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let (topology, decision) = decide(vector, options)?;
    let taskmanager =
        TaskManager { slots: inputs.task_slots_per_tm, cpu: inputs.tm_cpu, memory: inputs.tm_memory.0 };
    let reached = quota_reached(options, &topology, &decision.changes(), taskmanager);
    Ok(fields([
        ("quota_reached", json!(reached.is_some())),
        ("event", json!(reached.map(|_| "ResourceQuotaReached"))),
    ]))
}

pub(crate) fn slots(vector: &Vector) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        parallelism: BTreeMap<String, u32>,
        changes: BTreeMap<String, u32>,
        task_slots_used: u32,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let sizes: Vec<u32> = inputs.parallelism.values().copied().collect();
    let changes: Vec<Option<u32>> =
        inputs.parallelism.keys().map(|id| inputs.changes.get(id).copied()).collect();
    Ok(fields([("slots", json!(slots_after_rescale(&sizes, &changes, inputs.task_slots_used)))]))
}
