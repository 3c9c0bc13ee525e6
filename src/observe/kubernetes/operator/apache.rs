//! What Apache's operator says of its `FlinkDeployment`s and `FlinkSessionJob`s, from 1.2 on.

use serde_json::Value;

use crate::model::{Hindrance, OperatorState};
use crate::policy::OperatorKind;

/// How it is: stable at the spec that is there, when the operator has taken that up, has deployed it and sees the job run.
pub(super) fn state(kind: OperatorKind, tree: &Value) -> OperatorState {
    let (generation, status) = (&tree["generation"], &tree["status"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let lifecycle = text(&status["lifecycleState"]);
    let error = text(&status["error"]);
    let because = |says: &str| if error.is_empty() { says.to_owned() } else { format!("{says}: {error}") };
    let busy = |says: &str| OperatorState::InProgress { says: because(says) };
    if let Some(taken_up) = taken_up(status)
        && Some(taken_up) != generation.as_i64()
    {
        return busy("its last spec is not taken up yet");
    }
    match &*lifecycle {
        // As when a pod crashes again and again: it goes on when its spec is another.
        "DEPLOYED" | "STABLE" if status["jobManagerDeploymentStatus"] == "ERROR" => {
            OperatorState::Failed { says: because("the JobManager is ERROR") }
        }
        "FAILED" | "ROLLED_BACK" => OperatorState::Failed { says: because(&lifecycle) },
        "STABLE" => {
            // As an operator may call it that has just begun to look.
            let reconciled = text(&status["reconciliationStatus"]["state"]);
            let (manager, job) =
                (text(&status["jobManagerDeploymentStatus"]), text(&status["jobStatus"]["state"]));
            if reconciled != "DEPLOYED" {
                busy(&reconciled)
            } else if kind == OperatorKind::FlinkDeployment && manager != "READY" {
                busy(&format!("the JobManager is {manager}"))
            } else if job == "RUNNING" {
                OperatorState::Stable
            } else {
                busy(&format!("the job is {job}"))
            }
        }
        "" => busy("nothing yet"),
        _ => busy(&lifecycle),
    }
}

/// The generation of the spec that the operator has last taken up. 1.7 has no `observedGeneration` yet; with the spec
/// itself it is there always.
fn taken_up(status: &Value) -> Option<i64> {
    let reconciled = status["reconciliationStatus"]["lastReconciledSpec"].as_str();
    let of_spec = || {
        let spec: Value = serde_json::from_str(reconciled?).ok()?;
        spec["resource_metadata"]["metadata"]["generation"].as_i64()
    };
    status["observedGeneration"].as_i64().or_else(of_spec)
}

/// What stands in the way.
pub(super) fn hindrance(spec: &Value, status: &Value) -> Option<Hindrance> {
    let job = &spec["job"];
    let is = |key: &str, wanted: &str| {
        let names = [key.to_owned(), format!("kubernetes.operator.{key}")];
        let found = names.iter().find_map(|name| option(&spec["flinkConfiguration"], name));
        found.is_some_and(|value| value.eq_ignore_ascii_case(wanted))
    };
    if is("job.autoscaler.enabled", "true") && !is("job.autoscaler.scaling.enabled", "false") {
        Some(Hindrance::Autoscaler)
    } else if !job.is_object() {
        Some(Hindrance::NoJob)
    } else if job["state"] == "suspended" || status["lifecycleState"] == "SUSPENDED" {
        Some(Hindrance::Suspended)
    } else if job["upgradeMode"].as_str().unwrap_or("stateless") == "stateless" {
        Some(Hindrance::Stateless)
    } else {
        None
    }
}

/// An option of Flink's configuration, which is flat, or, from 1.13 on, may be written as a tree.
fn option(conf: &Value, key: &str) -> Option<String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    if let Some(value) = conf.get(key) {
        return text(value);
    }
    // Any part of the key may be a name of the tree.
    key.match_indices('.').find_map(|(dot, _)| {
        let below = conf.get(&key[..dot])?;
        option(below, &key[dot + 1..])
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As 1.7.0 has it, with the spec that it has taken up as a text.
    fn status(lifecycle: &str, reconciled: &str, manager: &str, job: &str, taken_up: i64) -> Value {
        let spec = json!({
            "spec": {"job": {"parallelism": 2}},
            "resource_metadata": {"metadata": {"generation": taken_up}, "firstDeployment": false},
        });
        json!({
            "lifecycleState": lifecycle,
            "jobManagerDeploymentStatus": manager,
            "jobStatus": {"state": job},
            "reconciliationStatus": {"state": reconciled, "lastReconciledSpec": spec.to_string()},
        })
    }

    #[test]
    fn is_stable_when_the_spec_that_is_there_is_deployed_and_runs() {
        let ready = || status("STABLE", "DEPLOYED", "READY", "RUNNING", 2);
        let with = |field: &str, value: Value| {
            let mut status = ready();
            status[field] = value;
            status
        };
        for (status, is_stable, has_failed) in [
            (ready(), true, false),
            (status("STABLE", "DEPLOYED", "READY", "RUNNING", 1), false, false),
            (with("observedGeneration", json!(1)), false, false),
            (with("observedGeneration", json!(2)), true, false),
            (status("STABLE", "DEPLOYED", "DEPLOYED_NOT_READY", "RUNNING", 2), false, false),
            (status("STABLE", "DEPLOYED", "READY", "RECONCILING", 2), false, false),
            (status("STABLE", "UPGRADING", "READY", "RUNNING", 2), false, false),
            (status("DEPLOYED", "DEPLOYED", "READY", "RUNNING", 2), false, false),
            (status("DEPLOYED", "DEPLOYED", "ERROR", "RECONCILING", 2), false, true),
            (status("UPGRADING", "UPGRADING", "MISSING", "FINISHED", 2), false, false),
            (status("ROLLING_BACK", "ROLLING_BACK", "READY", "RUNNING", 2), false, false),
            (status("ROLLED_BACK", "ROLLED_BACK", "READY", "RUNNING", 2), false, true),
            (status("FAILED", "DEPLOYED", "ERROR", "FAILED", 2), false, true),
            // That was of the spec before.
            (status("FAILED", "DEPLOYED", "ERROR", "FAILED", 1), false, false),
            (json!({}), false, false),
        ] {
            let tree = json!({"generation": 2, "status": status});
            let state = state(OperatorKind::FlinkDeployment, &tree);
            let found = (state == OperatorState::Stable, matches!(state, OperatorState::Failed { .. }));
            assert_eq!(found, (is_stable, has_failed), "{status}: {state:?}");
        }
        let mut of_session = ready();
        of_session["jobManagerDeploymentStatus"] = Value::Null;
        let tree = json!({"generation": 2, "status": of_session});
        assert_eq!(state(OperatorKind::FlinkSessionJob, &tree), OperatorState::Stable);
        let said = json!({"generation": 1, "status": {"lifecycleState": "UPGRADING", "error": "no quota"}});
        let busy = OperatorState::InProgress { says: "UPGRADING: no quota".to_owned() };
        assert_eq!(state(OperatorKind::FlinkDeployment, &said), busy);
    }

    #[test]
    fn what_stands_in_the_way_is_found_however_it_is_written() {
        use Hindrance::{Autoscaler, NoJob, Stateless, Suspended};
        let job = json!({"upgradeMode": "savepoint"});
        for (job, conf, expected) in [
            (job.clone(), json!({}), None),
            (job.clone(), json!(null), None),
            (job.clone(), json!({"job.autoscaler.enabled": "true"}), Some(Autoscaler)),
            (job.clone(), json!({"job.autoscaler.enabled": true}), Some(Autoscaler)),
            (job.clone(), json!({"job": {"autoscaler": {"enabled": true}}}), Some(Autoscaler)),
            (job.clone(), json!({"job.autoscaler": {"enabled": "TRUE"}}), Some(Autoscaler)),
            (job.clone(), json!({"kubernetes.operator.job.autoscaler.enabled": "true"}), Some(Autoscaler)),
            (job.clone(), json!({"job.autoscaler.enabled": "false"}), None),
            (
                job.clone(),
                json!({"job.autoscaler.enabled": "true", "job.autoscaler.scaling.enabled": "false"}),
                None,
            ),
            (json!({"upgradeMode": "last-state"}), json!({}), None),
            (json!({"upgradeMode": "stateless"}), json!({}), Some(Stateless)),
            // The operator's own default.
            (json!({}), json!({}), Some(Stateless)),
            (json!({"upgradeMode": "savepoint", "state": "suspended"}), json!({}), Some(Suspended)),
            (json!(null), json!({}), Some(NoJob)),
        ] {
            let spec = json!({"job": job, "flinkConfiguration": conf});
            assert_eq!(hindrance(&spec, &json!({})), expected, "{spec}");
        }
    }
}
