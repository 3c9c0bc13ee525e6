//! Metrics that every pod has one of: CPU, memory, what pods report themselves.
//!
//! Comes in: the pods, and a target per pod. Goes out: a [`Proposal`]. Pods of unknown load are never left out of the
//! account: each is assumed to be what makes the change smaller, and a change that this turns round is none.

use super::metric::Source;
use super::pods::{Group, Pod, Timing, classify};
use super::proposal::{Basis, Proposal, Reading, Unmeasured, checked};
use super::size::{narrow, round_up};
use super::tolerance::Tolerance;
use crate::model::Timestamp;

/// The pods of a workload with what was measured of them.
#[derive(Clone, Copy, Debug)]
pub struct PodMetrics<'a> {
    /// Whose metric it is.
    pub source: Source,
    /// The pods that the workload selects.
    pub pods: &'a [Pod],
    /// Values, in thousandths, of pods that the workload does not select, or no longer. The HPA counts them as pods
    /// wherever it counts values.
    pub strangers: &'a [i64],
    /// Given where the metric is CPU time: which samples count.
    pub cpu: Option<Timing>,
    /// When this is.
    pub now: Timestamp,
}

/// One value that counts.
#[derive(Clone, Copy)]
struct Value {
    usage: i64,
    /// `None` of a stranger.
    request: Option<i64>,
}

/// The pods, by how they count.
struct Grouped<'a> {
    ready: u32,
    unready: Vec<&'a Pod>,
    missing: Vec<&'a Pod>,
    values: Vec<Value>,
}

/// What the pods use of their requests.
struct Used {
    /// Whole per cents of the requests altogether, cut off.
    percent: i64,
    /// Thousandths per pod, cut off.
    average: i64,
    /// The per cents over the target.
    ratio: f64,
}

/// What a target of so many per cent of the requests asks for.
///
/// # Errors
///
/// A target that is not above zero, or no value of a pod that counts; or a pod without a request.
pub fn utilization(
    metrics: &PodMetrics<'_>,
    current: u32,
    target_percent: u32,
    tolerance: Tolerance,
) -> Result<Proposal, Unmeasured> {
    let target = checked(i64::from(target_percent))?;
    let grouped = group(metrics)?;
    // A request is looked for in every pod, also in one that does not count: without it the resource is not limited.
    if let Some(nothing) = metrics.pods.iter().position(|pod| pod.request.is_none()) {
        return Err(Unmeasured::MissingRequest(nothing));
    }
    let used = used(&grouped.values, target)?;
    let reading = Reading::Utilization { percent: used.percent, average: used.average };
    // A pod may use more than it requests. Where the target asks for that, a pod of unknown load does so too.
    let busy = i128::from(target_percent.max(100));
    let fill = |pod: &Pod| narrow(i128::from(pod.request.unwrap_or(0)) * busy / 100);
    let ratio = |values: &[Value]| self::used(values, target).map(|used| used.ratio);
    let (replicas, basis) = size(&grouped, used.ratio, current, tolerance, fill, ratio)?;
    Ok(Proposal { replicas, ratio: Some(used.ratio), basis, reading })
}

/// What a target per pod asks for, in thousandths.
///
/// # Errors
///
/// A target that is not above zero, or no value of a pod that counts.
pub fn average(
    metrics: &PodMetrics<'_>,
    current: u32,
    target: i64,
    tolerance: Tolerance,
) -> Result<Proposal, Unmeasured> {
    let per_pod = checked(target)?;
    let grouped = group(metrics)?;
    let usage = mean(&grouped.values);
    let ratio = usage as f64 / per_pod;
    let again = |values: &[Value]| Ok(mean(values) as f64 / per_pod);
    let (replicas, basis) = size(&grouped, ratio, current, tolerance, |_| target, again)?;
    Ok(Proposal { replicas, ratio: Some(ratio), basis, reading: Reading::Average(usage) })
}

