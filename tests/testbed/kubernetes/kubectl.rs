//! The real kubectl.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// kubectl as one user of one cluster.
#[derive(Clone, Debug)]
pub(super) struct Kubectl {
    /// The folder that holds it; on `PATH` when empty.
    pub(super) programs: PathBuf,
    pub(super) kubeconfig: PathBuf,
}

/// What kubectl says when it was not connected within its ten seconds, so that nothing was asked. A machine whose cores are all
/// taken by starting pods is so slow.
const NOT_CONNECTED: &str = "TLS handshake timeout";

/// How often it is tried.
const TRIES: u32 = 6;

impl Kubectl {
    /// Runs it and returns what it printed; its complaint is the error.
    pub(super) fn run(&self, arguments: &[&str], input: &str) -> Result<String> {
        for _ in 1..TRIES {
            match self.run_once(arguments, input) {
                Err(error) if error.to_string().contains(NOT_CONNECTED) => {}
                done => return done,
            }
        }
        self.run_once(arguments, input)
    }

    fn run_once(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut child = Command::new(self.program())
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run kubectl")?;
        let mut stdin = child.stdin.take().context("standard input is a pipe")?;
        // What was refused early need not be read to its end: kubectl's own words say why.
        stdin.write_all(input.as_bytes()).ok();
        drop(stdin);
        let run = child.wait_with_output()?;
        if !run.status.success() {
            bail!("kubectl {}: {}", arguments.join(" "), String::from_utf8_lossy(&run.stderr).trim_end());
        }
        Ok(String::from_utf8(run.stdout)?)
    }

    /// The same without blocking the test's other tasks.
    pub(super) async fn run_aside(&self, arguments: &[&str], input: &str) -> Result<String> {
        let (kubectl, input) = (self.clone(), input.to_owned());
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let run = move || kubectl.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &input);
        tokio::task::spawn_blocking(run).await?
    }

    fn program(&self) -> PathBuf {
        if self.programs.as_os_str().is_empty() {
            return Path::new("kubectl").to_owned();
        }
        self.programs.join("kubectl")
    }
}
