//! What goes wrong while a job is stopped with a savepoint and run again: it runs all the same, and nothing is lost.

use anyhow::{Context, Result, ensure};

use crate::daemon::{Daemon, Settings};
use crate::savepoint::{PATIENCE, only_job, options, runs_again, settings};
use crate::testbed::{Flink, Job, Ledger, Options, Topic, Trouble, until};

/// A job that writes into a ledger, and a daemon that has seen it run at ease.
struct Story {
    topic: Topic,
    ledger: Ledger,
    job: String,
    daemon: Daemon,
}

impl Story {
    async fn begin(flink: &Flink, name: &str, spec: &str, change: fn(Job) -> Job) -> Result<Self> {
        let (topic, ledger) = (flink.topic(name)?, Ledger::new()?);
        let program = change(ledger.of(Job::chain(&topic).parallelism("parse", 3)));
        let job = flink.submit(&program).await?;
        flink.client().running_at(&job, PATIENCE, &[("parse", 3)]).await?;
        topic.set_rate(500.0)?;
        let settings = settings(&program, "");
        // It is not made smaller while a story ends.
        let window = 600;
        let spec = format!("{}\n{spec}", settings.spec);
        let settings = Settings { spec, window, cooldown: "3s", ..settings };
        let daemon = Daemon::start(flink.url(), "chain", &settings)?;
        daemon.cycles_with("Unchanged", 2, PATIENCE).await?;
        Ok(Self { topic, ledger, job, daemon })
    }

    async fn reaches(&self, stage: &str) -> Result<()> {
        self.says(&format!("stage={stage}")).await
    }

    async fn says(&self, what: &str) -> Result<()> {
        // Flink may take two minutes, and as much again on a full machine.
        until(what, PATIENCE * 4, async || {
            ensure!(self.daemon.log().contains(what), "{}", self.daemon.last_cycles(2));
            Ok(())
        })
        .await
    }

    /// A cycle has this outcome, for this reason.
    async fn ends(&self, outcome: &str, why: &str) -> Result<()> {
        until(outcome, PATIENCE, async || {
            let cycles = self.daemon.cycles()?;
            let ended = cycles.iter().find(|cycle| cycle["outcome"]["outcome"] == outcome);
            let ended = ended.with_context(|| self.daemon.last_cycles(2))?;
            ensure!(ended["outcome"]["detail"].to_string().contains(why), "{}", ended["outcome"]);
            Ok(())
        })
        .await
    }

    /// All that was produced is written down once; the job goes, so that another can be begun.
    async fn end(self, flink: &Flink) -> Result<()> {
        self.ledger.is_exact(&self.topic).await.with_context(|| self.daemon.log())?;
        self.daemon.replays()?;
        self.daemon.stop()?;
        let (job, _) = only_job(flink).await?;
        let path = format!("/jobs/{job}?mode=cancel");
        let (status, said) = flink.client().send_any(reqwest::Method::PATCH, &path, "").await?;
        ensure!(status.is_success(), "{said}");
        until("the job to have gone", PATIENCE, async || {
            let state = flink.client().state(&job).await?;
            ensure!(state == "CANCELED", "{state}");
            Ok(())
        })
        .await
    }
}

/// The sink holds up what the savepoint has to wait for: Flink gives it up, and starts those tasks again that have had their part of it.
#[tokio::test]
#[ignore = "a cluster of its own: tests/run soak has it"]
async fn soak_a_stop_that_times_out_leaves_the_job_running() -> Result<()> {
    let options = options().with("execution.checkpointing.tolerable-failed-checkpoints", "1000");
    let flink = &Flink::start("1.20", options).await?;
    let story =
        Story::begin(flink, "orders", "", |job| job.with("checkpoint-timeout-millis", "4000")).await?;
    let Story { topic, ledger, job, daemon } = &story;
    ledger.begin(Trouble::Slow)?;
    topic.set_rate(1500.0)?;
    story.reaches("NotStopped").await?;
    story.ends("Failed", "did not stop the job with a savepoint").await?;
    // What has failed just now is not tried again at once, however much it is needed.
    daemon.cycles_with("Held", 3, PATIENCE).await?;
    story.says("StopFailed").await?;
    ensure!(daemon.log().matches("stage=StopRequested").count() == 1, "{}", daemon.log());
    ensure!(
        only_job(flink).await?.0 == *job && flink.client().state(job).await? == "RUNNING",
        "{job} is gone"
    );
    topic.set_rate(100.0)?;
    ledger.end(Trouble::Slow)?;
    story.end(flink).await
}

