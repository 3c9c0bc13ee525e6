//! Sizes by the clock: an open window's floor is asked for like anything else, and its ceiling is a bound while it is open.

use super::said::{Asked, Context};
use super::{Ceiling, InForce, Want, Why, replicas};
use crate::model::{Parallelism, Reading};

/// What the rule asks for: the floors of the windows that are open; where none is, as little as the bounds allow, so that a
/// schedule on its own lets go again of what it has asked for.
pub(super) fn propose(force: &InForce, context: &Context<'_>) -> Asked {
    let least = force.parallelism.floor.unwrap_or(Parallelism::ONE);
    let share = match force.replicas.floor {
        Some(floor) => replicas::share(floor, context)?,
        None => vec![Parallelism::ONE; context.snapshot.vertices.len()],
    };
    let want = |(vertex, share): (&Reading, Parallelism)| {
        let (current, wanted) = (vertex.parallelism, share.max(least));
        let why = if wanted > current { Why::ScheduledMore } else { Why::ScheduledLess };
        Want { wanted, ..Want::unchanged(current, why) }
    };
    Ok((context.snapshot.vertices.iter().zip(share).map(want).collect(), None))
}

/// The lowest ceiling of the windows that are open.
pub(super) fn ceiling(force: &InForce) -> Ceiling {
    Ceiling { parallelism: force.parallelism.ceiling.map(Parallelism::get), replicas: force.replicas.ceiling }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Job, START, policy};
    use super::super::{Policy, Rule, Schedule, ScheduleWindow};
    use super::*;
    use crate::policy::Span;

    /// A window that is open at the moment of the tests, a Wednesday, 11:06:40 UTC.
    fn window() -> ScheduleWindow {
        ScheduleWindow {
            cron: "0 10 * * 3".parse().expect("cron"),
            lasts: Some(Span::from_secs(7200)),
            end: None,
            min_replicas: None,
            max_replicas: None,
            min_parallelism: None,
            max_parallelism: None,
        }
    }

    fn scheduled(window: ScheduleWindow) -> Policy {
        let mut policy = policy();
        policy.spec.rules.push(Rule::Schedule(Schedule { windows: vec![window], ..Schedule::default() }));
        policy
    }

    #[test]
    fn floors_are_asked_for_and_ceilings_bound() {
        let size = |p| Some(Parallelism::clamped(p));
        // Four of eight TaskManagers' worth of slots at 4 ms; 500/s need three.
        for (what, window, expected, ceiling) in [
            ("no demand", window(), (3, Why::UtilizationBelowBand), None),
            (
                "a floor of subtasks",
                ScheduleWindow { min_parallelism: size(9), ..window() },
                (9, Why::ScheduledMore),
                None,
            ),
            (
                "of TaskManagers",
                ScheduleWindow { min_replicas: Some(12), ..window() },
                (12, Why::ScheduledMore),
                None,
            ),
            (
                "a floor that holds",
                ScheduleWindow { min_parallelism: size(8), ..window() },
                (8, Why::ScheduledLess),
                None,
            ),
            (
                "a ceiling",
                ScheduleWindow { max_parallelism: size(2), ..window() },
                (3, Why::UtilizationBelowBand),
                Some(2),
            ),
            (
                "closed",
                ScheduleWindow { min_parallelism: size(9), lasts: Some(Span::from_secs(60)), ..window() },
                (3, Why::UtilizationBelowBand),
                None,
            ),
        ] {
            let job = Job::chain(&[(8, 0.0), (8, 0.004)]).filling(8).arriving(450.0);
            assert_eq!(job.now, START);
            let proposal = job.proposal(&scheduled(window));
            let want = &proposal.wants[1];
            assert_eq!((want.wanted.get(), want.why), expected, "{what}");
            assert_eq!(proposal.ceiling.parallelism, ceiling, "{what}");
        }
    }

    #[test]
    fn a_schedule_that_is_off_or_cannot_tell_demands_nothing() {
        let size = |p| Some(Parallelism::clamped(p));
        let window = || ScheduleWindow {
            min_parallelism: size(9),
            max_parallelism: size(9),
            min_replicas: Some(9),
            max_replicas: Some(9),
            ..window()
        };
        let ceiling = |most| Ceiling { parallelism: most, replicas: most };
        for (when, wanted, expected) in [
            ("true", 9, ceiling(Some(9))),
            ("false", 3, ceiling(None)),
            ("job.labels['tier'] == 'gold'", 3, ceiling(None)),
        ] {
            let when = Some(when.parse().expect("CEL"));
            let mut policy = policy();
            policy.spec.rules.push(Rule::Schedule(Schedule {
                windows: vec![window()],
                when,
                ..Schedule::default()
            }));
            let proposal = Job::chain(&[(8, 0.0), (8, 0.004)]).filling(8).arriving(450.0).proposal(&policy);
            let got = (proposal.wants[1].wanted.get(), proposal.ceiling);
            assert_eq!(got, (wanted, expected), "{:?}", policy.spec.rules[1].when());
        }
    }
}
