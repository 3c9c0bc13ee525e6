//! `tidegate simulate`

use std::future::pending;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::exit::{Exit, Failure, OrExit as _};
use super::files;
use super::output::Show;
use super::play::{PlayArgs, Speed, play};
use super::run::{Signals, runtime};
use super::yaml;
use crate::config::load_as;
use crate::daemon::clock;
use crate::model::FlinkVersion;
use crate::serve::flink::{FlinkServer, Pace};
use crate::simulate::{Scenario, Simulation, scenarios};

/// Scale a job of your own on the simulated Flink, or serve it as a Flink REST endpoint
///
/// A scenario says what the job is made of, what load it gets, and what goes wrong when. The same scenario and seed give
/// the same run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate simulate diamond --for 20m --speed max
  tidegate simulate my-job.yaml --policy slow.yaml -o json | tail -1
  tidegate simulate demo --show > my-job.yaml
  tidegate simulate demo --listen 127.0.0.1:8081 & tidegate recommend --flink http://127.0.0.1:8081
  tidegate simulate session --listen 127.0.0.1:8081 & tidegate run --config orders.yaml")]
pub(super) struct Args {
    /// A scenario: the name of a built-in one (demo, session, diamond, burn), or a file
    scenario: String,
    /// Print the scenario, with everything that has a default, and do no more
    #[arg(long)]
    show: bool,
    /// Scale nothing: serve the job under Flink's REST paths, until told to stop or for the time of --for, once as fast as
    /// the clock unless --speed says otherwise
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["show", "policy", "poll", "journal"])]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    play: PlayArgs,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let scenario = args.play.seeded(scenario(&args.scenario)?);
    if args.show {
        let value = serde_json::to_value(&scenario).or_exit(Exit::Failed)?;
        io::stdout().lock().write_all(yaml::to_string(&value).as_bytes()).or_exit(Exit::Failed)?;
        return Ok(Exit::Done);
    }
    match args.listen {
        Some(address) => listen(&scenario, address, &args.play),
        None => play(&scenario, &args.play),
    }
}

/// A simulated Flink that is served.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Served<'a> {
    url: String,
    job: &'a str,
    flink_version: FlinkVersion,
    speed: f64,
}

impl Show for Served<'_> {
    fn show(&self) -> String {
        let Self { url, job, flink_version, speed } = self;
        format!("{job} on Flink {flink_version} (simulated, {speed} times as fast) is at {url}")
    }
}

fn listen(scenario: &Scenario, address: SocketAddr, args: &PlayArgs) -> Result<Exit, Failure> {
    let speed = match args.speed {
        None => 1.0,
        Some(Speed::Times(factor)) => factor,
        Some(Speed::Max) => {
            return Err(anyhow!("--speed max has no meaning with --listen: expected a number"))
                .or_exit(Exit::Usage);
        }
    };
    let simulation = Simulation::starting_at(scenario, clock::now()).or_exit(Exit::Usage)?;
    runtime()?.block_on(async {
        let cannot = || format!("cannot listen on {address}");
        let listener = TcpListener::bind(address).await.with_context(cannot).or_exit(Exit::Usage)?;
        let bound = listener.local_addr().with_context(cannot).or_exit(Exit::Failed)?;
        let address = Served {
            url: format!("http://{bound}"),
            job: &scenario.name,
            flink_version: scenario.flink_version,
            speed,
        };
        args.output.output.print_next(&mut io::stdout().lock(), &address).or_exit(Exit::Failed)?;
        let mut signals = Signals::new().context("cannot listen to signals").or_exit(Exit::Failed)?;
        let takes = args.length.map(|length| Speed::Times(speed).takes(length.get()));
        let until = async move {
            tokio::select! {
                () = signals.next() => {}
                () = async { match takes { Some(takes) => sleep(takes).await, None => pending().await } } => {}
            }
        };
        let flink = FlinkServer::new(simulation, Pace::Times(speed));
        flink.serve(listener, until).await.with_context(cannot).or_exit(Exit::Failed)?;
        Ok(Exit::Done)
    })
}

/// Finds a scenario by its name, or reads it from a file.
fn scenario(name: &str) -> Result<Scenario, Failure> {
    if let Some(scenario) = scenarios::named(name) {
        return Ok(scenario);
    }
    let file = files::source_or(Path::new(name), "scenario", &scenarios::NAMES)?;
    load_as(&file, problems).or_exit(Exit::Usage)
}

/// What is wrong with a scenario beyond the form of its fields.
fn problems(scenario: &Scenario) -> Vec<(String, String)> {
    match Simulation::new(scenario) {
        Ok(_) => Vec::new(),
        Err(error) => error.problems.into_iter().map(|problem| (problem.path, problem.what)).collect(),
    }
}
