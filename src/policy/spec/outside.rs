//! What holds a job's scaling from outside of its spec: pauses that somebody asked for, and others who scale the same job.
//! Part of the policy as it is recorded, so that a decision can be made again from what was recorded.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::ScaleDirection;
use crate::model::Timestamp;

/// The annotation of a `FlinkAutoscaler` that pauses it: `up`, `down` or `all`, each for good or `until` a moment; several
/// are separated by commas.
pub const PAUSE_ANNOTATION: &str = "tidegate.dev/pause";

/// A pause in one direction, or in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// The one direction in which nothing is rescaled; both, without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<ScaleDirection>,
    /// When it is over; not by itself, without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A text that is not a pause.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "expected up, down or all, or one of them until a moment as in `down until 2026-12-01T06:00:00Z`, not {0:?}"
)]
pub struct PauseError(String);

impl Pause {
    /// All pauses that an annotation asks for.
    ///
    /// # Errors
    /// The first that is none.
    pub fn list(text: &str) -> Result<Vec<Self>, PauseError> {
        text.split(',').map(str::parse).collect()
    }

    /// Whether it holds a rescale in this direction at `now`.
    pub fn holds(&self, direction: ScaleDirection, now: Timestamp) -> bool {
        self.direction.is_none_or(|only| only == direction) && self.until.is_none_or(|until| now < until)
    }
}

impl FromStr for Pause {
    type Err = PauseError;
    fn from_str(text: &str) -> Result<Self, PauseError> {
        // What a person wrote may be long; the message is not.
        let wrong = || PauseError(text.trim().chars().take(60).collect());
        let mut words = text.split_ascii_whitespace();
        let direction = match words.next() {
            Some("up") => Some(ScaleDirection::Up),
            Some("down") => Some(ScaleDirection::Down),
            Some("all") => None,
            _ => return Err(wrong()),
        };
        let until = match (words.next(), words.next(), words.next()) {
            (None, ..) => None,
            (Some("until"), Some(at), None) => Some(at.parse().map_err(|_| wrong())?),
            _ => return Err(wrong()),
        };
        Ok(Self { direction, until })
    }
}

/// Somebody else who scales the same job or the same workload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all_fields = "camelCase")]
pub enum Rival {
    /// Another autoscaler of the job, or of the workload.
    FlinkAutoscaler {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// An HPA on the workload.
    HorizontalPodAutoscaler {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Rival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FlinkAutoscaler { namespace, name } => write!(f, "FlinkAutoscaler {namespace}/{name}"),
            Self::HorizontalPodAutoscaler { namespace, name } => {
                write!(f, "HorizontalPodAutoscaler {namespace}/{name}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ScaleDirection::{Down, Up};
    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_795_370_400_000);

    #[test]
    fn reads_what_an_annotation_asks_for() {
        let pause = |direction, until| Pause { direction, until };
        for (text, pauses) in [
            ("up", Some(vec![pause(Some(Up), None)])),
            (" all ", Some(vec![pause(None, None)])),
            ("down until 2026-11-22T18:00:00Z", Some(vec![pause(Some(Down), Some(AT))])),
            ("down until 2026-11-22T19:00:00+01:00", Some(vec![pause(Some(Down), Some(AT))])),
            (
                "up, down until 2026-11-22T18:00:00Z",
                Some(vec![pause(Some(Up), None), pause(Some(Down), Some(AT))]),
            ),
            ("", None),
            ("up,", None),
            ("true", None),
            ("Up", None),
            ("down until", None),
            ("down until tomorrow", None),
            ("down for 1h", None),
            ("down until 2026-11-22T18:00:00Z please", None),
        ] {
            assert_eq!(Pause::list(text).ok(), pauses, "{text:?}");
        }
    }

    #[test]
    fn holds_its_direction_until_it_is_over() {
        let second = std::time::Duration::from_secs(1);
        for (text, direction, now, holds) in [
            ("up", Up, AT, true),
            ("up", Down, AT, false),
            ("all", Down, AT, true),
            ("all until 2026-11-22T18:00:00Z", Up, AT - second, true),
            ("all until 2026-11-22T18:00:00Z", Up, AT, false),
        ] {
            let pause: Pause = text.parse().expect("a pause");
            assert_eq!(pause.holds(direction, now), holds, "{text} {direction:?} {now}");
        }
    }
}
