//! A real Flink session cluster on loopback.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use super::install::{Installed, install};
use super::process::Process;
use super::{Client, Job, Topic, ports, until};

/// How long a cluster may take to start or to notice something; loaded machines are slow, hung ones slower.
const PATIENCE: Duration = Duration::from_mins(2);

/// `TaskManager`s that a test may add.
const SPARE: usize = 4;

/// What Flink needs opened of Java's modules; its own start scripts pass the same.
const OPENED: &[&str] = &[
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.reflect",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.text",
    "java.base/java.time",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/java.util.concurrent.locks",
    "java.base/sun.nio.ch",
];

/// What kind of cluster to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many `TaskManager`s.
    pub taskmanagers: usize,
    /// Slots of each.
    pub slots: usize,
    /// Whether a killed `JobManager` finds its jobs again when it comes back. Takes a `ZooKeeper` of about 60 MB.
    pub ha: bool,
    /// Whether every process reports to Prometheus, through Flink's own reporter.
    pub reports: bool,
    /// Configuration over that of the test bed: the adaptive scheduler, checkpoints every 5 s, metrics fetched every
    /// second, restarts after one.
    pub config: Vec<(String, String)>,
}

impl Options {
    /// With one more line of configuration; without one of the test bed's where the value is empty.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.config.push((key.to_owned(), value.to_owned()));
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self { taskmanagers: 2, slots: 8, ha: false, reports: false, config: Vec::new() }
    }
}

/// A running cluster; dropping it ends all of its processes and removes its folder.
pub struct Flink {
    jobmanager: Option<Process>,
    taskmanagers: Vec<Option<Process>>,
    zookeeper: Option<(Process, u16)>,
    client: Client,
    installed: Installed,
    options: Options,
    rest: u16,
    rpc: u16,
    /// The ports of the Prometheus reporters: the `JobManager`'s, and those of as many `TaskManager`s as there may be.
    reporters: Vec<u16>,
    folder: TempDir,
}

impl Flink {
    /// Installs the version if need be, starts a cluster of it, and waits until all slots are there.
    pub async fn start(version: &str, options: Options) -> Result<Self> {
        let installed = install(version)?;
        let mut folder = tempfile::Builder::new().prefix("testbed-").tempdir()?;
        folder.disable_cleanup(std::env::var_os("TIDEGATE_KEEP").is_some());
        for name in ["conf", "tmp", "checkpoints", "savepoints", "ha"] {
            std::fs::create_dir(folder.path().join(name))?;
        }
        // Everything is said on the command lines, but a file must be there, by its old name for old versions.
        for name in ["config.yaml", "flink-conf.yaml"] {
            std::fs::write(folder.path().join("conf").join(name), "parallelism.default: 1\n")?;
        }
        let (rest, rpc) = (ports::free()?, ports::free()?);
        let client = Client::new(&format!("http://127.0.0.1:{rest}"))?;
        let zookeeper = if options.ha { Some(start_zookeeper(&installed, folder.path())?) } else { None };
        let count = options.taskmanagers;
        // Some more, for those that a test adds.
        let reporters = if options.reports { 1 + count + SPARE } else { 0 };
        let reporters = (0..reporters).map(|_| ports::free()).collect::<Result<_>>()?;
        // Flink looks for plugins, of which the reporter is one, in this folder of its working directory.
        std::os::unix::fs::symlink(installed.home.join("plugins"), folder.path().join("plugins"))?;
        let mut flink = Self {
            jobmanager: None,
            taskmanagers: Vec::new(),
            zookeeper,
            client,
            installed,
            options,
            rest,
            rpc,
            reporters,
            folder,
        };
        flink.jobmanager = Some(flink.spawn_jobmanager()?);
        for _ in 0..count {
            flink.spawn_taskmanager()?;
        }
        flink.wait_for_slots().await?;
        Ok(flink)
    }

    /// The full version, as `2.3.0`.
    pub fn version(&self) -> &str {
        &self.installed.version
    }

    /// Where its REST API is.
    pub fn url(&self) -> &str {
        self.client.url()
    }

    /// What a Prometheus has to scrape to see all of its processes; empty without [`Options::reports`].
    pub fn reporters(&self) -> Vec<String> {
        let running = self.taskmanagers.len() + 1;
        self.reporters.iter().take(running).map(|port| format!("127.0.0.1:{port}")).collect()
    }

    /// A client of its REST API.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// A new topic, empty until its rate is set.
    pub fn topic(&self, name: &str) -> Result<Topic> {
        Topic::create(self.folder.path(), name)
    }

    /// Submits a job and returns its id as soon as Flink has taken it in.
    pub async fn submit(&self, job: &Job) -> Result<String> {
        self.client.submit(&self.installed.jobs, job).await
    }

