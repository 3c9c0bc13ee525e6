//! What the tests of the controller are made of: a simulated Flink behind a proxy that counts, controllers as processes, and
//! what is asked of the API server about them.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tidegate::daemon::clock;
use tidegate::model::FlinkVersion;
use tidegate::serve::flink::{FlinkServer, Pace};
use tidegate::simulate::{EdgeScenario, Load, Scenario, Simulation, VertexScenario, scenarios};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::kubernetes::{Cluster, Namespace};
use crate::testbed::{Proxy, until};

/// Far longer than anything here takes on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// What the controller says when it has asked for a rescale.
pub const ASKED: &str = "Flink was asked for another size";

/// A policy that acts again at once.
pub const QUICK: &str = "
apiVersion: tidegate.dev/v1alpha1
kind: ScalingPolicy
metadata: {name: quick}
spec: {rules: [{throughput: {}}], limits: {cooldown: 1s}}
";

/// A job of a source and a step, on so many TaskManagers of so many slots.
pub fn orders(taskmanagers: u32, slots_per_taskmanager: u32) -> Scenario {
    Scenario {
        name: "orders".to_owned(),
        // Rescales at once; later versions wait until half a minute after a start.
        flink_version: FlinkVersion { major: 1, minor: 18, patch: 1 },
        taskmanagers,
        slots_per_taskmanager,
        vertices: vec![
            VertexScenario::new("source", 0.01).with_load(Load::steps(&[(0, 700.0)])),
            VertexScenario::new("parse", 4.0).with_parallelism(1),
        ],
        edges: vec![EdgeScenario::new("source", "parse")],
        ..scenarios::demo()
    }
}

/// A simulated Flink, whose one job has a step that is four times too small for its load.
pub struct Job {
    pub flink: Arc<FlinkServer>,
    pub proxy: Proxy,
}

impl Job {
    pub async fn new() -> Result<Self> {
        Self::on(2, 8).await
    }

    /// The same on so many TaskManagers of so many slots.
    pub async fn on(taskmanagers: u32, slots_per_taskmanager: u32) -> Result<Self> {
        Self::of(&orders(taskmanagers, slots_per_taskmanager)).await
    }

    /// The same of any scenario.
    pub async fn of(scenario: &Scenario) -> Result<Self> {
        // Nothing is decided on a job that has just started, so this one has run for a while.
        let now = clock::now();
        let mut simulation = Simulation::starting_at(scenario, now - Duration::from_secs(30))?;
        simulation.advance_to(now);
        let flink = FlinkServer::new(simulation, Pace::Times(1.0));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let upstream = format!("http://{}", listener.local_addr()?);
        tokio::spawn(Arc::clone(&flink).serve(listener, std::future::pending()));
        Ok(Self { flink, proxy: proxy(&upstream).await? })
    }

    /// A `FlinkAutoscaler` of this job, by the policy `quick`; `more` fields are added to its spec.
    pub fn autoscaler(&self, name: &str, more: &str) -> String {
        let url = self.proxy.url();
        format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: FlinkAutoscaler\nmetadata: {{name: {name}}}\n\
             spec:\n  flink: {{url: '{url}', job: orders, poll: 1s}}\n  policyRef: {{name: quick}}\n{more}"
        )
    }

    /// What is asked of Flink to change, so far.
    pub fn changes(&self) -> usize {
        self.proxy.requests().iter().filter(|(method, _)| method == "PUT").count()
    }

    /// How many requests there were.
    pub fn requests(&self) -> usize {
        self.proxy.requests().len()
    }

    /// Waits until Flink was asked for a change.
    pub async fn is_asked(&self) -> Result<()> {
        until("Flink to be asked for another size", PATIENCE, async || {
            ensure!(self.changes() > 0, "{} requests, no PUT", self.requests());
            Ok(())
        })
        .await
    }

    pub fn size(&self) -> u32 {
        self.flink.with(|flink| flink.truth().parallelism[1])
    }
}

/// Starts a proxy; again, when another program has taken its port between the look and the bind.
async fn proxy(upstream: &str) -> Result<Proxy> {
    for _ in 0..4 {
        if let Ok(proxy) = Proxy::start(upstream).await {
            return Ok(proxy);
        }
    }
    Proxy::start(upstream).await
}

/// A namespace of the shared cluster, where our kinds are known, with the policy `quick`.
pub async fn namespace() -> Result<Namespace> {
    let cluster = Cluster::shared()?;
    let namespace = cluster.namespace_of_ours().await?;
    namespace.apply(QUICK).await?;
    Ok(namespace)
}

/// A controller, which is ended when the test is.
pub struct Controller {
    child: Child,
    log: UnboundedReceiver<String>,
    pub said: String,
}

