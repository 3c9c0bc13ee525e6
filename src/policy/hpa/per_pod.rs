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

/// Whole per cents of the requests that are used, cut off, over all pods with a request.
struct Used {
    percent: i64,
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
    let values = measured(&grouped)?;
    let used = used(values, target)?;
    let reading = Reading::Utilization { percent: used.percent, average: mean(values) };
    // A pod may use more than it requests. Where the target asks for that, a pod of unknown load does so too.
    let busy = i128::from(target_percent.max(100));
    let fill = |pod: &Pod| narrow(i128::from(pod.request.unwrap_or(0)) * busy / 100);
    let ratio = |values: &[Value]| self::used(values, target).map(|used| used.ratio);
    let (replicas, basis) = size(&grouped, used.ratio, current, tolerance, fill, ratio)?;
    Ok(Proposal { replicas, ratio: used.ratio, basis, reading })
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
    let values = measured(&grouped)?;
    let usage = mean(values);
    let ratio = usage as f64 / per_pod;
    let again = |values: &[Value]| Ok(mean(values) as f64 / per_pod);
    let (replicas, basis) = size(&grouped, ratio, current, tolerance, |_| target, again)?;
    Ok(Proposal { replicas, ratio, basis, reading: Reading::Average(usage) })
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
    Ok(grouped)
}

fn measured<'a>(grouped: &'a Grouped<'_>) -> Result<&'a [Value], Unmeasured> {
    if grouped.values.is_empty() { Err(Unmeasured::NoneReady) } else { Ok(&grouped.values) }
}

fn used(values: &[Value], target: f64) -> Result<Used, Unmeasured> {
    let known = values.iter().filter_map(|value| Some((value.usage, value.request?)));
    let (usage, request) = known.fold((0_i128, 0_i128), |(usages, requests), (usage, request)| {
        (usages + i128::from(usage), requests + i128::from(request))
    });
    if request <= 0 {
        return Err(Unmeasured::NothingRequested);
    }
    // Cut off before it is compared with the target, so that 110.9 % of a target of 100 % is within 10 % of it.
    let percent = narrow(usage * 100 / request);
    Ok(Used { percent, ratio: percent as f64 / target })
}

/// The mean, cut off. Of at least one value.
fn mean(values: &[Value]) -> i64 {
    let sum: i128 = values.iter().map(|value| i128::from(value.usage)).sum();
    narrow(sum / i128::try_from(values.len()).unwrap_or(i128::MAX).max(1))
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
