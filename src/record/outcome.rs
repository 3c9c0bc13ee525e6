//! What came of a cycle: one closed list.

use serde::{Deserialize, Serialize};

use crate::decide::Verdict;
use crate::guard::Hold;

/// How a cycle ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all_fields = "camelCase")]
pub enum Outcome {
    /// There was nothing to decide on.
    Unobserved,
    /// The job has the size it needs.
    Unchanged,
    /// The job needs another size; the mode is to say so only.
    Recommended,
    /// The job needs another size, but not now: the decision says why, or the last look before acting did.
    Held {
        /// What the last look before acting found.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        found: Option<Hold>,
    },
    /// What the plan assumed was no longer so when it was to be carried out; nothing was done.
    Superseded {
        /// What was no longer so.
        detail: String,
    },
    /// What the plan says is to be done now was asked for: Flink, to give the job its new size, or Kubernetes, for another number
    /// of TaskManagers.
    Applied,
    /// Flink refused, or the request was lost; nothing is known to have changed.
    Failed {
        /// Flink's own words, or what happened.
        detail: String,
    },
    /// A rescale that did not come about in time was taken back.
    RolledBack {
        /// What was not reached.
        detail: String,
    },
}

impl Outcome {
    /// The names of all of them.
    pub const KINDS: [&'static str; 8] =
        ["Unobserved", "Unchanged", "Recommended", "Held", "Superseded", "Applied", "Failed", "RolledBack"];

    /// What comes of a decision that nobody carries out.
    pub fn without_acting(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Unobserved => Self::Unobserved,
            Verdict::Unchanged => Self::Unchanged,
            Verdict::Held { .. } => Self::Held { found: None },
            Verdict::Approved { .. } => Self::Recommended,
        }
    }

    /// The name alone: a metric label, a journal column.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unobserved => "Unobserved",
            Self::Unchanged => "Unchanged",
            Self::Recommended => "Recommended",
            Self::Held { .. } => "Held",
            Self::Superseded { .. } => "Superseded",
            Self::Applied => "Applied",
            Self::Failed { .. } => "Failed",
            Self::RolledBack { .. } => "RolledBack",
        }
    }
}
