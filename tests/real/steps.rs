//! Steps of the load: up threefold, down to 0.8 of the first. One rescale for each, to the size that arithmetic gives.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};

use crate::daemon::{Asked, Daemon, Settings};
use crate::testbed::{Flink, Job, Options, until};
use crate::watch::Watch;

/// How long a job may take to start or to restart.
const PATIENCE: Duration = Duration::from_mins(1);

/// Flink itself does not rescale a job within 30 s of its last start (1.19 and later).
const FLINKS_COOLDOWN: Duration = Duration::from_secs(32);

/// How long a quiet machine takes from the request to the job's first record at the new size. Whatever longer the restart
/// takes is no fault of who asked for it, and what came in meanwhile is not counted.
const QUIET_RESTART: f64 = 1.5;

/// When the request mostly leaves after a step, in seconds. It may leave later, as the step falls between two fetches of Flink's, and
/// what is too small by so many records a second leaves that much more.
const USUAL_REQUEST: f64 = 3.0;

/// Seconds of the scale-down window.
const WINDOW: u32 = 30;

/// What the issue allows: the size is right to within one subtask.
fn check_sizes(asked: &Asked, expected: &[(&str, u64)]) -> Result<()> {
    for (name, size) in &asked.to {
        let (_, right) = expected
            .iter()
            .find(|(n, _)| n == name)
            .with_context(|| format!("{name} was changed: {asked:?}"))?;
        ensure!(size.abs_diff(*right) <= 1, "{name} to {size}, arithmetic says {right}");
    }
    ensure!(!asked.to.is_empty(), "nothing was changed");
    Ok(())
}

/// What arithmetic on the known cost gives: the rate, times the cost of a record, over the target utilization.
fn size(rate: f64, millis: f64) -> u64 {
    ((rate * millis / 1e3 / 0.7).ceil() as u64).max(1)
}

fn seconds(from: SystemTime, to: SystemTime) -> f64 {
    to.duration_since(from).map_or(0.0, |d| d.as_secs_f64())
}

#[tokio::test]
async fn chain_takes_one_rescale_a_step_on_2_3() -> Result<()> {
    chain_takes_one_rescale_a_step("2.3").await
}

#[tokio::test]
#[ignore = "the chain and the join on 2.3 are enough for every change; tests/run soak has it"]
async fn chain_takes_one_rescale_a_step_on_1_20() -> Result<()> {
    chain_takes_one_rescale_a_step("1.20").await
}

/// `control.md` section 6: 500, then 1500, then 400 records/s; 4 ms and 1 ms a record.
async fn chain_takes_one_rescale_a_step(version: &str) -> Result<()> {
    // Aligned checkpoints wait behind what is in flight, and so does a rescale that waits for one, or does again what came
    // after it.
    let options = Options::default().with("execution.checkpointing.unaligned.enabled", "true");
    let flink = Flink::start(version, options).await?;
    let topic = Arc::new(flink.topic("orders")?);
    let job = flink.submit(&Job::chain(&topic).parallelism("parse", 3)).await?;
    flink.client().running_at(&job, PATIENCE, &[("parse", 3), ("enrich", 1)]).await?;
    topic.set_rate(500.0)?;
    let daemon = Daemon::start(flink.url(), "chain", &Settings { window: WINDOW, ..Settings::default() })?;
    let watch = Watch::start(&topic);
    tokio::time::sleep(FLINKS_COOLDOWN).await;
    ensure!(daemon.asked()?.is_empty(), "500/s needs no other size: {:?}", daemon.asked()?);

    let up = topic.set_rate(1500.0)?;
    let asked_up = daemon.asks(1, PATIENCE).await?;
    check_sizes(&asked_up, &[("parse", size(1500.0, 4.0)), ("enrich", size(1500.0, 1.0))])?;
    settled(&flink, &job, &asked_up).await?;
    let gone = watch.gone_since(up, 150.0, PATIENCE).await?;
    let ((peak_at, peak), request) = (watch.peak_since(up), seconds(up, asked_up.at));
    // What waits grows until the job runs at the new size, which takes in more than comes.
    let restart = seconds(asked_up.at, peak_at);
    let late = (restart - QUIET_RESTART).max(0.0);
    // Three subtasks work off 750 of 1,500 records/s.
    let left = 1500.0 * late + 750.0 * (request - USUAL_REQUEST).max(0.0);
    // What came in meanwhile, and the time it takes nine subtasks to work it off beside what goes on coming.
    let (most, soon) = (4000.0 + left, 30.0 + late + left / 750.0);
    tokio::time::sleep(FLINKS_COOLDOWN).await;

    let down = topic.set_rate(400.0)?;
    let asked_down = daemon.asks(2, Duration::from_secs(u64::from(WINDOW) + 30)).await?;
    check_sizes(&asked_down, &[("parse", size(400.0, 4.0)), ("enrich", size(400.0, 1.0))])?;
    settled(&flink, &job, &asked_down).await?;
    // Twice the cooldown of this policy, in which a second one would have come.
    tokio::time::sleep(Duration::from_secs(20)).await;
    let asked = daemon.asked()?;
    let down_after = seconds(down, asked_down.at);

    println!("\nFlink {}: 500, 1500, 400 records/s; parse 4 ms, enrich 1 ms", flink.version());
    println!("| what | seen | wanted |");
    println!("|---|---|---|");
    println!("| step up to request | {request:.1} s | under 6 s |");
    println!("| sizes up | {} | parse 9, enrich 3, +-1 |", sizes(&asked_up));
    println!("| peak backlog | {peak:.0} records, after a restart of {restart:.1} s | under {most:.0} |");
    println!("| backlog gone after | {:.1} s | under {soon:.0} s |", seconds(up, gone));
    println!("| step down to request | {down_after:.1} s | window of {WINDOW} s + 10 s |");
    println!("| sizes down | {} | parse 3, enrich 1, +-1 |", sizes(&asked_down));
    println!("| rescales | {} | 2 |\n", asked.len());

    ensure!(asked.len() == 2, "{asked:?}");
    ensure!(request < 6.0, "the request left {request:.1} s after the step; {}", daemon.last_cycles(8));
    ensure!(peak < most, "{peak:.0} records waited, not {most:.0}, after a restart of {restart:.1} s");
    ensure!(seconds(up, gone) < soon, "the backlog was gone after {:.1} s", seconds(up, gone));
    ensure!(down_after < f64::from(WINDOW) + 10.0, "down after {down_after:.1} s");
    daemon.replays()?;
    daemon.stop()
}

