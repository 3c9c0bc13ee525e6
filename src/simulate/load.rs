//! Load: how many records per second come to exist outside, as a function of time alone.
//!
//! A source cannot hold the world back: what it does not take in waits for it. So load depends on nothing in the model.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::random;
use crate::policy::Span;

/// How many records per second come to exist for one source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Load {
    /// The course of it.
    pub shape: Shape,
    /// Standard deviation, as a share of the rate, of a factor that is drawn anew every second.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 0.25))]
    pub noise: f64,
    /// Begin again from the start after so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Span>,
}

/// The course of a load, without its noise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Shape {
    /// Always this many records/s.
    Constant(#[schemars(range(min = 0.0))] f64),
    /// A rate from each point in time on until the next.
    Steps(Vec<Point>),
    /// A straight line from each point to the next.
    Linear(Vec<Point>),
    /// A wave, such as that of day and night.
    Sine(Sine),
    /// A recorded load.
    Trace(Trace),
}

/// A rate at a time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Point {
    /// Since the start of the scenario.
    pub at: Span,
    /// Records/s.
    #[schemars(range(min = 0.0))]
    pub rate: f64,
}

/// A wave that begins at its lowest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sine {
    /// Records/s at the lowest point.
    #[schemars(range(min = 0.0))]
    pub low: f64,
    /// Records/s at the highest point.
    #[schemars(range(min = 0.0))]
    pub high: f64,
    /// From one lowest point to the next.
    pub period: Span,
}

/// A recorded load; the rate changes in a straight line between its rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Trace {
    /// Lines of `seconds,records per second`; a first line of column names and further columns are passed over.
    pub csv: String,
    /// Every rate is multiplied by this.
    #[serde(default = "one")]
    #[schemars(range(min = 0.0))]
    pub scale: f64,
}

fn one() -> f64 {
    1.0
}

impl Load {
    /// Always the same rate, without noise.
    pub fn constant(rate: f64) -> Self {
        Self { shape: Shape::Constant(rate), noise: 0.0, repeat: None }
    }

    /// A rate from each second on until the next, without noise.
    pub fn steps(points: &[(u64, f64)]) -> Self {
        let points = points.iter().map(|&(at, rate)| Point { at: Span::from_secs(at), rate }).collect();
        Self { shape: Shape::Steps(points), noise: 0.0, repeat: None }
    }
}

/// A load made ready to be asked again and again.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    kind: Kind,
    noise: f64,
    /// Milliseconds after which it begins again; the end of time where it does not.
    repeat: u64,
    seed: u64,
    /// The second that the factor was drawn for, and the factor.
    drawn: (u64, f64),
}

#[derive(Clone, Debug)]
enum Kind {
    Flat(f64),
    /// Milliseconds and rates, in order of time, at least one.
    Steps(Vec<(u64, f64)>),
    Linear(Vec<(u64, f64)>),
    Sine(Sine),
}

impl Curve {
    /// Checks a load; the error says what is wrong with it, one line.
    pub(super) fn new(load: &Load, seed: u64) -> Result<Self, String> {
        let kind = match &load.shape {
            Shape::Constant(rate) => Kind::Flat(checked(*rate)?),
            Shape::Steps(points) => Kind::Steps(in_order(points.iter().map(|p| (millis(p.at), p.rate)))?),
            Shape::Linear(points) => Kind::Linear(in_order(points.iter().map(|p| (millis(p.at), p.rate)))?),
            Shape::Sine(wave) if wave.period == Span::default() => {
                return Err("the period of a wave must be longer than nothing".to_owned());
            }
            Shape::Sine(wave) if checked(wave.low)? > checked(wave.high)? => {
                return Err(format!("low ({}) is above high ({})", wave.low, wave.high));
            }
            Shape::Sine(wave) => Kind::Sine(*wave),
            Shape::Trace(trace) => Kind::Linear(in_order(rows(trace)?.into_iter())?),
        };
        // Beyond a quarter the bell's tails would reach below zero, and cutting them off would shift the mean.
        if !(0.0..=0.25).contains(&load.noise) {
            return Err(format!("noise is a share from 0 to 0.25, not {}", load.noise));
        }
        let repeat = match load.repeat {
            Some(span) if span == Span::default() => {
                return Err("repeat must be longer than nothing".to_owned());
            }
            Some(span) => millis(span),
            None => u64::MAX,
        };
        Ok(Self { kind, noise: load.noise, repeat, seed, drawn: (u64::MAX, 1.0) })
    }

