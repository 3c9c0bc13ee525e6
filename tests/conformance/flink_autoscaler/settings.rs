//! The kinds about settings, states and what is asked of Flink.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::DateTime;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidegate::model::{JobState, Scheduler};
use tidegate::policy::flink_autoscaler::Options;
use tidegate::policy::flink_autoscaler::excluded::is_excluded;
use tidegate::policy::flink_autoscaler::history::RestartTracking;
use tidegate::policy::flink_autoscaler::overrides::{Overrides, Requirements, merge, requirements};
use tidegate::policy::flink_autoscaler::status::{Tasks, effective_state};

use super::Computed;
use super::value::fields;
use crate::frame::{Fault, Vector};

/// Whether options are valid, those that cannot even be read included.
pub(crate) fn valid(options: Result<Options, Fault>) -> Map<String, Value> {
    fields([("valid", json!(options.is_ok_and(|options| options.validate().is_empty())))])
}

/// Whether the periods of options are valid, whether the autoscaler is on or not.
pub(crate) fn valid_periods(options: Result<Options, Fault>) -> Map<String, Value> {
    valid(options.map(|options| Options { enabled: true, ..options }))
}

pub(crate) fn excluded(vector: &Vector, options: &Options) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        local_time: DateTime,
    }
    let inputs: Inputs = vector.part("inputs")?;
    Ok(fields([("excluded", json!(is_excluded(&options.excluded_periods, inputs.local_time)))]))
}

pub(crate) fn restart_time(vector: &Vector, options: &Options) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        tracked_restart_s: Vec<Option<f64>>,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let seen: Vec<Duration> =
        inputs.tracked_restart_s.iter().flatten().map(|seconds| Duration::from_secs_f64(*seconds)).collect();
    let time = RestartTracking::of_durations(&seen).restart_time(options);
    Ok(fields([("restart_time_s", json!(time.as_secs()))]))
}

pub(crate) fn status(vector: &Vector) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        status: JobState,
        tasks: BTreeMap<String, u32>,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let of = |state: &str| inputs.tasks.get(state).copied().unwrap_or(0);
    let tasks =
        Tasks { total: inputs.tasks.values().sum(), running: of("RUNNING"), finished: of("FINISHED") };
    Ok(fields([("status", json!(effective_state(inputs.status, tasks)))]))
}

/// The project has no vector of this kind: it is read in the words of `resource_requirements_update`.
pub(crate) fn merged(vector: &Vector, options: &Options) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        #[serde(alias = "autoscaler_overrides", alias = "autoscaler")]
        overrides: Overrides,
        #[serde(default, alias = "user")]
        user_overrides: Overrides,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let merged = json!(merge(&inputs.overrides, &inputs.user_overrides, &options.excluded_vertices));
    Ok(fields([("merged", merged.clone()), ("overrides", merged)]))
}

pub(crate) fn requirements_put(vector: &Vector) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        scheduler: String,
        job_status: JobState,
        current: Requirements,
        overrides: Overrides,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let is_adaptive = inputs.scheduler.eq_ignore_ascii_case("adaptive");
    let scheduler = if is_adaptive { Scheduler::Adaptive } else { Scheduler::Default };
    let put = requirements(scheduler, inputs.job_status, &inputs.current, &inputs.overrides);
    Ok(fields([("put", json!(put))]))
}
