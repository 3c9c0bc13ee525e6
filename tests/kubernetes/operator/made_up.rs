//! An operator of the test's own: a kind that nobody else has, and a loop that runs a simulated job as its resources say.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use serde_json::{Value, json};
use tidegate::daemon::clock;
use tidegate::serve::flink::FlinkServer;
use tidegate::simulate::{Scenario, SchedulerKind, Simulation};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::last_rescale;
use crate::controller::bed::{Controller, Job, PATIENCE, orders};
use crate::kubernetes::{Cluster, Namespace};
use crate::testbed::until;

const KIND: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: jobruns.made-up.example.com}
spec:
  group: made-up.example.com
  names: {kind: JobRun, plural: jobruns, singular: jobrun}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              workers: {type: integer}
              pods: {type: integer}
              image: {type: string}
          status:
            type: object
            x-kubernetes-preserve-unknown-fields: true
";

const RUN: &str = "
apiVersion: made-up.example.com/v1
kind: JobRun
metadata: {name: orders}
spec: {workers: 1, pods: 1, image: first}
";

/// What an operator does to a spec that it has not seen yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// It runs the job as the spec says.
    Obeys,
    /// It cannot run more than one worker, and says so.
    HasNoRoom,
    /// Somebody else changes the image as soon as the workers change.
    IsOvertaken,
}

/// The loop; it ends with this value.
struct Operator(JoinHandle<Result<()>>);

