//! A cluster, and the one that a run of the tests shares.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::DirEntry;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use kube::Client;
use kube::config::Kubeconfig;
use tokio::sync::OnceCell;

use super::Namespace;
use super::access;
use super::kubectl::Kubectl;
use super::node::Node;
use super::not_run::not_run;
use super::up::Up;
use crate::testbed::until;

/// The name of the image of the binary under test: an entry point `/tidegate`, no shell.
pub const TIDEGATE_IMAGE: &str = "localhost/tidegate:test";

/// An API server takes a second for a definition, and ten on a full machine.
const KNOWN_WITHIN: Duration = Duration::from_mins(1);

/// A Kubernetes with an administrator's way in. One that was started here ends when this is dropped.
pub struct Cluster {
    admin: Kubectl,
    node: Option<Node>,
    up: Option<Up>,
    knows_ours: OnceCell<()>,
}

impl Cluster {
    /// The cluster of this run, started by the first test that asks for it. What a test leaves outside its namespace
    /// (a CRD, a `ClusterRole`) others see; what it does to the API server itself belongs on one of its [`Cluster::own`].
    ///
    /// It has a node where that has been built before and can run, so that there is one cluster for all tests; else it
    /// is an API server, and pods stay Pending.
    pub fn shared() -> Result<&'static Self> {
        static API: LazyLock<Result<Cluster>> = LazyLock::new(Cluster::own);
        if let Some(users) = Self::of_user()? {
            return Ok(users);
        }
        if node_was_built()
            && let Started::Here(cluster) = Self::node()?
        {
            return Ok(cluster);
        }
        API.as_ref().map_err(|error| anyhow!("there is no API server for this run: {error:#}"))
    }

    /// The cluster of this run with a node on which pods run, with the binary under test in it as [`TIDEGATE_IMAGE`].
    /// None where there can be no node: then the test that calls has been reported as not run, and is to return.
    #[track_caller]
    pub fn with_pods() -> Result<Option<&'static Self>> {
        if let Some(users) = Self::of_user()? {
            if users.node.is_none() {
                not_run(
                    "TIDEGATE_TEST_KUBECONFIG names a cluster that has neither the test bed's images nor its folders",
                );
            }
            return Ok(users.node.is_some().then_some(users));
        }
        match Self::node()? {
            Started::Here(cluster) => Ok(Some(cluster)),
            Started::Impossible(reason) => {
                not_run(reason);
                Ok(None)
            }
        }
    }

    /// A new API server that nobody else uses, about six seconds from now. Its pods stay Pending.
    pub fn own() -> Result<Self> {
        let (up, said) = Up::start("api")?;
        Self::started(up, &said)
    }

    fn started(up: Up, said: &BTreeMap<String, String>) -> Result<Self> {
        let path =
            |key: &str| said.get(key).map(PathBuf::from).with_context(|| format!("no {key} among {said:?}"));
        let admin = Kubectl { programs: path("programs")?, kubeconfig: path("kubeconfig")? };
        Ok(Self { node: Node::beside(&admin.kubeconfig), admin, up: Some(up), knows_ours: OnceCell::new() })
    }

    /// The node of this run, started by whoever asks first.
    fn node() -> Result<&'static Started> {
        static NODE: LazyLock<Result<Started>> = LazyLock::new(|| {
            let (up, said) = Up::start("node")?;
            if let Some(reason) = said.get("impossible") {
                return Ok(Started::Impossible(reason.clone()));
            }
            let cluster = Cluster::started(up, &said)?;
            cluster.load_tidegate()?;
            Ok(Started::Here(cluster))
        });
        NODE.as_ref().map_err(|error| anyhow!("the node did not start: {error:#}"))
    }

    /// The cluster that `TIDEGATE_TEST_KUBECONFIG` names.
    fn of_user() -> Result<Option<&'static Self>> {
        static USERS: LazyLock<Result<Option<Cluster>>> = LazyLock::new(|| {
            let Some(kubeconfig) = std::env::var_os("TIDEGATE_TEST_KUBECONFIG").map(PathBuf::from) else {
                return Ok(None);
            };
            let node = Node::beside(&kubeconfig);
            let admin = Kubectl { programs: PathBuf::new(), kubeconfig };
            let cluster = Cluster { admin, node, up: None, knows_ours: OnceCell::new() };
            cluster.load_tidegate()?;
            Ok(Some(cluster))
        });
        let users = USERS.as_ref().map_err(|error| anyhow!("TIDEGATE_TEST_KUBECONFIG: {error:#}"))?;
        Ok(users.as_ref())
    }

    fn load_tidegate(&self) -> Result<()> {
        let program = Path::new(env!("CARGO_BIN_EXE_tidegate"));
        self.node.map_or(Ok(()), |node| node.load(TIDEGATE_IMAGE, program))
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

    /// Makes kinds known, and waits until they are. Whatever the API server has against a definition is an error.
    pub async fn knows(&self, definitions: &str, names: &[&str]) -> Result<()> {
        let apply = ["apply", "--server-side", "--warnings-as-errors", "-f", "-"];
        self.admin.run_aside(&apply, definitions).await?;
        let wait = ["wait", "--for=condition=Established", "--timeout=30s", "crd"];
        let wait: Vec<&str> = wait.iter().chain(names).copied().collect();
        // Of one that has no conditions yet, kubectl does not wait for any.
        until("the kinds to be known", KNOWN_WITHIN, async || self.kubectl(&wait).await).await.map(drop)
    }

    /// A new namespace, for one test.
    pub async fn namespace(&self) -> Result<Namespace> {
        Namespace::create(&self.admin, self.node).await
    }

    /// The same, once our kinds are known.
    pub async fn namespace_of_ours(&self) -> Result<Namespace> {
        self.install().await?;
        self.namespace().await
    }

    /// Makes our kinds known.
    pub async fn install(&self) -> Result<()> {
        let known = self.knows_ours.get_or_try_init(async || {
            let definitions = tidegate::cli::crd::files().map(|(_, definition)| definition);
            let names = ["flinkautoscalers.tidegate.dev", "scalingpolicies.tidegate.dev"];
            self.knows(&definitions.join("---\n"), &names).await
        });
        known.await.copied()
    }

    /// A command that runs as a process of this machine, with its files, but on the network of the cluster's node: it
    /// reaches pods and Services, and knows them by name.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        Ok(self.node.context("this cluster has no node")?.command(program))
    }
}

/// What became of the wish for a node.
enum Started {
    Here(Cluster),
    /// With the reason.
    Impossible(String),
}

/// Whether a node starts within seconds: a run of tests that need none should not wait for it to be built.
fn node_was_built() -> bool {
    let cache = std::env::var_os("TIDEGATE_CACHE").map(PathBuf::from);
    let cache =
        cache.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache")).join("kubernetes");
    let images = |entry: std::io::Result<DirEntry>| {
        entry.is_ok_and(|e| e.file_name().to_string_lossy().starts_with("images-"))
    };
    cache.join("bin/kubelet").exists() && cache.read_dir().is_ok_and(|mut entries| entries.any(images))
}
