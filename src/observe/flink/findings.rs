//! What in a cluster's settings gets in the way of scaling, what it costs, and the line that mends it.
//!
//! Comes in: a [`Checkup`]. Goes out: [`Finding`]s, the worst first. Pure, so that each is a row of a test.

use std::time::Duration;

use super::super::finding::{Finding, SKEW_MS, Weight};
use super::checkup::{Checkpoints, Checkup, JobCheckup};
use super::wire::duration;
use crate::model::FlinkVersion;

/// A cooldown or a wait of Flink's beyond which a load has grown away from what was decided.
const LONG_WAIT: Duration = Duration::from_mins(2);

/// Beyond this, a rescale replays a good part of an hour's records.
const LONG_INTERVAL: Duration = Duration::from_mins(10);

/// Sizes that share the key groups evenly: 128, Flink's own default, has eight, and a prime has two.
const FEW_DIVISORS: usize = 8;

/// TaskManagers of more slots come and go in steps that are coarse for most jobs.
const MANY_SLOTS: u32 = 16;

/// What a job may be rescaled by, besides in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OtherWays {
    /// It may be stopped with a savepoint and run again.
    pub by_savepoint: bool,
    /// The workload of its TaskManagers is named.
    pub by_workload: bool,
}

/// What gets in the way, when the job is polled so often, and may be stopped with a savepoint and run again.
pub fn findings(seen: &Checkup, poll: Duration, ways: OtherWays) -> Vec<Finding> {
    let mut found = Vec::new();
    version_and_scheduler(seen, ways, &mut found);
    timers(seen, &mut found);
    freshness(seen, poll, &mut found);
    waits(seen, &mut found);
    slots(seen, &mut found);
    rest(seen, &mut found);
    for job in &seen.jobs {
        of_job(job, &mut found);
    }
    found.sort_by_key(|finding| finding.weight);
    found
}

