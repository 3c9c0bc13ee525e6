//! The same in application mode: the job is run again by the arguments of its JobManager, which Kubernetes runs.
//!
//! There, a JobManager ends with its job. It waits with that, for five minutes (`rest.async.store-duration`), until somebody has read how
//! the stop went; then it goes within a fifth of a second, and a Deployment starts its container again at once: with the old arguments,
//! which run the job from where it once began. So the end of a stop is seen by the job's state and its savepoint by its checkpoints, and
//! the result is left unread until the object is changed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Step, is_unknown};
use crate::model::{
    ByManifest, Event, JobId, JobState, Manager, ManagerIs, ManagerKind, ManagerPod, ManagerSeen,
    Parallelism, Run, Stage, Stop, VertexId, WantedRun,
};
use crate::observe::flink::{FlinkError, SavepointOutcome};
use crate::observe::kubernetes::{Fault, ManagerTarget, Try, of_gone, patch, to_create, with_args};

/// Between two looks at the state of a job that stops.
const LOOKED_AT_EVERY: Duration = Duration::from_millis(100);

/// So often it is looked at before the result of the stop is read while the job runs, which takes 3 s: what ends within that is never
/// read, and what fails is seen a little later.
const LOOKS: u32 = 30;

/// Between two looks at the statistics of checkpoints.
const ASKED_EVERY: Duration = Duration::from_millis(300);

/// Those may be 3 s old (`rest.cache.checkpoint-statistics.timeout`); of a job that has ended they do not change any more. After so many
/// answers, which is 8 s, the savepoint is in them, or will never be.
const ANSWERS: u32 = 27;

/// A job that its JobManager has begun anew while nobody looked, and that has run for longer, is not replaced by one that goes back to
/// the savepoint.
const REPLACED_WITHIN: Duration = Duration::from_mins(30);

/// What gets in the way of a step.
enum Objection {
    Flink(FlinkError),
    Cluster(Fault),
}

impl From<FlinkError> for Objection {
    fn from(error: FlinkError) -> Self {
        Self::Flink(error)
    }
}

impl From<Fault> for Objection {
    fn from(fault: Fault) -> Self {
        Self::Cluster(fault)
    }
}

/// Whether the API server will say the same again.
fn is_final(fault: &Fault) -> bool {
    matches!(fault.code(), Some(400 | 401 | 403 | 404 | 405 | 422))
}

/// Does what the present state asks for, and tells what is then seen.
pub(super) async fn step(step: &Step<'_>, target: &ManagerTarget) -> Event {
    let stage = step.resubmission.stage();
    let this = Application { step, target };
    let seen = match (stage, step.resubmission.manager.as_deref()) {
        (Stage::Planned, _) => this.last_look().await,
        (_, None) => {
            return Event::Silence(
                "it was begun with a jar: write spec.savepoint.jar again until it is over".to_owned(),
            );
        }
        (_, Some(begun)) if (begun.kind, &*begun.name) != (target.kind(), target.name()) => {
            return Event::Silence(format!(
                "it was begun with {}: name it again until it is over",
                begun.shown()
            ));
        }
        (Stage::StopRequested, Some(manager)) => this.stop(manager).await,
        (Stage::SavepointDone, Some(manager)) => this.ended(manager).await,
        (Stage::Stopped, Some(manager)) => this.look_at_object(manager).await,
        (Stage::Submitted, Some(manager)) => this.run(manager, Wanted::New).await,
        (Stage::Confirming, Some(_)) => this.confirm().await,
        (Stage::Cancelling, Some(manager)) => this.cancel(manager).await,
        (Stage::RollingBack, Some(manager)) => this.run(manager, Wanted::Old).await,
        (Stage::Done | Stage::RolledBack | Stage::NotStopped | Stage::Superseded | Stage::Failed, _) => {
            Ok(Event::Silence("there is nothing more to be done".to_owned()))
        }
    };
    let changes = matches!(stage, Stage::Submitted | Stage::RollingBack);
    seen.unwrap_or_else(|objection| match objection {
        Objection::Cluster(fault) if stage == Stage::Planned && is_final(&fault) => {
            Event::Changed(format!("{} cannot be changed: {fault}", this.target.shown()))
        }
        Objection::Cluster(fault) if changes && is_final(&fault) => Event::Refused(fault.to_string()),
        // Changed in between, as by its own status: it is looked at again.
        Objection::Cluster(fault) if changes && fault.code() == Some(409) => Event::Run(Run::Absent),
        Objection::Cluster(fault) => Event::Silence(fault.to_string()),
        Objection::Flink(error) => Event::Silence(error.to_string()),
    })
}

