//! A job that an operator runs: whether it is asked, and what is to be changed of its resource.
//!
//! Rescaling in place costs a second and the operator does not mind it; asking the operator costs an upgrade, and brings slots
//! that are not there yet. So a job goes in place as long as it can, and by its operator where it cannot.

use super::{Plan, Way, way};
use crate::model::{OperatorChange, OperatorFields, OperatorSeen, OperatorState, Snapshot};
use crate::policy::{Mechanism, Policy, Span};

/// The way for a job, minding the operator that runs it, if one does.
///
/// # Errors
/// Why there is none, and which setting would allow one.
pub fn way_of(snapshot: &Snapshot, policy: &Policy) -> Result<Way, String> {
    if policy.operator_within.is_none() {
        return way(snapshot.cluster, policy);
    }
    let seen = seen(snapshot)?;
    match seen.hindrance {
        Some(hindrance) if hindrance.is_general() => {
            return Err(format!("{}: {hindrance}", seen.name));
        }
        _ => {}
    }
    match &seen.state {
        OperatorState::Stable => {}
        OperatorState::InProgress { says } => {
            return Err(format!("{} is under way to what its spec says ({says}): waited for", seen.name));
        }
        OperatorState::Failed { says } => {
            return Err(format!("{} has failed ({says}): mend it first", seen.name));
        }
    }
    if policy.mechanism == Mechanism::Operator {
        return asked(snapshot, seen);
    }
    match way(snapshot.cluster, policy) {
        Ok(way @ (Way::InPlace | Way::Reactive)) => Ok(way),
        Err(why) if policy.mechanism == Mechanism::InPlace => Err(why),
        // What an operator runs it has to run again, too.
        Ok(_) | Err(_) => asked(snapshot, seen),
    }
}

/// The way by the operator, where a job could go in place but needs slots that are not there.
pub(super) fn beyond_slots(snapshot: &Snapshot, policy: &Policy) -> Option<Way> {
    let is_free_to = policy.operator_within.is_some() && policy.mechanism == Mechanism::Auto;
    is_free_to.then(|| asked(snapshot, seen(snapshot).ok()?).ok())?
}

fn seen(snapshot: &Snapshot) -> Result<&OperatorSeen, String> {
    let around = &snapshot.around;
    around.operator.as_deref().ok_or_else(|| {
        let detail = around.operator_unseen.as_deref().unwrap_or("it has not been looked at yet");
        format!("the operator's resource cannot be looked at: {detail}")
    })
}

fn asked(snapshot: &Snapshot, seen: &OperatorSeen) -> Result<Way, String> {
    match seen.hindrance {
        Some(hindrance) => Err(format!("{}: {hindrance}", seen.name)),
        None if seen.overrides.are_heeded(snapshot.cluster.version) => Ok(Way::Operator),
        None => Ok(Way::OperatorWhole),
    }
}

