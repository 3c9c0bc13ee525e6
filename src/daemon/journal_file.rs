//! One autoscaler's journal on the disk: `NAME.jsonl`, and the files before it as `NAME.jsonl.1`, `.2` and so on.
//!
//! Comes in: cycles. Goes out: lines, each with one write, so that they survive the end of the process at once; they are
//! forced to the disk when a file is complete and when [`JournalFile::sync`] asks for it (the daemon does after each
//! rescale). The journal is a record and not the state: when it cannot be written the error is returned, and the next line
//! that can be written is a header, from which a reader takes up again.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::model::Timestamp;
use crate::policy::Policy;
use crate::record::State;
use crate::record::journal::{Cycle, Header, Reader, Writer};

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// A file that has grown past this is complete. A cycle of ten vertices is about 5 kB: 64 MiB hold most of a day.
    pub bytes: u64,
    /// Complete files that are kept beside the one that is written.
    pub files: u32,
}

impl Default for Keep {
    fn default() -> Self {
        Self { bytes: 64 << 20, files: 4 }
    }
}

/// The journal of one autoscaler.
#[derive(Debug)]
pub struct JournalFile {
    path: PathBuf,
    autoscaler: String,
    keep: Keep,
    writer: Writer,
    /// `None` after a write that failed: what is on the disk is not known, and the file is opened anew.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    bytes: u64,
}

/// The path of an autoscaler's journal. What cannot be in the name of a file becomes `_`.
pub fn path(dir: &Path, autoscaler: &str) -> PathBuf {
    let plain = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    let name: String = autoscaler.chars().map(plain).collect();
    dir.join(format!("{name}.jsonl"))
}

/// The path of the file that was complete `age` files ago.
pub fn older(path: &Path, age: u32) -> PathBuf {
    let mut older = path.as_os_str().to_owned();
    older.push(format!(".{age}"));
    older.into()
}

impl JournalFile {
    /// A journal in `dir`; nothing is opened before the first [`begin`](Self::begin).
    pub fn new(dir: &Path, autoscaler: &str, keep: Keep) -> Self {
        Self {
            path: path(dir, autoscaler),
            autoscaler: autoscaler.to_owned(),
            keep,
            writer: Writer::default(),
            open: None,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file and says where the state stands: before the first cycle.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(&mut self, at: Timestamp, policy: &Policy, state: &State) -> io::Result<()> {
        let header = self.writer.header(&Header::new(at, &self.autoscaler, policy, state))?;
        let mut open = Open::at(&self.path, self.keep)?;
        open.write(&header)?;
        self.open = Some(open);
        Ok(())
    }

    /// Adds a cycle; `after` is the state after it. Where the last write failed a header takes the cycle's place.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append(&mut self, cycle: &Cycle<'_>, policy: &Policy, after: &State) -> io::Result<()> {
        let Some(mut open) = self.open.take() else { return self.begin(cycle.at, policy, after) };
        let line = self.writer.cycle(cycle)?;
        open.write(&line)?;
        if open.bytes < self.keep.bytes {
            self.open = Some(open);
            return Ok(());
        }
        open.file.sync_data()?;
        rotate(&self.path, self.keep)?;
        self.begin(cycle.at, policy, after)
    }

    /// Forces what was written to the disk.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn sync(&mut self) -> io::Result<()> {
        self.open.as_ref().map_or(Ok(()), |open| open.file.sync_data())
    }
}

impl Open {
    fn at(path: &Path, keep: Keep) -> io::Result<Self> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        if is_foreign(path)? {
            rotate(path, keep)?;
        }
        let mut file = File::options().read(true).append(true).create(true).open(path)?;
        let (bytes, whole) = (file.seek(SeekFrom::End(0))?, end_of_last_line(&mut file)?);
        if whole < bytes {
            // A process was stopped in the middle of its last line; what follows must not be glued to it.
            file.set_len(whole)?;
        }
        Ok(Self { file, bytes: whole })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(line) {
            // Best effort: when this fails too, the next opening cuts the rest of the line off.
            let _ = self.file.set_len(self.bytes);
            return Err(error);
        }
        self.bytes += line.len() as u64;
        Ok(())
    }
}

/// Whether a file is there whose first line this Tidegate cannot read: it is put aside, not added to.
fn is_foreign(path: &Path) -> io::Result<bool> {
    let mut input = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(!input.fill_buf()?.is_empty() && Reader::new(input).next_entry().is_err())
}

