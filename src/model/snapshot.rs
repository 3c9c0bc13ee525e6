//! What one poll saw of one job, or why it saw nothing. Serialised in journals: the fields are a promise.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Around, Graph, JobId, Parallelism, Timestamp};

/// What came of one poll.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one, and there is one at a time")]
pub enum Observation {
    /// The job answered.
    Seen(Snapshot),
    /// It did not, or what it said cannot be used.
    Missed(Missed),
}

impl Observation {
    /// When the poll ended, by Tidegate's clock.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Seen(snapshot) => snapshot.at,
            Self::Missed(missed) => missed.at,
        }
    }
}

/// A poll that brought nothing usable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// When the poll ended, by Tidegate's clock.
    pub at: Timestamp,
    /// The kind of failure.
    pub why: MissedWhy,
    /// One line for people: what was asked and what came back.
    pub detail: String,
}

/// Why a poll brought nothing usable; a closed list, fit for a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MissedWhy {
    /// No connection, or it broke.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// Something answered that is not Flink, or in a form that is not known.
    NotUnderstood,
    /// Flink answered with an error.
    Refused,
    /// No job of that name or id.
    NoSuchJob,
    /// More than one running job of that name.
    AmbiguousJob,
    /// Flink is set never to fetch metrics: no counter will ever be seen.
    NoMetrics,
    /// The job waits for the slots to start with; Flink does not know its graph yet.
    NotStarted,
}

impl MissedWhy {
    /// The name alone: a metric label.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Unreachable => "Unreachable",
            Self::TimedOut => "TimedOut",
            Self::NotUnderstood => "NotUnderstood",
            Self::Refused => "Refused",
            Self::NoSuchJob => "NoSuchJob",
            Self::AmbiguousJob => "AmbiguousJob",
            Self::NoMetrics => "NoMetrics",
            Self::NotStarted => "NotStarted",
        }
    }
}

/// The state of a job, in Flink's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "Flink's JobStatus, word for word")]
pub enum JobState {
    Initializing,
    Created,
    Running,
    Failing,
    Failed,
    Cancelling,
    Canceled,
    Finished,
    Restarting,
    Suspended,
    Reconciling,
}

impl JobState {
    /// Whether the job has ended for good.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Failed | Self::Canceled | Self::Finished)
    }
}

/// Which scheduler runs the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scheduler {
    /// Takes resource requirements: can be rescaled in place.
    Adaptive,
    /// Adaptive in reactive mode: takes all slots there are, no requirements.
    Reactive,
    /// Neither.
    Default,
    /// The version or the settings do not tell.
    Unknown,
}

/// A Flink version, `major.minor.patch`; what follows the patch is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct FlinkVersion {
    /// 1 or 2.
    pub major: u16,
    /// The release line.
    pub minor: u16,
    /// The patch release; 0 when it is not told.
    pub patch: u16,
}

impl FlinkVersion {
    /// Whether idle and back-pressured time is too long, and what remains for busy time too short: a wait that an update of the
    /// timers (every 5 s) falls into is counted twice as far as it had lasted by then (FLINK-35764). Read in the code of 1.17.2,
    /// 1.18.1, 1.19.1 and 1.20.0, and no longer in that of 1.19.2 and 1.20.1.
    pub fn counts_waits_twice(self) -> bool {
        match (self.major, self.minor) {
            (1, 20) => self.patch < 1,
            (1, 19) => self.patch < 2,
            (major, minor) => (major, minor) < (1, 19),
        }
    }
}

impl FromStr for FlinkVersion {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.trim().split(['.', '-']);
        let mut next = || parts.next().and_then(|part| part.parse().ok());
        match (next(), next(), next()) {
            (Some(major), Some(minor), patch) => Ok(Self { major, minor, patch: patch.unwrap_or(0) }),
            _ => Err(format!("expected a Flink version such as 2.3.0, not {text:?}")),
        }
    }
}

impl fmt::Display for FlinkVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl From<FlinkVersion> for String {
    fn from(version: FlinkVersion) -> Self {
        version.to_string()
    }
}

impl TryFrom<String> for FlinkVersion {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// What the cluster is: read once when it is first reached, and again after it was away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// `/config.flink-version`.
    pub version: FlinkVersion,
    /// From `/config.features.web-rescale` (1.18+) and, on 2.3, `schedulerType`.
    pub scheduler: Scheduler,
    /// `/config.features.web-submit` is false: no jar can be run over REST, as in application mode.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub takes_no_jars: bool,
}

