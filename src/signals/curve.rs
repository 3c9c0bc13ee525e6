//! Capacity as a function of parallelism: the Universal Scalability Law (Gunther), learned from what was seen.
//!
//! `capacity(p) = p / s(p)` with the service time `s(p) = a + b (p - 1) + c p (p - 1)`: `a` is the cost of a record on a subtask
//! that has the machine to itself, `b` what each further subtask adds by contention, `c` what it adds by coherence. Linear in its
//! coefficients, so that least squares give them exactly.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{CurvePoint, Parallelism, Seconds, Timestamp};

/// What a service time is known to waver from day to day and from load to load, apart from how well it was measured: the mix
/// of records, caches, neighbours on the same machine.
const NOISE: f64 = 0.04;

/// A point on so few records is as uncertain again as the noise.
const HALF_SURE_RECORDS: f64 = 500.0;

/// A point's variance doubles in this time. Loads come back daily and weekly: what one week's peak showed must still count
/// at the next.
const HALF_LIFE_SECONDS: f64 = 7.0 * 86_400.0;

/// A further coefficient must lower the sum of squares (in units of their variance) by this much: 95 % sure that it is not
/// noise. Two sizes tell of contention when their service times differ by 11 % or more.
const SIGNIFICANT: f64 = 4.0;

/// Service times outside of this many seconds per record are not measurements.
const POSSIBLE: std::ops::RangeInclusive<f64> = 1e-12..=1e6;

/// Points kept of one vertex; few jobs ever see so many sizes.
const MOST_POINTS: usize = 16;

/// New measurements replace what is known of a size as fast as they bring this many records: the mean of so many has
/// settled (to 2 %, when single records differ by their own mean).
const SETTLED_RECORDS: f64 = 2000.0;

/// For so long after a rescale a record may cost more for reasons of the restart: what had piled up is worked off, code and caches
/// are cold, others on the machine start, too.
const SETTLES_WITHIN: Duration = Duration::from_mins(2);

/// How the service time of a vertex depends on its parallelism, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    a: f64,
    b: f64,
    c: f64,
}

/// What parallelism a rate needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Needed {
    /// The smallest that is enough.
    Enough(Parallelism),
    /// None is enough.
    Unscalable {
        /// The parallelism of most capacity.
        best: Parallelism,
        /// Its capacity, in records/s.
        capacity: f64,
    },
}

impl Curve {
    /// A service time that is the same at any parallelism.
    pub fn flat(service_time: f64) -> Self {
        Self { a: service_time, b: 0.0, c: 0.0 }
    }