/// The savepoint is complete, and tasks fail while they finish: that is an error after which Flink starts no job again, whatever
/// restarts it has left (`StopWithSavepointStoppingException` is a `NonRecoverableError`).
async fn tasks_that_fail_while_finishing(flink: &Flink) -> Result<()> {
    let story = Story::begin(flink, "unable", "", |job| job).await?;
    story.ledger.begin(Trouble::Unable)?;
    story.topic.set_rate(1500.0)?;
    story.reaches("Stopped").await?;
    story.ledger.end(Trouble::Unable)?;
    ensure!(flink.client().state(&story.job).await? == "FAILED", "it has not failed");
    let again = runs_again(flink, &story.job, &[]).await.with_context(|| story.daemon.log())?;
    let asked = story.daemon.asks(1, PATIENCE).await?;
    let parse = crate::policies::size(&asked, "parse").context("parse")?;
    flink.client().running_at(&again, PATIENCE, &[("parse", parse)]).await?;
    story.topic.set_rate(100.0)?;
    story.end(flink).await
}

/// A TaskManager goes while the job does not run: its new size finds too few slots, and its old one enough.
async fn fewer_slots_than_promised(flink: &mut Flink) -> Result<()> {
    let story = Story::begin(flink, "fewer", "", |job| job).await?;
    story.topic.set_rate(1500.0)?;
    story.reaches("Stopped").await?;
    flink.kill_taskmanager(1)?;
    // What waits by then is worked off by three.
    story.topic.set_rate(100.0)?;
    let again = runs_again(flink, &story.job, &[("parse", 3)]).await.with_context(|| story.daemon.log())?;
    story.reaches("RolledBack").await?;
    ensure!(only_job(flink).await?.0 == again, "the job is another one");
    story.end(flink).await
}

#[tokio::test]
async fn whatever_goes_wrong_with_a_stop_the_job_runs_and_nothing_is_lost() -> Result<()> {
    // What finds too few slots fails, and is not tried for minutes.
    let options = options().with("slot.request.timeout", "10000").with("restart-strategy.type", "none");
    let mut flink = Flink::start("1.20", options).await?;
    tasks_that_fail_while_finishing(&flink).await.context("tasks that fail while finishing")?;
    fewer_slots_than_promised(&mut flink).await.context("fewer slots than promised")
}

/// Under the adaptive scheduler a job that is run again takes the slots that there are.
#[tokio::test]
#[ignore = "a cluster of its own: tests/run soak has it"]
async fn soak_on_fewer_slots_than_promised_an_adaptive_job_takes_what_there_is() -> Result<()> {
    let options = Options { slots: 6, ..Options::default() }.with("slot.request.timeout", "10000");
    let mut flink = Flink::start("1.20", options).await?;
    let story = Story::begin(&flink, "orders", "  mechanism: Savepoint", |job| job).await?;
    story.topic.set_rate(1500.0)?;
    story.reaches("Stopped").await?;
    flink.kill_taskmanager(1)?;
    let again = runs_again(&flink, &story.job, &[("parse", 6)]).await.with_context(|| story.daemon.log())?;
    story.reaches("Done").await?;
    ensure!(only_job(&flink).await?.0 == again, "the job is another one");
    story.end(&flink).await
}
