//! The resource by which an operator runs a job, seen through the API server.
//!
//! Comes in: its name, and of kinds that are not known where in it is what. Goes out: an [`OperatorSeen`], or one line on why there is
//! none. It is read once in a poll, beside Flink, from the API server's own memory; and, where it is about to be changed, for certain.

mod apache;
mod reading;

use kube::api::{DynamicObject, GetParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersion, GroupVersionKind};
use kube::{Api, Client, discovery};
use serde_json::{Value, json};

use super::fault::{Fault, in_time};
use crate::model::{OperatorChange, OperatorSeen, Timestamp};
use crate::policy::{OperatorKind, OperatorRef};
use reading::Places;

pub(super) use reading::digest;

/// An operator's resource, and the API server that has it. Connects to nothing by itself.
#[derive(Clone)]
pub struct OperatorTarget {
    client: Client,
    namespace: String,
    named: OperatorRef,
    places: Places,
}

/// How sure what is read has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// From the API server's memory, which may be late by a moment.
    Cached,
    /// As it is now.
    Now,
}

/// The resource as it was read.
pub(crate) struct Found {
    pub(crate) seen: OperatorSeen,
    version: Option<String>,
}

impl OperatorTarget {
    /// The resource of this name in a namespace.
    pub fn new(client: Client, namespace: &str, named: &OperatorRef) -> Self {
        let places = Places::of(named);
        Self { client, namespace: namespace.to_owned(), named: named.clone(), places }
    }

    /// Its kind and name, for people.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.named.kind, self.named.name)
    }

    /// Its kind, as the API server has it.
    pub(in super::super) async fn resource(&self) -> Result<ApiResource, Fault> {
        let OperatorRef { api_version, kind, .. } = &self.named;
        let unknown = || Fault::NoSuchKind { api_version: api_version.clone(), kind: kind.clone() };
        let version: GroupVersion = api_version.parse().map_err(|_| unknown())?;
        let kind = GroupVersionKind::gvk(&version.group, &version.version, kind);
        if self.named.whose() != OperatorKind::Other {
            // Known by heart: nothing has to be asked.
            return Ok(ApiResource::from_gvk(&kind));
        }
        match in_time(discovery::oneshot::pinned_kind(&self.client, &kind)).await {
            Ok((resource, _)) => Ok(resource),
            Err(Fault::Refused(status)) if status.code == 404 => Err(unknown()),
            Err(Fault::Other(kube::Error::Discovery(_))) => Err(unknown()),
            Err(error) => Err(error),
        }
    }

    async fn api(&self) -> Result<Api<DynamicObject>, Fault> {
        let resource = self.resource().await?;
        Ok(Api::namespaced_with(self.client.clone(), &self.namespace, &resource))
    }

    /// Reads it; `None` where there is none.
    pub(crate) async fn read(&self, read: Read, now: Timestamp) -> Result<Option<Found>, Fault> {
        let api = self.api().await?;
        let how = match read {
            Read::Cached => GetParams::any(),
            Read::Now => GetParams::default(),
        };
        match in_time(api.get_with(&self.named.name, &how)).await {
            Ok(object) => Ok(Some(self.found(&object, now))),
            Err(Fault::Refused(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Has it say what is to be, or what was before: only if nobody has changed it since it was found.
    pub(crate) async fn change(
        &self,
        found: &Found,
        change: &OperatorChange,
        back: bool,
        now: Timestamp,
    ) -> Result<Found, Fault> {
        let (from, to) = if back { (&change.after, &change.before) } else { (&change.before, &change.after) };
        let spec = self.places.patch(from, to);
        let patch = json!({"metadata": {"resourceVersion": found.version}, "spec": spec});
        let by = PatchParams { field_manager: Some("tidegate".to_owned()), ..PatchParams::default() };
        let api = self.api().await?;
        let object = in_time(api.patch(&self.named.name, &by, &Patch::Merge(patch))).await?;
        Ok(self.found(&object, now))
    }

    fn found(&self, object: &DynamicObject, at: Timestamp) -> Found {
        let seen = self.places.read(&self.named, &tree(object), at);
        Found { seen, version: object.metadata.resource_version.clone() }
    }
}

/// What of it is read.
fn tree(object: &DynamicObject) -> Value {
    json!({
        "generation": object.metadata.generation,
        "deleted": object.metadata.deletion_timestamp.is_some(),
        "spec": object.data.get("spec"),
        "status": object.data.get("status"),
    })
}
