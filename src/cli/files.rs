//! Files that commands are given: configurations, policies, journals.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use super::exit::{Exit, Failure, OrExit as _};
use crate::config::{Config, Library, Source, builtin, load, load_policy};
use crate::policy::PolicySpec;

/// Endings of the files of a directory that are read.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Reads the configuration in these files, and in the files of these directories.
pub(super) fn config(paths: &[PathBuf], policy_dir: Option<&Path>) -> Result<Config, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() { files.extend(directory(path)?) } else { files.push(source(path)?) }
    }
    let library = match policy_dir {
        Some(dir) => Library::with_files(directory(dir)?),
        None => Library::built_in(),
    };
    load(&files, &library).or_exit(Exit::Usage)
}

/// Reads a policy: the name of a built-in one, or a file.
pub(super) fn policy(name: &str) -> Result<PolicySpec, Failure> {
    let file = if let Some(policy) = builtin::get(name) {
        Source::new(policy.name, policy.text)
    } else {
        let names: Vec<&str> = builtin::list().iter().map(|policy| policy.name).collect();
        let bytes = fs::read(name).with_context(|| {
            format!("policy {name}: no built-in one ({}), and no file that can be read", names.join(", "))
        });
        Source::from_bytes(name, bytes.or_exit(Exit::Usage)?).or_exit(Exit::Usage)?
    };
    Ok(load_policy(&file).or_exit(Exit::Usage)?.spec)
}

/// Reads a file.
pub(super) fn source(path: &Path) -> Result<Source, Failure> {
    let name = path.display().to_string();
    let bytes = fs::read(path).with_context(|| cannot_read(path)).or_exit(Exit::Usage)?;
    Source::from_bytes(name, bytes).or_exit(Exit::Usage)
}

/// Reads the files of a directory, in the order of their names.
fn directory(dir: &Path) -> Result<Vec<Source>, Failure> {
    let entries = fs::read_dir(dir).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.with_context(|| cannot_read(dir)).or_exit(Exit::Usage)?;
    let is_wanted = |path: &PathBuf| {
        path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| ENDINGS.contains(&ending))
    };
    let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).filter(is_wanted).collect();
    if paths.is_empty() {
        return Err(anyhow!("{}: no file in it ends in .yaml, .yml or .json", dir.display()))
            .or_exit(Exit::Usage);
    }
    paths.sort();
    paths.iter().map(|path| source(path)).collect()
}

/// Opens a journal for reading.
pub(super) fn journal(path: &Path) -> Result<BufReader<File>, Failure> {
    File::open(path).map(BufReader::new).with_context(|| cannot_read(path)).or_exit(Exit::Usage)
}

fn cannot_read(path: &Path) -> String {
    format!("cannot read {}", path.display())
}
