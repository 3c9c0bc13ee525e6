//! How fast the need is followed: the HPA's `behavior` on the subtasks of each vertex, with its past rescales.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Direction, slots};
use crate::model::{Ledger, Parallelism, Rescale, Snapshot, Timestamp, Vertex, VertexId};
use crate::policy::hpa::{self, Change, RatePolicy, Rules, ScaleEvent, SelectPolicy};
use crate::policy::{Policy, ScalingPolicyType, ScalingRate, ScalingRules};

/// What the behavior of one direction allows.
pub(super) struct Pace<'a> {
    direction: Direction,
    rules: &'a ScalingRules,
    snapshot: &'a Snapshot,
    ledger: &'a Ledger,
    now: Timestamp,
}

impl<'a> Pace<'a> {
    pub(super) fn new(
        direction: Direction,
        policy: &'a Policy,
        snapshot: &'a Snapshot,
        ledger: &'a Ledger,
        now: Timestamp,
    ) -> Self {
        let behavior = &policy.spec.behavior;
        let rules = match direction {
            Direction::Up => &behavior.scale_up,
            Direction::Down => &behavior.scale_down,
        };
        Self { direction, rules, snapshot, ledger, now }
    }

    /// Growing goes to the least that was needed within the window for scaling up; a window that is not full yet needs as
    /// little as there is.
    pub(super) fn stabilized(&self, vertex: &Vertex, current: Parallelism, size: Parallelism) -> Parallelism {
        let window = match (self.direction, self.rules.stabilization_window_seconds) {
            (Direction::Up, Some(seconds)) if seconds > 0 => Duration::from_secs(u64::from(seconds)),
            _ => return size,
        };
        let needs = self.ledger.needs.get(&vertex.id);
        let least = needs.and_then(|needs| needs.least_since(self.now - window)).unwrap_or(current);
        size.min(least).max(current)
    }

    /// A size within what the policies allow, by past changes and the select policy.
    pub(super) fn limited(&self, vertex: &Vertex, current: Parallelism, size: Parallelism) -> Parallelism {
        if self.rules.select_policy == SelectPolicy::Disabled {
            return current;
        }
        let allowed = self.rules.policies.iter().map(|rate| self.allowed(rate, vertex.id, current));
        let most_change = match (self.direction, self.rules.select_policy) {
            (Direction::Up, SelectPolicy::Max) | (Direction::Down, SelectPolicy::Min) => allowed.max(),
            _ => allowed.min(),
        };
        match (self.direction, most_change) {
            (_, None) => size,
            (Direction::Up, Some(most)) => size.min(most).max(current),
            (Direction::Down, Some(least)) => size.max(least).min(current),
        }
    }

    /// The size of a vertex that one policy allows at the furthest.
    fn allowed(&self, rate: &ScalingRate, vertex: VertexId, current: Parallelism) -> Parallelism {
        let period = Duration::from_secs(u64::from(rate.period_seconds));
        let rules = |change| Rules {
            window: Duration::ZERO,
            select: SelectPolicy::Max,
            policies: vec![RatePolicy { change, period }],
        };
        let furthest = |now: u32, events: &[ScaleEvent], change| match self.direction {
            Direction::Up => hpa::ceiling(now, events, &rules(change), self.now),
            Direction::Down => hpa::floor(now, events, &rules(change), self.now),
        };
        let of_vertex = |change| {
            let events = self.events(|sizes| sizes(vertex).map_or(0, Parallelism::get));
            Parallelism::clamped(u64::from(furthest(current.get(), &events, change).max(1)))
        };
        match rate.kind {
            ScalingPolicyType::Subtasks => of_vertex(Change::Count(rate.value)),
            ScalingPolicyType::Percent => of_vertex(Change::Percent(rate.value)),
            ScalingPolicyType::Pods => {
                let Some(per) = self.snapshot.slots.and_then(|slots| slots.per_taskmanager()) else {
                    // How many slots a TaskManager would bring is not known: it is not said that it brings any.
                    return current;
                };
                let graph = &self.snapshot.graph;
                let taskmanagers = |sizes: &[Parallelism]| slots::needed(graph, sizes).div_ceil(per.max(1));
                let there = taskmanagers(&self.snapshot.parallelism()).max(1);
                let events = self.events(|sizes| {
                    let of = |vertex: &Vertex| sizes(vertex.id).unwrap_or(Parallelism::ONE);
                    taskmanagers(&graph.vertices().iter().map(of).collect::<Vec<_>>())
                });
                let allowed = furthest(there, &events, Change::Count(rate.value));
                // The vertex's part of those TaskManagers.
                let part = (u64::from(current.get()) * u64::from(allowed)).div_ceil(u64::from(there));
                Parallelism::clamped(part.max(1))
            }
        }
    }

