//! What is read besides the counters: how late records are where nobody counts what waits, and the TaskManagers' memory.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tidegate::model::{Observation, Timestamp};
use tidegate::observe::flink::{FlinkClient, Poller};
use tidegate::policy::{FlinkRef, Span};
use tidegate::signals::{History, Lag};

use crate::testbed::{Flink, Job, Options};

const PATIENCE: Duration = Duration::from_mins(1);

fn now() -> Timestamp {
    tidegate::daemon::clock::now()
}

/// Polls every 3 s, so many times; the lag of the source and what it puts out, as of the last one.
async fn watch(poller: &mut Poller, history: &mut History, polls: usize) -> Result<(Lag, f64)> {
    for _ in 0..polls {
        let observation = match poller.observe(now).await {
            seen @ Observation::Seen(_) => seen,
            Observation::Missed(missed) => bail!("{missed:?}"),
        };
        history.push(&observation);
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    let source = history.signals().context("samples")?.vertices.swap_remove(0);
    let out = source.rate_out.context("records")?.mean;
    Ok((source.lag.with_context(|| format!("no lag: {source:?}"))?, out))
}

#[tokio::test]
async fn event_times_tell_what_arrives_and_memory_is_read_beside_it() -> Result<()> {
    let flink = Flink::start("2.3", Options::default()).await?;
    let topic = flink.topic("orders")?;
    let job = Job::chain(&topic).parallelism("parse", 2).with("source.pending", "false");
    let job = flink.submit(&job.with("source.times", "true")).await?;
    flink.client().running_at(&job, PATIENCE, &[("parse", 2)]).await?;
    topic.set_rate(300.0)?;
    tokio::time::sleep(Duration::from_secs(10)).await;

    let reference = FlinkRef {
        url: flink.url().to_owned(),
        poll: Span::from_secs(3),
        timeout: Span::from_secs(10),
        ..FlinkRef::default()
    };
    let mut poller = Poller::new(FlinkClient::new(&reference)?, &reference).watching_memory();
    let mut history = History::default();
    let (lag, _) = watch(&mut poller, &mut history, 8).await?;
    ensure!(lag.now < 2.0 && lag.growth.abs() < 0.1, "it keeps up: {lag:?}");
    ensure!(lag.usual.is_some_and(|usual| usual < 2.0), "and that is usual: {lag:?}");

    // 4 ms of waiting a record: two subtasks take in 500 records/s at the most.
    topic.set_rate(1000.0)?;
    let (lag, out) = watch(&mut poller, &mut history, 12).await?;
    let arrival = out / (1.0 - lag.growth);
    ensure!((arrival / 1000.0 - 1.0).abs() < 0.15, "{arrival:.0}/s from {out:.0}/s and {lag:?}");
    let behind = arrival * (lag.now - lag.usual.unwrap_or_default());
    let waits = topic.waiting()?;
    // Some of what is behind is on its way, between the source and the step that is full.
    ensure!((behind / waits - 1.0).abs() < 0.3, "{behind:.0} behind by {lag:?}, and {waits:.0} wait");

    let snapshot = history.last().context("a snapshot")?;
    ensure!(snapshot.vertices[0].pending_records.is_none(), "{:?}", snapshot.vertices[0]);
    let memory = snapshot.around.memory.as_deref().context("memory was read")?;
    ensure!(memory.heap_used > 0 && memory.heap_used <= memory.heap_max, "{memory:?}");
    ensure!(memory.gc_share.is_some_and(|share| share < 0.5), "{memory:?}");
    ensure!(memory.metaspace_used.is_some_and(|bytes| bytes > 10 << 20), "{memory:?}");
    ensure!(memory.managed_used.is_some(), "{memory:?}");
    eprintln!("{lag:?}, {arrival:.0}/s, {behind:.0} behind, {waits:.0} wait, {memory:?}");
    Ok(())
}
