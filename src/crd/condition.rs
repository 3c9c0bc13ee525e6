//! The three conditions of an HPA, with its words where it has one, and `Ready`, which sums them up.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Timestamp;

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: ConditionType,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, as a word of a closed list.
    #[schemars(length(max = 256))]
    pub reason: String,
    /// Why, for people.
    #[schemars(length(max = 32768))]
    pub message: String,
    /// When its status last changed.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub last_transition_time: Timestamp,
}

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionType {
    /// Whether the job is looked after: its size can be computed, and would be asked for if it were another. What every tool waits
    /// for that knows nothing of autoscalers.
    Ready,
    /// Whether a rescale can be asked for, or something stands in the way.
    AbleToScale,
    /// Whether a size can be computed.
    ScalingActive,
    /// Whether the size that is needed is cut off by a limit.
    ScalingLimited,
}

impl ConditionType {
    /// All there are, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Ready, Self::AbleToScale, Self::ScalingActive, Self::ScalingLimited];
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody can tell yet.
    Unknown,
}

/// What a cycle says of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) status: ConditionStatus,
    pub(super) reason: String,
    pub(super) message: String,
}

impl Said {
    pub(super) fn new(status: ConditionStatus, reason: &str, message: impl Into<String>) -> Self {
        Self { status, reason: reason.to_owned(), message: message.into() }
    }

    pub(super) fn yes(reason: &str, message: impl Into<String>) -> Self {
        Self::new(ConditionStatus::True, reason, message)
    }

    /// Nobody can tell yet.
    pub(super) fn unknown(reason: &str, message: impl Into<String>) -> Self {
        Self::new(ConditionStatus::Unknown, reason, message)
    }

    pub(super) fn no(reason: &str, message: impl Into<String>) -> Self {
        Self::new(ConditionStatus::False, reason, message)
    }
}

/// The condition after a cycle: since when is kept while its status is, and its message while its reason is, unless `is_news`
/// says that the figures in it are to be written anew.
pub(super) fn next(
    last: Option<&Condition>,
    kind: ConditionType,
    said: Said,
    now: Timestamp,
    is_news: bool,
) -> Condition {
    let Said { status, reason, message } = said;
    let same_status = last.filter(|last| last.status == status);
    let same = same_status.filter(|last| last.reason == reason && !is_news);
    Condition {
        kind,
        status,
        reason,
        message: same.map_or(message, |last| last.message.clone()),
        last_transition_time: same_status.map_or(now, |last| last.last_transition_time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_what_has_not_changed() {
        let at = |second: i64| Timestamp::from_millis(second * 1000);
        let last = next(None, ConditionType::AbleToScale, Said::yes("Ready", "load 500"), at(1), false);
        assert_eq!((last.status, last.last_transition_time), (ConditionStatus::True, at(1)));
        for (said, is_news, message, since) in [
            (Said::yes("Ready", "load 510"), false, "load 500", 1),
            (Said::yes("Ready", "load 510"), true, "load 510", 1),
            (Said::yes("Scaled", "to 4"), false, "to 4", 1),
            (Said::no("Ready", "load 510"), false, "load 510", 9),
        ] {
            let next = next(Some(&last), ConditionType::AbleToScale, said.clone(), at(9), is_news);
            assert_eq!((&*next.message, next.last_transition_time), (message, at(since)), "{said:?}");
        }
    }
}
