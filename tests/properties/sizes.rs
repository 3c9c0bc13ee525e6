//! What holds for the sizes that any policy asks for any job.

use proptest::prelude::*;
use tidegate::decide::Verdict;
use tidegate::guard::Hold;
use tidegate::model::Ship;
use tidegate::plan::Direction;
use tidegate::policy::{Policy, Said, Want, Why};

use crate::cases;
use crate::jobs::{Decided, Job, job};
use crate::policies::{Kinds, policy};

/// The fewest and the most subtasks that a vertex may have, and whether it is left alone.
fn bounds(job: &Job, policy: &Policy, decided: &Decided, index: usize) -> (u32, u32, bool) {
    let graph = &job.snapshot.graph;
    let vertex = &graph.vertices()[index];
    let matches = |name: &str| match name.split_once(['?', '*']) {
        None => name == vertex.name,
        Some(("v", "")) => vertex.name.len() == 2,
        Some((before, after)) => vertex.name.starts_with(before) && vertex.name.ends_with(after),
    };
    let entry = policy.vertices.iter().find(|entry| matches(&entry.name));
    let most = entry.and_then(|entry| entry.max).unwrap_or(policy.parallelism.max).get();
    let partitions = entry.and_then(|entry| entry.partitions).filter(|_| graph.is_source(index));
    let most = most
        .min(vertex.max_parallelism.get())
        .min(partitions.unwrap_or(u32::MAX))
        .min(decided.proposal.ceiling.parallelism.unwrap_or(u32::MAX));
    let least = entry.and_then(|entry| entry.min).unwrap_or(policy.parallelism.min).get().min(most);
    (
        least,
        most,
        entry.is_some_and(|entry| entry.exclude) || decided.proposal.wants[index].why == Why::Excluded,
    )
}

/// For each vertex the ones that forward edges join it with, itself included, where all have one size.
fn joined(job: &Job) -> Vec<Vec<usize>> {
    let (graph, sizes) = (&job.snapshot.graph, job.sizes());
    let mut group: Vec<usize> = (0..graph.len()).collect();
    // As often as there are vertices: no group is longer than that.
    for _ in 0..graph.len() {
        for edge in graph
            .edges()
            .iter()
            .filter(|edge| edge.ship == Ship::Forward && sizes[edge.from] == sizes[edge.to])
        {
            let first = group[edge.from].min(group[edge.to]);
            (group[edge.from], group[edge.to]) = (first, first);
        }
    }
    let members = |index: usize| (0..graph.len()).filter(|&other| group[other] == group[index]).collect();
    (0..graph.len()).map(members).collect()
}

/// What a property says of a job and what is decided on it.
type Holds = Result<(), TestCaseError>;

fn no_size_leaves_its_bounds(job: &Job, policy: &Policy, decided: &Decided) -> Holds {
    let (current, joined) = (job.sizes(), joined(job));
    for planned in decided.planned().into_iter().chain(decided.approved()) {
        for (index, &size) in planned.iter().enumerate() {
            let of = |other: usize| bounds(job, policy, decided, other);
            let (least, most, _) = of(index);
            if joined[index].iter().any(|&other| of(other).2) {
                prop_assert_eq!(size, current[index], "v{} is left alone: {:?}", index, decided);
                continue;
            }
            prop_assert!(size <= most, "v{} of at most {}: {} {:?}", index, most, size, decided);
            // Where slots are short, or one of less room changes along with it, it goes as far towards its least as it can.
            let room = joined[index].iter().map(|&other| of(other).1).min().unwrap_or(most);
            let least = least.min(room).min(current[index]);
            prop_assert!(size >= least, "v{} of at least {}: {} {:?}", index, least, size, decided);
        }
    }
    Ok(())
}

