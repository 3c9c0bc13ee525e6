//! The daemon as a process before a simulated Flink: servers that are gone and come back, signals, and ends at the worst
//! moments.
#![cfg(feature = "daemon")]
#![expect(unreachable_pub, reason = "`pub` marks what other files may use; a test program exports nothing")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate::daemon::{clock, store::Store};
use tidegate::model::{FlinkVersion, RescaleEnd, Timestamp};
use tidegate::record::State;
use tidegate::record::journal::replay;
use tidegate::serve::flink::{FlinkServer, Pace};
use tidegate::simulate::{EdgeScenario, Load, Scenario, Simulation, VertexScenario, scenarios};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

#[path = "testbed"]
mod testbed {
    #[expect(dead_code, reason = "the tests on real Flink use the rest of it")]
    pub mod proxy;

    mod ports;
}

#[path = "daemon/anew.rs"]
mod anew;

use testbed::proxy::{Fault, Proxy};

/// Far longer than anything here takes on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_mins(1);

/// The answers of Flink take this long, so that a test can see a request and do something before it is answered.
const SLOW: Fault = Fault::Delay(Duration::from_millis(400));

/// What it says once it knows what the job does at its size, of all sizes but those that it tells before it knows.
const SETTLED: &str = "current=[1, ";

/// A job whose step is four times too small for its load.
fn short_of_subtasks() -> Scenario {
    Scenario {
        name: "orders".to_owned(),
        // Rescales at once; later versions wait until half a minute after a start.
        flink_version: FlinkVersion { major: 1, minor: 18, patch: 1 },
        taskmanagers: 2,
        slots_per_taskmanager: 8,
        vertices: vec![
            VertexScenario::new("source", 0.01).with_load(Load::steps(&[(0, 700.0)])),
            VertexScenario::new("parse", 4.0).with_parallelism(1),
        ],
        edges: vec![EdgeScenario::new("source", "parse")],
        ..scenarios::demo()
    }
}

/// A simulated Flink behind a proxy, and the folder of the daemon that scales it.
struct Bed {
    flink: Arc<FlinkServer>,
    proxy: Proxy,
    folder: TempDir,
}

impl Bed {
    async fn new() -> Result<Self> {
        Self::of(&short_of_subtasks(), "").await
    }

    /// One of this scenario, with lines for the autoscaler's `spec`.
    async fn of(scenario: &Scenario, spec: &str) -> Result<Self> {
        // Nothing is decided on a job that has just started, so this one has run for a while.
        let now = clock::now();
        let mut simulation = Simulation::starting_at(scenario, now - Duration::from_secs(30))?;
        simulation.advance_to(now);
        let flink = FlinkServer::new(simulation, Pace::Times(1.0));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let upstream = format!("http://{}", listener.local_addr()?);
        tokio::spawn(Arc::clone(&flink).serve(listener, std::future::pending()));
        let (proxy, folder) = (proxy(&upstream).await?, tempfile::tempdir()?);
        let url = proxy.url();
        fs::write(
            folder.path().join("orders.yaml"),
            format!(
                "apiVersion: tidegate.dev/v1alpha1\nkind: FlinkAutoscaler\nmetadata: {{name: orders}}\n\
                 spec:\n  flink: {{url: '{url}', poll: 1s}}\n  policyRef: {{name: quick}}\n{spec}---\n\
                 apiVersion: tidegate.dev/v1alpha1\nkind: ScalingPolicy\nmetadata: {{name: quick}}\n\
                 spec:\n  rules: [{{throughput: {{}}}}]\n  limits: {{cooldown: 1s}}\n"
            ),
        )?;
        Ok(Self { flink, proxy, folder })
    }

    fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn daemon(&self) -> Result<Daemon> {
        let program = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .current_dir(self.folder.path())
            .args(["run", "--config", "orders.yaml", "--state-dir", "state"])
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        Daemon::new(program?)
    }

