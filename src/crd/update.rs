//! The status after a cycle.
//!
//! Comes in: the status before, and what the cycle brought. Goes out: the status after, which is the same as before while nothing
//! has changed but figures: a job that stays as it is costs no write. Figures that have moved are written anew now and then.

use std::time::Duration;

use super::condition::{self, Said};
use super::figures::{self, Names};
use super::status::{FlinkAutoscalerStatus, JobSeen, LastDecision, UsedMechanism};
use super::{ConditionType, Numbers, reasons};
use crate::decide::Decision;
use crate::model::{Scheduler, Snapshot, Timestamp};
use crate::plan::{Way, way_of};
use crate::policy::{Mode, Policy};
use crate::record::{Outcome, State, Summary};

/// Figures of a decision that is otherwise the same are written anew after this long, if they have moved. Of 300 jobs with a
/// restless load that is one write in two seconds.
const FIGURES_EVERY: Duration = Duration::from_mins(10);

/// A load has moved when it is another by this share: less is noise.
const MOVED: f64 = 0.2;

/// What a cycle brought.
#[derive(Clone, Copy, Debug)]
pub struct Cycle<'a> {
    /// The generation of the spec that it went by.
    pub generation: Option<i64>,
    /// What that spec says, with the policy.
    pub policy: &'a Policy,
    /// What was decided.
    pub decision: &'a Decision,
    /// What came of it.
    pub outcome: &'a Outcome,
    /// What is known of the job.
    pub state: &'a State,
}

impl Cycle<'_> {
    pub(super) fn snapshot(&self) -> Option<&Snapshot> {
        self.state.history.last()
    }
}

/// The status after a cycle.
pub fn after_cycle(last: &FlinkAutoscalerStatus, cycle: &Cycle<'_>) -> FlinkAutoscalerStatus {
    let Cycle { generation, policy, decision, outcome: _, state } = *cycle;
    let snapshot = cycle.snapshot();
    let names = snapshot.map(|snapshot| Names::of(&snapshot.graph));
    let seen = snapshot.zip(names.as_ref());
    let made = decided(cycle, names.as_ref());
    let is_same = last.last_decision.as_ref().is_some_and(|last| is_same(last, &made));
    let has_moved = last.last_decision.as_ref().is_some_and(|last| has_moved(last, &made));
    let is_news = !is_same || has_moved;
    let current = seen.map(|(snapshot, names)| figures::current(snapshot, names));
    let recommended =
        seen.and_then(|(snapshot, names)| figures::recommended(decision, state, snapshot, names));
    FlinkAutoscalerStatus {
        observed_generation: generation,
        conditions: conditions(last, reasons::after_cycle(cycle), decision.at, is_news),
        job: snapshot.map(job).or_else(|| last.job.clone()),
        mechanism: snapshot.map_or(last.mechanism, |snapshot| mechanism(snapshot, policy)),
        current: current.or_else(|| last.current.clone()),
        // What was recommended stays so while nothing can be seen; a paused one recommends nothing.
        recommended: recommended.or_else(|| last.recommended.clone().filter(|_| policy.mode != Mode::Paused)),
        sizes: sizes(cycle).unwrap_or_else(|| last.sizes.clone()),
        last_decision: if is_news { Some(made) } else { last.last_decision.clone() },
        last_scale_time: last_scale_time(state).max(last.last_scale_time),
    }
}

