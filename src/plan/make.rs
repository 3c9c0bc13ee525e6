//! A proposal, fitted to what is possible: one size for every vertex, with the trail of what limited it.

use super::behavior::Pace;
use super::by_operator::{self, way_of};
use super::fewer::Clinging;
use super::more::Awaited;
use super::quota::OverQuota;
use super::{Assumptions, Change, Direction, Limit, LimitedBy, Plan, Way, bounds, slots, together};
use crate::model::{Ledger, Parallelism, Snapshot, Timestamp, Vertex};
use crate::policy::{Policy, Proposal, Want, Why};

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
    /// The TaskManagers that were asked for and are not all there, where the plan needs them.
    pub awaited: Option<Awaited>,
    /// What keeps TaskManagers from being removed that are no longer needed, where the plan is to remove them.
    pub clinging: Option<Clinging>,
    /// Whether it only gives back replicas that have never come.
    pub gives_back: bool,
}

/// Makes a plan of a proposal; `None` when every vertex has the size it needs. Always with the trail of limits.
pub fn make(
    proposal: &Proposal,
    snapshot: &Snapshot,
    policy: &Policy,
    ledger: &Ledger,
    now: Timestamp,
) -> (Option<Made>, Vec<Limit>) {
    let mut maker = Maker::new(proposal, snapshot, policy, ledger, now);
    let is_reactive = maker.is_reactive();
    let Some(direction) = maker.direction() else {
        let made = if is_reactive { maker.following(None) } else { maker.least_taskmanagers() };
        return (made, maker.limits);
    };
    let wished = maker.wished(direction);
    let pace = Pace::new(direction, policy, snapshot, ledger, now);
    let made = match direction {
        Direction::Up => maker.grow_any_way(&wished, &pace),
        Direction::Down => maker.shrink(&wished, &pace, ledger, now),
    };
    if is_reactive {
        return (maker.following(made), maker.limits);
    }
    let made = made.and_then(|made| maker.one_size(made));
    let made = match direction {
        Direction::Up => made.map(|made| maker.with_taskmanagers(made)),
        Direction::Down => made,
    };
    (made, maker.limits)
}

/// What a plan is made from, and the trail of limits as it grows.
pub(super) struct Maker<'a> {
    pub(super) proposal: &'a Proposal,
    pub(super) snapshot: &'a Snapshot,
    pub(super) policy: &'a Policy,
    pub(super) ledger: &'a Ledger,
    pub(super) now: Timestamp,
    /// Every vertex's own bounds.
    pub(super) own: Vec<bounds::Range>,
    /// Those within which it changes together with others: its own, for one that changes alone.
    pub(super) bounds: Vec<bounds::Range>,
    /// The vertices that change together.
    pub(super) groups: Vec<Vec<usize>>,
    pub(super) limits: Vec<Limit>,
    /// Which way the job is rescaled.
    pub(super) way: Way,
}

impl<'a> Maker<'a> {
    pub(super) fn new(
        proposal: &'a Proposal,
        snapshot: &'a Snapshot,
        policy: &'a Policy,
        ledger: &'a Ledger,
        now: Timestamp,
    ) -> Self {
        let current: Vec<_> = proposal.wants.iter().map(|want| want.current).collect();
        let groups = together::groups(&snapshot.graph, &current);
        let own = bounds::own(proposal, snapshot, policy);
        let bounds = bounds::shared(&own, &groups, &proposal.wants);
        let way = way_of(snapshot, policy).unwrap_or_default();
        Self { proposal, snapshot, policy, ledger, now, own, bounds, groups, limits: Vec::new(), way }
    }

    pub(super) fn vertex(&self, index: usize) -> &Vertex {
        &self.snapshot.graph.vertices()[index]
    }

    pub(super) fn limit(
        &mut self,
        index: usize,
        by: LimitedBy,
        before: Parallelism,
        after: Parallelism,
    ) -> Parallelism {
        if before != after {
            self.limits.push(Limit { vertex: self.vertex(index).id, by, before, after });
        }
        after
    }

    /// The most TaskManagers, by the job's bounds and by a schedule.
    pub(super) fn most_replicas(&self) -> Option<u32> {
        self.policy.replicas.max.into_iter().chain(self.proposal.ceiling.replicas).min()
    }

    pub(super) fn is_outside_bounds(&self, index: usize, want: &Want) -> bool {
        let (least, most) = self.bounds[index];
        want.why != Why::Excluded && !(least..=most).contains(&want.current)
    }

    /// The size of a vertex, brought back within its bounds where it is not.
    pub(super) fn within_bounds(&self, index: usize) -> Parallelism {
        let (want, (least, most)) = (&self.proposal.wants[index], self.bounds[index]);
        if want.why == Why::Excluded { want.current } else { want.current.clamp(least, most) }
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

    /// The plan with the largest of its sizes for all vertices, where the job takes no other; `None` when that is the one it has.
    fn one_size(&mut self, mut made: Made) -> Option<Made> {
        if !self.way.takes_one_size() || made.plan.scale.is_some() {
            return Some(made);
        }
        let largest = match made.plan.direction {
            Direction::Up => made.plan.changes.iter().map(|change| change.to).max()?,
            Direction::Down => self.needs(&made).into_iter().max()?,
        };
        // Flink refuses a job with more subtasks than a vertex has key groups.
        let most = self.snapshot.graph.vertices().iter().map(|vertex| vertex.max_parallelism).min()?;
        let size = largest.min(most);
        let before: Vec<_> = made.plan.changes.iter().map(|change| change.to).collect();
        for (index, before) in before.into_iter().enumerate() {
            self.limit(index, LimitedBy::OneSize, before, size);
        }
        let sizes = vec![size; made.plan.changes.len()];
        let is_larger = made.plan.changes.iter().any(|change| size > change.from);
        if made.plan.direction == Direction::Down && is_larger {
            return None;
        }
        let Made { plan, .. } = self.made(made.plan.direction, &sizes)?;
        let have = self.snapshot.slots.map(|slots| slots.total).filter(|_| !self.way.is_by_operator());
        made.slots_have = made.slots_have.or(have.filter(|&have| plan.slots_after > have));
        made.plan = plan;
        Some(made)
    }

    /// The plan for these sizes; `None` when they are the ones there are.
    pub(super) fn made(&self, direction: Direction, sizes: &[Parallelism]) -> Option<Made> {
        let wants = &self.proposal.wants;
        if wants.iter().zip(sizes).all(|(want, &size)| want.current == size) {
            return None;
        }
        Some(self.made_of(direction, sizes))
    }

    /// The plan for these sizes, which may be the ones there are.
    pub(super) fn made_of(&self, direction: Direction, sizes: &[Parallelism]) -> Made {
        let wants = &self.proposal.wants;
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
        let mut made = Made {
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
                scale: None,
                way: self.way,
                operator: None,
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
            awaited: None,
            clinging: None,
            gives_back: false,
        };
        made.plan.operator = by_operator::change(&made.plan, self.snapshot, self.policy.operator_within);
        made
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{made, size, sizes};
    use super::*;
    use crate::policy::Bounds;
    use crate::policy::testing::{Job, policy};

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
