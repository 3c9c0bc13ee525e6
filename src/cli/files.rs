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
    let files = sources(paths)?;
    load(&files, &library(policy_dir)?).or_exit(Exit::Usage)
}

/// The built-in policies, and before them those of a directory.
pub(super) fn library(policy_dir: Option<&Path>) -> Result<Library, Failure> {
    Ok(match policy_dir {
        Some(dir) => Library::with_files(directory(dir)?),
        None => Library::built_in(),
    })
}

/// Reads these files, and the files of these directories.
pub(super) fn sources(paths: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() { files.extend(directory(path)?) } else { files.push(source(path)?) }
    }
    Ok(files)
}

/// Reads a policy: the name of a built-in one, or a file.
pub(super) fn policy(name: &str) -> Result<PolicySpec, Failure> {
    let file = match builtin::get(name) {
        Some(policy) => Source::new(policy.name, policy.text),
        None => source_or(
            Path::new(name),
            "policy",
            &builtin::list().iter().map(|policy| policy.name).collect::<Vec<_>>(),
        )?,
    };
    Ok(load_policy(&file).or_exit(Exit::Usage)?.spec)
}

/// Reads a file.
pub(super) fn source(path: &Path) -> Result<Source, Failure> {
    let name = path.display().to_string();
    let bytes = fs::read(path).with_context(|| cannot_read(path)).or_exit(Exit::Usage)?;
    Source::from_bytes(name, bytes).or_exit(Exit::Usage)
}

/// Reads a file whose name is not one of the built-in ones.
pub(super) fn source_or(path: &Path, noun: &str, built_in: &[&str]) -> Result<Source, Failure> {
    source(path).map_err(|Failure { exit, error }| {
        let name = path.display();
        let error = error.context(format!("{noun} {name:?} is no built-in one ({})", built_in.join(", ")));
        Failure { exit, error }
    })
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::{Duration, Instant};

    use super::super::exit::lines;
    use super::*;

    const JOB: &str = "apiVersion: tidegate.dev/v1alpha1\nkind: FlinkAutoscaler\nmetadata: {name: NAME}\n\
                       spec:\n  flink: {url: 'http://x', job: NAME}\n";

    fn said<T>(result: Result<T, Failure>) -> (Exit, Vec<String>) {
        let failure = result.err().expect("it is wrong");
        (failure.exit, lines(failure.error.as_ref()))
    }

    #[test]
    fn reads_files_and_all_files_of_a_directory() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let at = |name: &str| dir.path().join(name);
        for (name, text) in [("b.yml", JOB.replace("NAME", "b")), ("a.yaml", JOB.replace("NAME", "a"))] {
            fs::write(at(name), text)?;
        }
        fs::write(at("README.md"), "no configuration")?;
        let names = |paths: &[PathBuf]| {
            let config = config(paths, None).map_err(|failure| failure.error.to_string());
            config.map(|config| config.autoscalers.into_iter().map(|one| one.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[dir.path().to_owned()]), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(names(&[at("b.yml"), at("a.yaml")]), Ok(vec!["b".to_owned(), "a".to_owned()]));
        Ok(())
    }

    #[test]
    fn a_policy_is_a_name_or_a_file() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("own.yaml");
        fs::write(&path, builtin::list()[0].text.replace("cooldown: 2m", "cooldown: 9m"))?;
        let cooldown =
            |name: &str| policy(name).map(|spec| spec.limits.cooldown.to_string()).map_err(|f| f.exit);
        assert_eq!(cooldown("throughput"), Ok("2m".to_owned()));
        assert_eq!(cooldown(&path.display().to_string()), Ok("9m".to_owned()));
        assert_eq!(cooldown("troughput"), Err(Exit::Usage));
        Ok(())
    }

    #[test]
    fn says_which_file_cannot_be_read() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let name = dir.path().display();
        let gone = dir.path().join("gone.yaml");
        let of = |path: &Path| said(config(&[path.to_owned()], None));
        assert_eq!(
            of(&gone),
            (
                Exit::Usage,
                vec![format!("cannot read {name}/gone.yaml: No such file or directory (os error 2)")]
            )
        );
        assert_eq!(
            of(dir.path()),
            (Exit::Usage, vec![format!("{name}: no file in it ends in .yaml, .yml or .json")])
        );
        fs::write(&gone, b"a: \xff")?;
        assert_eq!(
            of(&gone),
            (Exit::Usage, vec![format!("{name}/gone.yaml:1:4: not UTF-8; save the file as UTF-8 text")])
        );
        Ok(())
    }

    #[test]
    fn two_hundred_lines_are_checked_at_once() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let text: String = (0..40).map(|n| JOB.replace("NAME", &format!("job-{n}")) + "---\n").collect();
        let path = dir.path().join("jobs.yaml");
        fs::write(&path, text)?;
        let time = || {
            #[expect(clippy::disallowed_methods, reason = "what is measured is the time")]
            let start = Instant::now();
            let config = config(std::slice::from_ref(&path), None);
            assert_eq!(config.map(|config| config.autoscalers.len()).ok(), Some(40));
            start.elapsed()
        };
        // The best of several: what else the machine does is not measured. The bound is for an optimised build.
        let most = Duration::from_millis(if cfg!(debug_assertions) { 200 } else { 20 });
        let best = (0..10).map(|_| time()).min().unwrap_or_default();
        assert!(best < most, "{best:?}");
        Ok(())
    }
}
