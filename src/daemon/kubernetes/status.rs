//! The status of a `FlinkAutoscaler` after a cycle.

use serde_json::{Value, json};

use super::wanted::Refused;
use crate::daemon::clock;
use crate::daemon::job::Told;
use crate::record::Summary;

/// Keeps the status of one job.
pub(super) struct Keeper {
    generation: Option<i64>,
    last: Value,
}

impl Keeper {
    pub(super) fn new(generation: Option<i64>, last: Value) -> Self {
        Self { generation, last }
    }

    /// The status after a cycle, and whether a condition has changed.
    pub(super) fn after(&mut self, told: &Told<'_>, summary: &Summary) -> (Value, bool) {
        let active = ("ScalingActive", true, "ValidMetricFound".to_owned(), summary.because.clone());
        let (conditions, changed) = conditions(&self.last, &[active]);
        let status = json!({
            "observedGeneration": self.generation,
            "conditions": conditions,
            "outcome": told.outcome.kind(),
        });
        self.last = status.clone();
        (status, changed)
    }
}

/// The status of an autoscaler that is refused.
pub(super) fn refused(generation: Option<i64>, last: &Value, refused: &Refused) -> Value {
    let active = ("ScalingActive", false, refused.reason.to_owned(), refused.message.clone());
    json!({"observedGeneration": generation, "conditions": conditions(last, &[active]).0})
}

fn conditions(last: &Value, now: &[(&str, bool, String, String)]) -> (Vec<Value>, bool) {
    let mut changed = false;
    let list = now.iter().map(|(kind, status, reason, message)| {
        let status = if *status { "True" } else { "False" };
        let before = last["conditions"].as_array().into_iter().flatten().find(|c| c["type"] == *kind);
        let since = match before {
            Some(before) if before["status"] == status => before["lastTransitionTime"].clone(),
            _ => {
                changed = true;
                json!(clock::now().to_string())
            }
        };
        json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since})
    });
    (list.collect(), changed)
}