    /// The same shape at another height.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self { a: self.a * factor, b: self.b * factor, c: self.c * factor }
    }

    /// The curve through some points; `None` without a usable one.
    ///
    /// Weighted least squares with `a >= b >= 0` and `c >= 0`: a subtask never takes longer because of another than the other
    /// works, so contention is at most that of subtasks that take turns (`b = a`). Flat unless the points show more than noise.
    pub fn fit(points: &[CurvePoint], now: Timestamp) -> Option<Self> {
        let usable = || points.iter().filter(|point| is_usable(point));
        let largest = usable().map(|point| point.parallelism.as_f64()).fold(1.0, f64::max);
        let mut squares = LeastSquares::default();
        for point in usable() {
            let p = point.parallelism.as_f64();
            // In terms of p / largest, so that the equations stay well-conditioned.
            squares.add(
                [1.0, p / largest, p / largest * (p - 1.0) / largest],
                point.service_time.get(),
                weight(point, now),
            );
        }
        let (service_time, mut misfit) = squares.solve_flat()?;
        // No coefficient can lower it by more than it is, and of many vertices one is enough.
        if misfit < SIGNIFICANT {
            return Some(Self::flat(service_time));
        }
        let mut best = [service_time, 0.0, 0.0];
        for terms in [2, 3] {
            if let Some((fit, left)) = squares.solve(terms)
                && left + SIGNIFICANT <= misfit
            {
                (best, misfit) = (fit, left);
            }
        }
        let [constant, linear, quadratic] = best;
        let (b, c) = (linear / largest, quadratic / (largest * largest));
        let curve = Self { a: constant + b, b, c };
        (curve.a.is_finite() && curve.a > 0.0 && b.is_finite() && c.is_finite()).then_some(curve)
    }

    /// Busy seconds of one subtask per record.
    pub fn service_time(&self, parallelism: Parallelism) -> f64 {
        let p = parallelism.as_f64();
        self.a + self.b * (p - 1.0) + self.c * p * (p - 1.0)
    }

    /// Records/s that so many subtasks can take in.
    pub fn capacity(&self, parallelism: Parallelism) -> f64 {
        parallelism.as_f64() / self.service_time(parallelism)
    }

    /// The parallelism of most capacity, of those up to `most`, and that capacity.
    pub fn best(&self, most: Parallelism) -> (Parallelism, f64) {
        // d/dp of p / s(p) is zero at p = sqrt((a - b) / c); before it capacity grows, after it falls.
        let peak = ((self.a - self.b).max(0.0) / self.c).sqrt();
        let below = if peak.is_nan() { most } else { Parallelism::ceil(peak.floor()).min(most) };
        let above = Parallelism::clamped(u64::from(below.get()) + 1).min(most);
        let (below, above) = ((below, self.capacity(below)), (above, self.capacity(above)));
        if above.1 > below.1 { above } else { below }
    }

    /// The smallest parallelism up to `most` whose capacity, filled to `utilization`, is enough for a rate.
    pub fn needed(&self, rate: f64, utilization: f64, most: Parallelism) -> Needed {
        // Multiplied out: service times are above zero.
        let is_enough = |p: u64| {
            let p = Parallelism::clamped(p);
            p.as_f64() * utilization >= rate * self.service_time(p)
        };
        let (best, capacity) = self.best(most);
        let mut enough = u64::from(best.get());
        if !is_enough(enough) {
            return Needed::Unscalable { best, capacity };
        }
        // No subtask is faster than one that has the machine to itself, so fewer are not enough; of a flat curve this is the
        // answer, or one more.
        let alone = Some(rate * self.a / utilization).filter(|alone| alone.is_finite()).unwrap_or(1.0);
        let mut least = u64::from(Parallelism::ceil(alone.floor()).get()).min(enough);
        for _ in 0..2 {
            if is_enough(least) {
                return Needed::Enough(Parallelism::clamped(least));
            }
            least += 1;
        }
        // Up to the best one, capacity grows with every subtask.
        while least < enough {
            let middle = u64::midpoint(least, enough);
            if is_enough(middle) { enough = middle } else { least = middle + 1 }
        }
        Needed::Enough(Parallelism::clamped(enough))
    }
}

/// Whether a point says anything.
fn is_usable(point: &CurvePoint) -> bool {
    POSSIBLE.contains(&point.service_time.get()) && point.records.is_finite() && point.records > 0.0
}

/// One over the variance of a point.
fn weight(point: &CurvePoint, now: Timestamp) -> f64 {
    let half_lives = now.since(point.at).as_secs_f64() / HALF_LIFE_SECONDS;
    let relative = NOISE * NOISE * (1.0 + HALF_SURE_RECORDS / point.records) * half_lives.min(64.0).exp2();
    1.0 / (relative * point.service_time.get() * point.service_time.get())
}

/// The normal equations of a weighted fit of up to three functions.
#[derive(Default)]
struct LeastSquares {
    /// Of each pair of functions; and, last in each row, of the function and the data.
    rows: [[f64; 4]; 3],
    /// Of the data and itself.
    total: f64,
}

impl LeastSquares {
    fn add(&mut self, x: [f64; 3], y: f64, weight: f64) {
        for (row, xi) in self.rows.iter_mut().zip(x) {
            for (cell, xj) in row.iter_mut().zip([x[0], x[1], x[2], y]) {
                *cell += weight * xi * xj;
            }
        }
        self.total += weight * y * y;
    }

