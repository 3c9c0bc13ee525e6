//! What the cluster is: `/config`, `/jobmanager/config`, `/overview`, `/jobs/overview`.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;

use super::{Answer, WireError};
use crate::model::{Cluster, FlinkVersion, JobId, JobState, Scheduler, Slots, Timestamp};

/// `/config`, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// Flink's version.
    pub(crate) version: FlinkVersion,
    /// Whether the web page may rescale jobs: only with the adaptive scheduler, and not in reactive mode. Since 1.18.
    pub(crate) web_rescale: Option<bool>,
    /// Whether jars can be run over REST: never in application mode, where Flink says so.
    pub(crate) web_submit: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawConfig<'a> {
    #[serde(borrow)]
    flink_version: Cow<'a, str>,
    #[serde(default)]
    features: Features,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Features {
    web_rescale: Option<bool>,
    web_submit: Option<bool>,
}

impl Answer<'_> for Config {
    fn read(body: &[u8]) -> Result<Self, WireError> {
        let raw: RawConfig<'_> = serde_json::from_slice(body)?;
        let version = raw.flink_version.parse().map_err(|_| WireError::Value {
            field: "flink-version",
            value: raw.flink_version.chars().take(40).collect(),
        })?;
        let Features { web_rescale, web_submit } = raw.features;
        Ok(Self { version, web_rescale, web_submit: web_submit.unwrap_or(true) })
    }
}

/// `/jobmanager/config`, as far as it matters. Nothing else of it is kept, for there may be secrets in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `scheduler-mode: reactive`.
    pub(crate) reactive: bool,
    /// `jobmanager.scheduler`: whether it is the adaptive one; `None` where it is not set.
    pub(crate) adaptive: Option<bool>,
    /// `metrics.fetcher.update-interval`, where it is set and understood.
    pub(crate) fetch_interval: Option<Duration>,
    /// `high-availability.type`, or `high-availability` of earlier versions: whether it is any.
    pub(crate) highly_available: bool,
}

#[derive(Deserialize)]
struct Setting<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    value: Cow<'a, str>,
}

/// `MetricOptions.METRIC_FETCHER_UPDATE_INTERVAL`'s default, the same in all versions.
const DEFAULT_FETCH_INTERVAL: Duration = Duration::from_secs(10);

impl Answer<'_> for Settings {
    fn read(body: &[u8]) -> Result<Self, WireError> {
        let raw: Vec<Setting<'_>> = serde_json::from_slice(body)?;
        let mut settings = Self { fetch_interval: Some(DEFAULT_FETCH_INTERVAL), ..Self::default() };
        for Setting { key, value } in &raw {
            match &**key {
                "scheduler-mode" => settings.reactive = value.trim().eq_ignore_ascii_case("reactive"),
                "jobmanager.scheduler" => {
                    settings.adaptive = Some(value.trim().eq_ignore_ascii_case("adaptive"));
                }
                "high-availability.type" | "high-availability" => {
                    settings.highly_available |= !value.trim().eq_ignore_ascii_case("none");
                }
                "metrics.fetcher.update-interval" => settings.fetch_interval = duration(value),
                _ => {}
            }
        }
        Ok(settings)
    }
}

/// A duration as Flink's `TimeUtils` reads it: a whole number and a unit, milliseconds without one.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let nanos_per_unit: u64 = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "ns" | "nano" | "nanosecond" | "nanoseconds" => 1,
        "µs" | "micro" | "microsecond" | "microseconds" => 1_000,
        "" | "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1_000_000,
        "s" | "sec" | "secs" | "second" | "seconds" => 1_000_000_000,
        "m" | "min" | "minute" | "minutes" => 60_000_000_000,
        "h" | "hour" | "hours" => 3_600_000_000_000,
        "d" | "day" | "days" => 86_400_000_000_000,
        _ => return None,
    };
    number.checked_mul(nanos_per_unit).map(Duration::from_nanos)
}

/// The first version with resource requirements (FLIP-291).
const REQUIREMENTS_SINCE: (u16, u16) = (1, 18);

/// What the cluster is, from `/config`, from `/jobmanager/config` where that may be read, and from the job's own
/// `schedulerType` (2.3).
pub(crate) fn cluster(config: Config, settings: Option<Settings>, job_type: Option<JobScheduler>) -> Cluster {
    let scheduler = scheduler(config, settings, job_type);
    Cluster { version: config.version, scheduler, takes_no_jars: !config.web_submit }
}

fn scheduler(config: Config, settings: Option<Settings>, job_type: Option<JobScheduler>) -> Scheduler {
    if settings.is_some_and(|settings| settings.reactive) {
        return Scheduler::Reactive;
    }
    let has_requirements = (config.version.major, config.version.minor) >= REQUIREMENTS_SINCE;
    if !has_requirements || job_type == Some(JobScheduler::Other) {
        return Scheduler::Default;
    }
    // `web-rescale` is never true in reactive mode.
    if config.web_rescale == Some(true) {
        return Scheduler::Adaptive;
    }
    // It is false also where the button is hidden, and a job's own type says nothing of reactive mode.
    let Some(settings) = settings else { return Scheduler::Unknown };
    let is_adaptive = settings.adaptive == Some(true) || job_type == Some(JobScheduler::Adaptive);
    if is_adaptive { Scheduler::Adaptive } else { Scheduler::Default }
}

