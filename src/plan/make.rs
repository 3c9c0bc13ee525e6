//! A proposal, fitted to what is possible: one size for every vertex, with the trail of what limited it.

use crate::model::{Ledger, Parallelism, Snapshot, Timestamp, Vertex};
use crate::policy::{Policy, Proposal, Want, Why, scale_down_window};

use super::align::aligned;
use super::behavior::Pace;
use super::quota::{self, OverQuota};
use super::slots::{self, Demand};
use super::{Assumptions, Change, Direction, Limit, LimitedBy, Plan, bounds, together};

/// A plan, and what it waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// The plan.
    pub plan: Plan,
    /// When the scale-down window will have passed, if it has not.
    pub window_until: Option<Timestamp>,
    /// Slots that are there, where the plan needs more.
    pub slots_have: Option<u32>,
    /// What the quota allows, where the plan needs more.
    pub over_quota: Option<OverQuota>,
    /// What of the behavior leaves nothing of the plan for now.
    pub paced_by: Option<LimitedBy>,
}

/// Makes a plan of a proposal; `None` when every vertex has the size it needs. Always with the trail of limits.
pub fn make(
    proposal: &Proposal,
    snapshot: &Snapshot,
    policy: &Policy,
    ledger: &Ledger,
    now: Timestamp,
) -> (Option<Made>, Vec<Limit>) {
    let mut maker = Maker::new(proposal, snapshot, policy);
    let Some(direction) = maker.direction() else {
        return (None, maker.limits);
    };
    let wished = maker.wished(direction);
    let pace = Pace::new(direction, policy, snapshot, ledger, now);
    let made = match direction {
        Direction::Up => maker.grow(&wished, &pace),
        Direction::Down => maker.shrink(&wished, &pace, ledger, now),
    };
    (made, maker.limits)
}

struct Maker<'a> {
    proposal: &'a Proposal,
    snapshot: &'a Snapshot,
    policy: &'a Policy,
    /// Every vertex's own bounds.
    own: Vec<bounds::Range>,
    /// Those within which it changes together with others: its own, for one that changes alone.
    bounds: Vec<bounds::Range>,
    /// The vertices that change together.
    groups: Vec<Vec<usize>>,
    limits: Vec<Limit>,
}

impl<'a> Maker<'a> {
    fn new(proposal: &'a Proposal, snapshot: &'a Snapshot, policy: &'a Policy) -> Self {
        let current: Vec<_> = proposal.wants.iter().map(|want| want.current).collect();
        let groups = together::groups(&snapshot.graph, &current);
        let own = bounds::own(proposal, snapshot, policy);
        let bounds = bounds::shared(&own, &groups, &proposal.wants);
        Self { proposal, snapshot, policy, own, bounds, groups, limits: Vec::new() }
    }

    fn vertex(&self, index: usize) -> &Vertex {
        &self.snapshot.graph.vertices()[index]
    }

    fn limit(&mut self, index: usize, by: LimitedBy, before: Parallelism, after: Parallelism) -> Parallelism {
        if before != after {
            self.limits.push(Limit { vertex: self.vertex(index).id, by, before, after });
        }
        after
    }

    /// The most TaskManagers, by the job's bounds and by a schedule.
    fn most_replicas(&self) -> Option<u32> {
        self.policy.replicas.max.into_iter().chain(self.proposal.ceiling.replicas).min()
    }

    fn is_outside_bounds(&self, index: usize, want: &Want) -> bool {
        let (least, most) = self.bounds[index];
        want.why != Why::Excluded && !(least..=most).contains(&want.current)
    }

