//! What the operator does with a decision: overrides of parallelism, and the requirements that they become.

use std::collections::BTreeMap;

use crate::model::{JobState, Scheduler};

/// The parallelism of vertices, by id.
pub type Overrides = BTreeMap<String, u32>;

/// The autoscaler's overrides over the user's; for a vertex that is excluded the user's count, where there are any.
pub fn merge(autoscaler: &Overrides, user: &Overrides, excluded: &[String]) -> Overrides {
    let mut merged = user.clone();
    for (vertex, parallelism) in autoscaler {
        if excluded.contains(vertex) {
            merged.entry(vertex.clone()).or_insert(*parallelism);
        } else {
            merged.insert(vertex.clone(), *parallelism);
        }
    }
    merged
}

/// The least and most subtasks of every vertex, by id.
pub type Requirements = BTreeMap<String, (u32, u32)>;

/// The requirements that the overrides ask Flink for; `None` when nothing is to be asked: it has them already, the job does
/// not run, or its scheduler takes none. Vertices without an override keep theirs.
pub fn requirements(
    scheduler: Scheduler,
    state: JobState,
    current: &Requirements,
    overrides: &Overrides,
) -> Option<Requirements> {
    if scheduler != Scheduler::Adaptive || state != JobState::Running {
        return None;
    }
    let asked: Requirements = current
        .iter()
        .map(|(vertex, now)| (vertex.clone(), overrides.get(vertex).map_or(*now, |most| (1, *most))))
        .collect();
    (asked != *current).then_some(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(of: &[(&str, u32)]) -> Overrides {
        of.iter().map(|(vertex, parallelism)| ((*vertex).to_owned(), *parallelism)).collect()
    }

    #[test]
    fn the_user_has_the_last_word_on_excluded_vertices_only() {
        let merged = merge(
            &overrides(&[("a", 1), ("b", 2), ("c", 3)]),
            &overrides(&[("a", 7), ("b", 8), ("d", 9)]),
            &["b".to_owned(), "c".to_owned()],
        );
        assert_eq!(merged, overrides(&[("a", 1), ("b", 8), ("c", 3), ("d", 9)]));
    }

    #[test]
    fn asks_only_for_what_is_not_there() {
        let current = Requirements::from([("a".to_owned(), (2, 5)), ("b".to_owned(), (1, 4))]);
        let asked =
            |scheduler, state, of: &[(&str, u32)]| requirements(scheduler, state, &current, &overrides(of));
        assert_eq!(
            asked(Scheduler::Adaptive, JobState::Running, &[("a", 5), ("x", 9)]),
            Some(Requirements::from([("a".to_owned(), (1, 5)), ("b".to_owned(), (1, 4))]))
        );
        assert_eq!(asked(Scheduler::Adaptive, JobState::Running, &[("b", 4)]), None);
        assert_eq!(asked(Scheduler::Default, JobState::Running, &[("a", 9)]), None);
        assert_eq!(asked(Scheduler::Adaptive, JobState::Failing, &[("a", 9)]), None);
    }
}
