//! What runs a JobManager in application mode, read and changed through the API server.
//!
//! Comes in: the kind and name of a Deployment or a Job. Goes out: a [`ManagerSeen`], or one line on why it cannot be used. It is read
//! only while a job is stopped and run again, and changed only as it was just read: by its version, or its uid.

mod reading;

use kube::api::{DeleteParams, DynamicObject, GetParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::fault::{Fault, in_time};
use crate::model::{ManagerKind, ManagerSeen};
use crate::policy::JobManagerRef;

/// Who changes what, in the `managedFields` of what is changed.
const MANAGER: &str = "tidegate";

/// A JobManager's object, and the API server that has it. Connects to nothing by itself.
#[derive(Clone)]
pub struct ManagerTarget {
    client: Client,
    namespace: String,
    named: JobManagerRef,
}

/// Whether it is really done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Try {
    /// It is only asked whether it would be.
    Dry,
    /// It is.
    Real,
}

impl ManagerTarget {
    /// The object of this name in a namespace.
    pub fn new(client: Client, namespace: &str, named: &JobManagerRef) -> Self {
        Self { client, namespace: namespace.to_owned(), named: named.clone() }
    }

    /// Its kind.
    pub(crate) fn kind(&self) -> ManagerKind {
        self.named.kind
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.named.name
    }

    /// Its namespace.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its kind and name, for people.
    pub(crate) fn shown(&self) -> String {
        format!("{} {}", self.named.kind.name(), self.named.name)
    }

    fn api(&self) -> Api<DynamicObject> {
        let kind = match self.named.kind {
            ManagerKind::Deployment => GroupVersionKind::gvk("apps", "v1", "Deployment"),
            ManagerKind::Job => GroupVersionKind::gvk("batch", "v1", "Job"),
        };
        Api::namespaced_with(self.client.clone(), &self.namespace, &ApiResource::from_gvk(&kind))
    }

    /// Reads it as it is now: all of it, and what it is as a JobManager's or why it is none. `None` where there is none of the name.
    pub(crate) async fn read(&self) -> Result<Option<(Value, Result<ManagerSeen, String>)>, Fault> {
        match in_time(self.api().get_with(&self.named.name, &GetParams::default())).await {
            Ok(object) => {
                let tree = json!({
                    "apiVersion": match self.named.kind {
                        ManagerKind::Deployment => "apps/v1",
                        ManagerKind::Job => "batch/v1",
                    },
                    "kind": self.named.kind.name(),
                    "metadata": object.metadata,
                    "spec": object.data.get("spec"),
                    "status": object.data.get("status"),
                });
                let seen = reading::seen(self.named.kind, &tree)
                    .map_err(|why| format!("{} cannot be used: {why}", self.shown()));
                Ok(Some((tree, seen)))
            }
            Err(Fault::Refused(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives the JobManager of a Deployment other arguments, if nobody has changed it since it was read.
    pub(crate) async fn set_args(
        &self,
        seen: &ManagerSeen,
        args: &[String],
        really: Try,
    ) -> Result<(), Fault> {
        let mut patch = reading::patch(&seen.container, args);
        patch["metadata"] = json!({"resourceVersion": seen.version});
        let by = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            dry_run: really == Try::Dry,
            ..PatchParams::default()
        };
        in_time(self.api().patch(&self.named.name, &by, &Patch::Strategic(patch))).await.map(drop)
    }

    /// Deletes a Job with its pods, and only the one that was read. It is there until its pods are gone.
    pub(crate) async fn delete(&self, seen: &ManagerSeen, really: Try) -> Result<(), Fault> {
        let only = Preconditions { uid: Some(seen.uid.clone()), resource_version: None };
        let how =
            DeleteParams { dry_run: really == Try::Dry, ..DeleteParams::foreground().preconditions(only) };
        in_time(self.api().delete(&self.named.name, &how)).await.map(drop)
    }

    /// Creates a Job; tried only, under a name that nobody has.
    pub(crate) async fn create(&self, object: &Value, really: Try) -> Result<(), Fault> {
        let mut object = object.clone();
        if really == Try::Dry {
            object["metadata"]["name"] = Value::Null;
            object["metadata"]["generateName"] = Value::String("tidegate-".to_owned());
        }
        let object: DynamicObject =
            serde_json::from_value(object).map_err(|error| Fault::Other(kube::Error::SerdeError(error)))?;
        let by = PostParams { dry_run: really == Try::Dry, field_manager: Some(MANAGER.to_owned()) };
        in_time(self.api().create(&by, &object)).await.map(drop)
    }
}

/// A Job as it can be created again, with other arguments for its JobManager.
pub(crate) fn with_args(object: &Value, container: &str, args: &[String]) -> Value {
    reading::with_args(object, container, args)
}

/// A Job without what belongs to the one that it is read from.
pub(crate) fn to_create(tree: &Value) -> Value {
    reading::to_create(tree)
}

/// The patch that gives the JobManager of a Deployment other arguments.
pub(crate) fn patch(container: &str, args: &[String]) -> Value {
    reading::patch(container, args)
}

/// What a Job that is gone would be read as, but for its uid.
pub(crate) fn of_gone(object: &Value) -> Result<ManagerSeen, String> {
    reading::seen(ManagerKind::Job, object)
}