fn nothing_grows_beyond_the_quota(job: &Job, policy: &Policy, decided: &Decided) -> Holds {
    let (Some(quota), Verdict::Approved { plan }) = (policy.spec.limits.quota, &decided.verdict) else {
        return Ok(());
    };
    let (Some(quota), plan) = (quota.cpu, plan.plan()) else { return Ok(()) };
    if plan.slots_after <= plan.slots_before {
        return Ok(());
    }
    let per = job.snapshot.slots.and_then(|slots| slots.per_taskmanager());
    match (&job.snapshot.around.workload, per) {
        // Every pod of these jobs requests one core.
        (Some(workload), Some(per)) if workload.pods.iter().any(|pod| !pod.is_deleted) => {
            let cores = i64::from(plan.slots_after.div_ceil(per));
            prop_assert!(cores * 1_000 <= quota.milli(), "{} cores of {:?}", cores, quota);
        }
        _ => {
            let there = job.snapshot.slots.map_or(0, |slots| slots.total).max(plan.slots_before);
            prop_assert!(plan.slots_after <= there, "{} slots, and {} are there", plan.slots_after, there);
        }
    }
    Ok(())
}

fn vertices_that_change_together_stay_equal(job: &Job, decided: &Decided) -> Holds {
    for planned in decided.planned().into_iter().chain(decided.approved()) {
        for members in joined(job) {
            let sizes: Vec<_> = members.iter().map(|&member| planned[member]).collect();
            prop_assert!(
                sizes.iter().all(|size| *size == sizes[0]),
                "{:?}: {:?} {:?}",
                members,
                sizes,
                decided
            );
        }
    }
    Ok(())
}

/// But for what must come back within its bounds.
fn nothing_shrinks_while_a_rule_is_silent(job: &Job, policy: &Policy, decided: &Decided) -> Holds {
    if decided.proposal.silent().next().is_none() {
        return Ok(());
    }
    let (joined, current) = (joined(job), job.sizes());
    for (index, &size) in decided.approved().iter().flatten().enumerate() {
        let most = joined[index].iter().map(|&member| bounds(job, policy, decided, member).1).min();
        let least = current[index].min(most.unwrap_or(u32::MAX));
        prop_assert!(size >= least, "v{} of {} to {} {:?}", index, current[index], size, decided);
    }
    Ok(())
}

fn the_trail_of_limits_leads_from_what_is_needed_to_what_is_planned(decided: &Decided) -> Holds {
    let Some(made) = &decided.made else { return Ok(()) };
    // Where a limit leaves nothing of it, the plan that is held is the wish; what brings only TaskManagers changes no size.
    let is_wish = made.plan.changed().next().is_none()
        || made.window_until.is_some()
        || made.paced_by.is_some()
        || made.slots_have.is_some()
        || made.over_quota.is_some();
    for (index, (change, want)) in made.plan.changes.iter().zip(&decided.proposal.wants).enumerate() {
        let mut size = if want.why == Why::Excluded { want.current } else { want.needed() };
        for limit in decided.limits.iter().filter(|limit| limit.vertex == change.vertex) {
            prop_assert_eq!(limit.before, size, "v{}: {:?} {:?}", index, limit, decided);
            prop_assert_ne!(limit.before, limit.after);
            size = limit.after;
        }
        prop_assert!(is_wish || size == change.to, "v{} to {}: {:?}", index, size, decided);
    }
    Ok(())
}

fn a_plan_goes_the_way_it_says(decided: &Decided) -> Holds {
    let Some(made) = &decided.made else { return Ok(()) };
    let plan = &made.plan;
    prop_assert!(plan.changed().next().is_some() || plan.scale.is_some(), "a plan changes something");
    let shrinks = plan.changes.iter().all(|change| change.to <= change.from);
    prop_assert!(plan.direction == Direction::Up || shrinks, "{:?}", decided);
    prop_assert!(plan.changes.iter().all(|change| change.to.get() <= plan.slots_after));
    prop_assert_eq!(plan.slots_after, plan.assumes.slots);
    Ok(())
}

/// What is decided, but for the places of the rules.
fn the_order_of_the_rules_makes_no_difference(
    job: &Job,
    policy: &Policy,
    decided: &Decided,
    turns: usize,
) -> Holds {
    let mut turned = policy.clone();
    turned.spec.rules.reverse();
    let turns = turns % turned.spec.rules.len();
    turned.spec.rules.rotate_left(turns);
    let other = job.decide(&turned);
    let wants = |decided: &Decided| -> Vec<_> {
        let asker = |rule: usize| decided.proposal.rules[rule].rule;
        let said = |want: &Want| (want.wanted, want.needed(), want.why, want.rule.map(asker));
        let numbers = |want: &Want| {
            [want.target_rate, want.capacity, want.utilization].map(|one| one.map(f64::to_bits))
        };
        decided.proposal.wants.iter().map(|want| (said(want), numbers(want))).collect()
    };
    let kinds = |decided: &Decided| decided.holds.iter().map(Hold::kind).collect::<Vec<_>>();
    prop_assert_eq!(wants(decided), wants(&other));
    prop_assert_eq!(decided.proposal.ceiling, other.proposal.ceiling);
    prop_assert_eq!((&decided.made, &decided.limits), (&other.made, &other.limits));
    prop_assert_eq!((decided.verdict.kind(), kinds(decided)), (other.verdict.kind(), kinds(&other)));
    Ok(())
}

