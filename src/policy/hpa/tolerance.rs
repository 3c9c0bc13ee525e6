//! How far a metric may be from its target before the size changes, apart for each direction.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What cannot be a tolerance.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error("a tolerance is 0 or more, not {0}")]
pub struct ToleranceError(f64);

/// How far the ratio of a metric to its target may be from 1 before the size changes. A part of one: 0.1 is 10 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Tolerance {
    down: f64,
    up: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Raw {
    scale_down: f64,
    scale_up: f64,
}

impl Tolerance {
    /// The controller's own, `--horizontal-pod-autoscaler-tolerance`: the size of a change that is not worth its restart.
    pub const DEFAULT: Self = Self { down: 0.1, up: 0.1 };

    /// For scaling down and up, each 0 or more. Infinite means never.
    ///
    /// # Errors
    ///
    /// One that is below 0, or not a number.
    pub fn new(down: f64, up: f64) -> Result<Self, ToleranceError> {
        match [down, up].into_iter().find(|part| part.is_nan() || *part < 0.0) {
            Some(wrong) => Err(ToleranceError(wrong)),
            None => Ok(Self { down, up }),
        }
    }

    /// Whether the size stays at this ratio of the metric to its target. Both edges hold it, in floating point: 1 + 0.1
    /// is the same number as 110 / 100, whereas 1.1 - 1 is more than 0.1.
    pub fn holds(self, ratio: f64) -> bool {
        1.0 - self.down <= ratio && ratio <= 1.0 + self.up
    }

    /// With the tolerances of an HPA's `behavior`, where it gives one to a direction.
    ///
    /// # Errors
    ///
    /// As [`Tolerance::new`].
    pub fn or(self, down: Option<f64>, up: Option<f64>) -> Result<Self, ToleranceError> {
        Self::new(down.unwrap_or(self.down), up.unwrap_or(self.up))
    }
}

impl Default for Tolerance {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl TryFrom<Raw> for Tolerance {
    type Error = ToleranceError;
    fn try_from(raw: Raw) -> Result<Self, ToleranceError> {
        Self::new(raw.scale_down, raw.scale_up)
    }
}

impl From<Tolerance> for Raw {
    fn from(tolerance: Tolerance) -> Self {
        Self { scale_down: tolerance.down, scale_up: tolerance.up }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_up_to_and_at_its_edges() {
        let tolerance = Tolerance::new(0.2, 0.1).expect("both are parts of one");
        for (ratio, holds) in [
            (0.79, false),
            (0.8, true),
            (1.0, true),
            (1.1, true),
            (1.100_001, false),
            (f64::NAN, false),
            (f64::INFINITY, false),
        ] {
            assert_eq!(tolerance.holds(ratio), holds, "{ratio}");
        }
    }

    #[test]
    fn turns_away_what_is_no_tolerance() {
        assert!(Tolerance::new(f64::NAN, 0.1).is_err() && Tolerance::new(0.1, -0.1).is_err());
        let never = Tolerance::DEFAULT.or(Some(f64::INFINITY), None).expect("infinite is allowed");
        assert!(never.holds(-1e300) && never.holds(1.1) && !never.holds(1.2));
    }
}
