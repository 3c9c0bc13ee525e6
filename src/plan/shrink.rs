//! Shrinking: as wished, as far as the scale-down window and the behavior let go.

use std::time::Duration;

use super::behavior::Pace;
use super::make::{Made, Maker};
use super::{Direction, LimitedBy};
use crate::model::{Ledger, Parallelism, Timestamp};
use crate::policy::{Rule, UtilizationBand, Want, Why, scale_down_window};

impl Maker<'_> {
    /// As wished, but never below what the scale-down window needed at its most, and only when a vertex was below its band
    /// for the whole window: until then the wish itself, for the guard to hold.
    ///
    /// What comes back within its bounds waits for nothing, and takes along what it may: the guard does not hold that rescale, so
    /// what must not shrink now, or no further than to its bound, is kept here.
    pub(super) fn shrink(
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
        let mut wants = self.proposal.wants.iter().enumerate();
        let mut is_time = wants.any(|(index, want)| self.is_outside_bounds(index, want));
        let held_by = if is_time { self.held_within_bounds() } else { None };
        for (index, want) in self.proposal.wants.iter().enumerate() {
            let from = self.within_bounds(index);
            if wished[index] >= from {
                continue;
            }
            if held_by.is_some() {
                sizes[index] = from;
                continue;
            }
            let needs = ledger.needs.get(&self.vertex(index).id);
            let most_since = |from| needs.and_then(|needs| needs.most_since(from));
            let most = most_since(now - window).unwrap_or(from);
            sizes[index] = most.clamp(wished[index], from);
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
            self.limit(index, held_by.unwrap_or(LimitedBy::ScaleDownWindow), before, after);
        }
        let (sizes, paced_by) = self.paced(&sizes, pace, LimitedBy::ScaleDownLimit);
        if let Some(by) = paced_by {
            return self.held_by_behavior(Direction::Down, wished, by);
        }
        if let Some(mut made) = self.made(Direction::Down, &sizes) {
            made.window_until = lets_go_soon.then(|| now + soon);
            return Some(made);
        }
        // The windows of those that change together have not all passed.
        let mut made = self.made(Direction::Down, wished)?;
        made.window_until = Some(self.groups_let_go(wished, ledger, now, window).unwrap_or(now + soon));
        Some(made)
    }

    /// What keeps a vertex within its bounds from shrinking, whatever else is rescaled.
    fn held_within_bounds(&self) -> Option<LimitedBy> {
        if self.proposal.silent().next().is_some() {
            Some(LimitedBy::RuleSilent)
        } else {
            (self.proposal.backlog_standing > 0.0).then_some(LimitedBy::Backlog)
        }
    }

    /// When the first group whose vertices are all to shrink may, if no more is needed of them until then.
    fn groups_let_go(
        &self,
        wished: &[Parallelism],
        ledger: &Ledger,
        now: Timestamp,
        window: Duration,
    ) -> Option<Timestamp> {
        let lets_go = |&index: &usize| {
            let current = self.proposal.wants[index].current;
            let one_less = Parallelism::clamped(u64::from(current.get()).saturating_sub(1));
            let needs = ledger.needs.get(&self.vertex(index).id);
            let last = needs.map_or(now, |needs| needs.last_above(one_less).unwrap_or(needs.since));
            (wished[index] < current).then_some(last + window)
        };
        let of_group = |members: &Vec<usize>| members.iter().map(lets_go).collect::<Option<Vec<_>>>();
        self.groups.iter().filter_map(of_group).filter_map(|all| all.into_iter().max()).min()
    }

    /// The largest need of a vertex at which it may have been below its band: one subtask less would not have been enough
    /// for the load, so the load was more than what that one takes at the target utilization.
    fn below_band(&self, index: usize, want: &Want) -> Parallelism {
        let (Why::UtilizationBelowBand, Some(curve)) = (want.why, want.curve) else {
            return Parallelism::clamped(u64::from(want.current.get()).saturating_sub(1).max(1));
        };
        let band = match want.rule.and_then(|rule| self.policy.spec.rules.get(rule)) {
            Some(Rule::Throughput(rule)) => rule.band(self.vertex(index)),
            _ => UtilizationBand::default(),
        };
        let low = curve.capacity(want.current) * band.min;
        let may_be_below = |size: &u32| {
            *size == 1 || curve.capacity(Parallelism::clamped(u64::from(size - 1))) * band.target < low
        };
        let largest = (1..want.current.get()).rev().find(may_be_below).unwrap_or(1);
        Parallelism::clamped(u64::from(largest))
    }
}

