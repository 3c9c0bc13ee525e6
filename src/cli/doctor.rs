//! `tidegate doctor`

use std::io;
use std::path::PathBuf;

use anyhow::anyhow;
use serde::Serialize;

use super::args::{OutputArgs, PrometheusArgs, span};
use super::exit::{Exit, Failure, OrExit as _, end};
use super::files;
use super::output::{Column, Show, Table};
use super::run::runtime;
use crate::daemon::kubernetes::{Eyes, Seen, examine};
use crate::daemon::{clock, full_name};
use crate::observe::flink::{Checkup, FlinkClient, OtherWays, findings};
use crate::observe::kubernetes::{self, Named};
use crate::observe::prometheus::{self, Whose};
use crate::observe::{Finding, Weight};
use crate::policy::{AutoscalerSpec, FlinkRef, Mechanism, Mode, Policy, PrometheusRef, Span};

/// Say what in a cluster's settings gets in the way of scaling, what it costs, and the line that mends it
///
/// Looks at Flink, at the Prometheus that policies ask, and with --kubernetes at definitions, rights and workloads. Changes
/// nothing. Ends with 1 when something prevents scaling, and with 3 when what is to be looked at cannot be reached.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate doctor --flink http://localhost:8081
  tidegate doctor --flink https://flink.example --ca-file ca.pem --job orders -o json
  tidegate doctor --config orders.yaml
  tidegate doctor --kubernetes --namespace streams --as system:serviceaccount:tidegate:tidegate")]
pub(super) struct Args {
    /// Flink's REST endpoint, with any URL prefix
    #[arg(
        long,
        value_name = "URL",
        required_unless_present_any = ["config", "kubernetes"],
        conflicts_with = "config"
    )]
    flink: Option<String>,
    /// The job's name or id; all that run, without it
    #[arg(long, conflicts_with = "config")]
    job: Option<String>,
    /// Files with FlinkAutoscalers, instead of --flink
    #[arg(short, long, num_args = 1.., value_name = "FILE")]
    config: Vec<PathBuf>,
    /// A directory of policies: NAME.yaml holds the policy NAME
    #[arg(long, value_name = "DIR", requires = "config")]
    policy_dir: Option<PathBuf>,
    #[command(flatten)]
    prometheus: PrometheusArgs,
    /// Look at the Kubernetes that KUBECONFIG or the pod names, too, and at the workloads that FlinkAutoscalers name there; without
    /// --flink and --config at the Flinks that they name as well
    #[arg(long)]
    kubernetes: bool,
    /// The namespace of the jobs; that of the pod, or of the kubeconfig's context, unless told otherwise
    #[arg(short, long, requires = "kubernetes")]
    namespace: Option<String>,
    /// The namespace of Tidegate's Lease; that of the pod, or of the kubeconfig's context, unless told otherwise
    #[arg(long, value_name = "NAMESPACE", requires = "kubernetes")]
    lease_namespace: Option<String>,
    /// Whose rights are looked at, as by `kubectl --as`; those of whoever asks, unless told otherwise
    #[arg(long = "as", value_name = "USER", requires = "kubernetes")]
    user: Option<String>,
    /// How often the job is to be polled
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
    output: OutputArgs,
}

/// What was found at one place.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Examined {
    /// The autoscaler, the endpoint, or the namespace.
    name: String,
    /// What it is, and its version.
    what: &'static str,
    version: String,
    findings: Vec<Finding>,
}

impl Show for Examined {
    fn show(&self) -> String {
        let Self { name, what, version, findings } = self;
        if findings.is_empty() {
            return format!("{name}: {what} {version}, and nothing gets in the way");
        }
        let mut text = format!("{name}: {what} {version}\n");
        let columns = ["HOW MUCH", "WHERE", "WHAT IS FOUND", "WHAT IT COSTS", "WHAT MENDS IT"];
        let mut table = Table::new(&columns.map(Column::Left));
        for Finding { weight, what: _, about, found, costs, mend } in findings {
            table.row([weight.as_str(), about.as_deref().unwrap_or("-"), found, costs, mend]);
        }
        text.push_str(&table.fit(WIDTH).to_string());
        text
    }
}

/// Wide enough for a line of configuration in its column.
const WIDTH: u16 = 160;

/// A job's Flink, and who is to look after it.
struct Patient {
    name: String,
    flink: FlinkRef,
    prometheus: Option<PrometheusRef>,
    whose: Whose,
    policy: Option<Policy>,
    /// What it may be rescaled by, besides in place.
    ways: OtherWays,
}

impl Patient {
    /// Of an autoscaler in Kubernetes, whose policy may be an object as well, and is not looked at.
    fn of(name: String, spec: AutoscalerSpec, server: Option<&PrometheusRef>) -> Self {
        let ways = other_ways(&spec);
        let prometheus = spec.prometheus.or_else(|| server.cloned());
        Self { name, flink: spec.flink, prometheus, whose: Whose::default(), policy: None, ways }
    }
}

