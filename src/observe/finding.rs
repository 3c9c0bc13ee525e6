//! What gets in the way of scaling, as `tidegate doctor` tells it: what was found, what it costs, and the line that mends it.

use serde::Serialize;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Weight {
    /// Nothing will be scaled.
    Prevents,
    /// It will be scaled later, worse, or at a price.
    Hinders,
    /// Worth knowing.
    Note,
}

impl Weight {
    /// As a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prevents => "Prevents",
            Self::Hinders => "Hinders",
            Self::Note => "Note",
        }
    }
}

/// One thing that gets in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How much it matters.
    pub weight: Weight,
    /// What it is; of a closed list.
    pub what: &'static str,
    /// The job or the object that it is about; the cluster or the server as such, without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// What was found.
    pub found: String,
    /// What it costs.
    pub costs: &'static str,
    /// What mends it: a line of configuration, or what to do.
    pub mend: String,
}

/// Clocks that are further apart are not kept right by anyone; what Flink answers may itself be 3 s old. Milliseconds.
pub(crate) const SKEW_MS: i64 = 10_000;
