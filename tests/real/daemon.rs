//! `tidegate run` as a user starts it: a configuration file, a state directory, a journal; and what the journal says.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::testbed::{free_port, until};

/// A running daemon with one autoscaler; dropping it ends it.
pub struct Daemon {
    child: Child,
    folder: TempDir,
    port: Option<u16>,
}

/// What is set for a test; times are short, so that tests are.
pub struct Settings {
    /// Lines of the autoscaler's `spec` besides its `flink`.
    pub spec: String,
    /// Seconds of the scale-down window.
    pub window: u32,
    /// The poll interval.
    pub poll: &'static str,
    /// The cooldown between rescales.
    pub cooldown: &'static str,
    /// The policy's rules, in YAML on one line.
    pub rules: String,
    /// Its behavior for scaling up, and for scaling down besides the window, in YAML on one line.
    pub behavior: (&'static str, &'static str),
    /// Whether it answers for itself over HTTP.
    pub listens: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            spec: String::new(),
            window: 30,
            poll: "2s",
            cooldown: "10s",
            rules: "{throughput: {}}".to_owned(),
            behavior: ("", ""),
            listens: false,
        }
    }
}

/// A rescale that was asked of Flink.
#[derive(Clone, Debug)]
pub struct Asked {
    /// When.
    pub at: SystemTime,
    /// The sizes asked for, by vertex name, where they change.
    pub to: Vec<(String, u64)>,
}

impl Daemon {
    /// Starts `tidegate run` on the job of this name.
    pub fn start(url: &str, job: &str, settings: &Settings) -> Result<Self> {
        let mut folder = tempfile::Builder::new().prefix("tidegate-").tempdir()?;
        folder.disable_cleanup(std::env::var_os("TIDEGATE_KEEP").is_some());
        fs::write(folder.path().join("tidegate.yaml"), config(url, job, settings))?;
        let port = settings.listens.then(free_port).transpose()?;
        let child = spawn(&folder, port)?;
        Ok(Self { child, folder, port })
    }

    /// Kills it as a crash would, and starts it again on the same state.
    pub fn crash_and_restart(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.child = spawn(&self.folder, self.port)?;
        Ok(())
    }

    /// Where it answers for itself.
    pub fn url(&self) -> Option<String> {
        self.port.map(|port| format!("http://127.0.0.1:{port}"))
    }

