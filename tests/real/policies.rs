//! A policy of several rules and limits on a real job: each is obeyed, and the decision says which.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::daemon::{Asked, Daemon, Settings};
use crate::testbed::{Flink, Job, Options, until};

const PATIENCE: Duration = Duration::from_mins(1);

/// When the schedule's window opens, after the test has begun: two minutes, and what is left of the third.
const OPENS_AFTER: Duration = Duration::from_mins(2);

/// A moment on the minute, at least so long from now, as cron writes it in UTC.
fn next_minute(after: Duration) -> Result<(SystemTime, String)> {
    let minutes = (SystemTime::now() + after).duration_since(UNIX_EPOCH)?.as_secs() / 60 + 1;
    let opens = UNIX_EPOCH + Duration::from_secs(minutes * 60);
    Ok((opens, format!("{} {} * * *", minutes % 60, minutes / 60 % 24)))
}

/// The sizes asked for, by vertex.
pub fn size(asked: &Asked, vertex: &str) -> Option<u64> {
    asked.to.iter().find(|(name, _)| name == vertex).map(|(_, size)| *size)
}

/// The rule that decided the size of a vertex in the cycle that asked for the `nth` rescale, and what limited sizes in it.
pub fn decided_by(daemon: &Daemon, nth: usize, vertex: &str) -> Result<(String, Vec<String>)> {
    let cycles = daemon.cycles()?;
    let cycle = cycles
        .iter()
        .filter(|cycle| cycle["outcome"]["outcome"] == "Applied")
        .nth(nth - 1)
        .with_context(|| format!("rescale {nth}"))?;
    let decision = &cycle["decision"];
    let changes = decision["plan"]["changes"].as_array().context("a plan")?;
    let index = changes.iter().position(|change| change["name"] == vertex).context("the vertex")?;
    let rule = decision["proposal"]["wants"][index]["rule"].as_u64().context("a rule has decided")?;
    let rule = &decision["proposal"]["rules"][usize::try_from(rule)?]["rule"];
    let limits = decision["limits"].as_array().context("the trail of limits")?;
    let limits = limits.iter().filter_map(|limit| limit["by"].as_str().map(str::to_owned)).collect();
    Ok((rule.as_str().context("its name")?.to_owned(), limits))
}

/// Whether a later cycle was held for this.
fn held(cycle: &Value, reason: &str, by: &str) -> bool {
    let holds = cycle["decision"]["holds"].as_array();
    holds.is_some_and(|holds| holds.iter().any(|hold| hold["reason"] == reason && hold["by"] == by))
}

#[tokio::test]
async fn throughput_schedule_and_behavior_are_each_obeyed() -> Result<()> {
    let flink = Flink::start("2.3", Options::default()).await?;
    let topic = flink.topic("orders")?;
    let job = flink.submit(&Job::chain(&topic).parallelism("parse", 3)).await?;
    flink.client().running_at(&job, PATIENCE, &[("parse", 3), ("enrich", 1)]).await?;
    topic.set_rate(500.0)?;
    let (opens, cron) = next_minute(OPENS_AFTER)?;
    let settings = Settings {
        rules: format!(
            "{{throughput: {{}}}}, {{schedule: {{windows: [{{cron: \"{cron}\", for: 5m, minParallelism: 2}}]}}}}"
        ),
        behavior: ("policies: [{type: Subtasks, value: 2, periodSeconds: 1800}]", "selectPolicy: Disabled"),
        window: 10,
        ..Settings::default()
    };
    let daemon = Daemon::start(flink.url(), "chain", &settings)?;
    tokio::time::sleep(Duration::from_secs(32)).await;
    ensure!(daemon.asked()?.is_empty(), "500/s needs no other size: {:?}", daemon.asked()?);

    // The load asks for nine and three; the behavior lets each grow by two in half an hour.
    topic.set_rate(1500.0)?;
    let asked = daemon.asks(1, PATIENCE).await?;
    ensure!(size(&asked, "parse") == Some(5) && size(&asked, "enrich") == Some(3), "{asked:?}");
    let (rule, limits) = decided_by(&daemon, 1, "parse")?;
    ensure!(rule == "throughput" && limits.iter().any(|by| by == "ScaleUpLimit"), "{rule}: {limits:?}");

    // Then nothing more, until the schedule's window opens: it wants two of what has one.
    let until_open = opens.duration_since(SystemTime::now()).context("the window has not opened yet")?;
    tokio::time::sleep(until_open).await;
    ensure!(daemon.asked()?.len() == 1, "no more than two in half an hour: {:?}", daemon.asked()?);
    let asked = daemon.asks(2, PATIENCE).await?;
    ensure!(asked.to.iter().all(|(_, size)| *size == 2), "the floor is two: {asked:?}");
    let (name, _) = asked.to.first().context("something was asked for")?;
    let (rule, _) = decided_by(&daemon, 2, name)?;
    ensure!(rule == "schedule", "{rule} has decided: {asked:?}");

    // With hardly any load much less would do, and nothing shrinks.
    topic.set_rate(100.0)?;
    until("shrinking is held", Duration::from_secs(90), async || {
        let cycles = daemon.cycles()?;
        ensure!(
            cycles.iter().any(|cycle| held(cycle, "Paced", "ScaleDownLimit")),
            "{}",
            daemon.last_cycles(1)
        );
        Ok(())
    })
    .await?;
    ensure!(daemon.asked()?.len() == 2, "nothing shrinks: {:?}", daemon.asked()?);
    daemon.replays()?;
    daemon.stop()
}
