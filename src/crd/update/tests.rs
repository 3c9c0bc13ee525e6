//! What a status says after which cycle, and what it does not say anew.

use std::time::Duration;

use super::*;
use crate::crd::ConditionStatus;
use crate::decide::{VERSION, Verdict};
use crate::guard::{self, Hold};
use crate::model::{MissedWhy, Observation, Parallelism};
use crate::plan::{self, Limit, LimitedBy};
use crate::policy::testing::{Job, START, policy, rescale};
use crate::policy::{Mode, ReplicaBounds, Rival, Silence};

/// A job whose second vertex is short: 500/s arrive, and it takes in 3 x 125/s.
fn short() -> Job {
    Job::chain(&[(1, 0.0), (3, 0.008), (1, 0.001)]).arriving(500.0)
}

/// A job that is as it should be.
fn well() -> Job {
    Job::chain(&[(1, 0.0), (6, 0.008), (1, 0.001)]).arriving(500.0)
}

/// A cycle in the making.
struct Told {
    policy: Policy,
    decision: Decision,
    outcome: Outcome,
    state: State,
}

impl Told {
    /// What is decided of a job.
    fn of(job: &Job, policy: Policy) -> Self {
        let mut state = State { ledger: job.ledger.clone(), ..State::default() };
        state.history.push(&Observation::Seen(job.snapshot.clone()));
        let proposal = job.proposal(&policy);
        let (made, limits) = plan::make(&proposal, &job.snapshot, &policy, &job.ledger, job.now);
        let (mut holds, mut verdict) = (Vec::new(), Verdict::Unchanged);
        if let Some(made) = made {
            let (snapshot, signals, ledger, now) = (&job.snapshot, &job.signals, &job.ledger, job.now);
            let context =
                guard::Context { snapshot, signals, proposal: &proposal, policy: &policy, ledger, now };
            match guard::judge(made, &context) {
                Ok(plan) => verdict = Verdict::Approved { plan },
                Err((plan, found)) => (verdict, holds) = (Verdict::Held { plan: Some(plan) }, found),
            }
        }
        let decision = Decision {
            version: VERSION,
            at: job.now,
            job: Some(job.snapshot.job),
            verdict,
            holds,
            limits,
            proposal: Some(proposal),
            signals: Some(job.signals.clone()),
        };
        let outcome = match &decision.verdict {
            Verdict::Approved { .. } => Outcome::Applied,
            verdict => Outcome::without_acting(verdict),
        };
        Self { policy, decision, outcome, state }
    }

    /// A cycle in which these reasons speak against looking at the job at all.
    fn unobserved(holds: Vec<Hold>) -> Self {
        let mut told = Self::of(&well(), policy());
        told.decision.holds = holds;
        told.decision.proposal = None;
        told.decision.signals = None;
        told.decision.verdict = Verdict::Unobserved;
        told.outcome = Outcome::Unobserved;
        told
    }

    fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    fn later(mut self, seconds: u64) -> Self {
        self.decision.at = self.decision.at + Duration::from_secs(seconds);
        self
    }

    fn after(&self, last: &FlinkAutoscalerStatus) -> FlinkAutoscalerStatus {
        let Self { policy, decision, outcome, state } = self;
        after_cycle(last, &Cycle { generation: Some(1), policy, decision, outcome, state })
    }

    fn status(&self) -> FlinkAutoscalerStatus {
        self.after(&FlinkAutoscalerStatus::default())
    }
}

/// A condition: `+Reason` where it holds, `-Reason` where it does not, `?Reason` where nobody can tell.
fn condition(status: &FlinkAutoscalerStatus, kind: ConditionType) -> String {
    let condition = status.conditions.iter().find(|condition| condition.kind == kind);
    condition.map_or("none".to_owned(), |condition| {
        let sign = match condition.status {
            ConditionStatus::True => '+',
            ConditionStatus::False => '-',
            ConditionStatus::Unknown => '?',
        };
        format!("{sign}{}", condition.reason)
    })
}

/// The conditions of an HPA on one line.
fn conditions(status: &FlinkAutoscalerStatus) -> String {
    let [_, hpa @ ..] = ConditionType::ALL.map(|kind| condition(status, kind));
    hpa.join(" ")
}

fn missed(why: MissedWhy) -> Hold {
    Hold::NotObserved { since: START, why, detail: "GET http://orders-rest:8081/jobs: refused".to_owned() }
}

fn failed() -> Outcome {
    Outcome::Failed { detail: "Flink said no".to_owned() }
}

