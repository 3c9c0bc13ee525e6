//! What must survive a restart: the state of every autoscaler, in one transactional file of the state directory.
//!
//! Comes in: states, staged cheaply in every cycle and committed together. Goes out: the state that was committed last, or
//! one clear error; a directory that cannot be read is never taken for an empty one. One process at a time: the directory
//! is locked for as long as the store lives.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use thiserror::Error;

use crate::record::State;

/// The version of what is in the file. A store refuses every other one.
pub const VERSION: u64 = 1;

const FILE: &str = "state.redb";
/// Where a new file is prepared: it gets its name when it is whole, so that a file of the right name was whole once.
const NEW_FILE: &str = "state.redb.new";
const LOCK: &str = "lock";

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const META_VERSION: &str = "version";
const STATES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("states");

/// A job's state is some tens of kilobytes and written as a whole; redb's own default of a gigabyte of cache would only
/// hold what is never read again.
const CACHE_BYTES: usize = 1 << 20;

/// Why the state directory cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The directory cannot be made or opened.
    #[error("the state directory {} cannot be used", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process has it.
    #[error("the state directory {} is in use by {by}: stop it, or name another --state-dir", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// Who, as far as it is known.
        by: String,
    },
    /// Another version wrote it.
    #[error(
        "{} has version {found}, and this Tidegate reads version {VERSION}: start the Tidegate that wrote it, or name another --state-dir",
        file.display()
    )]
    OtherVersion {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u64,
    },
    /// The file is not whole.
    #[error(
        "{} is half written or damaged: put a copy of it back, or move it away to begin without what was learned",
        file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What was found.
        #[source]
        source: Box<redb::Error>,
    },
    /// One autoscaler's state is not what this version writes.
    #[error(
        "the state of {autoscaler:?} in {} cannot be understood: put a copy of the file back, or move it away to begin without what was learned",
        file.display()
    )]
    State {
        /// The file.
        file: PathBuf,
        /// Whose state.
        autoscaler: String,
        /// What was found.
        #[source]
        source: serde_json::Error,
    },
    /// Nothing can be written.
    #[error("{} cannot be written", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: Box<redb::Error>,
    },
}

/// The open state directory.
#[derive(Debug)]
pub struct Store {
    database: Database,
    file: PathBuf,
    staged: Mutex<BTreeMap<String, Vec<u8>>>,
    /// Held, not used: the lock goes when the file is closed, however the process ends.
    _lock: File,
}

