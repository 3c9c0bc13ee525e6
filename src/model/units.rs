//! Numbers with a meaning. NaN, infinities and impossible values are turned away once, here.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A number that its unit cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum UnitError {
    /// Flink allows 1 to 32768 subtasks (`KeyGroupRangeAssignment.UPPER_BOUND_MAX_PARALLELISM`).
    #[error("a parallelism is a whole number from 1 to 32768, not {0}")]
    Parallelism(u64),
    /// Rates, times and ratios are finite and not negative.
    #[error("expected a finite number that is not negative, not {0}")]
    NotFinite(f64),
}

/// A number of subtasks: 1 to 32768.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "u32", try_from = "u64")]
pub struct Parallelism(u32);

impl Parallelism {
    /// One subtask, the least there is.
    pub const ONE: Self = Self(1);
    /// The most that Flink allows: 2^15.
    pub const MOST: u32 = 1 << 15;

    /// Checks that `subtasks` is from 1 to 32768.
    ///
    /// # Errors
    /// When it is not.
    pub fn new(subtasks: u64) -> Result<Self, UnitError> {
        u32::try_from(subtasks)
            .ok()
            .filter(|p| (1..=Self::MOST).contains(p))
            .map(Self)
            .ok_or(UnitError::Parallelism(subtasks))
    }

    /// The nearest possible parallelism to `subtasks`.
    pub fn clamped(subtasks: u64) -> Self {
        Self(u32::try_from(subtasks.clamp(1, u64::from(Self::MOST))).unwrap_or(Self::MOST))
    }

    /// The smallest parallelism that is not less than `subtasks`; the most there is for what no parallelism reaches.
    pub fn ceil(subtasks: f64) -> Self {
        let most = f64::from(Self::MOST);
        let whole = if subtasks.is_nan() { most } else { subtasks.ceil().clamp(1.0, most) };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to 1..=32768 above"
        )]
        Self(whole as u32)
    }

    /// The number of subtasks.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number of subtasks, for arithmetic.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0)
    }
}

impl fmt::Display for Parallelism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Parallelism> for u32 {
    fn from(p: Parallelism) -> Self {
        p.0
    }
}

impl TryFrom<u64> for Parallelism {
    type Error = UnitError;
    fn try_from(subtasks: u64) -> Result<Self, UnitError> {
        Self::new(subtasks)
    }
}

macro_rules! finite_unit {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(into = "f64", try_from = "f64")]
        pub struct $name(f64);

        impl $name {
            /// Nothing.
            pub const ZERO: Self = Self(0.0);

            /// Checks that `value` is finite and not negative.
            ///
            /// # Errors
            /// When it is not.
            pub fn new(value: f64) -> Result<Self, UnitError> {
                if value.is_finite() && value >= 0.0 { Ok(Self(value)) } else { Err(UnitError::NotFinite(value)) }
            }

            /// The bare number.
            pub const fn get(self) -> f64 {
                self.0
            }
        }

        impl From<$name> for f64 {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl TryFrom<f64> for $name {
            type Error = UnitError;
            fn try_from(value: f64) -> Result<Self, UnitError> {
                Self::new(value)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

finite_unit!(
    /// Records per second.
    Rate
);
finite_unit!(
    /// Seconds; of one subtask where a service time is meant.
    Seconds
);
finite_unit!(
    /// Target rate over capacity: 1 is exactly full, more is too much.
    Utilization
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_away_what_is_not_a_number_of_subtasks() {
        for (subtasks, ok) in [(0, false), (1, true), (32_768, true), (32_769, false), (u64::MAX, false)] {
            assert_eq!(Parallelism::new(subtasks).is_ok(), ok, "{subtasks}");
        }
    }

    #[test]
    fn rounds_up_and_never_leaves_the_possible() {
        for (need, p) in [
            (-1.0, 1),
            (0.0, 1),
            (1.0, 1),
            (1.000_1, 2),
            (1e12, 32_768),
            (f64::INFINITY, 32_768),
            (f64::NEG_INFINITY, 1),
            (f64::NAN, 32_768),
        ] {
            assert_eq!(Parallelism::ceil(need).get(), p, "{need}");
        }
    }

    #[test]
    fn turns_away_what_is_not_finite() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
            assert!(Rate::new(value).is_err(), "{value}");
        }
        assert_eq!(Rate::new(2.5).map(Rate::get), Ok(2.5));
    }
}
