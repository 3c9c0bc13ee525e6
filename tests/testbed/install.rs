//! Where the jars of a Flink version and of our jobs are, after `tests/testbed/install` has put them there.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// A Flink version in the cache folder.
pub struct Installed {
    /// The full version, as `2.3.0`.
    pub version: String,
    /// The folder that holds `lib/` and `plugins/`.
    pub home: PathBuf,
    /// Our jobs, compiled against it.
    pub jobs: PathBuf,
}

impl Installed {
    /// Flink's jars, in the order in which their classes were archived.
    pub fn class_path(&self) -> Result<String> {
        let mut jars = std::fs::read_dir(self.home.join("lib"))?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<_>>>()?;
        jars.retain(|jar| jar.extension().is_some_and(|end| end == "jar"));
        jars.sort();
        Ok(jars.iter().map(|jar| jar.display().to_string()).collect::<Vec<_>>().join(":"))
    }
}

/// Installs a version, named by its line (`2.3`) or in full, unless it is there already.
pub fn install(version: &str) -> Result<Installed> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testbed/install");
    let run = Command::new(&script)
        .arg(version)
        .output()
        .with_context(|| format!("cannot run {}", script.display()))?;
    if !run.status.success() {
        bail!("tests/testbed/install {version} failed:\n{}", String::from_utf8_lossy(&run.stderr));
    }
    let line = String::from_utf8(run.stdout)?;
    let mut parts = line.trim_end().split('\t');
    let mut part = || parts.next().with_context(|| format!("tests/testbed/install printed {line:?}"));
    Ok(Installed { version: part()?.to_owned(), home: part()?.into(), jobs: part()?.into() })
}
