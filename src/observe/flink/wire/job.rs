//! `/jobs/:id`: the job's state, its graph, and the counters of every vertex; `/jobs/:id/status`.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;

use super::cluster::JobScheduler;
use super::number::Number;
use super::{Answer, WireError};
use crate::model::{
    Edge, Graph, JobId, JobState, Parallelism, Reading, Ship, Timestamp, UnitError, Vertex, VertexId,
};

/// `/jobs/:id/status`, which unlike `/jobs/:id` is never from a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Status {
    /// The job's state.
    pub(crate) status: JobState,
}

/// `/jobs/:id`. State, sizes and graph may be 3 s old (`web.refresh-interval`); the counters are of the metric store.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JobView {
    /// The job's id.
    pub(crate) id: JobId,
    /// Its name.
    pub(crate) name: String,
    /// Its state.
    pub(crate) state: JobState,
    /// When it last became RUNNING.
    pub(crate) running_since: Option<Timestamp>,
    /// When it last stopped to start again, as far as Flink remembers.
    pub(crate) restarting_since: Option<Timestamp>,
    /// The JobManager's clock.
    pub(crate) now: Timestamp,
    /// `schedulerType`, since 2.3.
    pub(crate) scheduler: Option<JobScheduler>,
    /// Its graph; `None` while the adaptive scheduler waits for slots, when there is no plan and the vertices come in
    /// another order.
    pub(crate) graph: Option<Graph>,
    /// One reading for each vertex, in the graph's order where there is one. Without pending records and lag, which come from
    /// another call.
    pub(crate) readings: Vec<(VertexId, Reading)>,
}

#[derive(Deserialize)]
struct RawJob<'a> {
    jid: JobId,
    #[serde(borrow)]
    name: Cow<'a, str>,
    state: JobState,
    now: i64,
    timestamps: RawTimestamps,
    #[serde(rename = "schedulerType", borrow, default)]
    scheduler_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    vertices: Vec<RawVertex<'a>>,
    #[serde(borrow)]
    plan: RawPlan<'a>,
}

/// When the job last came into each state; 0 where it never did.
#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
struct RawTimestamps {
    #[serde(default)]
    running: i64,
    #[serde(default)]
    restarting: i64,
    #[serde(default)]
    created: i64,
}

#[derive(Deserialize)]
struct RawVertex<'a> {
    id: VertexId,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(rename = "maxParallelism")]
    max_parallelism: i64,
    parallelism: i64,
    #[serde(rename = "slotSharingGroupId", borrow, default)]
    slot_sharing_group: Option<Cow<'a, str>>,
    tasks: RawTasks,
    metrics: RawMetrics,
}

/// Subtasks by state.
#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
struct RawTasks {
    #[serde(default)]
    running: u32,
    #[serde(default)]
    finished: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawMetrics {
    read_records: Number,
    read_records_complete: bool,
    write_records: Number,
    write_records_complete: bool,
    #[serde(default)]
    accumulated_backpressured_time: Number,
    #[serde(default)]
    accumulated_idle_time: Number,
    #[serde(default)]
    accumulated_busy_time: Number,
}

/// Without nodes while there is no execution graph.
#[derive(Deserialize)]
struct RawPlan<'a> {
    #[serde(borrow, default)]
    nodes: Vec<RawNode<'a>>,
}

#[derive(Deserialize)]
struct RawNode<'a> {
    id: VertexId,
    #[serde(borrow, default)]
    inputs: Vec<RawInput<'a>>,
}

#[derive(Deserialize)]
struct RawInput<'a> {
    id: VertexId,
    #[serde(borrow)]
    ship_strategy: Cow<'a, str>,
}

impl Answer<'_> for JobView {
    fn read(body: &[u8]) -> Result<Self, WireError> {
        let raw: RawJob<'_> = serde_json::from_slice(body)?;
        let moment = |millis: i64| (millis > 0).then(|| Timestamp::from_millis(millis));
        Ok(Self {
            id: raw.jid,
            state: raw.state,
            running_since: moment(raw.timestamps.running),
            // A restart makes a new graph, which knows only of its own beginning.
            restarting_since: moment(raw.timestamps.restarting).or(moment(raw.timestamps.created)),
            now: Timestamp::from_millis(raw.now),
            scheduler: raw.scheduler_type.as_deref().map(|name| match name {
                "Adaptive" => JobScheduler::Adaptive,
                _ => JobScheduler::Other,
            }),
            readings: raw.vertices.iter().map(reading).collect::<Result<_, _>>()?,
            graph: if raw.plan.nodes.is_empty() { None } else { Some(graph(raw.vertices, &raw.plan)?) },
            name: raw.name.into_owned(),
        })
    }
}

