//! From the objects that there are to the jobs that are to be scaled, or why one cannot be.
//!
//! A `FlinkAutoscaler` and the `ScalingPolicy` that it names go through the same checks as files do, whatever the API server has
//! let through. What has been checked is kept, so that nothing is checked twice that has not changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::core::DynamicObject;
use kube::{Resource as _, ResourceExt as _};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::endpoint::{self, Target, Workload, canonical, is_loopback};
use super::key::Key;
use super::rivals::{rivals, scaled_by};
use super::world::Objects;
use crate::config::{self, Autoscaler, ConfigErrors, Library, Source};
use crate::model::JobId;
use crate::policy::{AutoscalerSpec, Mode, Policy, ServiceRef};

/// One autoscaler.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) object: Arc<DynamicObject>,
    pub(super) uid: String,
    pub(super) what: Result<Arc<Setup>, Refused>,
}

/// How a job is scaled.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Setup {
    pub(super) spec: AutoscalerSpec,
    pub(super) policy: Policy,
    /// The generation of the spec that this is.
    pub(super) generation: Option<i64>,
}

/// Why a job is not scaled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// A condition's reason.
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// What was checked before, by autoscaler.
#[derive(Debug, Default)]
pub(super) struct Checked(BTreeMap<Key, (Vec<String>, Result<Autoscaler, Refused>)>);

impl Checked {
    /// All autoscalers that there are; those named `only`, if that is given.
    pub(super) fn wanted(
        &mut self,
        objects: &Objects,
        found: &BTreeMap<Key, JobId>,
        library: &Library,
        only: Option<&str>,
        dry_run: bool,
    ) -> BTreeMap<Key, Wanted> {
        // Those that are being deleted are no longer looked after.
        let is_there = |object: &&Arc<DynamicObject>| object.meta().deletion_timestamp.is_none();
        let policies: BTreeMap<Key, &DynamicObject> =
            objects.policies.iter().map(|policy| (Key::of(&**policy), &**policy)).collect();
        let services: BTreeMap<Key, _> =
            objects.services.iter().map(|service| (Key::of(&**service), &**service)).collect();
        let mut checked = BTreeMap::new();
        let mut autoscalers = Vec::new();
        for object in objects.autoscalers.iter().filter(is_there) {
            let key = Key::of(&**object);
            // One of another form is told of with the rest of the spec.
            let service = object.data.pointer("/spec/flink/service");
            let service = service.and_then(|service| ServiceRef::deserialize(service).ok());
            let url = service.map(|service| {
                let there = services.get(&Key::new(&key.namespace, &service.name)).copied();
                endpoint::url(&service, &key.namespace, there)
            });
            let one = match url.transpose() {
                Err(message) => (Vec::new(), Err(Refused { reason: "ServiceNotFound", message })),
                Ok(url) => {
                    let texts = texts(object, &key, &policies, url);
                    match self.0.remove(&key) {
                        Some((before, one)) if before == texts => (texts, one),
                        _ => {
                            let one = check(&key, &texts, library);
                            (texts, one)
                        }
                    }
                }
            };
            autoscalers.push((key.clone(), object));
            checked.insert(key, one);
        }
        self.0 = checked;
        let target = |(key, _): &(Key, _)| {
            let mut target = target(key, &self.0[key].1, found.get(key).copied())?;
            if only.is_some() && is_loopback(&target.endpoint) {
                // Beside a JobManager, this host is another one for each autoscaler.
                target.endpoint = format!("{} of {key}", target.endpoint);
            }
            Some(target)
        };
        let targets: Vec<Target> = autoscalers.iter().filter_map(target).collect();
        let mut rivals = if dry_run {
            BTreeMap::new()
        } else {
            rivals(&targets, &scaled_by(objects.hpas.iter().map(|hpa| &**hpa)))
        };
        let is_ours = |(key, _): &(Key, _)| only.is_none_or(|only| only == key.name);
        let wanted = autoscalers.into_iter().filter(is_ours).map(|(key, object)| {
            let what =
                self.0[&key].1.clone().map(|Autoscaler { name: _, namespace: _, spec, mut policy }| {
                    policy.rivals = rivals.remove(&key).unwrap_or_default();
                    if dry_run && policy.mode == Mode::Auto {
                        policy.mode = Mode::Recommend;
                    }
                    Arc::new(Setup { spec, policy, generation: object.meta().generation })
                });
            let uid = object.uid().unwrap_or_default();
            (key, Wanted { object: Arc::clone(object), uid, what })
        });
        wanted.collect()
    }
}

