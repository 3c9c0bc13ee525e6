//! A job that is stopped and run again, seen through by its task: a step, what is to be kept of it, the next step.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::clock;
use super::job::{Done, Job};
use crate::act;
use crate::model::{Event, Stage};

/// Time between two looks at Flink while the job does not run, or is about to stop. A stop takes a second, and so does a start: a
/// quarter of that is lost at the most.
const BETWEEN: Duration = Duration::from_millis(250);

/// The same while Flink does not answer.
const AWAY: Duration = Duration::from_secs(2);

impl Job {
    /// One step, where the job is on its way from one run to the next; `None` where it is not. What then counts is whether somebody
    /// else has written the state; nothing where the program is to stop.
    ///
    /// The mode and rivals do not matter any more: a job that has been stopped is to run again.
    pub(super) async fn resubmit(&mut self, stop: &mut watch::Receiver<bool>) -> Option<Option<bool>> {
        let (attempt, resubmission) = self.state.resubmitting()?;
        let Some(program) = &self.program else {
            if self.trouble.begins(clock::now()) {
                error!(
                    stage = ?resubmission.stage(), savepoint = resubmission.location.as_deref(),
                    "the job was being stopped and run again, and spec.savepoint, which said how, is gone: write it again"
                );
            }
            return None;
        };
        if !self.poller.client().may_change() {
            return None;
        }
        let now_in = resubmission.stage();
        let doing = act::resubmit(self.poller.client(), attempt, resubmission, program);
        let event = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return Some(None),
            event = doing => event,
        };
        let now = clock::now();
        let mut fenced = false;
        if self.state.resubmit(&event, now) {
            self.keep_rerun().await;
            self.poller.forget_job();
            fenced = self.sync().await;
            self.tell(now_in);
        }
        let pause = if let Event::Silence(why) | Event::Unanswered(why) = &event {
            if self.trouble.begins(now) {
                warn!(stage = ?now_in, why, "no word from Flink while the job is stopped and run again");
            }
            AWAY
        } else {
            self.trouble.ends();
            BETWEEN
        };
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => Some(None),
            () = sleep(pause) => Some(Some(fenced)),
        }
    }

    /// Notes how the job is brought back by hand, where that is left.
    async fn keep_rerun(&mut self) {
        let attempt = self.state.ledger.attempt.as_ref().filter(|_| self.state.needs_a_person());
        let Some((attempt, program)) = attempt.zip(self.program.as_ref()) else { return };
        let Some(resubmission) = &attempt.resubmission else { return };
        let rerun = act::rerun(self.poller.client(), attempt, resubmission, program).await;
        self.state.keep_rerun(rerun);
    }

    fn tell(&self, before: Stage) {
        let attempt = self.state.ledger.attempt.as_ref();
        let Some(resubmission) = attempt.and_then(|attempt| attempt.resubmission.as_ref()) else { return };
        let (stage, savepoint) = (resubmission.stage(), resubmission.location.as_deref());
        let detail = resubmission.detail.as_deref();
        match stage {
            Stage::Failed => error!(
                savepoint,
                detail,
                command = resubmission.rerun.as_ref().map(|rerun| rerun.command()),
                "the job does not run, and needs a person: `tidegate attempts` tells how to go on"
            ),
            Stage::Cancelling
            | Stage::RollingBack
            | Stage::RolledBack
            | Stage::NotStopped
            | Stage::Superseded => {
                warn!(?before, ?stage, savepoint, detail, "the job is not run at its new size");
            }
            _ => info!(?before, ?stage, savepoint, "the job is stopped and run again"),
        }
    }

    /// The end of one that no run of the job shows.
    pub(super) fn conclude_resubmission(&mut self) -> Option<Done> {
        let outcome = self.state.resubmission_outcome()?;
        let ended = clock::now();
        self.state.end(&outcome, ended);
        Some(Done { begun: None, outcome, ended: Some(ended) })
    }
}
