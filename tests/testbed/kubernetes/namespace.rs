//! A test's own namespace.

use std::fmt::Debug;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace as Resource, Pod, Service, ServiceAccount};
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, LogParams, PostParams,
};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::kubectl::Kubectl;
use super::node::Node;
use super::{Flink, Forward, Options, access};
use crate::testbed::{Topic, until};

/// How long the controllers may take to furnish a namespace.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many lines of a log are of interest when something has not come about.
const LINES: i64 = 60;

/// Groups and versions of the kinds that tests read.
const KINDS: &[(&str, &str, &[&str])] = &[
    ("", "v1", &["ConfigMap", "ResourceQuota"]),
    ("apps", "v1", &["Deployment", "StatefulSet"]),
    ("batch", "v1", &["Job"]),
    ("events.k8s.io", "v1", &["Event"]),
    ("flink.apache.org", "v1beta1", &["FlinkDeployment", "FlinkSessionJob"]),
    ("made-up.example.com", "v1", &["JobRun"]),
    ("tidegate.dev", "v1alpha1", &["FlinkAutoscaler"]),
];

/// A namespace that nobody else uses. Dropping it deletes it with all that is in it; with `TIDEGATE_KEEP` it stays.
pub struct Namespace {
    name: String,
    admin: Kubectl,
    node: Option<Node>,
    client: Client,
    folder: TempDir,
}

impl Namespace {
    pub(super) async fn create(admin: &Kubectl, node: Option<Node>) -> Result<Self> {
        let client = access::client(&admin.kubeconfig).await?;
        let wanted = json!({"metadata": {
            "generateName": "test-",
            "labels": {"app.kubernetes.io/managed-by": "tidegate-tests"},
        }});
        let made: Resource =
            Api::all(client.clone()).create(&PostParams::default(), &serde_json::from_value(wanted)?).await?;
        let name = made.metadata.name.context("a namespace without a name")?;
        let folder = tempfile::Builder::new().prefix("testbed-").tempdir()?;
        let namespace = Self { name, admin: admin.clone(), node, client, folder };
        std::fs::create_dir(namespace.shared_folder())?;
        // Pods run under other users.
        std::fs::set_permissions(namespace.shared_folder(), Permissions::from_mode(0o777))?;
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

    /// An object as JSON, by its kind and name. It costs a thousandth of what a process of kubectl does, so that a test can
    /// look again and again while it waits.
    pub async fn object(&self, kind: &str, name: &str) -> Result<Value> {
        let mut object = self.objects_of(kind)?.get(name).await.with_context(|| format!("{kind} {name}"))?;
        object.metadata.managed_fields = None;
        Ok(serde_json::to_value(object)?)
    }

    /// All objects of a kind as JSON.
    pub async fn objects(&self, kind: &str) -> Result<Vec<Value>> {
        let list =
            self.objects_of(kind)?.list(&ListParams::default()).await.with_context(|| kind.to_owned())?;
        Ok(list.items.into_iter().map(serde_json::to_value).collect::<Result<_, _>>()?)
    }

    fn objects_of(&self, kind: &str) -> Result<Api<DynamicObject>> {
        let (group, version, _) = KINDS
            .iter()
            .find(|(.., kinds)| kinds.contains(&kind))
            .with_context(|| format!("no group is known of {kind}"))?;
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Ok(Api::namespaced_with(self.client(), &self.name, &resource))
    }

    /// The last lines that a container of the pods with a label has said.
    pub async fn logs(&self, label: &str, container: &str) -> Result<String> {
        let pods: Api<Pod> = self.api();
        let params = LogParams {
            container: Some(container.to_owned()),
            tail_lines: Some(LINES),
            ..LogParams::default()
        };
        let mut logs = String::new();
        for pod in pods.list(&ListParams::default().labels(label)).await? {
            logs += &pods.logs(&pod.name_any(), &params).await?;
        }
        Ok(logs)
    }

    /// Runs kubectl in this namespace, with all rights, and returns what it printed.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.run(arguments, "").await
    }

    /// The same with something on its standard input.
    pub async fn kubectl_on(&self, arguments: &[&str], input: &str) -> Result<String> {
        self.run(arguments, input).await
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

    /// Starts a Flink session cluster in this namespace and waits until all slots are there.
    pub async fn flink(&self, options: Options) -> Result<Flink<'_>> {
        Flink::start(self, options).await
    }

    /// A folder of this machine that pods may mount (as a `hostPath`, at the same path) and write to.
    pub fn shared_folder(&self) -> PathBuf {
        self.folder.path().join("shared")
    }

    /// A new topic in the shared folder, empty until its rate is set.
    pub fn topic(&self, name: &str) -> Result<Topic> {
        Topic::create(&self.shared_folder(), name)
    }

    /// Makes a port of `svc/NAME` or `pod/NAME` reachable from here. One of a Service leads to whichever pods it has by
    /// then.
    pub async fn forward(&self, target: &str, port: u16) -> Result<Forward> {
        let node = self.node.context("this cluster has no node")?;
        let address = until(&format!("an address of {target}"), PATIENCE, async || {
            let address = match target.split_once('/') {
                Some(("svc", name)) => {
                    self.api::<Service>().get(name).await?.spec.and_then(|spec| spec.cluster_ip)
                }
                Some(("pod", name)) => {
                    self.api::<Pod>().get(name).await?.status.and_then(|status| status.pod_ip)
                }
                _ => None,
            };
            address.with_context(|| format!("{target} has none"))
        })
        .await?;
        node.forward(&address, port, self.folder.path()).await
    }

    /// Sends a signal (`KILL`, `STOP`) to each process of a program in a pod. Nothing in the pod is asked, so that a
    /// crash and a hang look to the cluster as they do.
    pub async fn signal(&self, pod: &str, program: &str, signal: &str) -> Result<()> {
        self.node.context("this cluster has no node")?;
        let uid = self.api::<Pod>().get(pod).await?.metadata.uid.context("a pod without a uid")?;
        Node::signal(&uid, program, signal)
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
            let (kubeconfig, name) = (self.admin.kubeconfig.clone(), self.name.clone());
            // A cluster that is gone has no namespaces either.
            std::thread::spawn(move || delete(&kubeconfig, &name).ok()).join().ok();
        }
    }
}

/// Asks for a namespace to be deleted. On a thread of its own, as the test's may be ending.
fn delete(kubeconfig: &Path, name: &str) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let namespaces: Api<Resource> = Api::all(access::client(kubeconfig).await?);
        Ok(namespaces.delete(name, &DeleteParams::background()).await.map(drop)?)
    })
}
