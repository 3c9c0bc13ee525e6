//! A workload by name, of whatever kind, and the calls about it.

use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersion, GroupVersionKind};
use kube::{Api, Client, discovery};

use super::fault::{Fault, in_time};
use super::pod::{PodSeen, seen};
use crate::model::Removes;
use crate::policy::WorkloadRef;

/// A workload, and the API server that has it. Connects to nothing by itself.
#[derive(Clone)]
pub struct Target {
    client: Client,
    namespace: String,
    workload: WorkloadRef,
}

/// A workload's scale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScaleSeen {
    /// Replicas asked for.
    pub(crate) replicas: u32,
    /// Replicas that exist.
    pub(crate) observed: u32,
    /// Which pods are its own.
    pub(crate) selector: String,
}

impl Target {
    /// The workload of this name in a namespace.
    pub fn new(client: Client, namespace: &str, workload: &WorkloadRef) -> Self {
        Self { client, namespace: namespace.to_owned(), workload: workload.clone() }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.workload.name
    }

    /// Which pods go when there are to be fewer. What is neither of the two that are known makes a `ReplicaSet`, or is one.
    pub(crate) fn removes(&self) -> Removes {
        if self.workload.kind == "StatefulSet" { Removes::HighestOrdinal } else { Removes::LowestCost }
    }

    /// Its kind, as the API server has it.
    pub(crate) async fn resource(&self) -> Result<ApiResource, Fault> {
        let WorkloadRef { api_version, kind, name: _ } = &self.workload;
        let unknown = || Fault::NoSuchKind { api_version: api_version.clone(), kind: kind.clone() };
        let version: GroupVersion = api_version.parse().map_err(|_| unknown())?;
        if version.group == "apps" {
            // Known by heart: nothing has to be asked, and no right to ask it is needed.
            return Ok(ApiResource::from_gvk(&GroupVersionKind::gvk(&version.group, &version.version, kind)));
        }
        let kind = GroupVersionKind::gvk(&version.group, &version.version, kind);
        match in_time(discovery::oneshot::pinned_kind(&self.client, &kind)).await {
            Ok((resource, _)) => Ok(resource),
            Err(Fault::Refused(status)) if status.code == 404 => Err(unknown()),
            Err(Fault::Other(kube::Error::Discovery(_))) => Err(unknown()),
            Err(error) => Err(error),
        }
    }

    /// The calls about things of its kind.
    pub(crate) fn api(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, resource)
    }

    /// The calls about pods.
    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Its scale as it is now.
    pub(crate) async fn scale(&self, resource: &ApiResource) -> Result<Scale, Fault> {
        in_time(self.api(resource).get_scale(&self.workload.name)).await
    }

    /// What a scale says.
    pub(crate) fn scale_seen(&self, scale: &Scale) -> Result<ScaleSeen, Fault> {
        let count = |replicas: i32| u32::try_from(replicas).unwrap_or(0);
        let status = scale.status.as_ref();
        let selector =
            status.and_then(|status| status.selector.clone()).filter(|selector| !selector.is_empty());
        Ok(ScaleSeen {
            replicas: count(scale.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0)),
            observed: count(status.map_or(0, |status| status.replicas)),
            selector: selector.ok_or_else(|| Fault::NoSelector(self.workload.name.clone()))?,
        })
    }

    /// Its pods as they are now.
    pub(crate) async fn pods_now(&self, selector: &str) -> Result<Vec<PodSeen>, Fault> {
        let list = in_time(self.pods().list(&ListParams::default().labels(selector))).await;
        Ok(list?.items.iter().map(seen).collect())
    }
}
