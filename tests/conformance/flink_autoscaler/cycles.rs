//! The kinds with whole cycles: collect, evaluate, decide, remember.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidegate::model::{Ship, Timestamp};
use tidegate::policy::flink_autoscaler::Options;
use tidegate::policy::flink_autoscaler::cycle::{Autoscaler, Cycle, Look};
use tidegate::policy::flink_autoscaler::evaluate::EvaluatedVertex;
use tidegate::policy::flink_autoscaler::reading::{Aggregate, VertexReading};
use tidegate::policy::flink_autoscaler::sample::{GlobalSample, Sample};
use tidegate::policy::flink_autoscaler::topology::{Topology, Vertex};
use tidegate::policy::flink_autoscaler::window::{Filled, MetricWindow};

use super::Computed;
use super::job::{GraphInput, VertexInput, topology};
use super::value::{Float, at, fields, written};
use crate::frame::{Fault, Vector};

/// The project has no vector of this kind: it is read in the words of `end_to_end`.
pub(crate) fn metric_window(vector: &Vector, mut options: Options) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        #[serde(default)]
        job_running_ts_s: f64,
        #[serde(alias = "collections", alias = "samples")]
        steps: Vec<Collection>,
    }
    #[derive(Deserialize)]
    struct Collection {
        #[serde(rename = "t_s")]
        at: f64,
        #[serde(rename = "window_s")]
        window: Option<f64>,
        #[serde(rename = "job_running_ts_s")]
        running_since: Option<f64>,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let mut window = MetricWindow::default();
    let mut running_since = at(inputs.job_running_ts_s);
    let mut steps = Vec::new();
    for step in &inputs.steps {
        running_since = step.running_since.map_or(running_since, at);
        options.metrics_window = step.window.map_or(options.metrics_window, Duration::from_secs_f64);
        let filled = window.collect(&options, running_since, at(step.at), |_| Sample::default());
        steps.push(json!({
            "history_size": window.samples().len(),
            "fully_collected": filled == Filled::Full,
        }));
    }
    Ok(fields([("steps", json!(steps)), ("collections", json!(steps)), ("samples", json!(steps))]))
}