    /// Up when anything is short, else down when anything is too large; `None` when nothing asks for another size.
    fn direction(&self) -> Option<Direction> {
        let wants = || self.proposal.wants.iter().enumerate();
        let is_short = |(index, want): (usize, &Want)| match want.why {
            why if why.is_short() && want.wanted > want.current => {
                // At its upper bound it stays short, and there is nothing to be done about it.
                want.current < self.bounds[index].1
            }
            _ => self.is_outside_bounds(index, want) && want.current < self.bounds[index].0,
        };
        let is_large = |(index, want): (usize, &Want)| match want.why {
            why if why.is_large() && want.wanted < want.current => want.current > self.bounds[index].0,
            _ => self.is_outside_bounds(index, want),
        };
        if wants().any(is_short) {
            Some(Direction::Up)
        } else {
            wants().any(is_large).then_some(Direction::Down)
        }
    }

    /// The size of every vertex as it is wished, within its bounds, aligned, with those it changes together with, and not
    /// against the direction.
    fn wished(&mut self, direction: Direction) -> Vec<Parallelism> {
        let fitted: Vec<_> = (0..self.proposal.wants.len()).map(|index| self.fitted(index)).collect();
        let together = self.together(fitted, Self::aligned_for_all);
        let onward = |(index, size): (usize, Parallelism)| {
            let want = &self.proposal.wants[index];
            if want.why == Why::Excluded || self.is_outside_bounds(index, want) {
                return size;
            }
            let onward = match direction {
                Direction::Up => size.max(want.current),
                Direction::Down => size.min(want.current),
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
    fn together(
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

    /// As wished, as far as the slots go; with nothing gained by what there is, the wish itself, for the guard to hold.
    fn grow(&mut self, wished: &[Parallelism], pace: &Pace<'_>) -> Option<Made> {
        let (paced, paced_by) = self.paced(wished, pace, LimitedBy::ScaleUpLimit);
        if let Some(by) = paced_by {
            return self.held_by_behavior(Direction::Up, wished, by);
        }
        let wished = &paced[..];
        let demand = slots::needed(&self.snapshot.graph, wished);
        let short_of = slots::usable(self.snapshot, self.most_replicas()).filter(|&have| demand > have);
        let quota = self.policy.spec.limits.quota;
        let over_quota = quota.map(|quota| quota::slots(quota, self.snapshot)).filter(|q| demand > q.slots());
        let most = match (short_of, over_quota.map(OverQuota::slots)) {
            (Some(have), Some(allowed)) if allowed < have => Some((allowed, LimitedBy::Quota)),
            (Some(have), _) => Some((have, LimitedBy::Slots)),
            (None, allowed) => allowed.map(|allowed| (allowed, LimitedBy::Quota)),
        };
        if let Some((have, by)) = most {
            // What is above its bounds is to shrink: it needs no more than it is wished to have.
            let wants = self.proposal.wants.iter().zip(wished);
            let least: Vec<_> = wants.map(|(want, &wished)| want.current.min(wished)).collect();
            let fitted = slots::fit(&self.snapshot.graph, &Demand { least: &least, wished }, have);
            if let Some(fitted) = fitted.filter(|fitted| self.grows_what_is_short(fitted)) {
                for (index, (&before, &after)) in wished.iter().zip(&fitted).enumerate() {
                    self.limit(index, by, before, after);
                }
                return self.made(Direction::Up, &fitted);
            }
        }
        let mut made = self.made(Direction::Up, wished)?;
        made.slots_have = short_of;
        made.over_quota = over_quota;
        Some(made)
    }

    /// Sizes that are not changed faster than the behavior allows; what has left nothing of the change, if it did.
    fn paced(
        &mut self,
        wished: &[Parallelism],
        pace: &Pace<'_>,
        limit: LimitedBy,
    ) -> (Vec<Parallelism>, Option<LimitedBy>) {
        let mut last = None;
        let wants = &self.proposal.wants;
        let sizes: Vec<_> = (0..wished.len())
            .map(|index| {
                let (want, size) = (&wants[index], wished[index]);
                if self.is_outside_bounds(index, want) {
                    return size;
                }
                let stable = pace.stabilized(self.vertex(index), want.current, size);
                let stable = self.limit(index, LimitedBy::ScaleUpWindow, size, stable);
                let paced = pace.limited(self.vertex(index), want.current, stable);
                if paced != size {
                    last = Some(if paced == stable { LimitedBy::ScaleUpWindow } else { limit });
                }
                self.limit(index, limit, stable, paced)
            })
            .collect();
        let sizes = self.together(sizes, |_, _, largest| largest);
        let is_left = wants.iter().zip(&sizes).any(|(want, &size)| size != want.current);
        (sizes, if is_left { None } else { last })
    }

    /// The wish itself, for the guard to hold.
    fn held_by_behavior(&self, direction: Direction, wished: &[Parallelism], by: LimitedBy) -> Option<Made> {
        let mut made = self.made(direction, wished)?;
        made.paced_by = Some(by);
        Some(made)
    }

    fn grows_what_is_short(&self, sizes: &[Parallelism]) -> bool {
        self.proposal.wants.iter().zip(sizes).any(|(want, &size)| size > want.current && want.why.is_short())
    }

    /// As wished, but never below what the scale-down window needed at its most, and only when a vertex was below its band
    /// for the whole window: until then the wish itself, for the guard to hold.
    fn shrink(
        &mut self,
        wished: &[Parallelism],
        pace: &Pace<'_>,
        ledger: &Ledger,
        now: Timestamp,
    ) -> Option<Made> {
        let window = scale_down_window(self.policy, ledger);
        // The window is let run on for two more polls when it is about to let go of more: one step of the load takes one
        // rescale, though two samples saw its edge.
        let soon = self.policy.poll.get() * 2;
        let (mut sizes, mut passed, mut lets_go_soon) = (wished.to_vec(), None, false);
        let mut is_time = false;
        for (index, want) in self.proposal.wants.iter().enumerate() {
            if self.is_outside_bounds(index, want) {
                is_time = true;
                continue;
            }
            if wished[index] >= want.current {
                continue;
            }
            let needs = ledger.needs.get(&self.vertex(index).id);
            let most_since = |from| needs.and_then(|needs| needs.most_since(from));
            let most = most_since(now - window).unwrap_or(want.current);
            sizes[index] = most.clamp(wished[index], want.current);
            lets_go_soon |= most > wished[index] && most_since(now + soon - window) < Some(most);
            if want.why.is_large() {
                let low = self.below_band(index, want).max(wished[index]);
                is_time |= most <= low;
                let last = needs.map_or(now, |needs| needs.last_above(low).unwrap_or(needs.since));
                passed = Some(passed.map_or(last + window, |at: Timestamp| at.min(last + window)));
            }
        }
        if !is_time {
            let mut made = self.made(Direction::Down, wished)?;
            made.window_until = passed;
            return Some(made);
        }
        for (index, (&before, &after)) in wished.iter().zip(&sizes).enumerate() {
            self.limit(index, LimitedBy::ScaleDownWindow, before, after);
        }
        let (sizes, paced_by) = self.paced(&sizes, pace, LimitedBy::ScaleDownLimit);
        if let Some(by) = paced_by {
            return self.held_by_behavior(Direction::Down, wished, by);
        }
        let mut made = self.made(Direction::Down, &sizes)?;
        made.window_until = lets_go_soon.then(|| now + soon);
        Some(made)
    }

    /// The largest need of a vertex at which it may have been below its band: one subtask less would not have been enough
    /// for the load, so the load was more than what that one takes at the target utilization.
    fn below_band(&self, index: usize, want: &Want) -> Parallelism {
        let (Why::UtilizationBelowBand, Some(curve)) = (want.why, want.curve) else {
            return Parallelism::clamped(u64::from(want.current.get()).saturating_sub(1).max(1));
        };
        let rule = self.policy.throughput();
        let band = rule.map(|rule| rule.band(self.vertex(index))).unwrap_or_default();
        let low = curve.capacity(want.current) * band.min;
        let may_be_below = |size: &u32| {
            *size == 1 || curve.capacity(Parallelism::clamped(u64::from(size - 1))) * band.target < low
        };
        let largest = (1..want.current.get()).rev().find(may_be_below).unwrap_or(1);
        Parallelism::clamped(u64::from(largest))
    }

    /// The plan for these sizes; `None` when they are the ones there are.
    fn made(&self, direction: Direction, sizes: &[Parallelism]) -> Option<Made> {
        let wants = &self.proposal.wants;
        if wants.iter().zip(sizes).all(|(want, &size)| want.current == size) {
            return None;
        }
        let changes = sizes.iter().enumerate().map(|(index, &to)| Change {
            vertex: self.vertex(index).id,
            name: self.vertex(index).name.clone(),
            from: wants[index].current,
            to,
            capacity_before: wants[index].capacity,
            capacity_after: wants[index].curve.map(|curve| curve.capacity(to)),
        });
        let slots_after = slots::needed(&self.snapshot.graph, sizes);
        let outside = |(index, want): (usize, &Want)| self.is_outside_bounds(index, want);
        Some(Made {
            plan: Plan {
                direction,
                changes: changes.collect(),
                slots_before: slots::needed(&self.snapshot.graph, &self.snapshot.parallelism()),
                slots_after,
                replicas: self
                    .snapshot
                    .slots
                    .and_then(|s| s.per_taskmanager())
                    .map(|per| slots_after.div_ceil(per).max(self.policy.replicas.min.unwrap_or(0))),
                assumes: Assumptions {
                    job: self.snapshot.job,
                    version: self.snapshot.cluster.version,
                    running_since: self.snapshot.running_since,
                    slots: slots_after,
                },
                load: self.proposal.load,
                within_bounds_again: wants.iter().enumerate().any(outside),
            },
            window_until: None,
            slots_have: None,
            over_quota: None,
            paced_by: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Ship, Slots};
    use crate::policy::testing::{Job, START, policy, workload};
    use crate::policy::{Alignment, Bounds, Quota, ReplicaBounds, Rule, Throughput, VertexSpec};

    fn size(p: u64) -> Parallelism {
        Parallelism::clamped(p)
    }

    fn made(job: &Job, policy: &Policy) -> (Option<Made>, Vec<Limit>) {
        make(&job.proposal(policy), &job.snapshot, policy, &job.ledger, job.now)
    }

    /// The planned sizes, and what limited them in order.
    fn sizes(job: &Job, policy: &Policy) -> (Option<Vec<u32>>, Vec<LimitedBy>) {
        let (made, limits) = made(job, policy);
        let sizes = made.map(|made| made.plan.changes.iter().map(|change| change.to.get()).collect());
        (sizes, limits.iter().map(|limit| limit.by).collect())
    }

    fn short() -> Job {
        Job::chain(&[(1, 0.0), (3, 0.004), (1, 0.001)]).arriving(1500.0)
    }

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

    fn vertex(name: &str, min: Option<u64>, max: Option<u64>) -> VertexSpec {
        VertexSpec { min: min.map(size), max: max.map(size), ..VertexSpec::named(name) }
    }

    fn quota(cpu: &str) -> Quota {
        Quota { cpu: cpu.parse().ok(), memory: None }
    }

    /// A size above its bounds comes down also in a rescale that gets fewer slots than it wishes for.
    #[test]
    fn too_few_slots_leave_nothing_outside_its_bounds() {
        let mut job = Job::chain(&[(1, 0.0), (3, 0.004), (7, 0.001)]).arriving(1500.0);
        job.snapshot.slots = Some(slots(7, 7));
        let policy = Policy { vertices: vec![vertex("v2", None, Some(4))], ..policy() };
        let (sizes, limits) = sizes(&job, &policy);
        assert_eq!(sizes, Some(vec![1, 7, 3]), "{limits:?}");
    }

    fn excluded(name: &str) -> VertexSpec {
        VertexSpec { exclude: true, ..VertexSpec::named(name) }
    }

    fn slots(total: u32, taskmanagers: u32) -> Slots {
        Slots { at: START, total, available: 0, taskmanagers, jobs_running: 1 }
    }

    /// The planned sizes, and what limited them in order, where these sizes are asked for.
    fn asked(
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
                "what one needed within the window counts for both",
                |j, _| *j = j.clone().needed(30, &[1, 4, 1]).needed(20, &[1, 1, 1]),
                [(2, Down), (3, Down), (4, Ok)],
                None,
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

    #[test]
    fn with_no_slot_to_spare_the_wish_is_kept_for_the_guard_to_hold() {
        let mut job = short();
        job.snapshot.slots = Some(slots(3, 1));
        let (made, _) = made(&job, &policy());
        let made = made.expect("it is short");
        assert_eq!((made.plan.slots_after, made.slots_have), (9, Some(3)));
    }

    #[test]
    fn a_size_outside_its_bounds_comes_back_whatever_the_load() {
        for (bounds, expected, direction) in [
            ((4, 6), [4, 6, 4], Direction::Up),
            ((1, 6), [1, 6, 3], Direction::Down),
            ((1, 9), [1, 9, 3], Direction::Down),
        ] {
            let job = Job::chain(&[(1, 0.0), (9, 0.004), (3, 0.001)]).arriving(1500.0);
            let mut policy = policy();
            policy.parallelism = Bounds { min: size(bounds.0), max: size(bounds.1) };
            match made(&job, &policy).0 {
                Some(made) => {
                    assert_eq!(made.plan.changes.iter().map(|c| c.to.get()).collect::<Vec<_>>(), expected);
                    assert_eq!((made.plan.direction, made.plan.within_bounds_again), (direction, true));
                }
                None => assert_eq!(expected, [1, 9, 3], "within its bounds"),
            }
        }
    }

    #[test]
    fn shrinks_to_what_the_window_needed_at_its_most() {
        // (needs as (seconds ago, size of v1), planned size of v1, seconds until the window has passed)
        for (needs, planned, until) in [
            (&[][..], 3, Some(60)),
            (&[(30, 3)], 3, Some(30)),
            (&[(90, 3), (30, 3)], 3, None),
            (&[(90, 9), (45, 9), (5, 3)], 3, Some(15)),
            (&[(90, 9), (61, 9), (40, 5), (5, 3)], 5, None),
            // Its edge: the window lets go of five within two polls.
            (&[(90, 9), (61, 9), (55, 5), (5, 3)], 5, Some(10)),
            // Eight of nine was within the band, so there is nothing to gain until the window has let go of that.
            (&[(90, 8), (45, 8), (5, 3)], 3, Some(15)),
        ] {
            let mut job = Job::chain(&[(1, 0.0), (9, 0.004), (1, 0.001)]).arriving(400.0);
            for &(ago, size) in needs {
                job = job.needed(ago, &[1, size, 1]);
            }
            let made = made(&job, &policy()).0.expect("it is too large");
            let wait = made.window_until.map(|at| at.since(job.now).as_secs());
            assert_eq!((made.plan.changes[1].to.get(), wait), (planned, until), "{needs:?}");
        }
    }

    #[test]
    fn nothing_to_do_is_no_plan() {
        let job = Job::chain(&[(1, 0.0), (9, 0.004), (3, 0.001)]).arriving(1500.0);
        assert_eq!(sizes(&job, &policy()), (None, vec![]));
        let at_its_bound = Policy { parallelism: Bounds { min: size(1), max: size(3) }, ..policy() };
        assert_eq!(
            sizes(&Job::chain(&[(1, 0.0), (3, 0.004)]).arriving(1500.0), &at_its_bound),
            (None, vec![])
        );
    }
}
