//! A rescale that Flink 2.x would let wait for minutes.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use tidegate::act::Hastener;
use tidegate::model::{Attempt, Observation, Parallelism, VertexId};
use tidegate::observe::flink::{FlinkClient, Poller};
use tidegate::policy::{FlinkRef, Span};

use crate::testbed::{Flink, Job, Options, until};

/// Asked for within Flink's cooldown, with five minutes between two checkpoints: without a checkpoint after the cooldown
/// the job would keep its size until the next one.
#[tokio::test]
async fn a_rescale_in_flinks_cooldown_does_not_wait_for_the_next_checkpoint() -> Result<()> {
    let options = Options { taskmanagers: 1, ..Options::default() };
    let flink = Flink::start("2.3", options.with("execution.checkpointing.interval", "300s")).await?;
    let topic = flink.topic("orders")?;
    topic.set_rate(100.0)?;
    let job = flink.submit(&Job::chain(&topic).parallelism("parse", 2)).await?;
    flink.client().running_at(&job, Duration::from_mins(1), &[("parse", 2)]).await?;

    let reference = FlinkRef { url: flink.url().to_owned(), poll: Span::from_secs(2), ..FlinkRef::default() };
    let reference = FlinkRef { timeout: Span::from_secs(10), ..reference };
    let client = FlinkClient::new(&reference)?;
    let mut poller = Poller::new(client.clone(), &reference);
    let Observation::Seen(before) = poller.observe(tidegate::daemon::clock::now).await else {
        bail!("nothing was seen of a job that runs")
    };
    let from: BTreeMap<VertexId, Parallelism> =
        before.graph.vertices().iter().map(|vertex| vertex.id).zip(before.parallelism()).collect();
    let at = tidegate::daemon::clock::now();
    let attempt = Attempt::new(before.job, at, at + Duration::from_mins(5), from.clone(), from);
    flink.client().rescale(&job, &[("parse", 4)]).await?;

    let mut hastener = Hastener::default();
    until("the rescale to come about", Duration::from_mins(1), async || {
        let Observation::Seen(seen) = poller.observe(tidegate::daemon::clock::now).await else {
            bail!("nothing was seen")
        };
        hastener.step(&client, &attempt, &seen).await;
        let sizes: Vec<u32> = seen.parallelism().into_iter().map(Parallelism::get).collect();
        ensure!(sizes == [1, 4, 1, 1], "{sizes:?}");
        Ok(())
    })
    .await
}
