//! The kinds about a whole job: what is decided, and what holds it back.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use tidegate::model::Ship;
use tidegate::policy::flink_autoscaler::Options;
use tidegate::policy::flink_autoscaler::delay::DelayedScaleDown;
use tidegate::policy::flink_autoscaler::evaluate::{Evaluated, evaluate_global};
use tidegate::policy::flink_autoscaler::history::ScalingHistory;
use tidegate::policy::flink_autoscaler::job::{JobDecision, Memory, decide_job, memory_pressure};
use tidegate::policy::flink_autoscaler::resources::{TaskManager, quota_reached, slots_after_rescale};
use tidegate::policy::flink_autoscaler::topology::Topology;
use tidegate::policy::flink_autoscaler::vertex::VertexDecision;

use super::Computed;
use super::job::{VertexInput, topology};
use super::value::{Float, Size, at, fields};
use super::vertices::{RatesInput, evaluated, seconds};
use crate::frame::{Fault, Vector};

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
