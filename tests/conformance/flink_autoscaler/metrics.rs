//! The kinds about metrics: how they are collected, and what is read off a window of them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidegate::policy::flink_autoscaler::Options;
use tidegate::policy::flink_autoscaler::edges;
use tidegate::policy::flink_autoscaler::evaluate::{
    LatestAndAverage, evaluate, evaluate_global, is_processing_backlog,
};
use tidegate::policy::flink_autoscaler::partitions::source_partitions;
use tidegate::policy::flink_autoscaler::processing_rate::{
    busy_ms_per_second, choose, from_busy_time, rate_for_busy_time,
};
use tidegate::policy::flink_autoscaler::reading::{
    self, Aggregate, TaskManagerMetrics, observed_rate_sample,
};
use tidegate::policy::flink_autoscaler::sample::{GlobalSample, Sample};
use tidegate::policy::flink_autoscaler::window::{average, rate};

use super::Computed;
use super::job::{GraphInput, OneInput, SampleInput, topology, window, window_of_one};
use super::value::{Float, at, fields, written};
use crate::frame::{Fault, Vector};

#[derive(Deserialize)]
struct Watched {
    topology: GraphInput,
    history: Vec<SampleInput>,
}

/// A lag that no metric was there for is null in the vectors.
fn absent_or(value: f64) -> Value {
    if value.is_nan() { Value::Null } else { json!(value) }
}

pub(crate) fn rates(vector: &Vector, options: &Options) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        restart_time_s: Option<f64>,
    }
    let (inputs, watched): (Inputs, Watched) = (vector.part("inputs")?, vector.part("inputs")?);
    let topology = topology(&watched.topology)?;
    let restart_time = inputs.restart_time_s.map_or(options.restart_time, Duration::from_secs_f64);
    let samples = window(&topology, &watched.history);
    let Ok(evaluated) = evaluate(options, &topology, &samples, restart_time) else {
        return Ok(fields([("error", json!("RuntimeException"))]));
    };
    let vertices: Map<String, Value> = topology
        .vertices()
        .iter()
        .zip(&evaluated.vertices)
        .map(|(vertex, evaluated)| {
            let fields = json!({
                "target_data_rate": written(evaluated.demand.target),
                "catch_up_data_rate": written(evaluated.demand.catch_up),
                "true_processing_rate": written(evaluated.true_processing_rate),
                "scale_up_rate_threshold": written(evaluated.thresholds.up),
                "scale_down_rate_threshold": written(evaluated.thresholds.down),
                "load": written(evaluated.load),
                "lag": absent_or(evaluated.lag),
            });
            (vertex.id.clone(), fields)
        })
        .collect();
    Ok(fields([
        ("vertices", Value::Object(vertices)),
        ("processing_backlog", json!(evaluated.processing_backlog)),
    ]))
}

pub(crate) fn backlog(vector: &Vector, options: &Options) -> Computed {
    let watched: Watched = vector.part("inputs")?;
    let topology = topology(&watched.topology)?;
    let is_behind = is_processing_backlog(options, &topology, &window(&topology, &watched.history));
    Ok(fields([("processing_backlog", json!(is_behind))]))
}

pub(crate) fn true_processing_rate(vector: &Vector, options: &Options) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        busy_ms_per_s: Float,
        input_rate: Float,
        observed_tpr_samples: Vec<Float>,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let observed = inputs.observed_tpr_samples.iter().map(|sample| sample.0);
    let observed = average(observed, options.observed_rate_min_observations);
    let busy = from_busy_time(inputs.busy_ms_per_s.0, inputs.input_rate.0);
    Ok(fields([("true_processing_rate", written(choose(options, busy, observed)))]))
}

pub(crate) fn busy_time(vector: &Vector, options: &Options) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        history: Vec<OneInput>,
        parallelism: u32,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let busy = busy_ms_per_second(options, &window_of_one(&inputs.history), 0, inputs.parallelism);
    Ok(fields([("busy_ms_per_s", written(busy))]))
}

pub(crate) fn output_ratio(vector: &Vector) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        from: String,
        to: String,
    }
    let (inputs, watched): (Inputs, Watched) = (vector.part("inputs")?, vector.part("inputs")?);
    let topology = topology(&watched.topology)?;
    let (Some(from), Some(to)) = (topology.index_of(&inputs.from), topology.index_of(&inputs.to)) else {
        return Err(Fault::Unreadable("no such edge".to_owned()));
    };
    let ratio = edges::output_ratio(&topology, &window(&topology, &watched.history), from, to);
    Ok(fields([("ratio", written(ratio))]))
}

pub(crate) fn window_rate(vector: &Vector) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        samples: Vec<Counter>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Counter {
        t_s: f64,
        value: Float,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let rate = rate(inputs.samples.iter().map(|sample| (at(sample.t_s), sample.value.0)));
    Ok(fields([("rate_per_s", written(rate))]))
}

pub(crate) fn input_rate(vector: &Vector, options: &Options) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        samples: Vec<OneInput>,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let rate = rate_for_busy_time(options, &window_of_one(&inputs.samples), 0);
    Ok(fields([("input_rate", written(rate))]))
}

