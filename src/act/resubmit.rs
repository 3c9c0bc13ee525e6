//! Stopping a job with a savepoint and running its jar again at another size: one step at a time.
//!
//! What a state asks for is done, or done again, and what is then seen is told; which state comes next is the model's to say
//! ([`Resubmission`]). Nothing here remembers anything: a step after a crash is the same as one before it.

use std::collections::BTreeMap;

use kube::Client;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::model::{
    Attempt, Event, JobId, JobState, OVERRIDES, Parallelism, Rerun, Resubmission, Run, Stage, Stop, VertexId,
};
use crate::observe::flink::{FlinkClient, FlinkError, Refusal, RunRequest, SavepointOutcome, StopRequest};
use crate::observe::kubernetes::ManagerTarget;
use crate::policy::{AutoscalerSpec, SavepointSpec};

mod application;

/// How a job is run again.
#[derive(Clone)]
pub struct Program {
    /// Its jar, and where its savepoints go.
    pub savepoint: SavepointSpec,
    /// The name of the job, where it is found by that; otherwise it is the only one of its cluster.
    pub job: Option<String>,
    /// What runs its JobManager, where it is run again by that, or why it cannot be reached.
    pub manager: Option<Result<ManagerTarget, String>>,
}

impl Program {
    /// How the job of an autoscaler is run again, where it says so.
    pub fn of(
        spec: &AutoscalerSpec,
        namespace: Option<&str>,
        reach: &Result<(Client, String), String>,
    ) -> Option<Self> {
        let savepoint = spec.savepoint.clone()?;
        let manager = savepoint.job_manager.as_ref().map(|named| {
            let (client, default) = reach.as_ref().map_err(Clone::clone)?;
            Ok(ManagerTarget::new(client.clone(), namespace.unwrap_or(default), named))
        });
        Some(Self { savepoint, job: spec.flink.job.clone(), manager })
    }
}

/// How a job is brought back by hand at its old sizes.
pub async fn rerun(
    client: &FlinkClient,
    attempt: &Attempt,
    resubmission: &Resubmission,
    program: &Program,
) -> Rerun {
    let manifest = match (&program.manager, &resubmission.manager) {
        (Some(Ok(target)), Some(manager)) => {
            let location = resubmission.location.as_deref().unwrap_or("SAVEPOINT");
            // An id that no run has had yet.
            let id = Resubmission::new(resubmission.fallback, resubmission.since()).target;
            application::by_manifest(target, manager, id, &attempt.from, location).await
        }
        _ => None,
    };
    let SavepointSpec { jar, entry_class, args, .. } = program.savepoint.clone();
    let rerun = Rerun {
        url: client.url().to_owned(),
        jar,
        entry_class,
        args,
        sizes: attempt.from.clone(),
        savepoint: resubmission.location.clone(),
        manifest: manifest.map(Box::new),
    };
    rerun.without_secrets()
}

/// Disposes of savepoints. What comes of it is only said: they are of no use any more.
pub async fn dispose(client: FlinkClient, savepoints: Vec<String>) {
    for savepoint in savepoints {
        match client.dispose(&savepoint, Instant::now() + client.timeout()).await {
            Ok(()) => info!(savepoint, "an old savepoint is disposed of"),
            Err(error) => {
                warn!(savepoint, %error, "an old savepoint is not disposed of, and is left where it is");
            }
        }
    }
}

/// Does what the present state asks for, and tells what is then seen.
pub async fn step(
    client: &FlinkClient,
    attempt: &Attempt,
    resubmission: &Resubmission,
    program: &Program,
) -> Event {
    let step = Step { client, attempt, resubmission, program };
    match &program.manager {
        Some(Ok(target)) => return application::step(&step, target).await,
        Some(Err(why)) if resubmission.stage() == Stage::Planned => return Event::Changed(why.clone()),
        Some(Err(why)) => return Event::Silence(why.clone()),
        // Begun before the spec named a jar.
        None if resubmission.manager.is_some() => {
            return Event::Silence(
                "spec.savepoint.jobManager, which said how it is run again, is gone: write it again"
                    .to_owned(),
            );
        }
        None => {}
    }
    let seen = match resubmission.stage() {
        Stage::Planned => step.last_look().await,
        Stage::StopRequested => step.stop().await,
        Stage::SavepointDone => step.state_of(attempt.job).await.map(Event::Run),
        Stage::Stopped => {
            step.rival(&[resubmission.target, resubmission.fallback]).await.map(|rival| match rival {
                Some(rival) => Event::Rival(rival),
                None => Event::Run(Run::Absent),
            })
        }
        Stage::Submitted => step.run(resubmission.target, &attempt.to).await,
        Stage::Confirming => step.look_at(resubmission.target).await.map(Event::Run),
        Stage::Cancelling => step.cancel(resubmission.target).await,
        Stage::RollingBack => step.run_back().await,
        Stage::Done | Stage::RolledBack | Stage::NotStopped | Stage::Superseded | Stage::Failed => {
            Ok(Event::Silence("there is nothing more to be done".to_owned()))
        }
    };
    seen.unwrap_or_else(|error| Event::Silence(error.to_string()))
}