#[test]
fn says_what_an_hpa_would_say() {
    let conflict = Rival::HorizontalPodAutoscaler { namespace: "streams".to_owned(), name: "tm".to_owned() };
    let silent = Hold::RuleSilent { rule: "resource".to_owned(), why: Silence::NotAsked };
    let query = Hold::RuleSilent { rule: "prometheus".to_owned(), why: Silence::NotAsked };
    let held = |hold: Hold| {
        let mut told = Told::of(&well(), policy());
        (told.decision.holds, told.decision.verdict) = (vec![hold], Verdict::Held { plan: None });
        told.outcome(Outcome::Held { found: None })
    };
    let limited = |by: LimitedBy, most: Option<u32>| {
        let replicas = ReplicaBounds { min: None, max: most };
        let mut told = Told::of(&well(), Policy { replicas, ..policy() });
        let vertex = told.state.history.last().expect("seen").graph.vertices()[1].id;
        let (before, after) = (Parallelism::clamped(9), Parallelism::clamped(6));
        told.decision.limits = vec![Limit { vertex, by, before, after }];
        told
    };
    for (told, expected) in vec![
        (Told::of(&well(), policy()), "+ReadyForNewScale +ValidMetricFound -DesiredWithinRange"),
        (Told::of(&short(), policy()), "+SucceededRescale +ValidMetricFound -DesiredWithinRange"),
        (
            Told::of(&short(), policy()).outcome(Outcome::Recommended),
            "+Recommended +ValidMetricFound -DesiredWithinRange",
        ),
        (
            Told::of(&short(), policy()).outcome(failed()),
            "-FailedUpdateScale +ValidMetricFound -DesiredWithinRange",
        ),
        (
            Told::of(&short(), Policy { rivals: vec![conflict], ..policy() }),
            "-Conflict +ValidMetricFound -DesiredWithinRange",
        ),
        (Told::unobserved(vec![missed(MissedWhy::Unreachable)]), "-FailedGetScale -Unreachable none"),
        (Told::unobserved(vec![missed(MissedWhy::NoSuchJob)]), "-FailedGetScale -NoSuchJob none"),
        (Told::unobserved(vec![Hold::Paused]), "none -ScalingDisabled none"),
        (Told::unobserved(vec![Hold::WarmingUp { samples: 0, needed: 1 }]), "none ?WarmingUp none"),
        (held(Hold::Cooldown { until: START }), "-Cooldown +ValidMetricFound -DesiredWithinRange"),
        (
            held(Hold::ScaleDownStabilized { until: START }),
            "+ScaleDownStabilized +ValidMetricFound -DesiredWithinRange",
        ),
        (held(silent), "none -FailedGetResourceMetric -DesiredWithinRange"),
        (held(query), "none -FailedGetExternalMetric -DesiredWithinRange"),
        (held(Hold::LoadChanging), "none +ValidMetricFound -DesiredWithinRange"),
        (held(Hold::SlotsMissing { needed: 9, have: 8 }), "-SlotsMissing +ValidMetricFound +SlotsMissing"),
        (held(Hold::Paced { by: LimitedBy::ScaleUpLimit }), "+Paced +ValidMetricFound +ScaleUpLimit"),
        (limited(LimitedBy::Slots, None), "+ReadyForNewScale +ValidMetricFound +Slots"),
        (limited(LimitedBy::Slots, Some(8)), "+ReadyForNewScale +ValidMetricFound +TooManyReplicas"),
        (limited(LimitedBy::MaxParallelism, None), "+ReadyForNewScale +ValidMetricFound +MaxParallelism"),
        (
            limited(LimitedBy::ScaleDownWindow, None),
            "+ScaleDownStabilized +ValidMetricFound -DesiredWithinRange",
        ),
        (limited(LimitedBy::Alignment, None), "+ReadyForNewScale +ValidMetricFound -DesiredWithinRange"),
    ] {
        let holds: Vec<&str> = told.decision.holds.iter().map(Hold::kind).collect();
        assert_eq!(
            conditions(&told.status()),
            expected,
            "{:?} {holds:?} {:?}",
            told.outcome,
            told.decision.limits
        );
    }
}

#[test]
fn is_ready_while_nothing_needs_a_person() {
    let held = |hold: Hold| {
        let mut told = Told::of(&well(), policy());
        (told.decision.holds, told.decision.verdict) = (vec![hold], Verdict::Held { plan: None });
        told.outcome(Outcome::Held { found: None })
    };
    let no_way = Hold::MechanismUnavailable { detail: "reactive mode".to_owned() };
    let ready = |told: Told| condition(&told.status(), ConditionType::Ready);
    for (found, expected) in [
        (ready(Told::of(&well(), policy())), "+ValidMetricFound"),
        (ready(held(Hold::Cooldown { until: START })), "+ValidMetricFound"),
        (ready(held(no_way)), "-MechanismUnavailable"),
        (ready(Told::of(&short(), policy()).outcome(failed())), "-FailedUpdateScale"),
        (ready(Told::unobserved(vec![missed(MissedWhy::NoSuchJob)])), "-NoSuchJob"),
        (ready(Told::unobserved(vec![Hold::Paused])), "+ScalingDisabled"),
        (ready(Told::unobserved(vec![Hold::WarmingUp { samples: 0, needed: 1 }])), "?WarmingUp"),
    ] {
        assert_eq!(found, expected);
    }
}

