//! What was asked for lately, and what it makes of what is asked for now.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;

/// A size that was asked for, before anything limited it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recommendation {
    /// When.
    pub at: Timestamp,
    /// How many.
    pub size: u32,
}

/// The largest size asked for within `window`, with the one asked for now: how an HPA without `behavior` is slow to scale
/// down.
pub fn highest_recent(past: &[Recommendation], desired: u32, window: Duration, now: Timestamp) -> u32 {
    let cutoff = now - window;
    let recent = past.iter().filter(|one| one.at >= cutoff).map(|one| one.size);
    recent.fold(desired, u32::max)
}

/// The size nearest to `current` that lies between the smallest size asked for within the window for scaling up, and the
/// largest within the window for scaling down, each with the one asked for now. With both windows set, a size stays where
/// it is for as long as what is asked for is now above and now below it.
pub fn within_windows(
    past: &[Recommendation],
    current: u32,
    desired: u32,
    up: Duration,
    down: Duration,
    now: Timestamp,
) -> u32 {
    let since = |window: Duration| {
        let cutoff = now - window;
        past.iter().filter(move |one| one.at > cutoff).map(|one| one.size)
    };
    let least = since(up).fold(desired, u32::min);
    let most = since(down).fold(desired, u32::max);
    current.max(least).min(most)
}

/// Writes down what is asked for now, in the place of the last one that is older than `keep` where there is one, so that
/// the list does not grow for ever. `keep` is the longer of the windows.
pub fn remember(past: &mut Vec<Recommendation>, desired: u32, keep: Duration, now: Timestamp) {
    let cutoff = now - keep;
    let one = Recommendation { at: now, size: desired };
    match past.iter().rposition(|old| old.at < cutoff) {
        Some(old) => past[old] = one,
        None => past.push(one),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

    fn past(ago: &[(u64, u32)]) -> Vec<Recommendation> {
        let at = |seconds| NOW - Duration::from_secs(seconds);
        ago.iter().map(|(seconds, size)| Recommendation { at: at(*seconds), size: *size }).collect()
    }

    #[test]
    fn a_window_holds_the_size_and_lets_it_go() {
        let minute = Duration::from_mins(1);
        let history = past(&[(90, 20), (59, 8), (30, 4)]);
        assert_eq!(highest_recent(&history, 3, minute, NOW), 8);
        assert_eq!(highest_recent(&history, 9, minute, NOW), 9);
        // Down: to the largest of the window. Up: to the smallest. Without a window: at once.
        assert_eq!(within_windows(&history, 10, 3, Duration::ZERO, minute, NOW), 8);
        assert_eq!(within_windows(&history, 2, 9, minute, Duration::ZERO, NOW), 4);
        assert_eq!(within_windows(&history, 2, 9, Duration::ZERO, minute, NOW), 9);
        assert_eq!(within_windows(&history, 6, 9, minute, minute, NOW), 6);
    }

    #[test]
    fn a_clock_that_went_back_forgets_nothing() {
        let hour = Duration::from_hours(1);
        let history = [Recommendation { at: NOW + hour, size: 7 }];
        assert_eq!(highest_recent(&history, 1, Duration::from_mins(1), NOW), 7);
        assert_eq!(within_windows(&history, 9, 1, Duration::ZERO, Duration::from_mins(1), NOW), 7);
    }

    #[test]
    fn the_list_does_not_grow_for_ever() {
        let mut history = Vec::new();
        for second in 0..1_000 {
            remember(&mut history, 1, Duration::from_secs(10), NOW + Duration::from_secs(second));
        }
        assert_eq!(history.len(), 11);
    }
}