fn run_request<'a>(
    program: &'a Program,
    sizes: &BTreeMap<VertexId, Parallelism>,
    id: JobId,
    location: &'a str,
) -> RunRequest<'a> {
    let overrides =
        sizes.iter().map(|(vertex, size)| format!("{vertex}:{size}")).collect::<Vec<_>>().join(",");
    RunRequest {
        entry_class: program.savepoint.entry_class.as_deref(),
        program_args_list: &program.savepoint.args,
        parallelism: sizes.values().copied().max().unwrap_or(Parallelism::ONE).get(),
        job_id: id,
        allow_non_restored_state: false,
        savepoint_path: location,
        // Where it is ignored it does no harm.
        flink_configuration: BTreeMap::from([(OVERRIDES, overrides)]),
    }
}

struct Step<'a> {
    client: &'a FlinkClient,
    attempt: &'a Attempt,
    resubmission: &'a Resubmission,
    program: &'a Program,
}

impl Step<'_> {
    fn until(&self) -> Instant {
        Instant::now() + self.client.timeout()
    }

    /// Whether the job is still as it was when this was decided, and its jar is there.
    async fn last_look(&self) -> Result<Event, FlinkError> {
        let seen = self.as_planned().await?;
        let is_fit = matches!(seen, Event::Run(Run::Present { state: JobState::Running, .. }));
        // What is not there cannot be run again: better to know before the job is stopped.
        if is_fit && self.jar().await?.is_none() {
            return Ok(Event::Changed(self.no_jar()));
        }
        Ok(seen)
    }

    /// Whether the job is still as it was when this was decided.
    async fn as_planned(&self) -> Result<Event, FlinkError> {
        let job = self.attempt.job;
        let run = self.look_at(job).await?;
        if !matches!(run, Run::Present { state: JobState::Running, .. }) {
            return Ok(Event::Run(run));
        }
        let view = self.client.job(job, self.until()).await?;
        let resized = view
            .readings
            .iter()
            .find(|(vertex, reading)| self.attempt.from.get(vertex) != Some(&reading.parallelism));
        if resized.is_some() || view.readings.len() != self.attempt.from.len() {
            return Ok(Event::Changed("the job has other sizes, or other vertices, by now".to_owned()));
        }
        Ok(Event::Run(run))
    }

    /// How the stop goes; it is asked for where the JobManager does not know of it.
    async fn stop(&self) -> Result<Event, FlinkError> {
        let (job, trigger) = (self.attempt.job, self.resubmission.trigger);
        // The state first: a job that is seen to run after its stop was told to have ended has not stopped.
        let stop = match self.client.savepoint_status(job, trigger, self.until()).await {
            Ok(status) => match status.outcome() {
                SavepointOutcome::UnderWay => Stop::UnderWay,
                SavepointOutcome::At(location) => Stop::Saved(location),
                SavepointOutcome::Failed(why, location) => Stop::Failed(why, location),
            },
            Err(error) if error.refusal().is_some_and(is_unknown) => Stop::Forgotten(None),
            Err(error) => return Err(error),
        };
        let state = self.state(job).await?;
        let stop = match (stop, state) {
            // A stop fails at once while a subtask is still to come up, as when the JobManager has just come back.
            (Stop::Forgotten(_), Some(JobState::Running)) => match self.look_at(job).await? {
                Run::Present { all_up: true, .. } => self.ask_to_stop().await?,
                Run::Present { .. } | Run::Absent => Stop::Forgotten(None),
            },
            (Stop::Forgotten(_), Some(_)) => {
                let checkpoints = self.client.checkpoints(job, self.until()).await?;
                Stop::Forgotten(checkpoints.last_savepoint(self.resubmission.since()))
            }
            (stop, _) => stop,
        };
        Ok(Event::Stop(stop, state))
    }

    async fn ask_to_stop(&self) -> Result<Stop, FlinkError> {
        let request = StopRequest {
            target_directory: self.program.savepoint.directory.as_deref(),
            drain: false,
            format_type: self.program.savepoint.format,
            trigger_id: self.resubmission.trigger,
        };
        match self.client.stop(self.attempt.job, &request, self.until()).await {
            Ok(()) => Ok(Stop::UnderWay),
            // As where no directory for savepoints is known.
            Err(error @ FlinkError::Refused { refusal: Refusal::Other | Refusal::NotAllowed, .. }) => {
                Ok(Stop::Failed(error.to_string(), None))
            }
            Err(error) => Err(error),
        }
    }

    /// Another job that has taken the place of ours, or ours itself under an id that it is not to run under any more.
    async fn rival(&self, but: &[JobId]) -> Result<Option<JobId>, FlinkError> {
        let Resubmission { target, fallback, .. } = self.resubmission;
        let ours = [self.attempt.job, *target, *fallback];
        let jobs = self.client.jobs(self.until()).await?;
        let is_meant = |name: &str| self.program.job.as_deref().is_none_or(|job| job == name);
        let mut running = jobs.iter().filter(|job| !job.state.is_terminal() && !but.contains(&job.id));
        Ok(running.find(|job| is_meant(&job.name) || ours.contains(&job.id)).map(|job| job.id))
    }

    /// The run at the old size; one at the new size that Flink has begun late goes first.
    async fn run_back(&self) -> Result<Event, FlinkError> {
        let Resubmission { target, fallback, .. } = self.resubmission;
        match self.state(*target).await? {
            Some(state) if !state.is_terminal() => Ok(Event::Late),
            _ => self.run(*fallback, &self.attempt.from).await,
        }
    }

    /// The run of this id; the jar is run under it where the cluster does not know it yet.
    async fn run(&self, id: JobId, sizes: &BTreeMap<VertexId, Parallelism>) -> Result<Event, FlinkError> {
        let run = self.look_at(id).await?;
        // What was given up is not asked for again; an earlier request may yet be worked on.
        let is_given_up = self.resubmission.is_given_up;
        let is_alive = matches!(run, Run::Present { state, .. } if !state.is_terminal());
        let is_new = id == self.resubmission.target;
        if is_given_up && is_new && is_alive && self.rival(&[id]).await?.is_some() {
            return Ok(Event::Late);
        }
        if run != Run::Absent || is_given_up {
            return Ok(Event::Run(run));
        }
        // Somebody may have run it while Flink was not heard.
        if let Some(rival) = self.rival(&[id]).await? {
            return Ok(Event::Rival(rival));
        }
        let Some(location) = self.resubmission.location.as_deref() else {
            return Ok(Event::Refused("where the savepoint is is not known".to_owned()));
        };
        let Some(jar) = self.jar().await? else { return Ok(Event::Refused(self.no_jar())) };
        let request = run_request(self.program, sizes, id, location);
        match self.client.run_jar(&jar, &request, self.until()).await {
            Ok(()) => Ok(Event::Run(self.look_at(id).await?)),
            Err(error @ FlinkError::Refused { refusal: Refusal::Other | Refusal::NotAllowed, .. }) => {
                // It may have been taken a moment ago, when nobody was there to hear the answer.
                match self.look_at(id).await? {
                    Run::Absent | Run::Present { state: JobState::Failed, .. } => {
                        Ok(Event::Refused(error.to_string()))
                    }
                    present @ Run::Present { .. } => Ok(Event::Run(present)),
                }
            }
            Err(error @ (FlinkError::Refused { .. } | FlinkError::NotLeading { .. })) => Err(error),
            Err(error) => Ok(Event::Unanswered(error.to_string())),
        }
    }

    async fn jar(&self) -> Result<Option<String>, FlinkError> {
        let jars = match self.client.jars(self.until()).await {
            // An application cluster has none.
            Err(error) if error.refusal() == Some(Refusal::NoSuchPath) => return Ok(None),
            jars => jars?,
        };
        Ok(jars.newest(&self.program.savepoint.jar).map(str::to_owned))
    }

    fn no_jar(&self) -> String {
        format!(
            "there is no jar {} on the cluster; upload it to {}/jars/upload, and let web.upload.dir outlive the JobManager",
            self.program.savepoint.jar,
            self.client.url()
        )
    }

    async fn cancel(&self, id: JobId) -> Result<Event, FlinkError> {
        let run = self.state_of(id).await?;
        if let Run::Present { state, .. } = run
            && !state.is_terminal()
            && state != JobState::Cancelling
        {
            self.client.cancel(id, self.until()).await?;
        }
        Ok(Event::Run(run))
    }

    async fn state(&self, id: JobId) -> Result<Option<JobState>, FlinkError> {
        match self.client.job_state(id, self.until()).await {
            Ok(state) => Ok(Some(state)),
            Err(error) if error.refusal() == Some(Refusal::UnknownJob) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn state_of(&self, id: JobId) -> Result<Run, FlinkError> {
        let state = self.state(id).await?;
        Ok(state.map_or(Run::Absent, |state| Run::Present {
            state,
            all_up: state == JobState::Running,
            restored: None,
        }))
    }

    /// The whole of it: the state as it is now, and whether all subtasks are up, which may be 3 s old.
    async fn look_at(&self, id: JobId) -> Result<Run, FlinkError> {
        let Some(state) = self.state(id).await? else { return Ok(Run::Absent) };
        if state != JobState::Running {
            return Ok(Run::Present { state, all_up: false, restored: None });
        }
        let (view, checkpoints) =
            tokio::try_join!(self.client.job(id, self.until()), self.client.checkpoints(id, self.until()))?;
        let is_up = |running: u32, of: Parallelism| running == of.get();
        let all_up = view.graph.is_some()
            && view.readings.iter().all(|(_, reading)| is_up(reading.running, reading.parallelism));
        Ok(Run::Present { state, all_up, restored: checkpoints.restored() })
    }
}

/// What Flink says of an operation that it does not know.
fn is_unknown(refusal: Refusal) -> bool {
    matches!(refusal, Refusal::UnknownJob | Refusal::NoSuchPath)
}

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod schedules;