/// None is smaller than it is, or than it would be had all been known.
fn data_that_is_missing_lowers_no_size(job: &Job, policy: &Policy, missing: &[Missing]) -> Holds {
    let decided = job.clone().without(missing).decide(policy);
    let Some(lowered) = decided.approved() else { return Ok(()) };
    let (whole, current, joined) = (job.decide(policy), job.sizes(), joined(job));
    let known = whole.approved().unwrap_or_else(|| current.clone());
    for (index, &size) in lowered.iter().enumerate() {
        let most = joined[index].iter().map(|&member| bounds(job, policy, &decided, member).1).min();
        let least = known[index].min(current[index]).min(most.unwrap_or(u32::MAX));
        prop_assert!(
            size >= least,
            "v{}: {} instead of {}, without {:?}\n{:?}\n{:?}",
            index,
            size,
            least,
            missing,
            whole,
            decided
        );
    }
    Ok(())
}

fn more_load_makes_no_size_smaller(job: &Job, policy: &Policy, times: f64) -> Holds {
    let (mut job, mut policy) = (job.clone(), policy.clone());
    // What is shared out of too few slots is another matter: more for one is less for another.
    (job.snapshot.slots, policy.spec.limits.quota) = (None, None);
    let (less, more) = (job.decide(&policy), job.clone().fed(times).decide(&policy));
    for (index, (a, b)) in less.proposal.wants.iter().zip(&more.proposal.wants).enumerate() {
        prop_assert!(a.wanted <= b.wanted, "v{}, {} times as much\n{:?}\n{:?}", index, times, less, more);
    }
    // A backlog stands when it is more than what is on its way, which is more where more arrives.
    for backlog in job.signals.vertices.iter_mut().filter_map(|vertex| vertex.backlog.as_mut()) {
        *backlog = 0.0;
    }
    let (less, more) = (job.decide(&policy), job.clone().fed(times).decide(&policy));
    // A plan that waits for its window shows what is wished for; one that does not, what the window leaves of it.
    let done = |decided: &Decided| decided.approved().unwrap_or_else(|| job.sizes());
    for (index, (a, b)) in done(&less).into_iter().zip(done(&more)).enumerate() {
        prop_assert!(
            a <= b,
            "v{}: {}, and {} with {} times as much\n{:?}\n{:?}",
            index,
            a,
            b,
            times,
            less,
            more
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn what_is_decided_keeps_every_promise((job, policy, turns) in (job(), policy(Kinds::All), 0..8_usize)) {
        let decided = job.decide(&policy);
        no_size_leaves_its_bounds(&job, &policy, &decided)?;
        nothing_grows_beyond_the_quota(&job, &policy, &decided)?;
        vertices_that_change_together_stay_equal(&job, &decided)?;
        nothing_shrinks_while_a_rule_is_silent(&job, &policy, &decided)?;
        the_trail_of_limits_leads_from_what_is_needed_to_what_is_planned(&decided)?;
        a_plan_goes_the_way_it_says(&decided)?;
        the_order_of_the_rules_makes_no_difference(&job, &policy, &decided, turns)?;
    }

    #[test]
    fn less_data_or_more_load_lowers_no_size(
        (job, policy, missing, times) in (job(), policy(Kinds::FollowTheLoad), missing(), 1.0..20.0_f64)
    ) {
        data_that_is_missing_lowers_no_size(&job, &policy, &missing)?;
        more_load_makes_no_size_smaller(&job, &policy, times)?;
    }
}

/// Something that is not known.
#[derive(Clone, Debug)]
pub(crate) enum Missing {
    ServiceTime(usize),
    Arrival(usize),
    Selectivity(usize),
    BackPressure(usize),
    Workload,
    Pods,
    Queries,
    QueryFails,
}

fn missing() -> impl Strategy<Value = Vec<Missing>> {
    let one = prop_oneof![
        (0..8_usize).prop_map(Missing::ServiceTime),
        (0..8_usize).prop_map(Missing::Arrival),
        (0..8_usize).prop_map(Missing::Selectivity),
        (0..8_usize).prop_map(Missing::BackPressure),
        Just(Missing::Workload),
        Just(Missing::Pods),
        Just(Missing::Queries),
        Just(Missing::QueryFails),
    ];
    prop::collection::vec(one, 1..4)
}

impl Job {
    fn without(mut self, missing: &[Missing]) -> Self {
        let around = &mut self.snapshot.around;
        for one in missing {
            match *one {
                Missing::ServiceTime(v) => {
                    if let Some(vertex) = self.signals.vertices.get_mut(v) {
                        vertex.service_time = None;
                    }
                }
                Missing::Arrival(v) => {
                    if let Some(vertex) = self.signals.vertices.get_mut(v) {
                        vertex.arrival = None;
                    }
                }
                Missing::Selectivity(e) => {
                    if let Some(edge) = self.signals.edges.get_mut(e) {
                        edge.selectivity = None;
                    }
                }
                Missing::BackPressure(v) => {
                    if let Some(vertex) = self.signals.vertices.get_mut(v) {
                        vertex.back_pressured = None;
                    }
                }
                Missing::Workload => around.workload = None,
                Missing::Pods => {
                    for pod in around.workload.iter_mut().flat_map(|workload| &mut workload.pods) {
                        pod.measured = None;
                    }
                }
                Missing::Queries => around.queries.clear(),
                Missing::QueryFails => {
                    for answer in around.queries.values_mut() {
                        answer.values = Err("refused".to_owned());
                    }
                }
            }
        }
        self
    }

    /// The same job with so many times as much arriving.
    fn fed(mut self, times: f64) -> Self {
        for arrival in self.signals.vertices.iter_mut().filter_map(|vertex| vertex.arrival.as_mut()) {
            (arrival.mean, arrival.low, arrival.high) =
                (arrival.mean * times, arrival.low * times, arrival.high * times);
        }
        self
    }
}

/// What the strategies make is worth looking at: every rule speaks, every verdict comes about.
#[test]
fn the_cases_are_not_all_alike() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    use std::collections::BTreeMap;
    let (mut runner, mut seen) = (TestRunner::deterministic(), BTreeMap::<String, u32>::new());
    for _ in 0..1000 {
        let case = (job(), policy(Kinds::All)).new_tree(&mut runner).expect("a case").current();
        let decided = case.0.decide(&case.1);
        let mut count = |what: String| *seen.entry(what).or_default() += 1;
        count(decided.verdict.kind().to_owned());
        for hold in &decided.holds {
            count(hold.kind().to_owned());
        }
        for limit in &decided.limits {
            count(format!("{:?}", limit.by));
        }
        for said in &decided.proposal.rules {
            let speaks = matches!(said.said, Said::Sizes | Said::Replicas(_));
            count(format!("{} speaks: {speaks}", said.rule));
        }
        if let Some(made) = &decided.made {
            count(format!("{:?}", made.plan.direction));
        }
    }
    for (what, least) in [
        ("Approved", 100),
        ("Held", 100),
        ("Unchanged", 20),
        ("Up", 50),
        ("Down", 50),
        ("throughput speaks: true", 300),
        ("resource speaks: true", 20),
        ("prometheus speaks: true", 20),
        ("prometheus speaks: false", 10),
        ("backpressure speaks: true", 20),
        ("backlog speaks: true", 20),
        ("schedule speaks: true", 20),
        ("flinkAutoscaler speaks: true", 10),
        ("Together", 10),
        ("Slots", 5),
        ("Quota", 1),
        ("Alignment", 10),
        ("Partitions", 10),
        ("ScheduleCeiling", 2),
        ("ScaleDownWindow", 5),
        ("RuleSilent", 5),
        ("BacklogStands", 5),
        ("ScaleDownStabilized", 5),
        ("Paced", 1),
        ("SlotsMissing", 1),
    ] {
        let times = seen.get(what).copied().unwrap_or(0);
        assert!(times >= least, "{what} came about {times} times: {seen:#?}");
    }
}
