//! A job of the vectors: its graph, and the samples that were taken of it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use tidegate::model::Ship;
use tidegate::policy::flink_autoscaler::sample::{Sample, VertexSample};
use tidegate::policy::flink_autoscaler::topology::{Topology, Vertex};

use super::value::{Float, at};
use crate::frame::Fault;

/// A vertex of a graph.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VertexInput {
    #[serde(default)]
    pub(crate) inputs: BTreeMap<String, Ship>,
    #[serde(default = "one")]
    pub(crate) parallelism: u32,
    #[serde(default = "one")]
    pub(crate) max_parallelism: u32,
    #[serde(default)]
    pub(crate) num_source_partitions: u32,
    #[serde(default)]
    pub(crate) slot_sharing_group: Option<String>,
    #[serde(default)]
    pub(crate) finished: bool,
}

fn one() -> u32 {
    1
}

/// A graph: its vertices by id.
pub(crate) type GraphInput = BTreeMap<String, VertexInput>;

/// The topology of a graph.
pub(crate) fn topology<'a>(
    vertices: impl IntoIterator<Item = (&'a String, &'a VertexInput)>,
) -> Result<Topology, Fault> {
    let vertices: Vec<_> = vertices.into_iter().collect();
    let index = |id: &String| {
        let place = vertices.iter().position(|(other, _)| *other == id);
        place.ok_or_else(|| Fault::Unreadable(format!("there is no vertex {id}")))
    };
    let mut made = Vec::new();
    for (id, vertex) in &vertices {
        made.push(Vertex {
            id: (*id).clone(),
            parallelism: vertex.parallelism,
            max_parallelism: vertex.max_parallelism,
            partitions: Some(vertex.num_source_partitions).filter(|partitions| *partitions > 0),
            slot_sharing_group: vertex.slot_sharing_group.clone(),
            finished: vertex.finished,
            inputs: vertex
                .inputs
                .iter()
                .map(|(from, ship)| index(from).map(|from| (from, *ship)))
                .collect::<Result<_, _>>()?,
        });
    }
    Topology::new(made).map_err(|error| Fault::Unreadable(error.to_string()))
}

/// The metrics of one vertex; NaN where absent.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "SCREAMING_SNAKE_CASE", default)]
pub(crate) struct MetricsInput {
    num_records_in: Float,
    num_records_out: Float,
    num_records_in_per_second: Float,
    load: Float,
    accumulated_busy_time: Float,
    lag: Float,
    observed_tpr: Float,
}

impl MetricsInput {
    fn to_sample(self) -> VertexSample {
        VertexSample {
            records_in: self.num_records_in.0,
            records_out: self.num_records_out.0,
            records_in_per_second: self.num_records_in_per_second.0,
            load: self.load.0,
            accumulated_busy_ms: self.accumulated_busy_time.0,
            lag: self.lag.0,
            observed_rate: self.observed_tpr.0,
        }
    }
}

/// The metrics of a job at one moment.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SampleInput {
    t_s: f64,
    vertices: BTreeMap<String, MetricsInput>,
}

/// A window of samples; a vertex that a sample does not have is absent from it.
pub(crate) fn window(topology: &Topology, history: &[SampleInput]) -> Vec<Sample> {
    history
        .iter()
        .map(|sample| {
            let metrics = |id| sample.vertices.get(id).copied().unwrap_or_default().to_sample();
            let vertices = topology.vertices().iter().map(|vertex| metrics(&vertex.id)).collect();
            Sample { at: at(sample.t_s), vertices, ..Sample::default() }
        })
        .collect()
}

/// The metrics of one vertex at one moment, for the kinds with a single one.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub(crate) struct OneInput {
    t_s: f64,
    metrics: MetricsInput,
}

impl TryFrom<Map<String, Value>> for OneInput {
    type Error = String;

    fn try_from(mut fields: Map<String, Value>) -> Result<Self, String> {
        let t_s = fields.remove("t_s").and_then(|t| t.as_f64()).ok_or("a sample without t_s")?;
        let metrics = serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())?;
        Ok(Self { t_s, metrics })
    }
}

/// A window of one vertex.
pub(crate) fn window_of_one(history: &[OneInput]) -> Vec<Sample> {
    history
        .iter()
        .map(|sample| Sample {
            at: at(sample.t_s),
            vertices: vec![sample.metrics.to_sample()],
            ..Sample::default()
        })
        .collect()
}
