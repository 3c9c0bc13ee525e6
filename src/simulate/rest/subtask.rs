//! What single subtasks say. The model knows a vertex as a whole; its subtasks share its counters so that the busiest has
//! as much more than the mean as the vertex's skew says.

use crate::simulate::station::Counters;
use crate::simulate::store::Known;

/// Bytes of a record as network buffers count them: some 250 records to a buffer of 32 KiB.
const RECORD_BYTES: u64 = 130;

/// The counters of one subtask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Subtask {
    pub(super) counters: Counters,
    pub(super) pending: Option<u64>,
    pub(super) lag: Option<u64>,
}

/// Bytes of as many records.
pub(super) fn bytes(records: u64) -> u64 {
    records.saturating_mul(RECORD_BYTES)
}

/// The subtasks of a vertex, the busiest first; none while nothing is known of it.
pub(super) fn subtasks(known: &Known) -> Vec<Subtask> {
    if known.attempt.is_none() {
        return Vec::new();
    }
    let Counters { read, written, busy_ms, idle_ms, back_pressured_ms } = known.counters;
    let parallelism = known.parallelism.max(1);
    let split = Split { parallelism: u64::from(parallelism), hottest: known.uneven / f64::from(parallelism) };
    let clock = (busy_ms.unwrap_or(0) + idle_ms + back_pressured_ms) / split.parallelism;
    let waits = idle_ms + back_pressured_ms;
    let one = |index| {
        let busy = busy_ms.map(|busy| split.part(busy, index).min(clock));
        // What is left of its time it waits, in the proportion in which the vertex does.
        let (idle, back_pressured) = match busy {
            Some(busy) if waits > 0 => {
                let left = u128::from(clock - busy);
                let idle = left * u128::from(idle_ms) / u128::from(waits);
                (u64::try_from(idle).unwrap_or(0), clock - busy - u64::try_from(idle).unwrap_or(0))
            }
            Some(_) => (0, 0),
            None => (split.even(idle_ms, index), split.even(back_pressured_ms, index)),
        };
        let counters = Counters {
            read: split.part(read, index),
            written: split.part(written, index),
            busy_ms: busy,
            idle_ms: idle,
            back_pressured_ms: back_pressured,
        };
        Subtask { counters, pending: known.pending.map(|pending| split.even(pending, index)), lag: known.lag }
    };
    (0..split.parallelism).map(one).collect()
}

/// How whole numbers are shared out among subtasks without losing any.
struct Split {
    parallelism: u64,
    /// Share of the busiest.
    hottest: f64,
}

impl Split {
    fn part(&self, whole: u64, index: u64) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a u64 between nothing and all of it"
        )]
        let hottest = ((whole as f64 * self.hottest).round() as u64).min(whole);
        match (self.parallelism, index) {
            (1, _) => whole,
            (_, 0) => hottest,
            (p, index) => Self { parallelism: p - 1, hottest: 0.0 }.even(whole - hottest, index - 1),
        }
    }

    fn even(&self, whole: u64, index: u64) -> u64 {
        whole / self.parallelism + u64::from(index < whole % self.parallelism)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subtasks_add_up_to_their_vertex() {
        let counters = Counters {
            read: 1001,
            written: 2003,
            busy_ms: Some(6_000),
            idle_ms: 20_000,
            back_pressured_ms: 4_000,
        };
        for (parallelism, uneven) in [(1, 1.0), (3, 1.0), (3, 1.5), (3, 3.0)] {
            let known =
                Known { attempt: Some(1), parallelism, uneven, counters, pending: Some(10), lag: None };
            let parts = subtasks(&known);
            let sum = |of: fn(&Subtask) -> u64| parts.iter().map(of).sum::<u64>();
            assert_eq!(parts.len(), parallelism as usize);
            assert_eq!((sum(|s| s.counters.read), sum(|s| s.counters.written)), (1001, 2003));
            assert_eq!(sum(|s| s.pending.unwrap_or(0)), 10);
            let clock = |s: &Subtask| {
                s.counters.busy_ms.unwrap_or(0) + s.counters.idle_ms + s.counters.back_pressured_ms
            };
            assert!(parts.iter().all(|s| clock(s) == 30_000 / u64::from(parallelism)), "{parts:?}");
            let hottest = parts[0].counters.read as f64 * f64::from(parallelism) / 1001.0;
            assert!((hottest - uneven).abs() < 0.01, "{hottest} is not {uneven}");
        }
        assert_eq!(subtasks(&Known::default()), []);
    }
}
