//! Where a job's state is kept: in the state directory, or in Kubernetes beside its `FlinkAutoscaler`.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::store::{Store, StoreError};
use crate::record::State;

/// A state of ten vertices is some 80 kB, so it is not written in every cycle. What a killed process forgets is so much of
/// the scale-down window, which bears a gap of that length, and what it learned meanwhile; never a rescale.
const STAGE_EVERY: Duration = Duration::from_mins(1);

/// Where the state of one job is kept.
#[derive(Debug)]
pub(super) enum Keeper {
    /// In the state directory, with those of the other jobs.
    Directory(Arc<Store>),
}

/// Why a state is not kept.
#[derive(Debug, Error)]
pub(super) enum KeepError {
    /// The state directory cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl KeepError {
    /// Whether somebody else has written it since: what is known here is no longer what is.
    pub(super) fn is_fenced(&self) -> bool {
        match self {
            Self::Store(_) => false,
        }
    }
}

impl Keeper {
    /// How often a state is written that nothing depends on at once.
    pub(super) fn every(&self) -> Duration {
        match self {
            Self::Directory(_) => STAGE_EVERY,
        }
    }

    /// Takes a state to be written when it suits; in a directory, with those of the other jobs.
    ///
    /// # Errors
    /// When it cannot be.
    pub(super) async fn stage(&mut self, name: &str, state: &State) -> Result<(), KeepError> {
        match self {
            Self::Directory(store) => Ok(store.stage(name, state)?),
        }
    }

    /// Writes a state; it is kept for good when this returns.
    ///
    /// # Errors
    /// When it cannot be.
    pub(super) async fn save(&mut self, name: &str, state: &State) -> Result<(), KeepError> {
        match self {
            Self::Directory(store) => {
                store.stage(name, state)?;
                Ok(store.commit()?)
            }
        }
    }
}
