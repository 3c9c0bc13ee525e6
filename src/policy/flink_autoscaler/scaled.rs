//! From a factor to a parallelism within its limits.

use thiserror::Error;

/// The limits of a vertex's parallelism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The fewest subtasks.
    pub lower: u32,
    /// The most subtasks that are allowed.
    pub upper: u32,
    /// The most subtasks that there are key groups for.
    pub max_parallelism: u32,
}

/// The lower limit is above the upper one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the lower limit {lower} of the parallelism is above the upper limit {upper}")]
pub struct LimitsCrossed {
    /// The lower limit.
    pub lower: u32,
    /// The upper limit.
    pub upper: u32,
}

/// `current` times `factor`, rounded up, within the limits; of two that cannot both be kept the upper one is.
///
/// # Errors
/// When the lower limit is above the upper one.
pub fn scaled(current: u32, factor: f64, limits: Limits) -> Result<u32, LimitsCrossed> {
    let Limits { lower, upper, max_parallelism } = limits;
    if lower > upper {
        return Err(LimitsCrossed { lower, upper });
    }
    let wanted = (factor * f64::from(current)).ceil();
    // NaN counts as nothing, as it does when it is turned into a whole number in Java.
    let wanted = if wanted.is_nan() { 0.0 } else { wanted.clamp(0.0, f64::from(i32::MAX)) };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0..=i32::MAX above"
    )]
    let wanted = wanted as u32;
    // Flink has no vertex without a subtask.
    Ok(wanted.max(lower).min(upper.min(max_parallelism)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_within_the_limits_whatever_the_factor() {
        for (factor, lower, upper, max_parallelism, expected) in [
            (1.5, 1, 100, 128, Ok(15)),
            (1.51, 1, 100, 128, Ok(16)),
            (f64::NAN, 1, 100, 128, Ok(1)),
            (f64::INFINITY, 1, 100, 128, Ok(100)),
            (f64::NEG_INFINITY, 3, 100, 128, Ok(3)),
            (0.0, 50, 100, 20, Ok(20)),
            (1.0, 0, 0, 0, Ok(1)),
            (1.0, 5, 4, 128, Err(LimitsCrossed { lower: 5, upper: 4 })),
        ] {
            assert_eq!(scaled(10, factor, Limits { lower, upper, max_parallelism }), expected, "{factor}");
        }
    }
}
