//! The operator's own cases: each kind's inputs brought to Tidegate's types, and what comes of them brought back.

mod alignment;
mod cycles;
mod delay;
mod job;
mod jobs;
mod memory;
mod metrics;
mod settings;
mod value;
mod vertices;

use serde_json::{Map, Value};
use tidegate::policy::flink_autoscaler::Options;
use tidegate::policy::flink_autoscaler::options::Release;

use crate::frame::{Fault, Suite, Vector};

/// No difference: each release is computed as that one does it.
pub(crate) const SUITE: Suite = Suite { name: "flink-autoscaler", judge, differences: &[] };

/// What was computed, by the vectors' names of it.
type Computed = Result<Map<String, Value>, Fault>;

/// A vector holds for one release or for several: it is computed as each of them does it.
fn judge(vector: &Vector) -> Result<(), Fault> {
    let versions: Vec<String> = vector.part("versions")?;
    if versions.is_empty() {
        return Err(Fault::Unreadable("it holds for no release".to_owned()));
    }
    for version in &versions {
        let release = match version.as_str() {
            "1.15.0" => Release::V1_15,
            "main" => Release::V1_16,
            _ => return Err(Fault::Unreadable(format!("release {version} is not known here"))),
        };
        judge_as(vector, release).map_err(|fault| match fault {
            Fault::Differs(how) => Fault::Differs(format!("as of {version}: {how}")),
            Fault::Unreadable(how) => Fault::Unreadable(how),
        })?;
    }
    Ok(())
}

fn judge_as(vector: &Vector, release: Release) -> Result<(), Fault> {
    let options = || -> Result<Options, Fault> {
        let config: Option<Map<String, Value>> = vector.part("config")?;
        let options = Options::from_map(&value::texts(&config.unwrap_or_default())).map_err(|errors| {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Fault::Unreadable(errors.join("; "))
        })?;
        Ok(Options { release, ..options })
    };
    let computed = match vector.kind.as_str() {
        "vertex_decision" => vertices::vertex(vector, &options()?),
        "scale_factor_to_parallelism" => alignment::scaled_and_aligned(vector, &options()?),
        "alignment" => alignment::alignment(vector),
        "alignment_mode_resolution" => Ok(alignment::alignment_mode(&options()?)),
        "scale_down_sequence" => delay::scale_down_sequence(vector, &options()?),
        "scale_down_window_max" => delay::window_max(vector),
        "observed_scalability_coefficient" => vertices::scalability(vector, &options()?),
        "rate_thresholds" => vertices::rate_thresholds(vector, &options()?),
        "job_decision" => jobs::job(vector, &options()?),
        "memory_pressure_guard" => jobs::memory_guard(vector, &options()?),
        "resource_quota" => jobs::quota(vector, &options()?),
        "task_slots_after_rescale" => jobs::slots(vector),
        "evaluate_rates" => metrics::rates(vector, &options()?),
        "is_processing_backlog" => metrics::backlog(vector, &options()?),
        "true_processing_rate" => metrics::true_processing_rate(vector, &options()?),
        "busy_time_avg" => metrics::busy_time(vector, &options()?),
        "edge_output_ratio" => metrics::output_ratio(vector),
        "window_rate" => metrics::window_rate(vector),
        "tpr_input_rate" => metrics::input_rate(vector, &options()?),
        "observed_tpr_backpressure" => metrics::without_back_pressure(vector),
        "observed_tpr_sample" => metrics::observed_rate(vector, &options()?),
        "load_metric" => metrics::load(vector, &options()?),
        "global_metrics_collect" => metrics::global_sample(vector),
        "global_metrics_evaluate" => metrics::global_window(vector),
        "source_partition_count" => metrics::partitions(vector),
        "network_segments" => memory::segments(vector),
        "memory_scale_down_compensation" => memory::compensation(vector, &options()?),
        "memory_tuning" => memory::tuning(vector, &options()?),
        "excluded_periods_valid" => Ok(settings::valid_periods(options())),
        "config_validation" => Ok(settings::valid(options())),
        "excluded_period_active" => settings::excluded(vector, &options()?),
        "restart_time" => settings::restart_time(vector, &options()?),
        "effective_job_status" => settings::status(vector),
        "override_merge" => settings::merged(vector, &options()?),
        "resource_requirements_update" => settings::requirements_put(vector),
        "metric_window" => cycles::metric_window(vector, options()?),
        "end_to_end" => cycles::end_to_end(vector, options()?),
        "delayed_scale_down_series" => cycles::series(vector, &options()?),
        _ => return Err(vector.unknown_kind()),
    };
    value::compare(vector, computed?)
}