/// The status of an autoscaler whose spec or policy cannot be used.
pub fn refused(
    last: &FlinkAutoscalerStatus,
    generation: Option<i64>,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> FlinkAutoscalerStatus {
    let said = [(ConditionType::ScalingActive, Said::no(reason, message))];
    FlinkAutoscalerStatus {
        observed_generation: generation,
        conditions: conditions(last, said, now, true),
        ..last.clone()
    }
}

/// What a cycle says of the conditions; one of which it says nothing stays as it was.
fn conditions(
    last: &FlinkAutoscalerStatus,
    said: impl IntoIterator<Item = (ConditionType, Said)>,
    now: Timestamp,
    is_news: bool,
) -> Vec<super::Condition> {
    let mut said: Vec<(ConditionType, Said)> = said.into_iter().collect();
    let condition = |kind: ConditionType| {
        let before = last.conditions.iter().find(|condition| condition.kind == kind);
        match said.iter().position(|(other, _)| *other == kind) {
            Some(at) => Some(condition::next(before, kind, said.swap_remove(at).1, now, is_news)),
            None => before.cloned(),
        }
    };
    let [able, active, limited] =
        [ConditionType::AbleToScale, ConditionType::ScalingActive, ConditionType::ScalingLimited]
            .map(condition);
    let before = last.conditions.iter().find(|condition| condition.kind == ConditionType::Ready);
    let ready = reasons::ready(able.as_ref(), active.as_ref())
        .map(|said| condition::next(before, ConditionType::Ready, said, now, is_news));
    [ready, able, active, limited].into_iter().flatten().collect()
}

fn job(snapshot: &Snapshot) -> JobSeen {
    JobSeen { id: snapshot.job.to_string(), name: snapshot.name.clone(), state: snapshot.state }
}

fn mechanism(snapshot: &Snapshot, policy: &Policy) -> Option<UsedMechanism> {
    match way_of(snapshot, policy).ok()? {
        // Whether it will take them is not known.
        Way::InPlace if snapshot.cluster.scheduler == Scheduler::Unknown => None,
        Way::InPlace => Some(UsedMechanism::InPlace),
        Way::Savepoint | Way::SavepointWhole => Some(UsedMechanism::Savepoint),
        Way::Reactive => Some(UsedMechanism::Reactive),
        Way::Operator | Way::OperatorWhole => Some(UsedMechanism::Operator),
    }
}

/// The sizes on one line; `None` where the cycle does not tell.
fn sizes(cycle: &Cycle<'_>) -> Option<String> {
    let snapshot = cycle.snapshot()?;
    let summary = Summary::of(cycle.decision, Some(&snapshot.graph));
    let current = snapshot.parallelism().iter().map(|size| size.get()).collect();
    Some(Summary { current, ..summary }.sizes())
}

fn last_scale_time(state: &State) -> Option<Timestamp> {
    let ledger = &state.ledger;
    let under_way = ledger.attempt.as_ref().map(|attempt| attempt.at);
    let rescaled = ledger.last_applied().map(|rescale| rescale.at);
    let scaled = ledger.scaling.changes.back().map(|change| change.at);
    [under_way, rescaled, scaled].into_iter().flatten().max()
}

fn decided(cycle: &Cycle<'_>, names: Option<&Names>) -> LastDecision {
    let Cycle { decision, outcome, .. } = *cycle;
    let found = match outcome {
        Outcome::Held { found } => found.as_ref(),
        _ => None,
    };
    let detail = match outcome {
        Outcome::Superseded { detail } | Outcome::Failed { detail } | Outcome::RolledBack { detail } => {
            Some(detail)
        }
        _ => None,
    };
    let because = Summary::of(decision, cycle.snapshot().map(|snapshot| &*snapshot.graph)).because;
    let why = [Some(because), found.map(|hold| format!("not now: {hold}")), detail.cloned()];
    let why: Vec<String> = why.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    LastDecision {
        at: decision.at,
        verdict: decision.verdict.kind().to_owned(),
        outcome: outcome.kind().to_owned(),
        why: why.join("; "),
        rule: figures::rule(decision).map(str::to_owned),
        holds: decision.holds.iter().chain(found).map(|hold| hold.kind().to_owned()).collect(),
        limits: names.map(|names| figures::limits(decision, names)).unwrap_or_default(),
        numbers: figures::numbers(decision),
    }
}

/// Whether two decisions differ in nothing but figures.
fn is_same(last: &LastDecision, made: &LastDecision) -> bool {
    let LastDecision { at: _, verdict, outcome, why: _, rule, holds, limits, numbers: _ } = made;
    let last_by = last.limits.iter().map(|limit| (&limit.vertex, &limit.by, limit.after));
    let by = limits.iter().map(|limit| (&limit.vertex, &limit.by, limit.after));
    (&last.verdict, &last.outcome, &last.rule, &last.holds) == (verdict, outcome, rule, holds)
        && last_by.eq(by)
}

/// Whether the figures of a decision have moved, and have stood for long enough to be written anew.
fn has_moved(last: &LastDecision, made: &LastDecision) -> bool {
    let load = |numbers: &Option<Numbers>| numbers.as_ref().and_then(|numbers| numbers.load_per_second);
    let moved = match (load(&last.numbers), load(&made.numbers)) {
        (Some(before), Some(now)) => (now - before).abs() as f64 > MOVED * before.abs().max(1) as f64,
        (before, now) => before != now,
    };
    // A hold says until when, or how much: that is what a reader waits for.
    let held = !made.holds.is_empty() && last.why != made.why;
    (moved || held) && made.at.since(last.at) >= FIGURES_EVERY
}

#[cfg(test)]
mod tests;
