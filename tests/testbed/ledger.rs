//! What a job has written down by Flink's own two phases, and whether that is each record once.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::{Job, Topic, until};

const PATIENCE: Duration = Duration::from_mins(2);

/// Bytes of a record: its key, its number, and how many of its key were counted with it.
const RECORD: usize = 4 + 8 + 8;

/// What is to go wrong at the end of a job.
#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    /// A record costs 20 ms.
    Slow,
    /// A subtask that comes to its end fails.
    Unable,
}

impl Trouble {
    fn file(self) -> &'static str {
        match self {
            Self::Slow => ".slow",
            Self::Unable => ".unable",
        }
    }
}

/// The folder into which one job writes, over all of its runs.
pub struct Ledger {
    folder: PathBuf,
    /// Where it is its own.
    _temporary: Option<TempDir>,
}

impl Ledger {
    /// An empty one.
    pub fn new() -> Result<Self> {
        let temporary = tempfile::Builder::new().prefix("ledger-").tempdir()?;
        let ledger = Self::within(temporary.path())?;
        Ok(Self { _temporary: Some(temporary), ..ledger })
    }

    /// An empty one in a folder that others share, whatever user they run as.
    pub fn within(folder: &Path) -> Result<Self> {
        let folder = folder.join("ledger");
        fs::create_dir(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777))?;
        Ok(Self { folder, _temporary: None })
    }

    /// The job that writes there, and takes a checkpoint each second.
    pub fn of(&self, job: Job) -> Job {
        job.with("sink.ledger", &self.folder.to_string_lossy()).with("checkpoint-millis", "1000")
    }

    /// From now on this goes wrong.
    pub fn begin(&self, trouble: Trouble) -> Result<()> {
        Ok(fs::write(self.path(trouble), "")?)
    }

    /// And from now on it does not.
    pub fn end(&self, trouble: Trouble) -> Result<()> {
        Ok(fs::remove_file(self.path(trouble))?)
    }

    fn path(&self, trouble: Trouble) -> PathBuf {
        self.folder.join(trouble.file())
    }

    /// Key, count of the key, and number of each record that is seen.
    fn records(&self) -> Result<Vec<(u32, u64, u64)>> {
        let mut records = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let bytes = fs::read(entry.path())?;
            ensure!(bytes.len() % RECORD == 0, "{}: {} bytes", entry.path().display(), bytes.len());
            for record in bytes.chunks_exact(RECORD) {
                let (key, rest) = record.split_first_chunk().context("a key")?;
                let (number, rest) = rest.split_first_chunk().context("a number")?;
                let seen = rest.first_chunk().context("a count")?;
                records.push((
                    u32::from_be_bytes(*key),
                    u64::from_be_bytes(*seen),
                    u64::from_be_bytes(*number),
                ));
            }
        }
        Ok(records)
    }

    /// Nothing comes any more: all that was produced is written down and counted by its key, nothing twice.
    pub async fn is_exact(&self, topic: &Topic) -> Result<()> {
        topic.set_rate(0.0)?;
        until("each record to be written down once", PATIENCE, async || {
            let (produced, mut records) = (topic.produced()?, self.records()?);
            // Whether the last fraction of a record is one depends on rounding.
            ensure!(records.len() as f64 > produced - 1.5, "{} of {produced}", records.len());
            records.sort_unstable();
            let mut last = (0, 0);
            for &(key, seen, number) in &records {
                let expected = if key == last.0 { last.1 + 1 } else { 1 };
                ensure!(
                    seen == expected,
                    "record {number} is the {seen}th of its key, after the {}th",
                    expected - 1
                );
                last = (key, seen);
            }
            let mut numbers: Vec<u64> = records.iter().map(|(.., number)| *number).collect();
            numbers.sort_unstable();
            let wrong = numbers.iter().zip(0..).find(|(number, expected)| *number != expected);
            ensure!(wrong.is_none(), "of {}: {wrong:?} (there, expected)", numbers.len());
            Ok(())
        })
        .await
    }
}
