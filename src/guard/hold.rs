//! "Not now, because": typed, with the numbers.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{JobState, MissedWhy, Timestamp};
use crate::plan::LimitedBy;
use crate::policy::{Rival, ScaleDirection, Silence};

/// Why nothing is done now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all_fields = "camelCase")]
pub enum Hold {
    /// The last polls brought nothing usable.
    NotObserved {
        /// Since when.
        since: Timestamp,
        /// What was the matter with the last one.
        why: MissedWhy,
        /// One line for people.
        detail: String,
    },
    /// The last sample is too old.
    Stale {
        /// When it was taken; `None` when there is none yet.
        last: Option<Timestamp>,
    },
    /// The job is not RUNNING with all subtasks up.
    JobNotRunning {
        /// Its state.
        state: JobState,
    },
    /// A load that has just changed is looked at once more.
    LoadChanging,
    /// Too little has been seen since the job last started.
    WarmingUp {
        /// Samples so far.
        samples: u32,
        /// Samples that are needed.
        needed: u32,
    },
    /// A rescale is under way.
    RescaleInFlight {
        /// When it was asked for.
        since: Timestamp,
    },
    /// The last rescale was a short while ago.
    Cooldown {
        /// When the next may be asked for.
        until: Timestamp,
    },
    /// So many rescales have been made.
    BudgetSpent {
        /// How many.
        made: u32,
        /// When the next may be asked for.
        until: Timestamp,
    },
    /// Scaling down waits until its window has passed.
    ScaleDownStabilized {
        /// When the window will have passed, if the need stays as it is.
        until: Timestamp,
    },
    /// Scaling down waits until the backlog is gone.
    BacklogStands {
        /// Records that wait.
        records: f64,
    },
    /// So much time goes into garbage collection that fewer TaskManagers would have too little memory.
    GcPressure {
        /// The share of time.
        share: f64,
        /// The most that it may be (`limits.memoryPressure.gcTime`).
        most: f64,
    },
    /// So much of the heap stays in use that fewer TaskManagers would have too little memory.
    HeapPressure {
        /// The share of the heap that a garbage collection leaves in use.
        share: f64,
        /// The most that it may be (`limits.memoryPressure.heap`).
        most: f64,
    },
    /// The slots that scaling down would save are not worth the restart.
    NotWorthIt {
        /// Slot-seconds it would save until the load is expected back.
        saved: f64,
        /// Slot-seconds it would cost.
        cost: f64,
    },
    /// The job has just grown for this load; what that brings is looked at first.
    EffectAwaited {
        /// When.
        until: Timestamp,
    },
    /// The job was stopped for this very size a while ago, and did not come up at it.
    FailedBefore {
        /// When it was tried.
        tried: Timestamp,
        /// When it may be tried again.
        until: Timestamp,
    },
    /// The job could not be stopped with a savepoint a while ago, and has run on.
    StopFailed {
        /// When it was tried.
        tried: Timestamp,
        /// When it may be tried again.
        until: Timestamp,
    },
    /// The job has grown for this load, and it brought nothing.
    BroughtNothing {
        /// When it was tried.
        tried: Timestamp,
    },
    /// There are too few slots.
    SlotsMissing {
        /// Slots that the plan needs.
        needed: u32,
        /// Slots that are there.
        have: u32,
    },
    /// TaskManagers that the plan needs were asked for, and are not all there.
    SlotsAwaited {
        /// Slots that the plan needs.
        needed: u32,
        /// Slots that are there.
        have: u32,
        /// Replicas that were asked for.
        replicas: u32,
        /// When they are given up; `None` when they have only now been found to be missing.
        until: Option<Timestamp>,
        /// Why they are missing, in the words of whoever refused; `None` where nobody says.
        why: Option<String>,
    },
    /// There are more TaskManagers than are needed, and each of them holds slots.
    NoIdleTaskManager {
        /// TaskManagers that there are.
        replicas: u32,
        /// TaskManagers that would do.
        enough: u32,
    },
    /// There are more TaskManagers than are needed, and the workload would remove one first that may hold slots.
    BusyTaskManagerFirst {
        /// Its pod.
        pod: String,
    },
    /// There are more TaskManagers than are needed; which of them are idle is looked up for the next cycle.
    TaskManagersUnseen,
    /// The workload that gives the job its slots could not be looked at: nothing shrinks.
    WorkloadUnseen {
        /// Why, in one line for people.
        detail: String,
    },
    /// The replicas of the workload may not be changed this way.
    ScaleRefused {
        /// In the words of whoever refused.
        detail: String,
    },
    /// A change of the replicas has just failed.
    ScaleFailed {
        /// When it may be tried again.
        until: Timestamp,
    },
    /// The quota of CPU and memory leaves nothing of the change.
    QuotaSpent {
        /// Slots that the plan needs.
        needed: u32,
        /// Slots that the quota allows.
        allowed: u32,
    },
    /// The plan needs more than there is, and what the TaskManagers request is not known: the quota cannot be checked.
    QuotaUnknown {
        /// Slots that the plan needs.
        needed: u32,
        /// Slots that are there.
        have: u32,
    },
    /// A blackout of the policy is open.
    Blackout {
        /// When the last one that is open closes.
        until: Timestamp,
    },
    /// The policy's behavior leaves nothing of the change for now.
    Paced {
        /// What of it.
        by: LimitedBy,
    },
    /// A rule could not speak, and might ask for more.
    RuleSilent {
        /// The rule.
        rule: String,
        /// Why it cannot.
        why: Silence,
    },
    /// The cluster cannot rescale this way.
    MechanismUnavailable {
        /// Why not, and which setting would allow it.
        detail: String,
    },
    /// The policy says so.
    Paused,
    /// An annotation says so.
    PausedByAnnotation {
        /// The one direction that it pauses; both, without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        direction: Option<ScaleDirection>,
        /// When it is over; not by itself, without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// Somebody else scales the same job or the same workload.
    Conflict {
        /// Who.
        with: Vec<Rival>,
    },
    /// This process may not act at present: another one may.
    NotLeading,
}

/// The kind of a hold, without its numbers: a metric label, an event reason.
pub type HoldKind = &'static str;

impl Hold {
    /// The kind, without the numbers.
    pub fn kind(&self) -> HoldKind {
        match self {
            Self::NotObserved { .. } => "NotObserved",
            Self::Stale { .. } => "Stale",
            Self::JobNotRunning { .. } => "JobNotRunning",
            Self::LoadChanging => "LoadChanging",
            Self::WarmingUp { .. } => "WarmingUp",
            Self::RescaleInFlight { .. } => "RescaleInFlight",
            Self::Cooldown { .. } => "Cooldown",
            Self::BudgetSpent { .. } => "BudgetSpent",
            Self::ScaleDownStabilized { .. } => "ScaleDownStabilized",
            Self::BacklogStands { .. } => "BacklogStands",
            Self::GcPressure { .. } => "GcPressure",
            Self::HeapPressure { .. } => "HeapPressure",
            Self::NotWorthIt { .. } => "NotWorthIt",
            Self::EffectAwaited { .. } => "EffectAwaited",
            Self::FailedBefore { .. } => "FailedBefore",
            Self::StopFailed { .. } => "StopFailed",
            Self::BroughtNothing { .. } => "BroughtNothing",
            Self::SlotsMissing { .. } => "SlotsMissing",
            Self::SlotsAwaited { .. } => "SlotsAwaited",
            Self::NoIdleTaskManager { .. } => "NoIdleTaskManager",
            Self::BusyTaskManagerFirst { .. } => "BusyTaskManagerFirst",
            Self::TaskManagersUnseen => "TaskManagersUnseen",
            Self::WorkloadUnseen { .. } => "WorkloadUnseen",
            Self::ScaleRefused { .. } => "ScaleRefused",
            Self::ScaleFailed { .. } => "ScaleFailed",
            Self::QuotaSpent { .. } => "QuotaSpent",
            Self::QuotaUnknown { .. } => "QuotaUnknown",
            Self::Blackout { .. } => "Blackout",
            Self::Paced { .. } => "Paced",
            Self::RuleSilent { .. } => "RuleSilent",
            Self::MechanismUnavailable { .. } => "MechanismUnavailable",
            Self::Paused => "Paused",
            Self::PausedByAnnotation { .. } => "PausedByAnnotation",
            Self::Conflict { .. } => "Conflict",
            Self::NotLeading => "NotLeading",
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotObserved { since, why: _, detail } => {
                write!(f, "nothing usable from Flink since {since}: {detail}")
            }
            Self::Stale { last: Some(last) } => write!(f, "the last sample is of {last}, too old to act on"),
            Self::Stale { last: None } => f.write_str("no sample yet"),
            Self::JobNotRunning { state } => {
                write!(f, "the job is {state:?}, or not all of its subtasks are up")
            }
            Self::LoadChanging => f.write_str("the load has just changed: one more sample is awaited"),
            Self::WarmingUp { samples, needed } => {
                write!(f, "{samples} of {needed} samples since the job has warmed up")
            }
            Self::RescaleInFlight { since } => write!(f, "a rescale has been under way since {since}"),
            Self::Cooldown { until } => write!(f, "cooldown until {until}"),
            Self::BudgetSpent { made, until } => {
                write!(f, "{made} rescales were made; the next may be at {until}")
            }
            Self::ScaleDownStabilized { until } => {
                write!(f, "scaling down waits for its window until {until}")
            }
            Self::BacklogStands { records } => {
                write!(f, "{records:.0} records wait; no scaling down before they are gone")
            }
            Self::GcPressure { share, most } => write!(
                f,
                "{:.0} % of the time goes into garbage collection, above {:.0} %: no scaling down",
                share * 100.0,
                most * 100.0
            ),
            Self::HeapPressure { share, most } => write!(
                f,
                "{:.0} % of the heap stays in use after garbage collection, above {:.0} %: no scaling down",
                share * 100.0,
                most * 100.0
            ),
            Self::NotWorthIt { saved, cost } => {
                write!(f, "it would save {saved:.0} slot-seconds and cost {cost:.0}")
            }
            Self::EffectAwaited { until } => {
                write!(f, "it has just grown for this load; what that brings is looked at at {until}")
            }
            Self::FailedBefore { tried, until } => {
                write!(
                    f,
                    "the job was stopped for this size at {tried} and did not come up; again at {until}"
                )
            }
            Self::StopFailed { tried, until } => {
                write!(f, "the job could not be stopped with a savepoint at {tried}; again at {until}")
            }
            Self::BroughtNothing { tried } => {
                write!(f, "it grew for this load at {tried}, and that brought nothing")
            }
            Self::SlotsMissing { needed, have } => {
                write!(f, "{needed} slots are needed and {have} are there")
            }
            Self::SlotsAwaited { needed, have, replicas, until, why } => {
                write!(
                    f,
                    "{needed} slots are needed, {have} are there, and {replicas} TaskManagers are asked for"
                )?;
                if let Some(until) = until {
                    write!(f, ", awaited until {until}")?;
                }
                why.as_ref().map_or(Ok(()), |why| write!(f, ": {why}"))
            }
            Self::NoIdleTaskManager { replicas, enough } => {
                write!(f, "{enough} of {replicas} TaskManagers would do, and each of them holds slots")
            }
            Self::BusyTaskManagerFirst { pod } => {
                write!(
                    f,
                    "fewer TaskManagers would do, and {pod} would be the first to go, which may hold slots"
                )
            }
            Self::TaskManagersUnseen => f.write_str("which TaskManagers are idle is not known yet"),
            Self::WorkloadUnseen { detail } => {
                write!(f, "the workload cannot be looked at, so nothing shrinks: {detail}")
            }
            Self::ScaleRefused { detail } => write!(f, "the replicas may not be changed: {detail}"),
            Self::ScaleFailed { until } => {
                write!(f, "a change of the replicas has just failed; the next may be tried at {until}")
            }
            Self::QuotaSpent { needed, allowed } => {
                write!(f, "{needed} slots are needed and the quota of CPU and memory allows {allowed}")
            }
            Self::QuotaUnknown { needed, have } => write!(
                f,
                "{needed} slots are needed and {have} are there; whether the quota allows more cannot be told, as the \
                 requests of the TaskManagers are not known"
            ),
            Self::Blackout { until } => write!(f, "blackout until {until}"),
            Self::Paced { by } => write!(f, "the behavior allows no change for now: {by:?}"),
            Self::RuleSilent { rule, why } => {
                write!(f, "the rule {rule} cannot speak, and might ask for more: {why}")
            }
            Self::MechanismUnavailable { detail } => f.write_str(detail),
            Self::Paused => f.write_str("the policy is paused"),
            Self::PausedByAnnotation { direction, until } => {
                f.write_str(match direction {
                    None => "an annotation pauses scaling",
                    Some(ScaleDirection::Up) => "an annotation pauses scaling up",
                    Some(ScaleDirection::Down) => "an annotation pauses scaling down",
                })?;
                until.map_or(Ok(()), |until| write!(f, " until {until}"))
            }
            Self::Conflict { with } => {
                let with: Vec<String> = with.iter().map(ToString::to_string).collect();
                write!(f, "{} scales the same: only one may be left", with.join(" and "))
            }
            Self::NotLeading => f.write_str("the Lease is not held at present, so another process may act"),
        }
    }
}
