//! A look at a Kubernetes for `tidegate doctor`: reached as the daemon reaches it, with the rights of whoever asks.

use super::connect;
use super::run::ControllerError;
use crate::daemon::clock;
use crate::observe::kubernetes::{ClusterCheckup, Named};

/// Whose eyes to look with.
#[derive(Clone, Debug, Default)]
pub struct Eyes {
    /// The namespace of the jobs; that of the pod, or of the kubeconfig's context, without one.
    pub namespace: Option<String>,
    /// Where Tidegate's Lease is; as `namespace`.
    pub home: Option<String>,
    /// Who is to be impersonated, as by `kubectl --as`; nobody, without one.
    pub user: Option<String>,
}

/// What a Kubernetes is like, in one namespace.
///
/// # Errors
/// When there is no way to the API server, or one line on why it cannot be asked.
pub async fn examine(
    eyes: Eyes,
    named: Vec<Named>,
) -> Result<Result<ClusterCheckup, String>, ControllerError> {
    let mut config = connect::config().await.map_err(ControllerError::Config)?;
    config.auth_info.impersonate = eyes.user;
    let own = config.default_namespace.clone();
    let namespace = eyes.namespace.unwrap_or_else(|| own.clone());
    let home = eyes.home.unwrap_or(own);
    let client = connect::client(config).map_err(ControllerError::Client)?;
    Ok(ClusterCheckup::take(&client, &namespace, &home, named, clock::now).await)
}
