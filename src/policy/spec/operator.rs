//! The resource by which an operator runs a job.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::policy::Span;

/// Groups that Tidegate has rights to for purposes of its own: who may write a `FlinkAutoscaler` must not have it use them on
/// whatever they name.
const NOT_OPERATORS: [&str; 5] =
    ["tidegate.dev", "coordination.k8s.io", "events.k8s.io", "metrics.k8s.io", "rbac.authorization.k8s.io"];

/// The resource by which an operator runs the job, in the namespace of the `FlinkAutoscaler`. Apache's `FlinkDeployment` and
/// `FlinkSessionJob` are known; of any other `fields` says what to change and how to tell that it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OperatorRef {
    /// The API version of the operator's own group, such as flink.apache.org/v1beta1.
    #[schemars(extend("x-form" = "operator-api", "minLength" = 1, "maxLength" = 253,
        "pattern" = "^[a-z0-9-]+(\\.[a-z0-9-]+)+/v[a-z0-9]+$"))]
    pub api_version: String,
    /// The kind, such as FlinkDeployment.
    #[schemars(length(min = 1))]
    pub kind: String,
    /// The name.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Within this time the job is to run at its new size; otherwise the resource is put back as it was.
    #[serde(default = "default_within", skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "15m", "x-minimum" = "10s", "x-why" = "no operator stops and starts a job in less"))]
    pub within: Span,
    /// Where what is in the resource, of any kind but Apache's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<OperatorPaths>,
}

/// A savepoint may take as long as a checkpoint (`execution.checkpointing.timeout`: 10 min), and slots 5 min more
/// (`slot.request.timeout`).
fn default_within() -> Span {
    Span::from_secs(900)
}

fn is_default(within: &Span) -> bool {
    *within == default_within()
}

/// Where in an operator's resource is what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OperatorPaths {
    /// The job's parallelism, a number.
    pub parallelism: SpecPath,
    /// The sizes of single vertices: a text that becomes Flink's `pipeline.jobvertex-parallelism-overrides`, which 1.19 and 1.20 heed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overrides: Option<SpecPath>,
    /// TaskManagers, a number, where the operator does not work it out from the parallelism.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<SpecPath>,
    /// What the operator says of it.
    pub state: StatusPath,
    /// Values of `state` that mean that all is as the spec says.
    #[schemars(length(min = 1))]
    pub stable: Vec<String>,
    /// Values of `state` that mean that it could not be brought about. All others mean that it is under way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// The `metadata.generation` that the operator has last looked at, where it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<StatusPath>,
}

/// Whose resource it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperatorKind {
    /// Apache's: a cluster with a job of its own.
    FlinkDeployment,
    /// Apache's: a job on a cluster of several.
    FlinkSessionJob,
    /// Any other.
    Other,
}

impl OperatorRef {
    /// One of Apache's, by its kind and name.
    pub fn known(kind: &str, name: &str) -> Self {
        Self {
            api_version: "flink.apache.org/v1beta1".to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            within: default_within(),
            fields: None,
        }
    }

    /// Whose resource it is.
    pub fn whose(&self) -> OperatorKind {
        match (self.group(), &*self.kind) {
            ("flink.apache.org", "FlinkDeployment") => OperatorKind::FlinkDeployment,
            ("flink.apache.org", "FlinkSessionJob") => OperatorKind::FlinkSessionJob,
            _ => OperatorKind::Other,
        }
    }

    /// The API group.
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }
}

/// Whether an API version can be an operator's.
///
/// # Errors
/// In one line, why not.
pub fn check_operator_api(text: &str) -> Result<(), String> {
    let wrong = || format!("expected a group and a version such as flink.apache.org/v1beta1, not {text:?}");
    let (group, version) = text.split_once('/').ok_or_else(wrong)?;
    let is_plain = |text: &str| {
        text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'))
    };
    if !is_plain(group) || !is_plain(version) || !version.starts_with('v') {
        return Err(wrong());
    }
    if !group.contains('.') || NOT_OPERATORS.contains(&group) {
        return Err(format!(
            "{group:?} is no operator's own group: its kinds are not changed by field paths"
        ));
    }
    Ok(())
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// A field.
    Field(String),
    /// The item of a list whose field has this value.
    Item(String, String),
}

