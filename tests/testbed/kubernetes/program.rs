//! The programs that `tests/testbed/node/build` compiles.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// The path of a program (`helm`, `kustomize`, `kubectl`), compiled first unless it is there already.
pub fn program(name: &str) -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testbed/node/build");
    // What it has to say about minutes of compiling goes to our standard error.
    let run = Command::new(&script)
        .arg(name)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {}", script.display()))?;
    ensure!(
        run.status.success(),
        "tests/testbed/node/build {name} failed; its reason is on standard error above"
    );
    Ok(Path::new(String::from_utf8(run.stdout)?.trim_end()).join(name))
}