pub(crate) fn without_back_pressure(vector: &Vector) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        rate: Float,
        backpressure_ms_per_s: Float,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let observed = reading::without_back_pressure(inputs.rate.0, inputs.backpressure_ms_per_s.0);
    Ok(fields([("observed_tpr", written(observed))]))
}

pub(crate) fn observed_rate(vector: &Vector, options: &Options) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        lag: Float,
        source_rate: Float,
        backpressure_avg_ms_per_s: Float,
        previous_window_average: Float,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let observed = observed_rate_sample(
        options,
        inputs.lag.0,
        inputs.source_rate.0,
        inputs.backpressure_avg_ms_per_s.0,
        || inputs.previous_window_average.0,
    );
    let observed = if inputs.source_rate.0.is_nan() { Value::Null } else { written(observed) };
    Ok(fields([("observed_tpr", observed)]))
}

pub(crate) fn load(vector: &Vector, options: &Options) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        busy_min: Float,
        busy_max: Float,
        busy_avg: Float,
        accumulated_busy_time: Float,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let busy = Aggregate { min: inputs.busy_min.0, max: inputs.busy_max.0, avg: inputs.busy_avg.0 };
    let load = reading::load(options.busy_time, busy);
    Ok(fields([
        ("LOAD", written(load)),
        ("ACCUMULATED_BUSY_TIME", written(inputs.accumulated_busy_time.0)),
        ("vertex_excluded_from_scaling", json!(load.is_nan())),
    ]))
}

/// The metrics of the `TaskManagers` by the names of the operator.
fn named(sample: &GlobalSample) -> [(&'static str, f64); 6] {
    [
        ("GC_PRESSURE", sample.gc_pressure),
        ("HEAP_MAX_USAGE_RATIO", sample.heap_usage_ratio),
        ("HEAP_MEMORY_USED", sample.heap_used),
        ("MANAGED_MEMORY_USED", sample.managed_used),
        ("METASPACE_MEMORY_USED", sample.metaspace_used),
        ("NUM_TASK_SLOTS_USED", sample.slots_used),
    ]
}

pub(crate) fn global_sample(vector: &Vector) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        tm: BTreeMap<String, Of>,
        #[serde(default)]
        jm: BTreeMap<String, Float>,
    }
    #[derive(Deserialize)]
    struct Of {
        max: Option<Float>,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let max = |name: &str| inputs.tm.get(name).and_then(|of| of.max).map(|max| max.0);
    let jm = |name: &str| inputs.jm.get(name).map(|value| value.0);
    let sample = TaskManagerMetrics {
        heap_used: max("HEAP_MEMORY_USED"),
        heap_max: max("HEAP_MEMORY_MAX"),
        managed_used: max("MANAGED_MEMORY_USED"),
        metaspace_used: max("METASPACE_MEMORY_USED"),
        gc_ms_per_second: max("TOTAL_GC_TIME_PER_SEC"),
        slots_total: jm("NUM_TASK_SLOTS_TOTAL"),
        slots_available: jm("NUM_TASK_SLOTS_AVAILABLE"),
    }
    .to_sample();
    let known = named(&sample).into_iter().filter(|(_, value)| !value.is_nan());
    let metrics: Map<String, Value> = known.map(|(name, value)| (name.to_owned(), json!(value))).collect();
    Ok(fields([("metrics", Value::Object(metrics))]))
}

pub(crate) fn global_window(vector: &Vector) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        samples: Vec<GlobalInput>,
    }
    #[derive(Default, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "SCREAMING_SNAKE_CASE", default)]
    struct GlobalInput {
        gc_pressure: Float,
        heap_max_usage_ratio: Float,
        heap_memory_used: Float,
        managed_memory_used: Float,
        metaspace_memory_used: Float,
        num_task_slots_used: Float,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let samples: Vec<Sample> = (0..)
        .zip(&inputs.samples)
        .map(|(second, input)| Sample {
            at: at(f64::from(second)),
            global: GlobalSample {
                gc_pressure: input.gc_pressure.0,
                heap_usage_ratio: input.heap_max_usage_ratio.0,
                heap_used: input.heap_memory_used.0,
                managed_used: input.managed_memory_used.0,
                metaspace_used: input.metaspace_memory_used.0,
                slots_used: input.num_task_slots_used.0,
            },
            ..Sample::default()
        })
        .collect();
    let got = evaluate_global(&samples);
    let both = |of: LatestAndAverage| json!([written(of.latest), written(of.average)]);
    // No average is kept of it.
    let latest = |latest| Value::Array(vec![written(latest), Value::Null]);
    Ok(fields([
        ("GC_PRESSURE", latest(got.gc_pressure)),
        ("HEAP_MAX_USAGE_RATIO", both(got.heap_usage_ratio)),
        ("HEAP_MEMORY_USED", both(got.heap_used)),
        ("MANAGED_MEMORY_USED", both(got.managed_used)),
        ("METASPACE_MEMORY_USED", both(got.metaspace_used)),
        ("NUM_TASK_SLOTS_USED", latest(got.slots_used)),
    ]))
}

pub(crate) fn partitions(vector: &Vector) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        metric_names: Vec<String>,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let found = source_partitions(inputs.metric_names.iter().map(String::as_str));
    Ok(fields([("partitions", json!(found.unwrap_or(0)))]))
}
