//! Stopping a job with a savepoint, and running its jar again: `/jobs/:id/stop`, `/jobs/:id/savepoints/:trigger`,
//! `/jobs/:id/checkpoints`, `/jars`, `/jars/:id/run`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{JobId, Restored, Timestamp, TriggerId};
use crate::policy::SavepointFormat;

/// `POST /jobs/:id/stop`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StopRequest<'a> {
    /// Where the savepoint goes; the cluster's own directory without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target_directory: Option<&'a str>,
    /// Whether the job works everything off as at its end. Never for one that goes on.
    pub(crate) drain: bool,
    /// The form of the savepoint.
    pub(crate) format_type: SavepointFormat,
    /// What the operation is to be known by.
    pub(crate) trigger_id: TriggerId,
}

/// `GET /jobs/:id/savepoints/:trigger`. That it is completed does not mean that it went well.
#[derive(Debug, Deserialize)]
pub(crate) struct SavepointStatus {
    status: StatusId,
    operation: Option<Operation>,
}

#[derive(Debug, Deserialize)]
struct StatusId {
    id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Operation {
    location: Option<String>,
    failure_cause: Option<Cause>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cause {
    #[serde(default)]
    stack_trace: String,
}

/// How an operation stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SavepointOutcome {
    /// It is under way.
    UnderWay,
    /// The savepoint is here.
    At(String),
    /// It has failed: Flink's reason, and where the savepoint is all the same, if it says so.
    Failed(String, Option<String>),
}

/// A JobManager's clock may be behind ours by so much. Within that the last savepoint is the one that was asked for.
const CLOCKS_DIFFER: Duration = Duration::from_mins(5);

/// What Flink says before the path where the job failed after its savepoint (`StopWithSavepointStoppingException`).
const CREATED_AT: &str = "A savepoint has been created at: ";

impl SavepointStatus {
    pub(crate) fn outcome(self) -> SavepointOutcome {
        match self.operation {
            _ if self.status.id != "COMPLETED" => SavepointOutcome::UnderWay,
            Some(Operation { location: Some(location), .. }) => SavepointOutcome::At(location),
            Some(Operation { failure_cause: Some(cause), .. }) => {
                let created =
                    cause.stack_trace.split_once(CREATED_AT).and_then(|(_, rest)| rest.split(',').next());
                SavepointOutcome::Failed(innermost(&cause.stack_trace), created.map(str::to_owned))
            }
            Some(_) | None => SavepointOutcome::Failed(NO_REASON.to_owned(), None),
        }
    }
}

/// Where Flink gives none.
pub(crate) const NO_REASON: &str = "no reason given";

/// The last cause of a Java stack trace: those before it only wrap it.
fn innermost(trace: &str) -> String {
    let mut causes = trace.lines().filter_map(|line| line.trim_start().strip_prefix("Caused by: "));
    let line = causes.next_back().or_else(|| trace.lines().next()).unwrap_or_default();
    let line: String = line.chars().take(300).collect();
    if line.trim().is_empty() { NO_REASON.to_owned() } else { line.trim().to_owned() }
}

/// `GET /jobs/:id/checkpoints`, as far as it matters.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Checkpoints {
    #[serde(default)]
    latest: Latest,
}

#[derive(Debug, Default, Deserialize)]
struct Latest {
    completed: Option<Completed>,
    savepoint: Option<Savepoint>,
    restored: Option<RawRestored>,
}

#[derive(Debug, Deserialize)]
struct Completed {
    trigger_timestamp: i64,
}

#[derive(Debug, Deserialize)]
struct Savepoint {
    status: String,
    trigger_timestamp: i64,
    external_path: Option<String>,
}

#[derive(Debug, Deserialize)]
struct RawRestored {
    is_savepoint: bool,
    external_path: Option<String>,
}

impl Checkpoints {
    /// The savepoint that a job that has ended was stopped with, asked for at `since` by our clock: the last of all that it has made,
    /// as no checkpoint follows it.
    pub(crate) fn last_savepoint(&self, since: Timestamp) -> Option<String> {
        let Latest { completed, savepoint, .. } = &self.latest;
        let savepoint = savepoint.as_ref().filter(|savepoint| savepoint.status == "COMPLETED")?;
        let is_last =
            completed.as_ref().is_none_or(|last| last.trigger_timestamp <= savepoint.trigger_timestamp);
        let is_meant = Timestamp::from_millis(savepoint.trigger_timestamp) >= since - CLOCKS_DIFFER;
        savepoint.external_path.clone().filter(|_| is_last && is_meant)
    }

    /// Where the last savepoint of the run is, whoever asked for it.
    pub(crate) fn savepoint(&self) -> Option<&str> {
        self.latest.savepoint.as_ref()?.external_path.as_deref()
    }

