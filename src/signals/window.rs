//! Which samples tell of now: those since the load last changed, and not too many of them.

use super::Trend;
use super::estimate::Tally;

/// More samples than this narrow the interval by little, and hold up the answer to a slow change.
const MOST_SAMPLES: usize = 12;

/// Samples that are older say little about now; a minute is also what Flink's own meters average over.
const MOST_SECONDS: f64 = 60.0;

/// A value of a series that is watched for changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// The value.
    pub(super) value: f64,
    /// What weight it has in a mean.
    pub(super) weight: f64,
}

/// The samples since something last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Regime {
    /// The first sample of it.
    pub(super) start: usize,
    /// Whether the last sample is plainly outside of it, with no second one yet that confirms the change.
    pub(super) changing: bool,
}

/// Which series lie outside of what was expected, to which side: a bit each. Series beyond the 64th share bits.
#[derive(Clone, Copy, Debug, Default)]
struct Outside {
    above: u64,
    below: u64,
}

impl Outside {
    fn is_nothing(self) -> bool {
        self.above == 0 && self.below == 0
    }

    fn same_side(self, other: Self) -> bool {
        self.above & other.above != 0 || self.below & other.below != 0
    }
}

/// Finds the last change in some series of values of the same samples: `at(sample, series)`, with `noise(sample, series)` the
/// standard deviation that a value is known to have at least.
///
/// A value is plainly outside when it is further from the mean before it than the share `floor` of it, which ordinary noise
/// is not, and further than one more value is expected to lie with 95 % probability. One such sample may be a mixture of
/// before and after, or a hiccup (what it lacks the next one has too much of: then both belong to the mean). A second one
/// on the same side confirms the change. If the two agree, both are of the new regime; otherwise the first was a mixture.
/// On a ramp none agrees with the one before: from then on each sample that goes on in the same direction is a regime.
pub(super) fn last_regime<const SERIES: usize>(
    samples: usize,
    floor: f64,
    series: usize,
    at: impl Fn(usize, usize) -> Option<Seen>,
    noise: impl Fn(usize, usize) -> f64,
) -> Regime {
    // Most jobs have few series; they need no memory from the heap.
    let (mut few, mut many) = ([Tally::default(); SERIES], Vec::new());
    let tallies: &mut [Tally] = if series <= SERIES {
        &mut few[..series]
    } else {
        many.resize(series, Tally::default());
        &mut many
    };
    let add = |tallies: &mut [Tally], sample: usize| {
        for (series, tally) in tallies.iter_mut().enumerate() {
            if let Some(value) = at(sample, series) {
                tally.add(value.weight, value.value);
            }
        }
    };
    let begin = |tallies: &mut [Tally], start: usize, until: usize| {
        tallies.fill(Tally::default());
        for sample in start..=until {
            add(tallies, sample);
        }
    };
    let outside = |tallies: &[Tally], sample: usize| {
        outside(tallies, floor, |series| at(sample, series), |series| noise(sample, series))
    };

    let mut start = 0;
    let mut suspect: Option<Outside> = None;
    let mut ramp = Outside::default();
    for sample in 0..samples {
        let out = outside(tallies, sample);
        match suspect.take() {
            None if out.is_nothing() => add(tallies, sample),
            None if start + 1 == sample && out.same_side(ramp) => {
                start = sample;
                begin(tallies, start, sample);
            }
            None => suspect = Some(out),
            Some(before) if out.same_side(before) => {
                begin(tallies, sample - 1, sample - 1);
                let agree = outside(tallies, sample).is_nothing();
                start = if agree { sample - 1 } else { sample };
                ramp = if agree { Outside::default() } else { out };
                begin(tallies, start, sample);
            }
            Some(_) if out.is_nothing() => {
                add(tallies, sample - 1);
                add(tallies, sample);
            }
            Some(_) => {
                add(tallies, sample - 1);
                suspect = Some(out);
            }
        }
    }
    Regime { start, changing: suspect.is_some() }
}

fn outside(
    tallies: &[Tally],
    floor: f64,
    at: impl Fn(usize) -> Option<Seen>,
    noise: impl Fn(usize) -> f64,
) -> Outside {
    let mut outside = Outside::default();
    for (series, tally) in tallies.iter().enumerate() {
        let Some((mean, value)) = tally.mean().zip(at(series)) else { continue };
        let distance = (value.value - mean).abs();
        // The cheap question first: it is answered with no nearly always.
        if distance > floor * mean.abs() && distance > tally.expected_within(mean, noise(series)) {
            let bit = 1 << (series % 64);
            if value.value > mean { outside.above |= bit } else { outside.below |= bit }
        }
    }
    outside
}

/// The samples of a window, as indices: those of the last regime, clipped to the newest dozen or minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// The first of them.
    pub(super) start: usize,
    /// Whether they agree.
    pub(super) trend: Trend,
}