    /// The first coefficient alone, with the squares that it leaves.
    fn solve_flat(&self) -> Option<(f64, f64)> {
        let [weight, _, _, sum] = self.rows[0];
        let mean = sum / weight;
        let left = self.total - mean * sum;
        (mean > 0.0 && mean.is_finite() && left.is_finite()).then_some((mean, left))
    }

    /// The coefficients of the first `terms` functions, none negative, with the least squares of those that make use of the last
    /// one; and the sum of squares that is left, each in units of its point's variance.
    ///
    /// Of the few possible sets of coefficients that are not zero, each has its exact solution; the best possible one is the
    /// answer. That of the last function alone is left out: it gives no service time at one subtask.
    fn solve(&self, terms: u32) -> Option<([f64; 3], f64)> {
        (1_u32 << (terms - 1)..1 << terms)
            .filter(|set| set & 0b011 != 0)
            .filter_map(|set| self.solve_set(set))
            .filter(|k| k.iter().all(|coefficient| *coefficient >= 0.0))
            .map(|k| (k, self.left(k)))
            .filter(|(_, left)| left.is_finite())
            .min_by(|(_, a), (_, b)| a.total_cmp(b))
    }

    /// The coefficients in `set` (a bit each), the others being zero. `None` when the points do not determine them.
    fn solve_set(&self, set: u32) -> Option<[f64; 3]> {
        let mut rows = self.rows;
        for (i, row) in rows.iter_mut().enumerate() {
            if set & (1 << i) == 0 {
                *row = [0.0; 4];
                row[i] = 1.0;
            }
        }
        eliminate(rows)
    }

    /// The sum of squares that some coefficients leave.
    fn left(&self, k: [f64; 3]) -> f64 {
        let explained = (0..3).map(|i| {
            let [x0, x1, x2, y] = self.rows[i];
            k[i] * (2.0 * y - x0 * k[0] - x1 * k[1] - x2 * k[2])
        });
        self.total - explained.sum::<f64>()
    }
}

/// Gauss and Jordan's elimination, pivots on the diagonal: the matrix is positive semidefinite but for rows of the identity.
fn eliminate(mut rows: [[f64; 4]; 3]) -> Option<[f64; 3]> {
    /// A pivot that has lost all but this share of its size is a difference of rounding errors.
    const SINGULAR: f64 = 1e-10;
    for i in 0..3 {
        let size = rows[i][i].abs();
        if size == 0.0 {
            return None;
        }
        rows[i] = rows[i].map(|cell| cell / size);
        for j in i + 1..3 {
            let (before, factor) = (rows[j][j], rows[j][i]);
            let row = rows[i];
            for (cell, above) in rows[j].iter_mut().zip(row) {
                *cell -= factor * above;
            }
            if rows[j][j].abs() <= before.abs() * SINGULAR {
                return None;
            }
        }
    }
    let mut k = [0.0; 3];
    for i in (0..3).rev() {
        k[i] = rows[i][3] - (i + 1..3).map(|j| rows[i][j] * k[j]).sum::<f64>();
    }
    Some(k)
}

