//! Names that expectations use, each of a closed list that is taken from where the names are at home.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::guard::Hold;
use crate::policy::Rule;
use crate::simulate::scenarios;

/// What nothing is done for now, without its numbers: the kinds of [`Hold`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Hold")]
pub enum HeldFor {
    /// The last polls brought nothing usable.
    NotObserved,
    /// The last sample is too old.
    Stale,
    /// The job is not running with all of its subtasks.
    JobNotRunning,
    /// A load that has just changed is looked at once more.
    LoadChanging,
    /// Too little has been seen since the job last started.
    WarmingUp,
    /// A rescale is under way.
    RescaleInFlight,
    /// The last rescale was a short while ago.
    Cooldown,
    /// So many rescales have been made as the policy allows.
    BudgetSpent,
    /// Scaling down waits until its window has passed.
    ScaleDownStabilized,
    /// Scaling down waits until the backlog is gone.
    BacklogStands,
    /// Garbage collection takes too much time for fewer TaskManagers.
    GcPressure,
    /// Too much of the heap stays in use for fewer TaskManagers.
    HeapPressure,
    /// The slots that scaling down would save are not worth the restart.
    NotWorthIt,
    /// The job has just grown for this load; what that brings is looked at first.
    EffectAwaited,
    /// The job was stopped for this very size a while ago, and did not come up at it.
    FailedBefore,
    /// The job could not be stopped with a savepoint a while ago, and has run on.
    StopFailed,
    /// The job has grown for this load, and it brought nothing.
    BroughtNothing,
    /// There are too few slots.
    SlotsMissing,
    /// TaskManagers that the plan needs were asked for, and are not all there.
    SlotsAwaited,
    /// There are more TaskManagers than are needed, and each of them holds slots.
    NoIdleTaskManager,
    /// There are more TaskManagers than are needed, and the workload would remove one first that may hold slots.
    BusyTaskManagerFirst,
    /// There are more TaskManagers than are needed; which of them are idle is not known yet.
    TaskManagersUnseen,
    /// The workload that gives the job its slots could not be looked at.
    WorkloadUnseen,
    /// The replicas of the workload may not be changed this way.
    ScaleRefused,
    /// A change of the replicas has just failed.
    ScaleFailed,
    /// The quota of CPU and memory leaves nothing of the change.
    QuotaSpent,
    /// What the TaskManagers request is not known, so the quota cannot be checked.
    QuotaUnknown,
    /// A blackout of the policy is open.
    Blackout,
    /// The policy's behavior leaves nothing of the change for now.
    Paced,
    /// A rule could not speak, and might ask for more.
    RuleSilent,
    /// The cluster cannot rescale this way.
    MechanismUnavailable,
    /// The autoscaler is paused.
    Paused,
    /// An annotation of the autoscaler pauses this direction.
    PausedByAnnotation,
    /// Somebody else scales the same job or the same workload.
    Conflict,
    /// Another process may act at present.
    NotLeading,
}

impl From<&Hold> for HeldFor {
    fn from(hold: &Hold) -> Self {
        match hold {
            Hold::NotObserved { .. } => Self::NotObserved,
            Hold::Stale { .. } => Self::Stale,
            Hold::JobNotRunning { .. } => Self::JobNotRunning,
            Hold::LoadChanging => Self::LoadChanging,
            Hold::WarmingUp { .. } => Self::WarmingUp,
            Hold::RescaleInFlight { .. } => Self::RescaleInFlight,
            Hold::Cooldown { .. } => Self::Cooldown,
            Hold::BudgetSpent { .. } => Self::BudgetSpent,
            Hold::ScaleDownStabilized { .. } => Self::ScaleDownStabilized,
            Hold::BacklogStands { .. } => Self::BacklogStands,
            Hold::GcPressure { .. } => Self::GcPressure,
            Hold::HeapPressure { .. } => Self::HeapPressure,
            Hold::NotWorthIt { .. } => Self::NotWorthIt,
            Hold::EffectAwaited { .. } => Self::EffectAwaited,
            Hold::FailedBefore { .. } => Self::FailedBefore,
            Hold::StopFailed { .. } => Self::StopFailed,
            Hold::BroughtNothing { .. } => Self::BroughtNothing,
            Hold::SlotsMissing { .. } => Self::SlotsMissing,
            Hold::SlotsAwaited { .. } => Self::SlotsAwaited,
            Hold::NoIdleTaskManager { .. } => Self::NoIdleTaskManager,
            Hold::BusyTaskManagerFirst { .. } => Self::BusyTaskManagerFirst,
            Hold::TaskManagersUnseen => Self::TaskManagersUnseen,
            Hold::WorkloadUnseen { .. } => Self::WorkloadUnseen,
            Hold::ScaleRefused { .. } => Self::ScaleRefused,
            Hold::ScaleFailed { .. } => Self::ScaleFailed,
            Hold::QuotaSpent { .. } => Self::QuotaSpent,
            Hold::QuotaUnknown { .. } => Self::QuotaUnknown,
            Hold::Blackout { .. } => Self::Blackout,
            Hold::Paced { .. } => Self::Paced,
            Hold::RuleSilent { .. } => Self::RuleSilent,
            Hold::MechanismUnavailable { .. } => Self::MechanismUnavailable,
            Hold::Paused => Self::Paused,
            Hold::PausedByAnnotation { .. } => Self::PausedByAnnotation,
            Hold::Conflict { .. } => Self::Conflict,
            Hold::NotLeading => Self::NotLeading,
        }
    }
}

/// The name of a rule, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleName(String);

impl RuleName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl JsonSchema for RuleName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RuleName".into()
    }

    /// The keys of the rules themselves: a rule that is added can be expected at once.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let rules = Rule::json_schema(generator);
        let variants = rules.get("oneOf").and_then(|variants| variants.as_array());
        let keys = variants.into_iter().flatten().filter_map(|variant| variant["properties"].as_object());
        let names: Vec<&String> = keys.flat_map(|keys| keys.keys()).collect();
        json_schema!({"type": "string", "enum": names})
    }
}

/// The name of a scenario that comes with the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScenarioName(String);

impl ScenarioName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl JsonSchema for ScenarioName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ScenarioName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "enum": scenarios::NAMES})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn a_hold_has_the_name_that_its_decision_shows() {
        let at = Timestamp::default();
        for hold in [
            Hold::LoadChanging,
            Hold::Cooldown { until: at },
            Hold::ScaleDownStabilized { until: at },
            Hold::SlotsMissing { needed: 2, have: 1 },
            Hold::QuotaSpent { needed: 2, allowed: 1 },
            Hold::QuotaUnknown { needed: 2, have: 1 },
            Hold::Blackout { until: at },
            Hold::GcPressure { share: 0.2, most: 0.1 },
            Hold::HeapPressure { share: 0.9, most: 0.8 },
            Hold::Paused,
        ] {
            assert_eq!(format!("{:?}", HeldFor::from(&hold)), hold.kind());
        }
    }

    #[test]
    fn every_rule_can_be_expected() {
        let schema = schemars::schema_for!(RuleName);
        let names = schema.get("enum").and_then(|names| names.as_array()).expect("a list of names");
        assert!(names.iter().any(|name| name == "throughput") && names.len() >= 5, "{names:?}");
    }
}
