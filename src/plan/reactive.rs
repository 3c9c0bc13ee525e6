//! A job in reactive mode: it takes all slots there are, so that a plan is a number of TaskManagers, and the sizes follow.

use std::sync::Arc;

use super::make::{Made, Maker};
use super::more::{Awaited, why_missing};
use super::{Direction, LimitedBy, Scale, Way, bounds, way};
use crate::model::{Graph, Parallelism};
use crate::policy::Why;
use crate::signals::Needed;

impl Maker<'_> {
    /// Whether the sizes follow from the TaskManagers.
    pub(super) fn is_reactive(&self) -> bool {
        way(self.snapshot.cluster, self.policy) == Ok(Way::Reactive)
    }

    /// The plan for as few TaskManagers as give every vertex the size that `made` has for it, and the sizes that all of them have
    /// there; `None` where as many are asked for already.
    pub(super) fn following(&mut self, made: Option<Made>) -> Option<Made> {
        // For the guard to hold.
        let Some(source) = self.source() else { return made };
        let (per, replicas, removes) = (source.per, source.workload.replicas, source.scalable.removes);
        let graph = Arc::clone(&self.snapshot.graph);
        let most = self.most_taskmanagers(per);
        // What is above its bounds comes back to them first, whatever else is wished.
        let made = made.filter(|_| replicas <= most);
        let wished = made.as_ref().map_or(replicas, |made| self.taskmanagers_for(made, per));
        let to = self.replicas_for(wished.min(most).saturating_mul(per), source).clamp(1, most);
        let grows = made.as_ref().is_some_and(|made| made.plan.direction == Direction::Up);
        if to == replicas || grows && to < replicas {
            return made.filter(|_| grows).and_then(|made| self.awaiting(made));
        }
        let direction = if to > replicas { Direction::Up } else { Direction::Down };
        let sizes = sizes_at(&graph, to.saturating_mul(per));
        let of_wished = sizes_at(&graph, wished.saturating_mul(per));
        let mut follows = self.made_of(direction, &sizes);
        if wished > most {
            for (index, (&before, &after)) in of_wished.iter().zip(&sizes).enumerate() {
                self.limit(index, LimitedBy::MaxParallelism, before, after);
            }
        }
        follows.plan.within_bounds_again = replicas > most;
        follows.plan.replicas = Some(to);
        follows.plan.scale = Some(Scale { from: replicas, to, pods: Vec::new(), removes });
        // As where a schedule asks for more than is left: what holds the one is no reason against the other.
        let made = made.filter(|made| made.plan.direction == direction);
        if let Some(Made { window_until, slots_have, over_quota, paced_by, .. }) = made {
            (follows.window_until, follows.slots_have) = (window_until, slots_have);
            (follows.over_quota, follows.paced_by) = (over_quota, paced_by);
        }
        Some(follows)
    }

    /// What is to grow, and for which no more TaskManagers are to be asked: those that were are awaited, or something is in the
    /// way that the guard names.
    fn awaiting(&self, mut made: Made) -> Option<Made> {
        if made.slots_have.is_some() || made.over_quota.is_some() || made.paced_by.is_some() {
            return Some(made);
        }
        let source = self.source()?;
        let replicas = source.workload.replicas;
        let growth = self.ledger.scaling.growth.as_ref();
        let arrived = growth.map_or(source.slots.taskmanagers, |growth| growth.arrived(source.slots));
        made.awaited = (arrived < replicas).then(|| Awaited {
            needed: made.plan.slots_after,
            have: source.slots.total,
            replicas,
            until: growth.map(|growth| growth.until),
            why: why_missing(source),
        });
        made.awaited.is_some().then_some(made)
    }

    /// As few TaskManagers as give every vertex what it needs, as far as its key groups go.
    fn taskmanagers_for(&self, made: &Made, per: u32) -> u32 {
        let graph = &self.snapshot.graph;
        let needs: Vec<_> = self.needs(made);
        let largest = needs.iter().map(|need| need.get()).max().unwrap_or(1);
        let groups = u32::try_from(graph.slot_sharing_groups().len()).unwrap_or(u32::MAX);
        let is_enough = |taskmanagers: u32| {
            let sizes = sizes_at(graph, taskmanagers.saturating_mul(per));
            let vertices = graph.vertices().iter().zip(sizes).zip(&needs);
            vertices.into_iter().all(|((vertex, size), &need)| size >= need.min(vertex.max_parallelism))
        };
        first(groups.saturating_mul(largest).div_ceil(per), is_enough)
    }

    /// As many TaskManagers as leave every vertex within its bounds, at least one.
    fn most_taskmanagers(&self, per: u32) -> u32 {
        let graph = &self.snapshot.graph;
        let ceiling = bounds::ceiling(self.proposal);
        let vertices = graph.vertices().iter();
        let bounded = vertices.map(|vertex| self.policy.for_vertex(vertex)).enumerate();
        // A vertex that is left alone follows the others all the same.
        let most: Vec<_> = bounded
            .map(|(index, rule)| (index, rule.max.min(ceiling), rule.exclude))
            .filter(|&(index, most, is_excluded)| !is_excluded && most < self.vertex(index).max_parallelism)
            .map(|(index, most, _)| (index, most))
            .collect();
        let of_replicas = self.most_replicas().unwrap_or(u32::MAX).max(1);
        let Some(least) = most.iter().map(|(_, most)| most.get()).min() else { return of_replicas };
        let groups = u32::try_from(graph.slot_sharing_groups().len()).unwrap_or(u32::MAX);
        let is_too_many = |taskmanagers: u32| {
            let sizes = sizes_at(graph, taskmanagers.saturating_mul(per));
            most.iter().any(|&(index, most)| sizes[index] > most)
        };
        let too_many = first(groups.saturating_mul(least + 1).div_ceil(per), is_too_many);
        too_many.saturating_sub(1).clamp(1, of_replicas)
    }

    /// What every vertex needs of a size that all have: what `made` says where something is known of it. A source that does what it
    /// is to do has the size of all, whatever it needs; as far as it is not known how many would do, one would.
    pub(super) fn needs(&self, made: &Made) -> Vec<Parallelism> {
        let need = |(index, to): (usize, Parallelism)| {
            let want = &self.proposal.wants[index];
            let is_known = want.why.is_short() || want.why.is_large();
            match (want.why, want.curve.zip(want.target_rate)) {
                (Why::Excluded | Why::NoSignal, _) => Parallelism::ONE,
                (_, Some((curve, rate))) if !is_known && self.snapshot.graph.is_source(index) => {
                    match curve.needed(rate, 1.0, self.vertex(index).max_parallelism) {
                        Needed::Enough(size) => size.min(to),
                        Needed::Unscalable { .. } => to,
                    }
                }
                _ => to,
            }
        };
        made.plan.changes.iter().map(|change| change.to).enumerate().map(need).collect()
    }
}

