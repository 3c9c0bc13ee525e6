//! Where a job's state is kept: in the state directory, or in Kubernetes beside its `FlinkAutoscaler`.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::kubernetes::{ClusterState, StateError};
use super::store::{Store, StoreError};
use crate::record::State;

/// A state of ten vertices is some 80 kB, so it is not written in every cycle. What a killed process forgets is so much of
/// the scale-down window, which bears a gap of that length, and what it learned meanwhile; never a rescale.
const STAGE_EVERY: Duration = Duration::from_mins(1);

/// Each of these is a write to Kubernetes. The scale-down window does not bear a gap of that length, and begins anew after a
/// process was killed; one that is stopped writes what it knows.
const STAGE_IN_CLUSTER_EVERY: Duration = Duration::from_mins(5);

/// One that was refused, or got no answer, is written again after so long: it may hold the end of a rescale.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Where the state of one job is kept.
#[derive(Debug)]
pub(super) enum Keeper {
    /// In the state directory, with those of the other jobs.
    Directory(Arc<Store>),
    /// In a ConfigMap beside its `FlinkAutoscaler`.
    Cluster(Box<ClusterState>),
}

/// Why a state is not kept.
#[derive(Debug, Error)]
pub(super) enum KeepError {
    /// The state directory cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ConfigMap cannot be written.
    #[error(transparent)]
    Cluster(#[from] StateError),
}

impl KeepError {
    /// Whether this process may not write at present, of which enough is said elsewhere.
    pub(super) fn is_not_leading(&self) -> bool {
        match self {
            Self::Store(_) => false,
            Self::Cluster(error) => error.is_not_leading(),
        }
    }

    /// Whether somebody else has written it since: what is known here is no longer what is.
    pub(super) fn is_fenced(&self) -> bool {
        match self {
            Self::Store(_) => false,
            Self::Cluster(error) => error.is_fenced(),
        }
    }
}

impl Keeper {
    /// How often a state is written that nothing depends on at once.
    pub(super) fn every(&self) -> Duration {
        match self {
            Self::Directory(_) => STAGE_EVERY,
            Self::Cluster(map) if map.is_behind() => AGAIN_AFTER,
            Self::Cluster(_) => STAGE_IN_CLUSTER_EVERY,
        }
    }

    /// Takes a state to be written when it suits; in a directory, with those of the other jobs.
    ///
    /// # Errors
    /// When it cannot be.
    pub(super) async fn stage(&mut self, name: &str, state: &State) -> Result<(), KeepError> {
        match self {
            Self::Directory(store) => Ok(store.stage(name, state)?),
            Self::Cluster(map) => Ok(map.stage(state).await?),
        }
    }

    /// Whether somebody else has written the state since it was last written or read here. What cannot be found out now is looked at
    /// again.
    pub(super) async fn is_overwritten(&self) -> bool {
        match self {
            // It is locked for as long as this process has it.
            Self::Directory(_) => false,
            Self::Cluster(map) => map.is_overwritten().await,
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
            Self::Cluster(map) => Ok(map.save(state).await?),
        }
    }
}
