//! A server process that ends with the value that holds it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

/// A running process, started through `tests/testbed/guard`, which kills it as soon as our end of its standard input
/// is closed: by [`Process::kill`], by dropping this, or by the death of the test's own process.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it prints goes to `NAME.out` in the folder, its own log is expected in `NAME.log`.
    pub fn start(name: &str, folder: &Path, command: &[impl AsRef<OsStr>]) -> Result<Self> {
        let guard = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testbed/guard");
        let out = File::create(folder.join(format!("{name}.out")))?;
        let child = Command::new(guard)
            .args(command)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log: folder.join(format!("{name}.log")) })
    }

    /// Fails with the end of its log when the process is gone.
    pub fn check_alive(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait()? else { return Ok(()) };
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let out = fs::read_to_string(self.log.with_extension("out")).unwrap_or_default();
        let lines: Vec<&str> = out.lines().chain(log.lines()).collect();
        let tail = lines[lines.len().saturating_sub(25)..].join("\n");
        bail!("{} ended ({status}):\n{tail}", self.name)
    }

    /// Lets go of the process, so that the guard kills it, without waiting for it to be gone.
    pub fn release(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Kills the process, as `SIGKILL` does, and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.release();
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.release();
        // Nothing is left to do about a child that cannot be waited for.
        self.child.wait().ok();
    }
}
