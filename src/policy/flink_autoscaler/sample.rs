//! What one look at a job found, in the operator's own terms.
//!
//! Comes in: the numbers that Flink gave for each vertex. Goes out: a [`Sample`] of the metrics that the operator keeps,
//! NaN where one is not known.

use crate::model::Timestamp;

use super::Options;
use super::options::BusyTime;
use super::window::average;

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

/// A metric over the subtasks of a vertex.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aggregate {
    /// Of the subtask that has the least.
    pub min: f64,
    /// Of the subtask that has the most.
    pub max: f64,
    /// Of all.
    pub avg: f64,
}

/// What Flink says of one vertex.
#[derive(Clone, Debug, PartialEq)]
pub struct VertexReading {
    /// `read-records` of the job's details; 0 for a source.
    pub read_records: f64,
    /// `write-records` of the job's details.
    pub write_records: f64,
    /// `accumulated-busy-time` of the job's details.
    pub accumulated_busy_ms: f64,
    /// `busyTimeMsPerSecond`.
    pub busy_ms_per_second: Aggregate,
    /// `backPressuredTimeMsPerSecond`, of all subtasks; sources only.
    pub back_pressured_ms_per_second: f64,
    /// `pendingRecords`, the sum; sources only.
    pub pending_records: Option<f64>,
    /// `numRecordsInPerSecond`, the sum: of the source operator for sources.
    pub records_in_per_second: Option<f64>,
    /// `numRecordsIn` of the source operator, the sum.
    pub source_records_in: Option<f64>,
    /// `numRecordsOut` of the source operator, the sum.
    pub source_records_out: Option<f64>,
}

impl VertexReading {
    /// The metrics that are kept of it. `observed` are the observed rates of the window so far.
    pub fn to_sample(
        &self,
        options: &Options,
        is_source: bool,
        observed: impl IntoIterator<Item = f64>,
    ) -> VertexSample {
        let lag = if is_source { self.pending_records.unwrap_or(0.0) } else { f64::NAN };
        let gauge = self.records_in_per_second.unwrap_or(f64::NAN).max_or_nan(0.0);
        let observed_rate = if is_source {
            let back_pressured = self.back_pressured_ms_per_second;
            observed_rate_sample(options, lag, gauge, back_pressured, || {
                average(observed, options.observed_rate_min_observations)
            })
        } else {
            f64::NAN
        };
        VertexSample {
            records_in: rounded(self.records_in(is_source)),
            records_out: rounded(self.write_records),
            records_in_per_second: if is_source { f64::NAN } else { rounded(gauge) },
            load: rounded(load(options.busy_time, self.busy_ms_per_second)),
            accumulated_busy_ms: rounded(self.accumulated_busy_ms),
            lag: rounded(lag),
            observed_rate: rounded(observed_rate),
        }
    }

    /// The first that is not zero: of the job's details, then of the source operator's input and of its output.
    fn records_in(&self, is_source: bool) -> f64 {
        let mut records = self.read_records;
        for other in [self.source_records_in, self.source_records_out].into_iter().flatten() {
            if is_source && records == 0.0 {
                records = other;
            }
        }
        records.max_or_nan(0.0)
    }
}

/// `f64::max` that keeps a NaN.
trait MaxOrNan {
    fn max_or_nan(self, least: Self) -> Self;
}

impl MaxOrNan for f64 {
    fn max_or_nan(self, least: Self) -> Self {
        if self.is_nan() { self } else { self.max(least) }
    }
}

/// The share of its time that the chosen subtask is busy; NaN where Flink does not say (a legacy source): such a vertex is
/// not scaled.
pub fn load(of: BusyTime, busy_ms_per_second: Aggregate) -> f64 {
    let busy = match of {
        BusyTime::Max => busy_ms_per_second.max,
        BusyTime::Min => busy_ms_per_second.min,
        BusyTime::Avg => busy_ms_per_second.avg,
    };
    if busy.is_finite() { busy.max(0.0) / 1000.0 } else { f64::NAN }
}

/// What a source could take in if nothing held it back; NaN when something always does.
pub fn without_back_pressure(rate: f64, back_pressured_ms_per_second: f64) -> f64 {
    let free = 1.0 - back_pressured_ms_per_second / 1000.0;
    if free > 0.0 { rate / free } else { f64::NAN }
}