impl Store {
    /// Opens the directory, and makes it if it is not there.
    ///
    /// # Errors
    /// When it is of another version, damaged, in use, or cannot be read and written.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let directory = |source| StoreError::Directory { dir: dir.to_owned(), source };
        fs::create_dir_all(dir).map_err(directory)?;
        let lock = lock(dir)?;
        let file = dir.join(FILE);
        if !file.try_exists().map_err(directory)? {
            create(dir)?;
        }
        let damaged =
            |source: redb::Error| StoreError::Damaged { file: file.clone(), source: Box::new(source) };
        if fs::metadata(&file).map_err(directory)?.len() == 0 {
            // redb would take it for a new file, and what was learned would be gone without a word.
            return Err(damaged(redb::Error::Corrupted("the file is empty".to_owned())));
        }
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(true)
            .open(&file)
            .map_err(|e| damaged(e.into()))?;
        let found = version(&database).map_err(damaged)?;
        if found != VERSION {
            return Err(StoreError::OtherVersion { file, found });
        }
        Ok(Self { database, file, staged: Mutex::default(), _lock: lock })
    }

    /// Whether a directory has states.
    pub fn is_in(dir: &Path) -> bool {
        dir.join(FILE).exists()
    }

    /// The autoscalers whose states there are, in the order of the alphabet.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn autoscalers(&self) -> Result<Vec<String>, StoreError> {
        self.keys()
            .map_err(|source| StoreError::Damaged { file: self.file.clone(), source: Box::new(source) })
    }

    /// The state of an autoscaler as it was committed last; `None` when there is none yet.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub fn load(&self, autoscaler: &str) -> Result<Option<State>, StoreError> {
        let bytes = self
            .read(autoscaler)
            .map_err(|source| StoreError::Damaged { file: self.file.clone(), source: Box::new(source) })?;
        bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose().map_err(|source| StoreError::State {
            file: self.file.clone(),
            autoscaler: autoscaler.to_owned(),
            source,
        })
    }

    /// Takes a state to be written with the next [`commit`](Self::commit); the last one of an autoscaler counts.
    ///
    /// # Errors
    /// When it cannot be written as JSON; its types do not allow such a value.
    pub fn stage(&self, autoscaler: &str, state: &State) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(state).map_err(|source| StoreError::State {
            file: self.file.clone(),
            autoscaler: autoscaler.to_owned(),
            source,
        })?;
        self.staged.lock().unwrap_or_else(PoisonError::into_inner).insert(autoscaler.to_owned(), bytes);
        Ok(())
    }

    /// Writes all that is staged in one transaction; it is on the disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written; it stays staged.
    pub fn commit(&self) -> Result<(), StoreError> {
        let mut staged = self.staged.lock().unwrap_or_else(PoisonError::into_inner);
        if staged.is_empty() {
            return Ok(());
        }
        write(&self.database, &staged)
            .map_err(|source| StoreError::Write { file: self.file.clone(), source: Box::new(source) })?;
        staged.clear();
        Ok(())
    }

    fn keys(&self) -> Result<Vec<String>, redb::Error> {
        let states = self.database.begin_read()?.open_table(STATES)?;
        let names = states.iter()?.map(|entry| Ok(entry?.0.value().to_owned()));
        names.collect()
    }

    fn read(&self, autoscaler: &str) -> Result<Option<Vec<u8>>, redb::Error> {
        let states = self.database.begin_read()?.open_table(STATES)?;
        Ok(states.get(autoscaler)?.map(|bytes| bytes.value().to_vec()))
    }
}

/// Locks the directory, or says who has it.
fn lock(dir: &Path) -> Result<File, StoreError> {
    let directory = |source| StoreError::Directory { dir: dir.to_owned(), source };
    let mut lock = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(dir.join(LOCK))
        .map_err(directory)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let by = match lock.read_to_string(&mut pid).ok().and_then(|_| pid.trim().parse::<u32>().ok()) {
                Some(pid) => format!("process {pid}"),
                None => "another process".to_owned(),
            };
            return Err(StoreError::InUse { dir: dir.to_owned(), by });
        }
        Err(TryLockError::Error(source)) => return Err(directory(source)),
    }
    // Only for the message above; nobody acts on it.
    lock.set_len(0)
        .and_then(|()| lock.rewind())
        .and_then(|()| writeln!(lock, "{}", std::process::id()))
        .map_err(directory)?;
    Ok(lock)
}

/// Makes a file that has nothing but its version, and gives it its name when it is on the disk.
fn create(dir: &Path) -> Result<(), StoreError> {
    let directory = |source| StoreError::Directory { dir: dir.to_owned(), source };
    let new = dir.join(NEW_FILE);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(directory(error)),
        // What a process left that was stopped right here never held anything.
        _ => {}
    }
    initialise(&new).map_err(|source| StoreError::Write { file: new.clone(), source: Box::new(source) })?;
    fs::rename(&new, dir.join(FILE)).and_then(|()| File::open(dir)?.sync_all()).map_err(directory)
}

fn initialise(file: &Path) -> Result<(), redb::Error> {
    let database = Database::builder().set_cache_size(CACHE_BYTES).create(file)?;
    let transaction = database.begin_write()?;
    transaction.open_table(META)?.insert(META_VERSION, VERSION)?;
    transaction.open_table(STATES)?;
    transaction.commit()?;
    Ok(())
}

fn version(database: &Database) -> Result<u64, redb::Error> {
    let meta = database.begin_read()?.open_table(META)?;
    // A redb file without a version is not one of ours.
    let version = meta.get(META_VERSION)?.map(|version| version.value());
    version.ok_or_else(|| redb::Error::Corrupted("it has no version".to_owned()))
}

