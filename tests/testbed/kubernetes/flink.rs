//! A Flink session cluster by Deployments, in a test's namespace: the manifests that users get, in small.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::manifests::manifests;
use super::{Forward, Namespace};
use crate::testbed::install::{Installed, install};
use crate::testbed::{Client, Job, until};

/// How long a cluster may take to start or to notice something; loaded machines are slow, hung ones slower.
const PATIENCE: Duration = Duration::from_mins(4);

/// What kind of cluster to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// `2.3` or `1.20`.
    pub version: &'static str,
    /// How many `TaskManager`s.
    pub taskmanagers: usize,
    /// Slots of each.
    pub slots: usize,
    /// The processor time that each `TaskManager` requests; its limit is two cores.
    pub cpu: &'static str,
    /// Configuration over that of `deploy/flink/base`, with checkpoints every 5 s.
    pub config: Vec<(String, String)>,
    /// What runs the JobManager: `Deployment`, or `Job`, of which it is the whole life.
    pub manager: &'static str,
    /// What is added to the JobManager's Deployment, as a strategic merge patch.
    pub beside_jobmanager: Option<String>,
    /// What gives the slots: `Deployment` or `StatefulSet`.
    pub workload: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            version: "2.3",
            taskmanagers: 2,
            slots: 2,
            cpu: "100m",
            config: Vec::new(),
            manager: "Deployment",
            beside_jobmanager: None,
            workload: "Deployment",
        }
    }
}

impl Options {
    /// With one more line of configuration.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.config.push((key.to_owned(), value.to_owned()));
        self
    }
}

/// A running cluster: Deployments `flink-jobmanager` and `flink-taskmanager`, Service `flink-jobmanager`. It goes with
/// its namespace.
pub struct Flink<'a> {
    namespace: &'a Namespace,
    options: Options,
    installed: Installed,
    client: Client,
    _forward: Forward,
}

impl<'a> Flink<'a> {
    pub(super) async fn start(namespace: &'a Namespace, options: Options) -> Result<Self> {
        let installed = install(options.version)?;
        for manifest in manifests(namespace, &options).await? {
            namespace.apply(&manifest).await?;
        }
        let forward = namespace.forward("svc/flink-jobmanager", 8081).await?;
        let client = Client::new(&forward.url())?;
        let flink = Self { namespace, options, installed, client, _forward: forward };
        flink.wait_for_taskmanagers(flink.options.taskmanagers).await?;
        Ok(flink)
    }

    /// A client of its REST API, from outside the node.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Where its REST API is on the node's network.
    pub fn url_inside(&self) -> String {
        format!("http://flink-jobmanager.{}.svc.cluster.local:8081", self.namespace.name())
    }

    /// Submits a job and returns its id as soon as Flink has taken it in.
    pub async fn submit(&self, job: &Job) -> Result<String> {
        self.client.submit(&self.installed.jobs, job).await
    }

    /// Waits until Flink knows so many `TaskManager`s and all their slots, no more and no fewer.
    pub async fn wait_for_taskmanagers(&self, count: usize) -> Result<()> {
        let slots = count * self.options.slots;
        until(&format!("{count} TaskManagers with {slots} slots"), PATIENCE, async || {
            let seen = self.client.get("/overview").await?;
            ensure!(seen["taskmanagers"] == count && seen["slots-total"] == slots, "{seen}");
            Ok(())
        })
        .await
    }
}
