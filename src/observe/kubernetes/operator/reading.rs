//! What an operator's resource says, by the places of what is in it.

use serde_json::{Map, Value, json};

use super::apache;
use crate::model::{Hindrance, OVERRIDES, OperatorFields, OperatorSeen, OperatorState, Overrides, Timestamp};
use crate::policy::{OperatorKind, OperatorPaths, OperatorRef, SpecPath};

/// Where in a resource is what makes a job's size.
#[derive(Clone, Debug)]
pub(super) struct Places {
    parallelism: SpecPath,
    overrides: Option<SpecPath>,
    replicas: Option<SpecPath>,
}

impl Places {
    pub(super) fn of(named: &OperatorRef) -> Self {
        let conf = || SpecPath::of(&["flinkConfiguration", OVERRIDES]);
        match (named.whose(), &named.fields) {
            (OperatorKind::Other, Some(OperatorPaths { parallelism, overrides, replicas, .. })) => Self {
                parallelism: parallelism.clone(),
                overrides: overrides.clone(),
                replicas: replicas.clone(),
            },
            (OperatorKind::FlinkDeployment, _) => Self {
                parallelism: SpecPath::of(&["job", "parallelism"]),
                overrides: Some(conf()),
                replicas: Some(SpecPath::of(&["taskManager", "replicas"])),
            },
            // Whose TaskManagers are those of its cluster; a kind that is not known has no places without fields.
            (OperatorKind::FlinkSessionJob | OperatorKind::Other, _) => Self {
                parallelism: SpecPath::of(&["job", "parallelism"]),
                overrides: Some(conf()),
                replicas: None,
            },
        }
    }

    /// The resource, of which `tree` has the generation, whether it is being deleted, spec and status.
    pub(super) fn read(&self, named: &OperatorRef, tree: &Value, at: Timestamp) -> OperatorSeen {
        let (spec, status) = (&tree["spec"], &tree["status"]);
        let kind = named.whose();
        let (state, hindrance) = match (&named.fields, kind) {
            (Some(paths), OperatorKind::Other) => (state(paths, tree), None),
            (None, OperatorKind::Other) => {
                (OperatorState::InProgress { says: "where its state is is not said".to_owned() }, None)
            }
            (_, OperatorKind::FlinkDeployment | OperatorKind::FlinkSessionJob) => {
                (apache::state(kind, tree), apache::hindrance(spec, status))
            }
        };
        let is_deleted = tree["deleted"] == true;
        OperatorSeen {
            at,
            name: format!("{} {}", named.kind, named.name),
            fields: self.fields(spec),
            rest: self.rest(spec),
            state,
            overrides: match kind {
                OperatorKind::FlinkDeployment => Overrides::OfCluster,
                OperatorKind::FlinkSessionJob => Overrides::OfJob,
                OperatorKind::Other if self.overrides.is_some() => Overrides::OfJob,
                OperatorKind::Other => Overrides::Never,
            },
            takes_replicas: match kind {
                OperatorKind::FlinkDeployment => spec["mode"] == "standalone",
                OperatorKind::FlinkSessionJob | OperatorKind::Other => self.replicas.is_some(),
            },
            hindrance: if is_deleted { Some(Hindrance::Deleted) } else { hindrance },
        }
    }

    fn fields(&self, spec: &Value) -> OperatorFields {
        let count = |path: &SpecPath| number(path.get(spec)?);
        OperatorFields {
            parallelism: count(&self.parallelism),
            overrides: self.overrides.as_ref().and_then(|path| text(path.get(spec)?)),
            replicas: self.replicas.as_ref().and_then(count),
        }
    }

    /// A digest of the spec without what is ours to change.
    fn rest(&self, spec: &Value) -> String {
        let mut rest = spec.clone();
        let own = [Some(&self.parallelism), self.overrides.as_ref(), self.replicas.as_ref()];
        for path in own.into_iter().flatten() {
            path.remove(&mut rest);
        }
        digest(&without_nothing(&rest))
    }

