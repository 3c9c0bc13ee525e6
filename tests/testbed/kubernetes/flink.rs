//! A Flink session cluster by Deployments, in a test's namespace.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Forward, Namespace};
use crate::testbed::install::{Installed, install};
use crate::testbed::{Client, Job, until};

/// How long a cluster may take to start or to notice something; loaded machines are slow, hung ones slower.
const PATIENCE: Duration = Duration::from_mins(4);

const MANIFESTS: &str = include_str!("flink.yaml");

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
    /// Configuration over that of `flink.yaml`: the adaptive scheduler, checkpoints every 5 s, metrics fetched every
    /// second, restarts after one.
    pub config: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self { version: "2.3", taskmanagers: 2, slots: 2, cpu: "100m", config: Vec::new() }
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
        namespace.apply(&manifests(namespace, &options)).await?;
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

fn manifests(namespace: &Namespace, options: &Options) -> String {
    let config = options
        .config
        .iter()
        .fold(String::new(), |lines, (key, value)| lines + &format!("    {key}: {value}\n"));
    // Flink 1.20 reads the new name, too, but as the YAML that it then has to be.
    let file = if options.version.starts_with("1.") { "flink-conf.yaml" } else { "config.yaml" };
    MANIFESTS
        .replace("    heartbeat.interval: 2000\n", &format!("    heartbeat.interval: 2000\n{config}"))
        .replace("@CONFIG_FILE@", file)
        .replace("@SLOTS@", &options.slots.to_string())
        .replace("@TASKMANAGERS@", &options.taskmanagers.to_string())
        .replace("@VERSION@", options.version)
        .replace("@CPU@", options.cpu)
        .replace("@FOLDER@", &namespace.shared_folder().to_string_lossy())
}