/// The sizes that a job takes on so many slots: each slot sharing group an equal share, but no more than it has key groups, the
/// small ones first (`SlotSharingSlotAllocator`).
fn sizes_at(graph: &Graph, slots: u32) -> Vec<Parallelism> {
    let vertices = graph.vertices();
    let most =
        |members: &[usize]| members.iter().map(|&v| vertices[v].max_parallelism.get()).max().unwrap_or(1);
    let mut groups: Vec<_> = graph.slot_sharing_groups().into_iter().map(|(_, members)| members).collect();
    groups.sort_by_key(|members| most(members));
    let mut sizes = vec![Parallelism::ONE; vertices.len()];
    let (mut left, mut waiting) = (slots, u32::try_from(groups.len()).unwrap_or(u32::MAX));
    for members in groups {
        let share = left.div_ceil(waiting).min(most(&members));
        (left, waiting) = (left - share, waiting - 1);
        for v in members {
            sizes[v] = Parallelism::clamped(share.into()).min(vertices[v].max_parallelism);
        }
    }
    sizes
}

/// The first number from 1 on that is so, which all larger ones are; `last` is known to be.
fn first(last: u32, is_so: impl Fn(u32) -> bool) -> u32 {
    let (mut lowest, mut found) = (1, last.max(1));
    while lowest < found {
        let middle = lowest + (found - lowest) / 2;
        if is_so(middle) { found = middle } else { lowest = middle + 1 }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::{made, short, size, slots, vertex};
    use super::*;
    use crate::model::{Removes, Scalable, Scheduler, Workload};
    use crate::plan::Limit;
    use crate::policy::testing::{Job, policy, workload};
    use crate::policy::{Policy, ReplicaBounds};

    /// In reactive mode on so many TaskManagers of two slots.
    fn reactive(mut job: Job, taskmanagers: u32) -> (Job, Policy) {
        job.snapshot.cluster.scheduler = Scheduler::Reactive;
        let scalable = Scalable { removes: Removes::LowestCost, refused: None, registered: None };
        job.snapshot.slots = Some(slots(2 * taskmanagers, taskmanagers));
        job.snapshot.around.workload =
            Some(Workload { scalable: Some(scalable), ..workload(taskmanagers, 1000) });
        (job, Policy { has_workload: true, ..policy() })
    }

    /// All vertices at one size, as they are there.
    fn chain(all: u64, rate: f64) -> Job {
        Job::chain(&[(all, 0.0), (all, 0.004), (all, 0.001)]).arriving(rate)
    }

    fn check(what: &str, job: &Job, policy: &Policy, expected: Option<(u32, [u32; 3])>) -> Vec<LimitedBy> {
        let (made, trail) = made(job, policy);
        let got = made.map(|made| {
            let sizes: Vec<_> = made.plan.changes.iter().map(|change| change.to.get()).collect();
            assert!(made.plan.rescales_by_scale(), "{what}: {made:?}");
            (made.plan.scale.expect("a scale").to, <[u32; 3]>::try_from(sizes).expect("three"))
        });
        assert_eq!(got, expected, "{what}");
        trail.iter().map(|&Limit { by, .. }| by).collect()
    }

    #[test]
    fn a_size_is_a_number_of_taskmanagers() {
        type Change = fn(&mut Job, &mut Policy);
        let keep: Change = |_, _| {};
        let rows: [(&str, u32, f64, Change, Option<(u32, [u32; 3])>); 12] = [
            ("nine are needed: five TaskManagers of two", 2, 1500.0, keep, Some((5, [10, 10, 10]))),
            ("as it is", 5, 1500.0, keep, None),
            ("three are needed, for as long as the window", 5, 400.0, keep, Some((2, [4, 4, 4]))),
            (
                "no vertex above its bounds: four of two are eight",
                2,
                1500.0,
                |_, p| p.parallelism.max = size(9),
                Some((4, [8, 8, 8])),
            ),
            (
                "nor one of them alone",
                2,
                1500.0,
                |_, p| p.vertices = vec![vertex("v2", None, Some(6))],
                Some((3, [6, 6, 6])),
            ),
            (
                "one that is left alone follows all the same",
                2,
                1500.0,
                |_, p| p.vertices = vec![super::super::testing::excluded("v0")],
                Some((5, [10, 10, 10])),
            ),
            (
                "the key groups of one do not keep the others",
                2,
                1500.0,
                |j, _| {
                    let mut vertices = j.snapshot.graph.vertices().to_vec();
                    vertices[0].max_parallelism = size(6);
                    let edges = j.snapshot.graph.edges().to_vec();
                    j.snapshot.graph = Graph::new(vertices, edges).expect("a graph").into();
                },
                Some((5, [6, 10, 10])),
            ),
            ("the most TaskManagers", 2, 1500.0, |_, p| p.replicas.max = Some(3), Some((3, [6, 6, 6]))),
            (
                "back to the most TaskManagers, whatever the load",
                5,
                1500.0,
                |_, p| p.replicas.max = Some(3),
                Some((3, [6, 6, 6])),
            ),
            (
                "back within the bounds of the job",
                5,
                1500.0,
                |_, p| p.parallelism.max = size(5),
                Some((2, [4, 4, 4])),
            ),
            (
                "up to the fewest TaskManagers",
                1,
                100.0,
                |_, p| p.replicas = ReplicaBounds { min: Some(3), max: None },
                Some((3, [6, 6, 6])),
            ),
            ("the fewest subtasks", 1, 100.0, |_, p| p.parallelism.min = size(3), Some((2, [4, 4, 4]))),
        ];
        for (what, taskmanagers, rate, change, expected) in rows {
            let all = u64::from(2 * taskmanagers);
            let needs = if rate > 1000.0 { [1, 9, 3] } else { [1, 3, 1] };
            let (mut job, mut policy) = reactive(chain(all, rate).needed(90, &needs), taskmanagers);
            change(&mut job, &mut policy);
            let trail = check(what, &job, &policy, expected);
            assert!(!trail.contains(&LimitedBy::Partitions), "{what}");
        }
    }

    #[test]
    fn waits_for_its_window_and_for_what_was_asked_for() {
        let (job, policy) = reactive(chain(10, 400.0).needed(30, &[1, 9, 3]), 5);
        let made_down = made(&job, &policy).0.expect("it is too large");
        assert!(made_down.window_until.is_some() && made_down.plan.direction == Direction::Down);

        let (mut job, policy) = reactive(chain(4, 1500.0), 2);
        job.snapshot.around.workload.as_mut().expect("one").replicas = 5;
        let made_up = made(&job, &policy).0.expect("it is short");
        assert_eq!(made_up.awaited.map(|awaited| (awaited.needed, awaited.replicas)), Some((9, 5)));
        assert_eq!(made_up.plan.scale, None, "they were asked for already");
    }

    /// The step is short, and nobody says what makes TaskManagers: the wish, which the guard holds.
    #[test]
    fn without_a_workload_that_is_seen_there_is_no_number() {
        let (mut job, policy) = reactive(short(), 2);
        job.snapshot.around.workload = None;
        let made = made(&job, &policy).0.expect("it is short");
        assert_eq!((made.plan.way, made.plan.scale), (Way::Reactive, None));
    }

    #[test]
    fn slots_are_shared_among_groups() {
        let mut job = chain(1, 0.0);
        let mut vertices = job.snapshot.graph.vertices().to_vec();
        for (vertex, (group, most)) in vertices.iter_mut().zip([("a", 128), ("b", 3), ("b", 2)]) {
            (vertex.slot_sharing_group, vertex.max_parallelism) = (Some(group.to_owned()), size(most));
        }
        let edges = job.snapshot.graph.edges().to_vec();
        job.snapshot.graph = Graph::new(vertices, edges).expect("a graph").into();
        for (slots, expected) in [(2, [1, 1, 1]), (4, [2, 2, 2]), (5, [2, 3, 2]), (10, [7, 3, 2])] {
            let sizes: Vec<_> = sizes_at(&job.snapshot.graph, slots).iter().map(|s| s.get()).collect();
            assert_eq!(sizes, expected, "{slots} slots");
        }
    }
}