/// What Flink says of a vertex, as far as the vectors do.
fn reading(records_in: f64, records_out: f64, busy: f64) -> VertexReading {
    VertexReading {
        read_records: records_in,
        write_records: records_out,
        accumulated_busy_ms: f64::NAN,
        busy_ms_per_second: Aggregate { min: busy, max: busy, avg: busy },
        back_pressured_ms_per_second: 0.0,
        pending_records: None,
        records_in_per_second: None,
        source_records_in: None,
        source_records_out: None,
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadingInput {
    #[serde(rename = "in")]
    records_in: f64,
    #[serde(default)]
    out: f64,
    rate: Option<f64>,
    busy: Float,
    #[serde(default)]
    bp: f64,
    pending: Option<f64>,
}

impl ReadingInput {
    fn reading(&self) -> VertexReading {
        VertexReading {
            back_pressured_ms_per_second: self.bp,
            pending_records: self.pending,
            records_in_per_second: self.rate,
            ..reading(self.records_in, self.out, self.busy.0)
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    t_s: f64,
    metrics: BTreeMap<String, ReadingInput>,
    topology: Option<GraphInput>,
    window_s: Option<f64>,
    job_running_ts_s: Option<f64>,
}

/// An autoscaler with the operator's counters.
#[derive(Default)]
struct Counted {
    autoscaler: Autoscaler,
    scalings: u32,
    balanced: u32,
}

impl Counted {
    fn run(
        &mut self,
        options: &Options,
        topology: &Topology,
        readings: &[VertexReading],
        running_since: Timestamp,
        now: Timestamp,
    ) -> Result<Cycle, Fault> {
        let look =
            Look { topology, readings, global: GlobalSample::default(), running_since, now, blocked: false };
        let cycle =
            self.autoscaler.cycle(options, &look).map_err(|error| Fault::Differs(error.to_string()))?;
        match cycle {
            Cycle::Scaled(..) => self.scalings += 1,
            Cycle::Balanced(..) | Cycle::Blocked(..) => self.balanced += 1,
            Cycle::Filling(_) | Cycle::TooFewSamples => {}
        }
        Ok(cycle)
    }
}

pub(crate) fn end_to_end(vector: &Vector, mut options: Options) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        topology: GraphInput,
        steps: Vec<Step>,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let mut graph = topology(&inputs.topology)?;
    let mut running_since = at(0.0);
    let mut counted = Counted::default();
    let mut steps = Vec::new();
    for step in &inputs.steps {
        if let Some(other) = &step.topology {
            graph = topology(other)?;
        }
        if let Some(seconds) = step.window_s {
            options.metrics_window = Duration::from_secs_f64(seconds);
        }
        running_since = step.job_running_ts_s.map_or(running_since, at);
        let readings: Vec<VertexReading> = graph
            .vertices()
            .iter()
            .map(|vertex| {
                let input = step.metrics.get(&vertex.id).map(ReadingInput::reading);
                input.ok_or_else(|| Fault::Unreadable(format!("no metrics of {}", vertex.id)))
            })
            .collect::<Result<_, _>>()?;
        let cycle = counted.run(&options, &graph, &readings, running_since, at(step.t_s))?;
        steps.push(json!({
            "history_size": counted.autoscaler.samples().len(),
            "scalings": counted.scalings,
            "balanced": counted.balanced,
            "overrides": counted.autoscaler.overrides(),
            "evaluated": evaluated(&graph, &cycle),
        }));
    }
    Ok(fields([("steps", json!(steps))]))
}

fn evaluated(topology: &Topology, cycle: &Cycle) -> Map<String, Value> {
    let vertices = cycle.evaluated().map_or(&[][..], |evaluated| &evaluated.vertices);
    let fields = |(vertex, evaluated): (&Vertex, &EvaluatedVertex)| {
        let fields = json!({
            "target_data_rate": written(evaluated.demand.target),
            "catch_up_data_rate": written(evaluated.demand.catch_up),
            "true_processing_rate": written(evaluated.true_processing_rate),
            "scale_up_rate_threshold": written(evaluated.thresholds.up),
            "scale_down_rate_threshold": written(evaluated.thresholds.down),
            "load": written(evaluated.load),
            "lag": written(evaluated.lag),
        });
        (vertex.id.clone(), fields)
    };
    topology.vertices().iter().zip(vertices).map(fields).collect()
}

/// A source and a sink; a sample a minute, ten to a block.
pub(crate) fn series(vector: &Vector, options: &Options) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        initial_parallelism: Pair<u32>,
        max_parallelism: u32,
        records_per_minute: f64,
        first_sample: First,
        busy_per_10min_block: Pair<Vec<f64>>,
    }
    #[derive(Deserialize)]
    struct First {
        t_s: f64,
        busy: Pair<f64>,
        records: f64,
    }
    #[derive(Deserialize)]
    struct Pair<T> {
        source: T,
        sink: T,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let vertex = |parallelism, from: &[&str]| VertexInput {
        inputs: from.iter().map(|from| ((*from).to_owned(), Ship::Rebalance)).collect(),
        parallelism,
        max_parallelism: inputs.max_parallelism,
        num_source_partitions: 0,
        slot_sharing_group: None,
        finished: false,
    };
    // In the order of `readings` below.
    let graph = [
        ("source".to_owned(), vertex(inputs.initial_parallelism.source, &[])),
        ("sink".to_owned(), vertex(inputs.initial_parallelism.sink, &["source"])),
    ];
    let topology = topology(graph.iter().map(|(id, vertex)| (id, vertex)))?;
    let mut counted = Counted::default();
    let mut records = inputs.first_sample.records;
    let mut look = |second: f64, source: f64, sink: f64| {
        let readings = [reading(records, records, source), reading(records, 0.0, sink)];
        records += inputs.records_per_minute;
        counted
            .run(options, &topology, &readings, at(0.0), at(second))
            .map(|cycle| matches!(cycle, Cycle::Scaled(..)))
    };
    let first = &inputs.first_sample;
    look(first.t_s, first.busy.source, first.busy.sink)?;
    let blocks = inputs.busy_per_10min_block.source.iter().zip(&inputs.busy_per_10min_block.sink);
    let minutes = blocks.flat_map(|block| [block; 10]);
    let mut rescaled = None;
    for (minute, (source, sink)) in (1_u32..).zip(minutes) {
        if look(first.t_s + 60.0 * f64::from(minute), *source, *sink)? {
            rescaled = Some(minute);
            break;
        }
    }
    Ok(fields([
        ("first_rescale_minute", json!(rescaled)),
        ("overrides", json!(counted.autoscaler.overrides())),
        ("delayed_vertices_empty", json!(counted.autoscaler.delayed().waiting().next().is_none())),
    ]))
}
