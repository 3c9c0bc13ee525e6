//! Rules that speak in replicas: what so many TaskManagers mean for the vertices of the job.

use std::cmp::Ordering;

use super::hpa::{Metric, Proposal as Asks, Tolerance};
use super::said::{Asked, Context, Replicas, Said, Silence};
use super::{Policy, Proposal, ReplicaBounds, Rule, Want, Why};
use crate::model::{Parallelism, Phase, Pod, Timestamp};

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
    let is_ready = |pod: &&Pod| pod.phase == Phase::Running && pod.is_ready();
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

/// The least TaskManagers that there are to be: by the job's bounds, by an open window of a schedule, and by the rules that speak
/// in replicas.
pub(crate) fn least(policy: &Policy, proposal: &Proposal, now: Timestamp) -> u32 {
    // In the same order: what is switched off has said so.
    let scheduled =
        policy.spec.rules.iter().zip(&proposal.rules).filter_map(|(rule, said)| match (rule, &said.said) {
            (Rule::Schedule(rule), Said::Sizes) => rule.at(now).replicas.floor,
            _ => None,
        });
    let asked = proposal.rules.iter().filter_map(|rule| match &rule.said {
        Said::Replicas(replicas) => Some(replicas.wanted),
        Said::Sizes | Said::Off | Said::Silent { .. } | Said::FellBack { .. } => None,
    });
    scheduled.chain(policy.replicas.min).chain(asked).max().unwrap_or(0)
}

/// The TaskManagers that the job's size goes by: while more are awaited, those that there were before.
fn basis(current: u32, context: &Context<'_>) -> u32 {
    let growth = context.ledger.scaling.growth.as_ref();
    growth.map_or(current, |growth| growth.from.min(current))
}

/// Every vertex in the same proportion.
fn sizes(current: u32, wanted: u32, context: &Context<'_>) -> Vec<Want> {
    let current = basis(current, context);
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
    let current = basis(replicas(context)?.0, context);
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
