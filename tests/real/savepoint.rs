//! Jobs that cannot be rescaled in place: stopped with a savepoint, and run again at another size.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::daemon::{Daemon, Settings};
use crate::policies::size;
use crate::testbed::{Flink, Job, Ledger, Options, Topic, Trouble, until};

pub const PATIENCE: Duration = Duration::from_mins(1);

/// A cluster whose jobs cannot be rescaled in place.
pub fn options() -> Options {
    Options::default().with("jobmanager.scheduler", "default")
}

/// A policy for a job whose jar the test bed has uploaded.
pub fn settings(job: &Job, more: &str) -> Settings {
    let (class, args) = job.program();
    let args = args.iter().map(|arg| format!("\"{arg}\"")).collect::<Vec<_>>().join(", ");
    Settings {
        spec: format!("  savepoint: {{jar: jobs.jar, entryClass: {class}, args: [{args}]{more}}}"),
        window: 20,
        ..Settings::default()
    }
}

/// The one job that runs, and how many jobs of the cluster do not.
pub async fn only_job(flink: &Flink) -> Result<(String, usize)> {
    let jobs = flink.client().get("/jobs/overview").await?;
    let jobs = jobs["jobs"].as_array().context("jobs")?;
    let (alive, ended): (Vec<&Value>, Vec<&Value>) = jobs
        .iter()
        .partition(|job| !["FINISHED", "CANCELED", "FAILED"].contains(&job["state"].as_str().unwrap_or("")));
    ensure!(alive.len() == 1, "{} jobs run: {alive:?}", alive.len());
    Ok((alive[0]["jid"].as_str().context("an id")?.to_owned(), ended.len()))
}

/// Waits until one job runs that is none of these, with these sizes, and says which.
pub async fn runs_again(flink: &Flink, before: &str, sizes: &[(&str, u64)]) -> Result<String> {
    until("the job to run again", PATIENCE, async || {
        let (job, _) = only_job(flink).await?;
        ensure!(job != before, "it is still {job}");
        flink.client().running_at(&job, Duration::ZERO, sizes).await?;
        Ok(job)
    })
    .await
}

/// Waits until one job runs that is none of these, with so many subtasks of `parse`, and says which.
async fn runs_with(flink: &Flink, before: &str, parse: RangeInclusive<u64>) -> Result<String> {
    until("the job to run again", PATIENCE * 3, async || {
        let (job, _) = only_job(flink).await?;
        let size = flink.client().vertices(&job).await?.get("parse").context("parse")?.parallelism;
        ensure!(job != before && parse.contains(&size), "{job} with {size}");
        ensure!(flink.client().state(&job).await? == "RUNNING", "{job}");
        Ok(job)
    })
    .await
}

/// Nothing was read twice and nothing left out: what is still to be read comes to nothing.
async fn works_off(topic: &Topic, within: Duration) -> Result<()> {
    until("no backlog", within, async || {
        let waiting = topic.waiting()?;
        ensure!(waiting < 150.0, "{waiting} wait");
        Ok(())
    })
    .await
}

/// Waits until in two more cycles nothing is to be done, or nothing that is worth a restart.
async fn rests(daemon: &Daemon) -> Result<()> {
    let rests = |cycle: &Value| {
        let holds = cycle["decision"]["holds"].to_string();
        cycle["outcome"]["outcome"] == "Unchanged" || holds.contains("NotWorthIt")
    };
    daemon.cycles_that("cycles of rest", rests, 2, PATIENCE).await
}

#[tokio::test]
async fn a_job_is_stopped_and_run_again_vertex_by_vertex_though_its_daemon_is_killed() -> Result<()> {
    let flink = Flink::start("1.20", options()).await?;
    let (topic, ledger) = (flink.topic("orders")?, Ledger::new()?);
    let job = ledger.of(Job::chain(&topic).parallelism("parse", 3));
    let first = flink.submit(&job).await?;
    flink.client().running_at(&first, PATIENCE, &[("parse", 3)]).await?;
    topic.set_rate(500.0)?;
    let mut daemon = Daemon::start(flink.url(), "chain", &settings(&job, ", keep: 1"))?;
    daemon.cycles_with("Unchanged", 2, PATIENCE).await?;

    topic.set_rate(1500.0)?;
    daemon.asks(1, PATIENCE).await?;
    daemon.crash_and_restart()?;
    let second = runs_with(&flink, &first, 6..=16).await.with_context(|| daemon.log())?;
    let sizes = flink.client().vertices(&second).await?;
    ensure!(sizes["enrich"].parallelism < sizes["parse"].parallelism, "all of one size: {sizes:?}");
    works_off(&topic, PATIENCE * 3).await?;
    rests(&daemon).await?;

    topic.set_rate(300.0)?;
    runs_with(&flink, &second, 1..=3).await.with_context(|| daemon.log())?;
    works_off(&topic, PATIENCE * 3).await?;
    // It may go there in more than one step: each ends one run, and the last savepoint is the one kept.
    until("all savepoints but the last to be disposed of", PATIENCE, async || {
        let (_, ended) = only_job(&flink).await?;
        let asked = daemon.asked()?;
        ensure!(ended == asked.len(), "{ended} runs have ended: {asked:?}");
        let (left, said) = (flink.savepoints()?, daemon.log());
        ensure!(left.len() == 1 && said.contains("an old savepoint is disposed of"), "{left:?}: {said}");
        Ok(())
    })
    .await?;
    ledger.is_exact(&topic).await?;
    daemon.replays()?;
    daemon.stop()
}

