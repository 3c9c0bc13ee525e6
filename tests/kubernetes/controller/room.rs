//! A job grows no further than the nodes have room for, by what they and their pods say of themselves.

use anyhow::{Result, ensure};

use super::bed::{Controller, Job, PATIENCE, QUICK};
use crate::kubernetes::Cluster;
use crate::testbed::until;

/// TaskManagers that request a core each, whatever the node is said to be worth.
const TASKMANAGERS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: taskmanagers}
spec:
  replicas: 2
  selector: {matchLabels: {app: taskmanager}}
  template:
    metadata: {labels: {app: taskmanager}}
    spec:
      nodeName: small
      tolerations: [{operator: Exists}]
      containers: [{name: taskmanager, image: localhost/none, resources: {requests: {cpu: 1}}}]
---
apiVersion: v1
kind: Node
metadata: {name: small}
";

/// A node that nobody else sees is needed, so this has an API server of its own. It has no scheduler: the pods name their node, which
/// has room for three.
#[tokio::test]
async fn a_job_grows_into_what_the_nodes_have_room_for() -> Result<()> {
    let cluster = Cluster::own()?;
    cluster.install().await?;
    let (namespace, job) = (cluster.namespace().await?, Job::on(2, 1).await?);
    namespace.apply(TASKMANAGERS).await?;
    let room = r#"{"status": {"allocatable": {"cpu": "3500m", "memory": "8Gi", "pods": "110"}}}"#;
    cluster.kubectl(&["patch", "node", "small", "--subresource=status", "--type=merge", "-p", room]).await?;
    namespace.apply(&QUICK.replace("{cooldown: 1s}", "{cooldown: 1s, clusterCapacity: true}")).await?;
    let workload = "  workload: {apiVersion: apps/v1, kind: Deployment, name: taskmanagers}\n";
    namespace.apply(&job.autoscaler("orders", workload)).await?;
    let mut controller = Controller::start(&cluster, &namespace)?;
    // The status is written after the Deployment is.
    let done = until("one TaskManager more, and why it is not five", PATIENCE, async || {
        let deployment = namespace.object("Deployment", "taskmanagers").await?;
        let (replicas, status) = (
            &deployment["spec"]["replicas"],
            &namespace.object("FlinkAutoscaler", "orders").await?["status"],
        );
        ensure!(*replicas == 3 && status.to_string().contains("ClusterCapacity"), "{replicas}: {status}");
        Ok(())
    })
    .await;
    done.map_err(|error| error.context(controller.said().to_owned()))
}
