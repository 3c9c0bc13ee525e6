//! TaskManagers that come before a job grows: how far the workload can go, how many are needed, and whether they are awaited.

use std::time::Duration;

use super::make::{Made, Maker};
use super::{Direction, LimitedBy, Scale, slots};
use crate::model::{Growth, Scalable, Slots, Timestamp, Workload};
use crate::policy;

/// So long after the first TaskManagers were asked for, more may be, before the job takes them: a load that rises further, or
/// the backlog that grows meanwhile, takes one rescale. Longer, and a load that keeps rising would be waited for again and again.
const MORE_WITHIN: Duration = Duration::from_mins(1);

/// The nodes are looked at every half minute; what is older than several of these says nothing of now.
const ROOM_FRESH: Duration = Duration::from_mins(2);

/// TaskManagers that were asked for and are not all there.
#[derive(Clone, Debug, PartialEq)]
pub struct Awaited {
    /// Slots that the plan needs.
    pub needed: u32,
    /// Slots that the job can have now.
    pub have: u32,
    /// Replicas asked for.
    pub replicas: u32,
    /// Until when they are awaited; `None` where it has not been noted yet.
    pub until: Option<Timestamp>,
    /// Why they are not there, in the words of whoever refused; `None` where nobody says.
    pub why: Option<String>,
}

/// The workload that more TaskManagers can be asked of.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) workload: &'a Workload,
    pub(super) scalable: &'a Scalable,
    pub(super) slots: Slots,
    /// Slots of one TaskManager, at least 1.
    pub(super) per: u32,
}

impl Maker<'_> {
    /// The workload, where it can be scaled and what that brings is known.
    pub(super) fn source(&self) -> Option<Source<'_>> {
        // Who runs the job scales its workload, too, and would undo what others do to it; but for a job that takes all there is.
        if self.policy.operator_within.is_some() && !self.is_reactive() {
            return None;
        }
        let workload = self.snapshot.around.workload.as_ref()?;
        let (scalable, slots) = (workload.scalable.as_ref()?, self.snapshot.slots?);
        let known = self.growth().and_then(|growth| growth.slots_of_each);
        let per = known.or_else(|| slots.per_taskmanager()).filter(|&per| per > 0)?;
        Some(Source { workload, scalable, slots, per })
    }

    fn growth(&self) -> Option<&Growth> {
        self.ledger.scaling.growth.as_ref()
    }

    /// Slots that the job holds now.
    pub(super) fn own(&self) -> u32 {
        slots::needed(&self.snapshot.graph, &self.snapshot.parallelism())
    }

    /// Slots that the job could have, now or when more TaskManagers have come, and what sets that limit; `None` where there is
    /// none, or it is not known.
    pub(super) fn reach(&self) -> (Option<u32>, LimitedBy) {
        let most = self.most_replicas();
        if self.way.is_by_operator() {
            return (self.reach_by_operator(most), LimitedBy::Slots);
        }
        let now = || (slots::usable(self.snapshot, most), LimitedBy::Slots);
        let Some(Source { workload: _, scalable: _, slots, per }) = self.source() else { return now() };
        // All that were asked for are there: after a while the job takes them, whatever has been needed in addition since.
        let is_enough = |growth: &Growth| {
            growth.arrived(slots) >= growth.to && self.now.since(growth.since) >= MORE_WITHIN
        };
        if self.growth().is_some_and(is_enough) {
            return now();
        }
        let found_out = self.ledger.scaling.room(self.now).map(|room| (room, LimitedBy::NoRoom));
        let limits = [most.map(|most| (most, LimitedBy::Slots)), found_out, self.capacity()];
        let Some((most, by)) = limits.into_iter().flatten().min_by_key(|(most, _)| *most) else {
            return (None, LimitedBy::Slots);
        };
        // Those that are there are there, whatever there is room for.
        let most = if by == LimitedBy::Slots { most } else { most.max(slots.taskmanagers) };
        let reach = most.saturating_mul(per).saturating_sub(slots::of_others(slots, self.own()));
        (Some(reach), by)
    }

    /// The operator brings as many TaskManagers as the job needs, within their bounds.
    fn reach_by_operator(&self, most: Option<u32>) -> Option<u32> {
        let slots = self.snapshot.slots?;
        let all = most?.saturating_mul(slots.per_taskmanager()?);
        Some(all.saturating_sub(slots::of_others(slots, self.own())))
    }

    /// The TaskManagers that find a place on the nodes there are: those that have one, and as many more as there is room for.
    fn capacity(&self) -> Option<(u32, LimitedBy)> {
        let around = &self.snapshot.around;
        let (Some(room), Some(workload)) = (around.room, &around.workload) else { return None };
        if !self.policy.spec.limits.cluster_capacity || self.now.since(room.at) > ROOM_FRESH {
            return None;
        }
        let alive =
            || workload.pods.iter().filter(|pod| pod.is_alive() && pod.unschedulable.is_none()).count();
        let placed = room.placed.unwrap_or_else(|| u32::try_from(alive()).unwrap_or(u32::MAX));
        Some((placed.saturating_add(room.pods), LimitedBy::ClusterCapacity))
    }

    /// The same plan with the TaskManagers that it needs first, where it does.
    pub(super) fn with_taskmanagers(&self, mut made: Made) -> Made {
        let Some(source) = self.source() else { return made };
        let to = self.replicas_for(made.plan.slots_after, source);
        let replicas = source.workload.replicas;
        if to > replicas {
            made.plan.scale =
                Some(Scale { from: replicas, to, pods: Vec::new(), removes: source.scalable.removes });
            made.plan.replicas = Some(to);
            return made;
        }
        let have = slots::usable(self.snapshot, self.most_replicas()).unwrap_or(0);
        // Where they are awaited, the guard has nothing to say of slots that are missing for good.
        if made.slots_have.is_none() && made.plan.slots_after > have {
            made.awaited = Some(Awaited {
                needed: made.plan.slots_after,
                have,
                replicas,
                until: self.growth().map(|growth| growth.until),
                why: why_missing(source),
            });
        }
        made
    }

    /// The plan that brings the workload up to the least TaskManagers there are to be, where it has fewer and the job needs no
    /// other size.
    pub(super) fn least_taskmanagers(&self) -> Option<Made> {
        let source = self.source()?;
        let to = self.replicas_for(0, source);
        let is_short = to > source.workload.replicas;
        is_short.then(|| self.with_taskmanagers(self.made_of(Direction::Up, &self.snapshot.parallelism())))
    }

    /// Replicas for so many slots of this job, within their bounds, and as many as the rules ask for that speak in replicas.
    pub(super) fn replicas_for(&self, slots_needed: u32, source: Source<'_>) -> u32 {
        let others = slots::of_others(source.slots, self.own());
        let for_slots = slots_needed.saturating_add(others).div_ceil(source.per);
        let least = policy::least_replicas(self.policy, self.proposal, self.now);
        let room = self.ledger.scaling.room(self.now).map(|room| room.max(source.workload.replicas));
        // Where the last ones find no place, the next will not.
        let stuck = self.growth().filter(|_| why_missing(source).is_some()).map(|growth| growth.to);
        let capacity = self.capacity().map(|(most, _)| most.max(source.workload.replicas));
        let most = self
            .most_replicas()
            .into_iter()
            .chain(room)
            .chain(capacity)
            .chain(stuck)
            .min()
            .unwrap_or(u32::MAX);
        for_slots.max(least).min(most)
    }
}

