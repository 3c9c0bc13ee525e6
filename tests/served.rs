//! The simulated Flink on a real port, with Tidegate's own client on the other side.
#![cfg(feature = "daemon")]

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tidegate::daemon::clock;
use tidegate::model::{JobState, Observation, Snapshot};
use tidegate::observe::flink::{FlinkClient, Poller};
use tidegate::policy::{FlinkRef, Span};
use tidegate::serve::flink::{FlinkServer, Pace};
use tidegate::simulate::{Fault, FaultKind, Scenario, Simulation, scenarios};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// A simulated Flink that is served while this lives.
struct Served {
    flink: Arc<FlinkServer>,
    url: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Served {
    async fn start(scenario: &Scenario, pace: Pace) -> Result<Self> {
        let simulation = Simulation::starting_at(scenario, clock::now())?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let flink = FlinkServer::new(simulation, pace);
        let (stop, stopped) = oneshot::channel();
        let until = async {
            stopped.await.ok();
        };
        let task = tokio::spawn(Arc::clone(&flink).serve(listener, until));
        Ok(Self { flink, url, stop, task })
    }

    fn poller(&self) -> Result<Poller> {
        let flink = FlinkRef {
            url: self.url.clone(),
            poll: Span::from_secs(2),
            timeout: Span::from_secs(2),
            ..FlinkRef::default()
        };
        Ok(Poller::new(FlinkClient::new(&flink)?, &flink))
    }

    async fn stop(self) -> Result<()> {
        drop(self.stop);
        Ok(timeout(Duration::from_secs(10), self.task).await???)
    }
}

async fn seen(poller: &mut Poller) -> Result<Snapshot> {
    match poller.observe(clock::now).await {
        Observation::Seen(snapshot) => Ok(snapshot),
        Observation::Missed(missed) => bail!("{missed:?}"),
    }
}

#[tokio::test]
async fn the_client_sees_what_the_model_does() -> Result<()> {
    let scenario = Scenario { faults: Vec::new(), ..scenarios::demo() };
    let served = Served::start(&scenario, Pace::Times(1.0)).await?;
    let mut poller = served.poller()?;
    // The first look begins the first fetch of metrics, the second finds the names of the source's.
    seen(&mut poller).await?;
    let first = seen(&mut poller).await?;
    sleep(Duration::from_secs(1)).await;
    let second = seen(&mut poller).await?;
    let truth = served.flink.with(|flink| flink.truth());
    ensure!(second.is_fully_running() && second.state == JobState::Running, "{second:?}");
    ensure!(second.parallelism().iter().map(|p| p.get()).eq(truth.parallelism.iter().copied()), "{second:?}");
    ensure!(second.cluster.version == scenario.flink_version, "{:?}", second.cluster);
    ensure!(second.slots.is_some_and(|slots| slots.total == 24 && slots.taskmanagers == 3), "{second:?}");
    ensure!(second.vertices[0].pending_records.is_some(), "{second:?}");
    ensure!(second.running_since == first.running_since, "{second:?}");
    let graph = served.flink.with(|flink| flink.graph().clone());
    let names =
        |graph: &tidegate::model::Graph| graph.vertices().iter().map(|v| v.name.clone()).collect::<Vec<_>>();
    ensure!(names(&second.graph) == names(&graph) && second.graph.edges() == graph.edges());

    let (a, b) = (&first.vertices[1], &second.vertices[1]);
    let busy = b.busy_ms.zip(a.busy_ms).map(|(b, a)| b - a).context("a clock")?;
    let read = b.read_records.zip(a.read_records).map(|(b, a)| b - a).context("records")?;
    let service_ms = busy as f64 / read as f64;
    ensure!((service_ms - 4.0).abs() < 0.05, "{service_ms} ms");
    served.stop().await
}

#[tokio::test]
async fn faults_are_felt_on_the_wire() -> Result<()> {
    let lasts = Span::from_secs(40);
    let mut scenario = scenarios::demo();
    scenario.faults = vec![
        Fault { at: Span::from_secs(100), what: FaultKind::Unreachable { lasts } },
        Fault {
            at: Span::from_secs(200),
            what: FaultKind::SlowAnswers { lasts, delay: Span::from_secs(10) },
        },
    ];
    let served = Served::start(&scenario, Pace::Manual).await?;
    let to = |second| served.flink.with(|flink| flink.advance_to(flink.now() + Duration::from_secs(second)));
    let http = reqwest_client()?;
    let config = || http.get(format!("{}/config", served.url)).send();
    ensure!(config().await?.status() == 200);
    to(120);
    ensure!(timeout(Duration::from_millis(200), config()).await.is_err(), "an answer got through");
    let waiting = tokio::spawn(config());
    to(30);
    ensure!(waiting.await??.status() == 200, "the answer comes when the fault has passed");
    served.stop().await?;

    // Ten times as fast: an answer that takes 10 s takes one.
    scenario.faults.remove(0);
    scenario.faults[0].at = Span::default();
    let served = Served::start(&scenario, Pace::Times(10.0)).await?;
    let asked = Instant::now();
    ensure!(http.get(format!("{}/config", served.url)).send().await?.status() == 200);
    ensure!(asked.elapsed() >= Duration::from_secs(1), "{:?}", asked.elapsed());
    served.stop().await
}

fn reqwest_client() -> Result<reqwest::Client> {
    rustls::crypto::ring::default_provider().install_default().ok();
    Ok(reqwest::Client::builder().build()?)
}