    /// The past rescales as changes of a size.
    fn events(&self, size: impl Fn(&dyn Fn(VertexId) -> Option<Parallelism>) -> u32) -> Vec<ScaleEvent> {
        let event = |rescale: &Rescale| {
            let of = |sizes: &BTreeMap<VertexId, Parallelism>| {
                i64::from(size(&|vertex| sizes.get(&vertex).copied()))
            };
            ScaleEvent { at: rescale.ended, change: of(&rescale.to) - of(&rescale.from) }
        };
        self.ledger.rescales.iter().filter(|rescale| rescale.end.changed_the_job()).map(event).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Slots;
    use crate::policy::testing::{Job, START, policy, rescale};

    fn size(p: u64) -> Parallelism {
        Parallelism::clamped(p)
    }

    fn rate(kind: ScalingPolicyType, value: u32) -> ScalingRate {
        ScalingRate { kind, value, period_seconds: 60 }
    }

    /// A step of eight on two of the four TaskManagers of four slots, grown from 6 half a minute ago; and from 2 long before.
    fn job() -> Job {
        let mut job = Job::chain(&[(1, 0.0), (8, 0.004)]);
        job.snapshot.slots =
            Some(Slots { at: START, total: 16, available: 8, taskmanagers: 4, jobs_running: 1 });
        for (ago, from, to) in [(600, 2, 6), (30, 6, 8)] {
            let ended = job.now - Duration::from_secs(ago);
            let sizes = |step| {
                let ids = job.snapshot.graph.vertices().iter().map(|vertex| vertex.id);
                ids.zip([1, step].map(size)).collect()
            };
            job.ledger.add_rescale(Rescale { ended, from: sizes(from), to: sizes(to), ..rescale(0, None) });
        }
        job
    }

    #[test]
    fn policies_count_from_the_start_of_their_period() {
        use Direction::{Down, Up};
        use ScalingPolicyType::{Percent, Pods, Subtasks};
        use SelectPolicy::{Disabled, Max, Min};
        // Two of the eight came within the minute: the period began with six, on two TaskManagers as now.
        let rows: [(&str, Direction, SelectPolicy, &[ScalingRate], u64, u64); 13] = [
            ("none", Up, Max, &[], 100, 100),
            ("subtasks", Up, Max, &[rate(Subtasks, 4)], 100, 10),
            ("spent already", Up, Max, &[rate(Subtasks, 1)], 100, 8),
            ("per cent", Up, Max, &[rate(Percent, 100)], 100, 12),
            ("TaskManagers", Up, Max, &[rate(Pods, 1)], 100, 12),
            ("the one that allows the most", Up, Max, &[rate(Subtasks, 4), rate(Percent, 100)], 100, 12),
            ("the one that allows the least", Up, Min, &[rate(Subtasks, 4), rate(Percent, 100)], 100, 10),
            ("less than allowed", Up, Max, &[rate(Percent, 100)], 9, 9),
            ("disabled", Up, Disabled, &[], 100, 8),
            ("down by subtasks", Down, Max, &[rate(Subtasks, 1)], 1, 5),
            ("down by per cent", Down, Max, &[rate(Percent, 50)], 1, 3),
            ("down by the least", Down, Min, &[rate(Subtasks, 1), rate(Percent, 50)], 1, 5),
            ("down disabled", Down, Disabled, &[], 1, 8),
        ];
        for (what, direction, select_policy, policies, wished, expected) in rows {
            let (job, mut policy) = (job(), policy());
            let rules =
                ScalingRules { select_policy, policies: policies.to_vec(), ..ScalingRules::default() };
            policy.spec.behavior.scale_up = rules.clone();
            policy.spec.behavior.scale_down = rules;
            let pace = Pace::new(direction, &policy, &job.snapshot, &job.ledger, job.now);
            let got = pace.limited(&job.snapshot.graph.vertices()[1], size(8), size(wished));
            assert_eq!(got, size(expected), "{what}");
        }
    }

    #[test]
    fn growing_goes_to_the_least_need_of_its_window() {
        for (window, needs, expected) in [
            (None, &[(120, 5), (0, 20)][..], 20),
            (Some(60), &[(120, 20), (0, 20)], 20),
            (Some(60), &[(120, 20), (30, 12), (0, 20)], 12),
            (Some(60), &[(120, 20), (30, 5), (0, 20)], 8),
            (Some(60), &[(30, 20), (0, 20)], 8),
        ] {
            let (mut job, mut policy) = (job(), policy());
            for &(ago, need) in needs {
                job = job.needed(ago, &[1, need]);
            }
            policy.spec.behavior.scale_up.stabilization_window_seconds = window;
            let pace = Pace::new(Direction::Up, &policy, &job.snapshot, &job.ledger, job.now);
            let got = pace.stabilized(&job.snapshot.graph.vertices()[1], size(8), size(20));
            assert_eq!(got, size(expected), "{window:?} {needs:?}");
        }
    }
}