/// Adds what was measured of a vertex, in a steady window of a job that had warmed up, to what is known of it.
///
/// What is seen twice (of one moment) counts once. While a vertex keeps its parallelism, a change of the service time is a change of
/// what a record costs, not of how it scales: then every other point changes in proportion. So a cost that has doubled since the
/// last rescale is not taken for contention at the next. How it scales is told by what was measured on either side of a rescale, and
/// by what that settles to: no other point changes then, and what was once measured too high is no contention for ever.
pub fn learn(points: &mut Vec<CurvePoint>, new: CurvePoint) {
    if !is_usable(&new) {
        return;
    }
    // Since then it has had this parallelism.
    let others = points.iter().filter(|point| point.parallelism != new.parallelism);
    let rescaled = others.map(|point| point.at).max();
    let Some(known) = points.iter_mut().find(|point| point.parallelism == new.parallelism) else {
        if points.len() >= MOST_POINTS
            && let Some(oldest) = (0..points.len()).min_by_key(|&i| points[i].at)
        {
            points.swap_remove(oldest);
        }
        points.push(new);
        return;
    };
    if new.at <= known.at {
        return;
    }
    if rescaled.is_some_and(|rescaled| rescaled > known.at) {
        *known = new;
        return;
    }
    let (old, weight) = (known.service_time.get(), known.records.clamp(0.0, SETTLED_RECORDS));
    let merged = (old * weight + new.service_time.get() * new.records) / (weight + new.records);
    *known = CurvePoint {
        service_time: Seconds::new(merged).unwrap_or(new.service_time),
        records: weight + new.records,
        ..new
    };
    if rescaled.is_some_and(|rescaled| new.at.since(rescaled) < SETTLES_WITHIN) {
        return;
    }
    let change = merged / old;
    for other in points.iter_mut().filter(|point| point.parallelism != new.parallelism) {
        if let Some(seconds) = Some(other.service_time.get() * change).filter(|s| POSSIBLE.contains(s)) {
            other.service_time = Seconds::new(seconds).unwrap_or(other.service_time);
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_370_400_000);

    fn p(subtasks: u64) -> Parallelism {
        Parallelism::clamped(subtasks)
    }

    fn point(subtasks: u64, milliseconds: f64) -> CurvePoint {
        CurvePoint {
            parallelism: p(subtasks),
            service_time: Seconds::new(milliseconds / 1e3).expect("finite"),
            records: 1e5,
            at: NOW,
        }
    }

    fn points(pairs: &[(u64, f64)]) -> Vec<CurvePoint> {
        pairs.iter().map(|&(subtasks, ms)| point(subtasks, ms)).collect()
    }

    fn fit(pairs: &[(u64, f64)]) -> Curve {
        Curve::fit(&points(pairs), NOW).expect("there are points")
    }

    /// Milliseconds at one subtask, and what each further one adds by contention and coherence, as shares of it.
    fn shape(curve: Curve) -> (f64, f64, f64) {
        (curve.a * 1e3, curve.b / curve.a, curve.c / curve.a)
    }

    /// A step that burns a fixed amount of CPU per record, on two real cores.
    const TWO_CORES: [(u64, f64); 5] = [(2, 0.427), (3, 0.647), (4, 0.838), (6, 1.246), (8, 1.626)];

    /// Nexmark Q1 on a real Flink (`ContTune`, VLDB'23): parallelism, records/s.
    const NEXMARK: [(u64, f64); 13] = [
        (1, 529_573.0),
        (2, 966_817.0),
        (4, 1_829_696.0),
        (6, 2_535_503.0),
        (7, 2_936_889.0),
        (8, 3_118_478.0),
        (10, 3_721_099.0),
        (14, 4_624_714.0),
        (15, 4_967_828.0),
        (20, 6_350_677.0),
        (21, 6_465_250.0),
        (25, 7_089_387.0),
        (26, 7_476_392.0),
    ];

    fn nexmark(subtasks: &[u64]) -> Curve {
        let seen = NEXMARK.iter().filter(|(p, _)| subtasks.contains(p));
        let times: Vec<_> = seen.map(|&(p, rate)| (p, p as f64 / rate * 1e3)).collect();
        fit(&times)
    }

    #[test]
    fn finds_the_coefficients_of_a_curve() {
        for (a, b, c) in
            [(1.0, 0.0, 0.0), (1.0, 0.1, 0.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.01), (4.0, 0.05, 0.002)]
        {
            let time = |p: u64| {
                let p = p as f64;
                a * (1.0 + b * (p - 1.0) + c * p * (p - 1.0))
            };
            let got = shape(fit(&[1, 2, 4, 8, 16, 32].map(|p| (p, time(p)))));
            let close = |x: f64, y: f64| (x - y).abs() < 1e-6;
            assert!(close(got.0, a) && close(got.1, b) && close(got.2, c), "{:?} is {got:?}", (a, b, c));
        }
    }

    #[test]
    fn two_cores_are_two_cores_at_any_parallelism() {
        for seen in [&TWO_CORES[..], &TWO_CORES[..2], &[TWO_CORES[0], TWO_CORES[4]]] {
            let curve = fit(seen);
            for p in 2..=32 {
                let capacity = curve.capacity(Parallelism::clamped(p));
                assert!(
                    (4_400.0..5_200.0).contains(&capacity),
                    "{capacity} at {p}, of {} points",
                    seen.len()
                );
            }
            let Needed::Unscalable { capacity, .. } = curve.needed(5_000.0, 0.9, p(128)) else {
                panic!("no number of subtasks takes in 5000/s")
            };
            assert!(capacity < 5_500.0, "{capacity}");
        }
    }

    #[test]
    fn fits_a_measured_curve_of_a_real_flink() {
        let (_, contention, coherence) = shape(nexmark(&NEXMARK.map(|(p, _)| p)));
        assert!((0.02..0.035).contains(&contention) && coherence < 1e-3, "{contention} {coherence}");
    }

    #[test]
    fn one_step_reaches_the_size_that_was_measured_to_be_enough() {
        // Sizes seen before, and rates (in millions) with the smallest size that carries them, as measured; none far beyond
        // the sizes seen, where a curve through noise says little.
        type Row<'a> = (&'a [u64], &'a [(f64, u32)]);
        let rows: [Row; 4] = [
            (&[1, 4, 8], &[(2.9, 7), (4.0, 12)]),
            (&[1, 8, 26], &[(2.9, 7), (4.0, 12), (6.0, 19)]),
            (&[4, 8, 26], &[(2.9, 7), (4.0, 12), (6.0, 19)]),
            (&NEXMARK.map(|(p, _)| p), &[(2.9, 7), (4.0, 12), (6.0, 19)]),
        ];
        for (seen, needs) in rows {
            for &(millions, size) in needs {
                let Needed::Enough(got) = nexmark(seen).needed(millions * 1e6, 1.0, p(128)) else {
                    panic!("{millions} million/s are possible")
                };
                assert!(got.get().abs_diff(size) <= 1, "{got} instead of {size} after {seen:?}");
            }
        }
    }

    #[test]
    fn noise_is_not_contention() {
        for (pairs, contention) in [
            (&[(4, 1.0)][..], 0.0),
            (&[(4, 1.0), (8, 1.05)], 0.0),
            (&[(4, 1.0), (8, 1.1)], 0.0),
            (&[(4, 1.0), (8, 0.7)], 0.0),
            (&[(2, 1.0), (4, 1.03), (6, 0.98), (8, 1.04)], 0.0),
            (&[(1, 1.0), (8, 1.7)], 0.1),
        ] {
            let got = shape(fit(pairs));
            assert!((got.1 - contention).abs() < 1e-6 && got.2 == 0.0, "{pairs:?}: {got:?}");
        }
    }

    #[test]
    fn old_points_and_those_on_few_records_count_less() {
        let aged = |days: u64, records| CurvePoint {
            at: NOW - Duration::from_hours(24 * days),
            records,
            ..point(4, 2.0)
        };
        // At the same size, so that only the weights decide: those of equal points are as one to four, by their own sizes.
        for (other, expected) in
            [(aged(0, 1e5), 1.2), (aged(0, 50.0), 1.022), (aged(7, 1e5), 1.111), (aged(70, 1e5), 1.0)]
        {
            let got = shape(Curve::fit(&[point(4, 1.0), other], NOW).expect("there are points")).0;
            assert!((got - expected).abs() < 1e-3, "{other:?}: {got}");
        }
    }

    #[test]
    fn needed_is_the_smallest_that_is_enough() {
        let curves = [
            Curve::flat(0.001),
            Curve { a: 0.001, b: 0.000_1, c: 0.0 },
            Curve { a: 0.001, b: 0.001, c: 0.0 },
            Curve { a: 0.001, b: 0.0, c: 0.000_001 },
            Curve { a: 0.001, b: 0.000_05, c: 0.000_02 },
        ];
        for curve in curves {
            for most in [1, 2, 7, 31, 128] {
                for rate in [0.0, 1.0, 500.0, 900.0, 1_001.0, 3_000.0, 9_000.0, 1e6] {
                    let first = (1..=most).find(|&n| curve.capacity(p(n)) * 0.7 >= rate);
                    let most_of_all = (1..=most).map(|n| curve.capacity(p(n))).fold(0.0, f64::max);
                    match curve.needed(rate, 0.7, p(most)) {
                        Needed::Enough(got) => {
                            assert_eq!(Some(u64::from(got.get())), first, "{curve:?} {rate}");
                        }
                        Needed::Unscalable { best, capacity } => {
                            assert_eq!(first, None, "{curve:?} {rate}");
                            assert!(best <= p(most) && (capacity / most_of_all - 1.0).abs() < 1e-12);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn follows_a_change_of_the_cost_and_does_not_take_it_for_contention() {
        let mut points = points(&[(4, 1.0), (8, 1.4)]);
        for minute in 2..20 {
            learn(&mut points, CurvePoint { at: NOW + Duration::from_mins(minute), ..point(8, 2.8) });
        }
        let now = NOW + Duration::from_mins(20);
        let curve = Curve::fit(&points, now).expect("there are points");
        assert!((curve.service_time(p(8)) / 0.0028 - 1.0).abs() < 0.01, "{points:?}");
        assert!((curve.service_time(p(4)) / 0.0020 - 1.0).abs() < 0.01, "the shape is the same: {points:?}");
    }

    /// A restart on a busy machine: the first records after it take longer, and that passes.
    #[test]
    fn what_a_restart_costs_is_not_taken_for_contention() {
        // (seconds, subtasks, milliseconds measured), and what three subtasks then cost for what one costs.
        let up = [(0, 1, 1.0), (10, 3, 1.8), (20, 3, 1.8)];
        let settled = [(30, 3, 1.0), (200, 3, 1.0)];
        let back = [(300, 1, 1.0), (310, 1, 1.0)];
        for (seen, expected) in [
            (&up[..], 1.8),
            (&[&up[..], &settled[..]].concat(), 1.0),
            // It passed when nobody expected it any more: the next rescale tells.
            (&[&up[..], &[(300, 3, 1.0)]].concat(), 1.8),
            (&[&up[..], &[(300, 3, 1.0), (400, 1, 1.0)]].concat(), 1.0),
            (&[&up[..], &settled[..], &back[..]].concat(), 1.0),
            // What is measured on either side again and again is contention.
            (&[&up[..], &[(300, 3, 1.8), (400, 1, 1.0), (500, 3, 1.8)]].concat(), 1.8),
        ] {
            let mut points = Vec::new();
            for &(seconds, subtasks, milliseconds) in seen {
                let at = NOW + Duration::from_secs(seconds);
                learn(&mut points, CurvePoint { at, ..point(subtasks, milliseconds) });
            }
            let curve = Curve::fit(&points, NOW + Duration::from_mins(10)).expect("there are points");
            let ratio = curve.service_time(p(3)) / curve.service_time(p(1));
            assert!(
                (ratio / expected - 1.0).abs() < 0.05,
                "{ratio}, not {expected}, of {seen:?}: {points:?}"
            );
        }
    }

    #[test]
    fn learns_one_point_for_each_size_and_each_moment_once() {
        let mut points = Vec::new();
        for _ in 0..3 {
            learn(&mut points, CurvePoint { records: 1000.0, ..point(4, 1.0) });
        }
        assert_eq!(points, [CurvePoint { records: 1000.0, ..point(4, 1.0) }]);
        for size in 1..100 {
            let at = NOW + Duration::from_mins(size);
            learn(&mut points, CurvePoint { at, ..point(size, 1.0) });
        }
        assert_eq!(points.len(), MOST_POINTS);
        assert!(points.iter().all(|point| point.parallelism.get() >= 84), "the newest are kept");
    }

    #[test]
    fn what_is_no_measurement_is_not_learned() {
        let mut points = Vec::new();
        for bad in [
            CurvePoint { records: 0.0, ..point(4, 1.0) },
            CurvePoint { records: f64::NAN, ..point(4, 1.0) },
            point(4, 0.0),
            point(4, 1e300),
        ] {
            learn(&mut points, bad);
            assert_eq!(Curve::fit(&[bad], NOW), None);
        }
        assert_eq!(points, []);
    }
}
