//! Growing: as wished, as far as the behavior, the slots and the quota go.

use super::behavior::Pace;
use super::by_operator::beyond_slots;
use super::make::{Made, Maker};
use super::quota::{self, OverQuota};
use super::slots::{self, Demand};
use super::{Direction, LimitedBy};
use crate::model::Parallelism;

impl Maker<'_> {
    /// The plan to grow: in place where that does, and where that lacks slots by the operator that would bring them.
    pub(super) fn grow_any_way(&mut self, wished: &[Parallelism], pace: &Pace<'_>) -> Option<Made> {
        let before = self.limits.len();
        let made = self.grow(wished, pace);
        let is_short = made.as_ref().is_some_and(|made| made.slots_have.is_some())
            || self.limits[before..].iter().any(|limit| limit.by == LimitedBy::Slots);
        match beyond_slots(self.snapshot, self.policy).filter(|_| is_short && self.way.is_in_place()) {
            Some(way) => {
                self.limits.truncate(before);
                self.way = way;
                self.grow(wished, pace)
            }
            None => made,
        }
    }

    /// As wished, as far as the slots go; with nothing gained by what there is, the wish itself, for the guard to hold.
    pub(super) fn grow(&mut self, wished: &[Parallelism], pace: &Pace<'_>) -> Option<Made> {
        let (paced, paced_by) = self.paced(wished, pace, LimitedBy::ScaleUpLimit);
        if let Some(by) = paced_by {
            return self.held_by_behavior(Direction::Up, wished, by);
        }
        let wished = &paced[..];
        let demand = slots::needed(&self.snapshot.graph, wished);
        let (within_reach, reach) = self.reach();
        let short_of = within_reach.filter(|&have| demand > have);
        let quota = self.policy.spec.limits.quota;
        let over_quota = quota.map(|quota| quota::slots(quota, self.snapshot)).filter(|q| demand > q.slots());
        let most = match (short_of, over_quota.map(OverQuota::slots)) {
            (Some(have), Some(allowed)) if allowed < have => Some((allowed, LimitedBy::Quota)),
            (Some(have), _) => Some((have, reach)),
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

    fn grows_what_is_short(&self, sizes: &[Parallelism]) -> bool {
        self.proposal.wants.iter().zip(sizes).any(|(want, &size)| size > want.current && want.why.is_short())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{made, short, sizes, slots, vertex};
    use crate::policy::Policy;
    use crate::policy::testing::{Job, policy};

    /// A size above its bounds comes down also in a rescale that gets fewer slots than it wishes for.
    #[test]
    fn too_few_slots_leave_nothing_outside_its_bounds() {
        let mut job = Job::chain(&[(1, 0.0), (3, 0.004), (7, 0.001)]).arriving(1500.0);
        job.snapshot.slots = Some(slots(7, 7));
        let policy = Policy { vertices: vec![vertex("v2", None, Some(4))], ..policy() };
        let (sizes, limits) = sizes(&job, &policy);
        assert_eq!(sizes, Some(vec![1, 7, 4]), "{limits:?}");
    }

    #[test]
    fn with_no_slot_to_spare_the_wish_is_kept_for_the_guard_to_hold() {
        let mut job = short();
        job.snapshot.slots = Some(slots(3, 1));
        let (made, _) = made(&job, &policy());
        let made = made.expect("it is short");
        assert_eq!((made.plan.slots_after, made.slots_have), (9, Some(3)));
    }
}
