//! From what Flink says of a job to the metrics that the operator keeps of it.
//!
//! Comes in: the numbers of Flink's job details and metrics. Goes out: a [`VertexSample`] for each vertex and a
//! [`GlobalSample`].

use super::Options;
use super::options::BusyTime;
use super::sample::{GlobalSample, VertexSample};
use super::window::average;

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
        let gauge = at_least_zero(self.records_in_per_second.unwrap_or(f64::NAN));
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
        at_least_zero(records)
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

/// A counter or rate that is not below zero; what is not known stays so.
fn at_least_zero(value: f64) -> f64 {
    if value < 0.0 { 0.0 } else { value }
}

/// To three decimals, but never to zero: metrics are kept as short texts. Halves of the decimal number go up, so 1.0005 to
/// 1.001, although the binary number is a little less.
fn rounded(value: f64) -> f64 {
    let text = value.abs().to_string();
    let Some((whole, fraction)) = text.split_once('.').filter(|(_, fraction)| fraction.len() > 3) else {
        return value;
    };
    let (kept, rest) = fraction.split_at(3);
    let Ok(thousandths) = format!("{whole}{kept}").parse::<f64>() else { return value };
    let up = if rest.starts_with(|digit: char| digit >= '5') { 1.0 } else { 0.0 };
    let rounded = (thousandths + up) / 1000.0;
    if rounded == 0.0 { value } else { rounded.copysign(value) }
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
        for (value, expected) in [
            (1.23456, 1.235),
            (1.0005, 1.001),
            (-1.0005, -1.001),
            (0.0005, 0.001),
            (0.0001, 0.0001),
            (1e300, 1e300),
            (f64::INFINITY, f64::INFINITY),
            (f64::MIN_POSITIVE, f64::MIN_POSITIVE),
            (7.0, 7.0),
        ] {
            assert_eq!(rounded(value).to_bits(), f64::to_bits(expected), "{value}");
        }
    }
}
