//! What a watch has seen of a workload so far.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use serde_json::Value;

use super::matching::matched;
use super::pod::{PodSeen, seen};
use super::target::ScaleSeen;
use super::usage::{self, Usage};
use crate::model::{Removes, Room, Scalable, Timestamp, Workload};
use crate::observe::flink::TaskManagers;

/// What is known of a workload.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) scale: Option<ScaleSeen>,
    /// Why Kubernetes makes no more pods of it.
    pub(super) refused: Option<String>,
    /// What is the matter with the watch, in one line.
    pub(super) trouble: Option<String>,
    pub(super) usage: BTreeMap<String, Usage>,
    /// What its pods are made from, where it says so.
    pub(super) template: Option<core::PodSpec>,
    /// What the nodes have room for besides, where that is wanted and may be known.
    pub(super) room: Option<Room>,
    pods: BTreeMap<String, PodSeen>,
    /// Pods of a list that is not complete yet.
    listed: BTreeMap<String, PodSeen>,
    has_pods: bool,
}

impl Seen {
    /// What happened to its pods.
    pub(super) fn pod(&mut self, event: Event<core::Pod>) {
        let named = |pod: &core::Pod| {
            let seen = seen(pod);
            (seen.pod.name.clone(), seen)
        };
        match event {
            Event::Apply(pod) => self.pods.extend([named(&pod)]),
            Event::Delete(pod) => {
                self.pods.remove(&named(&pod).0);
            }
            Event::Init => self.listed.clear(),
            Event::InitApply(pod) => self.listed.extend([named(&pod)]),
            Event::InitDone => {
                self.pods = std::mem::take(&mut self.listed);
                self.has_pods = true;
            }
        }
    }

    /// Another selector: other pods.
    pub(super) fn forget_pods(&mut self) {
        (self.pods, self.listed, self.has_pods) = (BTreeMap::new(), BTreeMap::new(), false);
    }

    /// The workload, with the TaskManagers where they were asked for.
    pub(super) fn workload(
        &self,
        removes: Removes,
        taskmanagers: Option<&TaskManagers>,
        at: Timestamp,
    ) -> Result<Workload, String> {
        if let Some(trouble) = &self.trouble {
            return Err(trouble.clone());
        }
        let (Some(scale), true) = (&self.scale, self.has_pods) else {
            return Err("it is being looked at for the first time".to_owned());
        };
        let (mut pods, registered) = matched(self.pods.values().cloned(), taskmanagers);
        for pod in &mut pods {
            usage::add(pod, self.usage.get(&pod.name));
        }
        Ok(Workload {
            at,
            replicas: scale.replicas,
            observed: scale.observed,
            pods,
            scalable: Some(Scalable { removes, refused: self.refused.clone(), registered }),
        })
    }
}

/// What the pods of a workload are made from, where it is one of Kubernetes' own kinds.
pub(super) fn template(object: &DynamicObject) -> Option<core::PodSpec> {
    let spec = object.data.get("spec")?.get("template")?.get("spec")?;
    serde_json::from_value(spec.clone()).ok()
}

/// Why no more pods are made, as a Deployment or a `ReplicaSet` says it.
pub(super) fn refused(object: &DynamicObject) -> Option<String> {
    let conditions = object.data.get("status")?.get("conditions")?.as_array()?;
    let text = |condition: &Value, field: &str| condition.get(field)?.as_str().map(str::to_owned);
    let failure = conditions.iter().find(|condition| {
        text(condition, "type").as_deref() == Some("ReplicaFailure")
            && text(condition, "status").as_deref() == Some("True")
    })?;
    text(failure, "message").or_else(|| text(failure, "reason"))
}
