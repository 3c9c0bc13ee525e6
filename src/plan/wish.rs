//! What is wished: the size of every vertex within its bounds, aligned, with those it changes together with.

use super::align::aligned;
use super::make::Maker;
use super::{Direction, LimitedBy, bounds};
use crate::model::Parallelism;
use crate::policy::Why;

impl Maker<'_> {
    /// The size of every vertex as it is wished, within its bounds, aligned, with those it changes together with, and not
    /// against the direction.
    pub(super) fn wished(&mut self, direction: Direction) -> Vec<Parallelism> {
        let fitted: Vec<_> = (0..self.proposal.wants.len()).map(|index| self.fitted(index)).collect();
        let together = self.together(fitted, Self::aligned_for_all);
        let onward = |(index, size): (usize, Parallelism)| {
            // What is outside its bounds comes back within them, whichever way the others go.
            let from = self.within_bounds(index);
            let onward = match direction {
                Direction::Up => size.max(from),
                Direction::Down => size.min(from),
            };
            self.limit(index, LimitedBy::Direction, size, onward)
        };
        together.into_iter().enumerate().map(onward).collect()
    }

    /// The size of one vertex, within its own bounds and aligned.
    fn fitted(&mut self, index: usize) -> Parallelism {
        let want = &self.proposal.wants[index];
        if want.why == Why::Excluded {
            return want.current;
        }
        let (least, most) = self.own[index];
        let mut size = want.needed();
        let factor =
            if want.wanted < size { LimitedBy::MaxScaleUpFactor } else { LimitedBy::MaxScaleDownFactor };
        size = self.limit(index, factor, size, want.wanted);
        size = self.limit(index, LimitedBy::KeyGroups, size, size.min(self.vertex(index).max_parallelism));
        size = self.limit(
            index,
            LimitedBy::Partitions,
            size,
            size.min(bounds::partitions(index, self.snapshot, self.policy)),
        );
        size = self.limit(index, LimitedBy::ScheduleCeiling, size, size.min(bounds::ceiling(self.proposal)));
        size = self.limit(index, LimitedBy::MaxParallelism, size, size.min(most));
        size = self.limit(index, LimitedBy::MinParallelism, size, size.max(least));
        let aligned = self.aligned(index, size).clamp(least, most);
        self.limit(index, LimitedBy::Alignment, size, aligned)
    }

    fn aligned(&self, index: usize, size: Parallelism) -> Parallelism {
        let graph = &self.snapshot.graph;
        let partitions = self.policy.partitions(graph, index);
        aligned(size, index, graph, partitions, self.policy.spec.limits.alignment)
    }

    /// The size that suits the shares of all of them, where one of them needs `size`.
    fn aligned_for_all(&self, members: &[usize], size: Parallelism) -> Parallelism {
        members.iter().map(|&member| self.aligned(member, size)).max().unwrap_or(size)
    }

    /// Sizes at which those that change together are as large as the largest of them, `fitted`, within the bounds of all.
    pub(super) fn together(
        &mut self,
        mut sizes: Vec<Parallelism>,
        fitted: impl Fn(&Self, &[usize], Parallelism) -> Parallelism,
    ) -> Vec<Parallelism> {
        let groups = std::mem::take(&mut self.groups);
        for members in &groups {
            let largest = members.iter().map(|&member| sizes[member]).max().unwrap_or(Parallelism::ONE);
            let size = fitted(self, members, largest);
            for &member in members {
                let (least, most) = self.bounds[member];
                sizes[member] =
                    self.limit(member, LimitedBy::Together, sizes[member], size.clamp(least, most));
            }
        }
        self.groups = groups;
        sizes
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{asked, excluded, quota, short, size, sizes, slots, vertex};
    use super::*;
    use crate::model::Ship;
    use crate::policy::testing::{Job, policy, workload};
    use crate::policy::{Alignment, Bounds, Policy, ReplicaBounds, Rule, Throughput, VertexSpec};

    #[test]
    fn every_limit_changes_the_proposal_in_its_turn() {
        use LimitedBy::{
            Alignment as Aligned, MaxParallelism, MinParallelism, Quota as OverQuota, Slots as TooFewSlots,
        };
        type Change = fn(&mut Job, &mut Policy);
        let rows: [(&str, Change, [u32; 3], &[LimitedBy]); 10] = [
            ("as the load needs it", |_, _| {}, [1, 9, 3], &[]),
            (
                "the job's bounds",
                |_, p| p.parallelism = Bounds { min: size(2), max: size(6) },
                [2, 6, 3],
                &[MinParallelism, MaxParallelism],
            ),
            (
                "a vertex's own bounds",
                |_, p| p.vertices = vec![vertex("v1", None, Some(5)), vertex("*", Some(4), None)],
                [4, 5, 4],
                &[MinParallelism, MaxParallelism, MinParallelism],
            ),
            (
                "its alignment",
                |_, p| p.spec.limits.alignment = Alignment::Even,
                [1, 16, 4],
                &[Aligned, Aligned],
            ),
            (
                "never above its bounds for alignment's sake",
                |_, p| {
                    p.spec.limits.alignment = Alignment::Even;
                    p.parallelism.max = size(12);
                },
                [1, 12, 4],
                &[Aligned, Aligned],
            ),
            (
                "the slots that are there",
                |j, _| j.snapshot.slots = Some(slots(6, 2)),
                [1, 6, 2],
                &[TooFewSlots, TooFewSlots],
            ),
            (
                "the most TaskManagers",
                |j, p| {
                    j.snapshot.slots = Some(slots(16, 4));
                    p.replicas = ReplicaBounds { min: None, max: Some(2) };
                },
                [1, 8, 3],
                &[TooFewSlots],
            ),
            (
                "the quota, where it allows less than there is",
                |j, p| {
                    (j.snapshot.slots, j.snapshot.around.workload) =
                        (Some(slots(16, 4)), Some(workload(4, 500)));
                    p.spec.limits.quota = Some(quota("1"));
                },
                [1, 8, 3],
                &[OverQuota],
            ),
            (
                "the slots, where the quota allows as many",
                |j, p| {
                    (j.snapshot.slots, j.snapshot.around.workload) =
                        (Some(slots(6, 2)), Some(workload(2, 500)));
                    p.spec.limits.quota = Some(quota("1"));
                },
                [1, 6, 2],
                &[TooFewSlots, TooFewSlots],
            ),
            ("what the policy leaves alone", |_, p| p.vertices = vec![excluded("v1")], [1, 3, 3], &[]),
        ];
        for (what, change, expected, limits) in rows {
            let (mut job, mut policy) = (short(), policy());
            change(&mut job, &mut policy);
            assert_eq!(sizes(&job, &policy), (Some(expected.to_vec()), limits.to_vec()), "{what}");
        }
    }

    #[test]
    fn a_source_has_no_more_subtasks_than_partitions_and_each_an_even_share() {
        use LimitedBy::{Alignment as Aligned, MinParallelism, Partitions};
        use Why::{PushesBack, PushesNothingBack as Idle, WithinBand};
        type Row<'a> =
            ((u64, u32, u64, Why), Alignment, Option<u64>, Option<u32>, &'a [(LimitedBy, u32, u32)]);
        // ((now, partitions, wanted, why), alignment, least, planned, limits)
        let rows: [Row<'_>; 8] = [
            ((2, 12, 5, PushesBack), Alignment::Balanced, None, Some(4), &[(Aligned, 5, 4)]),
            ((2, 12, 5, PushesBack), Alignment::Even, None, Some(6), &[(Aligned, 5, 6)]),
            ((2, 12, 5, PushesBack), Alignment::Off, None, Some(5), &[]),
            ((2, 12, 20, PushesBack), Alignment::Balanced, None, Some(12), &[(Partitions, 20, 12)]),
            ((12, 12, 20, PushesBack), Alignment::Balanced, None, None, &[]),
            ((12, 12, 8, Idle), Alignment::Balanced, None, Some(6), &[(Aligned, 8, 6)]),
            // Subtasks without a partition hold the watermark back at the best, and are taken away whatever the load.
            ((9, 4, 9, WithinBand), Alignment::Balanced, None, Some(4), &[(Partitions, 9, 4)]),
            // The job's least size does not make partitions.
            ((2, 4, 1, WithinBand), Alignment::Off, Some(6), Some(4), &[(MinParallelism, 1, 4)]),
        ];
        for (row, alignment, least, planned, limits) in rows {
            let (now, partitions, wanted, why) = row;
            let job = Job::chain(&[(now, 0.0), (8, 0.004)]).arriving(900.0).needed(90, &[1, 8]);
            let mut policy = policy();
            policy.spec.limits.alignment = alignment;
            let entry = VertexSpec { partitions: Some(partitions), ..VertexSpec::named("*") };
            policy.vertices = vec![VertexSpec { min: least.map(size), ..entry }];
            let (sizes, got) = asked(&job, &policy, &[(wanted, why), (8, WithinBand)]);
            assert_eq!(sizes.map(|sizes| sizes[0]), planned, "{row:?} {alignment:?}");
            assert_eq!(got, limits, "{row:?} {alignment:?}");
        }
    }

    #[test]
    fn a_factor_of_the_rule_comes_first() {
        use LimitedBy::{MaxParallelism, MaxScaleDownFactor, MaxScaleUpFactor};
        let mut policy = policy();
        policy.spec.rules = vec![Rule::Throughput(Throughput {
            max_scale_up_factor: Some(2.0),
            max_scale_down_factor: Some(0.25),
            ..Throughput::default()
        })];
        policy.parallelism.max = size(8);
        // 1500/s need nine of 4 ms, 400/s need three.
        for (now, rate, planned, limits) in [
            (3, 1500.0, 6, &[MaxScaleUpFactor][..]),
            (4, 1500.0, 8, &[MaxScaleUpFactor]),
            (5, 1500.0, 8, &[MaxParallelism]),
            (8, 400.0, 6, &[MaxScaleDownFactor]),
            (4, 250.0, 3, &[MaxScaleDownFactor]),
        ] {
            let job = Job::chain(&[(1, 0.0), (now, 0.004)]).arriving(rate).needed(90, &[1, 1]);
            let expected = (Some(vec![1, planned]), limits.to_vec());
            assert_eq!(sizes(&job, &policy), expected, "{now} at {rate}/s");
        }
    }

    #[test]
    fn both_ends_of_a_forward_edge_keep_one_size() {
        use LimitedBy::{ScaleDownWindow, ScaleUpWindow, Together};
        use Why::{
            Excluded, NoSignal, PushesBack as Up, PushesNothingBack as Down, Unscalable, WithinBand as Ok,
        };
        type Change = fn(&mut Job, &mut Policy);
        type Row<'a> = (&'a str, Change, [(u64, Why); 3], Option<[u32; 3]>, &'a [(LimitedBy, u32, u32)]);
        let as_it_is: Change = |_, _| {};
        let rows: [Row<'_>; 13] = [
            (
                "the larger counts",
                as_it_is,
                [(8, Up), (5, Up), (4, Ok)],
                Some([8, 8, 4]),
                &[(Together, 5, 8)],
            ),
            (
                "and draws the other along",
                as_it_is,
                [(4, Ok), (9, Up), (4, Ok)],
                Some([9, 9, 4]),
                &[(Together, 4, 9)],
            ),
            (
                "even one that gains nothing by it",
                as_it_is,
                [(4, Unscalable), (9, Up), (4, Ok)],
                Some([9, 9, 4]),
                &[(Together, 4, 9)],
            ),
            (
                "within the bounds of both",
                |_, p| p.vertices = vec![vertex("v1", None, Some(6))],
                [(8, Up), (4, Ok), (4, Ok)],
                Some([6, 6, 4]),
                &[(Together, 8, 6), (Together, 4, 6)],
            ),
            (
                "at the bound of one nothing is to be done for the other, and the rest may shrink",
                |_, p| p.vertices = vec![vertex("v1", None, Some(4))],
                [(8, Up), (4, Ok), (2, Down)],
                Some([4, 4, 2]),
                &[(Together, 8, 4)],
            ),
            (
                "one that is left alone holds the other",
                as_it_is,
                [(8, Up), (4, Excluded), (4, Ok)],
                None,
                &[],
            ),
            (
                "up and down",
                as_it_is,
                [(2, Down), (4, Excluded), (6, Up)],
                Some([4, 4, 6]),
                &[(Together, 2, 4)],
            ),
            (
                "they shrink to the larger",
                as_it_is,
                [(2, Down), (3, Down), (4, Ok)],
                Some([3, 3, 4]),
                &[(Together, 2, 3)],
            ),
            (
                "and not where one is not known",
                as_it_is,
                [(2, Down), (4, NoSignal), (4, Ok)],
                None,
                &[(Together, 2, 4)],
            ),
            (
                "what one needed within the window counts for both: the wish is kept for the guard to hold",
                |j, _| *j = j.clone().needed(30, &[1, 4, 1]).needed(20, &[1, 1, 1]),
                [(2, Down), (3, Down), (4, Ok)],
                Some([3, 3, 4]),
                &[(Together, 2, 3), (ScaleDownWindow, 3, 4), (Together, 3, 4)],
            ),
            (
                "what one needed all the while lets both grow",
                |j, p| {
                    p.spec.behavior.scale_up.stabilization_window_seconds = Some(60);
                    *j = j.clone().needed(30, &[8, 4, 4]);
                },
                [(8, Up), (4, Ok), (4, Ok)],
                Some([8, 8, 4]),
                &[(Together, 4, 8), (ScaleUpWindow, 8, 4), (Together, 4, 8)],
            ),
            (
                "ends that differ already have nothing to keep",
                |j, _| *j = forward(&[(4, 0.0), (5, 0.004), (4, 0.001)]),
                [(8, Up), (5, Ok), (4, Ok)],
                Some([8, 5, 4]),
                &[],
            ),
            (
                "the partitions of one are those of both",
                |_, p| p.vertices = vec![VertexSpec { partitions: Some(12), ..VertexSpec::named("v0") }],
                [(5, Up), (7, Up), (4, Ok)],
                Some([7, 7, 4]),
                &[(LimitedBy::Alignment, 5, 4), (Together, 4, 7)],
            ),
        ];
        for (what, change, wants, planned, limits) in rows {
            let (mut job, mut policy) = (forward(&[(4, 0.0), (4, 0.004), (4, 0.001)]), policy());
            change(&mut job, &mut policy);
            let expected = (planned.map(Vec::from), limits.to_vec());
            assert_eq!(asked(&job, &policy, &wants), expected, "{what}");
        }
    }

    /// The source's records go straight to the vertex after it.
    fn forward(vertices: &[(u64, f64)]) -> Job {
        Job::chain(vertices).arriving(500.0).shipped(0, Ship::Forward).needed(90, &[1, 1, 1])
    }
}