    /// What the job was last restored from.
    pub(crate) fn restored(self) -> Option<Restored> {
        let RawRestored { is_savepoint, external_path } = self.latest.restored?;
        Some(Restored { path: external_path?, is_savepoint })
    }
}

/// `GET /jars`.
#[derive(Debug, Deserialize)]
pub(crate) struct Jars {
    #[serde(default)]
    files: Vec<Jar>,
}

#[derive(Debug, Deserialize)]
struct Jar {
    id: String,
    name: String,
    uploaded: i64,
}

impl Jars {
    /// The id of the newest jar of a name.
    pub(crate) fn newest(&self, name: &str) -> Option<&str> {
        let named = self.files.iter().filter(|jar| jar.name == name);
        named.max_by_key(|jar| jar.uploaded).map(|jar| jar.id.as_str())
    }
}

/// `POST /jars/:id/run`. Only what every version knows: up to 1.19 an unknown field is refused.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunRequest<'a> {
    /// The class whose `main` is run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) entry_class: Option<&'a str>,
    /// Its arguments.
    pub(crate) program_args_list: &'a [String],
    /// The parallelism of what sets none of its own.
    pub(crate) parallelism: u32,
    /// The job's id: Flink takes each once.
    pub(crate) job_id: JobId,
    /// Whether state that nothing takes up may be lost. Never.
    pub(crate) allow_non_restored_state: bool,
    /// The savepoint.
    pub(crate) savepoint_path: &'a str,
    /// Settings of the job.
    pub(crate) flink_configuration: BTreeMap<&'static str, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_completed_operation_may_have_failed() {
        use SavepointOutcome::{At, Failed, UnderWay};
        let trace = |text: &str| {
            format!(
                r#"{{"status":{{"id":"COMPLETED"}},"operation":{{"failure-cause":{{"class":"X","stack-trace":"{text}","serialized-throwable":"AA"}}}}}}"#
            )
        };
        for (answer, expected) in [
            (r#"{"status":{"id":"IN_PROGRESS"},"operation":null}"#.to_owned(), UnderWay),
            (r#"{"status":{"id":"COMPLETED"},"operation":{"location":"file:/s/savepoint-1"}}"#.to_owned(), At("file:/s/savepoint-1".to_owned())),
            (
                trace(r"java.util.CompletionException: a: b\n\tat x\nCaused by: java.io.IOException: cannot write\n\tat y"),
                Failed("java.io.IOException: cannot write".to_owned(), None),
            ),
            (
                trace(r"o.a.StopWithSavepointStoppingException: A savepoint has been created at: file:/s/1, but the corresponding job failed"),
                Failed(
                    "o.a.StopWithSavepointStoppingException: A savepoint has been created at: file:/s/1, but the corresponding job failed".to_owned(),
                    Some("file:/s/1".to_owned()),
                ),
            ),
        ] {
            let status: SavepointStatus = serde_json::from_str(&answer).expect(&answer);
            assert_eq!(status.outcome(), expected, "{answer}");
        }
    }

    #[test]
    fn the_newest_jar_of_a_name() {
        let jars = r#"{"address":"x","files":[{"id":"1_a.jar","name":"a.jar","uploaded":5,"entry":[]},
            {"id":"3_a.jar","name":"a.jar","uploaded":7,"entry":[]},{"id":"2_b.jar","name":"b.jar","uploaded":9,"entry":[]}]}"#;
        let jars: Jars = serde_json::from_str(jars).expect("jars");
        assert_eq!((jars.newest("a.jar"), jars.newest("c.jar")), (Some("3_a.jar"), None));
    }

    #[test]
    fn a_savepoint_of_before_is_not_meant() {
        let checkpoints = |completed: &str| {
            format!(
                r#"{{"counts":{{}},"latest":{{"completed":{completed},"savepoint":{{"status":"COMPLETED","trigger_timestamp":100,
                "external_path":"file:/s/1"}},"restored":{{"id":1,"restore_timestamp":5,"is_savepoint":true,"external_path":"file:/s/0"}}}}}}"#
            )
        };
        let read =
            |completed| serde_json::from_str::<Checkpoints>(&checkpoints(completed)).expect("checkpoints");
        let (ours, skew) = (Some("file:/s/1"), 300_000);
        for (completed, since, found) in [
            ("null", 100, ours),
            ("null", 100 + skew, ours),
            ("null", 101 + skew, None),
            (r#"{"trigger_timestamp":99}"#, 100, ours),
            // Somebody took it while the job ran on.
            (r#"{"trigger_timestamp":101}"#, 100, None),
        ] {
            let last = read(completed).last_savepoint(Timestamp::from_millis(since));
            assert_eq!(last.as_deref(), found, "{completed} since {since}");
        }
        let restored = Restored { path: "file:/s/0".to_owned(), is_savepoint: true };
        assert_eq!(read("null").restored(), Some(restored));
    }
}