#[cfg(test)]
mod tests {
    use super::super::make;
    use super::super::testing::{made, size, sizes, vertex};
    use super::*;
    use crate::model::Ship;
    use crate::policy::Policy;
    use crate::policy::testing::{Job, policy, unanswered};

    #[test]
    fn what_comes_back_within_its_bounds_takes_nothing_along_that_must_wait() {
        use LimitedBy::{Backlog, MaxParallelism, RuleSilent, ScaleDownWindow};
        type Change = fn(&mut Job, &mut Policy);
        let rows: [(&str, Change, [u32; 3], &[LimitedBy]); 4] = [
            ("the other has been too large for long", |_, _| {}, [1, 6, 1], &[MaxParallelism]),
            (
                "a rule is silent",
                |_, policy| policy.spec.rules.push(unanswered()),
                [1, 6, 4],
                &[MaxParallelism, RuleSilent],
            ),
            (
                "a backlog stands",
                |job, _| *job = job.clone().backlog(9_000.0),
                [1, 6, 4],
                &[MaxParallelism, Backlog],
            ),
            (
                "its window has not passed",
                |job, _| *job = job.clone().needed(30, &[1, 9, 4]),
                [1, 6, 4],
                &[MaxParallelism, ScaleDownWindow],
            ),
        ];
        for (what, change, expected, limits) in rows {
            // 1500/s need nine of the step, which may have six, and one of the sink, which has four.
            let job = Job::chain(&[(1, 0.0), (9, 0.004), (4, 0.000_1)]).arriving(1500.0);
            let mut job = job.needed(90, &[1, 9, 1]);
            let mut policy = Policy { vertices: vec![vertex("v1", None, Some(6))], ..policy() };
            change(&mut job, &mut policy);
            let job = job.needed(1, &[1, 9, 1]);
            assert_eq!(sizes(&job, &policy), (Some(expected.to_vec()), limits.to_vec()), "{what}");
        }
    }

    #[test]
    fn what_comes_back_goes_no_further_than_its_bound_before_it_may() {
        use LimitedBy::{RuleSilent, ScaleDownWindow};
        // 400/s need three of the step, which has nine and may have six.
        for (needs, is_silent, planned, limits) in [
            (3, false, 3, &[][..]),
            (5, false, 5, &[ScaleDownWindow]),
            (8, false, 6, &[ScaleDownWindow]),
            (3, true, 6, &[RuleSilent]),
        ] {
            let job = Job::chain(&[(1, 0.0), (9, 0.004)]).arriving(400.0);
            let job = job.needed(90, &[1, 3]).needed(30, &[1, needs]).needed(1, &[1, 3]);
            let mut policy = Policy { vertices: vec![vertex("v1", None, Some(6))], ..policy() };
            policy.spec.rules.extend(is_silent.then(unanswered));
            let expected = (Some(vec![1, planned]), limits.to_vec());
            assert_eq!(sizes(&job, &policy), expected, "{needs} needed, silent: {is_silent}");
        }
    }

    #[test]
    fn those_that_change_together_wait_for_the_last_of_their_windows() {
        for (needs, planned, until) in [
            // Its own window has passed, that of the other has not: both stay, and the wish says why.
            (&[(90, [1, 1]), (30, [1, 4]), (20, [1, 1])][..], [2, 2], Some(30)),
            (&[(90, [4, 1]), (20, [1, 4]), (10, [1, 1])], [2, 2], Some(40)),
            (&[(90, [1, 1]), (10, [1, 1])], [2, 2], None),
            (&[(90, [1, 1]), (30, [1, 3]), (20, [1, 1])], [3, 3], None),
        ] {
            let mut job = Job::chain(&[(4, 0.0), (4, 0.004)]).arriving(100.0).shipped(0, Ship::Forward);
            for &(ago, [source, step]) in needs {
                job = job.needed(ago, &[source, step]);
            }
            let mut proposal = job.proposal(&policy());
            for want in &mut proposal.wants {
                (want.wanted, want.why) = (size(2), Why::PushesNothingBack);
            }
            let (made, _) = make(&proposal, &job.snapshot, &policy(), &job.ledger, job.now);
            let made = made.expect("both are too large");
            let got = [0, 1].map(|index: usize| made.plan.changes[index].to.get());
            let wait = made.window_until.map(|at| at.since(job.now).as_secs());
            assert_eq!((got, wait), (planned, until), "{needs:?}");
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
}
