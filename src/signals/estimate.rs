//! From weighted values to a mean with its interval.
//!
//! Two or three samples say little about their own spread: Student's t alone would give an interval that is many times too
//! wide, and by luck one of no width at all. So the spread is shrunk towards the noise that a counter is known to have, as if
//! [`PRIOR_SAMPLES`] more samples had been seen with just that noise (the scaled inverse chi-squared prior of a variance).

use std::sync::OnceLock;

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::Estimate;

/// Relative noise of a rate that is read on the counters' own clock. A steady 700 records/s on a real 2.3.0, polled at irregular gaps,
/// read 697 to 708: half a per cent; a garbage collection within a sample makes it two.
const NOISE: f64 = 0.02;

/// How many samples' worth of weight the known noise has against the spread that is seen. With four, one sample has an
/// interval of about 5.5 %, and from a dozen on the samples speak for themselves.
const PRIOR_SAMPLES: u32 = 4;

/// Degrees of freedom beyond which the t distribution is taken as the normal one (at 64 the quantile differs by 2 %).
const MOST_FREEDOM: usize = 64;

/// The 97.5 % quantile of the normal distribution.
const NORMAL_QUANTILE: f64 = 1.959_963_984_540_054;

/// The square of the 97.5 % quantile of Student's t, which is what a 95 % interval is wide to either side, over the degrees of
/// freedom. Looked up, because statrs finds it by iteration, which is too slow for every number of every decision.
fn quantile_squared_over(freedom: u32) -> f64 {
    static TABLE: OnceLock<[f64; MOST_FREEDOM]> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let mut freedom = 0.0;
        std::array::from_fn(|_| {
            freedom += 1.0;
            let quantile =
                StudentsT::new(0.0, 1.0, freedom).map_or(NORMAL_QUANTILE, |t| t.inverse_cdf(0.975));
            quantile * quantile / freedom
        })
    });
    let index = usize::try_from(freedom).unwrap_or(usize::MAX).saturating_sub(1);
    table.get(index).copied().unwrap_or_else(|| NORMAL_QUANTILE * NORMAL_QUANTILE / f64::from(freedom))
}

/// The variance that a rate is known to have over a sample of `seconds`: that of the noise, and that of counting (Poisson's).
#[inline]
pub(super) fn rate_variance(rate: f64, seconds: f64) -> f64 {
    let relative = rate * NOISE;
    let counting = if seconds > 0.0 { rate.max(0.0) / seconds } else { 0.0 };
    relative * relative + counting
}

/// Two independent errors together. (`f64::hypot` guards against overflow, at ten times the time.)
pub(super) fn both(a: f64, b: f64) -> f64 {
    (a * a + b * b).sqrt()
}

/// The variance that a ratio of two counters is known to have.
#[inline]
pub(super) fn ratio_variance(ratio: f64) -> f64 {
    (ratio * NOISE) * (ratio * NOISE)
}

/// Weighted values, summed up so that their mean and spread are at hand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    samples: u32,
    weight: f64,
    weight_squared: f64,
    sum: f64,
    sum_squared: f64,
}

impl Tally {
    /// Adds a value; one that has no weight says nothing.
    pub(super) fn add(&mut self, weight: f64, value: f64) {
        self.add_total(weight, weight * value, value);
    }

    /// Adds a value that is at hand together with its product with its weight.
    pub(super) fn add_total(&mut self, weight: f64, total: f64, value: f64) {
        if weight > 0.0 {
            self.samples += 1;
            self.weight += weight;
            self.weight_squared += weight * weight;
            self.sum += total;
            self.sum_squared += total * value;
        }
    }

    /// A tally of samples that weighed about the same, from the sums that were kept of them.
    pub(super) fn from_sums(samples: f64, weight: f64, sum: f64, sum_squared: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let whole = samples.round().clamp(0.0, 1e6) as u32;
        Self { samples: whole, weight, weight_squared: weight * weight / samples.max(1.0), sum, sum_squared }
    }

    /// Adds what another tally holds.
    pub(super) fn add_all(&mut self, other: &Self) {
        self.samples += other.samples;
        self.weight += other.weight;
        self.weight_squared += other.weight_squared;
        self.sum += other.sum;
        self.sum_squared += other.sum_squared;
    }

    pub(super) fn samples(&self) -> u32 {
        self.samples
    }

    /// All weights together.
    pub(super) fn weight(&self) -> f64 {
        self.weight
    }

    pub(super) fn mean(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }

    /// The square of half of the 95 % interval of one value whose mean is known, and one over the number of samples that these are
    /// worth. Squares throughout: of the hundreds of roots and divisions in a decision, most can be spared.
    #[inline]
    fn half_width_squared(&self, mean: f64, variance: f64) -> (f64, f64) {
        let freedom = PRIOR_SAMPLES + self.samples - 1;
        let over_weight = 1.0 / self.weight;
        // With equal weights this is the number of samples; one heavy sample among light ones counts as hardly more than one.
        let worth = (self.weight_squared * over_weight * over_weight).min(1.0);
        let squares = (self.sum_squared * over_weight - mean * mean).max(0.0) * f64::from(self.samples);
        let spread = f64::from(PRIOR_SAMPLES) * variance + squares;
        (quantile_squared_over(freedom) * spread, worth)
    }

