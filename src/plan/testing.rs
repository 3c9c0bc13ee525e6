//! Plans for the tests of this module.

use super::{Limit, LimitedBy, Made, make};
use crate::model::{Parallelism, Slots};
use crate::policy::testing::{Job, START};
use crate::policy::{Policy, Quota, VertexSpec, Why};

pub(super) fn size(p: u64) -> Parallelism {
    Parallelism::clamped(p)
}

/// The plan for what a job's load asks for.
pub(super) fn made(job: &Job, policy: &Policy) -> (Option<Made>, Vec<Limit>) {
    make(&job.proposal(policy), &job.snapshot, policy, &job.ledger, job.now)
}

/// The planned sizes, and what limited them in order.
pub(super) fn sizes(job: &Job, policy: &Policy) -> (Option<Vec<u32>>, Vec<LimitedBy>) {
    let (made, limits) = made(job, policy);
    let sizes = made.map(|made| made.plan.changes.iter().map(|change| change.to.get()).collect());
    (sizes, limits.iter().map(|limit| limit.by).collect())
}

/// A job that needs nine subtasks of its step and has three, and three of its sink and has one.
pub(super) fn short() -> Job {
    Job::chain(&[(1, 0.0), (3, 0.004), (1, 0.001)]).arriving(1500.0)
}

pub(super) fn vertex(name: &str, min: Option<u64>, max: Option<u64>) -> VertexSpec {
    VertexSpec { min: min.map(size), max: max.map(size), ..VertexSpec::named(name) }
}

pub(super) fn quota(cpu: &str) -> Quota {
    Quota { cpu: cpu.parse().ok(), memory: None }
}

pub(super) fn excluded(name: &str) -> VertexSpec {
    VertexSpec { exclude: true, ..VertexSpec::named(name) }
}

/// So many slots on so many TaskManagers, all of them this job's own.
pub(super) fn slots(total: u32, taskmanagers: u32) -> Slots {
    Slots { at: START, total, available: 0, taskmanagers, jobs_running: 1 }
}

/// The planned sizes, and what limited them in order, where these sizes are asked for.
pub(super) fn asked(
    job: &Job,
    policy: &Policy,
    wants: &[(u64, Why)],
) -> (Option<Vec<u32>>, Vec<(LimitedBy, u32, u32)>) {
    let mut proposal = job.proposal(policy);
    for (want, &(wanted, why)) in proposal.wants.iter_mut().zip(wants) {
        (want.wanted, want.why) = (size(wanted), why);
    }
    let (made, limits) = make(&proposal, &job.snapshot, policy, &job.ledger, job.now);
    let sizes = made.map(|made| made.plan.changes.iter().map(|change| change.to.get()).collect());
    (sizes, limits.iter().map(|limit| (limit.by, limit.before.get(), limit.after.get())).collect())
}