    /// The merge patch of a spec from one to the other.
    pub(super) fn patch(&self, from: &OperatorFields, to: &OperatorFields) -> Value {
        let mut spec = Value::Object(Map::new());
        let mut put = |path: Option<&SpecPath>, before: Value, after: Value| {
            if let Some(path) = path.filter(|_| before != after) {
                path.put(&mut spec, after);
            }
        };
        put(Some(&self.parallelism), json!(from.parallelism), json!(to.parallelism));
        put(self.overrides.as_ref(), json!(from.overrides), json!(to.overrides));
        put(self.replicas.as_ref(), json!(from.replicas), json!(to.replicas));
        spec
    }
}

/// What an operator says by the words of its own.
fn state(paths: &OperatorPaths, tree: &Value) -> OperatorState {
    let status = &tree["status"];
    let says = paths.state.get(status).and_then(text).unwrap_or_else(|| "nothing yet".to_owned());
    if let Some(path) = &paths.observed_generation {
        let observed = path.get(status).and_then(Value::as_i64);
        if observed < tree["generation"].as_i64() {
            return OperatorState::InProgress { says: format!("{says}, of an earlier spec") };
        }
    }
    if paths.stable.contains(&says) {
        OperatorState::Stable
    } else if paths.failed.contains(&says) {
        OperatorState::Failed { says }
    } else {
        OperatorState::InProgress { says }
    }
}

fn number(value: &Value) -> Option<u32> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_u64().and_then(|number| number.try_into().ok()),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Without nulls and what is left empty by them: the API server drops some of them and keeps others.
fn without_nothing(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().map(|(name, value)| (name.clone(), without_nothing(value)));
            let is_something =
                |value: &Value| !value.is_null() && !value.as_object().is_some_and(Map::is_empty);
            Value::Object(kept.filter(|(_, value)| is_something(value)).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_nothing).collect()),
        other => other.clone(),
    }
}

