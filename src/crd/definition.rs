//! The two CustomResourceDefinitions.

use kube::core::Resource;
use schemars::generate::SchemaSettings;
use serde_json::{Value as Json, json};

use super::schema::{add, structural};
use super::{FlinkAutoscaler, FlinkAutoscalerStatus, GROUP, ScalingPolicy, VERSION, rules};
use crate::policy::{AutoscalerSpec, PolicySpec};

/// Both definitions, as objects for the API server.
pub fn definitions() -> [Json; 2] {
    [autoscaler(), policy()]
}

fn autoscaler() -> Json {
    let mut spec = of::<AutoscalerSpec>();
    if let Some(spec) = spec.as_object_mut() {
        add(spec, rules::of_autoscaler());
    }
    // Shown in a column; every other default is the program's, so that a better one reaches objects that are there.
    spec["properties"]["mode"]["default"] = "Auto".into();
    definition::<FlinkAutoscaler>(
        "How one job is to be scaled, and what came of it.",
        &["fas"],
        &json!({
            "spec": spec,
            "status": of::<FlinkAutoscalerStatus>(),
        }),
        &json!([
            {"name": "Job", "type": "string", "jsonPath": ".status.job.name"},
            {"name": "Mode", "type": "string", "jsonPath": ".spec.mode"},
            {"name": "Current", "type": "integer", "jsonPath": ".status.current.replicas",
             "description": "TaskManagers that there are."},
            {"name": "Recommended", "type": "integer", "jsonPath": ".status.recommended.replicas",
             "description": "TaskManagers that there are to be."},
            {"name": "Min", "type": "integer", "jsonPath": ".spec.replicas.min"},
            {"name": "Max", "type": "integer", "jsonPath": ".spec.replicas.max"},
            {"name": "Parallelism", "type": "string", "jsonPath": ".status.sizes",
             "description": "Subtasks of each vertex, as they are and as they are to be."},
            {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
            {"name": "Reason", "type": "string", "priority": 1,
             "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"},
            {"name": "Limited", "type": "string", "priority": 1,
             "jsonPath": ".status.conditions[?(@.type==\"ScalingLimited\")].reason"},
            {"name": "Last decision", "type": "string", "priority": 1, "jsonPath": ".status.lastDecision.why"},
        ]),
        Some(json!({"status": {}})),
    )
}

fn policy() -> Json {
    let mut spec = of::<PolicySpec>();
    if let Some(spec) = spec.as_object_mut() {
        add(spec, rules::of_policy());
    }
    definition::<ScalingPolicy>(
        "How the right size is found, and what limits it; FlinkAutoscalers name it in their policyRef.",
        &[],
        &json!({
            "spec": spec,
            "tests": {
                "description": "What it is to do when, for `tidegate policy test`. Nothing in a cluster looks at them.",
                "type": "array",
                "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            },
        }),
        &json!([{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]),
        None,
    )
}

/// The structural schema of a type.
fn of<T: schemars::JsonSchema>() -> Json {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let schema = generator.subschema_for::<T>();
    let root = json!({"$defs": generator.take_definitions(true)});
    structural(&root, schema.as_value())
}

fn definition<T: Resource<DynamicType = ()>>(
    about: &str,
    short: &[&str],
    fields: &Json,
    columns: &Json,
    subresources: Option<Json>,
) -> Json {
    let (kind, plural) = (T::kind(&()), T::plural(&()));
    let mut names = json!({
        "kind": kind,
        "listKind": format!("{kind}List"),
        "plural": plural,
        "singular": kind.to_lowercase(),
        // `kubectl get tidegate` lists both kinds.
        "categories": ["tidegate"],
    });
    if !short.is_empty() {
        names["shortNames"] = json!(short);
    }
    let mut properties = json!({
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
    });
    for (name, schema) in fields.as_object().into_iter().flatten() {
        properties[name] = schema.clone();
    }
    let mut version = json!({
        "name": VERSION,
        "served": true,
        "storage": true,
        "additionalPrinterColumns": columns,
        "schema": {
            "openAPIV3Schema": {
                "description": about,
                "type": "object",
                "required": ["spec"],
                "properties": properties,
            },
        },
    });
    if let Some(subresources) = subresources {
        version["subresources"] = subresources;
    }
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.{GROUP}"),
            "labels": {"app.kubernetes.io/name": "tidegate"},
        },
        "spec": {
            "group": GROUP,
            "names": names,
            "scope": "Namespaced",
            "versions": [version],
        },
    })
}
