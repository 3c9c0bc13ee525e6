//! What goes wrong in a schedule of application mode, drawn from its seed.

use super::super::faults::{self, Goes};
use crate::act::played::dice::Dice;
use crate::model::ManagerKind;
use crate::simulate::StopFault;

/// How Flink keeps its jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    /// Without high availability: a job goes with its JobManager.
    Nothing,
    /// With it: what has not ended comes back beside what the arguments say.
    Beside,
    /// With it: a JobManager does not come up for another job than the one that has not ended (2.3).
    Alone,
}

/// What somebody else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Somebody {
    Cancels,
    ChangesTheImage,
    /// Another savepoint in the arguments.
    ChangesTheArguments,
    /// Applies the manifest as it was in the beginning.
    PutsItBack,
    Deletes,
    DeletesAndCreates,
    SwitchesOff,
    /// Asks Flink how the stop went.
    ReadsTheResult,
    /// Tidegate may not change the object any more.
    TakesTheRight,
    /// The API server is away for so long.
    KillsTheServer(u64),
    /// The JobManager ends, and is started again after so long.
    KillsTheJobManager(u64),
}

/// What goes wrong in a schedule. Times are milliseconds.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    pub(super) kind: ManagerKind,
    pub(super) keeps: Keeps,
    /// Whether the arguments say the job's id from the beginning.
    pub(super) names_its_id: bool,
    /// Whether the pod is ready only when its JobManager answers.
    pub(super) is_probed: bool,
    /// Of a hundred requests, so many never arrive, or their answers do not.
    pub(super) lost: u64,
    /// Of a hundred changes, so many are worked on only when nobody waits for them any more.
    pub(super) late: u64,
    /// Of a hundred changes of the object, before so many its status was just written.
    pub(super) conflicts: u64,
    pub(super) stop: Option<StopFault>,
    pub(super) stop_takes: u64,
    pub(super) new_size: Goes,
    pub(super) old_size: Goes,
    /// A job, from its submission until all of it runs.
    pub(super) start_takes: u64,
    /// A JobManager, until it answers.
    pub(super) boot_takes: u64,
    /// A pod, from being told to go until it is gone.
    pub(super) going_takes: u64,
    pub(super) somebody: Vec<(u64, Somebody)>,
    /// The JobManager's clock against ours.
    pub(super) skew: i64,
}

impl Faults {
    /// Of a seed: most things go well in most schedules.
    pub(super) fn draw(dice: &mut Dice) -> Self {
        let (stop, stop_takes) = faults::stop(dice);
        let (new_size, old_size) = faults::sizes(dice);
        let mut somebody = Vec::new();
        while dice.percent(30) {
            let lasts = dice.one_of(&[2_000, 40_000, 400_000, 2_400_000]);
            let what = dice.one_of(&[
                Somebody::Cancels,
                Somebody::ChangesTheImage,
                Somebody::ChangesTheArguments,
                Somebody::PutsItBack,
                Somebody::Deletes,
                Somebody::DeletesAndCreates,
                Somebody::SwitchesOff,
                Somebody::ReadsTheResult,
                Somebody::TakesTheRight,
                Somebody::KillsTheServer(lasts),
                Somebody::KillsTheServer(lasts),
                Somebody::KillsTheJobManager(lasts),
                Somebody::KillsTheJobManager(lasts),
                Somebody::KillsTheJobManager(500),
            ]);
            // Most within the seconds in which a job is stopped and run again.
            let most = dice.one_of(&[4_000, 15_000, 60_000, 1_000_000]);
            somebody.push((1 + dice.below(most), what));
        }
        somebody.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        Self {
            kind: dice.one_of(&[ManagerKind::Deployment, ManagerKind::Job]),
            keeps: dice.one_of(&[Keeps::Nothing, Keeps::Nothing, Keeps::Beside, Keeps::Alone]),
            names_its_id: dice.percent(50),
            is_probed: dice.percent(50),
            lost: dice.one_of(&[0, 0, 2, 10, 30]),
            late: dice.one_of(&[0, 0, 5, 30]),
            conflicts: dice.one_of(&[0, 20, 80]),
            stop,
            stop_takes,
            new_size,
            old_size,
            start_takes: dice.one_of(&[500, 3_000, 45_000]),
            boot_takes: dice.one_of(&[2_000, 5_000, 20_000]),
            going_takes: dice.one_of(&[300, 3_000, 30_000]),
            somebody,
            skew: dice.one_of(&[0, 0, -90_000, 90_000]),
        }
    }

    /// Whether nothing happens that is not as usual.
    pub(super) fn are_none(&self) -> bool {
        let goes_well = [self.new_size, self.old_size] == [Goes::Well; 2] && self.stop.is_none();
        goes_well && self.lost + self.late == 0 && self.somebody.is_empty()
    }
}
