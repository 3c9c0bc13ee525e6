//! What a job's source reads: records that come into being by the wall clock.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

/// Sources look at the file every 100 ms. A change is written down earlier than that, so that none of them goes on at
/// the old rate for a while and reads records that never came into being.
const NOTICE: Duration = Duration::from_millis(200);

/// A topic and the file that tells its sources the rate of its records. It is empty until a first rate is set.
pub struct Topic {
    file: PathBuf,
    rates: Mutex<Vec<(Duration, f64)>>,
}

impl Topic {
    /// A new topic in a folder.
    pub fn create(folder: &Path, name: &str) -> Result<Self> {
        let file = folder.join(format!("{name}.topic"));
        OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(&file)
            .with_context(|| format!("topic {name}"))?;
        Ok(Self { file, rates: Mutex::new(Vec::new()) })
    }

    /// The file with the rates: a line `EPOCH_MILLIS RECORDS_PER_SECOND` for each change.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// So many records come into being per second, over all partitions, from the moment that it returns, which is
    /// [`NOTICE`] from now.
    pub fn set_rate(&self, per_second: f64) -> Result<SystemTime> {
        let from = SystemTime::now() + NOTICE;
        self.set_rate_at(from, per_second)?;
        Ok(from)
    }

    /// From that moment on; it may lie in the future, so that a whole course can be written down at once. Moments must
    /// not go back.
    pub fn set_rate_at(&self, at: SystemTime, per_second: f64) -> Result<()> {
        // The file counts in milliseconds, so the truth does too.
        let millis = at.duration_since(UNIX_EPOCH)?.as_millis();
        let at = Duration::from_millis(millis.try_into()?);
        let mut rates = self.rates.lock().expect("no test panics while it holds the lock");
        // One write, so that a reader sees the whole line or none of it.
        let mut file = OpenOptions::new().append(true).open(&self.file)?;
        file.write_all(format!("{millis} {per_second}\n").as_bytes())?;
        rates.push((at, per_second));
        Ok(())
    }

    /// How many records there are by now: what the sources must have read and still hold pending, together.
    pub fn produced(&self) -> Result<f64> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let rates = self.rates.lock().expect("no test panics while it holds the lock");
        let ends = rates.iter().skip(1).map(|(at, _)| *at).chain([now]);
        Ok(rates
            .iter()
            .zip(ends)
            .map(|((at, rate), end)| end.min(now).saturating_sub(*at).as_secs_f64() * rate)
            .sum())
    }

    /// How many records the sources have read, each once: by what they have written down.
    pub fn read(&self) -> Result<u64> {
        let read =
            std::fs::read(self.file.with_added_extension("read")).context("no source has read it yet")?;
        let offsets = read.chunks_exact(8).map(|bytes| bytes.try_into().map(u64::from_be_bytes));
        Ok(offsets.sum::<Result<u64, _>>()?)
    }

    /// How many records wait to be read, by what the sources have written down and without asking Flink.
    pub fn waiting(&self) -> Result<f64> {
        let read = self.read()?;
        Ok((self.produced()? - read as f64).max(0.0))
    }
}