#[test]
fn a_condition_stays_while_a_cycle_says_nothing_of_it() {
    let before = Told::of(&well(), policy()).status();
    let ready = "+ReadyForNewScale +ValidMetricFound -DesiredWithinRange";
    for (holds, expected) in [
        (vec![missed(MissedWhy::TimedOut)], "-FailedGetScale -TimedOut -DesiredWithinRange"),
        (vec![Hold::Paused], "+ReadyForNewScale -ScalingDisabled -DesiredWithinRange"),
        (vec![Hold::RescaleInFlight { since: START }], ready),
    ] {
        let mut told = Told::unobserved(holds);
        // It has been rescaled before: that it starts again is no news.
        told.state.ledger.add_rescale(rescale(1, None));
        assert_eq!(conditions(&told.after(&before)), expected, "{:?}", told.decision.holds);
    }
}

#[test]
fn shows_sizes_and_why() {
    let told = Told::of(&short(), policy());
    let status = told.status();
    let (current, recommended) = (status.current.expect("seen"), status.recommended.expect("decided"));
    assert_eq!((current.replicas, current.slots, current.parallelism["v1"]), (Some(8), Some(3), 3));
    assert_eq!(recommended.parallelism["v1"], recommended.slots.expect("told"));
    assert!(recommended.parallelism["v1"] > 4, "{recommended:?}");
    assert_eq!(status.sizes, format!("1/3/1 -> 1/{}/1", recommended.parallelism["v1"]));
    let job = status.job.expect("seen");
    assert_eq!((&*job.name, job.state), ("orders", crate::model::JobState::Running));
    assert_eq!(status.mechanism, Some(UsedMechanism::InPlace));
    let decision = status.last_decision.expect("decided");
    assert_eq!((&*decision.verdict, &*decision.outcome), ("Approved", "Applied"));
    assert_eq!(decision.rule.as_deref(), Some("throughput"));
    assert!(decision.why.contains("v1 is short"), "{}", decision.why);
    assert_eq!(decision.numbers.expect("measured").load_per_second, Some(500));
}

#[test]
fn an_unchanged_job_has_an_unchanged_status() {
    let first = Told::of(&well(), policy()).status();
    for (seconds, load, is_written) in
        [(5, 500.0, false), (5, 505.0, false), (3600, 505.0, false), (60, 390.0, false), (700, 390.0, true)]
    {
        let told = Told::of(&well().arriving(load), policy()).later(seconds);
        let status = told.after(&first);
        assert_eq!(status != first, is_written, "{load}/s after {seconds} s: {status:?}");
    }
}

#[test]
fn a_hold_that_goes_on_is_written_once() {
    let held = |seconds: u64, records: f64| {
        let mut told = Told::of(&well(), policy()).later(seconds);
        told.decision.holds = vec![Hold::BacklogStands { records }];
        told.decision.verdict = Verdict::Held { plan: None };
        told.outcome(Outcome::Held { found: None })
    };
    let first = held(0, 9000.0).status();
    for (seconds, records, is_written) in [(5, 8000.0, false), (590, 1000.0, false), (610, 500.0, true)] {
        assert_eq!(held(seconds, records).after(&first) != first, is_written, "after {seconds} s");
    }
}

#[test]
fn the_last_scale_time_does_not_go_back() {
    let mut told = Told::of(&well(), policy());
    told.state.ledger.add_rescale(rescale(2, None));
    let status = told.status();
    assert_eq!(status.last_scale_time, Some(START + Duration::from_hours(2)));
    let forgotten = Told::of(&well(), policy()).after(&status);
    assert_eq!(forgotten.last_scale_time, status.last_scale_time);
}

#[test]
fn a_spec_that_is_refused_says_so_and_keeps_the_rest() {
    let before = Told::of(&well(), policy()).status();
    let now = START + Duration::from_mins(1);
    let status = refused(&before, Some(2), "PolicyNotFound", "there is no policy `fast`", now);
    assert_eq!(conditions(&status), "+ReadyForNewScale -PolicyNotFound -DesiredWithinRange");
    assert_eq!((status.observed_generation, &status.current), (Some(2), &before.current));
    assert_eq!(refused(&status, Some(2), "PolicyNotFound", "there is no policy `fast`", START), status);
}

#[test]
fn a_paused_job_has_no_recommendation() {
    let before = Told::of(&short(), policy()).status();
    let mut told = Told::unobserved(vec![Hold::Paused]);
    told.policy.mode = Mode::Paused;
    let status = told.after(&before);
    assert_eq!((status.recommended, &*status.sizes), (None, "1/6/1"));
}

#[test]
fn vertices_of_one_name_are_told_apart() {
    let mut job = well();
    let mut vertices = job.snapshot.graph.vertices().to_vec();
    vertices[2].name = "v1".to_owned();
    let edges = job.snapshot.graph.edges().to_vec();
    job.snapshot.graph = std::sync::Arc::new(crate::model::Graph::new(vertices, edges).expect("a chain"));
    let sizes = Told::of(&job, policy()).status().current.expect("seen").parallelism;
    assert_eq!(sizes.len(), 3, "{sizes:?}");
    assert_eq!(sizes.values().sum::<u32>(), 8);
}