fn graph(vertices: Vec<RawVertex<'_>>, plan: &RawPlan<'_>) -> Result<Graph, WireError> {
    let index: HashMap<VertexId, usize> = vertices.iter().enumerate().map(|(i, v)| (v.id, i)).collect();
    let nodes: HashMap<VertexId, &RawNode<'_>> = plan.nodes.iter().map(|node| (node.id, node)).collect();
    let find = |id: VertexId| index.get(&id).copied().ok_or(WireError::Disagree(id));
    plan.nodes.iter().try_for_each(|node| find(node.id).map(drop))?;
    let mut edges = Vec::with_capacity(plan.nodes.len());
    for (to, vertex) in vertices.iter().enumerate() {
        let node = nodes.get(&vertex.id).ok_or(WireError::Disagree(vertex.id))?;
        for input in &node.inputs {
            edges.push(Edge { from: find(input.id)?, to, ship: ship(&input.ship_strategy) });
        }
    }
    let groups = groups(&vertices);
    let vertex = |(raw, slot_sharing_group): (RawVertex<'_>, Option<String>)| {
        let max_parallelism = parallelism("maxParallelism", raw.max_parallelism)?;
        Ok::<_, WireError>(Vertex {
            id: raw.id,
            name: raw.name.into_owned(),
            max_parallelism,
            slot_sharing_group,
        })
    };
    let vertices = vertices.into_iter().zip(groups).map(vertex).collect::<Result<_, _>>()?;
    Ok(Graph::new(vertices, edges)?)
}

/// The slot sharing group of each vertex, numbered in the order of their first vertices: Flink gives the groups other ids
/// each time the job is submitted, and the graph is the same.
fn groups(vertices: &[RawVertex<'_>]) -> Vec<Option<String>> {
    let mut seen: Vec<&str> = Vec::new();
    vertices
        .iter()
        .map(|vertex| {
            let id = vertex.slot_sharing_group.as_deref()?;
            let number = seen.iter().position(|group| *group == id).unwrap_or_else(|| {
                seen.push(id);
                seen.len() - 1
            });
            Some(number.to_string())
        })
        .collect()
}

fn reading(raw: &RawVertex<'_>) -> Result<(VertexId, Reading), WireError> {
    let metrics = &raw.metrics;
    // A subtask that is missing in the metric store clears the flags of records and bytes; the times have no flag of
    // their own, and then lack the same subtask.
    let complete = metrics.read_records_complete && metrics.write_records_complete;
    let known = |complete: bool, number: Number| number.count().filter(|_| complete);
    let reading = Reading {
        parallelism: parallelism("parallelism", raw.parallelism)?,
        running: raw.tasks.running.saturating_add(raw.tasks.finished),
        read_records: known(metrics.read_records_complete, metrics.read_records),
        write_records: known(metrics.write_records_complete, metrics.write_records),
        busy_ms: known(complete, metrics.accumulated_busy_time),
        idle_ms: known(complete, metrics.accumulated_idle_time),
        back_pressured_ms: known(complete, metrics.accumulated_backpressured_time),
        pending_records: None,
        event_time_lag_ms: None,
    };
    Ok((raw.id, reading))
}

fn parallelism(field: &'static str, subtasks: i64) -> Result<Parallelism, WireError> {
    u64::try_from(subtasks)
        .map_err(|_| UnitError::Parallelism(0))
        .and_then(Parallelism::new)
        .map_err(|_| WireError::Value { field, value: subtasks.to_string() })
}

fn ship(strategy: &str) -> Ship {
    match strategy {
        "FORWARD" => Ship::Forward,
        "HASH" => Ship::Hash,
        "REBALANCE" => Ship::Rebalance,
        "RESCALE" => Ship::Rescale,
        "BROADCAST" => Ship::Broadcast,
        "GLOBAL" => Ship::Global,
        _ => Ship::Custom,
    }
}
