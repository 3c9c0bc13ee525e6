//! The arrow, as one function: from what was seen to what is to be done, and why.
//!
//! The daemon, `recommend`, the demo, the simulator, `policy test` and `replay` all call [`decide`], and nothing else
//! decides. It reads no clock and does no IO: the same inputs give the same decision, byte for byte.

use serde::Serialize;

use crate::guard::{self, Approved, Hold};
use crate::model::{JobId, JobState, Ledger, Snapshot, Timestamp};
use crate::plan::{self, Limit, Plan, Step};
use crate::policy::{self, Mode, Policy, Proposal};
use crate::signals::{History, Signals};

/// The version of the serialised form.
pub const VERSION: u32 = 1;

/// What one cycle chose, with all it rests on.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// The version of this form.
    pub version: u32,
    /// When it was made.
    pub at: Timestamp,
    /// The job, as soon as it has been seen once.
    pub job: Option<JobId>,
    /// What was chosen.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Why nothing is done now; empty when the plan was approved or nothing needs doing.
    pub holds: Vec<Hold>,
    /// What changed the proposal on its way to the plan, in order.
    pub limits: Vec<Limit>,
    /// What the rules asked for.
    pub proposal: Option<Proposal>,
    /// What the job was doing.
    pub signals: Option<Signals>,
}

/// What was chosen.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "verdict")]
pub enum Verdict {
    /// There is nothing to decide on.
    Unobserved,
    /// The job has the size it needs.
    Unchanged,
    /// The job needs another size, but not now.
    Held {
        /// What would be done; `None` while a rescale is under way.
        plan: Option<Plan>,
    },
    /// The job needs another size, now.
    Approved {
        /// What is to be done.
        plan: Approved,
    },
}

impl Verdict {
    /// The name alone: a metric label, a log field.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unobserved => "Unobserved",
            Self::Unchanged => "Unchanged",
            Self::Held { .. } => "Held",
            Self::Approved { .. } => "Approved",
        }
    }
}

impl Decision {
    /// What is, or would be, done.
    pub fn plan(&self) -> Option<&Plan> {
        match &self.verdict {
            Verdict::Unobserved | Verdict::Unchanged => None,
            Verdict::Held { plan } => plan.as_ref(),
            Verdict::Approved { plan } => Some(plan.plan()),
        }
    }

    /// Whether the registered TaskManagers are to be looked at in the next cycle: some of them may go.
    pub fn wants_taskmanagers(&self) -> bool {
        self.plan().is_some_and(|plan| plan.step() == Step::RemoveTaskManagers)
    }

    /// Whether slots are awaited, so that they are to be looked at in the next cycle.
    pub fn awaits_slots(&self) -> bool {
        self.holds.iter().any(|hold| matches!(hold, Hold::SlotsAwaited { .. }))
            || self.plan().is_some_and(|plan| plan.step() == Step::AddTaskManagers)
    }

    /// The plan that may be carried out.
    pub fn approved(&self) -> Option<&Approved> {
        match &self.verdict {
            Verdict::Approved { plan } => Some(plan),
            Verdict::Unobserved | Verdict::Unchanged | Verdict::Held { .. } => None,
        }
    }
}

/// Decides what is to be done about a job at `now`.
pub fn decide(history: &History, policy: &Policy, ledger: &Ledger, now: Timestamp) -> Decision {
    let mut decision = Decision {
        version: VERSION,
        at: now,
        job: history.last().map(|snapshot| snapshot.job),
        verdict: Verdict::Unobserved,
        holds: Vec::new(),
        limits: Vec::new(),
        proposal: None,
        signals: None,
    };
    let snapshot = match observed(history, policy, now) {
        Ok(snapshot) => snapshot,
        Err(hold) => {
            decision.holds.push(hold);
            return decision;
        }
    };
    if let Some(attempt) = &ledger.attempt {
        decision.verdict = Verdict::Held { plan: None };
        decision.holds.push(Hold::RescaleInFlight { since: attempt.at });
        return decision;
    }
    if let Some(hold) = guard::not_running(snapshot) {
        decision.holds.push(hold);
        return decision;
    }
    let Some(signals) = history.signals() else {
        decision.holds.push(Hold::WarmingUp { samples: 0, needed: guard::SAMPLES_NEEDED });
        return decision;
    };

    let proposal = policy::propose(&signals, snapshot, policy, ledger, now);
    let (made, limits) = plan::make(&proposal, snapshot, policy, ledger, now);
    decision.limits = limits;
    // Where the job needs another size, its TaskManagers can go all the same that even that one would not need.
    let fewer = plan::fewer(&proposal, snapshot, policy, ledger, made.as_ref(), now);
    let context = guard::Context { snapshot, signals: &signals, proposal: &proposal, policy, ledger, now };
    let judge = |made: Option<plan::Made>| made.map(|made| guard::judge(made, &context));
    (decision.verdict, decision.holds) = match (judge(made), judge(fewer)) {
        (Some(Ok(plan)), _) | (_, Some(Ok(plan))) => (Verdict::Approved { plan }, Vec::new()),
        (Some(Err((plan, holds))), _) | (None, Some(Err((plan, holds)))) => {
            (Verdict::Held { plan: Some(plan) }, holds)
        }
        (None, None) => (Verdict::Unchanged, Vec::new()),
    };
    decision.proposal = Some(proposal);
    decision.signals = Some(signals);
    decision
}

/// The last snapshot, if the job was seen just now and is one that can be decided on.
fn observed<'a>(history: &'a History, policy: &Policy, now: Timestamp) -> Result<&'a Snapshot, Hold> {
    if policy.mode == Mode::Paused {
        return Err(Hold::Paused);
    }
    if let Some((missed, since)) = history.missed() {
        return Err(Hold::NotObserved { since, why: missed.why, detail: missed.detail.clone() });
    }
    let snapshot = history.last().ok_or(Hold::Stale { last: None })?;
    if guard::is_stale(snapshot.at, policy, now) {
        return Err(Hold::Stale { last: Some(snapshot.at) });
    }
    if snapshot.state.is_terminal() || snapshot.state == JobState::Suspended {
        return Err(Hold::JobNotRunning { state: snapshot.state });
    }
    Ok(snapshot)
}
