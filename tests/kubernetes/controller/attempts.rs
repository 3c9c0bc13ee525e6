//! `tidegate attempts --kubernetes`: a job that could not be brought back is shown, and its controller goes on when told.

use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use serde_json::json;
use tidegate::daemon::clock;
use tidegate::model::{Attempt, JobId, Ledger, Parallelism, Rerun, Resubmission, Stage, VertexId};

use super::bed::{Controller, ledger, namespace};
use crate::kubernetes::{Cluster, Namespace};
use crate::testbed::{free_port, until};

const PATIENCE: Duration = Duration::from_secs(90);

/// A job that was stopped and could not be run again.
fn failed() -> Ledger {
    let (job, at) = (JobId::from_bits(7), clock::now());
    let mut resubmission = Resubmission::new(job, at);
    resubmission.location = Some("file:/s/savepoint-1".to_owned());
    resubmission.detail = Some("there is no jar orders.jar".to_owned());
    resubmission.reach(Stage::Failed, at);
    let sizes = |size| [(VertexId::from_bits(1), Parallelism::clamped(size))].into();
    let args = ["--topic", "orders", "--password", "hunter2"].map(str::to_owned).to_vec();
    let rerun = Rerun {
        url: "http://orders:8081".to_owned(),
        jar: "orders.jar".to_owned(),
        entry_class: None,
        args,
        sizes: sizes(2),
        savepoint: resubmission.location.clone(),
        manifest: None,
    };
    resubmission.rerun = Some(Box::new(rerun.without_secrets()));
    let attempt = Attempt::new(job, at, at, sizes(2), sizes(5));
    let attempt = Attempt { resubmission: Some(resubmission), ..attempt };
    Ledger { attempt: Some(attempt), ..Ledger::default() }
}

async fn attempts(cluster: &Cluster, namespace: &Namespace, more: &[&str]) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.arg("attempts").args(more).args(["--kubernetes", "--namespace", namespace.name()]);
    command.env("KUBECONFIG", cluster.kubeconfig());
    Ok(tokio::task::spawn_blocking(move || command.output()).await??)
}

async fn stage(namespace: &Namespace) -> Result<String> {
    let ledger = ledger(namespace, "orders").await?;
    let reached = &ledger["attempt"]["resubmission"]["reached"];
    let last = reached.as_array().and_then(|reached| reached.last()).context("no attempt")?;
    Ok(last["stage"].as_str().context("no stage")?.to_owned())
}

#[tokio::test]
async fn what_has_failed_is_shown_and_goes_on_when_told() -> Result<()> {
    let (cluster, namespace) = (Cluster::shared()?, namespace().await?);
    // Nobody answers there, so that the job stays as it is.
    let url = format!("http://127.0.0.1:{}", free_port()?);
    namespace
        .apply(&format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: FlinkAutoscaler\nmetadata: {{name: orders}}\nspec:\n  \
             flink: {{url: '{url}', job: orders, poll: 1s}}\n  policyRef: {{name: quick}}\n  savepoint: {{jar: orders.jar}}\n"
        ))
        .await?;
    let owner = namespace.object("FlinkAutoscaler", "orders").await?;
    let state = json!({"version": 1, "ledger": failed()}).to_string();
    ensure!(!state.contains("hunter2"), "{state}");
    let map: ConfigMap = serde_json::from_value(json!({
        "metadata": {
            "name": "tidegate-orders",
            "labels": {"app.kubernetes.io/managed-by": "tidegate"},
            "ownerReferences": [{
                "apiVersion": owner["apiVersion"], "kind": "FlinkAutoscaler", "name": "orders", "uid": owner["metadata"]["uid"],
            }],
        },
        "data": {"state.json": state},
    }))?;
    namespace.api::<ConfigMap>().create(&PostParams::default(), &map).await?;
    let mut controller = Controller::start(cluster, &namespace)?;
    controller.says("looked after").await?;

    let shown = attempts(cluster, &namespace, &[]).await?;
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    for part in [
        &format!("{}/orders", namespace.name()),
        "Failed",
        "there is no jar orders.jar",
        "--fromSavepoint file:/s/savepoint-1",
        "orders.jar --topic orders --password '<HIDDEN>'",
        "spec.savepoint.args",
    ] {
        ensure!(text.contains(part), "{part}: {shown:?}");
    }
    let unknown = attempts(cluster, &namespace, &["resume", "others"]).await?;
    ensure!(unknown.status.code() == Some(2), "{unknown:?}");
    ensure!(stage(&namespace).await? == "Failed", "nobody has told it to go on");

    let resumed = attempts(cluster, &namespace, &["resume", "orders"]).await?;
    ensure!(resumed.status.success(), "{resumed:?}");
    until("the controller to go on", PATIENCE, async || {
        ensure!(stage(&namespace).await? == "Stopped", "{}", controller.said());
        ensure!(
            controller.said().contains("no word from Flink while the job is stopped"),
            "{}",
            controller.said()
        );
        Ok(())
    })
    .await?;
    let again = attempts(cluster, &namespace, &["resume", "orders"]).await?;
    ensure!(again.status.code() == Some(1), "{again:?}");
    Ok(())
}
