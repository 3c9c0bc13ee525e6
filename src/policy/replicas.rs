//! Rules that speak in replicas: what so many TaskManagers mean for the vertices of the job.

use std::cmp::Ordering;

use super::hpa::{Basis, Metric, Proposal as Asks, Tolerance};
use super::said::{Asked, Context, Replicas, ReplicasLimit, ReplicasLimitedBy, Said, Silence};
use super::{Policy, Proposal, ReplicaBounds, Rule, Want, Why};
use crate::model::{Parallelism, Phase, Pod, Reading, Timestamp};

/// The replicas that were asked for, and those that there are. Without a workload, the TaskManagers that the job fills: the
/// cluster's others are other jobs', or idle.
fn replicas(context: &Context<'_>) -> Result<(u32, u32), Silence> {
    let snapshot = context.snapshot;
    match (&snapshot.around.workload, snapshot.slots) {
        (Some(workload), _) => Ok((workload.replicas, workload.observed)),
        (None, Some(slots)) => {
            let needed = snapshot.graph.slots_needed(&snapshot.parallelism());
            let filled = slots.per_taskmanager().map_or(slots.taskmanagers, |per| needed.div_ceil(per));
            let filled = filled.min(slots.taskmanagers);
            Ok((filled, filled))
        }
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
    let (wanted, limits) = limited(&asks, observed, context.policy.replicas);
    let said =
        Replicas { current, wanted, ratio: asks.ratio, reading: asks.reading, measured_by: None, limits };
    Ok((sizes(current, wanted, context), Some(said)))
}

/// What a metric asks for within the bounds, and what changed the number since the metric was divided by its target.
fn limited(asks: &Asks, observed: u32, bounds: ReplicaBounds) -> (u32, Vec<ReplicasLimit>) {
    let mut limits = Vec::new();
    let mut limit = |by, before: u32, after: u32| {
        if before != after {
            limits.push(ReplicasLimit { by, before, after });
        }
        after
    };
    let by = match asks.basis {
        Basis::Ratio => None,
        Basis::WithinTolerance => Some(ReplicasLimitedBy::Tolerance),
        Basis::Corrected | Basis::HeldForUnmeasured => Some(ReplicasLimitedBy::UnmeasuredPods),
    };
    let mut wanted = asks.replicas;
    if let (Some(by), Some(ratio)) = (by, asks.ratio) {
        // As the HPA rounds: up.
        let by_ratio = Parallelism::ceil(ratio * f64::from(observed)).get();
        wanted = limit(by, by_ratio, wanted);
    }
    let ReplicaBounds { min, max } = bounds;
    wanted = limit(ReplicasLimitedBy::MaxReplicas, wanted, wanted.min(max.unwrap_or(u32::MAX)));
    wanted = limit(ReplicasLimitedBy::MinReplicas, wanted, wanted.max(min.unwrap_or(0)));
    (wanted, limits)
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
        Said::Sizes | Said::Partly { .. } | Said::Off | Said::Silent { .. } | Said::FellBack { .. } => None,
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
    if wanted < current && fits(wanted, context) {
        let stays = |v: &Reading| Want::unchanged(v.parallelism, Why::WithinBand);
        return context.snapshot.vertices.iter().map(stays).collect();
    }
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

/// Whether the job needs no more slots than so many TaskManagers of its workload have: it has shrunk already, and those that it
/// let go of are still there. Its share of them would be a share of a share.
fn fits(wanted: u32, context: &Context<'_>) -> bool {
    let snapshot = context.snapshot;
    let slots = snapshot.slots.filter(|_| snapshot.around.workload.is_some());
    slots
        .and_then(|slots| slots.per_taskmanager())
        .is_some_and(|per| snapshot.graph.slots_needed(&snapshot.parallelism()) <= wanted.saturating_mul(per))
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

#[cfg(test)]
mod tests {
    use super::super::hpa::Reading;
    use super::super::testing::Job;
    use super::*;
    use crate::model::Slots;

    /// Of a cluster that others use as well, only what the job fills counts: 12 slots of TaskManagers of 4.
    #[test]
    fn without_a_workload_the_jobs_own_taskmanagers_count() {
        for (total, taskmanagers, expected) in
            [(400, 100, Ok((3, 3))), (12, 3, Ok((3, 3))), (8, 2, Ok((2, 2))), (0, 0, Ok((0, 0)))]
        {
            let mut job = Job::chain(&[(1, 0.0), (12, 0.004)]);
            let at = job.now;
            job.snapshot.slots = Some(Slots { at, total, available: 0, taskmanagers, jobs_running: 9 });
            assert_eq!(replicas(&job.context(&Policy::default())), expected, "{total} of {taskmanagers}");
        }
        let mut job = Job::chain(&[(1, 0.0), (12, 0.004)]);
        job.snapshot.slots = None;
        assert_eq!(replicas(&job.context(&Policy::default())), Err(Silence::NotAsked));
    }

    #[test]
    fn what_changed_the_number_is_told_in_order() {
        use ReplicasLimitedBy::{MaxReplicas, MinReplicas, Tolerance, UnmeasuredPods};
        let bounds = ReplicaBounds { min: Some(3), max: Some(10) };
        for (replicas, ratio, basis, wanted, limits) in [
            (8, 1.6, Basis::Ratio, 8, &[][..]),
            (5, 1.05, Basis::WithinTolerance, 5, &[(Tolerance, 6, 5)]),
            (5, 1.0, Basis::WithinTolerance, 5, &[]),
            (6, 1.6, Basis::Corrected, 6, &[(UnmeasuredPods, 8, 6)]),
            (5, 0.4, Basis::HeldForUnmeasured, 5, &[(UnmeasuredPods, 2, 5)]),
            (15, 3.0, Basis::Ratio, 10, &[(MaxReplicas, 15, 10)]),
            (1, 0.2, Basis::Ratio, 3, &[(MinReplicas, 1, 3)]),
        ] {
            let asks = Asks { replicas, ratio: Some(ratio), basis, reading: Reading::Value(0) };
            let (got, trail) = limited(&asks, 5, bounds);
            let trail: Vec<_> = trail.iter().map(|limit| (limit.by, limit.before, limit.after)).collect();
            assert_eq!((got, &trail[..]), (wanted, limits), "{basis:?} at {ratio}");
        }
    }
}