/// The cluster's slots (`/overview`), not read in every cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Slots {
    /// When they were read.
    pub at: Timestamp,
    /// All slots of all TaskManagers.
    pub total: u32,
    /// Slots that no job holds.
    pub available: u32,
    /// Registered TaskManagers.
    pub taskmanagers: u32,
    /// Jobs that run on the cluster, this one included.
    pub jobs_running: u32,
}

impl Slots {
    /// Slots of one TaskManager, when all have the same number; 1 at the least: one without any would be none.
    pub fn per_taskmanager(&self) -> Option<u32> {
        let per = self.total.checked_div(self.taskmanagers)?;
        (per > 0 && self.total.is_multiple_of(self.taskmanagers)).then_some(per)
    }
}

/// One vertex's part of a snapshot. Counters are cumulative since the vertex last started, summed over its subtasks;
/// `None` where Flink does not know (yet): `*-complete: false`, or NaN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    /// Subtasks it has, or is to have while the job is not RUNNING.
    pub parallelism: Parallelism,
    /// Subtasks that are RUNNING (or FINISHED).
    pub running: u32,
    /// Records taken in; up to Flink 1.20 always 0 for a source.
    pub read_records: Option<u64>,
    /// Records put out; 0 for a sink.
    pub write_records: Option<u64>,
    /// Accumulated busy time, milliseconds of subtasks; `None` for legacy sources.
    pub busy_ms: Option<u64>,
    /// Accumulated idle time, milliseconds of subtasks.
    pub idle_ms: Option<u64>,
    /// Accumulated back-pressured time, milliseconds of subtasks.
    pub back_pressured_ms: Option<u64>,
    /// Sources: `pendingRecords`, summed over subtasks; `None` where the connector does not report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_records: Option<u64>,
    /// Sources that do not report `pendingRecords`: `currentEmitEventTimeLag` of the subtask that is furthest behind, in
    /// milliseconds; `None` where no record had a time yet, or none that can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time_lag_ms: Option<u64>,
}

#[cfg(test)]
impl Reading {
    /// Of a vertex that runs with all of its subtasks, and has done nothing yet.
    pub(crate) fn fresh(parallelism: Parallelism) -> Self {
        Self {
            parallelism,
            running: parallelism.get(),
            read_records: Some(0),
            write_records: Some(0),
            busy_ms: Some(0),
            idle_ms: Some(0),
            back_pressured_ms: Some(0),
            pending_records: None,
            event_time_lag_ms: None,
        }
    }
}

/// What one poll saw of one job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// When the answer was received, by Tidegate's clock.
    pub at: Timestamp,
    /// The job's id.
    pub job: JobId,
    /// The job's name.
    pub name: String,
    /// The job's state.
    pub state: JobState,
    /// `timestamps.RUNNING`, by the JobManager's clock: when the job last became RUNNING; `None` when it never was.
    pub running_since: Option<Timestamp>,
    /// When the job last stopped to start again, by the JobManager's clock: `timestamps.RESTARTING` while it is in that
    /// state. Flink forgets that when the last old subtask is gone; from then on it is `timestamps.CREATED`, that moment.
    pub restarting_since: Option<Timestamp>,
    /// `now`, by the JobManager's clock.
    pub flink_now: Timestamp,
    /// What the cluster is.
    pub cluster: Cluster,
    /// The cluster's slots, when they were last read.
    pub slots: Option<Slots>,
    /// The job's graph.
    pub graph: Arc<Graph>,
    /// One reading for each of the graph's vertices, in its order.
    pub vertices: Vec<Reading>,
    /// What is around the job.
    #[serde(default, skip_serializing_if = "Around::is_empty")]
    pub around: Around,
}

impl Snapshot {
    /// The parallelism of every vertex, in the graph's order.
    pub fn parallelism(&self) -> Vec<Parallelism> {
        self.vertices.iter().map(|reading| reading.parallelism).collect()
    }

    /// Whether the job is RUNNING with every subtask of every vertex up.
    pub fn is_fully_running(&self) -> bool {
        self.state == JobState::Running && self.vertices.iter().all(|v| v.running >= v.parallelism.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_versions_count_waits_twice() {
        for (version, expected) in [
            ("1.17.2", true),
            ("1.18.1", true),
            ("1.19.1", true),
            ("1.19.2", false),
            ("1.20.0", true),
            ("1.20.1", false),
            ("1.20-SNAPSHOT", true),
            ("2.0.0", false),
            ("2.3.0", false),
        ] {
            let version: FlinkVersion = version.parse().expect("a version");
            assert_eq!(version.counts_waits_twice(), expected, "{version}");
        }
    }
}
