//! Apache's real Flink Kubernetes Operator, and a real job on Flink 1.18 that it runs: Tidegate changes the `FlinkDeployment`, the
//! operator upgrades the job, and Tidegate waits until both say that it is done. Whoever upgrades in between wins.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::last_rescale;
use crate::controller::bed::{awaits, ledger};
use crate::deploy::remove;
use crate::kubernetes::{Cluster, FlinkOperator, Forward, Namespace};
use crate::story::narrowed;
use crate::testbed::{Client, Job, Topic, until};

/// An upgrade takes half a minute: a savepoint, the pods' end, their start; the machine is busy with other tests.
const PATIENCE: Duration = Duration::from_mins(5);

const POLICY: &str = "
apiVersion: tidegate.dev/v1alpha1
kind: ScalingPolicy
metadata: {name: short}
spec:
  rules: [{throughput: {}}]
  limits: {cooldown: 5s}
";

fn autoscaler(kind: &str, name: &str) -> String {
    format!(
        "apiVersion: tidegate.dev/v1alpha1
kind: FlinkAutoscaler
metadata: {{name: {name}}}
spec:
  flink: {{service: {{name: {name}-rest}}, poll: 2s}}
  replicas: {{min: 1, max: 4}}
  operator: {{apiVersion: flink.apache.org/v1beta1, kind: {kind}, name: {name}, within: 5m}}
  policyRef: {{name: short}}
  mechanism: Operator
"
    )
}

/// A job that the operator runs.
struct Operated<'a> {
    namespace: &'a Namespace,
    operator: &'a FlinkOperator,
    kind: &'static str,
    name: &'static str,
    topic: Topic,
}

impl<'a> Operated<'a> {
    async fn start(
        namespace: &'a Namespace,
        operator: &'a FlinkOperator,
        (kind, name): (&'static str, &'static str),
        spec: &str,
    ) -> Result<Self> {
        let topic = namespace.topic(name)?;
        // A record costs `parse` 4 ms: 250/s for each subtask, of which 175 is what it is to do.
        topic.set_rate(100.0)?;
        namespace
            .apply(&match kind {
                // Its vertices cannot be sized one by one.
                "FlinkSessionJob" => {
                    operator.session_job(namespace, name, &Job::chain_of_one_size(&topic), spec)
                }
                _ => operator.deployment(namespace, name, &Job::chain(&topic), spec),
            })
            .await?;
        let operated = Self { namespace, operator, kind, name, topic };
        operated.is_stable().await?;
        namespace.apply(&autoscaler(kind, name)).await?;
        awaits(namespace, name, "ScalingActive", "True", "ValidMetricFound").await?;
        Ok(operated)
    }

    async fn resource(&self) -> Result<Value> {
        self.namespace.object(self.kind, self.name).await
    }

    /// Ends the job, its cluster, and what looked after it.
    async fn delete(self) -> Result<()> {
        self.namespace.kubectl(&["delete", "fas", self.name]).await?;
        let kinds = if self.kind == "FlinkSessionJob" {
            "flinksessionjob,flinkdeployment"
        } else {
            "flinkdeployment"
        };
        self.namespace.kubectl(&["delete", kinds, self.name, "--timeout=60s"]).await.map(drop)
    }

    async fn said(&self) -> String {
        let tidegate = self.namespace.logs("app.kubernetes.io/name=tidegate", "tidegate").await;
        let tidegate = tidegate.unwrap_or_else(|error| format!("{error:#}"));
        format!("Tidegate:\n{tidegate}\nthe operator:\n{}", self.operator.said())
    }

    /// Waits for a condition; the error says what Tidegate and the operator have said.
    async fn until<T>(&self, what: &str, probe: impl AsyncFnMut() -> Result<T>) -> Result<T> {
        match until(what, PATIENCE, probe).await {
            Ok(seen) => Ok(seen),
            Err(error) => Err(error.context(self.said().await)),
        }
    }

    async fn is_stable(&self) -> Result<Value> {
        self.until(&format!("{} to be stable", self.name), async || {
            let resource = self.resource().await?;
            let status = &resource["status"];
            let is_so = status["lifecycleState"] == "STABLE" && status["jobStatus"]["state"] == "RUNNING";
            ensure!(is_so, "{status}");
            Ok(resource)
        })
        .await
    }

    /// Flink's own view, by a way to its JobManager of now.
    async fn flink(&self) -> Result<(Forward, Client)> {
        let forward = self.namespace.forward(&format!("svc/{}-rest", self.name), 8081).await?;
        let client = Client::new(&forward.url())?;
        Ok((forward, client))
    }

    /// Subtasks of `parse` of the job that runs.
    async fn parse(&self) -> Result<u64> {
        let (_forward, client) = self.flink().await?;
        until("the job's sizes", PATIENCE, async || {
            let jobs = client.get("/jobs").await?;
            let running = jobs["jobs"].as_array().context("no jobs")?.iter();
            let job = running.into_iter().find(|job| job["status"] == "RUNNING").context("none runs")?;
            let vertices = client.vertices(job["id"].as_str().context("no id")?).await?;
            Ok(vertices.get("parse").context("no parse")?.parallelism)
        })
        .await
    }