impl Drop for Operator {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Operator {
    fn start(namespace: &Namespace, flink: Arc<FlinkServer>, manner: Manner) -> Self {
        let runs = runs(namespace.client(), namespace.name());
        Self(tokio::spawn(operate(runs, flink, manner)))
    }
}

fn runs(client: Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("made-up.example.com", "v1", "JobRun");
    Api::namespaced_with(client, namespace, &ApiResource::from_gvk(&kind))
}

/// A job that keeps the size that it is run at, on TaskManagers of two slots.
fn scenario(workers: u32, pods: u32, run: u64) -> Scenario {
    let mut scenario = Scenario { scheduler: SchedulerKind::Default, seed: run, ..orders(pods, 2) };
    for vertex in &mut scenario.vertices {
        vertex.parallelism = workers;
    }
    scenario
}

async fn operate(runs: Api<DynamicObject>, flink: Arc<FlinkServer>, manner: Manner) -> Result<()> {
    let by = PatchParams::default();
    let says = async |phase: &str, seen: Option<i64>| {
        let mut status = json!({"phase": phase});
        if let Some(seen) = seen {
            status["seen"] = seen.into();
        }
        runs.patch_status("orders", &by, &Patch::Merge(json!({"status": status}))).await
    };
    let (mut seen, mut size, mut overtaken) = (None, (1, 1), false);
    loop {
        sleep(Duration::from_millis(200)).await;
        let run = runs.get("orders").await?;
        let generation = run.metadata.generation;
        if generation == seen {
            continue;
        }
        let number = |field: &str| run.data["spec"][field].as_u64().and_then(|n| u32::try_from(n).ok());
        let wanted = (number("workers").context("workers")?, number("pods").context("pods")?);
        if manner == Manner::IsOvertaken && wanted != size && !overtaken {
            overtaken = true;
            runs.patch("orders", &by, &Patch::Merge(json!({"spec": {"image": "second"}}))).await?;
            continue;
        }
        if manner == Manner::HasNoRoom && wanted.0 > 1 {
            says("Broken", generation).await?;
            seen = generation;
            continue;
        }
        if wanted != size {
            says("Changing", None).await?;
            let now = clock::now();
            let next = scenario(wanted.0, wanted.1, generation.unwrap_or(0).unsigned_abs());
            let next = Simulation::starting_at(&next, now)?;
            flink.with(|flink| *flink = next);
            size = wanted;
            // As a job that takes a moment to start.
            sleep(Duration::from_secs(1)).await;
        }
        says("Ready", generation).await?;
        seen = generation;
    }
}

fn autoscaler(job: &Job) -> String {
    job.autoscaler(
        "orders",
        "  replicas: {min: 1, max: 8}
  operator:
    apiVersion: made-up.example.com/v1
    kind: JobRun
    name: orders
    within: 5m
    fields:
      parallelism: spec.workers
      replicas: spec.pods
      state: status.phase
      stable: [Ready]
      failed: [Broken]
      observedGeneration: status.seen
",
    )
}

/// A job of the made-up operator, which says that it is ready, and its autoscaler.
async fn operated(cluster: &Cluster, manner: Manner) -> Result<(Namespace, Job, Operator)> {
    cluster.install().await?;
    cluster.knows(KIND, &["jobruns.made-up.example.com"]).await?;
    let namespace = crate::controller::bed::namespace().await?;
    let job = Job::of(&scenario(1, 1, 0)).await?;
    namespace.apply(RUN).await?;
    let operator = Operator::start(&namespace, Arc::clone(&job.flink), manner);
    until("the operator to have looked", PATIENCE, async || {
        let run = namespace.object("JobRun", "orders").await?;
        ensure!(run["status"]["phase"] == "Ready", "{run}");
        Ok(())
    })
    .await?;
    namespace.apply(&autoscaler(&job)).await?;
    Ok((namespace, job, operator))
}

async fn spec(namespace: &Namespace) -> Result<Value> {
    Ok(namespace.object("JobRun", "orders").await?["spec"].clone())
}

#[tokio::test]
async fn an_operator_by_the_paths_of_its_fields_also_over_a_crash() -> Result<()> {
    let cluster = Cluster::shared()?;
    let (namespace, job, _operator) = operated(cluster, Manner::Obeys).await?;
    let mut first = Controller::start(cluster, &namespace)?;
    // Killed when the resource has been changed, or is about to be: who comes next sees which.
    first.says("stage=Submitted").await?;
    first.signal("KILL")?;
    let mut second = Controller::start(cluster, &namespace)?;
    second.says("stage=Done").await?;
    until("the rescale to have ended", PATIENCE, async || {
        let (stages, end) = last_rescale(&namespace, "orders").await?;
        ensure!(
            stages == ["Planned", "Submitted", "Confirming", "Done"] && end == "Done",
            "{stages:?} {end}"
        );
        Ok(())
    })
    .await?;
    let run = namespace.object("JobRun", "orders").await?;
    let (workers, pods) = (run["spec"]["workers"].as_u64(), run["spec"]["pods"].as_u64());
    ensure!(workers >= Some(4) && pods == workers.map(|workers| workers.div_ceil(2)), "{run}");
    ensure!(run["spec"]["image"] == "first", "{run}");
    ensure!(Some(u64::from(job.size())) == workers, "{}", job.size());
    ensure!(run["metadata"]["generation"] == 2, "changed once: {run}");
    let managers = run_managers(&namespace).await?;
    ensure!(managers.iter().any(|manager| manager == "tidegate"), "{managers:?}");
    let found = namespace.object("FlinkAutoscaler", "orders").await?;
    ensure!(found["status"]["mechanism"] == "Operator", "{}", found["status"]);
    ensure!(job.changes() == 0, "Flink itself was asked for nothing");
    second.stops().await?;
    Ok(())
}

/// Who has changed the resource, by name.
async fn run_managers(namespace: &Namespace) -> Result<Vec<String>> {
    let shown =
        namespace.kubectl(&["get", "jobrun", "orders", "-o", "json", "--show-managed-fields"]).await?;
    let run: Value = serde_json::from_str(&shown)?;
    let fields = run["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    Ok(fields.iter().filter_map(|field| field["manager"].as_str().map(str::to_owned)).collect())
}

#[tokio::test]
async fn what_an_operator_cannot_do_is_taken_back_and_what_somebody_else_does_is_left() -> Result<()> {
    let cluster = Cluster::shared()?;
    let (failing, _job, _operator) = operated(cluster, Manner::HasNoRoom).await?;
    let mut controller = Controller::start(cluster, &failing)?;
    controller.says("stage=RolledBack").await?;
    until("the failure to be remembered", PATIENCE, async || {
        let (stages, end) = last_rescale(&failing, "orders").await?;
        let wanted = ["Planned", "Submitted", "Confirming", "RollingBack", "RolledBack"];
        ensure!(stages == wanted && end == "TimedOut", "{stages:?} {end}");
        let found = failing.object("FlinkAutoscaler", "orders").await?.to_string();
        ensure!(found.contains("FailedBefore"), "{found}");
        // Another size than the one that has failed may be tried in between, on a slow machine.
        let spec = spec(&failing).await?;
        ensure!(spec == json!({"workers": 1, "pods": 1, "image": "first"}), "{spec}");
        Ok(())
    })
    .await?;
    controller.stops().await?;

    let (overtaken, _job, _operator) = operated(cluster, Manner::IsOvertaken).await?;
    let mut controller = Controller::start(cluster, &overtaken)?;
    let said = controller.says("stage=Superseded").await?;
    ensure!(said.contains("somebody else has changed JobRun orders"), "{said}");
    // What was asked for before stays, and so does what somebody else has made of it.
    let found = spec(&overtaken).await?;
    ensure!(found["image"] == "second" && found["workers"].as_u64() >= Some(4), "{found}");
    controller.stops().await?;
    Ok(())
}