/// Of a tree, whatever the order of its fields (FNV-1a, 64 bits): it is to notice a change, not to withstand an attack.
pub(in super::super) fn digest(value: &Value) -> String {
    fn feed(hash: &mut u64, bytes: &[u8]) {
        for byte in bytes {
            *hash = (*hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }
    fn walk(hash: &mut u64, value: &Value) {
        match value {
            Value::Object(fields) => {
                let mut names: Vec<&String> = fields.keys().collect();
                names.sort_unstable();
                feed(hash, b"{");
                for name in names {
                    feed(hash, Value::String(name.clone()).to_string().as_bytes());
                    walk(hash, &fields[name]);
                }
                feed(hash, b"}");
            }
            Value::Array(items) => {
                feed(hash, b"[");
                for item in items {
                    walk(hash, item);
                }
                feed(hash, b"]");
            }
            other => feed(hash, format!("{other},").as_bytes()),
        }
    }
    let mut hash = 0xCBF2_9CE4_8422_2325;
    walk(&mut hash, value);
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn other() -> OperatorRef {
        serde_json::from_value(json!({
            "apiVersion": "jobs.example.com/v1", "kind": "JobRun", "name": "orders",
            "fields": {
                "parallelism": "spec.workers", "replicas": "spec.pods", "state": "status.phase",
                "stable": ["Ready"], "failed": ["Broken"], "observedGeneration": "status.seen",
            },
        }))
        .expect("a reference")
    }

    fn read(named: &OperatorRef, tree: &Value) -> OperatorSeen {
        Places::of(named).read(named, tree, AT)
    }

    #[test]
    fn says_how_it_is_by_its_own_words() {
        use OperatorState::{Failed, InProgress, Stable};
        let busy = |says: &str| InProgress { says: says.to_owned() };
        for (status, expected) in [
            (json!({"phase": "Ready", "seen": 3}), Stable),
            (json!({"phase": "Ready", "seen": 2}), busy("Ready, of an earlier spec")),
            (json!({"phase": "Ready"}), busy("Ready, of an earlier spec")),
            (json!({"phase": "Changing", "seen": 3}), busy("Changing")),
            (json!({"phase": "Broken", "seen": 3}), Failed { says: "Broken".to_owned() }),
            (json!({"seen": 3}), busy("nothing yet")),
            (json!(null), busy("nothing yet, of an earlier spec")),
        ] {
            let tree = json!({"generation": 3, "spec": {"workers": 2}, "status": status});
            assert_eq!(read(&other(), &tree).state, expected, "{status}");
        }
        let tree = json!({"generation": 3, "deleted": true, "spec": {}, "status": {}});
        assert_eq!(read(&other(), &tree).hindrance, Some(Hindrance::Deleted));
    }

    #[test]
    fn a_change_of_anything_else_is_seen_and_of_what_is_ours_is_not() {
        let rest = |spec: Value| read(&other(), &json!({"spec": spec})).rest;
        let before = rest(json!({"workers": 2, "pods": 1, "image": "a", "conf": {"x": null}}));
        for (spec, is_same) in [
            (json!({"image": "a", "workers": 4, "pods": 3}), true),
            (json!({"conf": {}, "image": "a"}), true),
            (json!({"image": "b", "workers": 2, "pods": 1}), false),
            (json!({"image": "a", "workers": 2, "more": [1]}), false),
        ] {
            assert_eq!(rest(spec.clone()) == before, is_same, "{spec}");
        }
        assert_ne!(digest(&json!(["ab", "c"])), digest(&json!(["a", "bc"])));
        assert_ne!(digest(&json!({"a": {"b": 1}})), digest(&json!({"a": {}, "b": 1})));
    }

    #[test]
    fn only_what_changes_is_written_and_what_was_not_there_is_taken_away() {
        let places = Places::of(&other());
        let fields = |parallelism, replicas| OperatorFields { parallelism, overrides: None, replicas };
        for (from, to, patch) in [
            (fields(Some(2), Some(1)), fields(Some(4), Some(2)), json!({"workers": 4, "pods": 2})),
            (fields(Some(2), Some(1)), fields(Some(4), Some(1)), json!({"workers": 4})),
            (fields(Some(4), Some(2)), fields(Some(2), None), json!({"workers": 2, "pods": null})),
        ] {
            assert_eq!(places.patch(&from, &to), patch);
        }
    }

    #[test]
    fn apaches_resources_are_known() {
        let named = |kind: &str| -> OperatorRef {
            serde_json::from_value(
                json!({"apiVersion": "flink.apache.org/v1beta1", "kind": kind, "name": "orders"}),
            )
            .expect("a reference")
        };
        let spec = |mode: &str| {
            json!({"mode": mode, "job": {"parallelism": 2}, "taskManager": {"replicas": 3},
                "flinkConfiguration": {OVERRIDES: "aa:1"}})
        };
        for (kind, mode, replicas, takes_replicas, overrides) in [
            ("FlinkDeployment", "native", Some(3), false, Overrides::OfCluster),
            ("FlinkDeployment", "standalone", Some(3), true, Overrides::OfCluster),
            ("FlinkSessionJob", "native", None, false, Overrides::OfJob),
        ] {
            let seen = read(&named(kind), &json!({"spec": spec(mode), "status": {}}));
            let fields =
                OperatorFields { parallelism: Some(2), overrides: Some("aa:1".to_owned()), replicas };
            assert_eq!(
                (seen.fields, seen.takes_replicas, seen.overrides),
                (fields, takes_replicas, overrides)
            );
        }
        let patch = Places::of(&named("FlinkDeployment")).patch(
            &OperatorFields::default(),
            &OperatorFields { parallelism: Some(4), overrides: Some("aa:4".to_owned()), replicas: Some(2) },
        );
        assert_eq!(
            patch,
            json!({"job": {"parallelism": 4}, "flinkConfiguration": {OVERRIDES: "aa:4"}, "taskManager": {"replicas": 2}})
        );
    }
}
