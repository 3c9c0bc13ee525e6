//! Which samples tell of now: those since the load last changed, and not too many of them.

use std::ops::Range;

use super::Trend;
use super::estimate::Tally;

/// More samples than this narrow the interval by little, and hold up the answer to a slow change.
const MOST_SAMPLES: usize = 12;

/// Samples that are older say little about now; a minute is also what Flink's own meters average over.
const MOST_SECONDS: f64 = 60.0;

/// What goes beyond this many times the mean in one sample and is back in the next is a burst. A sample that was read too early
/// leaves what it lacks to the next, which then has at most twice the mean: that is none.
const BURST: f64 = 2.5;

/// A sample that is back by more than this share of the way, after one that was far above, may be the end of a burst that the poll has
/// cut in two. A load that goes on is not: its first sample is the one that may be a mixture.
const FALLEN_BACK: f64 = 0.5;

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
    /// A burst within it, and the only one.
    pub(super) burst: Option<Burst>,
}

/// Samples, one or two in a row, in which some series were far above what they were before and after: these say what came at
/// once, and nothing of what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Burst {
    first: usize,
    end: usize,
    /// A bit for each series.
    series: u64,
}

impl Burst {
    fn is_of(self, series: usize) -> bool {
        self.series & bit(series) != 0
    }
}

/// Which series lie outside of what was expected, to which side: a bit each. Series beyond the 64th share bits.
#[derive(Clone, Copy, Debug, Default)]
struct Outside {
    above: u64,
    below: u64,
    /// Of those above, the ones that are far above.
    far: u64,
}

fn bit(series: usize) -> u64 {
    1 << (series % 64)
}

/// Samples that lie outside, from `first` on, with nothing yet to tell what they are.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    first: usize,
    out: Outside,
}

impl Outside {
    fn is_nothing(self) -> bool {
        self.above == 0 && self.below == 0
    }

    fn same_side(self, other: Self) -> bool {
        self.above & other.above != 0 || self.below & other.below != 0
    }
}

/// Finds the last change in some series of values of the same samples: `at(sample, series)`, with `variance(sample, series)`
/// what a value is known to have of it at least.
///
/// A value is plainly outside when it is further from the mean before it than the share `floor` of it, which ordinary noise
/// is not, and further than one more value is expected to lie with 95 % probability. One such sample may be a mixture of
/// before and after, or a hiccup (what it lacks the next one has too much of: then both belong to the mean), or a burst, which
/// is left out of the mean unless another one follows: bursts that come again and again are the load. A second sample
/// on the same side confirms the change. If the two agree, both are of the new regime; otherwise the first was a mixture.
/// On a ramp none agrees with the one before: from then on each sample that goes on in the same direction is a regime.
pub(super) fn last_regime<const SERIES: usize>(
    samples: usize,
    floor: f64,
    series: usize,
    at: impl Fn(usize, usize) -> Option<Seen>,
    variance: impl Fn(usize, usize) -> f64,
) -> Regime {
    // Most jobs have few series; they need no memory from the heap.
    let (mut few, mut many) = ([Tally::default(); SERIES], Vec::new());
    let tallies: &mut [Tally] = if series <= SERIES {
        &mut few[..series]
    } else {
        many.resize(series, Tally::default());
        &mut many
    };
    // Adds of the samples the series that are of a set of bits.
    let add = |tallies: &mut [Tally], samples: Range<usize>, of: u64| {
        for sample in samples {
            for (series, tally) in tallies.iter_mut().enumerate() {
                if of & bit(series) != 0
                    && let Some(value) = at(sample, series)
                {
                    tally.add(value.weight, value.value);
                }
            }
        }
    };
    let begin = |tallies: &mut [Tally], samples: Range<usize>| {
        tallies.fill(Tally::default());
        add(tallies, samples, u64::MAX);
    };
    let outside = |tallies: &[Tally], sample: usize| {
        outside(tallies, floor, |series| at(sample, series), |series| variance(sample, series))
    };
    let fell_back = |tallies: &[Tally], suspect: Suspect, sample: usize| {
        suspect.out.far != 0
            && tallies.iter().enumerate().all(|(series, tally)| {
                let above = |sample| Some(at(sample, series)?.value - tally.mean()?);
                let both = above(suspect.first).zip(above(sample));
                suspect.out.far & bit(series) == 0 || both.is_some_and(|(then, now)| now < then * FALLEN_BACK)
            })
    };

    let mut start = 0;
    let mut suspect: Option<Suspect> = None;
    let mut ramp = Outside::default();
    let mut bursts = Bursts::default();
    for sample in 0..samples {
        let out = outside(tallies, sample);
        match suspect.take() {
            None if out.is_nothing() => add(tallies, sample..sample + 1, u64::MAX),
            None if start + 1 == sample && out.same_side(ramp) => {
                (start, bursts) = (sample, Bursts::default());
                begin(tallies, start..sample + 1);
            }
            None => suspect = Some(Suspect { first: sample, out }),
            Some(before) if out.same_side(before.out) => {
                if before.first + 1 == sample && fell_back(tallies, before, sample) {
                    suspect = Some(before);
                    continue;
                }
                begin(tallies, sample - 1..sample);
                let agree = outside(tallies, sample).is_nothing();
                start = if agree { sample - 1 } else { sample };
                (ramp, bursts) = (if agree { Outside::default() } else { out }, Bursts::default());
                begin(tallies, start..sample + 1);
            }
            Some(before) => {
                let now_known = bursts.take(before, sample);
                for (samples, series) in now_known.into_iter().flatten() {
                    add(tallies, samples, series);
                }
                if out.is_nothing() {
                    add(tallies, sample..sample + 1, u64::MAX);
                } else {
                    suspect = Some(Suspect { first: sample, out });
                }
            }
        }
    }
    Regime { start, changing: suspect.is_some(), burst: bursts.only }
}

