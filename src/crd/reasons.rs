//! What a cycle says of the three conditions: the HPA's own reasons where it has one, and ours otherwise.

use super::condition::{Condition, Said};
use super::update::Cycle;
use super::{ConditionStatus, ConditionType};
use crate::decide::Verdict;
use crate::guard::Hold;
use crate::plan::LimitedBy;
use crate::policy::{RuleSaid, Said as RuleWord, Silence, Why};
use crate::record::summary::limited;
use crate::record::{Outcome, Summary};

/// What stands in the way until somebody does something about it, other than what passes by itself.
const FAULTS: [&str; 5] =
    ["Conflict", "FailedGetScale", "FailedUpdateScale", "MechanismUnavailable", "RolledBack"];

/// Whether the job is looked after, by what is said of the other conditions.
pub(super) fn ready(able: Option<&Condition>, active: Option<&Condition>) -> Option<Said> {
    if let Some(active) = active.filter(|active| active.status != ConditionStatus::True) {
        // Somebody wanted it so.
        let status = if active.reason == DISABLED { ConditionStatus::True } else { active.status };
        return Some(Said::new(status, &active.reason, &*active.message));
    }
    if let Some(able) = able.filter(|able| FAULTS.contains(&&*able.reason)) {
        return Some(Said::no(&able.reason, &*able.message));
    }
    active.map(|active| Said::yes(&active.reason, &*active.message))
}

/// The HPA's word for one that is switched off.
const DISABLED: &str = "ScalingDisabled";

/// What a cycle says; of a condition that is not among it, the cycle tells nothing new.
pub(super) fn after_cycle(cycle: &Cycle<'_>) -> Vec<(ConditionType, Said)> {
    let all = [
        (ConditionType::AbleToScale, able_to_scale(cycle)),
        (ConditionType::ScalingActive, scaling_active(cycle)),
        (ConditionType::ScalingLimited, scaling_limited(cycle)),
    ];
    all.into_iter().filter_map(|(kind, said)| Some((kind, said?))).collect()
}

/// Whether a rescale can be asked for, or something stands in the way.
fn able_to_scale(cycle: &Cycle<'_>) -> Option<Said> {
    if !cycle.policy.rivals.is_empty() {
        let hold = Hold::Conflict { with: cycle.policy.rivals.clone() };
        return Some(Said::no(hold.kind(), hold.to_string()));
    }
    let sizes = || {
        let graph = cycle.snapshot().map(|snapshot| &*snapshot.graph);
        Summary::of(cycle.decision, graph).sizes()
    };
    match cycle.outcome {
        Outcome::Failed { detail } => Some(Said::no("FailedUpdateScale", detail)),
        Outcome::RolledBack { detail } => Some(Said::no("RolledBack", detail)),
        Outcome::Superseded { .. } => None,
        Outcome::Applied => Some(Said::yes("SucceededRescale", format!("asked Flink for {}", sizes()))),
        Outcome::Recommended => Some(Said::yes("Recommended", format!("would ask Flink for {}", sizes()))),
        Outcome::Held { found: Some(hold) } => held(hold),
        // The first is the one that was looked at first: whether there is anything to act on at all.
        Outcome::Held { found: None } | Outcome::Unobserved => {
            let said = cycle.decision.holds.iter().filter_map(held);
            // What stands in the way counts more than what is merely waited for.
            said.min_by_key(|said| said.status != ConditionStatus::False)
        }
        Outcome::Unchanged => Some(unchanged(cycle)),
    }
}

/// What a hold says of being able to scale. Of one that is over within some polls: nothing.
fn held(hold: &Hold) -> Option<Said> {
    let message = hold.to_string();
    match hold {
        Hold::NotObserved { .. } | Hold::Stale { last: Some(_) } | Hold::WorkloadUnseen { .. } => {
            Some(Said::no("FailedGetScale", message))
        }
        Hold::ScaleRefused { .. } | Hold::ScaleFailed { .. } => Some(Said::no("FailedUpdateScale", message)),
        Hold::Stale { last: None }
        | Hold::JobNotRunning { .. }
        | Hold::LoadChanging
        | Hold::WarmingUp { .. }
        | Hold::RescaleInFlight { .. }
        | Hold::RuleSilent { .. }
        | Hold::TaskManagersUnseen
        | Hold::Paused
        | Hold::NotLeading => None,
        // In the HPA's words too; the others wait for a reason of ours.
        Hold::ScaleDownStabilized { .. }
        | Hold::BacklogStands { .. }
        | Hold::NotWorthIt { .. }
        | Hold::EffectAwaited { .. }
        | Hold::SlotsAwaited { .. }
        | Hold::NoIdleTaskManager { .. }
        | Hold::BusyTaskManagerFirst { .. }
        | Hold::Paced { .. } => Some(Said::yes(hold.kind(), message)),
        _ => Some(Said::no(hold.kind(), message)),
    }
}

