//! What a cluster is like, as far as it matters to scaling: read once, with GETs only, and judged by
//! [`findings`](super::findings).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use super::client::FlinkClient;
use super::error::FlinkError;
use super::wire::{Answer, Config, JobView, Overview, WireError};
use crate::model::{FlinkVersion, JobId, JobState, Timestamp};

/// Jobs of a session cluster that are looked at, unless one is named: more would be load for the JobManager.
const MOST_JOBS: usize = 20;

/// The settings that matter; nothing else is kept, for there may be secrets among them.
const KEPT: [&str; 8] = [
    "jobmanager.scheduler",
    "scheduler-mode",
    "metrics.fetcher.update-interval",
    "jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling",
    "jobmanager.adaptive-scheduler.scaling-interval.min",
    "jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout",
    "jobmanager.adaptive-scheduler.rescale-trigger.max-delay",
    "taskmanager.network.memory.buffer-debloat.enabled",
];

/// What was seen of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkup {
    /// Its version.
    pub version: FlinkVersion,
    /// `/config.features.web-rescale`.
    pub web_rescale: Option<bool>,
    /// The settings that matter, as they are set; `None` where they may not be read.
    pub settings: Option<BTreeMap<String, String>>,
    /// Whether a reporter for Prometheus is set up; `None` where that cannot be known.
    pub reports: Option<bool>,
    /// All slots.
    pub slots: u32,
    /// Slots that no job holds.
    pub free: u32,
    /// TaskManagers.
    pub taskmanagers: u32,
    /// The JobManager's clock before ours (negative: behind), milliseconds; `None` without a job.
    pub skew_ms: Option<i64>,
    /// The jobs that run, or the one that was asked for.
    pub jobs: Vec<JobCheckup>,
    /// The job that was asked for and does not run, with the names of those that do.
    pub sought: Option<(String, Vec<String>)>,
}

/// What was seen of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobCheckup {
    /// Its name.
    pub name: String,
    /// Its checkpoints; `None` where they cannot be read.
    pub checkpoints: Option<Checkpoints>,
    /// Name, subtasks and max parallelism of each vertex.
    pub vertices: Vec<(String, u32, u32)>,
}

/// How a job takes checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoints {
    /// From one to the next; `None` where there are none.
    pub interval: Option<Duration>,
    /// Whether barriers overtake records.
    pub unaligned: bool,
}

#[derive(Deserialize)]
struct RawCheckpoints {
    interval: i64,
    #[serde(default)]
    unaligned_checkpoints: bool,
}

impl Answer<'_> for Checkpoints {
    fn read(body: &[u8]) -> Result<Self, WireError> {
        // Without checkpoints Flink answers with the largest number there is.
        const NEVER: i64 = i64::MAX / 2;
        let raw: RawCheckpoints = serde_json::from_slice(body)?;
        let interval = u64::try_from(raw.interval).ok().filter(|_| raw.interval < NEVER);
        let interval = interval.filter(|millis| *millis > 0).map(Duration::from_millis);
        Ok(Self { interval, unaligned: raw.unaligned_checkpoints })
    }
}

/// The settings of a cluster.
struct Kept {
    settings: BTreeMap<String, String>,
    reports: bool,
}

impl Answer<'_> for Kept {
    fn read(body: &[u8]) -> Result<Self, WireError> {
        #[derive(Deserialize)]
        struct Setting {
            key: String,
            value: String,
        }
        let all: Vec<Setting> = serde_json::from_slice(body)?;
        let reports = all.iter().any(|setting| {
            setting.key.starts_with("metrics.reporter.") && setting.value.contains("PrometheusReporter")
        });
        let kept = all.into_iter().filter(|setting| KEPT.contains(&&*setting.key));
        let settings = kept.map(|setting| (setting.key, setting.value)).collect();
        Ok(Self { settings, reports })
    }
}

impl Checkup {
    /// Looks at a cluster, and at the job that is named or all that run.
    ///
    /// # Errors
    /// When the cluster cannot be reached, or what answers is not Flink.
    pub async fn take(
        client: &FlinkClient,
        job: Option<&str>,
        now: fn() -> Timestamp,
    ) -> Result<Self, FlinkError> {
        let until = Instant::now() + client.timeout();
        let Config { version, web_rescale, web_submit: _ } = client.config(until).await?;
        let (kept, overview, listed) =
            tokio::join!(client.kept(until), client.overview(until), client.jobs(until));
        let slots = Overview::slots(overview?, now());
        let kept = match kept {
            Ok(kept) => Some(kept),
            Err(error) if error.was_away() => return Err(error),
            // A proxy may keep them from us.
            Err(_) => None,
        };
        let is_meant = |id: &str, name: &str| job.is_none_or(|job| job == name || job == id);
        let runs = |state| matches!(state, JobState::Running | JobState::Restarting | JobState::Created);
        let running: Vec<_> = listed?.into_iter().filter(|job| runs(job.state)).collect();
        let names = running.iter().map(|job| job.name.clone()).collect();
        let meant: Vec<_> =
            running.into_iter().filter(|job| is_meant(&job.id.to_string(), &job.name)).collect();
        let sought = job.filter(|_| meant.is_empty()).map(|job| (job.to_owned(), names));
        let mut jobs = Vec::new();
        let mut skew_ms = None;
        for listed in meant.into_iter().take(MOST_JOBS) {
            let until = Instant::now() + client.timeout();
            let asked = now();
            let view = client.job(listed.id, until).await?;
            // Of up to 3 s ago, by the cache of the graph; so the largest of several is the nearest.
            let skew = view.now.as_millis() - asked.as_millis();
            skew_ms = Some(skew_ms.map_or(skew, |most: i64| most.max(skew)));
            let checkpoints = client.checkpointing(listed.id, until).await.ok();
            jobs.push(JobCheckup::of(&view, checkpoints));
        }
        Ok(Self {
            version,
            web_rescale,
            reports: kept.as_ref().map(|kept| kept.reports),
            settings: kept.map(|kept| kept.settings),
            slots: slots.total,
            free: slots.available,
            taskmanagers: slots.taskmanagers,
            skew_ms,
            jobs,
            sought,
        })
    }
}

impl JobCheckup {
    fn of(view: &JobView, checkpoints: Option<Checkpoints>) -> Self {
        let graph = view.graph.as_ref();
        let vertices = graph.into_iter().flat_map(|graph| graph.vertices().iter().zip(&view.readings));
        Self {
            name: view.name.clone(),
            checkpoints,
            vertices: vertices
                .map(|(vertex, (_, reading))| {
                    (vertex.name.clone(), reading.parallelism.get(), vertex.max_parallelism.get())
                })
                .collect(),
        }
    }
}

impl FlinkClient {
    async fn kept(&self, until: Instant) -> Result<Kept, FlinkError> {
        self.get("/jobmanager/config", until).await?.read()
    }

    async fn checkpointing(&self, job: JobId, until: Instant) -> Result<Checkpoints, FlinkError> {
        self.get(&format!("/jobs/{job}/checkpoints/config"), until).await?.read()
    }
}