    /// Whether it still runs.
    pub fn check_alive(&mut self) -> Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(ended.is_none(), "the daemon ended: {}", self.log());
        Ok(())
    }

    /// What it said on stderr.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The cycles of its journal so far.
    pub fn cycles(&self) -> Result<Vec<Value>> {
        let mut files: Vec<PathBuf> = match fs::read_dir(self.folder.path().join("journal")) {
            Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?,
            Err(_) => return Ok(Vec::new()),
        };
        files.sort();
        let mut cycles = Vec::new();
        for file in files {
            let text = fs::read_to_string(&file)?;
            // The last line may be half written at this moment.
            let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            for line in lines {
                let line: Value = serde_json::from_str(line).with_context(|| file.display().to_string())?;
                if line.get("decision").is_some() {
                    cycles.push(line);
                }
            }
        }
        Ok(cycles)
    }

    /// The rescales that it asked Flink for.
    pub fn asked(&self) -> Result<Vec<Asked>> {
        let cycles = self.cycles()?;
        cycles.iter().filter(|cycle| cycle["outcome"]["outcome"] == "Applied").map(asked).collect()
    }

    /// Waits until it has asked for so many rescales in all, and returns the last.
    pub async fn asks(&self, nth: usize, within: Duration) -> Result<Asked> {
        until(&format!("rescale {nth}"), within, async || {
            let asked = self.asked()?;
            ensure!(asked.len() <= nth, "{} rescales, of {nth}: {asked:?}", asked.len());
            asked.get(nth - 1).cloned().with_context(|| self.last_cycles(2))
        })
        .await
    }

    /// Waits for so many more cycles with this outcome, one after the other or not.
    pub async fn cycles_with(&self, outcome: &str, more: usize, within: Duration) -> Result<()> {
        let what = format!("cycles that end in {outcome}");
        self.cycles_that(&what, |cycle| cycle["outcome"]["outcome"] == outcome, more, within).await
    }

    /// Waits for so many more cycles that are as they are to be.
    pub async fn cycles_that(
        &self,
        what: &str,
        are: impl Fn(&Value) -> bool,
        more: usize,
        within: Duration,
    ) -> Result<()> {
        let count = || -> Result<usize> { Ok(self.cycles()?.iter().filter(|cycle| are(cycle)).count()) };
        let before = count()?;
        until(&format!("{more} {what}"), within, async || {
            let now = count()?;
            ensure!(now >= before + more, "{} of {more}; {}", now - before, self.last_cycles(1));
            Ok(())
        })
        .await
    }

    /// The last cycles for a failure's text.
    pub fn last_cycles(&self, count: usize) -> String {
        let cycles = self.cycles().unwrap_or_default();
        let last = &cycles[cycles.len().saturating_sub(count)..];
        let lines: Vec<String> = last
            .iter()
            .map(|cycle| {
                let decision = &cycle["decision"];
                format!("{}: {} {}", cycle["at"], cycle["outcome"], decision["holds"])
            })
            .collect();
        format!("{} cycles, the last: {}\n{}", cycles.len(), lines.join("; "), self.log())
    }

    /// Asks it to stop, as Kubernetes does, and waits for its good end.
    pub fn stop(mut self) -> Result<()> {
        let pid = self.child.id().to_string();
        ensure!(Command::new("kill").args(["-TERM", &pid]).status()?.success(), "cannot signal {pid}");
        let status = self.child.wait()?;
        ensure!(status.success(), "it ended with {status}: {}", self.log());
        Ok(())
    }

    /// Decides again from its journal, and finds no difference.
    pub fn replays(&self) -> Result<()> {
        let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .arg("replay")
            .args(
                fs::read_dir(self.folder.path().join("journal"))?
                    .map(|e| e.map(|e| e.path()))
                    .collect::<Result<Vec<_>, _>>()?,
            )
            .output()?;
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the journal replays differently: {said}");
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn asked(cycle: &Value) -> Result<Asked> {
    let changes = cycle["decision"]["plan"]["changes"].as_array().context("an applied cycle has a plan")?;
    let other_size = changes.iter().filter(|change| change["from"] != change["to"]);
    let to = other_size
        .map(|change| Some((change["name"].as_str()?.to_owned(), change["to"].as_u64()?)))
        .collect::<Option<_>>()
        .context("a change has a name and a size")?;
    // When Flink had answered the request.
    let ended = cycle["ended"].as_str().context("an applied cycle has ended")?;
    let ended: tidegate::model::Timestamp = ended.parse().context("a moment")?;
    let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(ended.as_millis())?);
    Ok(Asked { at, to })
}

fn spawn(folder: &TempDir, port: Option<u16>) -> Result<Child> {
    let log = fs::OpenOptions::new().create(true).append(true).open(folder.path().join("log"))?;
    Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("run")
        .arg("--config")
        .arg(folder.path().join("tidegate.yaml"))
        .arg("--state-dir")
        .arg(folder.path().join("state"))
        .arg("--journal-dir")
        .arg(folder.path().join("journal"))
        .args(port.map(|port| format!("--listen=127.0.0.1:{port}")))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start the daemon")
}

fn config(url: &str, job: &str, settings: &Settings) -> String {
    let Settings { spec, window, poll, cooldown, rules, behavior: (up, down), listens: _ } = settings;
    format!(
        "\
apiVersion: tidegate.dev/v1alpha1
kind: FlinkAutoscaler
metadata: {{name: test}}
spec:
  flink: {{url: \"{url}\", job: \"{job}\", poll: {poll}}}
  policyRef: {{name: short}}
{spec}
---
apiVersion: tidegate.dev/v1alpha1
kind: ScalingPolicy
metadata: {{name: short}}
spec:
  rules: [{rules}]
  behavior: {{scaleUp: {{{up}}}, scaleDown: {{stabilizationWindowSeconds: {window}, {down}}}}}
  limits: {{cooldown: {cooldown}, rescales: {{max: 100, per: 1h}}}}
"
    )
}