    /// What is asked of Flink to change, so far.
    fn changes(&self) -> usize {
        self.proxy.requests().iter().filter(|(method, _)| method == "PUT").count()
    }

    /// Waits until this request has been made.
    async fn asked(&self, method: &str, part: &str) -> Result<()> {
        let is_it = |(m, path): &(_, String)| *m == method && path.contains(part);
        let asked = async {
            while !self.proxy.requests().iter().any(is_it) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, asked).await.with_context(|| format!("nobody asks for {method} {part}"))
    }

    fn sizes(&self) -> Vec<u32> {
        self.flink.with(|flink| flink.truth().parallelism)
    }

    fn state(&self) -> Result<State> {
        Store::open(&self.state_dir())?.load("orders")?.context("there is a state")
    }

    /// Replays the journal, which must not differ anywhere; returns its text.
    fn journal(&self) -> Result<String> {
        let text = fs::read_to_string(self.state_dir().join("journal/orders.jsonl"))?;
        let replay = replay(text.as_bytes())?;
        ensure!(replay.differences.is_empty() && replay.cycles > 0, "{replay:?}");
        Ok(text)
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

/// A daemon that is ended when the test is.
struct Daemon {
    child: Child,
    log: UnboundedReceiver<String>,
    said: String,
}

impl Daemon {
    fn new(mut child: Child) -> Result<Self> {
        let stderr = BufReader::new(child.stderr.take().context("it is piped")?);
        let (lines, log) = unbounded_channel();
        // Reading blocks, and the simulated Flink runs on the thread of the test.
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| lines.send(line))
        });
        Ok(Self { child, log, said: String::new() })
    }

    /// Reads the log until it says this, once more than before.
    async fn says(&mut self, part: &str) -> Result<()> {
        loop {
            let line = timeout(PATIENCE, self.log.recv()).await.ok().flatten();
            let line = line.with_context(|| format!("it does not say {part:?}:\n{}", self.said))?;
            self.said.extend([line.as_str(), "\n"]);
            if line.contains(part) {
                return Ok(());
            }
        }
    }

    fn signal(&self, name: &str) -> Result<()> {
        let kill = format!("kill -{name} {}", self.child.id());
        ensure!(Command::new("sh").args(["-c", &kill]).status()?.success(), "{kill}");
        Ok(())
    }

    /// Waits for its end: the exit code, and all that it said.
    async fn ends(mut self) -> Result<(Option<i32>, String)> {
        let said = async {
            while let Some(line) = self.log.recv().await {
                self.said.extend([line.as_str(), "\n"]);
            }
        };
        timeout(PATIENCE, said).await.context("it does not end")?;
        Ok((self.child.wait()?.code(), std::mem::take(&mut self.said)))
    }

    async fn stops(self) -> Result<String> {
        self.signal("TERM")?;
        let (code, said) = self.ends().await?;
        ensure!(code == Some(0), "it ended with {code:?}:\n{said}");
        Ok(said)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn scales_up_once_and_says_why() -> Result<()> {
    let bed = Bed::new().await?;
    let mut daemon = bed.daemon()?;
    daemon.says("Flink was asked for another size").await?;
    daemon.says(SETTLED).await?;
    daemon.stops().await?;
    assert_eq!(bed.changes(), 1);
    assert!((4..=6).contains(&bed.sizes()[1]), "{:?}", bed.sizes());

    let rescales = bed.state()?.ledger.rescales;
    assert_eq!(rescales.iter().map(|rescale| rescale.end).collect::<Vec<_>>(), [RescaleEnd::Done]);
    let journal = bed.journal()?;
    let applied =
        journal.lines().find(|line| line.contains("\"outcome\":\"Applied\"")).context("it rescaled")?;
    let applied: Value = serde_json::from_str(applied)?;
    let explain = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .current_dir(bed.folder.path())
        .args(["explain", "orders", "--state-dir", "state", "--at"])
        .arg(applied["at"].as_str().context("it has a time")?)
        .output()?;
    let told = String::from_utf8(explain.stdout)?;
    assert!(told.contains("scale up now") && told.contains("ended     Done after"), "{told}");
    Ok(())
}

#[tokio::test]
async fn recommend_only_reads_and_says_what_run_would_do() -> Result<()> {
    let bed = Bed::new().await?;
    let recommend = tokio::task::spawn_blocking({
        let url = bed.proxy.url();
        move || {
            Command::new(env!("CARGO_BIN_EXE_tidegate"))
                .args(["recommend", "--flink", &url, "--poll", "1s", "-o", "json"])
                .output()
        }
    });
    let output = recommend.await??;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(
        (&said["name"], &said["summary"]["verdict"]),
        (&"orders".into(), &"Approved".into()),
        "{said}"
    );
    assert_eq!(said["summary"]["current"], json!([1, 1]), "{said}");
    assert!(bed.proxy.requests().iter().all(|(method, _)| method == "GET"), "{:?}", bed.proxy.requests());

    let mut daemon = bed.daemon()?;
    daemon.says("Flink was asked for another size").await?;
    let planned = said["summary"]["planned"].as_array().context("it would change something")?;
    let planned = planned.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    ensure!(daemon.said.contains(&format!("planned=[{planned}]")), "{planned}: {}", daemon.said);
    Ok(())
}

#[tokio::test]
async fn a_dry_run_changes_nothing() -> Result<()> {
    let bed = Bed::new().await?;
    let file = bed.folder.path().join("orders.yaml");
    // The same, said in the file and on the command line.
    let program = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["run", "--dry-run", "--no-journal", "--config"])
        .arg(&file)
        .arg("--state-dir")
        .arg(bed.state_dir())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut daemon = Daemon::new(program)?;
    daemon.says("Recommended").await?;
    daemon.stops().await?;
    assert!(bed.proxy.requests().iter().all(|(method, _)| method == "GET"), "{:?}", bed.proxy.requests());
    assert!(!bed.state_dir().join("journal").exists());
    Ok(())
}

