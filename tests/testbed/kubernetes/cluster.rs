//! A cluster, and the one that a run of the tests shares.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::{Context, Result, anyhow};
use kube::Client;
use kube::config::Kubeconfig;

use super::Namespace;
use super::access;
use super::kubectl::Kubectl;
use super::up::Up;

/// A Kubernetes with an administrator's way in. One that was started here ends when this is dropped.
pub struct Cluster {
    admin: Kubectl,
    up: Option<Up>,
}

impl Cluster {
    /// The cluster of this run, started by the first test that asks for it. What a test leaves outside its namespace
    /// (a CRD, a `ClusterRole`) others see; what it does to the API server itself belongs on one of its [`Cluster::own`].
    pub fn shared() -> Result<&'static Self> {
        static SHARED: LazyLock<Result<Cluster>> =
            LazyLock::new(|| match std::env::var_os("TIDEGATE_TEST_KUBECONFIG") {
                Some(kubeconfig) => Ok(Cluster::of_user(kubeconfig.into())),
                None => Cluster::own(),
            });
        SHARED.as_ref().map_err(|error| anyhow!("there is no cluster for this run: {error:#}"))
    }

    /// A new API server that nobody else uses, about six seconds from now. Its pods stay Pending.
    pub fn own() -> Result<Self> {
        let (up, said) = Up::start("api")?;
        let path =
            |key: &str| said.get(key).map(PathBuf::from).with_context(|| format!("no {key} among {said:?}"));
        let admin = Kubectl { programs: path("programs")?, kubeconfig: path("kubeconfig")? };
        Ok(Self { admin, up: Some(up) })
    }

    fn of_user(kubeconfig: PathBuf) -> Self {
        Self { admin: Kubectl { programs: PathBuf::new(), kubeconfig }, up: None }
    }

    /// Kills the API server, as a crash would; everything else runs on. Of [`Cluster::own`] clusters only.
    pub fn stop(&mut self) -> Result<()> {
        self.up.as_mut().context("this cluster was not started here")?.command("stop", "stopped")
    }

    /// Starts the API server again, at its old address and with all that it knew, and waits until it is ready.
    pub fn start(&mut self) -> Result<()> {
        self.up.as_mut().context("this cluster was not started here")?.command("start", "ready")
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.admin.kubeconfig
    }

    /// Where the API server is.
    pub fn url(&self) -> Result<String> {
        let read = Kubeconfig::read_from(self.kubeconfig())?;
        let server = read.clusters.into_iter().find_map(|named| named.cluster?.server);
        server.context("the kubeconfig names no server")
    }

    /// A client with all rights.
    pub async fn client(&self) -> Result<Client> {
        access::client(self.kubeconfig()).await
    }

    /// Runs kubectl with all rights and returns what it printed.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.admin.run_aside(arguments, "").await
    }

    /// Applies manifests, as `kubectl apply --server-side` does.
    pub async fn apply(&self, yaml: &str) -> Result<String> {
        self.admin.run_aside(&["apply", "--server-side", "-f", "-"], yaml).await
    }

    /// A new namespace, for one test.
    pub async fn namespace(&self) -> Result<Namespace> {
        Namespace::create(&self.admin).await
    }
}
