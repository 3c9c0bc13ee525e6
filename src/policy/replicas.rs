//! Rules that speak in replicas: what so many TaskManagers mean for the vertices of the job.

use std::cmp::Ordering;

use super::hpa::{Metric, Proposal as Asks, Tolerance};
use super::said::{Asked, Context, Replicas, Silence};
use super::{ReplicaBounds, Want, Why};
use crate::model::{Parallelism, Phase, Pod, ReadyStatus};

/// The replicas that were asked for, and those that there are.
fn replicas(context: &Context<'_>) -> Result<(u32, u32), Silence> {
    match (&context.snapshot.around.workload, context.snapshot.slots) {
        (Some(workload), _) => Ok((workload.replicas, workload.observed)),
        (None, Some(slots)) => Ok((slots.taskmanagers, slots.taskmanagers)),
        (None, None) => Err(Silence::NotAsked),
    }
}

/// TaskManagers that are ready, for a metric that is measured once for all of them.
pub(super) fn ready(context: &Context<'_>) -> Result<u32, Silence> {
    let Some(workload) = &context.snapshot.around.workload else {
        // Those that are registered with the JobManager are ready.
        return Ok(replicas(context)?.1);
    };
    let is_ready = |pod: &&Pod| {
        pod.phase == Phase::Running && pod.ready.is_some_and(|ready| ready.status == ReadyStatus::True)
    };
    Ok(u32::try_from(workload.pods.iter().filter(is_ready).count()).unwrap_or(u32::MAX))
}

/// What a metric asks for by the HPA's rules, as sizes: every vertex in the proportion of the TaskManagers asked for to those
/// there are, as the slots of the new ones are of use only then.
pub(super) fn ask(metric: &Metric<'_>, context: &Context<'_>) -> Asked {
    let (current, observed) = replicas(context)?;
    let behavior = &context.policy.spec.behavior;
    let tolerance = Tolerance::DEFAULT
        .or(behavior.scale_down.tolerance, behavior.scale_up.tolerance)
        .unwrap_or(Tolerance::DEFAULT);
    let asks = metric
        .propose(current, observed, tolerance)
        .map_err(|failure| Silence::NoValue { detail: failure.to_string() })?;
    let Asks { replicas, ratio, reading, .. } = asks;
    let ReplicaBounds { min, max } = context.policy.replicas;
    let wanted = replicas.min(max.unwrap_or(u32::MAX)).max(min.unwrap_or(0));
    let said = Replicas { current, wanted, ratio, reading };
    Ok((sizes(current, wanted, context), Some(said)))
}

/// Every vertex in the same proportion.
fn sizes(current: u32, wanted: u32, context: &Context<'_>) -> Vec<Want> {
    let why = match wanted.cmp(&current) {
        Ordering::Greater => Why::MetricAboveTarget,
        Ordering::Equal => Why::WithinBand,
        Ordering::Less => Why::MetricBelowTarget,
    };
    let vertices = context.snapshot.vertices.iter();
    vertices
        .map(|v| Want { wanted: part(v.parallelism, current, wanted), ..Want::unchanged(v.parallelism, why) })
        .collect()
}

/// Every vertex's share of so many TaskManagers.
pub(super) fn share(wanted: u32, context: &Context<'_>) -> Result<Vec<Parallelism>, Silence> {
    let (current, _) = replicas(context)?;
    Ok(context.snapshot.vertices.iter().map(|v| part(v.parallelism, current, wanted)).collect())
}

/// A size in the proportion of TaskManagers to those there are; rounded up, so that none is left with less than its part.
fn part(now: Parallelism, current: u32, wanted: u32) -> Parallelism {
    match current {
        0 => now,
        _ => Parallelism::clamped(
            (u64::from(now.get()) * u64::from(wanted)).div_ceil(u64::from(current)).max(1),
        ),
    }
}
