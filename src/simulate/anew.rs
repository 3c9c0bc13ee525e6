//! The simulated job where it is stopped with a savepoint and run again.
//!
//! What the cluster keeps of it is in [`session`](super::session); here is what becomes of the job. There is one job at a time: while
//! one has not ended, no other is run.

use super::checkpoints::Checkpoints;
use super::flow::Positions;
use super::scheduler::Phase;
use super::session::{Declined, RunFault, Then, Wanted};
use super::simulation::{Simulation, job_id, millis, submit};
use crate::model::{JobId, JobState, TriggerId};

/// How long a savepoint takes of a job that makes no checkpoints, by which it is told otherwise.
const SAVEPOINT_MS: u64 = 300;

impl Simulation {
    /// Asks the job to stop with a savepoint.
    pub(super) fn ask_to_stop(&mut self, job: JobId, body: &[u8]) -> Result<TriggerId, Declined> {
        let takes = self.scenario.checkpoints.map_or(SAVEPOINT_MS, |settings| millis(settings.duration));
        let how = self.stop_faults.front().copied();
        let asked = self.session.stop(job, body, self.done, how, takes);
        if !matches!(asked, Ok((_, false))) {
            self.stop_faults.pop_front();
        }
        Ok(asked?.0)
    }

    /// Ends the stops that are due.
    pub(super) fn stops_due(&mut self, now: u64) {
        while let Some((trigger, job)) = self.session.ending(now) {
            let runs = job == self.job && self.scheduler.phase == Phase::Running;
            let positions = runs.then(|| self.flow.positions());
            let (then, savepoint) = self.session.end(trigger, positions.clone());
            let (Some(path), Some(positions)) = (savepoint, positions) else { continue };
            self.checkpoints.saved(path, now, positions.clone());
            let turn = match then {
                Then::RunsOn => None,
                Then::StartsAgain => self.scheduler.fail(now),
                Then::Finishes => self.scheduler.end(JobState::Finished, now),
                Then::Fails => self.scheduler.end(JobState::Failed, now),
            };
            self.follow(turn, now);
            self.flow.rewind(Some(&positions));
            if self.scheduler.state().is_terminal() {
                // It has nobody to keep slots for.
                self.lingering = (0, 0);
            }
        }
    }

    /// Runs the jar, as a job of this id if one is asked for; says its id. Without a savepoint it reads on where the last one was.
    pub(super) fn run_jar(&mut self, jar: &str, body: &[u8]) -> Result<JobId, Declined> {
        let wanted = Wanted::read(body)?;
        if !self.scheduler.state().is_terminal() {
            return Err(Declined::not_executed(&format!(
                "java.lang.IllegalStateException: the simulated Flink runs one job at a time, and {} has not ended",
                self.job
            )));
        }
        let sizes = self.sizes_of(&wanted)?;
        let id = wanted.job_id.unwrap_or_else(|| job_id(&self.scenario, self.ended.len() + 1));
        let how = self.run_faults.front().copied();
        let taken = self.session.run(jar, id, &wanted, how);
        if taken.is_ok() || how == Some(RunFault::Refused) {
            self.run_faults.pop_front();
        }
        let from = taken?;
        self.begin(id, sizes, how, from, wanted.savepoint_path);
        Ok(id)
    }

    fn begin(
        &mut self,
        id: JobId,
        sizes: Vec<u32>,
        how: Option<RunFault>,
        from: Option<Positions>,
        savepoint: Option<String>,
    ) {
        let archived = self.archive();
        self.ended.push(archived);
        self.job = id;
        self.scheduler = submit(&self.scenario, &self.graph, sizes, self.done).ailing(how);
        let positions = from.unwrap_or_else(|| self.flow.positions());
        self.flow.rewind(Some(&positions));
        self.checkpoints = Checkpoints::new(self.scenario.checkpoints, positions).begun_from(savepoint);
        self.cached = None;
    }

    /// The sizes that a run has: vertex by vertex in 1.19 and 1.20 (FLINK-33534, FLINK-38770), else the same for all.
    fn sizes_of(&self, wanted: &Wanted) -> Result<Vec<u32>, Declined> {
        let version = self.scenario.flink_version;
        let is_heeded = (1, 19) <= (version.major, version.minor) && version.major < 2;
        let overrides = wanted.overrides();
        let size = |(vertex, first): (&crate::model::Vertex, u32)| {
            let own = overrides.get(&vertex.id).copied().filter(|_| is_heeded);
            let size = own.or(wanted.parallelism).unwrap_or(first).max(1);
            let most = vertex.max_parallelism.get();
            if size > most {
                return Err(Declined::not_executed(&format!(
                    "org.apache.flink.util.FlinkRuntimeException: Vertex {}'s parallelism ({size}) is higher than the max \
                     parallelism ({most}). Please lower the parallelism or increase the max parallelism.",
                    vertex.name
                )));
            }
            Ok(size)
        };
        let first = self.scenario.vertices.iter().map(|vertex| vertex.parallelism);
        self.graph.vertices().iter().zip(first).map(size).collect()
    }
}