#[tokio::test]
async fn carries_on_when_flink_is_back() -> Result<()> {
    let mut bed = Bed::new().await?;
    bed.proxy.set(Fault::Refuse).await?;
    let mut daemon = bed.daemon()?;
    daemon.says("connection refused").await?;
    // Nothing is said of the polls that follow.
    tokio::time::sleep(Duration::from_secs(3)).await;
    bed.proxy.set(Fault::None).await?;
    daemon.says("Flink answers again").await?;
    daemon.says("Flink was asked for another size").await?;
    bed.proxy.set(Fault::Status(503)).await?;
    daemon.says("nothing usable from Flink").await?;
    bed.proxy.set(Fault::None).await?;
    daemon.says("Flink answers again").await?;
    daemon.says(SETTLED).await?;
    let said = daemon.stops().await?;
    assert_eq!(said.matches("nothing usable from Flink").count(), 2, "{said}");
    assert_eq!(bed.changes(), 1, "{said}");
    bed.journal()?;
    Ok(())
}

#[tokio::test]
async fn finishes_what_it_has_begun_when_it_is_told_to_stop() -> Result<()> {
    let mut bed = Bed::new().await?;
    bed.proxy.set(SLOW).await?;
    let daemon = bed.daemon()?;
    bed.asked("PUT", "resource-requirements").await?;
    let said = daemon.stops().await?;
    assert!(said.contains("Flink was asked for another size"), "{said}");
    let journal = bed.journal()?;
    assert!(journal.lines().last().is_some_and(|line| line.contains("\"outcome\":\"Applied\"")), "{journal}");
    assert!(bed.state()?.ledger.attempt.is_some(), "what comes of it is still to be seen");
    Ok(())
}

