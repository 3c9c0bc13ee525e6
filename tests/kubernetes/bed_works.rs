//! The test bed itself: that what it starts is a real Kubernetes, shared, and left by each test as it was found.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace as NamespaceResource, Pod};
use kube::Api;
use kube::api::ListParams;
use serde_json::Value;

use crate::kubernetes::{Cluster, Options, TIDEGATE_IMAGE, program};
use crate::testbed::{Job, until};

const PATIENCE: Duration = Duration::from_secs(30);

/// How long Java in a pod may take, on cores that others use as well.
const PODS: Duration = Duration::from_mins(3);

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: localhost/none}]}
";

const READER: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [''], resources: [configmaps], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader}]
";

#[tokio::test]
async fn controllers_make_the_pods_of_a_deployment() -> Result<()> {
    let namespace = Cluster::shared()?.namespace().await?;
    namespace.apply(DEPLOYMENT).await?;
    let pods: Api<Pod> = namespace.api();
    until("two pods", PATIENCE, async || {
        let found = pods.list(&ListParams::default().labels("app=web")).await?.items.len();
        ensure!(found == 2, "{found} pods");
        Ok(())
    })
    .await?;
    let shown = namespace.kubectl(&["get", "deployment", "web", "--no-headers"]).await?;
    ensure!(shown.starts_with("web "), "kubectl says {shown:?}");
    let refused = namespace.apply("apiVersion: v1\nkind: Pod\nmetadata: {name: nothing}\n").await;
    let refused = format!("{:#}", refused.err().unwrap_or_else(|| anyhow::anyhow!("nothing")));
    ensure!(refused.contains("spec.containers: Required value"), "a pod of nothing is answered by {refused}");
    Ok(())
}

