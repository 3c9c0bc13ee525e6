//! A job's state as the operator counts it: RUNNING only when every task is.

use crate::model::JobState;

/// The tasks of a job, from `/jobs/overview`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tasks {
    /// All of them.
    pub total: u32,
    /// Those that run.
    pub running: u32,
    /// Those that have finished.
    pub finished: u32,
}

/// The state that counts: a job whose tasks are still being deployed is CREATED.
pub fn effective_state(state: JobState, tasks: Tasks) -> JobState {
    let up = u64::from(tasks.running) + u64::from(tasks.finished);
    if state == JobState::Running && up != u64::from(tasks.total) { JobState::Created } else { state }
}