    /// Records/s at this many milliseconds after the start, noise included.
    pub(super) fn rate(&mut self, at: u64) -> f64 {
        let rate = self.mean(at);
        if self.noise <= 0.0 {
            return rate;
        }
        let second = at / 1000;
        if self.drawn.0 != second {
            let factor = 1.0 + self.noise * random::bell(self.seed ^ random::mix(second));
            self.drawn = (second, factor.max(0.0));
        }
        rate * self.drawn.1
    }

    /// Records/s at this many milliseconds after the start, without noise.
    pub(super) fn mean(&self, at: u64) -> f64 {
        let at = if at < self.repeat { at } else { at % self.repeat };
        match &self.kind {
            Kind::Flat(rate) => *rate,
            Kind::Steps(points) => points[passed(points, at)].1,
            Kind::Linear(points) => {
                let here = passed(points, at);
                let (from, rate) = points[here];
                match points.get(here + 1) {
                    Some(&(to, next)) if at > from => {
                        rate + (next - rate) * (at - from) as f64 / (to - from) as f64
                    }
                    _ => rate,
                }
            }
            Kind::Sine(wave) => {
                let turn = std::f64::consts::TAU * (at as f64 / 1000.0) / wave.period.as_secs();
                wave.low + (wave.high - wave.low) * (1.0 - turn.cos()) / 2.0
            }
        }
    }
}

/// Index of the last point at or before `at`; the first point's rate holds before it.
fn passed(points: &[(u64, f64)], at: u64) -> usize {
    points.partition_point(|&(from, _)| from <= at).saturating_sub(1)
}

fn millis(span: Span) -> u64 {
    u64::try_from(span.get().as_millis()).unwrap_or(u64::MAX)
}

fn checked(rate: f64) -> Result<f64, String> {
    let fits = rate.is_finite() && rate >= 0.0;
    fits.then_some(rate).ok_or_else(|| format!("a rate is a finite number that is not negative, not {rate}"))
}

fn in_order(points: impl Iterator<Item = (u64, f64)>) -> Result<Vec<(u64, f64)>, String> {
    let points: Vec<_> = points.collect();
    if points.is_empty() {
        return Err("a load needs at least one point".to_owned());
    }
    for &(_, rate) in &points {
        checked(rate)?;
    }
    match points.windows(2).find(|pair| pair[1].0 <= pair[0].0) {
        Some(pair) => Err(format!(
            "points must be in order of time: {} comes after {}",
            Span::from_millis(pair[1].0),
            Span::from_millis(pair[0].0)
        )),
        None => Ok(points),
    }
}