#[tokio::test]
#[ignore = "minutes: tests/run soak has it"]
async fn soak_nothing_is_lost_in_ten_rescales_and_by_a_jobmanager_that_goes_in_mid_stop_1_18() -> Result<()> {
    nothing_is_lost_in_ten_rescales("1.18").await
}

#[tokio::test]
#[ignore = "minutes: tests/run soak has it"]
async fn soak_nothing_is_lost_in_ten_rescales_and_by_a_jobmanager_that_goes_in_mid_stop_1_20() -> Result<()> {
    nothing_is_lost_in_ten_rescales("1.20").await
}

#[tokio::test]
#[ignore = "minutes: tests/run soak has it"]
async fn soak_nothing_is_lost_in_ten_rescales_and_by_a_jobmanager_that_goes_in_mid_stop_2_3() -> Result<()> {
    nothing_is_lost_in_ten_rescales("2.3").await
}

/// Up and down in turn, and the JobManager goes while the fifth stop is under way.
async fn nothing_is_lost_in_ten_rescales(version: &str) -> Result<()> {
    let options = Options { ha: true, ..options() };
    let mut flink = Flink::start(version, options).await?;
    let (topic, ledger) = (flink.topic("orders")?, Ledger::new()?);
    let job = ledger.of(Job::chain_of_one_size(&topic));
    let mut last = flink.submit(&job).await?;
    flink.client().running_at(&last, PATIENCE, &[("parse", 1)]).await?;
    topic.set_rate(100.0)?;
    // Long enough for a restart on a full machine to be worth it.
    let settings = Settings { cooldown: "3s", window: 30, ..settings(&job, "") };
    let daemon = Daemon::start(flink.url(), "chain", &settings)?;
    for nth in 0..10 {
        let begun = Instant::now();
        // Six are enough for the one if they do nothing else, and one is for the other.
        let (rate, sizes) = if nth % 2 == 0 { (1500.0, 6..=16) } else { (100.0, 1..=2) };
        if nth == 4 {
            // What the sink holds up the savepoint waits for.
            ledger.begin(Trouble::Slow)?;
        }
        topic.set_rate(rate)?;
        if nth == 4 {
            let said = daemon.log().matches("stage=StopRequested").count();
            until("a stop", PATIENCE * 3, async || {
                ensure!(
                    daemon.log().matches("stage=StopRequested").count() > said,
                    "{}",
                    daemon.last_cycles(2)
                );
                Ok(())
            })
            .await?;
            flink.kill_jobmanager()?;
            ledger.end(Trouble::Slow)?;
            flink.restart_jobmanager().await?;
        }
        last = runs_with(&flink, &last, sizes)
            .await
            .with_context(|| format!("rescale {nth}: {}", daemon.log()))?;
        works_off(&topic, PATIENCE * 5).await.with_context(|| format!("rescale {nth}: {}", daemon.log()))?;
        println!("{version}: rescale {nth} took {:?}", begun.elapsed());
    }
    ledger.is_exact(&topic).await?;
    daemon.stop()
}

#[tokio::test]
async fn killed_in_any_state_it_goes_on_there() -> Result<()> {
    killed_in_each_of(&["StopRequested", "SavepointDone", "Submitted"]).await
}

#[tokio::test]
#[ignore = "the other states, too: tests/run soak has them"]
async fn soak_killed_in_every_state_it_goes_on_there() -> Result<()> {
    killed_in_each_of(&["StopRequested", "SavepointDone", "Stopped", "Submitted", "Confirming", "Done"]).await
}

/// Records/s in turn, for 9 subtasks and for 3 of 4 ms a record.
const STEPS: [f64; 2] = [1500.0, 480.0];