/// A path to a field: `status.phase`, `spec.flinkConfiguration["taskmanager.numberOfTaskSlots"]`,
/// `status.conditions[type=Ready].status`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Path {
    text: String,
    steps: Vec<Step>,
}

impl Path {
    /// Reads a path below `root`.
    fn below(root: &str, text: &str, items: bool) -> Result<Self, String> {
        let wrong = || {
            let example = if items { "status.state" } else { "spec.job.parallelism" };
            format!("expected a path below {root} such as {example}, not {text:?}")
        };
        let mut rest = text.strip_prefix(root).ok_or_else(wrong)?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("[\"") {
                let (name, after) = after.split_once("\"]").ok_or_else(wrong)?;
                steps.push(Step::Field(name.to_owned()));
                rest = after;
            } else if let Some(after) = rest.strip_prefix('[') {
                let (item, after) = after.split_once(']').ok_or_else(wrong)?;
                let (field, value) = item.split_once('=').filter(|_| items).ok_or_else(wrong)?;
                steps.push(Step::Item(field.to_owned(), value.to_owned()));
                rest = after;
            } else {
                let after = rest.strip_prefix('.').ok_or_else(wrong)?;
                let end = after.find(['.', '[']).unwrap_or(after.len());
                steps.push(Step::Field(after[..end].to_owned()));
                rest = &after[end..];
            }
        }
        let is_sound = |step: &Step| {
            let all = match step {
                Step::Field(name) => vec![name],
                Step::Item(field, value) => vec![field, value],
            };
            all.iter().all(|text| !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && c != '"'))
        };
        if steps.is_empty() || !steps.iter().all(is_sound) {
            return Err(wrong());
        }
        Ok(Self { text: text.to_owned(), steps })
    }

    /// What is there, below the value of the root.
    fn get<'a>(&self, root: &'a Value) -> Option<&'a Value> {
        self.steps.iter().try_fold(root, |value, step| match step {
            Step::Field(name) => value.get(name),
            Step::Item(field, wanted) => value
                .as_array()?
                .iter()
                .find(|item| item.get(field).and_then(Value::as_str) == Some(wanted.as_str())),
        })
    }
}

/// A path to a field of a resource's spec, which can be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpecPath(Path);

/// A path to a field of a resource's status, which is only read. `[type=Ready]` is the item of a list whose `type` is `Ready`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StatusPath(Path);

impl SpecPath {
    /// The field with a name of its own, dots and all, of a map of the spec.
    pub fn of(fields: &[&str]) -> Self {
        let text: Vec<String> = fields.iter().map(|field| format!("[{field:?}]")).collect();
        let steps = fields.iter().map(|&field| Step::Field(field.to_owned())).collect();
        Self(Path { text: format!("spec{}", text.concat()), steps })
    }

    /// What is there in a spec; `None` also for what is null.
    pub fn get<'a>(&self, spec: &'a Value) -> Option<&'a Value> {
        self.0.get(spec).filter(|value| !value.is_null())
    }

    /// Puts a value there, with the objects around it where there are none yet.
    pub fn put(&self, spec: &mut Value, new: Value) {
        let mut place = spec;
        for step in &self.0.steps {
            let Step::Field(name) = step else { return };
            if !place.is_object() {
                *place = Value::Object(serde_json::Map::new());
            }
            place = &mut place[name.as_str()];
        }
        *place = new;
    }

    /// Takes away what is there.
    pub fn remove(&self, spec: &mut Value) {
        let Some((Step::Field(last), before)) = self.0.steps.split_last() else { return };
        let around = before.iter().try_fold(spec, |value, step| match step {
            Step::Field(name) => value.get_mut(name),
            Step::Item(..) => None,
        });
        if let Some(Value::Object(around)) = around {
            around.remove(last);
        }
    }
}

impl StatusPath {
    /// What is there in a status; `None` also for what is null.
    pub fn get<'a>(&self, status: &'a Value) -> Option<&'a Value> {
        self.0.get(status).filter(|value| !value.is_null())
    }
}

