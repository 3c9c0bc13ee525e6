//! `tidegate run`

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::args::{PrometheusArgs, StateArgs};
use super::exit::{Exit, Failure, OrExit as _};
use super::files;
use super::logging::TracesArgs;
use crate::daemon::journal_file::Keep;
use crate::daemon::kubernetes::{self, ControllerError, Scope};
use crate::daemon::store::StoreError;
use crate::daemon::{Options, RunError, run as daemon};
use crate::policy::PrometheusRef;

/// Scale the jobs of configuration files, or of FlinkAutoscaler objects, until told to stop
///
/// Stops on SIGTERM and SIGINT, when what has been begun is finished; a second signal stops at once. Either way nothing is
/// lost: it takes up where it stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate run --config orders.yaml --dry-run
  tidegate run --config /etc/tidegate --state-dir /var/lib/tidegate
  tidegate run --kubernetes --namespace streams --dry-run
  tidegate run --kubernetes --namespace all")]
pub(super) struct Args {
    /// Files with FlinkAutoscalers and ScalingPolicies, or directories of such files
    #[arg(short, long, required_unless_present = "kubernetes", num_args = 1.., value_name = "FILE")]
    config: Vec<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// A directory of policies: NAME.yaml holds the policy NAME
    #[arg(long, value_name = "DIR")]
    policy_dir: Option<PathBuf>,
    #[command(flatten)]
    state: StateArgs,
    /// Write no journals. With --kubernetes none are written unless --journal-dir is given
    #[arg(long, conflicts_with = "journal_dir")]
    no_journal: bool,
    /// Size at which a journal is complete, and a new one begun, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    journal_size: u64,
    /// Complete journals that are kept of each job
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    journal_files: u32,
    /// Where /healthz, /readyz and /metrics are answered, such as 127.0.0.1:8080; with --kubernetes on port 8080 of all
    /// addresses, and otherwise nowhere unless told so
    #[arg(long, value_name = "ADDRESS", env = "TIDEGATE_LISTEN")]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    prometheus: PrometheusArgs,
    #[command(flatten)]
    pub(super) traces: TracesArgs,
    /// Decide and say so only, whatever the files or the objects say
    #[arg(long)]
    dry_run: bool,
}

/// Where probes and metrics are answered in a pod: the port of the chart and of all examples.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080);

/// Where in Kubernetes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "In Kubernetes")]
struct ClusterArgs {
    /// Scale the jobs of FlinkAutoscaler objects: as the pod's ServiceAccount, or by the kubeconfig that KUBECONFIG names
    #[arg(long, conflicts_with = "config")]
    kubernetes: bool,
    /// The namespaces of the objects, or `all`; that of the pod, or of the kubeconfig's context, unless told otherwise
    #[arg(long, value_name = "NAMESPACE", num_args = 1.., value_delimiter = ',', requires = "kubernetes")]
    namespace: Vec<String>,
    /// The one FlinkAutoscaler that is looked after, as beside a JobManager; all, without it
    #[arg(long, value_name = "NAME", requires = "kubernetes")]
    name: Option<String>,
    /// The Lease of which the holder acts, where several processes look after the same objects; `tidegate`, or `tidegate-NAME`
    /// with --name
    #[arg(long, value_name = "NAME", requires = "kubernetes")]
    lease: Option<String>,
    /// The namespace of the Lease; that of the pod, or of the kubeconfig's context, unless told otherwise
    #[arg(long, value_name = "NAMESPACE", requires = "kubernetes")]
    lease_namespace: Option<String>,
    /// The folder of the files that objects may name (caFile, clientCertFile, tokenFile, basicAuthFile), as Secrets are mounted
    /// into it; no other file is read for an object
    #[arg(long, value_name = "DIR", default_value = "/etc/tidegate", requires = "kubernetes")]
    files_dir: PathBuf,
    /// The name of this process in the Lease; something is added that no other has
    #[arg(long, value_name = "NAME", env = "HOSTNAME", default_value = "tidegate", hide_env_values = true)]
    identity: String,
}