/// For each state a step of the load, and a daemon that is killed as soon as it says that it has come into the state.
async fn killed_in_each_of(stages: &[&str]) -> Result<()> {
    let flink = Flink::start("1.20", options()).await?;
    let topic = flink.topic("orders")?;
    let job = Job::chain(&topic).parallelism("parse", 3);
    let first = flink.submit(&job).await?;
    flink.client().running_at(&first, PATIENCE, &[("parse", 3)]).await?;
    topic.set_rate(480.0)?;
    // Long enough for a restart on a full machine to be worth it.
    let settings = Settings { cooldown: "3s", window: 30, ..settings(&job, "") };
    let mut daemon = Daemon::start(flink.url(), "chain", &settings)?;
    rests(&daemon).await?;
    for (stage, rate) in stages.iter().zip(STEPS.into_iter().cycle()) {
        topic.set_rate(rate)?;
        let said = format!("stage={stage}");
        let before = daemon.log().matches(&said).count();
        until(&format!("the state {stage}"), PATIENCE * 3, async || {
            ensure!(daemon.log().matches(&said).count() > before, "{}", daemon.last_cycles(2));
            Ok(())
        })
        .await?;
        daemon.crash_and_restart()?;
        // Each run before it was stopped once, and nothing else was ever run.
        until("one run, at the size asked for last", PATIENCE, async || {
            let asked = daemon.asked()?;
            let parse = asked.last().and_then(|asked| size(asked, "parse")).context("it has asked")?;
            let (running, ended) = only_job(&flink).await?;
            ensure!(ended == asked.len(), "{ended} runs have ended, and {} were asked for", asked.len());
            flink.client().running_at(&running, Duration::ZERO, &[("parse", parse)]).await
        })
        .await
        .with_context(|| format!("killed in {stage}: {}", daemon.log()))?;
        works_off(&topic, PATIENCE * 3).await?;
        rests(&daemon).await?;
    }
    daemon.stop()
}

#[tokio::test]
#[ignore = "a Job on 2.3 in pods has one size, too: tests/run soak has it"]
async fn where_vertices_cannot_be_sized_the_job_has_one_size() -> Result<()> {
    let flink = Flink::start("2.3", options()).await?;
    let topic = flink.topic("orders")?;
    let job = Job::chain_of_one_size(&topic);
    let first = flink.submit(&job).await?;
    flink.client().running_at(&first, PATIENCE, &[("parse", 1)]).await?;
    topic.set_rate(500.0)?;
    let daemon = Daemon::start(flink.url(), "chain", &settings(&job, ""))?;
    let asked = daemon.asks(1, PATIENCE).await?;
    let all = size(&asked, "parse").context("parse")?;
    ensure!(asked.to.iter().all(|(_, size)| *size == all), "{asked:?}");
    runs_again(&flink, &first, &[("source", all), ("parse", all), ("enrich", all), ("sink", all)]).await?;
    works_off(&topic, PATIENCE).await?;
    daemon.replays()?;
    daemon.stop()
}

#[tokio::test]
async fn what_cannot_be_done_leaves_the_job_as_it_is() -> Result<()> {
    let flink = Flink::start("1.20", options()).await?;
    let topic = flink.topic("orders")?;
    let job = Job::chain(&topic).parallelism("parse", 1);
    let first = flink.submit(&job).await?;
    flink.client().running_at(&first, PATIENCE, &[("parse", 1)]).await?;
    topic.set_rate(500.0)?;
    for (more, outcome, says) in [
        // No directory can be made below a file.
        (", directory: \"file:///dev/null/savepoints\"", "Failed", "did not stop the job"),
        // The jar is looked for before the job is stopped.
        (", jar: other.jar", "Superseded", "no jar other.jar"),
    ] {
        let mut settings = settings(&job, more);
        if more.contains("jar:") {
            settings.spec = settings.spec.replace("jar: jobs.jar, ", "");
        }
        let daemon = Daemon::start(flink.url(), "chain", &settings)?;
        daemon.cycles_with(outcome, 1, PATIENCE).await.with_context(|| daemon.log())?;
        let said = daemon.cycles()?;
        let said = said.iter().filter(|cycle| cycle["outcome"]["outcome"] == outcome);
        let details: Vec<_> = said.map(|cycle| cycle["outcome"]["detail"].to_string()).collect();
        ensure!(details.iter().all(|detail| detail.contains(says)), "{details:?}");
        daemon.stop()?;
        ensure!(only_job(&flink).await? == (first.clone(), 0), "the job is another one");
        flink.client().running_at(&first, Duration::ZERO, &[("parse", 1)]).await?;
    }
    Ok(())
}
