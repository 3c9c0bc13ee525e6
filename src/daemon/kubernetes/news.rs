//! What is worth an Event: what was done, and what begins to stand in the way. Never one per cycle.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::daemon::job::Told;
use crate::guard::{Hold, HoldKind};
use crate::model::Timestamp;
use crate::record::{Outcome, Summary};

/// A reason that comes back within this time has not begun anew.
const SAME_WITHIN: Duration = Duration::from_mins(10);

/// Kubernetes takes notes of up to a kilobyte.
const LONGEST_NOTE: usize = 1000;

/// Something worth an Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct News {
    pub(super) is_warning: bool,
    /// A word of a closed list, as conditions have.
    pub(super) reason: String,
    /// What was being done.
    pub(super) action: &'static str,
    pub(super) note: String,
}

impl News {
    pub(super) fn new(is_warning: bool, reason: &str, action: &'static str, note: impl Into<String>) -> Self {
        let note: String = note.into();
        let note = note.chars().take(LONGEST_NOTE).collect();
        Self { is_warning, reason: reason.to_owned(), action, note }
    }
}

/// What was told of one job.
#[derive(Debug, Default)]
pub(super) struct Teller {
    /// When each reason was last there.
    held: BTreeMap<HoldKind, Timestamp>,
    /// Whether there was a cycle, and when the last rescale had ended before it.
    looked: bool,
    ended: Option<Timestamp>,
    failed: Option<String>,
}

impl Teller {
    /// What is worth an Event after a cycle.
    pub(super) fn news(&mut self, told: &Told<'_>) -> Vec<News> {
        let mut news = Vec::new();
        self.outcome(told, &mut news);
        self.ended(told, &mut news);
        self.holds(told, &mut news);
        news
    }

    fn outcome(&mut self, told: &Told<'_>, news: &mut Vec<News>) {
        let action = "Rescale";
        let failed = match told.outcome {
            Outcome::Applied => {
                let graph = told.state.history.last().map(|snapshot| &*snapshot.graph);
                let summary = Summary::of(told.decision, graph);
                let because = &summary.because;
                news.push(if let Some((from, to)) = summary.replicas {
                    let note = format!("asked Kubernetes for {to} TaskManagers instead of {from}: {because}");
                    News::new(false, "ScalingTaskManagers", "Scale", note)
                } else {
                    let operator = told.decision.plan().and_then(|plan| plan.operator.as_ref());
                    let whom = operator.map_or("Flink", |change| &change.resource);
                    let note = format!("asked {whom} for {}: {because}", summary.sizes());
                    News::new(false, "Rescaling", action, note)
                });
                None
            }
            Outcome::RolledBack { detail } => {
                news.push(News::new(true, "RolledBack", action, detail.clone()));
                None
            }
            Outcome::Superseded { detail } => {
                news.push(News::new(false, "Superseded", action, detail.clone()));
                None
            }
            Outcome::Failed { detail } => Some(detail.clone()),
            Outcome::Unobserved | Outcome::Unchanged | Outcome::Recommended | Outcome::Held { .. } => None,
        };
        // What is tried again each cycle fails each cycle.
        if let Some(detail) = &failed
            && self.failed != failed
        {
            news.push(News::new(true, "FailedRescale", action, detail.clone()));
        }
        self.failed = failed;
    }

    /// Rescales that have come about, or have not.
    fn ended(&mut self, told: &Told<'_>, news: &mut Vec<News>) {
        let last = told.state.ledger.rescales.back();
        let at = last.map(|rescale| rescale.ended);
        if let Some(last) = last
            && self.looked
            && self.ended != at
            && last.end.changed_the_job()
        {
            let took = crate::policy::Span::from(last.ended.since(last.at));
            let downtime = last.downtime.map_or_else(String::new, |downtime| {
                format!("; the job stood still for {:.1} s", downtime.get())
            });
            let note = format!("the job runs at its new size, {took} after it was asked for{downtime}");
            news.push(News::new(false, "Rescaled", "Rescale", note));
        }
        (self.looked, self.ended) = (true, at);
    }

    fn holds(&mut self, told: &Told<'_>, news: &mut Vec<News>) {
        let found = match told.outcome {
            Outcome::Held { found } => found.as_ref(),
            _ => None,
        };
        let at = told.decision.at;
        for hold in told.decision.holds.iter().chain(found).filter(|hold| is_told(hold)) {
            let before = self.held.insert(hold.kind(), at);
            if before.is_none_or(|before| at.since(before) > SAME_WITHIN) {
                news.push(News::new(is_warning(hold), hold.kind(), "Decide", hold.to_string()));
            }
        }
        self.held.retain(|_, last| at.since(*last) <= SAME_WITHIN);
    }
}

/// Whether a reason is more than a pause of some polls.
fn is_told(hold: &Hold) -> bool {
    !matches!(
        hold,
        Hold::Stale { .. }
            | Hold::LoadChanging
            | Hold::WarmingUp { .. }
            | Hold::RescaleInFlight { .. }
            | Hold::EffectAwaited { .. }
            | Hold::Cooldown { .. }
            | Hold::ScaleDownStabilized { .. }
            | Hold::NotLeading
    )
}

