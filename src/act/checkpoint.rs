//! A checkpoint just for a rescale: less to do again afterwards, and, from Flink 2.0 on, no waiting for the next one.
//!
//! A rescale restores the last completed checkpoint. Up to 1.20 it does so at once, and what came after that checkpoint is
//! read again: so a checkpoint is completed first. From 2.0 on the scheduler waits for the next completed one before it
//! restarts the job (FLINK-35549): so one is asked for right after the request. Seen on 2.3.0 with an interval of 5 s: 2 to
//! 8 s until the restart without, 0.2 s with it. Nothing depends on it: when it fails, the rescale is as it would have been.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::model::{FlinkVersion, JobId};
use crate::observe::flink::{FlinkClient, FlinkError};

/// From here on a rescale waits for a checkpoint.
const WAITS_FOR_ONE: FlinkVersion = FlinkVersion { major: 2, minor: 0, patch: 0 };

/// A checkpoint that takes longer saves less than the waiting costs: the backlog grows meanwhile.
const WORTH_WAITING: Duration = Duration::from_secs(10);

/// How often it is looked at: checkpoints of small jobs take a tenth of a second.
const LOOKED_AT_EVERY: Duration = Duration::from_millis(100);

/// Whether a rescale on this version is to be preceded by a checkpoint.
pub(super) fn comes_first(version: FlinkVersion) -> bool {
    version < WAITS_FOR_ONE
}

/// Has a checkpoint taken, and waits until it is complete, or is not worth waiting for.
pub(super) async fn complete(client: &FlinkClient, job: JobId) {
    let until = Instant::now() + WORTH_WAITING.min(client.timeout());
    if let Err(error) = wait_for_one(client, job, until).await {
        tracing::debug!(%error, "no checkpoint before the rescale");
    }
}

async fn wait_for_one(client: &FlinkClient, job: JobId, until: Instant) -> Result<(), FlinkError> {
    let trigger = client.trigger_checkpoint(job, until).await?;
    while !client.checkpoint_has_ended(job, &trigger, until).await? && Instant::now() < until {
        sleep(LOOKED_AT_EVERY).await;
    }
    Ok(())
}

/// Has a checkpoint taken, for which a rescale that was asked for waits.
pub(super) async fn hasten(client: &FlinkClient, job: JobId) {
    if let Err(error) = client.trigger_checkpoint(job, Instant::now() + client.timeout()).await {
        tracing::debug!(%error, "no checkpoint for the rescale: it waits for the next one");
    }
}
