//! A look at a Kubernetes for `tidegate doctor`: reached as the daemon reaches it, with the rights of whoever asks.

use k8s_openapi::api::core::v1::Service;
use kube::Api;

use super::run::ControllerError;
use super::{connect, endpoint};
use crate::daemon::clock;
use crate::observe::kubernetes::{ClusterCheckup, Named};
use crate::policy::AutoscalerSpec;

/// Whose eyes to look with.
#[derive(Clone, Debug, Default)]
pub struct Eyes {
    /// The namespace of the jobs; that of the pod, or of the kubeconfig's context, without one.
    pub namespace: Option<String>,
    /// Where Tidegate's Lease is; as `namespace`.
    pub home: Option<String>,
    /// Who is to be impersonated, as by `kubectl --as`; nobody, without one.
    pub user: Option<String>,
    /// Whether it is to be found out where the Flinks of the autoscalers are.
    pub finds_flinks: bool,
}

/// What was seen.
pub struct Seen {
    /// What a Kubernetes is like, in one namespace.
    pub checkup: ClusterCheckup,
    /// The autoscalers there, by name, each with the URL of its Flink; or one line on why that is not known. None where that was not
    /// to be found out.
    pub autoscalers: Vec<(String, Result<AutoscalerSpec, String>)>,
}

/// What a Kubernetes is like, in one namespace.
///
/// # Errors
/// When there is no way to the API server, or one line on why it cannot be asked.
pub async fn examine(eyes: Eyes, named: Vec<Named>) -> Result<Result<Seen, String>, ControllerError> {
    let mut config = connect::config().await.map_err(ControllerError::Config)?;
    config.auth_info.impersonate = eyes.user;
    let own = config.default_namespace.clone();
    let namespace = eyes.namespace.unwrap_or_else(|| own.clone());
    let home = eyes.home.unwrap_or(own);
    let client = connect::client(config).map_err(ControllerError::Client)?;
    let mut checkup = match ClusterCheckup::take(&client, &namespace, &home, named, clock::now).await {
        Ok(checkup) => checkup,
        Err(why) => return Ok(Err(why)),
    };
    let services: Api<Service> = Api::namespaced(client, &namespace);
    let mut autoscalers = Vec::new();
    let found = std::mem::take(&mut checkup.autoscalers).into_iter().filter(|_| eyes.finds_flinks);
    for (name, mut spec) in found {
        let resolved = match spec.flink.service.take() {
            Some(reference) => {
                // Who may not read Services is told so by what is denied.
                let service = services.get_opt(&reference.name).await.ok().flatten();
                endpoint::url(&reference, &namespace, service.as_ref()).map(|url| spec.flink.url = url)
            }
            None => Ok(()),
        };
        autoscalers.push((name, resolved.map(|()| spec)));
    }
    Ok(Ok(Seen { checkup, autoscalers }))
}
