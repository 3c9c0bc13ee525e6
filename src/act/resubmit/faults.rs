//! What goes wrong in a schedule, drawn from its seed.

use crate::act::played::dice::Dice;
use crate::simulate::{RunFault, StopFault};

/// How a run at a size goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goes {
    Well,
    /// The first try alone is refused.
    RefusedOnce,
    Wrong(RunFault),
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
    pub(super) stop: Option<StopFault>,
    pub(super) stop_takes: u64,
    pub(super) new_size: Goes,
    pub(super) old_size: Goes,
    pub(super) start_takes: u64,
    pub(super) somebody: Vec<(u64, Somebody)>,
    /// The JobManager's clock against ours.
    pub(super) skew: i64,
}

impl Faults {
    /// Of a seed: most things go well in most schedules.
    pub(super) fn draw(dice: &mut Dice) -> Self {
        let lost = dice.one_of(&[0, 0, 2, 10, 30]);
        let late = dice.one_of(&[0, 0, 5, 30]);
        let (stop, stop_takes) = stop(dice);
        let (new_size, old_size) = sizes(dice);
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

/// How the stop goes wrong, and how long it takes.
pub(super) fn stop(dice: &mut Dice) -> (Option<StopFault>, u64) {
    use StopFault::{CannotWrite, FailsFinishing, FailsForGood, Refused, TimesOut};
    let wrong = dice.one_of(&[
        None,
        None,
        None,
        None,
        Some(Refused),
        Some(CannotWrite),
        Some(TimesOut),
        Some(FailsFinishing),
        Some(FailsForGood),
    ]);
    (wrong, dice.one_of(&[300, 2_000, 20_000, 400_000]))
}

/// How the runs at the new size and at the old one go.
pub(super) fn sizes(dice: &mut Dice) -> (Goes, Goes) {
    use Goes::{RefusedOnce, Well, Wrong};
    use RunFault::{Fails, FewerSlots, NeverUp, NoSlots, Refused};
    let new_size = dice.one_of(&[
        Well,
        Well,
        Well,
        Wrong(Refused),
        RefusedOnce,
        Wrong(Fails),
        Wrong(NoSlots),
        Wrong(FewerSlots),
        Wrong(NeverUp),
    ]);
    (new_size, dice.one_of(&[Well, Well, Well, Well, RefusedOnce, Wrong(Refused), Wrong(Fails)]))
}