/// Where the last whole line ends: the position after the last line feed.
fn end_of_last_line(file: &mut File) -> io::Result<u64> {
    let mut buffer = vec![0; 64 << 10];
    let mut end = file.seek(SeekFrom::End(0))?;
    while end > 0 {
        let start = end.saturating_sub(buffer.len() as u64);
        let chunk = &mut buffer[..usize::try_from(end - start).unwrap_or(0)];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(chunk)?;
        if let Some(feed) = chunk.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + feed as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Makes room for a new file: every file gets one older, and the oldest goes.
fn rotate(path: &Path, keep: Keep) -> io::Result<()> {
    let moved = |result: io::Result<()>| match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    if keep.files == 0 {
        return moved(fs::remove_file(path));
    }
    for age in (1..keep.files).rev() {
        moved(fs::rename(older(path, age), older(path, age + 1)))?;
    }
    moved(fs::rename(path, older(path, 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Missed, MissedWhy, Observation};
    use crate::record::Outcome;
    use crate::record::journal::replay;

    /// A daemon in little: decides on polls that failed, and writes them down.
    struct Diary {
        journal: JournalFile,
        policy: Policy,
        state: State,
        second: i64,
    }

    impl Diary {
        fn new(dir: &Path, keep: Keep) -> Self {
            let journal = JournalFile::new(dir, "streams/orders", keep);
            Self { journal, policy: Policy::default(), state: State::default(), second: 0 }
        }

        fn begin(&mut self) -> io::Result<()> {
            self.journal.begin(Timestamp::from_millis(self.second * 1000), &self.policy, &self.state)
        }

        fn cycle(&mut self) -> io::Result<()> {
            self.second += 5;
            let at = Timestamp::from_millis(self.second * 1000);
            let observation =
                Observation::Missed(Missed { at, why: MissedWhy::Unreachable, detail: "refused".to_owned() });
            let decision = self.state.cycle(&observation, &self.policy, at);
            let cycle = Cycle {
                at,
                observation: &observation,
                stepped: None,
                decision: &decision,
                begun: None,
                outcome: &Outcome::Unobserved,
                ended: None,
            };
            self.journal.append(&cycle, &self.policy, &self.state)
        }
    }

    /// Cycles in a file that replays without a difference.
    fn cycles(path: &Path) -> u64 {
        let file = BufReader::new(File::open(path).expect("the file is there"));
        let replay = replay(file).expect("the file is readable");
        assert_eq!((replay.cut_off, replay.differences), (false, Vec::new()), "{}", path.display());
        replay.cycles
    }

    #[test]
    fn rotates_by_size_and_keeps_so_many() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut diary = Diary::new(dir.path(), Keep { bytes: 1, files: 2 });
        diary.begin().expect("writable");
        for _ in 0..5 {
            diary.cycle().expect("writable");
        }
        let path = dir.path().join("streams_orders.jsonl");
        assert_eq!([&path, &older(&path, 1), &older(&path, 2)].map(|path| cycles(path)), [0, 1, 1]);
        assert!(!older(&path, 3).exists());
    }

    #[test]
    fn goes_on_after_a_line_that_was_cut_off() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut diary = Diary::new(dir.path(), Keep::default());
        diary.begin().expect("writable");
        diary.cycle().expect("writable");
        let path = diary.journal.path().to_owned();
        let file = File::options().append(true).open(&path).expect("writable");
        (&file).write_all(b"{\"at\":\"2026-").expect("writable");
        diary.begin().expect("a second start");
        diary.cycle().expect("writable");
        assert_eq!(cycles(&path), 2);
    }

    #[test]
    fn puts_aside_what_it_cannot_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut diary = Diary::new(dir.path(), Keep::default());
        let path = diary.journal.path().to_owned();
        fs::write(&path, "{\"journal\":99}\n").expect("writable");
        diary.begin().expect("writable");
        assert_eq!(cycles(&path), 0);
        assert_eq!(fs::read_to_string(older(&path, 1)).expect("kept"), "{\"journal\":99}\n");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn takes_up_again_when_the_disk_is_no_longer_full() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut diary = Diary::new(dir.path(), Keep::default());
        let path = diary.journal.path().to_owned();
        diary.begin().expect("writable");
        diary.cycle().expect("writable");
        // Every write to this device fails as it does on a full disk.
        diary.journal.open = Some(Open {
            file: File::options().append(true).open("/dev/full").expect("the device is there"),
            bytes: 0,
        });
        let error = diary.cycle().expect_err("no space");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        diary.cycle().expect("writable again: a header takes its place");
        diary.cycle().expect("writable");
        assert_eq!(cycles(&path), 2);
    }
}
