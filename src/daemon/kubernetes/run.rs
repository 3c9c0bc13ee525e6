//! The loop: watches, the Lease and the probes around the [`Controller`].

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Api;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tracing::info;

use super::connect;
use super::controller::{Controller, Means};
use super::election::Standing;
use super::events::{Events, Recorder};
use super::found::Found;
use super::lease::Candidate;
use super::news::News;
use super::world::{Scope, World};
use crate::config::Library;
use crate::daemon::health::Health;
use crate::daemon::journal_file::Keep;
use crate::daemon::metrics::Metrics;
use crate::daemon::pace;
use crate::observe::{Gate, Within};
use crate::policy::PrometheusRef;

/// Changes that come together are looked at together: our own statuses come back as changes, too.
const LOOKED_AT_AFTER: Duration = Duration::from_millis(200);

/// How often the loop turns when nothing happens.
const TURN: Duration = Duration::from_secs(1);

/// How the daemon works in Kubernetes.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where autoscalers are looked for; without it, in the namespace of the pod, or of the kubeconfig's context.
    pub scope: Option<Scope>,
    /// The name of the one autoscaler that is looked after; all, without it.
    pub name: Option<String>,
    /// Policies that are no objects.
    pub library: Library,
    /// Decide and say so only, whatever the objects say.
    pub dry_run: bool,
    /// Where probes are answered; nowhere, without it.
    pub listen: Option<SocketAddr>,
    /// The name of the Lease.
    pub lease: String,
    /// The namespace of the Lease; without it, that of the pod, or of the kubeconfig's context.
    pub lease_namespace: Option<String>,
    /// The name of this process, which need not be another's: something is added to it.
    pub identity: String,
    /// Where journals are kept, and how much of them; `None` for none.
    pub journals: Option<(PathBuf, Keep)>,
    /// The folder of the files that objects may name.
    pub files: PathBuf,
    /// The Prometheus of those objects that name none.
    pub prometheus: Option<PrometheusRef>,
}

/// Why the daemon does not run in Kubernetes.
#[derive(Debug, Error)]
pub enum ControllerError {
    /// It is not known where the API server is.
    #[error("neither a pod's ServiceAccount nor a kubeconfig was found: run it in a pod, or set KUBECONFIG")]
    Config(#[source] kube::config::InferConfigError),
    /// What the kubeconfig or the pod says cannot be used.
    #[error("the API server cannot be used")]
    Client(#[source] kube::Error),
    /// The address for probes cannot be listened on.
    #[error("cannot listen on {address}: name another address with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A task ended by a fault of the program.
    #[error("a task ended unexpectedly")]
    Task(#[from] JoinError),
}

/// Scales the jobs of all `FlinkAutoscaler` objects until `stop` resolves; then finishes what has been begun, keeps what is
/// known, and gives the Lease back.
///
/// # Errors
/// At the start, when there is no way to the API server or the address of probes is taken. One that is away is waited for.
pub async fn run(options: Options, stop: impl Future<Output = ()>) -> Result<(), ControllerError> {
    let config = connect::config().await.map_err(ControllerError::Config)?;
    let (home, server) = (config.default_namespace.clone(), config.cluster_url.to_string());
    let client = connect::client(config).map_err(ControllerError::Client)?;
    let metrics = Metrics::new();
    let health = Health::new(Arc::clone(&metrics));
    if let Some(address) = options.listen {
        let listen = health.clone().listen(address).await;
        let (address, serve) = listen.map_err(|source| ControllerError::Listen { address, source })?;
        info!(%address, "answering /healthz, /readyz and /metrics");
        tokio::spawn(serve);
    }

    let scope = options.scope.unwrap_or_else(|| Scope::Namespaces(vec![home.clone()]));
    let me = format!("{}_{:016x}", options.identity, pace::random_bits());
    info!(server, ?scope, me, dry_run = options.dry_run, "started");
    let world = World::watch(&client, &scope);
    let gate = Gate::shut();
    let lease_namespace = options.lease_namespace.unwrap_or(home);
    let leases = Api::namespaced(client.clone(), &lease_namespace);
    let candidate = Candidate::new(leases, options.lease.clone(), me.clone(), gate.clone());
    let mut standing = candidate.standing();
    let (ending, ended) = watch::channel(false);
    let candidate = tokio::spawn(candidate.run(ended));
    let (events, recorder) = Recorder::new(client.clone(), me.clone());
    let recorder = tokio::spawn(recorder.run());
    let lease = lease_reference(options.lease, lease_namespace);

    let found = Found::default();
    let mut controller = Controller::new(Means {
        client,
        gate,
        events: events.clone(),
        me: me.clone(),
        library: options.library,
        only: options.name,
        dry_run: options.dry_run,
        journals: options.journals,
        found: found.clone(),
        metrics: Arc::clone(&metrics),
        files: Within::folder(options.files),
        prometheus: options.prometheus,
    });
    tokio::pin!(stop);
    let mut turns = interval(TURN);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut due: Option<Instant> = None;
    let look_soon = |due: &mut Option<Instant>| {
        due.get_or_insert_with(|| Instant::now() + LOOKED_AT_AFTER);
    };
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = turns.tick() => health.beat(),
            () = world.changed() => look_soon(&mut due),
            () = found.changed() => look_soon(&mut due),
            Ok(()) = standing.changed() => {
                let standing = standing.borrow_and_update().clone();
                tell(&events, &lease, &me, &standing);
                metrics.leads(standing == Standing::Leading);
                controller.stands(standing);
                look_soon(&mut due);
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                due = None;
                if world.is_synced() {
                    health.ready();
                    controller.sees(&world.objects());
                }
            }
            ended = controller.task_ended() => ended?,
        }
    }
    info!(jobs = controller.jobs(), "stopping: what has been begun is finished first");
    controller.end().await?;
    drop(events);
    // The last Events; nothing is lost with them if the API server is away.
    let _ = tokio::time::timeout(TURN, recorder).await;
    // The Lease was kept all the time, for what was begun had to be finished.
    let _ = ending.send(true);
    Ok(candidate.await?)
}

fn lease_reference(name: String, namespace: String) -> ObjectReference {
    ObjectReference {
        api_version: Some("coordination.k8s.io/v1".to_owned()),
        kind: Some("Lease".to_owned()),
        name: Some(name),
        namespace: Some(namespace),
        ..ObjectReference::default()
    }
}

/// Who leads is worth an Event of the Lease.
fn tell(events: &Events, lease: &ObjectReference, me: &str, standing: &Standing) {
    if *standing == Standing::Leading {
        events.tell(lease, News::new(false, "LeaderElection", "Lead", format!("{me} leads")));
    }
}
