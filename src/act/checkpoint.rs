//! A checkpoint just for a rescale: less to do again afterwards, and, from Flink 2.0 on, no waiting for the next one.
//!
//! A rescale restores the last completed checkpoint. Up to 1.20 it does so at once, and what came after that checkpoint is
//! read again: so a checkpoint is completed first. From 2.0 on the scheduler waits for the next completed one before it
//! restarts the job (FLINK-35549): so one is asked for right after the request. Seen on 2.3.0 with an interval of 5 s: 2 to
//! 8 s until the restart without, 0.2 s with it. Nothing depends on it: when it fails, the rescale is as it would have been.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::model::{Attempt, FlinkVersion, JobId, Snapshot, Timestamp};
use crate::observe::flink::{FlinkClient, FlinkError};

/// From here on a rescale waits for a checkpoint.
const WAITS_FOR_ONE: FlinkVersion = FlinkVersion { major: 2, minor: 0, patch: 0 };

/// A checkpoint that takes longer saves less than the waiting costs: the backlog grows meanwhile.
const WORTH_WAITING: Duration = Duration::from_secs(10);

/// How often it is looked at: checkpoints of small jobs take a tenth of a second.
const LOOKED_AT_EVERY: Duration = Duration::from_millis(100);

/// A checkpoint that completes within Flink's cooldown after a start (30 s) does not count: a rescale that was asked for then
/// would wait for the next one, and there may be minutes between two (seen on 2.3.0: PUT and checkpoint in the cooldown,
/// nothing for two minutes; a second checkpoint after it, and the job restarted 2 s later). This long after the request the
/// cooldown is over in any case.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

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

/// Asks for a checkpoint again while a rescale waits for one.
#[derive(Debug, Default)]
pub struct Hastener {
    last: Timestamp,
}

impl Hastener {
    /// To be called in every cycle in which a rescale is under way.
    pub async fn step(&mut self, client: &FlinkClient, attempt: &Attempt, snapshot: &Snapshot) {
        if self.is_due(attempt, snapshot) {
            self.last = snapshot.at;
            hasten(client, attempt.job).await;
        }
    }

    /// Whether the rescale was asked for, and the last checkpoint for it, long enough ago, and has not begun.
    fn is_due(&self, attempt: &Attempt, snapshot: &Snapshot) -> bool {
        let mut vertices = snapshot.graph.vertices().iter().zip(&snapshot.vertices);
        snapshot.job == attempt.job
            && snapshot.is_fully_running()
            && !comes_first(snapshot.cluster.version)
            && snapshot.at.since(self.last.max(attempt.at)) >= AGAIN_AFTER
            && vertices.all(|(vertex, now)| attempt.from.get(&vertex.id) == Some(&now.parallelism))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{JobState, Parallelism, VertexId};
    use crate::policy::testing::{Job, START};

    fn attempt(snapshot: &Snapshot) -> Attempt {
        let from: BTreeMap<VertexId, Parallelism> =
            snapshot.graph.vertices().iter().map(|vertex| vertex.id).zip(snapshot.parallelism()).collect();
        let to = from.iter().map(|(id, p)| (*id, Parallelism::clamped(u64::from(p.get()) + 1))).collect();
        let deadline = START + Duration::from_mins(5);
        Attempt::new(snapshot.job, START, deadline, from, to)
    }

    fn later(snapshot: &Snapshot, seconds: u64) -> Snapshot {
        Snapshot { at: START + Duration::from_secs(seconds), ..snapshot.clone() }
    }

    #[test]
    fn a_rescale_that_has_not_begun_is_hastened_every_half_minute() {
        let snapshot = Job::chain(&[(1, 0.0), (3, 0.004)]).snapshot;
        let attempt = attempt(&snapshot);
        let mut hastener = Hastener::default();
        for (second, due) in [(0, false), (29, false), (30, true), (35, false), (59, false), (60, true)] {
            let seen = later(&snapshot, second);
            assert_eq!(hastener.is_due(&attempt, &seen), due, "second {second}");
            if due {
                hastener.last = seen.at;
            }
        }
    }

    #[test]
    fn what_waits_for_no_checkpoint_is_left_alone() {
        type Change = fn(&mut Snapshot);
        let changes: [(Change, bool); 6] = [
            (|_| {}, true),
            (|seen| seen.cluster.version = FlinkVersion { major: 2, minor: 0, patch: 0 }, true),
            (|seen| seen.cluster.version = FlinkVersion { major: 1, minor: 20, patch: 5 }, false),
            (|seen| seen.state = JobState::Restarting, false),
            (|seen| seen.vertices[1].parallelism = Parallelism::clamped(2), false),
            (|seen| seen.job = JobId::from_bits(7), false),
        ];
        let snapshot = Job::chain(&[(1, 0.0), (3, 0.004)]).snapshot;
        for (index, (change, due)) in changes.into_iter().enumerate() {
            let mut seen = later(&snapshot, 30);
            change(&mut seen);
            assert_eq!(Hastener::default().is_due(&attempt(&snapshot), &seen), due, "row {index}");
        }
    }
}
