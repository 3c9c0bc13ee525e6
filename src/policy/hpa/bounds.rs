//! What an HPA without `behavior` does to the size that is asked for.

use super::conditions::Limited;
use super::size::saturate;

/// How far an HPA without `behavior` grows at once: so many times what there is, and at least so many. That kept a wrong
/// reading of CPU time from asking for all of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// So many times what there is.
    pub factor: u32,
    /// At least so many.
    pub least: u32,
}

impl Default for Burst {
    fn default() -> Self {
        // The controller's constants; there is no flag for them.
        Self { factor: 2, least: 4 }
    }
}

/// The size that may be taken of the one desired, and the reason.
pub fn clamp(current: u32, desired: u32, (min, max): (u32, u32), burst: Burst) -> (u32, Limited) {
    let times = saturate(i64::from(current).saturating_mul(i64::from(burst.factor)));
    let at_once = times.max(burst.least).max(current);
    let (most, reason) =
        if max > at_once { (at_once, Limited::ScaleUpLimit) } else { (max, Limited::TooManyReplicas) };
    if desired < min {
        (min, Limited::TooFewReplicas)
    } else if desired > most {
        (most, reason)
    } else {
        (desired, Limited::DesiredWithinRange)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_twice_the_size_and_from_little_to_four() {
        for (current, desired, size, reason) in [
            (1, 100, 4, Limited::ScaleUpLimit),
            (3, 100, 6, Limited::ScaleUpLimit),
            (30, 100, 50, Limited::TooManyReplicas),
            (25, 51, 50, Limited::TooManyReplicas),
            (3, 6, 6, Limited::DesiredWithinRange),
            (3, 0, 2, Limited::TooFewReplicas),
            (u32::MAX, u32::MAX, 50, Limited::TooManyReplicas),
        ] {
            assert_eq!(clamp(current, desired, (2, 50), Burst::default()), (size, reason), "{current}");
        }
    }
}