fn group<'a>(metrics: &PodMetrics<'a>) -> Result<Grouped<'a>, Unmeasured> {
    if metrics.strangers.is_empty() && metrics.pods.iter().all(|pod| pod.sample.is_none()) {
        return Err(Unmeasured::NoMetrics(metrics.source));
    }
    if metrics.pods.is_empty() {
        return Err(Unmeasured::NoPods);
    }
    let strangers = metrics.strangers.iter().map(|usage| Value { usage: *usage, request: None });
    let mut grouped =
        Grouped { ready: 0, unready: Vec::new(), missing: Vec::new(), values: strangers.collect() };
    for pod in metrics.pods {
        match (classify(pod, metrics.cpu, metrics.now), pod.sample) {
            (Group::Ignored, _) => {}
            (Group::Unready, _) => grouped.unready.push(pod),
            (Group::Missing, _) | (Group::Ready, None) => grouped.missing.push(pod),
            (Group::Ready, Some(sample)) => {
                grouped.ready = grouped.ready.saturating_add(1);
                grouped.values.push(Value { usage: sample.value, request: pod.request });
            }
        }
    }
    if grouped.values.is_empty() { Err(Unmeasured::NoneReady) } else { Ok(grouped) }
}

/// Of the values with a request: strangers are no part of what the workload requests.
fn used(values: &[Value], target: f64) -> Result<Used, Unmeasured> {
    let (mut usage, mut request, mut pods) = (0_i128, 0_i128, 0_i128);
    for (used, requested) in values.iter().filter_map(|value| Some((value.usage, value.request?))) {
        usage += i128::from(used);
        request += i128::from(requested);
        pods += 1;
    }
    if request <= 0 {
        return Err(Unmeasured::NothingRequested);
    }
    // Cut off before it is compared with the target, so that 110.9 % of a target of 100 % is within 10 % of it.
    let percent = narrow(usage * 100 / request);
    Ok(Used { percent, average: narrow(usage / pods), ratio: percent as f64 / target })
}

/// The mean, cut off, of all values, of which there is at least one.
fn mean(values: &[Value]) -> i64 {
    let (sum, count) = values
        .iter()
        .fold((0_i128, 0_i128), |(sum, count), value| (sum + i128::from(value.usage), count + 1));
    narrow(sum / count.max(1))
}

