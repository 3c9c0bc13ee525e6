//! What is kept in Kubernetes of each job's rescales, for `tidegate attempts`: read, and changed for one that is to go on.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use thiserror::Error;

use super::connect;
use super::fault::{Fault, call};
use super::state::{FIELD, StateError, WRITER, decode, encode};
use crate::model::{Ledger, Timestamp};

/// Whose states these are.
const OWNER: &str = "FlinkAutoscaler";

/// Why nothing can be told of them, or changed.
#[derive(Debug, Error)]
pub enum KeptError {
    /// Where Kubernetes is is not known.
    #[error("Kubernetes cannot be found: {0}")]
    Unfound(String),
    /// It does not answer, or refuses.
    #[error("the ConfigMaps of {namespace}: {fault}")]
    Server {
        /// The namespace.
        namespace: String,
        /// What happened.
        fault: String,
    },
    /// One of them is not understood.
    #[error("{0}")]
    State(String),
    /// There is no such autoscaler, or nothing is open of it.
    #[error("of {autoscaler} no job is stopped to be run again; there are states of: {known}")]
    NothingOpen {
        /// The autoscaler that was asked for.
        autoscaler: String,
        /// Those that there are.
        known: String,
    },
    /// It does not go on.
    #[error("{autoscaler}: {why}")]
    NotResumed {
        /// The autoscaler.
        autoscaler: String,
        /// Why.
        why: String,
    },
}

/// With what one goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resumed {
    /// The job is run again from this savepoint.
    Savepoint(String),
    /// This resource of an operator is put back.
    Operator(String),
}

/// The states in one namespace.
pub struct Kept {
    api: Api<ConfigMap>,
    namespace: String,
}

impl Kept {
    /// Those in a namespace; in that of the pod, or of the kubeconfig's context, without one. Connects to nothing yet.
    ///
    /// # Errors
    /// When nobody says where Kubernetes is.
    pub async fn of(namespace: Option<String>) -> Result<Self, KeptError> {
        let unfound = |error: &dyn std::error::Error| KeptError::Unfound(error.to_string());
        let config = connect::config().await.map_err(|error| unfound(&error))?;
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let client: Client = connect::client(config).map_err(|error| unfound(&error))?;
        Ok(Self { api: Api::namespaced(client, &namespace), namespace })
    }

    /// What is kept of each autoscaler, by `NAMESPACE/NAME`.
    ///
    /// # Errors
    /// When it cannot be read, or not be understood.
    pub async fn all(&self) -> Result<Vec<(String, Ledger)>, KeptError> {
        let mut all = Vec::new();
        for map in self.maps().await? {
            if let Some(autoscaler) = self.autoscaler(&map)
                && let Some(ledger) = ledger(&map)?
            {
                all.push((autoscaler, ledger));
            }
        }
        Ok(all)
    }

    /// Lets whoever looks after an autoscaler go on with a job that it could not bring back; with what it does.
    ///
    /// # Errors
    /// When it cannot be written, or does not go on.
    pub async fn resume(&self, autoscaler: &str, now: Timestamp) -> Result<Resumed, KeptError> {
        let maps = self.maps().await?;
        let named = |map: &ConfigMap| {
            self.autoscaler(map).is_some_and(|name| {
                name == autoscaler || name.split_once('/').is_some_and(|(_, n)| n == autoscaler)
            })
        };
        let nothing = || KeptError::NothingOpen {
            autoscaler: autoscaler.to_owned(),
            known: maps.iter().filter_map(|map| self.autoscaler(map)).collect::<Vec<_>>().join(", "),
        };
        let mut map = maps.iter().find(|map| named(map)).cloned().ok_or_else(nothing)?;
        let mut ledger = ledger(&map)?.ok_or_else(nothing)?;
        let attempt = ledger.attempt.as_mut().ok_or_else(nothing)?;
        let refused = |why: String| KeptError::NotResumed { autoscaler: autoscaler.to_owned(), why };
        let resumed = if let Some(upgrade) = &mut attempt.upgrade {
            upgrade.resume(now).map_err(|why| refused(why.to_string()))?;
            Resumed::Operator(upgrade.change.resource.clone())
        } else {
            let resubmission = attempt.resubmission.as_mut().ok_or_else(nothing)?;
            resubmission.resume(attempt.job, now).map_err(|why| refused(why.to_string()))?;
            Resumed::Savepoint(resubmission.location.clone().unwrap_or_default())
        };
        let name = map.name_any();
        let text = encode(&name, &ledger).map_err(|error| in_full(&error))?;
        map.data.get_or_insert_default().insert(FIELD.to_owned(), text);
        // Whoever looks after the job sees that another has written, and begins with what is there.
        map.annotations_mut().insert(WRITER.to_owned(), "tidegate attempts resume".to_owned());
        let parameters = PostParams { field_manager: Some("tidegate".to_owned()), ..PostParams::default() };
        call(self.api.replace(&name, &parameters, &map)).await.map_err(|fault| self.server(&fault))?;
        Ok(resumed)
    }

    async fn maps(&self) -> Result<Vec<ConfigMap>, KeptError> {
        let ours = ListParams::default().labels("app.kubernetes.io/managed-by=tidegate");
        let listed = call(self.api.list(&ours)).await.map_err(|fault| self.server(&fault))?;
        Ok(listed.items)
    }

    fn server(&self, fault: &Fault) -> KeptError {
        KeptError::Server { namespace: self.namespace.clone(), fault: fault.to_string() }
    }

    fn autoscaler(&self, map: &ConfigMap) -> Option<String> {
        let owner = map.owner_references().iter().find(|owner| owner.kind == OWNER)?;
        Some(format!("{}/{}", self.namespace, owner.name))
    }
}

/// What a ConfigMap holds; `None` of one that is empty.
fn ledger(map: &ConfigMap) -> Result<Option<Ledger>, KeptError> {
    let text = map.data.as_ref().and_then(|data| data.get(FIELD)).filter(|text| !text.is_empty());
    text.map(|text| decode(&map.name_any(), text)).transpose().map_err(|error| in_full(&error))
}

fn in_full(error: &StateError) -> KeptError {
    KeptError::State(error.to_string())
}
