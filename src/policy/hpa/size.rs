//! From a float to a size, in one place, so that no other file has to think of what does not fit.

/// The largest size there is: sizes are an `int32` in Kubernetes' API.
pub const MOST: u32 = i32::MAX.unsigned_abs();

/// The smallest size that is at least `wanted`, from 0 to [`MOST`]. What is not a number becomes 0: it cannot come from
/// targets above zero, which is what every caller has checked.
pub(super) fn round_up(wanted: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to MOST, as clamped")]
    let size = wanted.ceil().clamp(0.0, f64::from(MOST)) as u32;
    size
}

/// A size from a whole number of any width, from 0 to [`MOST`].
pub(super) fn saturate(wanted: i64) -> u32 {
    u32::try_from(wanted.clamp(0, i64::from(MOST))).unwrap_or(MOST)
}

/// A sum of quantities, held at the ends of the range.
pub(super) fn narrow(sum: i128) -> i64 {
    i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX })
}

/// A quantity from a float: towards zero, held at the ends of the range.
pub(super) fn truncate(wanted: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "`as` holds a float at the ends of the range")]
    let quantity = wanted as i64;
    quantity
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_float_is_a_size_comes_of_it() {
        for (wanted, size) in [
            (0.0, 0),
            (-0.5, 0),
            (0.1, 1),
            (2.0, 2),
            (2.000_1, 3),
            (1e300, MOST),
            (f64::INFINITY, MOST),
            (f64::NEG_INFINITY, 0),
            (f64::NAN, 0),
        ] {
            assert_eq!(round_up(wanted), size, "{wanted}");
        }
        assert_eq!((saturate(i64::MIN), saturate(7), saturate(i64::MAX)), (0, 7, MOST));
        assert_eq!((narrow(i128::MIN), narrow(-7), narrow(i128::MAX)), (i64::MIN, -7, i64::MAX));
        assert_eq!((truncate(-1.9), truncate(f64::INFINITY), truncate(f64::NAN)), (-1, i64::MAX, 0));
    }
}
