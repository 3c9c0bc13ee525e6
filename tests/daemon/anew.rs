//! A job under the default scheduler, which `tidegate run` stops with a savepoint and runs again on the simulated Flink.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tidegate::model::RescaleEnd;
use tidegate::policy::Span;
use tidegate::simulate::{Fault, FaultKind, RunFault, Scenario, SchedulerKind, StopFault};
use tokio::time::{sleep, timeout};

use super::{Bed, PATIENCE, short_of_subtasks};

const HOW: &str = "  savepoint: {jar: orders.jar}\n";

fn scenario(faults: &[FaultKind]) -> Scenario {
    let fault = |what: &FaultKind| Fault { at: Span::from_secs(0), what: what.clone() };
    Scenario {
        scheduler: SchedulerKind::Default,
        flink_version: "1.20.5".parse().expect("a version"),
        faults: faults.iter().map(fault).collect(),
        ..short_of_subtasks()
    }
}

fn ends(bed: &Bed) -> Result<Vec<RescaleEnd>> {
    Ok(bed.state()?.ledger.rescales.iter().map(|rescale| rescale.end).collect())
}

/// What `tidegate explain` says of the rescale, from the journal alone, once that has come so far.
async fn explained(bed: &Bed, part: &str) -> Result<String> {
    let told = async {
        loop {
            let told = explain(bed)?;
            if told.contains(part) {
                return Ok(told);
            }
            sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(PATIENCE, told).await.with_context(|| format!("nobody explains {part:?}: {:?}", explain(bed)))?
}

fn explain(bed: &Bed) -> Result<String> {
    let explain = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .current_dir(bed.folder.path())
        .args(["explain", "orders", "--state-dir", "state"])
        .output()?;
    ensure!(explain.status.success(), "{}", String::from_utf8_lossy(&explain.stderr));
    Ok(String::from_utf8(explain.stdout)?)
}

#[tokio::test]
async fn a_job_under_the_default_scheduler_is_stopped_and_run_again() -> Result<()> {
    let bed = Bed::of(&scenario(&[]), HOW).await?;
    let before = bed.flink.with(|flink| flink.truth());
    let mut daemon = bed.daemon()?;
    for stage in ["StopRequested", "SavepointDone", "Stopped", "Submitted", "Confirming", "Done"] {
        daemon.says(&format!("stage={stage}")).await?;
    }
    daemon.says(super::SETTLED).await?;
    let after = bed.flink.with(|flink| flink.truth());
    ensure!((4..=6).contains(&after.parallelism[1]) && after.running, "{after:?}");
    ensure!(after.sources[0].arrived > before.sources[0].arrived, "{after:?}");
    let told = explained(&bed, "states    Planned after 0s, StopRequested after").await?;
    ensure!(told.contains("Confirming after") && told.contains("Done after"), "{told}");
    daemon.stops().await?;
    ensure!(ends(&bed)? == [RescaleEnd::Done], "{:?}", ends(&bed)?);
    bed.journal()?;
    Ok(())
}

#[tokio::test]
async fn a_size_that_does_not_come_up_is_taken_back() -> Result<()> {
    let bed = Bed::of(&scenario(&[FaultKind::RunFails { how: RunFault::Fails, times: 1 }]), HOW).await?;
    let mut daemon = bed.daemon()?;
    daemon.says("stage=RollingBack").await?;
    daemon.says("stage=RolledBack").await?;
    daemon.says("FailedBefore").await?;
    let truth = bed.flink.with(|flink| flink.truth());
    ensure!(truth.parallelism == [1, 1] && truth.running, "{truth:?}");
    daemon.stops().await?;
    ensure!(ends(&bed)? == [RescaleEnd::TimedOut], "{:?}", ends(&bed)?);
    bed.journal()?;
    Ok(())
}

#[tokio::test]
async fn a_job_that_cannot_be_stopped_runs_on() -> Result<()> {
    let cannot = FaultKind::StopFails { how: StopFault::CannotWrite, times: 9 };
    let bed = Bed::of(&scenario(&[cannot]), HOW).await?;
    let job = bed.flink.with(|flink| flink.truth().sources[0].arrived);
    let mut daemon = bed.daemon()?;
    daemon.says("stage=NotStopped").await?;
    daemon.says("StopFailed").await?;
    let truth = bed.flink.with(|flink| flink.truth());
    ensure!(truth.running && truth.sources[0].arrived > job, "{truth:?}");
    daemon.stops().await?;
    ensure!(ends(&bed)? == [RescaleEnd::Failed], "{:?}", ends(&bed)?);
    Ok(())
}

/// The jar goes when the job is about to be run at its new size: a person is told how to bring it back, by the journal too.
#[tokio::test]
async fn a_job_that_nothing_brings_back_is_explained_with_its_command() -> Result<()> {
    let cannot = FaultKind::RunFails { how: RunFault::Refused, times: 9 };
    let bed = Bed::of(&scenario(&[cannot]), HOW).await?;
    let mut daemon = bed.daemon()?;
    daemon.says("needs a person").await?;
    let told = explained(&bed, "by hand").await?;
    let line = told.lines().find(|line| line.starts_with("by hand")).with_context(|| told.clone())?;
    ensure!(line.contains("flink run") && line.contains("orders.jar"), "{line}");
    daemon.stops().await?;
    Ok(())
}