/// What the autoscaler asks for, if it is one that acts.
fn target(key: &Key, checked: &Result<Autoscaler, Refused>, id: Option<JobId>) -> Option<Target> {
    let spec = &checked.as_ref().ok().filter(|one| one.policy.mode == Mode::Auto)?.spec;
    let workload = spec.workload.as_ref();
    Some(Target {
        key: key.clone(),
        endpoint: canonical(&spec.flink.url, &key.namespace),
        job: spec.flink.job.clone(),
        id,
        workload: workload.map(|w| Workload::new(&w.api_version, &w.kind, &w.name)),
    })
}

/// The autoscaler, and the policy that it names if that is an object, as files would hold them.
fn texts(
    object: &DynamicObject,
    key: &Key,
    policies: &BTreeMap<Key, &DynamicObject>,
    url: Option<String>,
) -> Vec<String> {
    let mut spec = object.data["spec"].clone();
    if let (Some(url), Some(flink)) = (url, spec.get_mut("flink").and_then(Value::as_object_mut)) {
        flink.remove("service");
        flink.insert("url".to_owned(), Value::String(url));
    }
    let document = |kind: &str, object: &DynamicObject, more: Vec<(&str, Value)>| {
        let mut document = json!({
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": kind,
            "metadata": {
                "name": object.name_any(),
                "namespace": key.namespace,
                "labels": object.labels(),
                "annotations": object.annotations(),
            },
        });
        for (field, value) in more.into_iter().filter(|(_, value)| !value.is_null()) {
            document[field] = value;
        }
        document.to_string()
    };
    let policy = spec.pointer("/policyRef/name").and_then(Value::as_str).map(str::to_owned);
    let policy = policy.unwrap_or_else(|| AutoscalerSpec::default().policy_ref.name);
    let policy = policies.get(&Key::new(&key.namespace, policy));
    let autoscaler = document("FlinkAutoscaler", object, vec![("spec", spec)]);
    let policy = policy.map(|policy| {
        let field = |name: &'static str| (name, policy.data[name].clone());
        document("ScalingPolicy", policy, vec![field("spec"), field("tests")])
    });
    std::iter::once(autoscaler).chain(policy).collect()
}

fn check(key: &Key, texts: &[String], library: &Library) -> Result<Autoscaler, Refused> {
    let names = [format!("FlinkAutoscaler {key}"), format!("ScalingPolicy in {}", key.namespace)];
    let sources: Vec<Source> =
        names.iter().zip(texts).map(|(name, text)| Source::new(name.as_str(), text.as_str())).collect();
    let config = config::load(&sources, library).map_err(|errors| refused(&errors, &names[0]))?;
    // One document was given, and one came back.
    config.autoscalers.into_iter().next().ok_or_else(|| Refused {
        reason: "InvalidSpec",
        message: "the object holds no FlinkAutoscaler".to_owned(),
    })
}

/// All mistakes, by their fields: lines and columns are those of a text that nobody has seen.
fn refused(errors: &ConfigErrors, autoscaler: &str) -> Refused {
    let of_policy = |file: &str| file != autoscaler;
    let line = |error: &config::ConfigError| {
        let place = if of_policy(&error.file) { "the policy's " } else { "" };
        let path = if error.path.is_empty() { "document" } else { &error.path };
        format!("{place}{path}: {}", error.problem)
    };
    let lines: Vec<String> = errors.iter().map(line).collect();
    let reason = if errors.iter().all(|error| of_policy(&error.file)) {
        "InvalidPolicy"
    } else if errors.iter().all(|error| error.path == "spec.policyRef.name") {
        "PolicyNotFound"
    } else {
        "InvalidSpec"
    };
    Refused { reason, message: lines.join("; ") }
}

#[cfg(test)]
mod tests;