impl FromStr for SpecPath {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Path::below("spec", text, false).map(Self)
    }
}

impl FromStr for StatusPath {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Path::below("status", text, true).map(Self)
    }
}

impl TryFrom<String> for SpecPath {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<String> for StatusPath {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<SpecPath> for String {
    fn from(path: SpecPath) -> Self {
        path.0.text
    }
}

impl From<StatusPath> for String {
    fn from(path: StatusPath) -> Self {
        path.0.text
    }
}

impl fmt::Display for SpecPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

const STEPS: &str = "(\\.[^\\s.\\[\\]\"]+|\\[\"[^\\s\"]+\"\\])+$";
const STEPS_AND_ITEMS: &str = "(\\.[^\\s.\\[\\]\"]+|\\[\"[^\\s\"]+\"\\]|\\[[^\\s\"=\\]]+=[^\\s\"\\]]+\\])+$";

impl JsonSchema for SpecPath {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SpecPath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "x-form": "spec-path", "maxLength": 256, "pattern": format!("^spec{STEPS}"),
        })
    }
}

impl JsonSchema for StatusPath {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "StatusPath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "x-form": "status-path", "maxLength": 256,
            "pattern": format!("^status{STEPS_AND_ITEMS}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_to_its_field() {
        let spec = json!({"job": {"parallelism": 3}, "conf": {"a.b": "x"}, "none": null});
        for (path, found) in [
            ("spec.job.parallelism", Some(json!(3))),
            ("spec.conf[\"a.b\"]", Some(json!("x"))),
            ("spec[\"job\"].parallelism", Some(json!(3))),
            ("spec.conf.a.b", None),
            ("spec.none", None),
            ("spec.none.more", None),
        ] {
            let path: SpecPath = path.parse().expect(path);
            assert_eq!(path.get(&spec), found.as_ref(), "{path}");
        }
        let status = json!({"conditions": [
            {"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"},
        ]});
        for (path, found) in [
            ("status.conditions[type=Ready].status", Some("True")),
            ("status.conditions[type=Other].status", Some("False")),
            ("status.conditions[type=None].status", None),
        ] {
            let path: StatusPath = path.parse().expect(path);
            assert_eq!(path.get(&status).and_then(Value::as_str), found);
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for path in [
            "",
            "spec",
            "spec.",
            "spec..a",
            "job.parallelism",
            "status.state",
            "spec[0]",
            "spec.list[type=Ready]",
            "spec[\"a",
            "spec.a b",
            "specjob",
        ] {
            assert!(path.parse::<SpecPath>().is_err(), "{path}");
        }
        assert!("spec.job".parse::<StatusPath>().is_err());
    }

    #[test]
    fn a_value_is_put_and_taken_away() {
        let mut spec = json!({"job": {"args": ["a"]}});
        let path: SpecPath = "spec.job.parallelism".parse().expect("a path");
        path.put(&mut spec, json!(4));
        let deep = SpecPath::of(&["flinkConfiguration", "a.b"]);
        deep.put(&mut spec, json!("x"));
        assert_eq!(
            spec,
            json!({"job": {"args": ["a"], "parallelism": 4}, "flinkConfiguration": {"a.b": "x"}})
        );
        path.remove(&mut spec);
        deep.remove(&mut spec);
        assert_eq!(spec, json!({"job": {"args": ["a"]}, "flinkConfiguration": {}}));
        assert_eq!(String::from(deep.clone()).parse(), Ok(deep));
    }

    #[test]
    fn groups_of_kubernetes_and_of_tidegate_are_no_operators() {
        for (api, is_one) in [
            ("flink.apache.org/v1beta1", true),
            ("flinkoperator.k8s.io/v1beta1", true),
            ("flink.k8s.io/v1beta1", true),
            ("v1", false),
            ("apps/v1", false),
            ("batch/v1", false),
            ("coordination.k8s.io/v1", false),
            ("tidegate.dev/v1alpha1", false),
            ("flink.apache.org", false),
            ("flink.apache.org/", false),
            ("Flink.apache.org/v1", false),
        ] {
            assert_eq!(check_operator_api(api).is_ok(), is_one, "{api}");
        }
    }
}