/// What a plan changes of the operator's resource; `None` where it goes another way.
pub(super) fn change(plan: &Plan, snapshot: &Snapshot, within: Option<Span>) -> Option<OperatorChange> {
    if !plan.way.is_by_operator() {
        return None;
    }
    let seen = snapshot.around.operator.as_deref()?;
    let largest = plan.changes.iter().map(|change| change.to.get()).max();
    let each = plan.changes.iter().map(|change| format!("{}:{}", change.vertex, change.to));
    let sizes = (plan.way == Way::Operator).then(|| each.collect::<Vec<_>>().join(","));
    Some(OperatorChange {
        resource: seen.name.clone(),
        before: seen.fields.clone(),
        after: OperatorFields {
            parallelism: largest,
            // Where they are not heeded they stay as they are.
            overrides: sizes.or_else(|| seen.fields.overrides.clone()),
            replicas: plan.replicas.filter(|_| seen.takes_replicas).or(seen.fields.replicas),
        },
        rest: seen.rest.clone(),
        within_seconds: within.map_or(0, |within| within.get().as_secs()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{made, short, slots};
    use super::*;
    use crate::model::{Hindrance, Overrides, Parallelism, Scheduler};
    use crate::policy::testing::{Job, START, policy};

    fn resource() -> OperatorSeen {
        OperatorSeen {
            at: START,
            name: "FlinkDeployment orders".to_owned(),
            fields: OperatorFields { parallelism: Some(3), ..OperatorFields::default() },
            rest: "r".to_owned(),
            state: OperatorState::Stable,
            overrides: Overrides::OfCluster,
            takes_replicas: false,
            hindrance: None,
        }
    }

    fn operated(mechanism: Mechanism) -> Policy {
        Policy { mechanism, operator_within: Some(Span::from_secs(600)), ..policy() }
    }

    fn job(version: &str, scheduler: Scheduler, resource: OperatorSeen) -> Job {
        let mut job = short();
        job.snapshot.cluster.version = version.parse().expect("a version");
        job.snapshot.cluster.scheduler = scheduler;
        job.snapshot.slots = Some(slots(4, 2));
        job.snapshot.around.operator = Some(Box::new(resource));
        job
    }

    #[test]
    fn in_place_as_long_as_that_goes_and_else_by_the_operator() {
        use Mechanism::{Auto, InPlace, Operator};
        use Scheduler::{Adaptive, Default, Reactive};
        for (version, scheduler, mechanism, expected) in [
            ("1.20.5", Adaptive, Auto, Some(Way::InPlace)),
            ("1.20.5", Adaptive, Operator, Some(Way::Operator)),
            ("1.20.5", Default, Auto, Some(Way::Operator)),
            ("1.20.5", Default, InPlace, None),
            ("1.18.1", Default, Auto, Some(Way::Operator)),
            ("2.3.0", Default, Auto, Some(Way::OperatorWhole)),
            ("2.3.0", Adaptive, Auto, Some(Way::InPlace)),
            ("2.3.0", Reactive, Operator, Some(Way::OperatorWhole)),
        ] {
            let job = job(version, scheduler, resource());
            let got = way_of(&job.snapshot, &operated(mechanism));
            assert_eq!(
                got.as_ref().ok(),
                expected.as_ref(),
                "{version} {scheduler:?} {mechanism:?}: {got:?}"
            );
        }
        let by_job = OperatorSeen { overrides: Overrides::OfJob, ..resource() };
        let job = job("1.18.1", Default, by_job);
        assert_eq!(way_of(&job.snapshot, &operated(Auto)), Ok(Way::OperatorWhole));
    }

    #[test]
    fn a_refusal_names_what_would_allow_it() {
        use Scheduler::{Adaptive, Default};
        let busy = OperatorState::InProgress { says: "UPGRADING".to_owned() };
        let broken = OperatorState::Failed { says: "FAILED".to_owned() };
        let hindered = |hindrance| OperatorSeen { hindrance: Some(hindrance), ..resource() };
        for (seen, scheduler, words) in [
            (hindered(Hindrance::Autoscaler), Default, "job.autoscaler.enabled"),
            // Two that scale one job undo each other's work, whatever way.
            (hindered(Hindrance::Autoscaler), Adaptive, "job.autoscaler.enabled"),
            (hindered(Hindrance::Stateless), Default, "upgradeMode"),
            (hindered(Hindrance::Suspended), Adaptive, "spec.job.state"),
            (hindered(Hindrance::NoJob), Default, "FlinkSessionJob"),
            (OperatorSeen { state: busy, ..resource() }, Adaptive, "UPGRADING"),
            (OperatorSeen { state: broken, ..resource() }, Default, "mend it"),
        ] {
            let job = job("1.20.5", scheduler, seen);
            let why = way_of(&job.snapshot, &operated(Mechanism::Auto)).expect_err(words);
            assert!(why.contains(words), "{why}");
        }
        let mut unseen = job("1.20.5", Adaptive, resource());
        unseen.snapshot.around.operator = None;
        unseen.snapshot.around.operator_unseen = Some("forbidden".to_owned());
        let why = way_of(&unseen.snapshot, &operated(Mechanism::Auto)).expect_err("it is not seen");
        assert!(why.contains("forbidden"), "{why}");
        // An upgrade without state is nothing to a job that goes in place.
        let stateless = job("1.20.5", Adaptive, hindered(Hindrance::Stateless));
        assert_eq!(way_of(&stateless.snapshot, &operated(Mechanism::Auto)), Ok(Way::InPlace));
    }

    /// Nine subtasks of the step are needed and three of the sink; there are four slots on two TaskManagers.
    #[test]
    fn the_operator_brings_the_slots_and_is_told_of_just_what_changes() {
        use Mechanism::{Auto, InPlace, Operator};
        use Scheduler::{Adaptive, Default};
        let of = |version: &str, scheduler, resource: OperatorSeen, mechanism| {
            let job = job(version, scheduler, resource);
            let (made, _) = made(&job, &operated(mechanism));
            let made = made.expect("it is short");
            (made.plan.way, made.plan.operator, made.slots_have, made.awaited)
        };
        let [a, b, c] = [0, 1, 2].map(|index| short().snapshot.graph.vertices()[index].id);
        let after = |parallelism, overrides: Option<String>, replicas| OperatorFields {
            parallelism: Some(parallelism),
            overrides,
            replicas,
        };
        let each = || Some(format!("{a}:1,{b}:9,{c}:3"));
        let standalone = OperatorSeen { takes_replicas: true, ..resource() };
        for (version, scheduler, seen, mechanism, way, expected) in [
            ("1.20.5", Default, resource(), Auto, Way::Operator, after(9, each(), None)),
            ("1.20.5", Default, standalone.clone(), Auto, Way::Operator, after(9, each(), Some(5))),
            ("2.3.0", Default, standalone, Operator, Way::OperatorWhole, after(9, None, Some(5))),
            // It could go in place, but not as far as it needs to.
            ("1.20.5", Adaptive, resource(), Auto, Way::Operator, after(9, each(), None)),
        ] {
            let (found, change, missing, awaited) = of(version, scheduler, seen, mechanism);
            let change = change.expect("the operator is asked");
            assert_eq!((found, &change.after), (way, &expected), "{version} {scheduler:?}");
            assert_eq!((&change.before, &*change.rest), (&resource().fields, "r"));
            assert_eq!((change.within_seconds, missing, awaited), (600, None, None));
        }
        let (way, change, ..) = of("1.20.5", Adaptive, resource(), InPlace);
        assert_eq!((way, change), (Way::InPlace, None), "as it was told to");
    }

    #[test]
    fn a_bound_on_taskmanagers_holds_for_the_operator_too() {
        let job = job("1.20.5", Scheduler::Default, resource());
        let mut policy = operated(Mechanism::Auto);
        policy.replicas.max = Some(3);
        let (made, limits) = made(&job, &policy);
        let plan = made.expect("it is short").plan;
        assert_eq!((plan.slots_after, plan.replicas), (6, Some(3)), "{limits:?}");
        let largest = plan.operator.and_then(|change| change.after.parallelism);
        assert_eq!(largest, Some(Parallelism::clamped(6).get()));
    }
}
