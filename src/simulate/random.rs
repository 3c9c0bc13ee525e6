//! Randomness from a seed: the same seed gives the same bytes on every machine and in every version.

/// A number with the look of chance, from one that may be as regular as a counter: `SplitMix64` (Steele, Lea, Flood,
/// OOPSLA'14).
pub(super) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A draw with mean 0 and standard deviation 1, never beyond 3.5: the sum of four even draws of 16 bits each.
pub(super) fn bell(seed: u64) -> f64 {
    let bits = mix(seed);
    let sum: f64 =
        (0..4).map(|quarter| f64::from(u16::try_from(bits >> (16 * quarter) & 0xffff).unwrap_or(0))).sum();
    // The mean of one draw is 65535 / 2; the variance of four is 4 x 65536^2 / 12.
    (sum - 2.0 * 65_535.0) / (65_536.0 / 3.0_f64.sqrt())
}

/// Sixteen bytes that depend on a text alone: how ids are made of names.
pub(super) fn fingerprint(text: &str) -> u128 {
    let half = |start: u64| text.bytes().fold(start, |hash, byte| mix(hash ^ u64::from(byte)));
    (u128::from(half(1)) << 64) | u128::from(half(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_promised_mean_and_spread() {
        let draws: Vec<f64> = (0..100_000).map(bell).collect();
        let mean = draws.iter().sum::<f64>() / 1e5;
        let variance = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.01, "{mean}");
        assert!((variance - 1.0).abs() < 0.02, "{variance}");
        assert!(draws.iter().all(|d| d.abs() < 3.5));
    }

    #[test]
    fn names_that_differ_get_ids_that_differ() {
        assert_ne!(fingerprint("parse"), fingerprint("parsf"));
        assert_eq!(fingerprint("parse"), fingerprint("parse"));
    }
}