#[tokio::test]
async fn a_token_may_do_what_its_role_says_and_no_more() -> Result<()> {
    let namespace = Cluster::shared()?.namespace().await?;
    namespace.apply(READER).await?;
    let client = namespace.client_of("reader").await?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace.name());
    maps.list(&ListParams::default()).await?;
    let refused = maps.delete("kube-root-ca.crt", &kube::api::DeleteParams::default()).await;
    ensure!(matches!(&refused, Err(kube::Error::Api(status)) if status.code == 403), "a write: {refused:?}");
    let elsewhere: Api<ConfigMap> = Api::namespaced(client, "kube-system");
    let refused = elsewhere.list(&ListParams::default()).await;
    ensure!(
        matches!(&refused, Err(kube::Error::Api(status)) if status.code == 403),
        "elsewhere: {refused:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_namespace_goes_with_its_test() -> Result<()> {
    let cluster = Cluster::shared()?;
    let namespace = cluster.namespace().await?;
    let name = namespace.name().to_owned();
    drop(namespace);
    let namespaces: Api<NamespaceResource> = Api::all(cluster.client().await?);
    until("the namespace to be gone", PATIENCE, async || {
        let left = namespaces.get_opt(&name).await?;
        ensure!(left.is_none(), "it is still there");
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "outages:: rests on it: tests/run soak has it"]
async fn an_api_server_comes_back_with_what_it_knew() -> Result<()> {
    let mut cluster = Cluster::own()?;
    let url = cluster.url()?;
    cluster
        .apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: kept, namespace: default}, data: {a: b}}")
        .await?;
    cluster.stop()?;
    let gone = cluster.kubectl(&["get", "configmap", "kept"]).await;
    ensure!(gone.is_err(), "a dead API server answers {gone:?}");
    cluster.start()?;
    ensure!(cluster.url()? == url, "it is elsewhere");
    let kept = cluster.kubectl(&["get", "configmap", "kept", "-o", "jsonpath={.data.a}"]).await?;
    ensure!(kept == "b", "it has {kept:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "an API server of its own: tests/run soak has it"]
async fn a_cluster_ends_with_its_value() -> Result<()> {
    let cluster = Cluster::own()?;
    let folder = cluster.kubeconfig().parent().map(std::path::Path::to_owned);
    let folder = folder.filter(|folder| folder.join("log/etcd.log").exists());
    let folder = folder.ok_or_else(|| anyhow::anyhow!("no folder of its own"))?;
    let url = cluster.url()?;
    let address = url.trim_start_matches("https://").to_owned();
    ensure!(std::net::TcpStream::connect(&address).is_ok(), "{address} does not answer");
    drop(cluster);
    ensure!(std::net::TcpStream::connect(&address).is_err(), "{address} still answers");
    ensure!(std::env::var_os("TIDEGATE_KEEP").is_some() || !folder.exists(), "its folder stays");
    Ok(())
}

#[test]
fn programs_are_compiled_when_asked_for() -> Result<()> {
    let kubectl = program("kubectl")?;
    let said = std::process::Command::new(&kubectl).args(["version", "--client"]).output()?;
    ensure!(String::from_utf8_lossy(&said.stdout).contains("v1.36."), "{said:?}");
    let unknown = program("nonsense");
    ensure!(unknown.is_err(), "nonsense is {unknown:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "against_hpa:: rests on it: tests/run soak has it"]
async fn a_patch_of_replicas_brings_a_taskmanager_and_takes_it_again() -> Result<()> {
    let Some(cluster) = Cluster::with_pods()? else { return Ok(()) };
    let namespace = cluster.namespace().await?;
    let flink = namespace.flink(Options::default()).await?;
    namespace.kubectl(&["scale", "deployment/flink-taskmanager", "--replicas", "3"]).await?;
    flink.wait_for_taskmanagers(3).await?;
    let metrics = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{}/pods", namespace.name());
    until("the CPU of four pods", PODS, async || {
        let answer: Value = serde_json::from_str(&cluster.kubectl(&["get", "--raw", &metrics]).await?)?;
        let usages =
            answer["items"].as_array().into_iter().flatten().map(|pod| &pod["containers"][0]["usage"]["cpu"]);
        let busy = usages.filter(|cpu| cpu.as_str().is_some_and(|cpu| cpu != "0")).count();
        ensure!(busy == 4, "{answer}");
        Ok(())
    })
    .await?;
    namespace.kubectl(&["scale", "deployment/flink-taskmanager", "--replicas", "1"]).await?;
    flink.wait_for_taskmanagers(1).await
}

#[tokio::test]
#[ignore = "story:: rests on it: tests/run soak has it"]
async fn a_job_in_pods_keeps_the_rate_of_its_topic() -> Result<()> {
    let Some(cluster) = Cluster::with_pods()? else { return Ok(()) };
    let namespace = cluster.namespace().await?;
    let flink = namespace.flink(Options { taskmanagers: 1, slots: 4, ..Options::default() }).await?;
    let topic = namespace.topic("orders")?;
    let job = flink.submit(&Job::chain(&topic).parallelism("parse", 2)).await?;
    let stages = [("source", 1), ("parse", 2), ("enrich", 1), ("sink", 1)];
    flink.client().running_at(&job, PODS, &stages).await?;
    for rate in [100.0, 300.0] {
        topic.set_rate(rate)?;
        until("the topic's rate at the sink", PODS, async || {
            // Not the answer from before the last fetch: twice in a row that is the same one.
            let before = flink.client().vertices_now(&job).await?["sink"].clone();
            tokio::time::sleep(Duration::from_secs(5)).await;
            let after = flink.client().vertices_now(&job).await?["sink"].clone();
            let records = after.read_records as f64 - before.read_records as f64;
            let seen = records / (after.clock() - before.clock());
            ensure!((seen - rate).abs() < 0.1 * rate, "{seen}/s, from {before:?} to {after:?}");
            Ok(())
        })
        .await?;
    }
    ensure!(topic.waiting()? < 100.0, "{} wait", topic.waiting()?);
    Ok(())
}

#[tokio::test]
async fn a_hung_jobmanager_is_restarted_by_its_probe() -> Result<()> {
    let Some(cluster) = Cluster::with_pods()? else { return Ok(()) };
    let namespace = cluster.namespace().await?;
    let options = Options { taskmanagers: 1, version: "1.20", ..Options::default() };
    let flink = namespace.flink(options.with("heartbeat.timeout", "6000")).await?;
    let pods: Api<Pod> = namespace.api();
    let listed = pods.list(&ListParams::default().labels("component=jobmanager")).await?;
    let name = listed.items.first().and_then(|pod| pod.metadata.name.clone()).unwrap_or_default();
    namespace.signal(&name, "java", "STOP").await?;
    until("a restart of the same pod", PODS, async || {
        let status = pods.get(&name).await?.status.unwrap_or_default();
        let container = status.container_statuses.unwrap_or_default().into_iter().next();
        let container = container.ok_or_else(|| anyhow::anyhow!("no container"))?;
        ensure!(container.restart_count == 1 && container.ready, "{container:?}");
        Ok(())
    })
    .await?;
    let events = namespace.kubectl(&["get", "events", "--field-selector", "reason=Killing"]).await?;
    ensure!(events.contains("failed liveness probe"), "{events}");
    flink.wait_for_taskmanagers(1).await
}

#[tokio::test]
#[ignore = "operator::apache rests on it: tests/run soak has it"]
async fn the_nodes_network_has_names() -> Result<()> {
    let Some(cluster) = Cluster::with_pods()? else { return Ok(()) };
    let namespace = cluster.namespace().await?;
    let flink = namespace.flink(Options { taskmanagers: 1, ..Options::default() }).await?;
    let said = cluster.command("curl")?.args(["-sS", &flink.url_inside()]).output()?;
    ensure!(String::from_utf8_lossy(&said.stdout).contains("Flink"), "{said:?}");
    Ok(())
}

#[tokio::test]
async fn the_binary_under_test_runs_in_a_pod() -> Result<()> {
    let Some(cluster) = Cluster::with_pods()? else { return Ok(()) };
    let namespace = cluster.namespace().await?;
    let image = format!("--image={TIDEGATE_IMAGE}");
    namespace.kubectl(&["run", "version", &image, "--restart=Never", "--", "--version"]).await?;
    until("the version in its log", PODS, async || {
        let log = namespace.kubectl(&["logs", "version"]).await?;
        ensure!(log.trim() == format!("tidegate {}", env!("CARGO_PKG_VERSION")), "{log:?}");
        Ok(())
    })
    .await
}