impl Controller {
    /// One that looks after a namespace, as an administrator.
    pub fn start(cluster: &Cluster, namespace: &Namespace) -> Result<Self> {
        Self::with(cluster.kubeconfig(), namespace, &[])
    }

    /// The same by a kubeconfig, with more arguments.
    pub fn with(kubeconfig: &Path, namespace: &Namespace, more: &[&str]) -> Result<Self> {
        let listen = if more.contains(&"--listen") { &[][..] } else { &["--listen", "127.0.0.1:0"] };
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["run", "--kubernetes"])
            .args(listen)
            .args(["--namespace", namespace.name(), "--lease-namespace", namespace.name()])
            .args(more)
            .env("KUBECONFIG", kubeconfig)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = BufReader::new(child.stderr.take().context("it is piped")?);
        let (lines, log) = unbounded_channel();
        // Reading blocks, and the simulated Flink runs on the thread of the test.
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| lines.send(line))
        });
        Ok(Self { child, log, said: String::new() })
    }

    /// Reads the log until it says this, once more than before.
    pub async fn says(&mut self, part: &str) -> Result<String> {
        loop {
            let line = timeout(PATIENCE, self.log.recv()).await.ok().flatten();
            let line = line.with_context(|| format!("it does not say {part:?}:\n{}", self.said))?;
            self.said.extend([line.as_str(), "\n"]);
            if line.contains(part) {
                return Ok(line);
            }
        }
    }

    /// What it has said until now.
    pub fn said(&mut self) -> &str {
        while let Ok(line) = self.log.try_recv() {
            self.said.extend([line.as_str(), "\n"]);
        }
        &self.said
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) -> Result<()> {
        let kill = format!("kill -{name} {}", self.child.id());
        ensure!(Command::new("sh").args(["-c", &kill]).status()?.success(), "{kill}");
        Ok(())
    }

    /// Asks it to stop, and waits until it has; what it said.
    pub async fn stops(mut self) -> Result<String> {
        self.signal("TERM")?;
        let said = async {
            while let Some(line) = self.log.recv().await {
                self.said.extend([line.as_str(), "\n"]);
            }
        };
        timeout(PATIENCE, said).await.context("it does not end")?;
        let code = self.child.wait()?.code();
        ensure!(code == Some(0), "it ended with {code:?}:\n{}", self.said);
        Ok(std::mem::take(&mut self.said))
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is kept of the job of an autoscaler.
pub async fn ledger(namespace: &Namespace, autoscaler: &str) -> Result<Value> {
    let map = namespace.object("ConfigMap", &format!("tidegate-{autoscaler}")).await?;
    let state: Value = serde_json::from_str(map["data"]["state.json"].as_str().context("no state")?)?;
    Ok(state["ledger"].clone())
}

/// A condition of an autoscaler: its status, reason and message.
pub async fn condition(namespace: &Namespace, name: &str, kind: &str) -> Result<(String, String, String)> {
    let object = namespace.object("FlinkAutoscaler", name).await?;
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.into_iter().find(|condition| condition["type"] == kind);
    let found = found.with_context(|| format!("no condition {kind} in {}", object["status"]))?;
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    Ok((text("status"), text("reason"), text("message")))
}

/// Waits for a condition with this status and reason; its message.
pub async fn awaits(
    namespace: &Namespace,
    name: &str,
    kind: &str,
    status: &str,
    reason: &str,
) -> Result<String> {
    let what = format!("{kind}={status} ({reason}) of {name}");
    until(&what, PATIENCE, async || {
        let (found, why, message) = condition(namespace, name, kind).await?;
        ensure!((&*found, &*why) == (status, reason), "{kind}={found} ({why}): {message}");
        Ok(message)
    })
    .await
}

/// Reasons of the Events about an autoscaler in the order of the alphabet, each as often as it was written or counted.
pub async fn events(namespace: &Namespace, name: &str) -> Result<Vec<String>> {
    let events = namespace.objects("Event").await?;
    let of_it = |event: &&Value| event["regarding"]["name"] == name;
    let reasons = events.iter().filter(of_it).flat_map(|event| {
        let count = event["series"]["count"].as_u64().unwrap_or(1);
        let reason = event["reason"].as_str().unwrap_or_default().to_owned();
        std::iter::repeat_n(reason, usize::try_from(count).unwrap_or(1))
    });
    // Their names, by which they are listed, mean nothing.
    let mut reasons: Vec<String> = reasons.collect();
    reasons.sort();
    Ok(reasons)
}

/// Waits until the Events about an autoscaler are these, in the order of the alphabet: they are written beside what is done.
pub async fn are_told(namespace: &Namespace, name: &str, expected: &[&str]) -> Result<()> {
    until(&format!("Events {expected:?}"), PATIENCE, async || {
        let told = events(namespace, name).await?;
        ensure!(told == expected, "{told:?}");
        Ok(())
    })
    .await
}
