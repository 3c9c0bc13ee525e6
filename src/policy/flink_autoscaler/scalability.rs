//! What past sizes say of the next one: how much a subtask more brings, and whether the last scale-up was worth it.

use super::Options;
use super::history::Scaling;

/// The share of linear scaling that past sizes show, 1 when they are too few: rate = share x parallelism x rate of one
/// subtask, by least squares. Rounded up to two decimals, from `coefficient-min` to 1.
pub fn coefficient(options: &Options, history: &[Scaling]) -> f64 {
    let least = usize::try_from(options.observed_scalability_min_observations).unwrap_or(usize::MAX);
    let of_one = rate_of_one_subtask(history);
    let unknown = history.iter().any(|scaling| scaling.true_processing_rate.is_nan());
    if history.len() < least || of_one.is_nan() || unknown {
        return 1.0;
    }
    let (mut rates, mut squares) = (0.0, 0.0);
    for scaling in history {
        let parallelism = f64::from(scaling.from);
        rates += parallelism * scaling.true_processing_rate;
        squares += parallelism * parallelism;
    }
    let share = rates / (of_one * squares);
    if share.is_nan() {
        return 1.0;
    }
    // Not `clamp`: the least may be above 1 when the options have not been validated.
    let share = share.min(1.0).max(options.observed_scalability_coefficient_min);
    ceil_to_hundredths(share)
}

/// Of the smallest size, the newest of several; NaN where there is none.
fn rate_of_one_subtask(history: &[Scaling]) -> f64 {
    let smallest = history.iter().rev().min_by_key(|scaling| scaling.from);
    smallest.map_or(f64::NAN, |scaling| scaling.true_processing_rate / f64::from(scaling.from))
}

/// Rounds up by the shortest decimal that means the number, as `BigDecimal.valueOf` does: 0.29 stays 0.29, though 29
/// hundredths of the binary number are a little more than 29.
pub(super) fn ceil_to_hundredths(value: f64) -> f64 {
    ceil_decimal(value, 2)
}

/// As [`ceil_to_hundredths`], to so many decimals.
pub(super) fn ceil_decimal(value: f64, decimals: u8) -> f64 {
    let power = 10_f64.powi(i32::from(decimals));
    let nearest = (value * power).round() / power;
    // The nearest such decimal is the number itself, to the last bit.
    if nearest.to_bits() == value.to_bits() { value } else { (value * power).ceil() / power }
}

/// A scale-up that brought too little.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ineffective {
    /// Records/s that it was to bring.
    pub expected_gain: f64,
    /// Records/s that it brought.
    pub gain: f64,
}

/// Whether the last decision was a scale-up to the present size that brought less than the threshold's share of what was
/// expected. A gain that is not known counts as too little, as it does in the operator.
pub fn ineffective(
    options: &Options,
    history: &[Scaling],
    current: u32,
    true_processing_rate: f64,
) -> Option<Ineffective> {
    let last = history.last().filter(|last| last.to == current && last.to > last.from)?;
    let expected_gain = last.expected_rate - last.true_processing_rate;
    let gain = true_processing_rate - last.true_processing_rate;
    let enough = gain / expected_gain >= options.effectiveness_threshold;
    (!enough).then_some(Ineffective { expected_gain, gain })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn history(sizes: &[(u32, f64)]) -> Vec<Scaling> {
        let scaling = |&(from, rate): &(u32, f64)| Scaling {
            at: Timestamp::default(),
            from,
            to: from * 2,
            true_processing_rate: rate,
            expected_rate: rate * 2.0,
        };
        sizes.iter().map(scaling).collect()
    }

    #[test]
    fn few_or_strange_sizes_say_nothing() {
        let options = Options { observed_scalability_min_observations: 1, ..Options::default() };
        for sizes in
            [&[][..], &[(0, 0.0)], &[(2, f64::NAN), (1, 5.0)], &[(1, f64::INFINITY), (2, 5.0)], &[(1, 0.0)]]
        {
            let got = coefficient(&options, &history(sizes));
            assert!((0.5..=1.0).contains(&got), "{sizes:?}: {got}");
        }
        // More than linear is linear; far less is the least that is believed.
        for (sizes, expected) in [(&[(1, 10.0), (2, 40.0)][..], 1.0), (&[(1, 10.0), (10, 11.0)], 0.5)] {
            assert!((coefficient(&options, &history(sizes)) - expected).abs() < 1e-12, "{sizes:?}");
        }
    }

    #[test]
    fn rounds_up_what_is_not_round_already() {
        for (value, rounded) in [(0.29, 0.29), (0.57, 0.57), (0.570_01, 0.58), (1.0, 1.0), (0.001, 0.01)] {
            assert!((ceil_to_hundredths(value) - rounded).abs() < 1e-12, "{value}");
        }
    }

    #[test]
    fn only_the_scale_up_to_the_present_size_is_judged() {
        let options = Options::default();
        let history = history(&[(5, 50.0)]);
        for (current, rate, is_ineffective) in
            [(10, 54.0, true), (10, 56.0, false), (9, 54.0, false), (10, f64::NAN, true), (10, 40.0, true)]
        {
            let got = ineffective(&options, &history, current, rate);
            assert_eq!(got.is_some(), is_ineffective, "{current} {rate}");
        }
    }
}
