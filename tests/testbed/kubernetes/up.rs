//! The script that starts a Kubernetes and holds it while we hold its standard input.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};

/// A running `tests/testbed/node/up`.
pub(super) struct Up {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Up {
    /// Starts it, building first what is missing (which is shown, as it takes minutes), and returns it with what it says
    /// of itself once all is ready.
    pub(super) fn start(what: &str) -> Result<(Self, BTreeMap<String, String>)> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testbed/node/up");
        let mut child = Command::new(&script)
            .arg(what)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", script.display()))?;
        let answers = BufReader::new(child.stdout.take().context("standard output is a pipe")?);
        let mut up = Self { commands: child.stdin.take(), answers, child };
        let said = up.until("ready")?;
        Ok((up, said))
    }

    /// Gives it a command and waits for the answer.
    pub(super) fn command(&mut self, command: &str, answer: &str) -> Result<()> {
        let commands = self.commands.as_mut().context("standard input is a pipe")?;
        writeln!(commands, "{command}")?;
        self.until(answer)?;
        Ok(())
    }

    /// Reads lines `KEY <tab> VALUE` up to the one that is awaited.
    fn until(&mut self, last: &str) -> Result<BTreeMap<String, String>> {
        let mut said = BTreeMap::new();
        for line in (&mut self.answers).lines() {
            let line = line?;
            if line == last {
                return Ok(said);
            }
            let (key, value) =
                line.split_once('\t').with_context(|| format!("tests/testbed/node/up printed {line:?}"))?;
            said.insert(key.to_owned(), value.to_owned());
        }
        bail!("tests/testbed/node/up ended before it said {last:?}; its reason is on standard error above")
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        drop(self.commands.take());
        // Nothing is left to do about a child that cannot be waited for.
        self.child.wait().ok();
    }
}