fn write(database: &Database, staged: &BTreeMap<String, Vec<u8>>) -> Result<(), redb::Error> {
    // Durability is redb's default: on the disk when the commit returns.
    let transaction = database.begin_write()?;
    {
        let mut states = transaction.open_table(STATES)?;
        for (autoscaler, bytes) in staged {
            states.insert(autoscaler.as_str(), bytes.as_slice())?;
        }
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Ledger, Rescale, RescaleEnd, Timestamp};

    fn state(rescales: i64) -> State {
        let mut ledger = Ledger::default();
        for n in 0..rescales {
            ledger.add_rescale(Rescale {
                at: Timestamp::from_millis(n),
                ended: Timestamp::from_millis(n + 1),
                end: RescaleEnd::Done,
                from: BTreeMap::new(),
                to: BTreeMap::new(),
                downtime: None,
                load: 0.1 + 0.2,
                brought: None,
                reached: Vec::new(),
            });
        }
        State { ledger, ..State::default() }
    }

    fn open(dir: &Path) -> Store {
        Store::open(dir).expect("the directory is sound")
    }

    fn message(dir: &Path) -> String {
        Store::open(dir).expect_err("the directory is not sound").to_string()
    }

    #[test]
    fn gives_back_what_was_committed_last() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open(&dir.path().join("deep/er"));
        assert_eq!(store.load("orders").expect("nothing yet"), None);
        assert_eq!(store.autoscalers().expect("nothing yet"), [""; 0]);
        for rescales in [1, 2] {
            store.stage("orders", &state(rescales)).expect("staged");
        }
        store.stage("clicks", &state(3)).expect("staged");
        store.commit().expect("committed");
        store.stage("orders", &state(9)).expect("staged, and never committed");
        drop(store);

        let store = open(&dir.path().join("deep/er"));
        assert_eq!(store.load("orders").expect("readable"), Some(state(2)));
        assert_eq!(store.load("clicks").expect("readable"), Some(state(3)));
    }

    #[test]
    fn one_process_at_a_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open(dir.path());
        let mine = format!("in use by process {}", std::process::id());
        assert!(message(dir.path()).contains(&mine));
        drop(store);
        open(dir.path());
    }

    #[test]
    fn refuses_another_version() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open(dir.path());
        let transaction = store.database.begin_write().expect("a transaction");
        transaction
            .open_table(META)
            .and_then(|mut meta| Ok(meta.insert(META_VERSION, 7)?.is_some()))
            .expect("written");
        transaction.commit().expect("committed");
        drop(store);
        assert!(message(dir.path()).contains("has version 7, and this Tidegate reads version 1"));
    }

    #[test]
    fn refuses_what_is_damaged_and_leaves_it_as_it_is() {
        type Damage = fn(&mut Vec<u8>);
        let damages: [(&str, Damage); 4] = [
            ("emptied", |bytes| bytes.clear()),
            ("cut in half", |bytes| bytes.truncate(bytes.len() / 2)),
            ("another file", |bytes| *bytes = b"kind: FlinkAutoscaler\n".repeat(500)),
            ("zeros in the middle", |bytes| {
                let half = bytes.len() / 2;
                bytes[4096..half].fill(0);
            }),
        ];
        for (name, damage) in damages {
            let dir = tempfile::tempdir().expect("a directory");
            let store = open(dir.path());
            store.stage("orders", &state(60)).expect("staged");
            store.commit().expect("committed");
            drop(store);
            let file = dir.path().join(FILE);
            let mut bytes = fs::read(&file).expect("readable");
            damage(&mut bytes);
            fs::write(&file, &bytes).expect("writable");
            assert!(message(dir.path()).contains("half written or damaged"), "{name}");
            assert_eq!(fs::metadata(&file).expect("still there").len(), bytes.len() as u64, "{name}");
        }
    }

    #[test]
    fn names_the_autoscaler_whose_state_is_not_understood() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open(dir.path());
        let odd = BTreeMap::from([("orders".to_owned(), b"{\"history\": 5}".to_vec())]);
        write(&store.database, &odd).expect("written");
        let error = store.load("orders").expect_err("not a state");
        assert!(error.to_string().contains("the state of \"orders\""), "{error}");
    }

    #[test]
    fn begins_again_where_it_was_stopped_while_it_made_the_file() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join(NEW_FILE), b"half").expect("writable");
        assert_eq!(open(dir.path()).load("orders").expect("readable"), None);
    }
}
