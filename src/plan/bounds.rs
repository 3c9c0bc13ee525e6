//! Within what the size of a vertex may be: never above its key groups or partitions, whatever else is asked for.

use crate::model::{Parallelism, Snapshot};
use crate::policy::{Policy, Proposal, Want, Why};

/// The fewest and the most subtasks.
pub(super) type Range = (Parallelism, Parallelism);

/// Every vertex's own bounds.
pub(super) fn own(proposal: &Proposal, snapshot: &Snapshot, policy: &Policy) -> Vec<Range> {
    let range = |(index, vertex)| {
        let rule = policy.for_vertex(vertex);
        let most = rule.max.min(vertex.max_parallelism).min(ceiling(proposal));
        let most = most.min(partitions(index, snapshot, policy));
        (rule.min.min(most), most)
    };
    snapshot.graph.vertices().iter().enumerate().map(range).collect()
}

/// The bounds within which every vertex changes together with others: its own, for one that changes alone. One that is left
/// alone holds the others of its group where it is.
pub(super) fn shared(own: &[Range], groups: &[Vec<usize>], wants: &[Want]) -> Vec<Range> {
    let mut shared = own.to_vec();
    for members in groups {
        let (least, most) =
            members.iter().fold((Parallelism::ONE, own[members[0]].1), |(least, most), &member| {
                (least.max(own[member].0), most.min(own[member].1))
            });
        let excluded = members.iter().map(|&member| &wants[member]).find(|want| want.why == Why::Excluded);
        let range = excluded.map_or((least.min(most), most), |want| (want.current, want.current));
        for &member in members {
            shared[member] = range;
        }
    }
    shared
}

/// What a schedule allows for now.
pub(super) fn ceiling(proposal: &Proposal) -> Parallelism {
    proposal
        .ceiling
        .parallelism
        .map_or(Parallelism::clamped(u64::MAX), |most| Parallelism::clamped(most.into()))
}

/// As many subtasks as have something to read.
pub(super) fn partitions(vertex: usize, snapshot: &Snapshot, policy: &Policy) -> Parallelism {
    Parallelism::clamped(policy.partitions(&snapshot.graph, vertex).map_or(u64::MAX, u64::from))
}
