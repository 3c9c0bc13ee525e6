//! For how long the oldest record has waited outside, and how late the last one was that was read.

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

/// The record that a source has read last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastRead {
    /// How many it had read then.
    taken: f64,
    /// When it was read, and when it had come to exist; `None` before the first.
    times: Option<(u64, f64)>,
}

impl LastRead {
    /// Notes that by `now` the source had read so many, the next of which has existed for `age` milliseconds.
    pub(super) fn note(&mut self, now: u64, taken: f64, age: f64) {
        if taken > self.taken {
            self.times = Some((now, now as f64 - age));
        }
        self.taken = taken;
    }

    /// Milliseconds by which it is late at `now`, in Flink's way: a source that says it has no data stops the clock.
    pub(super) fn lag(&self, now: u64, says_when_idle: bool) -> Option<f64> {
        let (read, came) = self.times?;
        Some((if says_when_idle { read } else { now } as f64 - came).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_last_is_late_and_grows_later_while_nothing_comes() {
        let mut last = LastRead::default();
        assert_eq!(last.lag(5000, false), None, "nothing was read");
        last.note(10_000, 100.0, 4000.0);
        assert_eq!((last.lag(10_000, true), last.lag(10_000, false)), (Some(4000.0), Some(4000.0)));
        last.note(60_000, 100.0, 0.0);
        assert_eq!((last.lag(60_000, true), last.lag(60_000, false)), (Some(4000.0), Some(54_000.0)));
    }

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