/// The size that the ratio asks for, after the pods of unknown load have been heard.
fn size(
    grouped: &Grouped<'_>,
    ratio: f64,
    current: u32,
    tolerance: Tolerance,
    fill: impl Fn(&Pod) -> i64,
    again: impl Fn(&[Value]) -> Result<f64, Unmeasured>,
) -> Result<(u32, Basis), Unmeasured> {
    let asks_for_more = ratio > 1.0;
    let with_unready = asks_for_more && !grouped.unready.is_empty();
    if grouped.missing.is_empty() && !with_unready {
        return Ok(if tolerance.holds(ratio) {
            (current, Basis::WithinTolerance)
        } else {
            (round_up(ratio * f64::from(grouped.ready)), Basis::Ratio)
        });
    }
    let mut values = grouped.values.clone();
    if asks_for_more {
        let idle = grouped.missing.iter().chain(&grouped.unready);
        values.extend(idle.map(|pod| Value { usage: 0, request: pod.request }));
    } else if ratio < 1.0 {
        values.extend(grouped.missing.iter().map(|pod| Value { usage: fill(pod), request: pod.request }));
    }
    let corrected = again(&values)?;
    let is_turned = (ratio < 1.0 && corrected > 1.0) || (asks_for_more && corrected < 1.0);
    let replicas = round_up(corrected * values.len() as f64);
    // The pods that exist and the size asked for last may differ; a change against the ratio is none of the metric's.
    let is_against = (corrected < 1.0 && replicas > current) || (corrected > 1.0 && replicas < current);
    Ok(if tolerance.holds(corrected) || is_turned || is_against {
        let basis = if tolerance.holds(ratio) { Basis::WithinTolerance } else { Basis::HeldForUnmeasured };
        (current, basis)
    } else {
        (replicas, Basis::Corrected)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::policy::hpa::{Phase, Ready, ReadyStatus, Sample};

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

    /// A pod that has been ready for long, and uses so much of 1000.
    fn pod(usage: Option<i64>) -> Pod {
        let at = Timestamp::from_millis(0);
        Pod {
            phase: Phase::Running,
            is_deleted: false,
            ready: Some(Ready { status: ReadyStatus::True, since: at }),
            started: Some(at),
            request: Some(1_000),
            sample: usage.map(|value| Sample { value, at: NOW, window: Duration::from_mins(1) }),
        }
    }

    fn cpu<'a>(pods: &'a [Pod], strangers: &'a [i64]) -> PodMetrics<'a> {
        PodMetrics { source: Source::Resource, pods, strangers, cpu: Some(Timing::default()), now: NOW }
    }

    fn asks(pods: &[Pod], strangers: &[i64], current: u32, percent: u32) -> Result<(u32, Basis), Unmeasured> {
        utilization(&cpu(pods, strangers), current, percent, Tolerance::DEFAULT)
            .map(|asked| (asked.replicas, asked.basis))
    }

    #[test]
    fn pods_of_unknown_load_make_a_change_smaller_and_never_turn_it_round() {
        let pending = Pod { phase: Phase::Pending, ..pod(None) };
        for (name, pods, current, percent, expected) in [
            ("all known", vec![pod(Some(900)), pod(Some(900))], 2, 50, (4, Basis::Ratio)),
            ("near", vec![pod(Some(510))], 1, 50, (1, Basis::WithinTolerance)),
            // 270 % of 50 % over three pods instead of two: 60 % of three.
            (
                "up, one is missing",
                vec![pod(Some(900)), pod(Some(900)), pod(None)],
                3,
                50,
                (4, Basis::Corrected),
            ),
            (
                "up, one is pending",
                vec![pod(Some(900)), pod(Some(900)), pending],
                3,
                50,
                (4, Basis::Corrected),
            ),
            ("down, one is pending", vec![pod(Some(100)), pending], 2, 50, (1, Basis::Ratio)),
            ("down, one is missing", vec![pod(Some(100)), pod(None)], 2, 50, (2, Basis::HeldForUnmeasured)),
            ("up, most are missing", vec![pod(Some(600)), pod(None)], 2, 50, (2, Basis::HeldForUnmeasured)),
            // More is asked for than requested: so a missing pod is taken to use that too.
            ("a target above 100 %", vec![pod(Some(100)), pod(None)], 2, 200, (2, Basis::Corrected)),
            (
                "fewer asked for than there are",
                vec![pod(Some(900)), pod(Some(900)), pod(None)],
                9,
                50,
                (9, Basis::HeldForUnmeasured),
            ),
        ] {
            assert_eq!(asks(&pods, &[], current, percent), Ok(expected), "{name}");
        }
    }

    #[test]
    fn strangers_are_counted_where_values_are_and_measured_nowhere() {
        let pods = [pod(Some(900)), pod(None)];
        // 90 % over one pod, 45 % over two, and one value more that multiplies it.
        assert_eq!(asks(&pods, &[5], 2, 30), Ok((5, Basis::Corrected)));
        let asked =
            utilization(&cpu(&pods[..1], &[5, 7]), 1, 90, Tolerance::DEFAULT).map(|asked| asked.reading);
        assert_eq!(asked, Ok(Reading::Utilization { percent: 90, average: 900 }));
        assert_eq!(asks(&[pod(None)], &[5], 1, 50), Err(Unmeasured::NothingRequested));
        let asked = average(&cpu(&pods[..1], &[300]), 1, 600, Tolerance::DEFAULT).map(|asked| asked.reading);
        assert_eq!(asked, Ok(Reading::Average(600)));
    }

    #[test]
    fn says_what_is_not_there() {
        let asks = |pods: &[Pod]| asks(pods, &[], 2, 50).map(|(replicas, _)| replicas);
        let (unready, bare) = (Pod { ready: None, ..pod(Some(1)) }, Pod { request: None, ..pod(Some(1)) });
        assert_eq!(asks(&[]), Err(Unmeasured::NoMetrics(Source::Resource)));
        assert_eq!(asks(&[pod(None)]), Err(Unmeasured::NoMetrics(Source::Resource)));
        assert_eq!(asks(&[unready]), Err(Unmeasured::NoneReady));
        assert_eq!(asks(&[pod(Some(1)), bare]), Err(Unmeasured::MissingRequest(1)));
        assert_eq!(asks(&[Pod { ready: None, ..bare }]), Err(Unmeasured::NoneReady));
        assert_eq!(utilization(&cpu(&[], &[5]), 1, 50, Tolerance::DEFAULT), Err(Unmeasured::NoPods));
        assert_eq!(
            utilization(&cpu(&[pod(Some(1))], &[]), 1, 0, Tolerance::DEFAULT),
            Err(Unmeasured::Target(0))
        );
    }
}
