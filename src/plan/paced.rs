//! No faster than the behavior allows, whichever way it goes.

use super::behavior::Pace;
use super::make::{Made, Maker};
use super::{Direction, LimitedBy};
use crate::model::Parallelism;

impl Maker<'_> {
    /// Sizes that are not changed faster than the behavior allows; what has left nothing of the change, if it did.
    pub(super) fn paced(
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
    pub(super) fn held_by_behavior(
        &self,
        direction: Direction,
        wished: &[Parallelism],
        by: LimitedBy,
    ) -> Option<Made> {
        let mut made = self.made(direction, wished)?;
        made.paced_by = Some(by);
        Some(made)
    }
}