    /// The savepoints that there are.
    pub fn savepoints(&self) -> Result<Vec<std::path::PathBuf>> {
        let folder = std::fs::read_dir(self.folder.path().join("savepoints"))?;
        Ok(folder.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?)
    }

    /// Kills the `JobManager` as a crash would.
    pub fn kill_jobmanager(&mut self) -> Result<()> {
        self.jobmanager.take().map_or(Ok(()), |mut process| process.kill())
    }

    /// Starts it again at its old address and waits for the slots. Its jobs come back with [`Options::ha`] only.
    pub async fn restart_jobmanager(&mut self) -> Result<()> {
        ensure!(self.jobmanager.is_none(), "the JobManager is running");
        self.jobmanager = Some(self.spawn_jobmanager()?);
        self.wait_for_slots().await
    }

    /// Kills a `TaskManager`, by the order in which they were started, as a crash would.
    pub fn kill_taskmanager(&mut self, index: usize) -> Result<()> {
        self.taskmanagers[index].take().map_or(Ok(()), |mut process| process.kill())
    }

    /// Starts one more `TaskManager` and waits for its slots.
    pub async fn add_taskmanager(&mut self) -> Result<()> {
        self.spawn_taskmanager()?;
        self.wait_for_slots().await
    }

    /// Waits until Flink knows the slots of the `TaskManager`s that run, no more and no fewer.
    pub async fn wait_for_slots(&mut self) -> Result<()> {
        let running = self.taskmanagers.iter_mut().flatten().count();
        let slots = running * self.options.slots;
        let processes = self.taskmanagers.iter_mut().flatten().chain(&mut self.jobmanager);
        let mut processes: Vec<&mut Process> =
            processes.chain(self.zookeeper.as_mut().map(|(process, _)| process)).collect();
        let client = &self.client;
        until(&format!("{slots} slots"), PATIENCE, async || {
            // Waiting does not bring a dead process back, so its end ends the waiting too.
            if let Err(dead) = processes.iter_mut().try_for_each(|process| process.check_alive()) {
                return Ok(Err(dead));
            }
            let seen = client.get("/overview").await?["slots-total"].clone();
            ensure!(seen == slots, "{seen} slots");
            Ok(Ok(()))
        })
        .await?
    }

    fn spawn_jobmanager(&self) -> Result<Process> {
        let class = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint";
        self.spawn("jobmanager", class, 256, &self.common_config())
    }

    fn spawn_taskmanager(&mut self) -> Result<()> {
        let name = format!("taskmanager-{}", self.taskmanagers.len());
        let mut config = self.common_config();
        // Flink's start scripts compute these; a TaskManager started without them wants each to be set.
        let memory = [
            ("taskmanager.cpu.cores", self.options.slots.to_string()),
            ("taskmanager.memory.framework.heap.size", "64m".into()),
            ("taskmanager.memory.task.heap.size", "192m".into()),
            ("taskmanager.memory.framework.off-heap.size", "64m".into()),
            ("taskmanager.memory.task.off-heap.size", "0".into()),
            ("taskmanager.memory.managed.size", "0".into()),
            ("taskmanager.memory.network.min", "64m".into()),
            ("taskmanager.memory.network.max", "64m".into()),
            ("taskmanager.memory.jvm-metaspace.size", "128m".into()),
            ("taskmanager.memory.jvm-overhead.min", "64m".into()),
            ("taskmanager.memory.jvm-overhead.max", "64m".into()),
            ("taskmanager.numberOfTaskSlots", self.options.slots.to_string()),
            ("taskmanager.resource-id", name.clone()),
        ];
        config.extend(memory.map(|(key, value)| (key.to_owned(), value)));
        let process =
            self.spawn(&name, "org.apache.flink.runtime.taskexecutor.TaskManagerRunner", 256, &config)?;
        self.taskmanagers.push(Some(process));
        Ok(())
    }

    fn spawn(&self, name: &str, class: &str, heap: u32, config: &[(String, String)]) -> Result<Process> {
        let folder = self.folder.path();
        let mut command = java(&self.installed, folder, name, heap)?;
        command.extend([
            class.to_owned(),
            "--configDir".to_owned(),
            folder.join("conf").display().to_string(),
        ]);
        let reporter = self.reporter(name);
        let own = &self.options.config;
        let ours = config.iter().chain(&reporter).filter(|(key, _)| own.iter().all(|(mine, _)| mine != key));
        for (key, value) in ours.chain(own).filter(|(_, value)| !value.is_empty()) {
            command.extend(["-D".to_owned(), format!("{key}={value}")]);
        }
        Process::start(name, folder, &command)
    }