fn unchanged(cycle: &Cycle<'_>) -> Said {
    let is_limited = |by: LimitedBy| cycle.decision.limits.iter().any(|limit| limit.by == by);
    for (by, reason) in
        [(LimitedBy::ScaleDownWindow, "ScaleDownStabilized"), (LimitedBy::ScaleUpWindow, "ScaleUpStabilized")]
    {
        if is_limited(by) {
            return Said::yes(reason, format!("the size stays for now: {}", limited(by)));
        }
    }
    Said::yes("ReadyForNewScale", "the recommended size is the current size")
}

/// Whether a size can be computed.
fn scaling_active(cycle: &Cycle<'_>) -> Option<Said> {
    let decision = cycle.decision;
    for hold in &decision.holds {
        let message = hold.to_string();
        match hold {
            // In Flink's case the kind of failure says more than that there was one.
            Hold::NotObserved { why, .. } => return Some(Said::no(&format!("{why:?}"), message)),
            Hold::Stale { last: Some(_) } | Hold::JobNotRunning { .. } => {
                return Some(Said::no(hold.kind(), message));
            }
            Hold::Paused => return Some(Said::no(DISABLED, message)),
            Hold::RuleSilent { rule, why } => return Some(silent(rule, why)),
            _ => {}
        }
    }
    let Some(proposal) = &decision.proposal else {
        return before_the_first(cycle);
    };
    let spoke = proposal.rules.iter().any(has_spoken);
    match proposal.silent().next() {
        Some((rule, why)) if !spoke => Some(silent(rule.rule, why)),
        _ => Some(Said::yes("ValidMetricFound", "the size was computed from what was measured")),
    }
}

fn has_spoken(rule: &RuleSaid) -> bool {
    matches!(rule.said, RuleWord::Sizes | RuleWord::Replicas(_) | RuleWord::FellBack { .. })
}

fn silent(rule: &str, why: &Silence) -> Said {
    let reason = match rule {
        "resource" => "FailedGetResourceMetric",
        "prometheus" => "FailedGetExternalMetric",
        _ => "RuleSilent",
    };
    Said::no(reason, format!("the rule {rule} cannot speak: {why}"))
}

/// While a job starts again nothing is computed, and that is no fault: what was known before stands.
fn before_the_first(cycle: &Cycle<'_>) -> Option<Said> {
    let was_there = cycle.state.ledger.attempt.is_some() || !cycle.state.ledger.rescales.is_empty();
    let hold = cycle.decision.holds.first()?;
    (!was_there && matches!(cycle.decision.verdict, Verdict::Unobserved))
        .then(|| Said::unknown(hold.kind(), hold.to_string()))
}

/// Whether the size that is needed is cut off by a limit.
fn scaling_limited(cycle: &Cycle<'_>) -> Option<Said> {
    let decision = cycle.decision;
    for hold in &decision.holds {
        match hold {
            Hold::Paced { by } => return Some(Said::yes(&reason(*by, cycle), hold.to_string())),
            Hold::SlotsMissing { .. } | Hold::QuotaSpent { .. } | Hold::QuotaUnknown { .. } => {
                return Some(Said::yes(hold.kind(), hold.to_string()));
            }
            _ => {}
        }
    }
    let proposal = decision.proposal.as_ref()?;
    if let Some(limit) = decision.limits.iter().find(|limit| cuts_off(limit.by)) {
        let graph = cycle.snapshot().map(|snapshot| &*snapshot.graph);
        let name = crate::record::summary::vertex_name(graph, limit.vertex);
        let message =
            format!("{name} gets {} instead of {}: {}", limit.after, limit.before, limited(limit.by));
        return Some(Said::yes(&reason(limit.by, cycle), message));
    }
    if proposal.wants.iter().any(|want| want.why == Why::Unscalable) {
        let message = "a vertex needs more than any size gives: more subtasks would bring nothing";
        return Some(Said::yes("Unscalable", message));
    }
    Some(Said::no("DesiredWithinRange", "the size that is needed is within all limits"))
}

/// Whether a limit takes away from a size, or adds to it. The others shape it, or wait.
fn cuts_off(by: LimitedBy) -> bool {
    match by {
        LimitedBy::MaxScaleUpFactor
        | LimitedBy::MaxScaleDownFactor
        | LimitedBy::MinParallelism
        | LimitedBy::MaxParallelism
        | LimitedBy::KeyGroups
        | LimitedBy::Partitions
        | LimitedBy::Slots
        | LimitedBy::NoRoom
        | LimitedBy::ClusterCapacity
        | LimitedBy::Quota
        | LimitedBy::ScheduleCeiling
        | LimitedBy::ScaleUpLimit
        | LimitedBy::ScaleDownLimit => true,
        LimitedBy::Alignment
        | LimitedBy::OneSize
        | LimitedBy::Together
        | LimitedBy::ScaleDownWindow
        | LimitedBy::RuleSilent
        | LimitedBy::Backlog
        | LimitedBy::ScaleUpWindow
        | LimitedBy::Direction => false,
    }
}

/// The HPA's word for a limit, where it has one.
fn reason(by: LimitedBy, cycle: &Cycle<'_>) -> String {
    let at_most = cycle.policy.replicas.max.is_some();
    match by {
        LimitedBy::Slots if at_most => "TooManyReplicas".to_owned(),
        other => format!("{other:?}"),
    }
}
