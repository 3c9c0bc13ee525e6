//! `tidegate doctor --kubernetes` before a real API server: each fault is made, found, and mended by the line that it names.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::kubernetes::{Cluster, Namespace};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What was said: the exit code, each finding as `what about`, all of stdout, and stderr.
struct Said {
    exit: Option<i32>,
    found: BTreeSet<String>,
    all: Value,
    errors: String,
}

async fn doctor(kubeconfig: &Path, namespace: &str) -> Result<Said> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(["doctor", "--kubernetes", "-o", "json", "--lease-namespace", namespace]);
    command.args(["--namespace", namespace]).env("KUBECONFIG", kubeconfig);
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let all: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let findings = all["findings"].as_array().into_iter().flatten();
    let word = |finding: &Value, field: &str| finding[field].as_str().unwrap_or_default().to_owned();
    let found = findings
        .map(|finding| format!("{} {}", word(finding, "what"), word(finding, "about")).trim().to_owned())
        // Some clusters have it and some do not.
        .filter(|what| what != "NoMetricsApi")
        .collect();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(Said { exit: output.status.code(), found, all, errors })
}

fn set(whats: &[&str]) -> BTreeSet<String> {
    whats.iter().map(|what| (*what).to_owned()).collect()
}

/// What deploy/ grants, for one account of one namespace.
async fn grant(namespace: &Namespace, account: &str) -> Result<()> {
    let file = |name: &str| fs::read_to_string(root().join("deploy/kustomize/base").join(name));
    let roles = file("clusterroles.yaml")?.replace("kind: ClusterRole", "kind: Role");
    namespace.apply(&roles).await?;
    namespace.apply(&file("lease.yaml")?).await?;
    for role in ["tidegate-observe", "tidegate-scale", "tidegate-lease"] {
        namespace
            .apply(&format!(
                "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: {role}-{account}}}\n\
                 roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {role}}}\n\
                 subjects: [{{kind: ServiceAccount, name: {account}}}]\n"
            ))
            .await?;
    }
    Ok(())
}

fn workload(resources: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: orders}}\nspec:\n  replicas: 0\n  \
         selector: {{matchLabels: {{app: orders}}}}\n  template:\n    metadata: {{labels: {{app: orders}}}}\n    \
         spec: {{containers: [{{name: taskmanager, image: none, resources: {resources}}}]}}\n"
    )
}

fn autoscaler(name: &str, workload: &str, mode: &str) -> String {
    format!(
        "apiVersion: tidegate.dev/v1alpha1\nkind: FlinkAutoscaler\nmetadata: {{name: {name}}}\nspec:\n  \
         flink: {{url: 'http://127.0.0.1:9'}}\n  mode: {mode}\n  \
         workload: {{apiVersion: apps/v1, kind: Deployment, name: {workload}}}\n"
    )
}

