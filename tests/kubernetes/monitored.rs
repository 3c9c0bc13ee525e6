//! The usual monitoring of a Kubernetes: a real Prometheus that scrapes the cAdvisor of the real kubelet, and a real
//! kube-state-metrics, of the pods of one namespace.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::kubernetes::{Namespace, program};
use crate::testbed::process::Process;
use crate::testbed::{Prometheus, free_port, until};

/// Two scrapes of what the kubelet counts every 5 s, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a monitoring may look at, and nothing else: outside of namespaces its name is everybody's, so it has the test's.
const RIGHTS: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: monitor}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: monitor}
rules: [{apiGroups: [''], resources: [pods], verbs: [list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: monitor}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: monitor}
subjects: [{kind: ServiceAccount, name: monitor, namespace: NAMESPACE}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NAMESPACE-monitor}
rules: [{apiGroups: [''], resources: [nodes/proxy, nodes/metrics], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NAMESPACE-monitor}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NAMESPACE-monitor}
subjects: [{kind: ServiceAccount, name: monitor, namespace: NAMESPACE}]
";

/// Both, ended when this is dropped.
pub struct Monitored {
    pub prometheus: Prometheus,
    _states: Process,
    _folder: TempDir,
}

impl Monitored {
    /// Starts both, and waits until there are the CPU times and requests of that many containers of pods.
    pub async fn start(namespace: &Namespace, node: &str, containers: usize) -> Result<Self> {
        namespace.apply(&RIGHTS.replace("NAMESPACE", namespace.name())).await?;
        let kubeconfig = namespace.kubeconfig_of("monitor").await?;
        let folder = tempfile::Builder::new().prefix("testbed-").tempdir()?;
        let (states, port) = states(&folder, namespace, &kubeconfig)?;
        let prometheus = Prometheus::scraping(&scrapes(&kubeconfig, node, port)?, "groups: []").await?;
        let monitored = Self { prometheus, _states: states, _folder: folder };
        for metric in ["container_cpu_usage_seconds_total", "kube_pod_container_resource_requests"] {
            let of = format!("namespace=\"{}\",container!=\"\"", namespace.name());
            let query = format!("count by (pod, container) ({metric}{{{of}}})");
            until(metric, PATIENCE, async || {
                let found = monitored.prometheus.query(&query).await?.len();
                ensure!(found >= containers, "of {found} containers");
                Ok(())
            })
            .await?;
        }
        Ok(monitored)
    }
}

/// kube-state-metrics as a process of this machine.
fn states(folder: &TempDir, namespace: &Namespace, kubeconfig: &Path) -> Result<(Process, u16)> {
    let (port, telemetry) = (free_port()?, free_port()?);
    let command = [
        program("kube-state-metrics")?.display().to_string(),
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--namespaces={}", namespace.name()),
        "--resources=pods".to_owned(),
        "--host=127.0.0.1".to_owned(),
        format!("--port={port}"),
        "--telemetry-host=127.0.0.1".to_owned(),
        format!("--telemetry-port={telemetry}"),
    ];
    Ok((Process::start("kube-state-metrics", folder.path(), &command)?, port))
}

/// The kubelet by way of the API server, as its own port is on the node's network alone.
fn scrapes(kubeconfig: &Path, node: &str, states: u16) -> Result<String> {
    let read: Value = serde_json::from_slice(&std::fs::read(kubeconfig)?)?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let server = text(&read["clusters"][0]["cluster"]["server"]).context("the kubeconfig names a server")?;
    let token = text(&read["users"][0]["user"]["token"]).context("the kubeconfig holds a token")?;
    let api = server.trim_start_matches("https://");
    Ok(format!(
        "  - job_name: cadvisor
    scheme: https
    metrics_path: /api/v1/nodes/{node}/proxy/metrics/cadvisor
    authorization: {{credentials: {token}}}
    tls_config: {{insecure_skip_verify: true}}
    static_configs: [{{targets: ['{api}']}}]
  - job_name: kube-state-metrics
    honor_labels: true
    static_configs: [{{targets: ['127.0.0.1:{states}']}}]
"
    ))
}