/// Which of the two runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    New,
    Old,
}

struct Application<'a> {
    step: &'a Step<'a>,
    target: &'a ManagerTarget,
}

impl<'a> Application<'a> {
    fn runs(&self, wanted: Wanted) -> (WantedRun<'a>, WantedRun<'a>) {
        let new = WantedRun { id: self.step.resubmission.target, sizes: &self.step.attempt.to };
        let old = WantedRun { id: self.step.resubmission.fallback, sizes: &self.step.attempt.from };
        match wanted {
            Wanted::New => (new, old),
            Wanted::Old => (old, new),
        }
    }

    fn location(&self) -> &'a str {
        self.step.resubmission.location.as_deref().unwrap_or_default()
    }

    /// Whether all is as it was when this was decided, and the object can be changed: by asking the API server to do it without doing it.
    async fn last_look(&self) -> Result<Event, Objection> {
        let step = self.step;
        let as_planned = step.as_planned().await?;
        let (job, until) = (step.attempt.job, step.until());
        match as_planned {
            Event::Run(Run::Present { state: JobState::Running, all_up: true, .. }) => {}
            // Flink would refuse the savepoint, as just after a JobManager has come back.
            Event::Run(Run::Present { state: JobState::Running, .. }) => {
                return Ok(Event::Changed("not all of the job's subtasks are running".to_owned()));
            }
            other => return Ok(other),
        }
        let Some((tree, seen)) = self.target.read().await? else {
            return Ok(Event::Changed(format!("there is no {}", self.target.shown())));
        };
        let seen = match seen {
            Ok(seen) => seen,
            Err(why) => return Ok(Event::Changed(why)),
        };
        let shown = self.target.shown();
        if let Some(hindrance) = &seen.hindrance {
            return Ok(Event::Changed(format!("{shown} cannot be used: {hindrance}")));
        }
        if seen.is_going || seen.pod != ManagerPod::Up {
            return Ok(Event::Changed(format!(
                "{shown} is not settled: its pod is about to be another, or not ready"
            )));
        }
        let (wanted, _) = self.runs(Wanted::New);
        let Ok(args) = Manager::arguments(&seen, wanted, "file:/to/be/taken") else {
            return Ok(Event::Changed(format!("{shown} does not run a JobManager in application mode")));
        };
        let object = (self.target.kind() == ManagerKind::Job).then(|| Box::new(to_create(&tree)));
        match &object {
            None => self.target.set_args(&seen, &args, Try::Dry).await?,
            Some(object) => {
                self.target.delete(&seen, Try::Dry).await?;
                self.target.create(&with_args(object, &seen.container, &args), Try::Dry).await?;
            }
        }
        let settings = match step.client.settings(until).await {
            Ok(settings) => Some(settings),
            Err(FlinkError::Refused { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let Some(started) = self.started(job).await? else {
            return Ok(Event::Changed("the job is not there any more".to_owned()));
        };
        let checkpoints = step.client.checkpoints(job, until).await?;
        Ok(Event::Fit(Box::new(Manager {
            kind: self.target.kind(),
            namespace: self.target.namespace().to_owned(),
            name: self.target.name().to_owned(),
            uid: seen.uid,
            args: seen.args_digest,
            rest: seen.rest,
            started,
            // Where that is not told, what is right with it does little harm without.
            is_highly_available: settings.is_none_or(|settings| settings.highly_available),
            savepoint_before: checkpoints.savepoint().map(str::to_owned),
            object,
            earlier: Vec::new(),
        })))
    }

    /// When a job was started that is there.
    async fn started(&self, job: JobId) -> Result<Option<i64>, FlinkError> {
        let jobs = self.step.client.jobs(self.step.until()).await?;
        Ok(jobs.iter().find(|listed| listed.id == job).map(|listed| listed.started))
    }

    /// How the stop goes; it is asked for, which is the same stop however often.
    async fn stop(&self, manager: &Manager) -> Result<Event, Objection> {
        let (step, job) = (self.step, self.step.attempt.job);
        let mut state = match step.state(job).await {
            Err(error) if is_away(&error) => return self.away(manager, error).await,
            state => state?,
        };
        if state.is_some_and(|state| !state.is_terminal()) {
            if self.started(job).await?.is_some_and(|started| started != manager.started) {
                return Ok(Event::Changed(
                    "the JobManager was started again while the job was to be stopped, and runs it anew"
                        .to_owned(),
                ));
            }
            if state == Some(JobState::Running)
                && let failed @ Stop::Failed(..) = step.ask_to_stop().await?
            {
                return Ok(Event::Stop(failed, state));
            }
            for _ in 0..LOOKS {
                if state.is_none_or(JobState::is_terminal) {
                    break;
                }
                step.client.pause(LOOKED_AT_EVERY).await;
                state = match step.state(job).await {
                    // An answer that is lost took longer than all the looks: another one, or no stop would ever be seen to have failed
                    // where one in ten is.
                    Err(error) if is_away(&error) => {
                        state = step.state(job).await?;
                        break;
                    }
                    state => state?,
                };
            }
        }
        match state {
            None => self.begun_anew().await,
            Some(JobState::Finished) => {
                self.savepoint(manager).await.map(|stop| Event::Stop(stop, Some(JobState::Finished)))
            }
            Some(JobState::Canceled) => Ok(Event::Stop(Stop::Forgotten(None), Some(JobState::Canceled))),
            // One that has failed may have done so after its savepoint, and only the result tells where that is.
            state => Ok(match (self.result().await?, state) {
                (Stop::Failed(why, None), Some(JobState::Failed)) => Event::Changed(format!(
                    "the job has failed with its stop, and its JobManager is started again and runs it anew: {why}"
                )),
                (told, state) => Event::Stop(told, state),
            }),
        }
    }

    /// What the JobManager says of the stop: read, so that it goes if the stop is done.
    async fn result(&self) -> Result<Stop, FlinkError> {
        let (step, job) = (self.step, self.step.attempt.job);
        match step.client.savepoint_status(job, step.resubmission.trigger, step.until()).await {
            Ok(status) => Ok(match status.outcome() {
                SavepointOutcome::UnderWay => Stop::UnderWay,
                SavepointOutcome::At(location) => Stop::Saved(location),
                SavepointOutcome::Failed(why, location) => Stop::Failed(why, location),
            }),
            Err(error) if error.refusal().is_some_and(is_unknown) => Ok(Stop::Forgotten(None)),
            Err(error) => Err(error),
        }
    }

    /// The savepoint of a job that has finished.
    async fn savepoint(&self, manager: &Manager) -> Result<Stop, Objection> {
        let (step, job) = (self.step, self.step.attempt.job);
        for _ in 0..ANSWERS {
            let checkpoints = step.client.checkpoints(job, step.until()).await?;
            let last = checkpoints.last_savepoint(step.resubmission.since());
            if let Some(last) = last.filter(|last| manager.savepoint_before.as_ref() != Some(last)) {
                return Ok(Stop::Saved(last));
            }
            step.client.pause(ASKED_EVERY).await;
        }
        // Better to know it, and to be quick, than not to know it.
        Ok(self.result().await?)
    }

    /// The JobManager does not know the job: it was started again. What it runs, it runs by its arguments.
    async fn begun_anew(&self) -> Result<Event, Objection> {
        let jobs = self.step.client.jobs(self.step.until()).await?;
        Ok(match jobs.iter().find(|job| !job.state.is_terminal()) {
            Some(job) => Event::Changed(format!(
                "the JobManager was started again while the job was to be stopped, and runs it anew as job {}",
                job.id
            )),
            None => Event::Silence("the JobManager knows no job yet: it was started again".to_owned()),
        })
    }

    /// The JobManager is not there while its job is to be stopped: nothing is lost by waiting, unless it does not come back.
    async fn away(&self, manager: &Manager, error: FlinkError) -> Result<Event, Objection> {
        match self.pod(manager).await? {
            Err(why) => Ok(Event::Changed(why)),
            Ok(ManagerPod::Ended(_)) => Ok(Event::Stop(Stop::Forgotten(None), Some(JobState::Finished))),
            Ok(ManagerPod::Starting | ManagerPod::Up) => Err(error.into()),
        }
    }

    /// How the JobManager's pod is, or what somebody else has done to its object, of which nothing of ours was written yet.
    async fn pod(&self, manager: &Manager) -> Result<Result<ManagerPod, String>, Fault> {
        Ok(match self.target.read().await? {
            Some((_, Ok(seen))) => manager.changed_since(&seen).map_or(Ok(seen.pod), Err),
            Some((_, Err(why))) => Err(why),
            None => Err(format!("somebody else has deleted {}", manager.shown())),
        })
    }

    /// Whether the run that was stopped has ended; a JobManager that is gone, or knows it no longer, does not run it.
    async fn ended(&self, manager: &Manager) -> Result<Event, Objection> {
        let (step, job) = (self.step, self.step.attempt.job);
        // After a savepoint whose job has failed, Flink may have started it again.
        let may_run_on = step.resubmission.detail.is_some();
        let state = match step.state(job).await {
            Err(error) if is_away(&error) && !may_run_on => None,
            Err(error) if is_away(&error) => match self.pod(manager).await? {
                Err(why) => return Ok(Event::Changed(why)),
                Ok(ManagerPod::Ended(_)) => None,
                Ok(ManagerPod::Starting | ManagerPod::Up) => return Err(error.into()),
            },
            state => state?,
        };
        let is_alive = state.is_some_and(|state| !state.is_terminal());
        if is_alive && self.started(job).await?.is_some_and(|started| started != manager.started) {
            return Ok(Event::Run(Run::Absent));
        }
        Ok(Event::Run(state.map_or(Run::Absent, |state| Run::Present {
            state,
            all_up: state == JobState::Running,
            restored: None,
        })))
    }

    /// The object, or why it is not to be touched any more. `None` is a Job that is not there.
    async fn object(
        &self,
        manager: &Manager,
        wanted: Wanted,
    ) -> Result<Result<Option<(ManagerSeen, ManagerIs)>, String>, Fault> {
        let (run, other) = self.runs(wanted);
        Ok(match self.target.read().await? {
            None if manager.kind == ManagerKind::Job => Ok(None),
            None => Err(format!("somebody else has deleted {}", manager.shown())),
            Some((_, Err(why))) => Err(why),
            Some((_, Ok(seen))) => match manager.compare(&seen, run, other, self.location()) {
                ManagerIs::Others(why) => Err(why),
                is => Ok(Some((seen, is))),
            },
        })
    }

    /// Nothing runs: whether the object is still to be changed by us.
    async fn look_at_object(&self, manager: &Manager) -> Result<Event, Objection> {
        Ok(match self.object(manager, Wanted::New).await? {
            Ok(_) => Event::Run(Run::Absent),
            Err(why) => Event::Changed(why),
        })
    }

    /// The run of these sizes: the object is changed where it is not of that run yet.
    async fn run(&self, manager: &Manager, wanted: Wanted) -> Result<Event, Objection> {
        let (run, _) = self.runs(wanted);
        let found = match self.object(manager, wanted).await? {
            Ok(found) => found,
            Err(why) => return Ok(Event::Changed(why)),
        };
        match found {
            Some((seen, ManagerIs::AsWanted)) => self.look(manager, &seen, run.id).await,
            Some((_, ManagerIs::Going)) => Ok(Event::Run(Run::Absent)),
            Some((seen, _)) => self.change(manager, &seen, run).await,
            None => self.create(manager, run).await,
        }
    }

    /// Gives a Deployment its next arguments, or makes place for the next Job.
    async fn change(
        &self,
        manager: &Manager,
        seen: &ManagerSeen,
        run: WantedRun<'_>,
    ) -> Result<Event, Objection> {
        if let Some(job) = self.runs_since_long().await? {
            return Ok(Event::Changed(format!(
                "the JobManager was started again meanwhile, and runs job {job} anew: it is not set back to the savepoint any more"
            )));
        }
        if !self.step.client.may_change() {
            return Ok(Event::Silence("the Lease is not held at present".to_owned()));
        }
        if manager.is_highly_available && self.cancels_others(run.id).await? {
            return Ok(Event::Run(Run::Absent));
        }
        match manager.kind {
            ManagerKind::Deployment => match Manager::arguments(seen, run, self.location()) {
                Ok(args) => self.target.set_args(seen, &args, Try::Real).await?,
                Err(why) => return Ok(Event::Changed(why.to_string())),
            },
            ManagerKind::Job => match self.target.delete(seen, Try::Real).await {
                // Somebody was quicker, or it was asked for before.
                Err(fault) if fault.code() == Some(404) => {}
                done => done?,
            },
        }
        Ok(Event::Run(Run::Absent))
    }

    /// A job that is none of ours and runs, where the savepoint is older than what may be undone.
    async fn runs_since_long(&self) -> Result<Option<JobId>, FlinkError> {
        let step = self.step;
        let reached = &step.resubmission.reached;
        let saved = reached.iter().rev().find(|reached| reached.stage == Stage::SavepointDone);
        let is_old = saved.is_some_and(|saved| step.resubmission.since().since(saved.at) > REPLACED_WITHIN);
        if !is_old {
            return Ok(None);
        }
        match step.rival(&[step.resubmission.target, step.resubmission.fallback]).await {
            Err(error) if is_away(&error) => Ok(None),
            rival => rival,
        }
    }

    /// With high availability, whatever runs would come back beside the next run; and up to 2.3 at least, Flink then refuses that.
    /// Whether any still does: what has ended is begun anew within seconds where the arguments are the same, so its end is waited for.
    async fn cancels_others(&self, id: JobId) -> Result<bool, FlinkError> {
        let step = self.step;
        for _ in 0..LOOKS {
            let jobs = match step.client.jobs(step.until()).await {
                // That no answer came in time does not say that nothing runs.
                Err(error) if is_away(&error) && !matches!(error, FlinkError::TimedOut { .. }) => {
                    return Ok(false);
                }
                jobs => jobs?,
            };
            let mut is_one = false;
            for job in jobs {
                if job.state.is_terminal() || job.id == id {
                    continue;
                }
                is_one = true;
                if job.state != JobState::Cancelling {
                    step.client.cancel(job.id, step.until()).await?;
                }
            }
            if !is_one {
                return Ok(false);
            }
            step.client.pause(LOOKED_AT_EVERY).await;
        }
        Ok(true)
    }

    async fn create(&self, manager: &Manager, run: WantedRun<'_>) -> Result<Event, Objection> {
        let again = match self.again(manager, run) {
            Ok(again) => again,
            Err(why) => return Ok(Event::Refused(why)),
        };
        if !self.step.client.may_change() {
            return Ok(Event::Silence("the Lease is not held at present".to_owned()));
        }
        self.target.create(&again, Try::Real).await?;
        Ok(Event::Run(Run::Absent))
    }

    fn again(&self, manager: &Manager, run: WantedRun<'_>) -> Result<serde_json::Value, String> {
        let object = manager.object.as_deref().ok_or("what the Job was is not known")?;
        let seen = of_gone(object)?;
        let args = Manager::arguments(&seen, run, self.location()).map_err(|why| why.to_string())?;
        Ok(with_args(object, &seen.container, &args))
    }

    /// The run, by the JobManager that is of it.
    async fn look(&self, manager: &Manager, seen: &ManagerSeen, id: JobId) -> Result<Event, Objection> {
        let target = self.step.resubmission.target;
        match self.step.look_at(id).await {
            Err(error) if is_away(&error) => match &seen.pod {
                ManagerPod::Ended(why) => Ok(Event::Refused(why.clone())),
                ManagerPod::Starting => Ok(Event::Run(Run::Absent)),
                ManagerPod::Up => Err(error.into()),
            },
            Err(error) => Err(error.into()),
            // With high availability, what was not ended comes back beside it, or in its place.
            Ok(_)
                if id != target
                    && self.step.state(target).await?.is_some_and(|state| !state.is_terminal()) =>
            {
                Ok(Event::Late)
            }
            Ok(_) if manager.is_highly_available && self.cancels_others(id).await? => {
                Ok(Event::Run(Run::Absent))
            }
            Ok(run) => Ok(Event::Run(run)),
        }
    }

    async fn confirm(&self) -> Result<Event, Objection> {
        let id = self.step.resubmission.target;
        match self.step.look_at(id).await {
            Err(error) if is_away(&error) => match self.target.read().await? {
                Some((_, Ok(seen))) if seen.pod == ManagerPod::Up => Err(error.into()),
                _ => Ok(Event::Run(Run::Absent)),
            },
            run => Ok(Event::Run(run?)),
        }
    }

    /// Ends the run at the new size. Without high availability its JobManager takes it along; one that was only cancelled would be
    /// started again by the arguments that are still there.
    async fn cancel(&self, manager: &Manager) -> Result<Event, Objection> {
        let found = match self.object(manager, Wanted::New).await? {
            Ok(found) => found,
            Err(why) => return Ok(Event::Changed(why)),
        };
        let is_of_it = matches!(found, Some((_, ManagerIs::AsWanted)));
        if found.is_none() || is_of_it && !manager.is_highly_available {
            return Ok(Event::Run(Run::Absent));
        }
        match self.step.cancel(self.step.resubmission.target).await {
            Err(error) if is_away(&error) && found.is_none_or(|(seen, _)| seen.pod != ManagerPod::Up) => {
                Ok(Event::Run(Run::Absent))
            }
            event => Ok(event?),
        }
    }
}

/// Nobody answers there, as while a pod is replaced.
fn is_away(error: &FlinkError) -> bool {
    match error {
        FlinkError::Unreachable { .. } | FlinkError::TimedOut { .. } => true,
        // What stands before it, or a leader that is not elected yet.
        FlinkError::Refused { status, .. } => matches!(status, 502..=504),
        _ => false,
    }
}

/// What brings the job back by hand.
pub(super) async fn by_manifest(
    target: &ManagerTarget,
    manager: &Manager,
    id: JobId,
    sizes: &BTreeMap<VertexId, Parallelism>,
    location: &str,
) -> Option<ByManifest> {
    let run = WantedRun { id, sizes };
    let manifest = match (&manager.object, target.read().await.ok().flatten()) {
        (Some(object), _) => {
            let seen = of_gone(object).ok()?;
            with_args(object, &seen.container, &Manager::arguments(&seen, run, location).ok()?)
        }
        (None, Some((_, Ok(seen)))) => {
            patch(&seen.container, &Manager::arguments(&seen, run, location).ok()?)
        }
        (None, _) => return None,
    };
    let (namespace, name) = (manager.namespace.clone(), manager.name.clone());
    Some(ByManifest { kind: manager.kind, namespace, name, manifest })
}

#[cfg(test)]
mod faults;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;