#[tokio::test]
async fn finds_each_fault_of_rights_and_workloads_and_none_when_they_are_mended() -> Result<()> {
    let cluster = Cluster::shared()?;
    let namespace = cluster.namespace_of_ours().await?;
    for account in ["nobody", "tidegate"] {
        namespace.kubectl(&["create", "serviceaccount", account]).await?;
    }

    let nobody = doctor(&namespace.kubeconfig_of("nobody").await?, namespace.name()).await?;
    ensure!(nobody.exit == Some(1), "{:?} {}", nobody.exit, nobody.errors);
    let denied = [
        "flinkautoscalers.tidegate.dev",
        "flinkautoscalers/status.tidegate.dev",
        "scalingpolicies.tidegate.dev",
        "configmaps",
        "leases.coordination.k8s.io",
        "pods",
        "pods.metrics.k8s.io",
        "services",
        "horizontalpodautoscalers.autoscaling",
        "events.events.k8s.io",
        "deployments.apps",
        "deployments/scale.apps",
    ];
    let expected: BTreeSet<String> = denied.iter().map(|name| format!("Denied {name}")).collect();
    ensure!(nobody.found == expected, "{:?}", nobody.found);

    // Rights that are left out are the only ones that are named, each with the line that grants it.
    let kubeconfig = namespace.kubeconfig_of("tidegate").await?;
    grant(&namespace, "tidegate").await?;
    namespace.kubectl(&["delete", "role", "tidegate-scale"]).await?;
    let observer = doctor(&kubeconfig, namespace.name()).await?;
    ensure!(observer.found == set(&["Denied deployments/scale.apps", "Denied pods"]), "{:?}", observer.found);
    let line = r#"- {apiGroups: ["apps"], resources: ["deployments/scale"], verbs: [patch]}"#;
    let findings = observer.all["findings"].as_array().context("findings")?;
    ensure!(findings.iter().any(|finding| finding["mend"] == line), "{}", observer.all);
    grant(&namespace, "tidegate").await?;

    namespace.apply(&workload("{}")).await?;
    namespace.kubectl(&["autoscale", "deployment", "orders", "--max", "10", "--cpu-percent", "50"]).await?;
    for (name, workload, mode) in
        [("orders", "orders", "Auto"), ("copy", "orders", "Auto"), ("lost", "nowhere", "Recommend")]
    {
        namespace.apply(&autoscaler(name, workload, mode)).await?;
    }
    let ill = doctor(&kubeconfig, namespace.name()).await?;
    let expected = [
        "NoWorkload deployment/nowhere",
        "NoCpuRequest deployment/orders",
        "NoMemoryRequest deployment/orders",
        "Rival deployment/orders",
    ];
    ensure!(ill.found == set(&expected), "{:?}", ill.found);
    // The Flinks that they name are looked at, too: there is none.
    ensure!(ill.exit == Some(3) && ill.errors.lines().count() == 3, "{:?} {}", ill.exit, ill.errors);
    let rivals = ill.all["findings"].as_array().into_iter().flatten().filter(|one| one["what"] == "Rival");
    ensure!(rivals.count() == 2, "the HPA and the other autoscaler: {}", ill.all);

    namespace.kubectl(&["delete", "hpa", "orders"]).await?;
    namespace.kubectl(&["delete", "fas", "copy", "lost"]).await?;
    namespace.apply(&workload("{requests: {cpu: \"1\"}, limits: {memory: 1Gi}}")).await?;
    let well = doctor(&kubeconfig, namespace.name()).await?;
    ensure!(well.found.is_empty() && well.exit == Some(3), "{:?} {}", well.exit, well.all);
    ensure!(well.errors.lines().count() == 1, "{}", well.errors);
    let by_service = autoscaler("orders", "orders", "Auto")
        .replace("url: 'http://127.0.0.1:9'", "service: {name: orders-rest}");
    namespace.apply(&by_service).await?;
    let lost = doctor(&kubeconfig, namespace.name()).await?;
    ensure!(lost.errors.contains("orders: there is no Service orders-rest"), "{}", lost.errors);
    namespace.kubectl(&["delete", "fas", "orders"]).await?;
    let none = doctor(&kubeconfig, namespace.name()).await?;
    ensure!(none.found.is_empty() && none.exit == Some(0), "{:?} {}", none.exit, none.all);
    ensure!(well.all["version"].as_str().is_some_and(|version| version.starts_with('v')), "{}", well.all);
    Ok(())
}

#[tokio::test]
async fn says_when_the_definitions_are_missing_and_when_the_api_server_is_away() -> Result<()> {
    let mut cluster = Cluster::own()?;
    let bare = doctor(cluster.kubeconfig(), "default").await?;
    ensure!(bare.exit == Some(1) && bare.found == set(&["NoDefinitions"]), "{:?} {}", bare.exit, bare.all);
    cluster.stop()?;
    let away = doctor(cluster.kubeconfig(), "default").await?;
    ensure!(away.exit == Some(3) && away.errors.lines().count() == 1, "{:?} {}", away.exit, away.errors);
    ensure!(away.errors.contains("refused"), "{}", away.errors);
    Ok(())
}
