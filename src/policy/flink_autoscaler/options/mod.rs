//! The operator's `job.autoscaler.*` options, 1.15 and 1.16, from a map of texts.
//!
//! Names are those of today and of old; values are in Flink's notation. Nothing is ever ignored: a name that is not known
//! and a value that cannot be read are errors, all of them at once.

mod choices;
mod error;
mod read;
mod settings;
mod validate;
mod value;

use std::collections::BTreeMap;
use std::time::Duration;

pub use choices::{AdjustMode, BusyTime, Release};
pub use error::OptionError;
pub use read::is_option;
pub use settings::{OptionErrors, Settings};
pub use value::{Bytes, Value};

/// What every option's name begins with.
pub const PREFIX: &str = "job.autoscaler.";

/// What the names began with in the operator's first releases.
pub const OLD_PREFIX: &str = "kubernetes.operator.job.autoscaler.";

/// One option: how it is called and what can be written for it.
#[derive(Debug)]
pub struct Key {
    /// Its name after the prefix.
    pub name: &'static str,
    /// Its names of old, after the prefix.
    pub old: &'static [&'static str],
    /// What its values look like.
    pub expected: &'static str,
    words: &'static [&'static str],
    set: fn(&mut Options, &str) -> bool,
}

/// One definition of every option: its field, type, default and names.
macro_rules! options {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $default:expr, $name:literal $(or $old:literal)*;)+) => {
        /// The settings of the operator's autoscaler.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Options {
            $($(#[$doc])* pub $field: $type,)+
            /// What is handed to plugins of the operator's, by the name after the prefix. No plugin runs here.
            pub plugin_settings: BTreeMap<String, String>,
            /// Whose semantics are computed; no option of the operator's.
            pub release: Release,
        }

        impl Default for Options {
            fn default() -> Self {
                Self { $($field: $default,)+ plugin_settings: BTreeMap::new(), release: Release::default() }
            }
        }

        /// All options that have a fixed name.
        pub const KEYS: &[Key] = &[$(Key {
            name: $name,
            old: &[$($old),*],
            expected: <$type as Value>::EXPECTED,
            words: <$type as Value>::WORDS,
            set: |options, text| match <$type as Value>::parse(text) {
                Some(value) => {
                    options.$field = value;
                    true
                }
                None => false,
            },
        }),+];
    };
}

