//! Hours of a load that rises and falls: nothing is lost, nothing piles up, and the job is not rescaled all the time.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};

use crate::daemon::{Daemon, Settings};
use crate::testbed::{Flink, Job, Options};
use crate::watch::Watch;

const PATIENCE: Duration = Duration::from_mins(1);

/// A day in short: the load rises and falls once in this time.
const DAY: Duration = Duration::from_mins(20);

/// The load changes this often, as noise does.
const STEP: Duration = Duration::from_secs(5);

/// Two rescales are what a day of low and high needs; a smooth rise may be followed in some steps.
const RESCALES_A_DAY: usize = 12;

/// Twenty seconds of the highest load: a rescale's own backlog, and some to spare.
const MOST_WAITING: f64 = 30_000.0;

/// How long the load goes on; two hours, or as many minutes as are asked for.
fn length() -> Result<Duration> {
    let minutes = std::env::var("TIDEGATE_SOAK_MINUTES").map_or(Ok(120), |text| text.parse())?;
    Ok(Duration::from_mins(minutes))
}

/// The load at some time of the day: from 300 to 1500 records/s, with noise of a tenth.
fn load(at: Duration, step: u64) -> f64 {
    let day = at.as_secs_f64() / DAY.as_secs_f64() * std::f64::consts::TAU;
    let noise = ((step * 7919) % 31) as f64 / 15.0 - 1.0;
    (900.0 - 600.0 * day.cos()) * (1.0 + 0.1 * noise)
}

#[tokio::test]
#[ignore = "takes hours; runs with tests/run soak"]
async fn hours_of_a_load_that_rises_and_falls() -> Result<()> {
    let length = length()?;
    let flink = Flink::start("2.3", Options::default()).await?;
    let topic = Arc::new(flink.topic("orders")?);
    let start = SystemTime::now() + Duration::from_millis(300);
    for step in 0..length.as_secs() / STEP.as_secs() {
        let at = Duration::from_secs(step * STEP.as_secs());
        topic.set_rate_at(start + at, load(at, step))?;
    }
    let job = flink.submit(&Job::chain(&topic).parallelism("parse", 3)).await?;
    flink.client().running_at(&job, PATIENCE, &[("parse", 3)]).await?;
    let watch = Watch::start(&topic);
    let settings = Settings { window: 60, cooldown: "30s", ..Settings::default() };
    let mut daemon = Daemon::start(flink.url(), "chain", &settings)?;
    while start.elapsed().unwrap_or_default() < length {
        tokio::time::sleep(Duration::from_secs(30)).await;
        daemon.check_alive()?;
        let (_, waited) = watch.peak_since(start);
        ensure!(waited < MOST_WAITING, "{waited:.0} records waited; {}", daemon.last_cycles(3));
    }
    let asked = daemon.asked()?;
    let days = (length.as_secs_f64() / DAY.as_secs_f64()).ceil() as usize;
    println!(
        "{} rescales in {length:?}, at most {:.0} records waited",
        asked.len(),
        watch.peak_since(start).1
    );
    ensure!(!asked.is_empty() || length < DAY / 4, "a load of five times as much needs another size");
    ensure!(asked.len() <= RESCALES_A_DAY * days, "{} rescales in {days} days", asked.len());
    daemon.replays()?;
    daemon.stop()
}
