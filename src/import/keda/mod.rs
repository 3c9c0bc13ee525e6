//! A KEDA ScaledObject: what KEDA would hand to the HPA that it owns, which does all but the first step from nothing.

mod trigger;

use super::Fill;
use super::behavior::behavior;
use super::draft::Draft;
use super::fields::{Field, Fields};
use super::hpa;
use super::metrics::MORE_RULES;
use super::note::Made::{FlinkAutoscaler as Autoscaler, ScalingPolicy as Policy};
use crate::config::ConfigError;
use crate::policy::hpa::SelectPolicy;
use crate::policy::{Mode, Span};

/// The kind.
pub(super) const KIND: &str = "ScaledObject";

/// How often KEDA looks at its triggers, in seconds.
const POLL: u32 = 30;
/// The most replicas, unless told otherwise.
const MOST: u32 = 100;
/// The least time after which a rule's fallback holds.
const SOONEST_FALLBACK: Span = Span::from_secs(10);

/// A ScaledObject as the two documents that do the same.
pub(super) fn translate<'n>(document: &Fields<'n>, fill: &Fill) -> Result<Draft<'n>, ConfigError> {
    let version = document.need("apiVersion", "keda.sh/v1alpha1")?;
    if version.name()? != "keda.sh/v1alpha1" {
        return Err(version.wrong(format!("expected keda.sh/v1alpha1, not {:?}", version.text()?)));
    }
    let mut draft = Draft::resource(document, KIND)?;
    let spec = document.need("spec", "what is scaled, and by what")?.fields()?;
    let target = spec.need("scaleTargetRef", "the workload that is scaled")?;
    hpa::workload(&target, ("apps/v1", Some("Deployment")), &mut draft)?;
    hpa::taskmanagers(&target, &mut draft);
    draft.endpoint(fill);
    replicas(&spec, &mut draft)?;
    pace(&spec, &mut draft)?;
    fallback(&spec, &mut draft)?;
    for trigger in spec.need("triggers", "what it is scaled by")?.items()? {
        trigger::translate(&trigger, &mut draft)?;
    }
    advanced(&spec, &mut draft)?;
    draft.without_limits("KEDA");
    annotations(document, &mut draft)?;
    draft.notes.unknown(spec.rest(), (Autoscaler, "spec"), "a ScaledObject");
    Ok(draft)
}

fn replicas(spec: &Fields<'_>, draft: &mut Draft<'_>) -> Result<(), ConfigError> {
    let place = (Autoscaler, "spec.replicas");
    let least = spec.get("minReplicaCount");
    let min = least.as_ref().map_or(Ok(0), |field| field.whole(0, u32::MAX))?;
    let most = spec.get("maxReplicaCount");
    let max = most.as_ref().map_or(Ok(MOST), |field| field.whole(1, u32::MAX))?;
    if most.is_none() {
        draft.notes.choice(&spec.this, place, format!("maxReplicaCount is not given: it is {MOST}."));
    }
    if min > max {
        let at = most.as_ref().unwrap_or(&spec.this);
        return Err(at.wrong(format!("maxReplicaCount {max} is below minReplicaCount {min}")));
    }
    let to_nothing = "a running Flink job has at least one TaskManager. To stop a job for a time, suspend it with a savepoint.";
    if min == 0 {
        let (at, given) = match &least {
            Some(field) => (field, "minReplicaCount is 0"),
            None => (&spec.this, "minReplicaCount is not given, and so 0"),
        };
        draft.notes.no_equal(at, place, format!("{given}: 1 instead, as {to_nothing}"));
    }
    if let Some(idle) = spec.get("idleReplicaCount") {
        draft.notes.no_equal(&idle, place, format!("nothing stands for idleReplicaCount: {to_nothing}"));
    }
    for name in ["cooldownPeriod", "initialCooldownPeriod"] {
        if let Some(field) = spec.get(name) {
            let text = "the wait before KEDA scales to nothing, which does not happen here. The wait before shrinking is \
                 behavior.scaleDown of the policy.";
            draft.notes.no_equal(&field, place, text);
        }
    }
    (draft.autoscaler.replicas.min, draft.autoscaler.replicas.max) = (Some(min.max(1)), Some(max));
    Ok(())
}

/// How often the triggers are looked at.
fn pace(spec: &Fields<'_>, draft: &mut Draft<'_>) -> Result<(), ConfigError> {
    if let Some(field) = poll_field(spec) {
        let text = format!(
            "{} s: how often KEDA looks whether to start from nothing; from one TaskManager on its HPA looks \
             every 15 s. Tidegate polls Flink every 5 s; flink.poll sets that.",
            field.whole(1, u32::MAX)?
        );
        draft.notes.choice(&field, (Autoscaler, "spec.flink"), text);
    }
    Ok(())
}

fn poll_field<'n>(spec: &Fields<'n>) -> Option<Field<'n>> {
    spec.get("pollingInterval")
}

