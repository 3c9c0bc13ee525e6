//! `tidegate recommend`

use std::io;
use std::path::PathBuf;

use anyhow::anyhow;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep_until, timeout_at};

use super::args::{OutputArgs, PrometheusArgs, span};
use super::decision::{Told, memory};
use super::exit::{Exit, Failure, OrExit as _};
use super::files;
use super::run::runtime;
use crate::config::Autoscaler;
use crate::daemon::{clock, full_name};
use crate::decide::{Decision, Verdict};
use crate::guard::Hold;
use crate::model::{Missed, MissedWhy, Observation};
use crate::observe::flink::{FlinkClient, Poller};
use crate::observe::prometheus::{Queries, Servers, Whose};
use crate::policy::{AutoscalerSpec, FlinkRef, Mode, Policy, Span};
use crate::record::State;
use crate::signals::{Signals, Trend};

/// Watch a job for a while and say what would be done, and why; changes nothing
///
/// Sends nothing but GET requests and writes no file. Ends as soon as there is enough to go by, with 1 when there is not
/// after the time of --for, and with 3 when Flink cannot be reached.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate recommend --flink http://localhost:8081
  tidegate recommend --flink https://flink.example --ca-file ca.pem --job orders --policy slow.yaml -o json
  tidegate recommend --config orders.yaml")]
pub(super) struct Args {
    /// Flink's REST endpoint, with any URL prefix
    #[arg(long, value_name = "URL", required_unless_present = "config", conflicts_with = "config")]
    flink: Option<String>,
    /// The job's name or id; may be left out when the cluster runs one job. With --config: the FlinkAutoscaler's name
    #[arg(long)]
    job: Option<String>,
    /// A policy: the name of a built-in one, or a file
    #[arg(long, default_value = "throughput", conflicts_with = "config")]
    policy: String,
    /// Files with FlinkAutoscalers, instead of --flink
    #[arg(short, long, num_args = 1.., value_name = "FILE")]
    config: Vec<PathBuf>,
    /// A directory of policies: NAME.yaml holds the policy NAME
    #[arg(long, value_name = "DIR", requires = "config")]
    policy_dir: Option<PathBuf>,
    /// How long to watch at the most
    #[arg(long = "for", value_name = "TIME", default_value = "90s", value_parser = span)]
    length: Span,
    /// How often to poll
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = span, conflicts_with = "config")]
    poll: Span,
    /// Time limit of one request
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = span, conflicts_with = "config")]
    timeout: Span,
    /// The certificate authority (PEM) that signed Flink's certificate
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    ca_file: Option<String>,
    /// A client certificate and its key (PEM)
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    client_cert_file: Option<String>,
    /// A file with a bearer token
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    token_file: Option<String>,
    #[command(flatten)]
    prometheus: PrometheusArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// A job to be watched.
struct Watch {
    name: String,
    flink: FlinkRef,
    policy: Policy,
    queries: Option<Queries>,
}

/// What came of watching it.
struct Watched {
    name: String,
    decision: Decision,
    state: State,
    policy: Policy,
}

pub(super) fn run(args: Args) -> Result<Exit, Failure> {
    let (output, length) = (args.output.output, args.length.get());
    let jobs = jobs(args)?;
    let results = runtime()?.block_on(async {
        let mut tasks = JoinSet::new();
        for (index, watch) in jobs.into_iter().enumerate() {
            tasks.spawn(async move { (index, Box::pin(watch.run(length)).await) });
        }
        let mut results = tasks.join_all().await;
        results.sort_by_key(|(index, _)| *index);
        results
    });
    let mut failure: Option<Failure> = None;
    for (_, result) in results {
        match result {
            Ok(watched) => {
                let graph = watched.state.history.last().map(|snapshot| &*snapshot.graph);
                let told = Told::new(&watched.name, &watched.decision, graph).with_memory(memory(
                    &watched.decision,
                    &watched.state,
                    &watched.policy,
                ));
                output.print_next(&mut io::stdout().lock(), &told).or_exit(Exit::Failed)?;
            }
            // The worst is what the command ends with; each is said.
            Err(other) => match &failure {
                Some(worst) if worst.exit >= other.exit => tracing::error!("{:#}", other.error),
                _ => {
                    if let Some(milder) = failure.replace(other) {
                        tracing::error!("{:#}", milder.error);
                    }
                }
            },
        }
    }
    failure.map_or(Ok(Exit::Done), Err)
}

