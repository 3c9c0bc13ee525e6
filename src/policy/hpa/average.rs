//! Metrics that there is one of, of an object or of something outside: the length of a queue, the lag of a topic.

use super::pods::{Phase, Pod, ReadyStatus};
use super::proposal::{Basis, Proposal, Reading, Unmeasured, checked};
use super::size::{narrow, round_up, truncate};
use super::tolerance::Tolerance;

/// What a target for the whole value asks for (type `Value`): as much more or less as the value is above or below it, of
/// the pods that are ready. From no replicas it is the ratio itself, whatever the tolerance.
///
/// # Errors
///
/// A target that is not above zero.
pub fn value(
    current: u32,
    ready_pods: u32,
    value: i64,
    target: i64,
    tolerance: Tolerance,
) -> Result<Proposal, Unmeasured> {
    let ratio = value as f64 / checked(target)?;
    let (replicas, basis) = if current == 0 {
        (round_up(ratio), Basis::Ratio)
    } else if tolerance.holds(ratio) {
        (current, Basis::WithinTolerance)
    } else {
        (round_up(ratio * f64::from(ready_pods)), Basis::Ratio)
    };
    Ok(Proposal { replicas, ratio: Some(ratio), basis, reading: Reading::Value(value) })
}

/// What a target per replica asks for (type `AverageValue`): the value over it, whatever the size is now. `observed` is
/// the number of replicas that exist (the status' and not the spec's).
///
/// # Errors
///
/// A target that is not above zero.
pub fn per_replica(
    observed: u32,
    value: i64,
    target: i64,
    tolerance: Tolerance,
) -> Result<Proposal, Unmeasured> {
    let target = checked(target)?;
    // Without replicas there is no ratio, and so nothing that is near the target.
    let ratio = (observed > 0).then(|| value as f64 / (target * f64::from(observed)));
    let (replicas, basis) = if ratio.is_some_and(|ratio| tolerance.holds(ratio)) {
        (observed, Basis::WithinTolerance)
    } else {
        (round_up(value as f64 / target), Basis::Ratio)
    };
    // A sum that was held at the end of the range has no mean.
    let mean = if value == i64::MAX { value } else { truncate((value as f64 / f64::from(observed)).ceil()) };
    let reading = Reading::Average(mean);
    Ok(Proposal { replicas, ratio, basis, reading })
}

/// The sum of all series of an external metric, held at the ends of the range.
pub fn total(series: &[i64]) -> i64 {
    narrow(series.iter().map(|value| i128::from(*value)).sum())
}

/// The pods that a whole value is spread over: those that run and are ready.
pub fn ready_pods(pods: &[Pod]) -> u32 {
    let is_ready = |pod: &&Pod| {
        pod.phase == Phase::Running && pod.ready.is_some_and(|ready| ready.status == ReadyStatus::True)
    };
    u32::try_from(pods.iter().filter(is_ready).count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_without_replicas_asks_for_what_it_needs() {
        let asked = |value| per_replica(0, value, 1_000, Tolerance::DEFAULT).map(|asked| asked.replicas);
        assert_eq!(asked(0), Ok(0));
        assert_eq!(asked(2_001), Ok(3));
    }

    #[test]
    fn a_target_of_zero_is_turned_away() {
        let tolerance = Tolerance::DEFAULT;
        assert_eq!(value(1, 1, 1, 0, tolerance), Err(Unmeasured::Target(0)));
        assert_eq!(per_replica(1, 1, -3, tolerance), Err(Unmeasured::Target(-3)));
    }

    #[test]
    fn sums_do_not_run_over() {
        assert_eq!(total(&[i64::MAX, 1]), i64::MAX);
        assert_eq!(total(&[i64::MIN, -1, i64::MAX]), -2);
        let reading = |value| per_replica(4, value, 1, Tolerance::DEFAULT).map(|asked| asked.reading);
        assert_eq!(reading(i64::MAX), Ok(Reading::Average(i64::MAX)));
        assert_eq!(reading(9), Ok(Reading::Average(3)));
    }
}
