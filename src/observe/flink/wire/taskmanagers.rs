//! `/taskmanagers`, as far as it matters.

use serde::Deserialize;

use crate::model::Timestamp;

/// The registered TaskManagers.
#[derive(Debug, Deserialize)]
pub(crate) struct TaskManagersAnswer {
    pub(crate) taskmanagers: Vec<TaskManagerListed>,
}

/// The same, as they were at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskManagers {
    pub(crate) at: Timestamp,
    pub(crate) listed: Vec<TaskManagerListed>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct TaskManagerListed {
    /// Its resource id.
    pub(crate) id: String,
    /// Where it is reached.
    pub(crate) path: String,
    /// All of its slots.
    #[serde(rename = "slotsNumber")]
    pub(crate) slots: u32,
    /// Those that no job holds.
    #[serde(rename = "freeSlots")]
    pub(crate) free: u32,
}