fn note(
    found: &mut Vec<Finding>,
    (weight, what): (Weight, &'static str),
    is: impl Into<String>,
    costs: &'static str,
    mend: impl Into<String>,
) {
    found.push(Finding { weight, what, about: None, found: is.into(), costs, mend: mend.into() });
}

impl Checkup {
    fn set(&self, key: &str) -> Option<&str> {
        self.settings.as_ref()?.get(key).map(|value| value.trim())
    }

    fn time(&self, key: &str) -> Option<Duration> {
        duration(self.set(key)?)
    }

    fn is_at_least(&self, major: u16, minor: u16) -> bool {
        let FlinkVersion { major: a, minor: b, patch: _ } = self.version;
        (a, b) >= (major, minor)
    }
}

fn version_and_scheduler(seen: &Checkup, ways: OtherWays, found: &mut Vec<Finding>) {
    use Weight::{Hinders, Prevents};
    // What is in the way of rescaling in place is in the way of all where there is no other way.
    let (in_place, costs) = if ways.by_savepoint && seen.is_at_least(1, 17) {
        (Hinders, "each rescale takes a savepoint and a start: seconds, and more with large state")
    } else {
        (Prevents, "Flink refuses to change the size of a job that runs")
    };
    if seen.set("scheduler-mode").is_some_and(|mode| mode.eq_ignore_ascii_case("reactive")) {
        let is = "scheduler-mode is reactive";
        let instead = "leave out scheduler-mode, and set jobmanager.scheduler: adaptive";
        if ways.by_workload {
            let costs =
                "only TaskManagers come and go: all vertices have one size, whatever each of them needs";
            note(
                found,
                (Weight::Note, "Reactive"),
                is,
                costs,
                format!("where that costs too much, {instead}"),
            );
        } else {
            let mend = format!("name the workload of the TaskManagers in spec.workload; or {instead}");
            note(
                found,
                (Prevents, "Reactive"),
                is,
                "the job takes all slots there are, and nothing else",
                mend,
            );
        }
        return;
    }
    if !seen.is_at_least(1, 18) {
        let is = format!("Flink {} takes no resource requirements", seen.version);
        return note(found, (in_place, "Version"), is, costs, "Flink 1.18 or later; best 2.x");
    }
    let is_adaptive =
        seen.set("jobmanager.scheduler").is_some_and(|name| name.eq_ignore_ascii_case("adaptive"));
    let is_known = seen.settings.is_some() || seen.web_rescale == Some(true);
    if !is_adaptive && seen.web_rescale != Some(true) && is_known {
        let is = format!("the scheduler is {}", seen.set("jobmanager.scheduler").unwrap_or("Default"));
        let mend =
            "jobmanager.scheduler: adaptive (or spec.savepoint, where the job may be stopped and run again)";
        note(found, (in_place, "Scheduler"), is, costs, mend);
    }
    if seen.settings.is_none() {
        let is = "/jobmanager/config may not be read";
        note(
            found,
            (Weight::Note, "SettingsHidden"),
            is,
            "less can be said here",
            "let the proxy before Flink pass it",
        );
    }
}

fn timers(seen: &Checkup, found: &mut Vec<Finding>) {
    if seen.version.counts_waits_twice() {
        let is = format!("Flink {} counts waiting partly twice (FLINK-35764)", seen.version);
        let costs =
            "what a record costs is known less well where subtasks mostly wait: they are taken away later";
        note(found, (Weight::Note, "WaitsCountTwice"), is, costs, "Flink 1.19.2, 1.20.1 or later");
    }
}

fn freshness(seen: &Checkup, poll: Duration, found: &mut Vec<Finding>) {
    const KEY: &str = "metrics.fetcher.update-interval";
    // The default of all versions.
    let interval = match seen.set(KEY) {
        Some(text) => duration(text),
        None => seen.settings.is_some().then_some(Duration::from_secs(10)),
    };
    let line = if seen.is_at_least(1, 20) { "1 s" } else { "1000" };
    match interval {
        Some(Duration::ZERO) => {
            let costs = "no load is ever seen";
            note(
                found,
                (Weight::Prevents, "MetricsOff"),
                format!("{KEY} is 0"),
                costs,
                format!("{KEY}: {line}"),
            );
        }
        Some(interval) if interval > poll => {
            let is = format!(
                "metrics are fetched every {} s, and polled every {} s",
                interval.as_secs_f64(),
                poll.as_secs_f64()
            );
            let costs = "a change is seen as much later; fetching every second is cheap";
            note(found, (Weight::Hinders, "MetricsOld"), is, costs, format!("{KEY}: {line}"));
        }
        _ => {}
    }
}

fn waits(seen: &Checkup, found: &mut Vec<Finding>) {
    const PREFIX: &str = "jobmanager.adaptive-scheduler.";
    for (key, costs, mend) in [
        ("executing.cooldown-after-rescaling", "a rescale waits for so long after the one before it", "30 s"),
        ("scaling-interval.min", "a rescale waits for so long after the one before it", "30 s"),
        (
            "executing.resource-stabilization-timeout",
            "where slots are missing, a rescale waits for so long before it takes those there are",
            "60 s",
        ),
        ("rescale-trigger.max-delay", "a rescale waits up to so long for a checkpoint", "60 s"),
    ] {
        let key = format!("{PREFIX}{key}");
        if let Some(time) = seen.time(&key).filter(|time| *time > LONG_WAIT) {
            let is = format!("{key} is {} s", time.as_secs_f64());
            note(found, (Weight::Hinders, "LongWait"), is, costs, format!("{key}: {mend}"));
        }
    }
}

fn slots(seen: &Checkup, found: &mut Vec<Finding>) {
    if seen.taskmanagers == 0 {
        let is = "no TaskManager is registered";
        return note(found, (Weight::Prevents, "NoSlots"), is, "no job can run", "start TaskManagers");
    }
    if seen.free == 0 && !seen.jobs.is_empty() {
        let is = format!("all {} slots are taken", seen.slots);
        let costs = "a job grows only when TaskManagers are added";
        let mend = "more TaskManagers, or spec.workload, so that they are added";
        note(found, (Weight::Hinders, "NoFreeSlots"), is, costs, mend);
    }
    let per = seen.slots / seen.taskmanagers;
    if !seen.slots.is_multiple_of(seen.taskmanagers) {
        let is = format!(
            "{} slots on {} TaskManagers: they are of different sizes",
            seen.slots, seen.taskmanagers
        );
        let costs = "how many TaskManagers a size takes cannot be told";
        note(
            found,
            (Weight::Hinders, "UnequalSlots"),
            is,
            costs,
            "the same taskmanager.numberOfTaskSlots for all",
        );
    } else if per > MANY_SLOTS {
        let costs = "TaskManagers come and go in steps of so many";
        note(
            found,
            (Weight::Note, "ManySlots"),
            format!("a TaskManager has {per} slots"),
            costs,
            "taskmanager.numberOfTaskSlots: 4",
        );
    }
}

fn rest(seen: &Checkup, found: &mut Vec<Finding>) {
    const DEBLOAT: &str = "taskmanager.network.memory.buffer-debloat.enabled";
    if let Some((sought, running)) = &seen.sought {
        let others = match &running[..] {
            [] => "; no job runs".to_owned(),
            names => format!("; those that do: {}", names.join(", ")),
        };
        note(
            found,
            (Weight::Prevents, "NoSuchJob"),
            format!("no job {sought} runs here{others}"),
            "there is nothing to scale",
            "start it, or name it in flink.job as Flink does",
        );
    } else if seen.jobs.is_empty() {
        note(
            found,
            (Weight::Note, "NoJob"),
            "no job runs",
            "checkpoints and key groups are not looked at",
            "ask again when one runs",
        );
    }
    if let Some(skew) = seen.skew_ms.filter(|skew| skew.abs() > SKEW_MS) {
        let side = if skew > 0 { "before" } else { "behind" };
        let is = format!("Flink's clock is {} s {side} ours", skew.abs() / 1000);
        let costs = "times of restarts and rescales are told wrongly";
        note(found, (Weight::Hinders, "ClockSkew"), is, costs, "NTP on both machines");
    }
    if seen.settings.is_some() && !seen.set(DEBLOAT).is_some_and(|on| on.eq_ignore_ascii_case("true")) {
        let costs = "a step is first swallowed by buffers, and aligned checkpoints wait until they are empty";
        note(
            found,
            (Weight::Note, "FullBuffers"),
            "buffers are not sized by the load",
            costs,
            format!("{DEBLOAT}: true"),
        );
    }
    if seen.reports == Some(false) {
        let costs = "no `prometheus` rule can look at what Flink says of itself; the others need none";
        let mend = "metrics.reporter.prom.factory.class: org.apache.flink.metrics.prometheus.PrometheusReporterFactory";
        note(found, (Weight::Note, "NoReporter"), "Flink reports to no Prometheus", costs, mend);
    }
}

fn of_job(job: &JobCheckup, found: &mut Vec<Finding>) {
    let from = found.len();
    checkpoints(job.checkpoints, found);
    // One line for all vertices of one number of key groups.
    let mut numbers: Vec<u32> = job.vertices.iter().map(|(_, _, most)| *most).collect();
    numbers.sort_unstable();
    numbers.dedup();
    for most in numbers.into_iter().filter(|most| *most > 1 && divisors(*most) < FEW_DIVISORS) {
        let is = format!("max parallelism {most} has {} divisors", divisors(most));
        let costs = "at other sizes, some subtasks have more keys than others, and the hottest sets the pace";
        let mend = "pipeline.max-parallelism: 720 (for a job without state that must be kept)";
        note(found, (Weight::Hinders, "FewDivisors"), is, costs, mend);
    }
    for (name, now, most) in job.vertices.iter().filter(|(_, now, most)| now >= most) {
        let is = format!("{name} has {now} of at most {most} subtasks");
        let mend = "a larger max parallelism (for a job without state that must be kept)";
        note(found, (Weight::Hinders, "AtMaxParallelism"), is, "it cannot grow", mend);
    }
    for finding in &mut found[from..] {
        finding.about = Some(job.name.clone());
    }
}

fn checkpoints(seen: Option<Checkpoints>, found: &mut Vec<Finding>) {
    let Some(Checkpoints { interval, unaligned }) = seen else {
        let is = "how it takes checkpoints cannot be read";
        let costs = "whether a rescale keeps the state is not known here";
        return note(
            found,
            (Weight::Note, "CheckpointsHidden"),
            is,
            costs,
            "let the proxy before Flink pass it",
        );
    };
    let mend = "execution.checkpointing.interval: 1 min";
    let Some(interval) = interval else {
        let costs = "a rescale starts the job without its state";
        return note(found, (Weight::Prevents, "NoCheckpoints"), "there are no checkpoints", costs, mend);
    };
    if interval > LONG_INTERVAL {
        let is = format!("a checkpoint every {} min", interval.as_secs() / 60);
        let costs = "a rescale reads again what came since the last, unless one is taken just for it";
        note(found, (Weight::Hinders, "RareCheckpoints"), is, costs, mend);
    }
    if !unaligned {
        let costs = "under back-pressure, when growing is urgent, a checkpoint and so a rescale takes long";
        let mend = "execution.checkpointing.unaligned.enabled: true";
        note(found, (Weight::Note, "AlignedCheckpoints"), "checkpoints are aligned", costs, mend);
    }
}

fn divisors(number: u32) -> usize {
    (1..=number).filter(|divisor| number.is_multiple_of(*divisor)).count()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A cluster in which nothing gets in the way.
    fn good() -> Checkup {
        let settings = [
            ("jobmanager.scheduler", "adaptive"),
            ("metrics.fetcher.update-interval", "1 s"),
            ("taskmanager.network.memory.buffer-debloat.enabled", "true"),
        ];
        Checkup {
            version: "2.3.0".parse().expect("a version"),
            web_rescale: Some(true),
            settings: Some(settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            reports: Some(true),
            slots: 16,
            free: 8,
            taskmanagers: 4,
            skew_ms: Some(-2_000),
            jobs: vec![JobCheckup {
                name: "orders".to_owned(),
                checkpoints: Some(Checkpoints { interval: Some(Duration::from_mins(1)), unaligned: true }),
                vertices: vec![("parse".to_owned(), 4, 128)],
            }],
            sought: None,
        }
    }

    fn whats(seen: &Checkup) -> Vec<(Weight, &'static str)> {
        findings(seen, Duration::from_secs(5), OtherWays::default())
            .iter()
            .map(|finding| (finding.weight, finding.what))
            .collect()
    }

    #[test]
    fn a_cluster_without_faults_has_none() {
        assert_eq!(whats(&good()), []);
    }

    #[test]
    fn each_fault_is_found_alone() {
        use Weight::{Hinders, Note, Prevents};
        type Make = fn(&mut Checkup);
        fn set(seen: &mut Checkup, key: &str, value: &str) {
            seen.settings.get_or_insert_with(BTreeMap::new).insert(key.to_owned(), value.to_owned());
        }
        let rows: [(Make, (Weight, &str)); 20] = [
            (|seen| seen.version = "1.20.0".parse().expect("a version"), (Note, "WaitsCountTwice")),
            (|seen| set(seen, "scheduler-mode", "reactive"), (Prevents, "Reactive")),
            (
                |seen| {
                    set(seen, "jobmanager.scheduler", "default");
                    seen.web_rescale = Some(false);
                },
                (Prevents, "Scheduler"),
            ),
            (|seen| set(seen, "metrics.fetcher.update-interval", "0"), (Prevents, "MetricsOff")),
            (|seen| set(seen, "metrics.fetcher.update-interval", "10000"), (Hinders, "MetricsOld")),
            (
                |seen| {
                    set(seen, "jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling", "10 min");
                },
                (Hinders, "LongWait"),
            ),
            (
                |seen| set(seen, "jobmanager.adaptive-scheduler.scaling-interval.min", "5 min"),
                (Hinders, "LongWait"),
            ),
            (|seen| (seen.slots, seen.free, seen.taskmanagers) = (0, 0, 0), (Prevents, "NoSlots")),
            (|seen| seen.free = 0, (Hinders, "NoFreeSlots")),
            (|seen| seen.slots = 15, (Hinders, "UnequalSlots")),
            (|seen| seen.slots = 80, (Note, "ManySlots")),
            (|seen| seen.skew_ms = Some(-61_000), (Hinders, "ClockSkew")),
            (
                |seen| set(seen, "taskmanager.network.memory.buffer-debloat.enabled", "false"),
                (Note, "FullBuffers"),
            ),
            (|seen| seen.reports = Some(false), (Note, "NoReporter")),
            (|seen| seen.jobs.clear(), (Note, "NoJob")),
            (
                |seen| {
                    seen.jobs.clear();
                    seen.sought = Some(("ordres".to_owned(), vec!["orders".to_owned()]));
                },
                (Prevents, "NoSuchJob"),
            ),
            (
                |seen| seen.jobs[0].checkpoints = Some(Checkpoints { interval: None, unaligned: true }),
                (Prevents, "NoCheckpoints"),
            ),
            (
                |seen| {
                    let interval = Some(Duration::from_mins(30));
                    seen.jobs[0].checkpoints = Some(Checkpoints { interval, unaligned: true });
                },
                (Hinders, "RareCheckpoints"),
            ),
            (|seen| seen.jobs[0].vertices[0].2 = 127, (Hinders, "FewDivisors")),
            (|seen| seen.jobs[0].vertices[0].1 = 128, (Hinders, "AtMaxParallelism")),
        ];
        for (make, expected) in rows {
            let mut seen = good();
            make(&mut seen);
            assert_eq!(whats(&seen), [expected]);
        }
    }

    #[test]
    fn what_savepoints_get_around_does_not_prevent() {
        for (version, scheduler, by_savepoint, expected) in [
            ("2.3.0", "default", true, Some((Weight::Hinders, "Scheduler"))),
            ("1.17.2", "default", true, Some((Weight::Hinders, "Version"))),
            ("1.17.2", "default", false, Some((Weight::Prevents, "Version"))),
            ("1.16.3", "default", true, Some((Weight::Prevents, "Version"))),
            ("2.3.0", "adaptive", true, None),
        ] {
            let mut seen = good();
            seen.version = version.parse().expect("a version");
            seen.web_rescale = Some(scheduler == "adaptive");
            seen.settings
                .get_or_insert_default()
                .insert("jobmanager.scheduler".to_owned(), scheduler.to_owned());
            let ways = OtherWays { by_savepoint, ..OtherWays::default() };
            let found = findings(&seen, Duration::from_secs(5), ways);
            let worst = found.first().map(|finding| (finding.weight, finding.what));
            let worst = worst.filter(|(weight, _)| *weight != Weight::Note);
            assert_eq!(worst, expected, "{version} {scheduler}");
        }
    }

    #[test]
    fn reactive_mode_prevents_only_where_nothing_makes_taskmanagers() {
        for (by_workload, version, expected) in [
            (true, "2.3.0", Weight::Note),
            (true, "1.17.2", Weight::Note),
            (false, "2.3.0", Weight::Prevents),
        ] {
            let mut seen = good();
            seen.version = version.parse().expect("a version");
            seen.web_rescale = Some(false);
            seen.settings.get_or_insert_default().insert("scheduler-mode".to_owned(), "REACTIVE".to_owned());
            let found =
                findings(&seen, Duration::from_secs(5), OtherWays { by_workload, ..OtherWays::default() });
            let found: Vec<_> = found.iter().map(|finding| (finding.weight, finding.what)).collect();
            assert_eq!(found[0], (expected, "Reactive"), "{by_workload} {version}");
        }
    }

    #[test]
    fn the_worst_comes_first_and_each_says_what_mends_it() {
        let mut seen = good();
        seen.settings = Some(BTreeMap::new());
        seen.web_rescale = Some(false);
        let found = findings(&seen, Duration::from_secs(5), OtherWays::default());
        assert!(
            found.is_sorted_by_key(|finding| finding.weight) && found[0].what == "Scheduler",
            "{found:#?}"
        );
        assert!(found.iter().all(|finding| !finding.mend.is_empty() && !finding.costs.is_empty()));
    }
}
