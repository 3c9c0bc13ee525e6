//! What Tidegate is for, on real pods with the manifests that users get: first it only says what it would do, with no right to
//! do it; then it does so, with the rights of one namespace. A load rises threefold and falls again; TaskManagers come before
//! the job grows and go after it has shrunk, and the job is restarted by its rescales alone.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::controller::bed::{awaits, events, ledger};
use crate::deploy::{overlay, remove};
use crate::kubernetes::{Cluster, Flink, Namespace, Options, TIDEGATE_IMAGE};
use crate::testbed::{Job, Topic, until};

/// Java starts within seconds, and a backlog goes within a minute; the machine is busy with other tests.
const PATIENCE: Duration = Duration::from_mins(5);

/// The object of `deploy/flink/tidegate`, and the one of this story: bounds that a small machine can carry, and short windows.
const SHIPPED: &str = include_str!("../../deploy/flink/tidegate/flinkautoscaler.yaml");
const STORY: &str = "
apiVersion: tidegate.dev/v1alpha1
kind: FlinkAutoscaler
metadata: {name: flink}
spec:
  flink: {service: {name: flink-jobmanager}, poll: 2s}
  workload: {apiVersion: apps/v1, kind: Deployment, name: flink-taskmanager}
  replicas: {min: 1, max: 7}
  policyRef: {name: short}
---
apiVersion: tidegate.dev/v1alpha1
kind: ScalingPolicy
metadata: {name: short}
spec:
  rules: [{throughput: {}}]
  behavior: {scaleDown: {stabilizationWindowSeconds: 30}}
  limits: {cooldown: 5s}
";

#[tokio::test]
async fn a_load_that_triples_and_falls_takes_taskmanagers_along() -> Result<()> {
    let Some(cluster) = Cluster::with_pods()? else { return Ok(()) };
    let namespace = cluster.namespace_of_ours().await?;
    // In a session cluster Flink leaves a job that shrinks on any of its slots: of TaskManagers with one slot, just those go on
    // that are needed.
    let options = Options { taskmanagers: 2, slots: 1, ..Options::default() };
    let flink = namespace.flink(options.with("slot.idle.timeout", "10000")).await?;
    let topic = namespace.topic("orders")?;
    // A record costs `parse` 4 ms: 250/s for each subtask, of which 175 is what it is to do.
    topic.set_rate(240.0)?;
    let job = flink.submit(&Job::chain(&topic).parallelism("parse", 2)).await?;
    flink.client().running_at(&job, PATIENCE, &[("parse", 2)]).await?;

    says_what_it_would_do(&namespace).await?;
    let seen = Seen { namespace: &namespace, flink: &flink, topic: &topic, job: &job };
    ensure!(seen.restarts().await? == 0 && seen.replicas().await? == (2, 2), "a dry run has done something");

    // In the place of the dry run, as a user does it.
    namespace.apply(&narrowed("kustomize/namespaced", &namespace).await?).await?;
    namespace.kubectl(&["rollout", "status", "deployment/tidegate", "--timeout=3m"]).await?;
    namespace.apply(STORY).await?;
    awaits(&namespace, "flink", "ScalingActive", "True", "ValidMetricFound").await?;
    grows(&seen).await?;
    shrinks(&seen).await?;
    remove(&namespace).await
}

/// An overlay with the binary under test, for this namespace alone.
pub(super) async fn narrowed(path: &str, namespace: &Namespace) -> Result<String> {
    let text = overlay(path, namespace.name()).await?;
    let image = "ghcr.io/tidegate/tidegate:0.1.0";
    ensure!(text.contains(image), "{path} has another image");
    let text = text.replace(image, TIDEGATE_IMAGE);
    Ok(text.replace("--namespace=all", &format!("--namespace={}", namespace.name())))
}

