//! When nothing should happen, and when more would bring nothing.

use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};

use crate::daemon::{Daemon, Settings};
use crate::testbed::{Flink, Job, Options};

const PATIENCE: Duration = Duration::from_mins(1);

/// How long the steady load is watched: twice the longest that one cycle looks back.
const WATCHED: Duration = Duration::from_mins(2);

#[tokio::test]
async fn a_steady_load_with_noise_is_left_alone() -> Result<()> {
    let flink = Flink::start("2.3", Options { taskmanagers: 1, ..Options::default() }).await?;
    let topic = flink.topic("orders")?;
    // A new rate every second, up to 15 % to either side of 500/s: the whole course at once.
    let start = SystemTime::now() + Duration::from_millis(300);
    let seconds = WATCHED.as_secs() + 60;
    for second in 0..seconds {
        let noise = ((second * 7919) % 31) as f64 / 15.0 - 1.0;
        topic.set_rate_at(start + Duration::from_secs(second), 500.0 * (1.0 + 0.15 * noise))?;
    }
    let job = flink.submit(&Job::chain(&topic).parallelism("parse", 3)).await?;
    flink.client().running_at(&job, PATIENCE, &[("parse", 3)]).await?;
    let daemon =
        Daemon::start(flink.url(), "chain", &Settings { window: 20, cooldown: "5s", ..Settings::default() })?;
    tokio::time::sleep(WATCHED).await;
    let cycles = daemon.cycles()?.len();
    ensure!(cycles > 40, "{cycles} cycles in two minutes");
    ensure!(daemon.asked()?.is_empty(), "{:?}", daemon.asked()?);
    daemon.replays()?;
    daemon.stop()
}

#[tokio::test]
async fn no_second_rescale_where_the_cores_are_the_limit() -> Result<()> {
    // More than the cores can give whatever the size: 2 cores burn 0.4 ms a record 5,000 times a second at the most.
    let flink = Flink::start("2.3", Options::default()).await?;
    let topic = flink.topic("orders")?;
    let job = Job::chain(&topic).parallelism("parse", 2).cost("parse", "burn:0.4ms").cost("enrich", "none");
    let job = flink.submit(&job).await?;
    flink.client().running_at(&job, PATIENCE, &[("parse", 2)]).await?;
    let cores = std::thread::available_parallelism()?.get() as f64;
    topic.set_rate(cores / 0.0004 * 1.2)?;
    let daemon = Daemon::start(flink.url(), "chain", &Settings { cooldown: "5s", ..Settings::default() })?;
    let first = daemon.asks(1, PATIENCE).await?;
    ensure!(first.to.iter().any(|(name, _)| name == "parse"), "{first:?}");
    // Time for Flink's cooldown, for the curve to be seen, and for many cycles in which more could be asked for.
    tokio::time::sleep(Duration::from_mins(1)).await;
    let asked = daemon.asked()?;
    ensure!(asked.len() == 1, "a second rescale brings nothing: {asked:?}; {}", daemon.last_cycles(3));
    let cycles = daemon.cycles()?;
    let says = |what: &str| cycles.iter().any(|cycle| cycle["decision"].to_string().contains(what));
    ensure!(
        says("Unscalable") || says("BroughtNothing"),
        "it says why it adds no more: {}",
        daemon.last_cycles(3)
    );
    daemon.stop()
}