/// Why TaskManagers are missing, as Kubernetes says.
pub(super) fn why_missing(source: Source<'_>) -> Option<String> {
    let unschedulable =
        || source.workload.pods.iter().filter(|pod| pod.is_alive()).find_map(|pod| pod.unschedulable.clone());
    source.scalable.refused.clone().or_else(unschedulable)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{made, short, slots};
    use super::*;
    use crate::model::{Removes, Room};
    use crate::policy::testing::{START, policy, workload};

    /// Four TaskManagers of one slot each, on nodes that have room for so many more: the nine slots that are needed are nine of
    /// them.
    #[test]
    fn the_nodes_limit_what_is_asked_for_where_they_are_to_be_minded() {
        use LimitedBy::ClusterCapacity;
        let fresh = START;
        let stale = START - ROOM_FRESH - Duration::from_secs(1);
        for (is_minded, room, placed, to, limits) in [
            (true, Some((fresh, 100)), Some(4), Some(9), &[][..]),
            (true, Some((fresh, 2)), Some(4), Some(6), &[ClusterCapacity, ClusterCapacity]),
            // One of the four has no node yet: it takes a part of the room.
            (true, Some((fresh, 2)), Some(3), Some(5), &[ClusterCapacity, ClusterCapacity]),
            // As an old journal has it.
            (true, Some((fresh, 2)), None, Some(6), &[ClusterCapacity, ClusterCapacity]),
            (true, Some((fresh, 0)), Some(4), None, &[ClusterCapacity, ClusterCapacity]),
            (true, Some((stale, 2)), Some(4), Some(9), &[]),
            (true, None, None, Some(9), &[]),
            (false, Some((fresh, 2)), Some(4), Some(9), &[]),
        ] {
            let (mut job, mut policy) = (short(), policy());
            policy.spec.limits.cluster_capacity = is_minded;
            let scalable = Scalable { removes: Removes::LowestCost, refused: None, registered: None };
            job.snapshot.slots = Some(slots(4, 4));
            job.snapshot.around.workload = Some(Workload { scalable: Some(scalable), ..workload(4, 1000) });
            job.snapshot.around.room = room.map(|(at, pods)| Room { at, pods, placed });
            let (made, trail) = made(&job, &policy);
            let asked = made.and_then(|made| made.plan.scale).map(|scale| scale.to);
            let trail: Vec<_> = trail.into_iter().map(|limit| limit.by).collect();
            assert_eq!(
                (asked, &trail[..]),
                (to, limits),
                "minded: {is_minded}, room {room:?}, placed {placed:?}"
            );
        }
    }
}
