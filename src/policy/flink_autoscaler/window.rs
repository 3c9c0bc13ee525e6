//! The window of samples that is evaluated, and what is read off it.
//!
//! As in the operator, a number that is not known is NaN, and an infinite rate means that a vertex did nothing.

use std::time::Duration;

use crate::model::Timestamp;

use super::Options;
use super::sample::Sample;

/// What a counter grew by per second, from its first value that is known to its last; NaN with fewer than two.
pub fn rate(values: impl IntoIterator<Item = (Timestamp, f64)>) -> f64 {
    let mut known = values.into_iter().filter(|(_, value)| !value.is_nan());
    let Some((from, first)) = known.next() else { return f64::NAN };
    let Some((to, last)) = known.last() else { return f64::NAN };
    // Two samples of one millisecond: the operator divides by one rather than by zero.
    let millis = to.as_millis().saturating_sub(from.as_millis()).max(1);
    1000.0 * (last - first) / millis as f64
}

/// The mean of the values that are finite; NaN when they are fewer than `least`, and infinite when none is and one is
/// infinite.
pub fn average(values: impl IntoIterator<Item = f64>, least: u32) -> f64 {
    let (mut sum, mut count, mut any_infinite) = (0.0, 0_u32, false);
    for value in values {
        if value.is_finite() {
            sum += value;
            count += 1;
        }
        any_infinite |= value.is_infinite();
    }
    match count {
        0 if any_infinite => f64::INFINITY,
        0 => f64::NAN,
        _ if count < least => f64::NAN,
        _ => sum / f64::from(count),
    }
}

/// The samples of a job since it started, as far back as they are of use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricWindow {
    samples: Vec<Sample>,
}

/// What has become of the window with a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// It spans the whole time since the job became stable: it can be decided on.
    Full,
    /// It will at this moment.
    Until(Timestamp),
}

impl MetricWindow {
    /// Its samples, oldest first.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Takes in a sample that is made from those before it. A job that started after the first of them is another one, as
    /// far as its metrics go.
    pub fn collect(
        &mut self,
        options: &Options,
        running_since: Timestamp,
        now: Timestamp,
        sample: impl FnOnce(&[Sample]) -> Sample,
    ) -> Filled {
        if self.samples.first().is_some_and(|first| running_since > first.at) {
            self.samples.clear();
        }
        let stable = running_since + options.stabilization_interval;
        let first_stable = self.samples.iter().map(|sample| sample.at).find(|at| *at >= stable);
        let full = first_stable.unwrap_or(now) + options.metrics_window;
        let sample = Sample { at: now, ..sample(&self.samples) };
        self.samples.retain(|before| before.at != now);
        let place = self.samples.partition_point(|before| before.at < now);
        self.samples.insert(place, sample);
        if now < full {
            return Filled::Until(full);
        }
        self.forget_before(now, options.metrics_window);
        Filled::Full
    }

    fn forget_before(&mut self, now: Timestamp, window: Duration) {
        let oldest = now - window;
        self.samples.retain(|sample| sample.at >= oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    #[test]
    fn rates_of_what_is_known() {
        for (values, expected) in [
            (&[][..], f64::NAN),
            (&[(1, 5.0)], f64::NAN),
            (&[(1, 0.0), (2, f64::NAN), (3, 4.0)], 2.0),
            (&[(1, f64::NAN), (2, 1.0), (4, 5.0)], 2.0),
            (&[(1, 1.0), (1, 2.0)], 1000.0),
        ] {
            let got = rate(values.iter().map(|&(second, value)| (at(second), value)));
            assert!(
                (got - expected).abs() < 1e-9 || (got.is_nan() && expected.is_nan()),
                "{values:?}: {got}"
            );
        }
    }

    #[test]
    fn averages_of_what_is_finite() {
        for (values, least, expected) in [
            (&[][..], 1, f64::NAN),
            (&[1.0, f64::NAN, 3.0], 2, 2.0),
            (&[1.0, 3.0], 3, f64::NAN),
            (&[f64::INFINITY, 3.0], 1, 3.0),
            (&[f64::INFINITY, f64::NAN], 2, f64::INFINITY),
        ] {
            let got = average(values.iter().copied(), least);
            assert!(
                got.to_bits() == expected.to_bits() || (got.is_nan() && expected.is_nan()),
                "{values:?}: {got}"
            );
        }
    }

    #[test]
    fn fills_from_when_the_job_became_stable_and_begins_anew_with_it() {
        let options = Options {
            stabilization_interval: Duration::from_secs(10),
            metrics_window: Duration::from_secs(20),
            ..Options::default()
        };
        let mut window = MetricWindow::default();
        let until = |second| Filled::Until(at(second));
        for (running_since, now, filled, samples) in [
            (0, 5, until(25), 1),
            (0, 10, until(30), 2),
            (0, 20, until(30), 3),
            (0, 30, Filled::Full, 3),
            (0, 45, Filled::Full, 2),
            (44, 50, until(70), 1),
        ] {
            let got = window.collect(&options, at(running_since), at(now), |_| Sample::default());
            assert_eq!((got, window.samples().len()), (filled, samples), "second {now}");
        }
    }
}
