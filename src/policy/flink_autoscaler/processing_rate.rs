//! The true processing rate: the records/s that a vertex could take in if it were busy all the time.

use super::Options;
use super::options::{BusyTime, Release};
use super::sample::Sample;
use super::window::{average, rate};

/// A counter's or gauge's values of one vertex over a window.
pub(super) fn values<'a>(
    window: &'a [Sample],
    vertex: usize,
    of: impl Fn(&super::sample::VertexSample) -> f64 + 'a,
) -> impl Iterator<Item = (crate::model::Timestamp, f64)> + 'a {
    window.iter().map(move |sample| (sample.at, sample.vertices.get(vertex).map_or(f64::NAN, &of)))
}

/// Records/s taken in over the window.
pub fn input_rate(window: &[Sample], vertex: usize) -> f64 {
    rate(values(window, vertex, |sample| sample.records_in))
}

/// The input rate that goes with the busy time: of the same moments. The busiest or least busy subtask's time is a mean over
/// samples, so the rate is one of Flink's gauge, where there is one; 1.15 takes the counter's rate always.
pub fn rate_for_busy_time(options: &Options, window: &[Sample], vertex: usize) -> f64 {
    let gauge = match (options.busy_time, options.release) {
        (BusyTime::Avg, _) | (_, Release::V1_15) => f64::NAN,
        (BusyTime::Max | BusyTime::Min, Release::V1_16) => {
            average(values(window, vertex, |sample| sample.records_in_per_second).map(|(_, value)| value), 1)
        }
    };
    if gauge.is_finite() { gauge } else { input_rate(window, vertex) }
}

/// Milliseconds per second that a subtask is busy over the window.
pub fn busy_ms_per_second(options: &Options, window: &[Sample], vertex: usize, parallelism: u32) -> f64 {
    match options.busy_time {
        BusyTime::Avg => {
            rate(values(window, vertex, |sample| sample.accumulated_busy_ms)) / f64::from(parallelism.max(1))
        }
        BusyTime::Max | BusyTime::Min => {
            average(values(window, vertex, |sample| sample.load).map(|(_, value)| value), 1) * 1000.0
        }
    }
}

/// What the busy time says; infinite for a vertex that takes nothing in.
pub fn from_busy_time(busy_ms_per_second: f64, input_rate: f64) -> f64 {
    if input_rate == 0.0 { f64::INFINITY } else { input_rate / (busy_ms_per_second / 1000.0) }
}

/// What the busy time says, unless what was observed is known and that is much larger, or nothing.
pub fn choose(options: &Options, from_busy_time: f64, observed: f64) -> f64 {
    if observed.is_nan() {
        return from_busy_time;
    }
    let most = observed * (1.0 + options.observed_rate_switch_threshold);
    if !from_busy_time.is_finite() || from_busy_time > most { observed } else { from_busy_time }
}

/// The true processing rate of a vertex over a window.
pub fn true_processing_rate(options: &Options, window: &[Sample], vertex: usize, parallelism: u32) -> f64 {
    let busy = busy_ms_per_second(options, window, vertex, parallelism);
    let observed = average(
        values(window, vertex, |sample| sample.observed_rate).map(|(_, value)| value),
        options.observed_rate_min_observations,
    );
    choose(options, from_busy_time(busy, rate_for_busy_time(options, window, vertex)), observed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_observed_corrects_a_busy_time_that_says_too_much() {
        let options = Options::default();
        for (busy, observed, chosen) in [
            (100.0, f64::NAN, 100.0),
            (114.0, 100.0, 114.0),
            (116.0, 100.0, 100.0),
            (f64::INFINITY, 100.0, 100.0),
            (f64::NAN, 100.0, 100.0),
            (100.0, f64::INFINITY, 100.0),
        ] {
            let got = choose(&options, busy, observed);
            assert_eq!(got.to_bits(), f64::to_bits(chosen), "{busy} {observed}: {got}");
        }
    }

    #[test]
    fn the_gauge_goes_with_the_busiest_subtask_since_1_16() {
        let sample = |second: i64, records: f64| Sample {
            at: crate::model::Timestamp::from_millis(second * 1000),
            vertices: vec![super::super::sample::VertexSample {
                records_in: records,
                records_in_per_second: 50.0,
                ..Default::default()
            }],
            ..Sample::default()
        };
        let window = [sample(0, 0.0), sample(1, 100.0)];
        for (busy_time, release, rate) in [
            (BusyTime::Max, Release::V1_16, 50.0),
            (BusyTime::Min, Release::V1_16, 50.0),
            (BusyTime::Avg, Release::V1_16, 100.0),
            (BusyTime::Max, Release::V1_15, 100.0),
        ] {
            let options = Options { busy_time, release, ..Options::default() };
            let got = rate_for_busy_time(&options, &window, 0);
            assert_eq!(got.to_bits(), f64::to_bits(rate), "{busy_time:?} {release:?}: {got}");
        }
    }

    #[test]
    fn no_input_is_no_limit_and_an_empty_window_is_not_known() {
        for (busy, rate, expected) in
            [(0.0, 0.0, f64::INFINITY), (0.0, 5.0, f64::INFINITY), (500.0, 5.0, 10.0)]
        {
            assert_eq!(from_busy_time(busy, rate).to_bits(), f64::to_bits(expected));
        }
        assert!(true_processing_rate(&Options::default(), &[], 0, 0).is_nan());
    }
}