options! {
    /// Whether the autoscaler looks at the job.
    enabled: bool = false, "enabled";
    /// Whether it also acts.
    scaling_enabled: bool = true, "scaling.enabled";
    /// The time over which metrics are averaged.
    metrics_window: Duration = Duration::from_mins(15), "metrics.window";
    /// The time after a start in which nothing is decided.
    stabilization_interval: Duration = Duration::from_mins(5), "stabilization.interval";
    /// Times at which nothing is done: `HH:mm:ss-HH:mm:ss`, a Quartz cron expression, or both with `&&`.
    excluded_periods: Vec<String> = Vec::new(), "excluded.periods";
    /// The utilization that a new size is chosen for.
    utilization_target: f64 = 0.7, "utilization.target" or "target.utilization";
    /// Above it is scaled up; target plus boundary when not given.
    utilization_max: Option<f64> = None, "utilization.max";
    /// Below it is scaled down; target less boundary when not given.
    utilization_min: Option<f64> = None, "utilization.min";
    /// Half the width of the band around the target.
    utilization_boundary: f64 = 0.3, "target.utilization.boundary";
    /// For how long a smaller size must be wanted before it is chosen.
    scale_down_interval: Duration = Duration::from_hours(1), "scale-down.interval" or "scale-up.grace-period";
    /// The fewest subtasks that a vertex is scaled down to.
    vertex_min_parallelism: u32 = 1, "vertex.min-parallelism";
    /// The most subtasks that a vertex is scaled up to.
    vertex_max_parallelism: u32 = 200, "vertex.max-parallelism";
    /// The share of its subtasks that a vertex may lose at once.
    scale_down_max_factor: f64 = 0.6, "scale-down.max-factor";
    /// The share of its subtasks that a vertex may gain at once; 2 allows three times as many.
    scale_up_max_factor: f64 = 100_000.0, "scale-up.max-factor";
    /// The time in which a backlog is to be worked off; 0: it is not looked at.
    catch_up_duration: Duration = Duration::from_mins(30), "catch-up.duration";
    /// The time that a restart is expected to take.
    restart_time: Duration = Duration::from_mins(5), "restart.time";
    /// Whether the longest restart that was seen is taken instead.
    restart_time_tracking: bool = false, "restart.time-tracking.enabled";
    /// The most that is believed of a restart that was seen.
    restart_time_tracking_limit: Duration = Duration::from_mins(15), "restart.time-tracking.limit";
    /// A source that is further behind is catching up, and nothing is scaled down.
    backlog_lag_threshold: Duration = Duration::from_mins(5), "backlog-processing.lag-threshold";
    /// A source that is further behind shows how much it can take in.
    observed_rate_lag_threshold: Duration = Duration::from_secs(30), "observed-true-processing-rate.lag-threshold";
    /// What was seen replaces what the busy time says when that is so much larger.
    observed_rate_switch_threshold: f64 = 0.15, "observed-true-processing-rate.switch-threshold";
    /// How often it must have been seen.
    observed_rate_min_observations: u32 = 2, "observed-true-processing-rate.min-observations";
    /// Whether a vertex that gained too little from the last scale-up is left alone.
    effectiveness_detection: bool = false, "scaling.effectiveness.detection.enabled";
    /// The share of the expected gain that is enough.
    effectiveness_threshold: f64 = 0.1, "scaling.effectiveness.threshold";
    /// Nothing is scaled above this share of time spent collecting garbage; 1: no limit.
    gc_pressure_threshold: f64 = 1.0, "memory.gc-pressure.threshold";
    /// Nothing is scaled above this share of the heap in use; 1: no limit.
    heap_usage_threshold: f64 = 1.0, "memory.heap-usage.threshold";
    /// Whether `TaskManagers` are given the memory that they use.
    memory_tuning: bool = false, "memory.tuning.enabled";
    /// Whether the heap grows when there are fewer `TaskManagers`.
    memory_scale_down_compensation: bool = true, "memory.tuning.scale-down-compensation.enabled";
    /// What is added to the memory in use.
    memory_tuning_overhead: f64 = 0.2, "memory.tuning.overhead";
    /// Whether managed memory takes all that is left.
    maximize_managed_memory: bool = false, "memory.tuning.maximize-managed-memory";
    /// Past decisions that are kept for each vertex.
    history_max_count: u32 = 3, "history.max.count";
    /// For how long they are kept.
    history_max_age: Duration = Duration::from_hours(24), "history.max.age";
    /// Which subtasks the busy time is taken from.
    busy_time: BusyTime = BusyTime::Max, "metrics.busy-time.aggregator";
    /// Ids of vertices that are left alone.
    excluded_vertices: Vec<String> = Vec::new(), "vertex.exclude.ids";
    /// The time between two events that say the same; nothing is emitted here.
    event_interval: Duration = Duration::from_mins(30), "scaling.event.interval";
    /// The time that Flink has to answer; nothing is asked here.
    rest_timeout: Duration = Duration::from_secs(10), "flink.rest-client.timeout";
    /// The memory that the job's `TaskManagers` may have in all.
    memory_quota: Option<Bytes> = None, "quota.memory";
    /// The CPUs that the job's `TaskManagers` may have in all.
    cpu_quota: Option<f64> = None, "quota.cpu";
    /// How a parallelism is aligned, in the words of 1.15.
    adjust_mode: Option<AdjustMode> = None, "scaling.key-group.partitions.adjust.mode";
    /// How a parallelism is aligned: `BALANCED`, `EVENLY_SPREAD`, `OFF`, or the name of a plugin.
    alignment_mode: Option<String> = None, "scaling.parallelism-alignment.mode";
    /// Whether past decisions tell how much a subtask more brings.
    observed_scalability: bool = false, "observed-scalability.enabled";
    /// How many past decisions that takes.
    observed_scalability_min_observations: u32 = 3, "observed-scalability.min-observations";
    /// The least that is believed of it.
    observed_scalability_coefficient_min: f64 = 0.5, "observed-scalability.coefficient-min";
    /// Plugins that change the evaluated metrics. None runs here.
    custom_evaluators: Vec<String> = Vec::new(), "metrics.custom-evaluators";
    /// Plugins that change or refuse a decision. None runs here.
    custom_executors: Vec<String> = Vec::new(), "scaling.custom-executors";
}
