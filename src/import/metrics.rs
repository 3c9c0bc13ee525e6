//! The metrics of an HPA as rules.

use serde_json::{Value, json};

use super::draft::Draft;
use super::fields::{Field, Fields};
use super::note::Made::ScalingPolicy as Policy;
use crate::config::{ConfigError, Problem};
use crate::policy::{ExternalTarget, Quantity, ResourceName, ResourceTarget};

/// Behind the last rule.
pub(super) const MORE_RULES: &str = "spec.rules[]";

/// Metrics as rules, or as what could become one.
pub(super) fn translate(list: &Field<'_>, draft: &mut Draft<'_>) -> Result<(), ConfigError> {
    for metric in list.items()? {
        let fields = metric.fields()?;
        let kind = fields.need("type", "Resource, ContainerResource, Pods, Object or External")?;
        let (field, is_resource) = match kind.name()?.as_str() {
            "Resource" => ("resource", true),
            "ContainerResource" => ("containerResource", true),
            "Pods" => ("pods", false),
            "Object" => ("object", false),
            "External" => ("external", false),
            other => {
                let known = "Resource, ContainerResource, Pods, Object or External";
                return Err(kind.wrong(format!("expected {known}, not {other:?}")));
            }
        };
        let source = fields.need(field, "the metric that `type` names")?;
        if is_resource {
            resource(&source, draft)?;
        } else {
            elsewhere(&source, field, draft)?;
        }
        draft.notes.unknown(fields.rest(), (Policy, "spec.rules"), "an HPA's metric");
    }
    Ok(())
}

/// CPU or memory of the pods, or of one of their containers.
fn resource(source: &Field<'_>, draft: &mut Draft<'_>) -> Result<(), ConfigError> {
    let fields = source.fields()?;
    let name = fields.need("name", "cpu or memory")?;
    let container = fields.get("container").map(|container| container.name()).transpose()?;
    let target = resource_target(&fields.need("target", "what it is to be")?)?;
    let Some(known) = resource_name(&name.name()?) else {
        let text = format!(
            "the resource {:?} is not one that rules look at (cpu and memory are). A query for it can be a prometheus rule.",
            name.text()?
        );
        draft.notes.no_equal(&name, (Policy, MORE_RULES), text);
        return Ok(());
    };
    let place = draft.rule(super::hpa::resource(known, container, target));
    draft.notes.unknown(fields.rest(), (Policy, &place), "an HPA's metric");
    Ok(())
}

/// The resources that rules know.
pub(super) fn resource_name(name: &str) -> Option<ResourceName> {
    match name {
        "cpu" => Some(ResourceName::Cpu),
        "memory" => Some(ResourceName::Memory),
        _ => None,
    }
}

fn resource_target(target: &Field<'_>) -> Result<ResourceTarget, ConfigError> {
    let fields = target.fields()?;
    let kind = fields.need("type", "Utilization or AverageValue")?;
    match kind.name()?.as_str() {
        "Utilization" => {
            let percent = fields.need("averageUtilization", "per cent of what the pods request")?;
            Ok(ResourceTarget::Utilization { average_utilization: percent.whole(1, u32::MAX)? })
        }
        "AverageValue" => {
            let average_value = above_zero(&fields.need("averageValue", "so much for each pod")?)?;
            Ok(ResourceTarget::AverageValue { average_value })
        }
        other => Err(kind.wrong(format!("expected Utilization or AverageValue, not {other:?}"))),
    }
}

/// A quantity that can be a target.
pub(super) fn above_zero(field: &Field<'_>) -> Result<Quantity, ConfigError> {
    let quantity: Quantity = field.parsed()?;
    if quantity > Quantity::ZERO { Ok(quantity) } else { Err(field.wrong("a target is above zero")) }
}

/// A metric that some adapter serves under a name of its own: which query stands behind the name, only its configuration
/// says.
fn elsewhere(source: &Field<'_>, kind: &str, draft: &mut Draft<'_>) -> Result<(), ConfigError> {
    let fields = source.fields()?;
    let metric = fields.need("metric", "the metric's name")?.fields()?;
    let name = metric.need("name", "the metric's name")?.name()?;
    let target = target(&fields.need("target", "what it is to be")?)?;
    let labels = labels(&metric)?;
    if labels.iter().any(|label| label.starts_with("scaledobject.keda.sh/name=")) {
        let text = format!("KEDA serves the metric {name:?}: import its ScaledObject instead of this HPA.");
        draft.notes.no_equal(source, (Policy, MORE_RULES), text);
        return Ok(());
    }
    let text = format!(
        "the metric {name:?} comes from the cluster's metrics adapter, and only its configuration says from which query. \
         Fill in the query that it makes of it:"
    );
    draft.notes.no_equal(source, (Policy, MORE_RULES), text);
    let namespace = draft.namespace.as_ref().map(|namespace| format!("namespace={namespace:?}"));
    let workload = draft.autoscaler.workload.as_ref().map(|workload| &workload.name);
    let mut matchers: Vec<String> = namespace.into_iter().collect();
    match (kind, workload) {
        ("pods", Some(name)) => matchers.push(format!("pod=~\"{name}-.*\"")),
        ("object", _) => matchers.extend(described(&fields)?),
        _ => {}
    }
    matchers.extend(labels);
    let query = if matchers.is_empty() {
        format!("sum({name})")
    } else {
        format!("sum({name}{{{}}})", matchers.join(", "))
    };
    draft.notes.instead(rule(&query, target));
    Ok(())
}

/// A prometheus rule as it would be written.
pub(super) fn rule(query: &str, target: ExternalTarget) -> Value {
    json!({"prometheus": {"query": query, "target": target}})
}

/// The object that a metric is of, as a label.
fn described(fields: &Fields<'_>) -> Result<Option<String>, ConfigError> {
    let Some(object) = fields.get("describedObject") else { return Ok(None) };
    let object = object.fields()?;
    let kind = object.need("kind", "the object's kind")?.name()?.to_lowercase();
    Ok(Some(format!("{kind}={:?}", object.need("name", "the object's name")?.name()?)))
}

/// The labels that a metric is selected by.
fn labels(metric: &Fields<'_>) -> Result<Vec<String>, ConfigError> {
    let Some(selector) = metric.get("selector") else { return Ok(Vec::new()) };
    let Some(labels) = selector.fields()?.get("matchLabels") else { return Ok(Vec::new()) };
    let label = |(name, value): (&str, Field<'_>)| Ok(format!("{name}={:?}", value.text()?));
    labels.fields()?.all().into_iter().map(label).collect()
}

fn target(field: &Field<'_>) -> Result<ExternalTarget, ConfigError> {
    let fields = field.fields()?;
    let kind = fields.need("type", "Value or AverageValue")?;
    match kind.name()?.as_str() {
        "Value" => {
            Ok(ExternalTarget::Value { value: above_zero(&fields.need("value", "so much altogether")?)? })
        }
        "AverageValue" => {
            let average_value = above_zero(&fields.need("averageValue", "so much for each pod")?)?;
            Ok(ExternalTarget::AverageValue { average_value })
        }
        other => Err(kind.error(Problem::Rejected(format!("expected Value or AverageValue, not {other:?}")))),
    }
}