/// The dry run, with what `deploy/` has for it.
async fn says_what_it_would_do(namespace: &Namespace) -> Result<()> {
    let dry_run = narrowed("kustomize/dry-run", namespace).await?;
    ensure!(dry_run.contains("--dry-run"), "{dry_run}");
    namespace.apply(&dry_run).await?;
    namespace.apply(SHIPPED).await?;
    until("more TaskManagers to be recommended", PATIENCE, async || {
        let status = namespace.object("FlinkAutoscaler", "flink").await?["status"].clone();
        let replicas = |size: &str| status[size]["replicas"].as_u64();
        // Its minimum is three; the CPU that Java takes while it starts may ask for more.
        ensure!(replicas("current") == Some(2) && replicas("recommended") >= Some(3), "{status}");
        ensure!(status["lastDecision"]["outcome"] == "Recommended", "{status}");
        Ok(())
    })
    .await?;
    let shown = namespace.kubectl(&["get", "fas"]).await?;
    let mut lines = shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let heading = lines.next().unwrap_or_default().join(" ");
    ensure!(heading == "NAME JOB MODE CURRENT RECOMMENDED MIN MAX PARALLELISM READY AGE", "{shown}");
    let row = lines.next().unwrap_or_default();
    let [name, job, mode, current, recommended, min, max, sizes, ..] = row[..] else { bail!("{shown}") };
    ensure!(
        [name, job, mode, current, min, max, sizes] == ["flink", "chain", "Auto", "2", "3", "10", "1/2/1/1"]
    );
    ensure!((3..=10).contains(&recommended.parse::<u32>()?), "{shown}");

    let client = namespace.client_of("tidegate").await?;
    let deployments: Api<Deployment> = Api::namespaced(client, namespace.name());
    deployments.get_scale("flink-taskmanager").await.context("the scale may be read")?;
    let patch = Patch::Merge(json!({"spec": {"replicas": 3}}));
    let refused = deployments.patch_scale("flink-taskmanager", &PatchParams::default(), &patch).await;
    ensure!(matches!(&refused, Err(kube::Error::Api(status)) if status.code == 403), "{refused:?}");
    Ok(())
}

/// A job and what gives it its slots.
struct Seen<'a> {
    namespace: &'a Namespace,
    flink: &'a Flink<'a>,
    topic: &'a Topic,
    job: &'a str,
}

impl Seen<'_> {
    /// The replicas that are asked for, and those that exist.
    async fn replicas(&self) -> Result<(i32, i32)> {
        let deployment = self.namespace.api::<Deployment>().get("flink-taskmanager").await?;
        let wanted = deployment.spec.and_then(|spec| spec.replicas).unwrap_or(0);
        Ok((wanted, deployment.status.and_then(|status| status.replicas).unwrap_or(0)))
    }

    async fn parse(&self) -> Result<u64> {
        let vertices = self.flink.client().vertices(self.job).await?;
        Ok(vertices.get("parse").context("no parse")?.parallelism)
    }

    /// How often the job was restarted, by Flink's own count.
    async fn restarts(&self) -> Result<u64> {
        let path = format!("/jobs/{}/metrics?get=numRestarts", self.job);
        until("a count of restarts", PATIENCE, async || {
            let answer = self.flink.client().get(&path).await?;
            let count = answer[0]["value"].as_str().with_context(|| format!("{answer}"))?;
            Ok(count.parse()?)
        })
        .await
    }

    /// How many rescales are known to have come about, and how many its Events tell of.
    async fn rescales(&self) -> Result<(u64, u64)> {
        let ledger = ledger(self.namespace, "flink").await?;
        let rescales = ledger["rescales"].as_array().context("no rescales")?;
        let done = rescales.iter().filter(|rescale| rescale["end"] == "Done").count();
        let events = events(self.namespace, "flink").await?;
        Ok((done as u64, events.iter().filter(|reason| *reason == "Rescaling").count() as u64))
    }

    /// The job was restarted by its rescales and by nothing else; how many there were.
    async fn only_rescales_restarted_it(&self) -> Result<u64> {
        until("all that was done to be written down", Duration::from_mins(1), async || {
            let (restarts, (done, told)) = (self.restarts().await?, self.rescales().await?);
            let said = format!("{restarts} restarts, {done} rescales, {told} told of");
            ensure!(restarts == done && done == told, "{said}\n{}", self.said().await);
            Ok(restarts)
        })
        .await
    }

    async fn said(&self) -> String {
        let said = self.namespace.logs("app.kubernetes.io/name=tidegate", "tidegate").await;
        said.unwrap_or_else(|error| format!("{error:#}"))
    }

    /// What Flink says of each TaskManager, by its pod's name: slots, free ones, and subtasks.
    async fn taskmanagers(&self) -> Result<BTreeMap<String, [u64; 3]>> {
        let answer = self.flink.client().get("/taskmanagers").await?;
        let listed = answer["taskmanagers"].as_array().context("no list")?.clone();
        let number = |one: &Value, field: &str| one[field].as_u64().context("no number");
        let of = |one: Value| {
            let name = one["id"].as_str().context("no id")?.to_owned();
            let [slots, free] = [number(&one, "slotsNumber")?, number(&one, "freeSlots")?];
            Ok((name, [slots, free, number(&one, "assignedTasks")?]))
        };
        listed.into_iter().map(of).collect()
    }

    /// The pods of TaskManagers that stay.
    async fn pods(&self) -> Result<Vec<String>> {
        let pods: Api<Pod> = self.namespace.api();
        let listed = pods.list(&ListParams::default().labels("component=taskmanager")).await?;
        let stays = listed.items.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(stays.filter_map(|pod| pod.metadata.name).collect())
    }
}