#[tokio::test]
async fn killed_after_asking_it_does_not_ask_again() -> Result<()> {
    let mut bed = Bed::new().await?;
    bed.proxy.set(SLOW).await?;
    let daemon = bed.daemon()?;
    bed.asked("PUT", "resource-requirements").await?;
    daemon.signal("KILL")?;
    daemon.ends().await?;
    assert!(bed.state()?.ledger.attempt.is_some(), "written before it was done");

    bed.proxy.set(Fault::None).await?;
    let mut daemon = bed.daemon()?;
    daemon.says(SETTLED).await?;
    daemon.stops().await?;
    assert_eq!(bed.changes(), 1);
    let ledger = bed.state()?.ledger;
    assert_eq!(ledger.rescales.iter().map(|rescale| rescale.end).collect::<Vec<_>>(), [RescaleEnd::Done]);
    assert_eq!(ledger.attempt, None);
    bed.journal()?;
    Ok(())
}

/// A daemon that was killed after it had written down that it would ask, and before it did.
async fn killed_before_asking() -> Result<Bed> {
    let mut bed = Bed::new().await?;
    bed.proxy.set(SLOW).await?;
    let daemon = bed.daemon()?;
    // The last look before acting is the first that reads the requirements.
    bed.asked("GET", "resource-requirements").await?;
    daemon.signal("KILL")?;
    daemon.ends().await?;
    assert_eq!(bed.changes(), 0);
    bed.proxy.set(Fault::None).await?;
    Ok(bed)
}

/// How the rescales ended, after a daemon has said all this.
async fn ends(bed: &mut Bed, says: &[&str]) -> Result<Vec<RescaleEnd>> {
    let mut daemon = bed.daemon()?;
    for words in says {
        daemon.says(words).await?;
    }
    daemon.stops().await?;
    bed.journal()?;
    Ok(bed.state()?.ledger.rescales.iter().map(|rescale| rescale.end).collect())
}

#[tokio::test]
async fn killed_before_asking_it_asks_once_when_it_is_back() -> Result<()> {
    let mut bed = killed_before_asking().await?;
    assert_eq!(ends(&mut bed, &[SETTLED]).await?, [RescaleEnd::Done]);
    assert_eq!(bed.changes(), 1);
    Ok(())
}

#[tokio::test]
async fn killed_before_asking_and_back_late_it_decides_anew() -> Result<()> {
    let mut bed = killed_before_asking().await?;
    make_overdue(&bed.state_dir())?;
    let says = ["RolledBack", "Flink was asked for another size", SETTLED];
    assert_eq!(ends(&mut bed, &says).await?, [RescaleEnd::TimedOut, RescaleEnd::Done]);
    Ok(())
}

/// As if the five minutes had passed.
fn make_overdue(state_dir: &Path) -> Result<()> {
    let store = Store::open(state_dir)?;
    let mut state = store.load("orders")?.context("there is a state")?;
    let attempt = state.ledger.attempt.as_mut().context("a rescale is under way")?;
    (attempt.at, attempt.deadline) = (Timestamp::from_millis(0), Timestamp::from_millis(0));
    store.stage("orders", &state)?;
    Ok(store.commit()?)
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_used_is_no_fresh_start() -> Result<()> {
    let bed = Bed::new().await?;
    let mut first = bed.daemon()?;
    first.says("started").await?;

    let (code, said) = bed.daemon()?.ends().await?;
    let expected = format!("is in use by process {}: stop it, or name another", first.child.id());
    assert!(code == Some(2) && said.contains(&expected), "{code:?} {said}");

    first.stops().await?;
    let file = bed.state_dir().join("state.redb");
    let whole = fs::read(&file)?;
    fs::write(&file, &whole[..whole.len() / 2])?;
    let (code, said) = bed.daemon()?.ends().await?;
    assert_eq!((code, said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("state.redb is half written or damaged: put a copy of it back"), "{said}");

    fs::write(&file, &whole)?;
    bed.daemon()?.says("started").await
}
