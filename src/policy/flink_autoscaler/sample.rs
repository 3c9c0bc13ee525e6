//! The metrics that the operator keeps of one look at a job; NaN where one is not known.

use crate::model::Timestamp;

/// The metrics of one vertex at one moment; NaN where they are not known.
#[derive(Clone, Debug, PartialEq)]
pub struct VertexSample {
    /// Records taken in since the vertex started.
    pub records_in: f64,
    /// Records put out since the vertex started.
    pub records_out: f64,
    /// Records taken in per second, by Flink's own gauge; not for sources.
    pub records_in_per_second: f64,
    /// The share of its time that the chosen subtask was busy, 0 to 1.
    pub load: f64,
    /// Milliseconds that its subtasks were busy since the vertex started.
    pub accumulated_busy_ms: f64,
    /// Sources: records that wait.
    pub lag: f64,
    /// Sources: records/s that it was seen to take in when there was enough to take.
    pub observed_rate: f64,
}

impl Default for VertexSample {
    fn default() -> Self {
        Self {
            records_in: f64::NAN,
            records_out: f64::NAN,
            records_in_per_second: f64::NAN,
            load: f64::NAN,
            accumulated_busy_ms: f64::NAN,
            lag: f64::NAN,
            observed_rate: f64::NAN,
        }
    }
}

/// The metrics of the `TaskManagers` at one moment, each of the worst of them; NaN where they are not known.
#[derive(Clone, Debug, PartialEq)]
pub struct GlobalSample {
    /// The share of time spent collecting garbage.
    pub gc_pressure: f64,
    /// Bytes of heap in use.
    pub heap_used: f64,
    /// The share of the heap in use.
    pub heap_usage_ratio: f64,
    /// Bytes of managed memory in use.
    pub managed_used: f64,
    /// Bytes of metaspace in use.
    pub metaspace_used: f64,
    /// Slots that are taken, of the whole cluster.
    pub slots_used: f64,
}

impl Default for GlobalSample {
    fn default() -> Self {
        Self {
            gc_pressure: f64::NAN,
            heap_used: f64::NAN,
            heap_usage_ratio: f64::NAN,
            managed_used: f64::NAN,
            metaspace_used: f64::NAN,
            slots_used: f64::NAN,
        }
    }
}

/// The metrics of a job at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// One for each vertex, in the topology's order.
    pub vertices: Vec<VertexSample>,
    /// Of the `TaskManagers`.
    pub global: GlobalSample,
}