/// Whether somebody should look.
fn is_warning(hold: &Hold) -> bool {
    matches!(
        hold,
        Hold::NotObserved { .. }
            | Hold::FailedBefore { .. }
            | Hold::StopFailed { .. }
            | Hold::BroughtNothing { .. }
            | Hold::SlotsMissing { .. }
            | Hold::QuotaSpent { .. }
            | Hold::QuotaUnknown { .. }
            | Hold::RuleSilent { .. }
            | Hold::MechanismUnavailable { .. }
            | Hold::Conflict { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{Decision, VERSION, Verdict};
    use crate::model::{FlinkVersion, Missed, MissedWhy, Observation, Removes, Rescale, RescaleEnd, Seconds};
    use crate::plan::{Assumptions, Direction, Plan, Scale, Way};
    use crate::policy::Policy;
    use crate::record::State;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    fn decision(second: i64, plan: Option<Plan>, holds: &[Hold]) -> Decision {
        Decision {
            version: VERSION,
            at: at(second),
            job: None,
            verdict: Verdict::Held { plan },
            holds: holds.to_vec(),
            limits: Vec::new(),
            proposal: None,
            signals: None,
        }
    }

    /// The reasons of the news of cycles: second, holds, outcome.
    fn told(cycles: &[(i64, &[Hold], Outcome)]) -> Vec<(i64, String)> {
        let (mut teller, policy, state) = (Teller::default(), Policy::default(), State::default());
        let mut reasons = Vec::new();
        for (second, holds, outcome) in cycles {
            let decision = decision(*second, None, holds);
            let told = Told { policy: &policy, decision: &decision, outcome, state: &state };
            reasons.extend(teller.news(&told).into_iter().map(|news| (*second, news.reason)));
        }
        reasons
    }

    #[test]
    fn a_reason_that_goes_on_or_comes_back_soon_is_told_once() {
        let held = || Outcome::Held { found: None };
        let paused: &[Hold] = &[Hold::PausedByAnnotation { direction: None, until: None }];
        let got = told(&[
            (0, paused, held()),
            (5, paused, held()),
            (10, &[], Outcome::Unchanged),
            (400, paused, held()),
            (405, &[], Outcome::Unchanged),
            (1100, paused, held()),
        ]);
        let reason = "PausedByAnnotation".to_owned();
        assert_eq!(got, [(0, reason.clone()), (1100, reason)]);
    }

    #[test]
    fn what_passes_within_some_polls_is_not_told() {
        let holds: &[Hold] =
            &[Hold::LoadChanging, Hold::Cooldown { until: at(9) }, Hold::RescaleInFlight { since: at(0) }];
        assert_eq!(told(&[(0, holds, Outcome::Held { found: None })]), []);
    }

    #[test]
    fn every_rescale_is_told_and_a_failure_once() {
        let failed = |detail: &str| Outcome::Failed { detail: detail.to_owned() };
        let got = told(&[
            (0, &[], Outcome::Applied),
            (5, &[], failed("no answer")),
            (10, &[], failed("no answer")),
            (15, &[], failed("refused")),
            (20, &[], Outcome::RolledBack { detail: String::new() }),
            (200, &[], Outcome::Applied),
        ]);
        let got: Vec<(i64, &str)> = got.iter().map(|(second, reason)| (*second, reason.as_str())).collect();
        assert_eq!(
            got,
            [
                (0, "Rescaling"),
                (5, "FailedRescale"),
                (15, "FailedRescale"),
                (20, "RolledBack"),
                (200, "Rescaling")
            ]
        );
    }

    #[test]
    fn another_number_of_taskmanagers_is_told_as_what_it_is() {
        let scale = Scale { from: 1, to: 3, pods: Vec::new(), removes: Removes::LowestCost };
        let plan = Plan {
            direction: Direction::Up,
            changes: Vec::new(),
            slots_before: 2,
            slots_after: 5,
            replicas: Some(3),
            scale: Some(scale),
            way: Way::InPlace,
            operator: None,
            assumes: Assumptions {
                job: "5e92a1a4c0f2c8e1a4b1d1f1c0ffee00".parse().expect("an id"),
                version: FlinkVersion { major: 2, minor: 3, patch: 0 },
                running_since: None,
                slots: 5,
            },
            load: 700.0,
            within_bounds_again: false,
        };
        let (policy, state) = (Policy::default(), State::default());
        let decision = decision(0, Some(plan), &[]);
        let told = Told { policy: &policy, decision: &decision, outcome: &Outcome::Applied, state: &state };
        let news = Teller::default().news(&told);
        let [News { reason, note, .. }] = &news[..] else { panic!("{news:?}") };
        assert_eq!(reason, "ScalingTaskManagers");
        assert!(note.starts_with("asked Kubernetes for 3 TaskManagers instead of 1"), "{note}");
    }

    #[test]
    fn a_rescale_that_has_come_about_is_told_but_not_one_from_before() {
        let mut state = State::default();
        let rescale = |ended: i64| Rescale {
            at: at(ended - 4),
            ended: at(ended),
            end: RescaleEnd::Done,
            from: BTreeMap::new(),
            to: BTreeMap::new(),
            downtime: Seconds::new(1.5).ok(),
            load: 0.0,
            brought: None,
            reached: Vec::new(),
        };
        let mut teller = Teller::default();
        let mut notes = Vec::new();
        let (policy, outcome) = (Policy::default(), Outcome::Unchanged);
        for ended in [1, 1, 50] {
            if state.ledger.rescales.back().is_none_or(|last| last.ended != at(ended)) {
                state.ledger.add_rescale(rescale(ended));
            }
            let missed = Missed { at: at(ended), why: MissedWhy::Unreachable, detail: String::new() };
            let mut copy = State::default();
            let observation = Observation::Missed(missed);
            let decision = copy.cycle(&observation, &policy, at(ended));
            let told = Told { policy: &policy, decision: &decision, outcome: &outcome, state: &state };
            let news = teller.news(&told).into_iter().filter(|news| news.reason == "Rescaled");
            notes.extend(news.map(|news| news.note));
        }
        assert_eq!(
            notes,
            ["the job runs at its new size, 4s after it was asked for; the job stood still for 1.5 s"]
        );
    }
}