/// The bursts of a regime.
#[derive(Clone, Copy, Debug, Default)]
struct Bursts {
    /// The only one there was.
    only: Option<Burst>,
    /// There was more than one.
    recur: bool,
}

impl Bursts {
    /// Takes up what was suspected until `end` and has not gone on; returns which series of which samples belong to the mean.
    fn take(&mut self, suspect: Suspect, end: usize) -> [Option<(Range<usize>, u64)>; 2] {
        let Suspect { first, out: Outside { far, .. } } = suspect;
        let samples = first..end;
        if far == 0 {
            return [Some((samples, u64::MAX)), None];
        }
        match self.only.take() {
            None if !self.recur => {
                self.only = Some(Burst { first, end, series: far });
                [Some((samples, !far)), None]
            }
            earlier => {
                self.recur = true;
                [Some((samples, u64::MAX)), earlier.map(|burst| (burst.first..burst.end, burst.series))]
            }
        }
    }
}

fn outside(
    tallies: &[Tally],
    floor: f64,
    at: impl Fn(usize) -> Option<Seen>,
    variance: impl Fn(usize) -> f64,
) -> Outside {
    let mut outside = Outside::default();
    for (series, tally) in tallies.iter().enumerate() {
        let Some((mean, value)) = tally.mean().zip(at(series)) else { continue };
        let distance = (value.value - mean).abs();
        // The cheap question first: it is answered with no nearly always.
        if distance > floor * mean.abs() && distance > tally.expected_within(mean, variance(series)) {
            let side = if value.value > mean { &mut outside.above } else { &mut outside.below };
            *side |= bit(series);
            if value.value > mean * BURST {
                outside.far |= bit(series);
            }
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
    /// A burst among them, perhaps.
    burst: Option<Burst>,
}

impl Window {
    /// The same of samples of which the first are not counted.
    pub(super) fn after(self, samples: usize) -> Self {
        let burst =
            self.burst.map(|burst| Burst { first: burst.first + samples, end: burst.end + samples, ..burst });
        Self { start: self.start + samples, burst, ..self }
    }

    /// The samples that say nothing of what a series does from now on.
    pub(super) fn burst_of(&self, series: usize) -> Range<usize> {
        self.burst.filter(|burst| burst.is_of(series)).map_or(0..0, |burst| burst.first..burst.end)
    }
}

/// The window that ends with the last of some samples, each `seconds(sample)` long.
pub(super) fn window(samples: usize, regime: Regime, seconds: impl Fn(usize) -> f64) -> Window {
    let last = samples.saturating_sub(1);
    if regime.changing {
        return Window { start: last, trend: Trend::Changing, burst: None };
    }
    let earliest = regime.start.max(samples.saturating_sub(MOST_SAMPLES));
    let mut start = last;
    let mut covered = seconds(last);
    while start > earliest && covered + seconds(start - 1) <= MOST_SECONDS {
        start -= 1;
        covered += seconds(start);
    }
    Window { start, trend: Trend::Steady, burst: regime.burst }
}

#[cfg(test)]
mod tests {
    use super::super::estimate::rate_variance;
    use super::*;

    /// The regime of one load, sampled every 5 s.
    fn regime(loads: &[f64]) -> Regime {
        let at = |sample: usize, _| Some(Seen { value: loads[sample], weight: 5.0 });
        last_regime::<4>(loads.len(), 0.1, 1, at, |sample, _| rate_variance(loads[sample], 5.0))
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
            assert_eq!(regime(loads), Regime { start, changing, burst: None }, "{what}: {loads:?}");
        }
    }

    #[test]
    fn what_comes_at_once_is_no_load() {
        // Loads, the first sample of the regime they end in, whether they end in doubt, and which samples are a burst.
        type Row<'a> = (&'a str, &'a [f64], usize, bool, Option<(usize, usize)>);
        let rows: [Row; 11] = [
            ("it may be a step", &[500.0, 500.0, 24_500.0], 0, true, None),
            ("it is over", &[500.0, 500.0, 24_500.0, 501.0], 0, false, Some((2, 3))),
            ("it stays over", &[500.0, 500.0, 24_500.0, 501.0, 499.0, 500.0], 0, false, Some((2, 3))),
            ("a poll cuts it in two: in doubt", &[500.0, 500.0, 18_000.0, 7000.0], 0, true, None),
            ("a poll cuts it in two", &[500.0, 500.0, 18_000.0, 7000.0, 500.0], 0, false, Some((2, 4))),
            ("a high one, and then a load", &[500.0, 500.0, 9000.0, 2000.0, 2010.0], 3, false, None),
            ("a step within it", &[500.0, 24_500.0, 500.0, 500.0, 1500.0, 1501.0], 4, false, None),
            ("into an idle source", &[0.0, 0.0, 800.0, 0.0, 0.0], 0, false, Some((2, 3))),
            ("again and again: a load", &[500.0, 500.0, 9000.0, 500.0, 500.0, 9000.0, 500.0], 0, false, None),
            ("before a dip", &[500.0, 500.0, 24_500.0, 250.0, 500.0], 0, false, Some((2, 3))),
            ("not far enough", &[500.0, 502.0, 1000.0, 499.0, 501.0], 0, false, None),
        ];
        for (what, loads, start, changing, burst) in rows {
            let burst = burst.map(|(first, end)| Burst { first, end, series: 1 });
            assert_eq!(regime(loads), Regime { start, changing, burst }, "{what}: {loads:?}");
        }
    }

    #[test]
    fn a_burst_at_one_source_says_nothing_of_the_others() {
        let load = |sample, series| if series == 1 && sample == 4 { 24_500.0 } else { 500.0 };
        let at = |sample, series| Some(Seen { value: load(sample, series), weight: 5.0 });
        let variance = |sample, series| rate_variance(load(sample, series), 5.0);
        let found = last_regime::<4>(7, 0.1, 3, at, variance);
        let window = window(7, found, |_| 5.0).after(10);
        assert_eq!((window.start, window.burst_of(0), window.burst_of(1)), (10, 0..0, 14..15));
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
        let variance = |sample, series| rate_variance(load(sample, series), 5.0);
        assert_eq!(
            last_regime::<4>(6, 0.1, 100, at, variance),
            Regime { start: 4, changing: false, burst: None }
        );
    }

    #[test]
    fn the_window_is_bounded_by_count_and_time() {
        let steady = Regime { start: 0, changing: false, burst: None };
        for (samples, seconds, start) in
            [(1, 5.0, 0), (5, 5.0, 0), (20, 5.0, 8), (20, 20.0, 17), (20, 200.0, 19)]
        {
            let got = window(samples, steady, |_| seconds);
            assert_eq!(got, Window { start, trend: Trend::Steady, burst: None }, "{samples} of {seconds} s");
        }
        let doubt = Regime { changing: true, ..steady };
        assert_eq!(window(9, doubt, |_| 5.0), Window { start: 8, trend: Trend::Changing, burst: None });
    }
}
