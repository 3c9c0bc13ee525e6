//! Who one is towards the API server: kubeconfigs and the clients made from them.

use std::path::Path;

use anyhow::{Context, Result};
use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use serde_json::json;

/// A client of the user whom a kubeconfig names. A client belongs to the runtime it is made in, that is to one test.
pub(super) async fn client(kubeconfig: &Path) -> Result<Client> {
    // Whoever comes first installs the provider; it is the same one.
    rustls::crypto::ring::default_provider().install_default().ok();
    let read = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Writes a kubeconfig for the cluster of another one, whose user is known by a token and nothing else.
pub(super) fn write_for_token(from: &Path, token: &str, namespace: &str, to: &Path) -> Result<()> {
    let read = Kubeconfig::read_from(from)?;
    let current = read.current_context.clone().context("the kubeconfig has no current context")?;
    let context = read.contexts.iter().find(|context| context.name == current);
    let context = context.and_then(|context| context.context.clone());
    let name = context.context("the kubeconfig's current context is not in it")?.cluster;
    let cluster = read.clusters.into_iter().find(|cluster| cluster.name == name);
    let cluster = cluster.with_context(|| format!("the kubeconfig holds no cluster {name}"))?;
    let written = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [cluster],
        "users": [{"name": "token", "user": {"token": token}}],
        "contexts": [{"name": "token", "context": {"cluster": name, "user": "token", "namespace": namespace}}],
        "current-context": "token",
    });
    // JSON is YAML, too.
    std::fs::write(to, written.to_string()).with_context(|| format!("cannot write {}", to.display()))
}