fn other_ways(spec: &AutoscalerSpec) -> OtherWays {
    let by_savepoint =
        spec.savepoint.is_some() && !matches!(spec.mechanism, Mechanism::InPlace | Mechanism::Reactive);
    let by_workload =
        spec.workload.is_some() && matches!(spec.mechanism, Mechanism::Auto | Mechanism::Reactive);
    OtherWays { by_savepoint, by_workload }
}

/// What is to be looked at.
struct Rounds {
    patients: Vec<Patient>,
    kubernetes: Option<(Eyes, Vec<Named>)>,
}

pub(super) fn run(args: Args) -> Result<Exit, Failure> {
    let output = args.output.output;
    let server = args.prometheus.server();
    let Rounds { mut patients, kubernetes } = rounds(args)?;
    let runtime = runtime()?;
    let mut exit = Exit::Done;
    // What cannot be reached does not keep the rest from being looked at.
    let mut away = None;
    let mut tell = |examined: Result<Examined, Failure>| -> Result<(), Failure> {
        let examined = match examined {
            Ok(examined) => examined,
            Err(failure) if failure.exit == Exit::Unreachable => {
                if let Some(before) = away.replace(failure) {
                    end(Err(before), &mut io::stderr().lock());
                }
                return Ok(());
            }
            Err(failure) => return Err(failure),
        };
        if examined.findings.iter().any(|finding| finding.weight == Weight::Prevents) {
            exit = Exit::Failed;
        }
        output.print_next(&mut io::stdout().lock(), &examined).or_exit(Exit::Failed)
    };
    if let Some((eyes, named)) = kubernetes {
        match runtime.block_on(cluster(eyes, named)) {
            Ok((examined, found)) => {
                tell(Ok(examined))?;
                for (name, spec) in found {
                    match spec.map(|spec| Patient::of(name.clone(), spec, server.as_ref())) {
                        Ok(patient) => patients.push(patient),
                        Err(why) => tell(Err(anyhow!("{name}: {why}")).or_exit(Exit::Unreachable))?,
                    }
                }
            }
            Err(failure) => tell(Err(failure))?,
        }
    }
    for patient in patients {
        tell(runtime.block_on(flink(patient)))?;
    }
    away.map_or(Ok(exit), Err)
}

/// The autoscalers of a cluster, by name.
type Found = Vec<(String, Result<AutoscalerSpec, String>)>;

async fn cluster(eyes: Eyes, named: Vec<Named>) -> Result<(Examined, Found), Failure> {
    let seen = examine(eyes, named).await.or_exit(Exit::Usage)?;
    let Seen { checkup, autoscalers } = seen.map_err(|why| anyhow!(why)).or_exit(Exit::Unreachable)?;
    let findings = kubernetes::findings(&checkup);
    let (name, version) = (checkup.namespace, checkup.version);
    Ok((Examined { name, what: "Kubernetes", version, findings }, autoscalers))
}

async fn flink(patient: Patient) -> Result<Examined, Failure> {
    let Patient { name, flink, prometheus: server, whose, policy, ways } = patient;
    let client = FlinkClient::new(&flink).or_exit(Exit::Usage)?;
    let seen = Checkup::take(&client, flink.job.as_deref(), clock::now).await.or_exit(Exit::Unreachable)?;
    let mut findings = findings(&seen, flink.poll.get(), ways);
    let job = match &seen.jobs[..] {
        [only] => Some(&*only.name),
        _ => flink.job.as_deref(),
    };
    findings.extend(prometheus::findings(server.as_ref(), policy.as_ref(), &whose, job).await);
    findings.sort_by_key(|finding| finding.weight);
    Ok(Examined { name, what: "Flink", version: seen.version.to_string(), findings })
}

/// What is to be looked at, and by what name.
fn rounds(args: Args) -> Result<Rounds, Failure> {
    let prometheus = args.prometheus.server();
    let (mut patients, mut named) = (Vec::new(), Vec::new());
    if let Some(url) = args.flink {
        let flink = FlinkRef {
            url: url.clone(),
            job: args.job,
            poll: args.poll,
            timeout: args.timeout,
            ca_file: args.ca_file,
            client_cert_file: args.client_cert_file,
            token_file: args.token_file,
            service: None,
        };
        patients.push(Patient {
            name: url,
            flink,
            prometheus,
            whose: Whose::default(),
            policy: None,
            ways: OtherWays::default(),
        });
    } else if !args.config.is_empty() {
        for one in files::config(&args.config, args.policy_dir.as_deref())?.autoscalers {
            let name = full_name(&one);
            let whose = Whose::of(&one.spec, &one.name, one.namespace.as_deref());
            let acts = one.policy.mode == Mode::Auto;
            let ways = other_ways(&one.spec);
            named.extend(one.spec.workload.map(|workload| Named { autoscaler: one.name, workload, acts }));
            let prometheus = one.spec.prometheus.or_else(|| prometheus.clone());
            patients.push(Patient {
                name,
                flink: one.spec.flink,
                prometheus,
                whose,
                policy: Some(one.policy),
                ways,
            });
        }
    }
    let finds_flinks = patients.is_empty();
    let eyes = Eyes { namespace: args.namespace, home: args.lease_namespace, user: args.user, finds_flinks };
    Ok(Rounds { patients, kubernetes: args.kubernetes.then_some((eyes, named)) })
}