    /// What makes a process report.
    fn reporter(&self, name: &str) -> Vec<(String, String)> {
        let index = match name.strip_prefix("taskmanager-") {
            Some(index) => index.parse().map_or(0, |index: usize| index + 1),
            None => 0,
        };
        let class = "org.apache.flink.metrics.prometheus.PrometheusReporterFactory";
        let lines = self.reporters.get(index).map(|port| {
            [
                ("metrics.reporter.prom.factory.class", class.to_owned()),
                ("metrics.reporter.prom.port", port.to_string()),
            ]
        });
        lines.into_iter().flatten().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    fn common_config(&self) -> Vec<(String, String)> {
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let uri = |name: &str| format!("file://{}", at(name));
        let mut config = vec![
            ("jobmanager.rpc.address", "127.0.0.1".to_owned()),
            ("jobmanager.rpc.port", self.rpc.to_string()),
            ("jobmanager.bind-host", "127.0.0.1".into()),
            ("rest.address", "127.0.0.1".into()),
            ("rest.bind-address", "127.0.0.1".into()),
            ("rest.port", self.rest.to_string()),
            ("rest.bind-port", self.rest.to_string()),
            ("taskmanager.host", "127.0.0.1".into()),
            ("taskmanager.bind-host", "127.0.0.1".into()),
            ("io.tmp.dirs", at("tmp")),
            ("web.tmpdir", at("tmp")),
            ("web.upload.dir", at("tmp")),
            ("blob.storage.directory", at("tmp")),
            ("state.checkpoints.dir", uri("checkpoints")),
            ("state.savepoints.dir", uri("savepoints")),
            ("jobmanager.scheduler", "adaptive".into()),
            ("execution.checkpointing.interval", "5s".into()),
            ("metrics.fetcher.update-interval", "1000".into()),
            ("restart-strategy.type", "fixed-delay".into()),
            ("restart-strategy.fixed-delay.attempts", i32::MAX.to_string()),
            ("restart-strategy.fixed-delay.delay", "1 s".into()),
            // A full machine takes longer than ten seconds to begin.
            ("pekko.startup-timeout", "60 s".into()),
            // A killed process is noticed after two of these, not after 20 s.
            ("heartbeat.interval", "2000".into()),
        ];
        if let Some((_, port)) = &self.zookeeper {
            config.extend([
                ("high-availability.type", "zookeeper".to_owned()),
                ("high-availability.storageDir", uri("ha")),
                ("high-availability.zookeeper.quorum", format!("127.0.0.1:{port}")),
                ("high-availability.jobmanager.port", self.rpc.to_string()),
                // How long a killed JobManager keeps its lead; the default of a minute is a minute of waiting.
                ("high-availability.zookeeper.client.session-timeout", "5000".into()),
            ]);
        }
        config.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

impl Drop for Flink {
    fn drop(&mut self) {
        // All at once; the fields' own drop then waits for each.
        let processes = self.taskmanagers.iter_mut().flatten().chain(&mut self.jobmanager);
        processes.for_each(Process::release);
    }
}

/// The `ZooKeeper` that comes inside Flink's own jar.
fn start_zookeeper(installed: &Installed, folder: &Path) -> Result<(Process, u16)> {
    let port = ports::free()?;
    let mut command = java(installed, folder, "zookeeper", 64)?;
    let class = "org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.server.ZooKeeperServerMain";
    command.extend(["-Dzookeeper.admin.enableServer=false".to_owned(), class.to_owned()]);
    command.extend([port.to_string(), folder.join("zookeeper").display().to_string()]);
    Ok((Process::start("zookeeper", folder, &command)?, port))
}

/// A small JVM that starts quickly: it lives for minutes and has little to do.
fn java(installed: &Installed, folder: &Path, name: &str, heap: u32) -> Result<Vec<String>> {
    let logging = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testbed/log4j2.properties");
    let mut command = vec![
        "java".to_owned(),
        format!("-Xmx{heap}m"),
        "-XX:+UseSerialGC".to_owned(),
        "-XX:TieredStopAtLevel=1".to_owned(),
        format!("-Djava.io.tmpdir={}", folder.join("tmp").display()),
        format!("-Dlog.file={}", folder.join(format!("{name}.log")).display()),
        format!("-Dlog4j.configurationFile=file:{}", logging.display()),
        "-cp".to_owned(),
        installed.class_path()?,
    ];
    let classes = installed.home.join("classes.jsa");
    if classes.exists() {
        // They are loaded at once; words about an archive that does not fit this Java would be of no use.
        command.extend([format!("-XX:SharedArchiveFile={}", classes.display()), "-Xlog:cds=off".to_owned()]);
    }
    command.push("--add-exports=java.base/sun.net.util=ALL-UNNAMED".to_owned());
    command.extend(OPENED.iter().map(|opened| format!("--add-opens={opened}=ALL-UNNAMED")));
    Ok(command)
}