/// Threefold: TaskManagers come, the job has their slots, and what waits meanwhile is worked off.
async fn grows(seen: &Seen<'_>) -> Result<()> {
    seen.topic.set_rate(720.0)?;
    let grown = until("replicas and parallelism to grow, and the backlog to go", PATIENCE, async || {
        let (parse, (wanted, there)) = (seen.parse().await?, seen.replicas().await?);
        let waiting = seen.topic.waiting()?;
        let is_there = parse >= 5 && wanted >= 5 && there == wanted && waiting < 100.0;
        ensure!(is_there, "parse {parse}, replicas {there}/{wanted}, {waiting} wait\n{}", seen.said().await);
        Ok(parse)
    })
    .await?;
    seen.flink.client().running_at(seen.job, PATIENCE, &[("parse", grown)]).await?;
    let rescales = seen.only_rescales_restarted_it().await?;
    ensure!(rescales == 1, "{rescales} rescales for one step\n{}", seen.said().await);
    Ok(())
}

/// Back again: the job shrinks, and only what is empty goes.
async fn shrinks(seen: &Seen<'_>) -> Result<()> {
    seen.topic.set_rate(200.0)?;
    let mut alive: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    // Each TaskManager that goes, as Flink last showed it while its pod was to stay.
    let mut died: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    until("the job to shrink, and TaskManagers to go", PATIENCE, async || {
        let (taskmanagers, pods) = (seen.taskmanagers().await?, seen.pods().await?);
        let gone = alive.extract_if(.., |name, _| !pods.contains(name));
        died.extend(gone);
        alive.extend(taskmanagers.into_iter().filter(|(name, _)| pods.contains(name)));
        let (parse, replicas) = (seen.parse().await?, seen.replicas().await?);
        ensure!(
            parse <= 2 && replicas == (2, 2) && alive.len() == 2,
            "parse {parse}, replicas {replicas:?}, {alive:?}\n{}",
            seen.said().await
        );
        Ok(())
    })
    .await?;
    ensure!(died.len() >= 3, "{died:?}");
    let busy: Vec<_> = died.iter().filter(|(_, [slots, free, tasks])| free < slots || *tasks > 0).collect();
    ensure!(busy.is_empty(), "subtasks were on {busy:?}");
    seen.flink.wait_for_taskmanagers(2).await?;
    // What a lost slot would have restarted has taken another checkpoint instead.
    let path = format!("/jobs/{}/checkpoints", seen.job);
    let completed = async || {
        Ok::<_, anyhow::Error>(seen.flink.client().get(&path).await?["counts"]["completed"].as_u64())
    };
    let before = completed().await?;
    until("another checkpoint", PATIENCE, async || {
        let now = completed().await?;
        ensure!(now > before, "{now:?}");
        Ok(())
    })
    .await?;
    seen.only_rescales_restarted_it().await?;
    let exceptions = seen.flink.client().get(&format!("/jobs/{}/exceptions", seen.job)).await?;
    let entries = exceptions["exceptionHistory"]["entries"].as_array().context("no history")?;
    ensure!(entries.is_empty(), "{exceptions}");
    ensure!(seen.topic.waiting()? < 100.0, "{} wait", seen.topic.waiting()?);
    Ok(())
}