fn jobs(args: Args) -> Result<Vec<Watch>, Failure> {
    let (mut servers, server) = (Servers::default(), args.prometheus.server());
    let Some(url) = args.flink else {
        let config = files::config(&args.config, args.policy_dir.as_deref())?;
        let mut watches: Vec<Watch> = config
            .autoscalers
            .into_iter()
            .filter(|autoscaler| {
                args.job.as_ref().is_none_or(|job| *job == autoscaler.name || *job == full_name(autoscaler))
            })
            .map(|autoscaler| {
                let name = full_name(&autoscaler);
                let Autoscaler { name: own_name, namespace, spec, policy } = autoscaler;
                let named = spec.prometheus.as_ref().or(server.as_ref());
                let whose = Whose::of(&spec, &own_name, namespace.as_deref());
                let queries = servers.queries(named, &policy, whose).or_exit(Exit::Usage)?;
                Ok(Watch { name, flink: spec.flink, policy, queries })
            })
            .collect::<Result<_, Failure>>()?;
        if let (true, Some(job)) = (watches.is_empty(), &args.job) {
            return Err(anyhow!("no FlinkAutoscaler of the configuration is called {job:?}"))
                .or_exit(Exit::Usage);
        }
        for watch in &mut watches {
            watch.policy.mode = Mode::Recommend;
        }
        return Ok(watches);
    };
    let flink = FlinkRef {
        url,
        service: None,
        job: args.job.clone(),
        poll: args.poll,
        timeout: args.timeout,
        ca_file: args.ca_file,
        client_cert_file: args.client_cert_file,
        token_file: args.token_file,
    };
    let autoscaler =
        AutoscalerSpec { flink: flink.clone(), mode: Mode::Recommend, ..AutoscalerSpec::default() };
    let policy = Policy::new(&autoscaler, files::policy(&args.policy)?);
    let queries = servers.queries(server.as_ref(), &policy, Whose::default()).or_exit(Exit::Usage)?;
    Ok(vec![Watch { name: args.job.unwrap_or_else(|| flink.url.clone()), flink, policy, queries }])
}

impl Watch {
    /// Watches until there is enough to go by, for `length` at the most.
    async fn run(self, length: Duration) -> Result<Watched, Failure> {
        let Self { name, flink, policy, mut queries } = self;
        let client = FlinkClient::new(&flink).or_exit(Exit::Usage)?;
        let (mut poller, mut state) = (Poller::new(client, &flink).watching_memory(), State::default());
        let until = Instant::now() + length;
        let mut last: Option<Decision> = None;
        loop {
            let next = Instant::now() + policy.poll.get();
            let poll = poller.observe(clock::now);
            let observation = async {
                match &mut queries {
                    Some(queries) => queries.beside(poll, clock::now).await,
                    None => poll.await,
                }
            };
            let Ok(observation) = timeout_at(until.max(next), observation).await else { break };
            if let Some(queries) = &mut queries {
                queries.heed(&observation);
            }
            if let (Observation::Missed(missed), None) = (&observation, &last) {
                return Err(not_there(missed));
            }
            let decision = state.cycle(&observation, &policy, clock::now());
            let is_enough = is_enough(&decision);
            last = Some(decision);
            if is_enough || next > until {
                break;
            }
            sleep_until(next).await;
        }
        match last {
            Some(decision) if decision.proposal.is_some() => {
                let name = state.history.last().map_or(name, |snapshot| snapshot.name.clone());
                Ok(Watched { name, decision, state, policy })
            }
            Some(decision) => Err(nothing_to_say(&name, length, &decision)),
            None => {
                Err(anyhow!("{name}: no answer within {}", Span::from(length))).or_exit(Exit::Unreachable)
            }
        }
    }
}

/// Whether watching longer would hardly change what is said: the load is confirmed by a second sample, and nothing is held
/// back that a few more polls would release.
fn is_enough(decision: &Decision) -> bool {
    let is_confirmed = |signals: &Signals| signals.samples >= 2 && signals.trend == Trend::Steady;
    let passes_soon =
        |hold: &Hold| matches!(hold, Hold::WarmingUp { .. } | Hold::LoadChanging | Hold::Stale { .. });
    !matches!(decision.verdict, Verdict::Unobserved)
        && decision.signals.as_ref().is_some_and(is_confirmed)
        && !decision.holds.iter().any(passes_soon)
}

/// The job could not be seen at the first look: there is nothing to wait for.
fn not_there(missed: &Missed) -> Failure {
    let exit = match missed.why {
        MissedWhy::Unreachable | MissedWhy::TimedOut | MissedWhy::NotUnderstood | MissedWhy::Refused => {
            Exit::Unreachable
        }
        MissedWhy::NoSuchJob | MissedWhy::AmbiguousJob => Exit::Usage,
        MissedWhy::NotStarted | MissedWhy::NoMetrics => Exit::Failed,
    };
    Failure { exit, error: anyhow!("{}", missed.detail) }
}

fn nothing_to_say(name: &str, length: Duration, decision: &Decision) -> Failure {
    let why = decision.holds.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let error =
        anyhow!("{name}: nothing can be said after {}: {why}; watch longer with --for", Span::from(length));
    Failure { exit: Exit::Failed, error }
}