/// The window that ends with the last of some samples, each `seconds(sample)` long.
pub(super) fn window(samples: usize, regime: Regime, seconds: impl Fn(usize) -> f64) -> Window {
    let last = samples.saturating_sub(1);
    if regime.changing {
        return Window { start: last, trend: Trend::Changing };
    }
    let earliest = regime.start.max(samples.saturating_sub(MOST_SAMPLES));
    let mut start = last;
    let mut covered = seconds(last);
    while start > earliest && covered + seconds(start - 1) <= MOST_SECONDS {
        start -= 1;
        covered += seconds(start);
    }
    Window { start, trend: Trend::Steady }
}

#[cfg(test)]
mod tests {
    use super::super::estimate::rate_noise;
    use super::*;

    /// The regime of one load, sampled every 5 s.
    fn regime(loads: &[f64]) -> Regime {
        let at = |sample: usize, _| Some(Seen { value: loads[sample], weight: 5.0 });
        last_regime::<4>(loads.len(), 0.1, 1, at, |sample, _| rate_noise(loads[sample], 5.0))
    }

    #[test]
    fn a_change_is_confirmed_by_a_second_sample() {
        // Loads, the first sample of the regime they end in, and whether they end in doubt.
        let rows: [(&str, &[f64], usize, bool); 14] = [
            ("nothing", &[], 0, false),
            ("one sample", &[500.0], 0, false),
            ("noise of a few per cent", &[1000.0, 1030.0, 975.0, 1010.0, 960.0, 1045.0], 0, false),
            ("noise of a few per cent at the start", &[1000.0, 1060.0, 950.0], 0, false),
            ("a step, seen once", &[500.0, 502.0, 499.0, 1500.0], 0, true),
            ("a step, seen once after one sample", &[500.0, 1500.0], 0, true),
            ("a step, confirmed", &[500.0, 502.0, 499.0, 1500.0, 1502.0], 3, false),
            ("a step, through a mixture", &[500.0, 502.0, 499.0, 900.0, 1502.0], 4, false),
            ("a step, through a mixture, settled", &[500.0, 499.0, 900.0, 1502.0, 1500.0, 1490.0], 3, false),
            ("a step down", &[1500.0, 1502.0, 1499.0, 700.0, 400.0, 401.0], 4, false),
            ("an outlier that goes back", &[500.0, 502.0, 900.0, 499.0, 501.0], 0, false),
            ("what one lacks the next has", &[500.0, 502.0, 100.0, 900.0, 501.0], 0, false),
            ("a load from nothing", &[0.0, 0.0, 0.0, 800.0, 801.0], 3, false),
            ("nothing at all", &[0.0, 0.0, 0.0], 0, false),
        ];
        for (what, loads, start, changing) in rows {
            assert_eq!(regime(loads), Regime { start, changing }, "{what}: {loads:?}");
        }
    }

    #[test]
    fn a_ramp_is_followed_sample_by_sample() {
        let ramp: Vec<f64> =
            (0..20).map(|i| if i < 6 { 500.0 } else { 500.0 + f64::from(i - 5) * 150.0 }).collect();
        assert!(regime(&ramp[..7]).changing, "the first of it may be an outlier");
        let doubts: Vec<bool> = (8..=ramp.len()).map(|n| regime(&ramp[..n]).changing).collect();
        assert!(!doubts.windows(2).any(|two| two == [true, true]), "never in doubt for long: {doubts:?}");
        for n in 8..=ramp.len() {
            let start = regime(&ramp[..n]).start;
            assert!(n - start <= 3, "after {n} samples the regime still begins with sample {start}");
        }
    }

    #[test]
    fn a_slow_drift_is_no_change_for_long() {
        let drift: Vec<f64> = (0..20).map(|i| 1000.0 * 1.01_f64.powi(i)).collect();
        assert_eq!((2..=10).filter(|&n| regime(&drift[..n]).changing).count(), 0);
    }

    #[test]
    fn a_wild_load_needs_more_than_a_tenth_to_have_changed() {
        let wild = [700.0, 1300.0, 650.0, 1250.0, 900.0, 1100.0];
        for (next, changing) in [(1400.0, false), (3000.0, true)] {
            let loads = [&wild[..], &[next]].concat();
            assert_eq!(regime(&loads).changing, changing, "{next}");
        }
    }

    #[test]
    fn one_source_of_many_is_enough() {
        let load = |sample, series| if series == 70 && sample >= 4 { 1500.0 } else { 500.0 };
        let at = |sample, series| Some(Seen { value: load(sample, series), weight: 5.0 });
        let noise = |sample, series| rate_noise(load(sample, series), 5.0);
        assert_eq!(last_regime::<4>(6, 0.1, 100, at, noise), Regime { start: 4, changing: false });
    }

    #[test]
    fn the_window_is_bounded_by_count_and_time() {
        let steady = Regime { start: 0, changing: false };
        for (samples, seconds, start) in
            [(1, 5.0, 0), (5, 5.0, 0), (20, 5.0, 8), (20, 20.0, 17), (20, 200.0, 19)]
        {
            let got = window(samples, steady, |_| seconds);
            assert_eq!(got, Window { start, trend: Trend::Steady }, "{samples} of {seconds} s");
        }
        let doubt = Regime { start: 0, changing: true };
        assert_eq!(window(9, doubt, |_| 5.0), Window { start: 8, trend: Trend::Changing });
    }
}