    /// The mean with its 95 % interval; `variance` is that which one value is known to have at least.
    #[inline]
    pub(super) fn estimate(&self, variance: impl Fn(f64) -> f64) -> Option<Estimate> {
        let mean = self.mean()?;
        let (half_squared, worth) = self.half_width_squared(mean, variance(mean));
        let half = (half_squared * worth).sqrt();
        let estimate = Estimate { mean, low: mean - half, high: mean + half, samples: self.samples };
        (mean.is_finite() && half.is_finite()).then_some(estimate)
    }

    /// How far from the mean one more value may lie to be expected with 95 % probability.
    pub(super) fn expected_within(&self, mean: f64, variance: f64) -> f64 {
        if self.samples == 0 {
            return f64::INFINITY;
        }
        let (half_squared, worth) = self.half_width_squared(mean, variance);
        (half_squared * (1.0 + worth)).sqrt()
    }
}

impl Estimate {
    /// The same in other units.
    pub(super) fn scaled(self, factor: f64) -> Self {
        Self { mean: self.mean * factor, low: self.low * factor, high: self.high * factor, ..self }
    }

    /// Of something that cannot be negative.
    pub(super) fn at_least_zero(self) -> Self {
        Self { mean: self.mean.max(0.0), low: self.low.max(0.0), high: self.high.max(0.0), ..self }
    }

    /// Wider by an error that does not come from the spread of the samples.
    pub(super) fn widened(self, by: f64) -> Self {
        let half = both(self.high - self.mean, by);
        Self { low: self.mean - half, high: self.mean + half, ..self }
    }

    /// Of values of which about `missing` is missing, and up to twice as much: the true mean is above zero.
    pub(super) fn raised(self, missing: f64) -> Self {
        let (middle, high) = (self.mean + missing, self.high + 2.0 * missing);
        let mean = if middle > 0.0 { middle } else { high / 2.0 };
        Self { mean, high, ..self }
    }

    /// Half of the interval, as a share of the mean.
    pub(super) fn relative_half_width(&self) -> f64 {
        if self.mean > 0.0 { (self.high - self.mean) / self.mean } else { f64::INFINITY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(values: &[(f64, f64)]) -> Tally {
        let mut tally = Tally::default();
        for &(weight, value) in values {
            tally.add(weight, value);
        }
        tally
    }

    #[test]
    fn knows_students_quantiles() {
        // Fisher's table.
        for (freedom, t) in
            [(1, 12.706), (2, 4.303), (4, 2.776), (10, 2.228), (30, 2.042), (64, 1.998), (1000, 1.960)]
        {
            let got = (quantile_squared_over(freedom) * f64::from(freedom)).sqrt();
            assert!((got - t).abs() < 1e-3, "{freedom}: {got}");
        }
    }

    #[test]
    fn weighs_each_value() {
        for (values, mean) in [
            (vec![(1.0, 10.0)], Some(10.0)),
            (vec![(1.0, 10.0), (3.0, 20.0)], Some(17.5)),
            (vec![(0.0, 10.0), (2.0, 20.0)], Some(20.0)),
            (vec![(0.0, 10.0)], None),
            (vec![], None),
        ] {
            assert_eq!(tally(&values).mean(), mean, "{values:?}");
        }
    }

    #[test]
    fn the_interval_narrows_with_samples_and_widens_with_their_spread() {
        let half = |values: &[f64]| {
            let values: Vec<_> = values.iter().map(|&v| (5.0, v)).collect();
            tally(&values).estimate(ratio_variance).map_or(f64::NAN, |e| e.relative_half_width())
        };
        // Values, and the half width in per cent of the mean that follows from the prior and the spread.
        for (values, percent) in [
            (vec![100.0], 5.55),
            (vec![100.0; 2], 3.25),
            (vec![100.0; 12], 0.63),
            (vec![99.0, 101.0], 3.45),
            (vec![90.0, 110.0], 11.95),
        ] {
            assert!((half(&values) * 100.0 - percent).abs() < 0.01, "{values:?}: {}", half(&values) * 100.0);
        }
    }

    #[test]
    fn few_records_make_a_rate_uncertain() {
        let half = |rate: f64, seconds: f64| {
            tally(&[(seconds, rate)])
                .estimate(|m| rate_variance(m, seconds))
                .map_or(f64::NAN, |e| e.relative_half_width())
        };
        assert!(half(1e6, 5.0) < 0.06);
        assert!(half(1.0, 5.0) > 1.0, "five records may as well have been none");
    }

    #[test]
    fn one_long_sample_is_hardly_more_than_one() {
        let equal = tally(&[(10.0, 90.0), (10.0, 110.0)]).estimate(ratio_variance);
        let uneven = tally(&[(1.0, 90.0), (100.0, 110.0)]).estimate(ratio_variance);
        assert_eq!(equal.map(|e| e.samples), uneven.map(|e| e.samples));
        assert!(uneven.is_some_and(|e| e.mean > 109.0 && e.high - e.mean > 4.0), "{uneven:?}");
    }
}