/// What a source is seen to take in: only while it is catching up does that say what it can. Otherwise what was seen before
/// holds on; and a source without any input could take in anything.
pub fn observed_rate_sample(
    options: &Options,
    lag: f64,
    rate: f64,
    back_pressured_ms_per_second: f64,
    before: impl FnOnce() -> f64,
) -> f64 {
    if rate.is_nan() {
        return f64::NAN;
    }
    if rate == 0.0 {
        return f64::INFINITY;
    }
    let threshold = options.observed_rate_lag_threshold.as_secs() as f64 * rate;
    let observed = without_back_pressure(rate, back_pressured_ms_per_second);
    if lag >= threshold && !observed.is_nan() { observed } else { before() }
}

/// To three decimals, but never to zero: metrics are kept as short texts.
fn rounded(value: f64) -> f64 {
    let rounded = (value * 1000.0).round() / 1000.0;
    if rounded == 0.0 || !rounded.is_finite() { value } else { rounded }
}

/// Metrics of one kind over all `TaskManagers`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TaskManagerMetrics {
    /// Bytes of heap in use, of the one that uses most.
    pub heap_used: Option<f64>,
    /// Bytes of heap, of the one that has most.
    pub heap_max: Option<f64>,
    /// Bytes of managed memory in use, of the one that uses most.
    pub managed_used: Option<f64>,
    /// Bytes of metaspace in use, of the one that uses most.
    pub metaspace_used: Option<f64>,
    /// Milliseconds per second spent collecting garbage, of the one that spends most.
    pub gc_ms_per_second: Option<f64>,
    /// Slots of the cluster.
    pub slots_total: Option<f64>,
    /// Slots of the cluster that are free.
    pub slots_available: Option<f64>,
}

impl TaskManagerMetrics {
    /// The metrics that are kept of them.
    pub fn to_sample(self) -> GlobalSample {
        let known = |value: Option<f64>| value.unwrap_or(f64::NAN);
        let heap = self.heap_used.zip(self.heap_max);
        GlobalSample {
            gc_pressure: known(self.gc_ms_per_second) / 1000.0,
            heap_used: known(heap.map(|(used, _)| used)),
            heap_usage_ratio: known(heap.map(|(used, max)| used / max)),
            managed_used: known(self.managed_used),
            metaspace_used: known(self.metaspace_used),
            slots_used: known(self.slots_total) - known(self.slots_available),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading() -> VertexReading {
        VertexReading {
            read_records: 0.0,
            write_records: 7.0,
            accumulated_busy_ms: 5.0,
            busy_ms_per_second: Aggregate { min: 100.0, max: 900.0, avg: 500.0 },
            back_pressured_ms_per_second: 500.0,
            pending_records: Some(1e6),
            records_in_per_second: Some(100.0),
            source_records_in: None,
            source_records_out: Some(9.0),
        }
    }

    #[test]
    fn a_source_counts_what_its_operator_does_when_the_vertex_says_nothing() {
        let options = Options::default();
        let source = reading().to_sample(&options, true, []);
        assert_eq!(
            (source.records_in, source.lag, source.load, source.observed_rate),
            (9.0, 1e6, 0.9, 200.0)
        );
        let other = reading().to_sample(&options, false, []);
        assert_eq!((other.records_in, other.records_in_per_second), (0.0, 100.0));
        assert!(other.lag.is_nan() && other.observed_rate.is_nan() && source.records_in_per_second.is_nan());
    }

    #[test]
    fn what_a_source_was_seen_to_take_in_holds_on() {
        let options = Options::default();
        for (lag, rate, back_pressured, expected) in [
            (0.0, 0.0, 0.0, f64::INFINITY),
            (0.0, f64::NAN, 0.0, f64::NAN),
            (2_999.0, 100.0, 0.0, 123.0),
            (3_000.0, 100.0, 0.0, 100.0),
            (3_000.0, 100.0, 1_000.0, 123.0),
        ] {
            let got = observed_rate_sample(&options, lag, rate, back_pressured, || 123.0);
            assert!(
                got.to_bits() == expected.to_bits() || (got.is_nan() && expected.is_nan()),
                "{lag} {rate}: {got}"
            );
        }
    }

    #[test]
    fn rounds_but_never_to_nothing() {
        for (value, expected) in
            [(1.23456, 1.235), (0.0001, 0.0001), (f64::INFINITY, f64::INFINITY), (1e300, 1e300)]
        {
            assert_eq!(rounded(value).to_bits(), f64::to_bits(expected), "{value}");
        }
    }
}
