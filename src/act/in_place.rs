//! Rescaling in place: the adaptive scheduler is told what every vertex may have (`PUT .../resource-requirements`).

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::check::{Found, Objection, objection, objection_to_old};
use super::checkpoint;
use crate::guard::{Approved, Hold};
use crate::model::{Attempt, JobId, Ledger, Parallelism, Timestamp, VertexId};
use crate::observe::flink::{FlinkClient, FlinkError, Refusal, Requirements};
use crate::plan::Plan;
use crate::record::Outcome;

/// A size that was decided on longer ago may be another than what is needed now.
const STILL_WANTED: Duration = Duration::from_mins(1);

/// Carries a plan out, if all that it assumes is still so. `ledger` tells what was asked for before.
///
/// The outcome is [`Outcome::Applied`] as soon as Flink has taken the request, and also when that cannot be known: what is
/// then seen of the job tells.
pub async fn rescale(client: &FlinkClient, approved: &Approved, ledger: &Ledger, now: Timestamp) -> Outcome {
    carry_out(client, approved.plan(), ledger, now).await
}

async fn carry_out(client: &FlinkClient, plan: &Plan, ledger: &Ledger, now: Timestamp) -> Outcome {
    let (job, version) = (plan.assumes.job, plan.assumes.version);
    if let Err(outcome) = still_so(client, plan, ledger, now).await {
        return outcome;
    }
    if checkpoint::comes_first(version) {
        checkpoint::complete(client, job).await;
        // That took its time.
        if let Err(outcome) = still_so(client, plan, ledger, now).await {
            return outcome;
        }
    }
    let wanted = Requirements::of(plan.changes.iter().map(|change| (change.vertex, change.to)));
    if let Err(error) = ask(client, job, &wanted).await {
        return refused(&error);
    }
    if !checkpoint::comes_first(version) {
        checkpoint::hasten(client, job).await;
    }
    Outcome::Applied
}

/// Whether all that a plan assumes is still so; what comes of it when it is not.
async fn still_so(client: &FlinkClient, plan: &Plan, ledger: &Ledger, now: Timestamp) -> Result<(), Outcome> {
    let found = look(client, plan.assumes.job, now).await.map_err(|error| refused(&error))?;
    objection(plan, ledger, &found).map_or(Ok(()), |objection| Err(outcome_of(objection)))
}

fn outcome_of(objection: Objection) -> Outcome {
    match objection {
        Objection::Superseded(change) => Outcome::Superseded { detail: change.to_string() },
        Objection::Held(hold) => Outcome::Held { found: Some(hold) },
    }
}

/// Takes a rescale back that has not come about: what every vertex had is asked for again, unless somebody else has asked
/// for something else by now.
pub async fn roll_back(client: &FlinkClient, attempt: &Attempt) -> Outcome {
    let sizes =
        |sizes: &BTreeMap<VertexId, Parallelism>| Requirements::of(sizes.iter().map(|(&v, &p)| (v, p)));
    let until = Instant::now() + client.timeout();
    match client.requirements(attempt.job, until).await {
        Ok(found) if found == sizes(&attempt.to) => {}
        // As when the program was stopped just before it would have asked.
        Ok(found) if found == sizes(&attempt.from) => {
            return Outcome::RolledBack {
                detail: "the new size is not asked for, so it stays as it was".to_owned(),
            };
        }
        Ok(_) => {
            return Outcome::Superseded {
                detail: "somebody else has asked for another size since".to_owned(),
            };
        }
        Err(error) => return refused(&error),
    }
    match ask(client, attempt.job, &sizes(&attempt.from)).await {
        Ok(()) => Outcome::RolledBack { detail: "the job did not reach its new size in time".to_owned() },
        Err(error) => refused(&error),
    }
}