/// A job's `schedulerType` (2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobScheduler {
    /// `Adaptive`: also in reactive mode.
    Adaptive,
    /// `Default`, `AdaptiveBatch`, or one that is not known.
    Other,
}

/// `/overview`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Overview {
    taskmanagers: u32,
    slots_total: u32,
    slots_available: u32,
    jobs_running: u32,
}

impl Overview {
    /// The slots, as they were at `at`.
    pub(crate) fn slots(self, at: Timestamp) -> Slots {
        Slots {
            at,
            total: self.slots_total,
            available: self.slots_available,
            taskmanagers: self.taskmanagers,
            jobs_running: self.jobs_running,
        }
    }
}

/// One job of `/jobs/overview`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its id.
    pub(crate) id: JobId,
    /// Its name.
    pub(crate) name: String,
    /// Its state.
    pub(crate) state: JobState,
    /// When it was submitted, in milliseconds of the JobManager's clock.
    pub(crate) started: i64,
}

#[derive(Deserialize)]
struct RawJobs<'a> {
    #[serde(borrow)]
    jobs: Vec<RawListed<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawListed<'a> {
    jid: JobId,
    #[serde(borrow)]
    name: Cow<'a, str>,
    state: JobState,
    start_time: i64,
}

impl Answer<'_> for Vec<Listed> {
    fn read(body: &[u8]) -> Result<Self, WireError> {
        let raw: RawJobs<'_> = serde_json::from_slice(body)?;
        let listed = |job: RawListed<'_>| Listed {
            id: job.jid,
            name: job.name.into_owned(),
            state: job.state,
            started: job.start_time,
        };
        Ok(raw.jobs.into_iter().map(listed).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(version: &str, web_rescale: Option<bool>) -> Config {
        Config { version: version.parse().expect(version), web_rescale, web_submit: true }
    }

    #[test]
    fn tells_the_scheduler_from_what_the_version_says() {
        let set = |reactive, adaptive| Some(Settings { reactive, adaptive, ..Settings::default() });
        let (adaptive, other) = (Some(JobScheduler::Adaptive), Some(JobScheduler::Other));
        for (version, web_rescale, settings, job_type, expected) in [
            ("1.17.2", None, set(false, Some(true)), None, Scheduler::Default),
            ("1.17.2", None, set(true, None), None, Scheduler::Reactive),
            ("1.17.2", None, None, None, Scheduler::Default),
            ("1.18.1", Some(true), set(false, Some(true)), None, Scheduler::Adaptive),
            ("1.20.5", Some(true), None, None, Scheduler::Adaptive),
            ("1.20.5", Some(false), None, None, Scheduler::Unknown),
            ("1.20.5", Some(false), set(false, None), None, Scheduler::Default),
            ("1.20.5", Some(false), set(false, Some(false)), None, Scheduler::Default),
            // `web.rescale.enable: false` hides the button and changes nothing else.
            ("1.20.5", Some(false), set(false, Some(true)), None, Scheduler::Adaptive),
            ("1.20.5", Some(false), set(true, Some(true)), None, Scheduler::Reactive),
            ("2.3.0", Some(true), set(false, Some(true)), adaptive, Scheduler::Adaptive),
            ("2.3.0", Some(true), set(false, Some(true)), other, Scheduler::Default),
            ("2.3.0", Some(false), None, adaptive, Scheduler::Unknown),
            ("2.3.0", Some(false), set(true, None), adaptive, Scheduler::Reactive),
            ("2.3.0", Some(false), None, other, Scheduler::Default),
        ] {
            let got = scheduler(config(version, web_rescale), settings, job_type);
            assert_eq!(got, expected, "{version} {web_rescale:?} {settings:?} {job_type:?}");
        }
    }

    #[test]
    fn reads_durations_as_flink_does() {
        for (text, millis) in [
            ("10000", Some(10_000)),
            ("500 ms", Some(500)),
            ("1s", Some(1_000)),
            ("1 s", Some(1_000)),
            (" 2 min ", Some(120_000)),
            ("1 h", Some(3_600_000)),
            ("0", Some(0)),
            ("PT1S", None),
            ("", None),
            ("fast", None),
            ("99999999999999 d", None),
        ] {
            assert_eq!(duration(text), millis.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn keeps_of_the_settings_only_what_matters() {
        let body =
            br#"[{"key":"jobmanager.scheduler","value":"Adaptive"},{"key":"s3.secret-key","value":"******"},
            {"key":"metrics.fetcher.update-interval","value":"1 s"},{"key":"high-availability.type","value":"kubernetes"}]"#;
        let settings = Settings::read(body).expect("settings");
        let second = Some(Duration::from_secs(1));
        let expected = Settings {
            reactive: false,
            adaptive: Some(true),
            fetch_interval: second,
            highly_available: true,
        };
        assert_eq!(settings, expected);
        let unset = Settings::read(b"[]").expect("settings");
        assert_eq!((unset.fetch_interval, unset.highly_available), (Some(DEFAULT_FETCH_INTERVAL), false));
        let none = br#"[{"key":"high-availability","value":"NONE"}]"#;
        assert!(!Settings::read(none).expect("settings").highly_available);
    }
}