/// The rows of a trace, in milliseconds and records/s.
fn rows(trace: &Trace) -> Result<Vec<(u64, f64)>, String> {
    let mut rows = Vec::new();
    for (number, line) in trace.csv.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty()) {
        let mut fields = line.split(',').map(|field| field.trim().parse::<f64>());
        match (fields.next(), fields.next()) {
            // A hundred years of milliseconds: far below what a u64 holds.
            (Some(Ok(seconds)), Some(Ok(rate))) if (0.0..=3.2e9).contains(&seconds) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "0 to 3.2e12, as checked"
                )]
                rows.push(((seconds * 1000.0).round() as u64, rate * trace.scale));
            }
            (Some(Err(_)), _) if number == 0 => {}
            _ => return Err(format!("line {} of the trace is not `seconds,rate`: {line:?}", number + 1)),
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(load: &Load, seconds: &[u64]) -> Vec<f64> {
        let curve = Curve::new(load, 1).expect("a load");
        seconds.iter().map(|s| curve.mean(s * 1000)).collect()
    }

    fn near(got: &[f64], expected: &[f64]) {
        let same = got.iter().zip(expected).all(|(g, e)| (g - e).abs() < 1e-9);
        assert!(same && got.len() == expected.len(), "{got:?} is not {expected:?}");
    }

    fn points(points: &[(u64, f64)]) -> Vec<Point> {
        points.iter().map(|&(at, rate)| Point { at: Span::from_secs(at), rate }).collect()
    }

    #[test]
    fn follows_its_shape() {
        let steps = Load::steps(&[(0, 500.0), (60, 1500.0)]);
        near(&at(&steps, &[0, 59, 60, 9999]), &[500.0, 500.0, 1500.0, 1500.0]);
        let late = Load::steps(&[(10, 7.0)]);
        near(&at(&late, &[0, 10]), &[7.0, 7.0]);
        let again = Load { repeat: Some(Span::from_secs(100)), ..steps };
        near(&at(&again, &[100, 159, 160, 260]), &[500.0, 500.0, 1500.0, 1500.0]);
        let linear =
            Load { shape: Shape::Linear(points(&[(0, 100.0), (10, 200.0)])), noise: 0.0, repeat: None };
        near(&at(&linear, &[0, 5, 10, 20]), &[100.0, 150.0, 200.0, 200.0]);
        let wave = Sine { low: 10.0, high: 30.0, period: Span::from_secs(40) };
        let wave = Load { shape: Shape::Sine(wave), noise: 0.0, repeat: None };
        near(&at(&wave, &[0, 10, 20, 40]), &[10.0, 20.0, 30.0, 10.0]);
        let csv = "seconds,records_per_second\n0,10\n\n10, 20,and more\n".to_owned();
        let trace = Load { shape: Shape::Trace(Trace { csv, scale: 2.0 }), noise: 0.0, repeat: None };
        near(&at(&trace, &[0, 5, 10]), &[20.0, 30.0, 40.0]);
    }

    #[test]
    fn noise_keeps_the_mean_and_has_the_spread_it_says() {
        let load = Load { noise: 0.1, ..Load::constant(1000.0) };
        let mut curve = Curve::new(&load, 7).expect("a load");
        let rates: Vec<f64> = (0..20_000).map(|second| curve.rate(second * 1000)).collect();
        let mean = rates.iter().sum::<f64>() / 2e4;
        let spread = (rates.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / 2e4).sqrt();
        assert!((mean - 1000.0).abs() < 3.0, "{mean}");
        assert!((spread - 100.0).abs() < 3.0, "{spread}");
        assert_eq!(curve.rate(5_000).to_bits(), curve.rate(5_900).to_bits(), "one draw holds for a second");
    }

    #[test]
    fn says_what_is_wrong_with_a_load() {
        let shape = |shape| Load { shape, noise: 0.0, repeat: None };
        let trace = |csv: &str| shape(Shape::Trace(Trace { csv: csv.to_owned(), scale: 1.0 }));
        for (load, words) in [
            (Load::constant(-1.0), "not negative"),
            (Load::constant(f64::NAN), "finite"),
            (Load::steps(&[]), "at least one point"),
            (Load::steps(&[(5, 1.0), (5, 2.0)]), "order of time"),
            (Load { noise: 0.5, ..Load::constant(1.0) }, "from 0 to 0.25"),
            (Load { repeat: Some(Span::default()), ..Load::constant(1.0) }, "repeat"),
            (shape(Shape::Sine(Sine { low: 1.0, high: 2.0, period: Span::default() })), "period"),
            (shape(Shape::Sine(Sine { low: 3.0, high: 2.0, period: Span::from_secs(1) })), "above high"),
            (trace("seconds,rate\n0,1\nten,2"), "line 3"),
            (trace("0;1"), "at least one point"),
            (trace("0,1\n5;1"), "line 2"),
            (trace(""), "at least one point"),
        ] {
            let problem = Curve::new(&load, 1).expect_err("not a load");
            assert!(problem.contains(words), "{problem:?} does not say {words:?}");
        }
    }
}