/// Takes up a rescale that was written down when the program was stopped: asks for it where that had not been done, it was a
/// moment ago, and a look tells that the job can have it still; `None` when what is then seen of the job tells how it ends.
pub async fn take_up(client: &FlinkClient, attempt: &Attempt, now: Timestamp) -> Option<Outcome> {
    let sizes =
        |sizes: &BTreeMap<VertexId, Parallelism>| Requirements::of(sizes.iter().map(|(&v, &p)| (v, p)));
    let found = look(client, attempt.job, now).await.ok()?;
    let required = &found.requirements;
    let was_not_asked_for = *required == sizes(&attempt.from) && *required != sizes(&attempt.to);
    if !was_not_asked_for {
        return None;
    }
    if now.since(attempt.at) > STILL_WANTED {
        let detail = "the program was stopped before it could ask for the new size".to_owned();
        return Some(Outcome::RolledBack { detail });
    }
    if let Some(objection) = objection_to_old(attempt, &found) {
        return Some(outcome_of(objection));
    }
    // What goes wrong here is seen by the deadline.
    let asked = ask(client, attempt.job, &sizes(&attempt.to)).await;
    asked.err().map(|error| refused(&error))
}

/// What the plan is checked against, all asked for at once.
async fn look(client: &FlinkClient, job: JobId, now: Timestamp) -> Result<Found, FlinkError> {
    let until = Instant::now() + client.timeout();
    let (requirements, state, view, overview) = tokio::try_join!(
        client.requirements(job, until),
        client.job_state(job, until),
        client.job(job, until),
        client.overview(until),
    )?;
    Ok(Found { state, view, requirements, slots: overview.slots(now) })
}

/// Asks for the sizes. When no answer comes, looks whether they were taken; if not, asks once more, for the same request
/// twice is the same as once.
async fn ask(client: &FlinkClient, job: JobId, wanted: &Requirements) -> Result<(), FlinkError> {
    let until = || Instant::now() + client.timeout();
    match client.set_requirements(job, wanted, until()).await {
        Err(error) if error.may_have_worked() => {
            tracing::warn!(%error, "no answer to a request for another size; looking whether it was taken");
        }
        answer => return answer,
    }
    match client.requirements(job, until()).await {
        Ok(found) if found == *wanted => return Ok(()),
        // Still no word of Flink: it may have taken the request, and observation will tell.
        Err(error) if error.may_have_worked() => return Ok(()),
        Ok(_) | Err(_) => {}
    }
    match client.set_requirements(job, wanted, until()).await {
        Err(error) if error.may_have_worked() => Ok(()),
        answer => answer,
    }
}

/// What a refusal means for the plan.
fn refused(error: &FlinkError) -> Outcome {
    let unavailable = |detail: &str| Outcome::Held {
        found: Some(Hold::MechanismUnavailable { detail: detail.to_owned() }),
    };
    if matches!(error, FlinkError::NotLeading { .. }) {
        return Outcome::Held { found: Some(Hold::NotLeading) };
    }
    match error.refusal() {
        Some(Refusal::NotAdaptive) => unavailable(
            "the job's scheduler takes no resource requirements; set jobmanager.scheduler: adaptive in Flink's configuration",
        ),
        Some(Refusal::Reactive) => unavailable(
            "the job runs in reactive mode, which takes no resource requirements; remove scheduler-mode: reactive and set \
             jobmanager.scheduler: adaptive in Flink's configuration",
        ),
        Some(Refusal::NoSuchPath) => {
            unavailable("this Flink has no resource requirements over REST; they came with Flink 1.18")
        }
        Some(Refusal::UnknownJob) => Outcome::Superseded { detail: "the job is gone".to_owned() },
        Some(Refusal::Conflict) => {
            Outcome::Superseded { detail: "somebody else was changing the job's requirements".to_owned() }
        }
        Some(Refusal::NotAllowed | Refusal::Unavailable | Refusal::Other) | None => {
            Outcome::Failed { detail: error.to_string() }
        }
    }
}

#[cfg(test)]
mod tests;