impl ClusterArgs {
    fn options(
        self,
        policies: Option<&Path>,
        dry_run: bool,
        journals: Option<(PathBuf, Keep)>,
        prometheus: Option<PrometheusRef>,
        listen: Option<SocketAddr>,
    ) -> Result<kubernetes::Options, Failure> {
        let scope = match &self.namespace[..] {
            [] => None,
            names if names.iter().any(|name| name == "all") => Some(Scope::All),
            _ => Some(Scope::Namespaces(self.namespace)),
        };
        let lease = match (self.lease, &self.name) {
            (Some(lease), _) => lease,
            (None, Some(name)) => format!("tidegate-{name}"),
            (None, None) => "tidegate".to_owned(),
        };
        Ok(kubernetes::Options {
            scope,
            name: self.name,
            library: files::library(policies)?,
            dry_run,
            listen: Some(listen.unwrap_or(LISTEN)),
            lease,
            lease_namespace: self.lease_namespace,
            identity: self.identity,
            files: self.files_dir,
            journals,
            prometheus,
        })
    }
}

/// The daemon, until it is told to stop.
enum Daemon {
    Files(Box<(crate::config::Config, Options)>),
    Kubernetes(Box<kubernetes::Options>),
}

impl Daemon {
    async fn run(self, stop: impl Future<Output = ()>) -> Result<(), Failure> {
        match self {
            Self::Files(files) => {
                let (config, options) = *files;
                let ended = daemon(config, &options, stop).await;
                ended.map_err(|error| Failure { exit: exit_of(&error), error: error.into() })
            }
            Self::Kubernetes(options) => {
                let ended = kubernetes::run(*options, stop).await;
                ended.map_err(|error| Failure { exit: exit_in_cluster(&error), error: error.into() })
            }
        }
    }
}

pub(super) fn run(args: Args) -> Result<Exit, Failure> {
    let (policies, dry_run, prometheus) =
        (args.policy_dir.as_deref(), args.dry_run, args.prometheus.server());
    let keep = Keep { bytes: args.journal_size << 20, files: args.journal_files };
    let daemon = if args.cluster.kubernetes {
        let journals = args.state.journal_dir.map(|dir| (dir, keep));
        Daemon::Kubernetes(Box::new(args.cluster.options(
            policies,
            dry_run,
            journals,
            prometheus,
            args.listen,
        )?))
    } else {
        let config = files::config(&args.config, policies)?;
        let journal_dir = (!args.no_journal).then(|| args.state.journals());
        let options = Options {
            journal_dir,
            state_dir: args.state.state.state_dir,
            keep,
            prometheus,
            listen: args.listen,
            dry_run,
        };
        Daemon::Files(Box::new((config, options)))
    };
    runtime()?.block_on(async {
        let mut signals = Signals::new().context("cannot listen to signals").or_exit(Exit::Failed)?;
        let mut again = Signals::new().context("cannot listen to signals").or_exit(Exit::Failed)?;
        let hurried = async {
            again.next().await;
            again.next().await;
        };
        tokio::select! {
            ended = daemon.run(signals.next()) => ended.map(|()| Exit::Done),
            () = hurried => Err(anyhow::anyhow!("stopped at once, by a second signal")).or_exit(Exit::Failed),
        }
    })
}

fn exit_of(error: &RunError) -> Exit {
    match error {
        RunError::Task(_) | RunError::Store(StoreError::Write { .. }) => Exit::Failed,
        RunError::Store(_)
        | RunError::Journal { .. }
        | RunError::Flink { .. }
        | RunError::Prometheus { .. }
        | RunError::Listen { .. } => Exit::Usage,
    }
}

fn exit_in_cluster(error: &ControllerError) -> Exit {
    match error {
        ControllerError::Task(_) => Exit::Failed,
        ControllerError::Listen { .. } => Exit::Usage,
        ControllerError::Config(_) | ControllerError::Client(_) => Exit::Unreachable,
    }
}

/// The one thread on which everything that waits does so.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start").or_exit(Exit::Failed)
}

/// The signals that ask the program to stop.
pub(super) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
