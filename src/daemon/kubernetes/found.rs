//! Which job was found under what each autoscaler says, so that one job under two names is seen to be one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::key::Key;
use crate::model::JobId;

/// The jobs that were found; shared by those who find and the one who looks.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    jobs: Arc<Mutex<BTreeMap<Key, JobId>>>,
    changed: Arc<Notify>,
}

impl Found {
    /// Takes in which job was found.
    pub(super) fn is(&self, key: &Key, job: JobId) {
        let before = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), job);
        if before != Some(job) {
            self.changed.notify_one();
        }
    }

    /// All that were found for these.
    pub(super) fn of(&self, is_there: impl Fn(&Key) -> bool) -> BTreeMap<Key, JobId> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.retain(|key, _| is_there(key));
        jobs.clone()
    }

    /// Waits until another was found than before.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}
