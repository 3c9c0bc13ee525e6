//! Asking an operator for another size of its job: one step at a time.
//!
//! What a state asks for is done, or done again, and what is then seen is told; which state comes next is the model's to say
//! ([`Upgrade`]). Nothing here remembers anything. The resource is changed only as it was found, by its resource version.

use tokio::time::Instant;

use crate::model::{Attempt, JobSeen, JobState, OperatorState, Sighting, Stage, Timestamp, Upgrade, Whose};
use crate::observe::flink::{FlinkClient, FlinkError};
use crate::observe::kubernetes::{Fault, OperatorTarget, Read};

/// A conflict mostly means that the operator has written its status in between: looked at again, it is mostly still so.
const TRIES: u32 = 3;

/// Does what the present state asks for, and tells what is then seen. `job` is the name of the job, where it is found by that.
pub async fn step(
    target: &OperatorTarget,
    client: &FlinkClient,
    attempt: &Attempt,
    upgrade: &Upgrade,
    job: Option<&str>,
    now: fn() -> Timestamp,
) -> Sighting {
    let step = Step { target, client, attempt, upgrade, job, now };
    let seen = match upgrade.stage() {
        Stage::Planned => step.look(false).await,
        Stage::Submitted => step.change(false).await,
        Stage::RollingBack => step.change(true).await,
        _ => step.look(true).await,
    };
    seen.unwrap_or_else(|fault| sighting_of(&fault))
}

fn sighting_of(fault: &Fault) -> Sighting {
    let detail = fault.to_string();
    match fault {
        Fault::NoSuchKind { .. } => Sighting::Refused(detail),
        // Not allowed, or not possible: asking again does not help.
        _ if matches!(fault.code(), Some(400 | 401 | 403 | 405 | 422)) => Sighting::Refused(detail),
        _ => Sighting::Silence(detail),
    }
}

struct Step<'a> {
    target: &'a OperatorTarget,
    client: &'a FlinkClient,
    attempt: &'a Attempt,
    upgrade: &'a Upgrade,
    job: Option<&'a str>,
    now: fn() -> Timestamp,
}

impl Step<'_> {
    /// The resource, and the job where that matters.
    async fn look(&self, with_job: bool) -> Result<Sighting, Fault> {
        let Some(found) = self.target.read(Read::Now, (self.now)()).await? else {
            return Ok(Sighting::Gone);
        };
        // While the operator works on it, there may be no JobManager to ask.
        let matters = with_job && found.seen.state == OperatorState::Stable;
        let job = if matters { self.job_seen().await } else { JobSeen::Down };
        Ok(Sighting::Seen(Box::new(found.seen), job))
    }

    /// Changes the resource, or puts it back, if that has not been done yet and is still to be done.
    async fn change(&self, back: bool) -> Result<Sighting, Fault> {
        let change = &self.upgrade.change;
        let to_be_changed = if back { Whose::Ours } else { Whose::Before };
        for _ in 0..TRIES {
            let Some(found) = self.target.read(Read::Now, (self.now)()).await? else {
                return Ok(Sighting::Gone);
            };
            let is_wanted = back || self.upgrade.may_ask((self.now)());
            if change.whose(&found.seen) != to_be_changed || !is_wanted {
                break;
            }
            if !self.client.may_change() {
                return Ok(Sighting::Silence("the Lease is not held at present".to_owned()));
            }
            match self.target.change(&found, change, back, (self.now)()).await {
                Err(fault) if fault.code() == Some(409) => {}
                Err(fault) if fault.code() == Some(404) => return Ok(Sighting::Gone),
                changed => return Ok(Sighting::Seen(Box::new(changed?.seen), JobSeen::Down)),
            }
        }
        self.look(back).await
    }

    async fn job_seen(&self) -> JobSeen {
        self.try_job_seen().await.unwrap_or(JobSeen::Down)
    }

    async fn try_job_seen(&self) -> Result<JobSeen, FlinkError> {
        let until = Instant::now() + self.client.timeout();
        let jobs = self.client.jobs(until).await?;
        let mut meant = jobs
            .iter()
            .filter(|job| self.job.is_none_or(|name| name == job.name) && !job.state.is_terminal());
        let (Some(job), None) = (meant.next(), meant.next()) else { return Ok(JobSeen::Down) };
        let view = self.client.job(job.id, until).await?;
        let is_up = view.state == JobState::Running
            && view.graph.is_some()
            && view.readings.iter().all(|(_, reading)| reading.running == reading.parallelism.get());
        let is_as_before = job.id == self.attempt.job && view.running_since == self.upgrade.running_since;
        Ok(match (is_up, is_as_before) {
            (false, _) => JobSeen::Down,
            (true, true) => JobSeen::AsBefore,
            (true, false) => JobSeen::Anew,
        })
    }
}

#[cfg(test)]
mod schedules;
#[cfg(test)]
mod server;
