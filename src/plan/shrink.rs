//! Shrinking: as wished, as far as the scale-down window and the behavior let go.

use super::behavior::Pace;
use super::make::{Made, Maker};
use super::{Direction, LimitedBy};
use crate::model::{Ledger, Parallelism, Timestamp};
use crate::policy::{Want, Why, scale_down_window};

impl Maker<'_> {
    /// As wished, but never below what the scale-down window needed at its most, and only when a vertex was below its band
    /// for the whole window: until then the wish itself, for the guard to hold.
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
}

#[cfg(test)]
mod tests {
    use super::super::testing::made;
    use crate::policy::testing::{Job, policy};

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
