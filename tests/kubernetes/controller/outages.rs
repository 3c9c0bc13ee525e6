//! An API server that is gone, and rights that are taken away: nothing is done that needs them, and all goes on afterwards.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::sleep;

use super::bed::{ASKED, Controller, Job, QUICK, awaits, namespace};
use crate::kubernetes::Cluster;
use crate::testbed::Fault;

#[tokio::test]
async fn nothing_is_done_while_the_api_server_is_away_and_all_goes_on_when_it_is_back() -> Result<()> {
    let mut cluster = Cluster::own()?;
    cluster.install().await?;
    let (namespace, mut job) = (cluster.namespace().await?, Job::new().await?);
    namespace.apply(QUICK).await?;
    job.proxy.set(Fault::Refuse).await?;
    namespace.apply(&job.autoscaler("orders", "")).await?;
    let mut controller = Controller::with(cluster.kubeconfig(), &namespace, &["-v"])?;
    controller.says("nothing usable from Flink").await?;
    cluster.stop()?;
    controller.says("the Lease cannot be renewed").await?;
    // Now there is something to do, and it cannot be written down first.
    job.proxy.set(Fault::None).await?;
    controller.says("NotLeading").await?;
    sleep(Duration::from_secs(20)).await;
    ensure!(job.changes() == 0, "it has acted:\n{}", controller.said());
    let failed = controller.said().matches("the watch has failed").count();
    ensure!(failed <= 4, "the same is said again and again:\n{}", controller.said);
    cluster.start()?;
    controller.says("this process leads").await?;
    controller.says(ASKED).await?;
    awaits(&namespace, "orders", "ScalingActive", "True", "ValidMetricFound").await?;
    // Of the versions that the watches were at, the API server knows nothing more (410).
    let expired = controller.said().contains("the watch has expired, and lists anew");
    ensure!(expired, "no watch has expired:\n{}", controller.said);
    // What is changed now is followed: the watches are there again.
    namespace.kubectl(&["delete", "fas", "orders"]).await?;
    controller.says("stopped").await?;
    ensure!(job.changes() == 1);
    Ok(())
}

const RIGHTS: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: tidegate}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: tidegate}
rules:
- {apiGroups: [tidegate.dev], resources: [flinkautoscalers, scalingpolicies], verbs: [get, list, watch]}
- {apiGroups: [tidegate.dev], resources: [flinkautoscalers/status], verbs: [patch]}
- {apiGroups: [''], resources: [services], verbs: [get, list, watch]}
- {apiGroups: [autoscaling], resources: [horizontalpodautoscalers], verbs: [get, list, watch]}
- {apiGroups: [''], resources: [configmaps], verbs: [get, create, update]}
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update]}
- {apiGroups: [events.k8s.io], resources: [events], verbs: [create, patch]}
";

const BINDING: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tidegate}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: tidegate}
subjects: [{kind: ServiceAccount, name: tidegate}]
";

#[tokio::test]
async fn rights_that_are_taken_away_are_missed_once_and_used_again() -> Result<()> {
    let (namespace, job) = (namespace().await?, Job::new().await?);
    namespace.apply(RIGHTS).await?;
    namespace.apply(BINDING).await?;
    let kubeconfig = namespace.kubeconfig_of("tidegate").await?;
    let mut controller = Controller::with(&kubeconfig, &namespace, &[])?;
    controller.says("this process leads").await?;
    namespace.kubectl(&["delete", "rolebinding", "tidegate"]).await?;
    controller.says("the Lease cannot be read or written").await?;
    controller.says("the Lease cannot be renewed").await?;
    namespace.apply(&job.autoscaler("orders", "")).await?;
    sleep(Duration::from_secs(3)).await;
    ensure!(job.changes() == 0);
    namespace.apply(BINDING).await?;
    controller.says("this process leads").await?;
    controller.says(ASKED).await?;
    let said = controller.stops().await?;
    ensure!(said.matches("the Lease cannot be read or written").count() == 1, "{said}");
    ensure!(said.contains("cannot") && said.contains("forbidden"), "{said}");
    Ok(())
}