#[tokio::test]
async fn diamond_takes_one_rescale_a_step_on_2_3() -> Result<()> {
    diamond_takes_one_rescale_a_step("2.3").await
}

#[tokio::test]
#[ignore = "the chain and the join on 2.3 are enough for every change; tests/run soak has it"]
async fn diamond_takes_one_rescale_a_step_on_1_20() -> Result<()> {
    diamond_takes_one_rescale_a_step("1.20").await
}

/// 300, then 900, then 240 records/s at each of two sources, of which one reports no pending records; one goes through
/// a fan-out of three, both into a keyed join, and on into a window whose output does not grow with the load.
async fn diamond_takes_one_rescale_a_step(version: &str) -> Result<()> {
    let flink = Flink::start(version, Options::default()).await?;
    let (left, right) = (flink.topic("left")?, flink.topic("right")?);
    // Arithmetic on 300/s: explode and clean 300 x 1 ms, join 1200 x 1.5 ms, report 256 keys in 5 s x 10 ms.
    let job = Job::diamond(&left, &right).parallelism("join", 3);
    let job = flink.submit(&job).await?;
    flink.client().running_at(&job, PATIENCE, &[("join", 3)]).await?;
    let set = |rate| -> Result<SystemTime> {
        left.set_rate(rate)?;
        right.set_rate(rate)
    };
    set(300.0)?;
    let daemon = Daemon::start(flink.url(), "diamond", &Settings { window: WINDOW, ..Settings::default() })?;
    tokio::time::sleep(FLINKS_COOLDOWN).await;
    ensure!(daemon.asked()?.is_empty(), "300/s needs no other size: {:?}", daemon.asked()?);

    let mut figures = Vec::new();
    for (nth, (rate, first)) in [(900.0, false), (240.0, true)].into_iter().enumerate() {
        let stepped = set(rate)?;
        let within = if first { u64::from(WINDOW) + 30 } else { 60 };
        let asked = daemon.asks(nth + 1, Duration::from_secs(within)).await?;
        check_sizes(
            &asked,
            &[
                ("explode", size(rate, 1.0)),
                ("clean", size(rate, 1.0)),
                ("join", size(rate * 4.0, 1.5)),
                ("report", size(256.0 / 5.0, 10.0)),
            ],
        )?;
        settled(&flink, &job, &asked).await?;
        figures.push(format!("| to {rate}/s | {:.1} s | {} |", seconds(stepped, asked.at), sizes(&asked)));
        tokio::time::sleep(FLINKS_COOLDOWN).await;
        ensure!(daemon.asked()?.len() == nth + 1, "one rescale a step: {:?}", daemon.asked()?);
    }
    println!("\nFlink {}: two sources of 300, 900, 240 records/s into a join", flink.version());
    println!("| step | request after | sizes |\n|---|---|---|\n{}\n", figures.join("\n"));
    daemon.replays()?;
    daemon.stop()
}

/// Waits until the job runs at the sizes asked for.
async fn settled(flink: &Flink, job: &str, asked: &Asked) -> Result<()> {
    let wanted: Vec<(&str, u64)> = asked.to.iter().map(|(name, size)| (name.as_str(), *size)).collect();
    until("the sizes asked for", PATIENCE, async || {
        flink.client().running_at(job, Duration::ZERO, &wanted).await
    })
    .await
}

fn sizes(asked: &Asked) -> String {
    let sizes: Vec<String> = asked.to.iter().map(|(name, size)| format!("{name} {size}")).collect();
    sizes.join(", ")
}
