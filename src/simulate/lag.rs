//! For how long the oldest record has waited outside.

use std::collections::VecDeque;

/// Milliseconds between two remembered points: the precision of what is told.
const GRID_MS: u64 = 1000;

/// How many records had come to exist for one source by when.
#[derive(Clone, Debug)]
pub(super) struct Arrivals {
    points: VecDeque<(u64, f64)>,
}

impl Arrivals {
    pub(super) fn new(now: u64) -> Self {
        Self { points: VecDeque::from([(now, 0.0)]) }
    }

    /// Notes that `arrived` records had come to exist by `now`, and forgets what lies before record `oldest`, which is
    /// the first that may be read again.
    pub(super) fn note(&mut self, now: u64, arrived: f64, oldest: f64) {
        if self.points.back().is_none_or(|&(last, _)| now >= last + GRID_MS) {
            self.points.push_back((now, arrived));
            while self.points.get(1).is_some_and(|&(_, arrived)| arrived <= oldest) {
                self.points.pop_front();
            }
        }
    }

    /// For how many milliseconds the record that comes after `taken` has existed.
    pub(super) fn age(&self, now: u64, taken: f64) -> f64 {
        let next = self.points.partition_point(|&(_, arrived)| arrived <= taken);
        let Some(&(from, before)) = next.checked_sub(1).and_then(|i| self.points.get(i)) else { return 0.0 };
        // Between two points the records came evenly; after the last one they came at its time at the earliest.
        let came = match self.points.get(next) {
            Some(&(to, after)) => from as f64 + (to - from) as f64 * (taken - before) / (after - before),
            None => from as f64,
        };
        (now as f64 - came).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_how_old_the_oldest_record_is() {
        let mut arrivals = Arrivals::new(0);
        for second in 1..=60_u32 {
            arrivals.note(u64::from(second) * 1000, f64::from(second) * 100.0, 1000.0);
        }
        for (taken, age) in [(6000.0, 0.0), (5950.0, 500.0), (3000.0, 30_000.0), (1000.0, 50_000.0)] {
            let got = arrivals.age(60_000, taken);
            assert!((got - age).abs() < 1.0, "{taken}: {got}");
        }
        assert!(arrivals.points.len() <= 51, "forgets what is not read again");
    }
}
