//! What goes wrong in a schedule, drawn from its seed.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Draws from a seed.
#[derive(Clone, Debug)]
pub(super) struct Dice {
    seed: u64,
    drawn: u64,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    /// A number below `most`.
    pub(super) fn below(&mut self, most: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, self.drawn).hash(&mut hasher);
        self.drawn += 1;
        hasher.finish() % most.max(1)
    }

    /// So many times of a hundred.
    pub(super) fn percent(&mut self, of_hundred: u64) -> bool {
        self.below(100) < of_hundred
    }

    pub(super) fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        let index = usize::try_from(self.below(of.len() as u64)).unwrap_or(0);
        of[index]
    }
}

/// How a stop goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopFault {
    Well,
    /// As where no directory for savepoints is known.
    Refused,
    /// The savepoint cannot be written: the job runs on.
    CannotWrite,
    /// The checkpoint's time limit passes under back-pressure.
    TimesOut,
    /// The savepoint is complete, tasks fail while they finish, and Flink starts the job again.
    FailsFinishing,
    /// The same, where there is no restart left.
    FailsForGood,
}

/// How a run at a size goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunFault {
    Well,
    Refused,
    /// The first try alone is refused.
    RefusedOnce,
    /// It fails before all of it runs.
    Fails,
    /// Its slots are not there: it waits, and fails.
    NoSlots,
    /// The same under the adaptive scheduler: it runs on those that there are.
    FewerSlots,
    /// It restarts again and again, and never runs.
    NeverUp,
}

/// What somebody else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Somebody {
    Cancels,
    /// Stops it, and runs it under another id.
    Replaces,
    /// Runs it where it does not run.
    Helps,
    TakesTheJar,
    /// The JobManager goes and comes back, with high availability or without.
    KillsTheJobManager {
        lasts: u64,
        keeps_jobs: bool,
    },
}

/// What goes wrong in a schedule.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    /// Of a hundred requests, so many never arrive, or their answers do not.
    pub(super) lost: u64,
    /// Of a hundred requests that change something, so many are worked on only when nobody waits for them any more.
    pub(super) late: u64,
    pub(super) stop: StopFault,
    pub(super) stop_takes: u64,
    pub(super) new_size: RunFault,
    pub(super) old_size: RunFault,
    pub(super) start_takes: u64,
    pub(super) somebody: Vec<(u64, Somebody)>,
    /// The JobManager's clock against ours.
    pub(super) skew: i64,
}

impl Faults {
    /// Of a seed: most things go well in most schedules.
    pub(super) fn draw(dice: &mut Dice) -> Self {
        use RunFault::{Fails, FewerSlots, NeverUp, NoSlots, Refused, RefusedOnce, Well};
        let lost = dice.one_of(&[0, 0, 2, 10, 30]);
        let late = dice.one_of(&[0, 0, 5, 30]);
        let stop = dice.one_of(&[
            StopFault::Well,
            StopFault::Well,
            StopFault::Well,
            StopFault::Well,
            StopFault::Refused,
            StopFault::CannotWrite,
            StopFault::TimesOut,
            StopFault::FailsFinishing,
            StopFault::FailsForGood,
        ]);
        let stop_takes = dice.one_of(&[300, 2_000, 20_000, 400_000]);
        let new_size =
            dice.one_of(&[Well, Well, Well, Refused, RefusedOnce, Fails, NoSlots, FewerSlots, NeverUp]);
        let old_size = dice.one_of(&[Well, Well, Well, Well, RefusedOnce, Refused, Fails]);
        let start_takes = dice.one_of(&[500, 3_000, 45_000]);
        let mut somebody = Vec::new();
        while dice.percent(30) {
            let lasts = dice.one_of(&[2_000, 40_000, 400_000, 2_400_000]);
            let what = dice.one_of(&[
                Somebody::Cancels,
                Somebody::Replaces,
                Somebody::Helps,
                Somebody::TakesTheJar,
                Somebody::KillsTheJobManager { lasts, keeps_jobs: true },
                Somebody::KillsTheJobManager { lasts, keeps_jobs: true },
                Somebody::KillsTheJobManager { lasts, keeps_jobs: false },
            ]);
            // Most within the seconds in which a job is stopped and run again.
            let most = dice.one_of(&[4_000, 15_000, 60_000, 1_000_000]);
            somebody.push((1 + dice.below(most), what));
        }
        somebody.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        let skew = dice.one_of(&[0, 0, -90_000, 90_000]);
        Self { lost, late, stop, stop_takes, new_size, old_size, start_takes, somebody, skew }
    }
}
