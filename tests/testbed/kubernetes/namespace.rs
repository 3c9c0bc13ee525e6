//! A test's own namespace.

use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace as Resource, ServiceAccount};
use kube::api::PostParams;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client};
use serde_json::json;
use tempfile::TempDir;

use super::access;
use super::kubectl::Kubectl;
use crate::testbed::until;

/// How long the controllers may take to furnish a namespace.
const PATIENCE: Duration = Duration::from_secs(30);

/// A namespace that nobody else uses. Dropping it deletes it with all that is in it; with `TIDEGATE_KEEP` it stays.
pub struct Namespace {
    name: String,
    admin: Kubectl,
    client: Client,
    folder: TempDir,
}

impl Namespace {
    pub(super) async fn create(admin: &Kubectl) -> Result<Self> {
        let client = access::client(&admin.kubeconfig).await?;
        let wanted = json!({"metadata": {
            "generateName": "test-",
            "labels": {"app.kubernetes.io/managed-by": "tidegate-tests"},
        }});
        let made: Resource =
            Api::all(client.clone()).create(&PostParams::default(), &serde_json::from_value(wanted)?).await?;
        let name = made.metadata.name.context("a namespace without a name")?;
        let folder = tempfile::Builder::new().prefix("testbed-").tempdir()?;
        let namespace = Self { name, admin: admin.clone(), client, folder };
        // Without it no pod can be made.
        let accounts: Api<ServiceAccount> = namespace.api();
        until("the default service account", PATIENCE, async || Ok(accounts.get("default").await?)).await?;
        Ok(namespace)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A client with all rights, everywhere.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A kind of resource in this namespace, with all rights.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType: Default> + Clone + Debug,
    {
        Api::namespaced(self.client(), &self.name)
    }

    /// Runs kubectl in this namespace, with all rights, and returns what it printed.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.run(arguments, "").await
    }

    /// Applies manifests into this namespace, as `kubectl apply --server-side` does.
    pub async fn apply(&self, yaml: &str) -> Result<String> {
        self.run(&["apply", "--server-side", "-f", "-"], yaml).await
    }

    /// A kubeconfig of a `ServiceAccount` of this namespace: a token from the API server, and no other right. It lasts
    /// as long as this value.
    pub async fn kubeconfig_of(&self, account: &str) -> Result<PathBuf> {
        let accounts: Api<ServiceAccount> = self.api();
        let asked = TokenRequest {
            spec: TokenRequestSpec { expiration_seconds: Some(3600), ..TokenRequestSpec::default() },
            ..TokenRequest::default()
        };
        let answer = accounts.create_token_request(account, &PostParams::default(), &asked).await?;
        let token = answer.status.context("a token request without an answer")?.token;
        let path = self.folder.path().join(format!("{account}.kubeconfig"));
        access::write_for_token(&self.admin.kubeconfig, &token, &self.name, &path)?;
        Ok(path)
    }

    /// A client that may do what a `ServiceAccount` of this namespace may do, and nothing else.
    pub async fn client_of(&self, account: &str) -> Result<Client> {
        access::client(&self.kubeconfig_of(account).await?).await
    }

    async fn run(&self, arguments: &[&str], input: &str) -> Result<String> {
        let arguments: Vec<&str> =
            ["--namespace", &self.name].into_iter().chain(arguments.iter().copied()).collect();
        self.admin.run_aside(&arguments, input).await
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if std::env::var_os("TIDEGATE_KEEP").is_none() {
            // A cluster that is gone has no namespaces either.
            self.admin.run(&["delete", "namespace", &self.name, "--wait=false"], "").ok();
        }
    }
}
