//! A HorizontalPodAutoscaler: `autoscaling/v2` and `v2beta2`, and `v1`.

use super::Fill;
use super::behavior::behavior;
use super::draft::Draft;
use super::fields::{Field, Fields};
use super::metrics;
use super::note::Made::FlinkAutoscaler as Autoscaler;
use crate::config::ConfigError;
use crate::policy::{Resource, ResourceName, ResourceTarget, Rule, WorkloadRef};

/// The kind.
pub(super) const KIND: &str = "HorizontalPodAutoscaler";

/// What an HPA without metrics goes by.
const DEFAULT_UTILIZATION: u32 = 80;

/// The form of an HPA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// With one target for CPU.
    V1,
    /// With a list of metrics.
    V2,
}

/// An HPA as the two documents that do the same.
pub(super) fn translate<'n>(document: &Fields<'n>, fill: &Fill) -> Result<Draft<'n>, ConfigError> {
    let version = version(&document.need("apiVersion", "autoscaling/v2")?)?;
    let mut draft = Draft::resource(document, KIND)?;
    let spec = document.need("spec", "what is scaled, and by what")?.fields()?;
    let target = spec.need("scaleTargetRef", "the workload that is scaled")?;
    workload(&target, ("apps/v1", None), &mut draft)?;
    taskmanagers(&target, &mut draft);
    draft.endpoint(fill);
    replicas(&spec, &mut draft)?;
    hints(document, &mut draft)?;
    match version {
        Version::V1 => one_target(&spec, &mut draft)?,
        Version::V2 => match spec.get("metrics") {
            Some(list) if !list.items()?.is_empty() => metrics::translate(&list, &mut draft)?,
            _ => default_target(&mut draft),
        },
    }
    let given = if version == Version::V2 { spec.get("behavior") } else { None };
    behavior(given.as_ref(), "The HPA", &mut draft)?;
    draft.without_limits("The HPA");
    draft.notes.unknown(spec.rest(), (Autoscaler, "spec"), "an HPA");
    Ok(draft)
}

fn version(field: &Field<'_>) -> Result<Version, ConfigError> {
    match field.name()?.as_str() {
        "autoscaling/v1" => Ok(Version::V1),
        "autoscaling/v2" | "autoscaling/v2beta2" => Ok(Version::V2),
        other => Err(field.wrong(format!(
            "{other:?} is not a version of an HPA that is read: autoscaling/v2, v2beta2 and v1 are; the cluster gives it as \
             `kubectl get hpa.v2.autoscaling NAME -o yaml`"
        ))),
    }
}

/// The workload that is scaled, with what it is when its version or kind is left out; without a kind there must be one.
pub(super) fn workload(
    target: &Field<'_>,
    (version, kind): (&str, Option<&str>),
    draft: &mut Draft<'_>,
) -> Result<(), ConfigError> {
    let fields = target.fields()?;
    let name = fields.need("name", "the workload's name")?.name()?;
    let kind = match (fields.get("kind"), kind) {
        (None, Some(kind)) => kind.to_owned(),
        (None, None) => fields.need("kind", "the workload's kind, such as Deployment")?.name()?,
        (Some(field), _) => field.name()?,
    };
    let api_version = match fields.get("apiVersion") {
        Some(field) => field.name()?,
        None if kind == "FlinkDeployment" => "flink.apache.org/v1beta1".to_owned(),
        None => version.to_owned(),
    };
    draft.autoscaler.workload = Some(WorkloadRef { api_version, kind, name });
    Ok(())
}

/// What is different when a workload's TaskManagers are scaled with the job that runs on them.
pub(super) fn taskmanagers(target: &Field<'_>, draft: &mut Draft<'_>) {
    let text = "only TaskManagers were scaled so far, and a job in reactive mode takes all of their slots. Tidegate sets the \
                parallelism as well: set `jobmanager.scheduler: adaptive` in Flink's configuration, and take \
                `scheduler-mode: reactive` out of it.";
    draft.notes.choice(target, (Autoscaler, "spec.workload"), text);
}

fn replicas(spec: &Fields<'_>, draft: &mut Draft<'_>) -> Result<(), ConfigError> {
    let place = (Autoscaler, "spec.replicas");
    let max_field = spec.need("maxReplicas", "the most replicas")?;
    let max = max_field.whole(1, u32::MAX)?;
    let min = match spec.get("minReplicas") {
        None => {
            draft.notes.choice(&spec.this, place, "minReplicas is not given: it is 1.");
            1
        }
        Some(field) => {
            let min = field.whole(0, u32::MAX)?;
            if min == 0 {
                let text = "a running Flink job has at least one TaskManager: 1 instead of 0. To stop the job for a time, suspend \
                            it with a savepoint.";
                draft.notes.no_equal(&field, place, text);
            }
            min.max(1)
        }
    };
    if min > max {
        return Err(max_field.wrong(format!("maxReplicas {max} is below minReplicas {min}")));
    }
    (draft.autoscaler.replicas.min, draft.autoscaler.replicas.max) = (Some(min), Some(max));
    Ok(())
}

/// What the resource says beside its spec.
fn hints(document: &Fields<'_>, draft: &mut Draft<'_>) -> Result<(), ConfigError> {
    let Some(metadata) = document.get("metadata") else { return Ok(()) };
    let metadata = metadata.fields()?;
    if let Some(owners) = metadata.get("ownerReferences") {
        for owner in owners.items()? {
            if owner
                .fields()?
                .get("kind")
                .is_some_and(|kind| kind.text().is_ok_and(|kind| kind == "ScaledObject"))
            {
                let text = "KEDA made this HPA, and serves its metrics: import the ScaledObject instead.";
                draft.notes.no_equal(&owner, (Autoscaler, "spec"), text);
            }
        }
    }
    let Some(annotations) = metadata.get("annotations") else { return Ok(()) };
    for (name, field) in annotations.fields()?.all() {
        if matches!(
            name,
            "autoscaling.alpha.kubernetes.io/metrics" | "autoscaling.alpha.kubernetes.io/behavior"
        ) {
            let text = "more than v1 can hold is in this annotation, which is not read: import it as \
                        `kubectl get hpa.v2.autoscaling NAME -o yaml` gives it.";
            draft.notes.no_equal(&field, (Autoscaler, "spec"), text);
        }
    }
    Ok(())
}

/// The one target of `v1`.
fn one_target(spec: &Fields<'_>, draft: &mut Draft<'_>) -> Result<(), ConfigError> {
    match spec.get("targetCPUUtilizationPercentage") {
        Some(field) => {
            cpu(field.whole(1, u32::MAX)?, draft);
        }
        None => default_target(draft),
    }
    Ok(())
}

/// The rule that looks at a resource.
pub(super) fn resource(name: ResourceName, container: Option<String>, target: ResourceTarget) -> Rule {
    Rule::Resource(Resource { name, container, target, when: None, fallback: None })
}

fn default_target(draft: &mut Draft<'_>) {
    let place = cpu(DEFAULT_UTILIZATION, draft);
    let text = format!(
        "no metric is given: the HPA goes by {DEFAULT_UTILIZATION} % of the CPU that the pods request."
    );
    draft.notes.choice(&draft.from, (super::note::Made::ScalingPolicy, &place), text);
}

fn cpu(percent: u32, draft: &mut Draft<'_>) -> String {
    let target = ResourceTarget::Utilization { average_utilization: percent };
    draft.rule(resource(ResourceName::Cpu, None, target))
}
