//! When a job is polled next: at its interval, and less often while nothing answers.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use crate::model::{MissedWhy, Observation};

/// While Flink is away it is asked again after twice as long each time, up to this: short against the time in which a
/// backlog grows that hurts, long against what a JobManager that is starting is bothered by.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Each pause is up to this share longer or shorter, so that jobs that were started together do not stay together.
const JITTER: f64 = 0.05;

/// The rhythm of one job's polls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    interval: Duration,
    /// Polls in a row that got no answer.
    unanswered: u32,
}

impl Pace {
    /// A poll every `interval`.
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, unanswered: 0 }
    }

    /// The pause from the beginning of the poll that brought this to the beginning of the next one.
    pub(super) fn after(&mut self, observation: &Observation) -> Duration {
        self.unanswered = if is_unanswered(observation) { self.unanswered.saturating_add(1) } else { 0 };
        // The first poll that fails may be one lost connection: the next one comes when it would have come anyway.
        let doublings = self.unanswered.saturating_sub(1).min(16);
        let pause = self.interval.saturating_mul(1 << doublings).min(LONGEST_PAUSE.max(self.interval));
        pause.mul_f64(1.0 + JITTER * (2.0 * random() - 1.0))
    }
}

fn is_unanswered(observation: &Observation) -> bool {
    match observation {
        Observation::Seen(_) => false,
        Observation::Missed(missed) => match missed.why {
            MissedWhy::Unreachable | MissedWhy::TimedOut | MissedWhy::NotUnderstood | MissedWhy::Refused => {
                true
            }
            // Flink answers; the job may come up at any moment.
            MissedWhy::NoSuchJob | MissedWhy::AmbiguousJob | MissedWhy::NotStarted | MissedWhy::NoMetrics => {
                false
            }
        },
    }
}

/// A number from 0 to 1. The standard library seeds every hasher anew, which is random enough for pauses.
pub(super) fn random() -> f64 {
    random_bits() as f64 / u64::MAX as f64
}

/// A number that no other process has, for all that is likely.
pub(super) fn random_bits() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Missed, Timestamp};

    #[test]
    fn backs_off_while_nothing_answers_and_comes_back_at_once() {
        let missed = |why| {
            Observation::Missed(Missed { at: Timestamp::default(), why, detail: "no answer".to_owned() })
        };
        let mut pace = Pace::new(Duration::from_secs(5));
        for (why, seconds) in [
            (MissedWhy::NoSuchJob, 5.0),
            (MissedWhy::Unreachable, 5.0),
            (MissedWhy::TimedOut, 10.0),
            (MissedWhy::Unreachable, 20.0),
            (MissedWhy::NotUnderstood, 30.0),
            (MissedWhy::Refused, 30.0),
            (MissedWhy::NoSuchJob, 5.0),
            (MissedWhy::Unreachable, 5.0),
        ] {
            let pause = pace.after(&missed(why)).as_secs_f64();
            assert!((pause / seconds - 1.0).abs() <= JITTER + 1e-9, "{why:?}: {pause} s");
        }
    }

    #[test]
    fn never_polls_more_often_for_backing_off() {
        let mut pace = Pace::new(Duration::from_mins(1));
        let gone = Observation::Missed(Missed {
            at: Timestamp::default(),
            why: MissedWhy::Unreachable,
            detail: String::new(),
        });
        for _ in 0..40 {
            assert!(pace.after(&gone) >= Duration::from_secs(57));
        }
    }
}