/// What to hold to when a trigger's metric is gone. A size of it counts TaskManagers, one of ours subtasks, so it is left to fill in.
fn fallback(spec: &Fields<'_>, draft: &mut Draft<'_>) -> Result<(), ConfigError> {
    let Some(field) = spec.get("fallback") else { return Ok(()) };
    let fields = field.fields()?;
    let failures = fields.need("failureThreshold", "after how many failures")?.whole(0, u32::MAX)?;
    let poll = poll_field(spec).map_or(Ok(POLL), |field| field.whole(1, u32::MAX))?;
    let after = Span::from_secs(u64::from(failures) * u64::from(poll)).max(SOONEST_FALLBACK);
    let behavior = fields.get("behavior").map_or(Ok("static".to_owned()), |field| field.name())?;
    let place = (Policy, "spec.rules");
    if let Some(replicas) = fields.get("replicas").filter(|_| behavior != "currentReplicas") {
        let size = match behavior.as_str() {
            "currentReplicasIfHigher" => "minParallelism",
            _ => "parallelism",
        };
        let text = format!(
            "{} replicas ({behavior}) are TaskManagers, and a fallback says how many subtasks a vertex has: until you fill it in, \
             everything stays as it is while the metric is gone. Add `fallback: {{after: {after}, {size}: N}}` to each rule but those of \
             CPU and memory, with N that many times taskmanager.numberOfTaskSlots ({failures} failures, one every {poll} s, are {after}).",
            replicas.whole(0, u32::MAX)?
        );
        draft.notes.no_equal(&replicas, place, text);
    } else {
        // What holds what there is, is what a rule without a fallback does.
        let text = "while a rule cannot be asked, nothing shrinks and it asks for nothing: no fallback is needed to stay as it is.";
        draft.notes.choice(&field, place, text);
    }
    draft.notes.unknown(fields.rest(), place, "a fallback");
    Ok(())
}

fn advanced(spec: &Fields<'_>, draft: &mut Draft<'_>) -> Result<(), ConfigError> {
    let Some(field) = spec.get("advanced") else { return behavior(None, "KEDA's HPA", draft) };
    let fields = field.fields()?;
    let hpa = fields.get("horizontalPodAutoscalerConfig").map(|field| field.fields()).transpose()?;
    let given = hpa.as_ref().and_then(|hpa| hpa.get("behavior"));
    behavior(given.as_ref(), "KEDA's HPA", draft)?;
    if let Some(hpa) = hpa {
        // There is no HPA that could have a name.
        hpa.get("name");
        draft.notes.unknown(hpa.rest(), (Policy, "spec.behavior"), "a ScaledObject");
    }
    if let Some(modifiers) = fields.get("scalingModifiers") {
        let modifiers_fields = modifiers.fields()?;
        let formula = modifiers_fields.get("formula").map_or(Ok("?".to_owned()), |formula| formula.text())?;
        let text = format!(
            "the formula {formula:?} makes one number of all triggers, and there is none here: the largest proposal of the rules \
             wins. Write it as one query of a prometheus rule instead of the rules above. Until then the mode is Recommend."
        );
        draft.notes.no_equal(&modifiers, (Policy, MORE_RULES), text);
        draft.autoscaler.mode = Mode::Recommend;
    }
    if let Some(restore) = fields.get("restoreToOriginalReplicaCount")
        && restore.flag()?
    {
        let text = "when an autoscaler is deleted, the job keeps the size that it has.";
        draft.notes.no_equal(&restore, (Autoscaler, "spec.replicas"), text);
    }
    draft.notes.unknown(fields.rest(), (Autoscaler, "spec"), "a ScaledObject");
    Ok(())
}

/// The annotations with which KEDA is paused.
fn annotations(document: &Fields<'_>, draft: &mut Draft<'_>) -> Result<(), ConfigError> {
    let Some(annotations) =
        document.get("metadata").map(|field| field.fields()).transpose()?.and_then(|m| m.get("annotations"))
    else {
        return Ok(());
    };
    for (name, field) in annotations.fields()?.all() {
        let Some(name) = name.strip_prefix("autoscaling.keda.sh/") else { continue };
        let text = field.text()?;
        // As KEDA reads it: what is no word for yes or no means yes.
        let is_on = !matches!(text.as_str(), "false" | "False" | "FALSE" | "f" | "F" | "0");
        match name {
            "paused" if is_on => {
                draft.autoscaler.mode = Mode::Paused;
                draft.notes.choice(&field, (Autoscaler, "spec.mode"), "KEDA is paused by this annotation.");
            }
            "paused-replicas" => {
                draft.autoscaler.mode = Mode::Paused;
                let text = format!(
                    "KEDA is paused at {text} replicas by this annotation. Paused leaves the size as it is."
                );
                draft.notes.no_equal(&field, (Autoscaler, "spec.mode"), text);
            }
            "paused-scale-in" if is_on => {
                draft.policy.behavior.scale_down.select_policy = SelectPolicy::Disabled;
                let text = "scaling in is paused by this annotation: no shrinking.";
                draft.notes.choice(&field, (Policy, "spec.behavior.scaleDown"), text);
            }
            "paused-scale-out" if is_on => {
                draft.policy.behavior.scale_up.select_policy = SelectPolicy::Disabled;
                let text = "scaling out is paused by this annotation: no growing.";
                draft.notes.choice(&field, (Policy, "spec.behavior.scaleUp"), text);
            }
            _ => {}
        }
    }
    Ok(())
}