    /// Waits until another rescale has ended than those before: the states it went through, and how it ended.
    async fn rescaled(&self, before: usize) -> Result<(Vec<String>, String, Value)> {
        self.until(&format!("{} to have been rescaled", self.name), async || {
            let ledger = ledger(self.namespace, self.name).await?;
            let count = ledger["rescales"].as_array().map_or(0, Vec::len);
            ensure!(count > before, "{count} rescales");
            let (stages, end) = last_rescale(self.namespace, self.name).await?;
            Ok((stages, end, ledger["rescales"][count - 1].clone()))
        })
        .await
    }
}

#[tokio::test]
async fn apaches_operator_is_asked_and_whoever_upgrades_in_between_wins() -> Result<()> {
    let Some(cluster) = Cluster::with_pods()? else { return Ok(()) };
    let namespace = cluster.namespace_of_ours().await?;
    let operator = FlinkOperator::start(cluster, &namespace).await?;
    namespace.apply(POLICY).await?;
    namespace.apply(&narrowed("kustomize/operator", &namespace).await?).await?;
    // Each mostly waits for the operator, so they go side by side.
    tokio::try_join!(
        native(&namespace, &operator),
        session(&namespace, &operator),
        standalone(&namespace, &operator)
    )?;
    remove(&namespace).await
}

/// In native mode Flink makes its TaskManagers itself.
const NATIVE: &str = "  mode: native\n  taskManager: {resource: {memory: 640m, cpu: 0.1}}\n";

/// In standalone mode the resource says how many.
const STANDALONE: &str =
    "  mode: standalone\n  taskManager: {replicas: 1, resource: {memory: 640m, cpu: 0.1}}\n";

async fn native(namespace: &Namespace, operator: &FlinkOperator) -> Result<()> {
    let job = Operated::start(namespace, operator, ("FlinkDeployment", "native"), NATIVE).await?;
    is_asked(&job).await?;
    is_overtaken(&job).await?;
    job.delete().await
}

/// On a session cluster the resource is one of the job alone.
async fn session(namespace: &Namespace, operator: &FlinkOperator) -> Result<()> {
    let job = Operated::start(namespace, operator, ("FlinkSessionJob", "session"), NATIVE).await?;
    is_asked(&job).await?;
    job.delete().await
}

async fn standalone(namespace: &Namespace, operator: &FlinkOperator) -> Result<()> {
    let job = Operated::start(namespace, operator, ("FlinkDeployment", "standalone"), STANDALONE).await?;
    is_asked(&job).await?;
    let resource = job.is_stable().await?;
    ensure!(resource["spec"]["taskManager"]["replicas"] == 2, "{}", resource["spec"]);
    job.delete().await
}

/// A load that grows: Tidegate changes the resource, the operator does the work, and the job has the size that was asked for.
async fn is_asked(operated: &Operated<'_>) -> Result<()> {
    operated.topic.set_rate(400.0)?;
    let (stages, end, rescale) = operated.rescaled(0).await?;
    let said = operated.said().await;
    ensure!(stages == ["Planned", "Submitted", "Confirming", "Done"], "{stages:?}\n{said}");
    ensure!(end == "Done", "{rescale}\n{said}");
    // What it has cost is known.
    ensure!(rescale["downtime"].as_f64() > Some(0.0), "{rescale}");
    let resource = operated.is_stable().await?;
    let asked = resource["spec"]["job"]["parallelism"].as_u64();
    ensure!(asked >= Some(3), "{}", resource["spec"]);
    let conf = &resource["spec"]["flinkConfiguration"];
    let each = conf["pipeline.jobvertex-parallelism-overrides"].as_str().unwrap_or_default();
    // A job on a session cluster takes them from 1.19 on.
    let sized = if operated.kind == "FlinkSessionJob" { 0 } else { 4 };
    ensure!(each.matches(':').count() == sized, "{conf}");
    ensure!(Some(operated.parse().await?) == asked, "{}", operated.parse().await?);
    Ok(())
}

/// Somebody else's upgrade, as soon as Tidegate has changed the resource: Tidegate leaves it at that.
async fn is_overtaken(operated: &Operated<'_>) -> Result<()> {
    let before = operated.resource().await?["spec"].clone();
    operated.topic.set_rate(900.0)?;
    let changing = operated.until("Tidegate to change the resource", async || {
        let resource = operated.resource().await?;
        ensure!(resource["spec"] != before, "it has not");
        Ok(resource)
    });
    let changed = changing.await?;
    let patch = json!({"spec": {"restartNonce": 7}}).to_string();
    let arguments = ["patch", "flinkdeployment", operated.name, "--type", "merge", "-p", &patch];
    operated.namespace.kubectl(&arguments).await?;
    until("Tidegate to notice", PATIENCE, async || {
        let said = operated.said().await;
        ensure!(said.contains("somebody else has changed FlinkDeployment"), "{said}");
        Ok(())
    })
    .await?;
    let resource = operated.is_stable().await?;
    ensure!(resource["spec"]["restartNonce"] == 7, "{}", resource["spec"]);
    // It is what was asked for, unless a later look at the job has asked for more.
    let asked = |resource: &Value| resource["spec"]["job"]["parallelism"].as_u64();
    ensure!(asked(&resource) >= asked(&changed), "{}", resource["spec"]);
    Ok(())
}
