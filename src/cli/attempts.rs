//! `tidegate attempts`

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use anyhow::{Context as _, anyhow};
use serde::Serialize;

use super::args::{OutputArgs, StateDir};
use super::exit::{Exit, Failure, OrExit as _};
use super::output::{Column, Show, Table};
use super::run::runtime;
use crate::daemon::clock;
use crate::daemon::kubernetes::{Kept, KeptError, Resumed};
use crate::daemon::store::Store;
use crate::model::{
    Attempt, Ledger, OperatorChange, Parallelism, Reached, Rerun, Rescale, Timestamp, VertexId,
};
use crate::record::State;

/// Show the rescales that are under way, have failed, or are over; and go on with one that has failed
///
/// A daemon holds its state directory while it runs: stop it for this. With --kubernetes it is what the controllers of a namespace keep,
/// which go on by themselves.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  tidegate attempts
  tidegate attempts --state-dir /var/lib/tidegate -o json
  tidegate attempts --kubernetes --namespace streams
  tidegate attempts resume streams/orders")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    output: OutputArgs,
}

/// Where the attempts are kept.
#[derive(Debug, clap::Args)]
struct Place {
    #[command(flatten)]
    state: StateDir,
    /// Look at what is kept in Kubernetes; found by the ServiceAccount of the pod or by the kubeconfig
    #[arg(long, conflicts_with = "state_dir")]
    kubernetes: bool,
    /// The namespace of the FlinkAutoscalers; that of the pod, or of the kubeconfig's context, unless told otherwise
    #[arg(short, long, requires = "kubernetes")]
    namespace: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Let a daemon go on, when it is started again, with a job that it could not bring back
    ///
    /// The job is run from its savepoint at its new size, or else at the old one, unless it runs by then. Mend first what was in the
    /// way. In Kubernetes the controller goes on within seconds.
    #[command(after_help = "\
Examples:
  tidegate attempts resume streams/orders --state-dir /var/lib/tidegate
  tidegate attempts resume streams/orders --kubernetes --namespace streams")]
    Resume {
        /// The FlinkAutoscaler, as `attempts` shows it
        autoscaler: String,
        #[command(flatten)]
        place: Place,
    },
}

fn open(StateDir { state_dir: dir }: &StateDir) -> Result<Store, Failure> {
    if !Store::is_in(dir) {
        let error = anyhow!("{} holds no state of a daemon; name it by --state-dir", dir.display());
        return Err(error).or_exit(Exit::Usage);
    }
    Store::open(dir).or_exit(Exit::Failed)
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    if let Some(Command::Resume { autoscaler, place }) = &args.command {
        let said =
            if place.kubernetes { resume_in_cluster(autoscaler, place)? } else { resume(autoscaler, place)? };
        writeln!(io::stdout().lock(), "{said}").or_exit(Exit::Failed)?;
        return Ok(Exit::Done);
    }
    let mut all = Attempts { attempts: Vec::new() };
    for (autoscaler, ledger) in ledgers(&args.place)? {
        let open = ledger.attempt.iter().map(|attempt| Shown::of_open(&autoscaler, attempt));
        let over = ledger.rescales.iter().rev().map(|rescale| Shown::of_past(&autoscaler, rescale));
        all.attempts.extend(open.chain(over));
    }
    args.output.output.print(&mut io::stdout().lock(), &all).or_exit(Exit::Failed)?;
    Ok(Exit::Done)
}

/// What is kept of each autoscaler.
fn ledgers(place: &Place) -> Result<Vec<(String, Ledger)>, Failure> {
    if place.kubernetes {
        let namespace = place.namespace.clone();
        let found = runtime()?.block_on(async { Kept::of(namespace).await?.all().await });
        return found.map_err(refused);
    }
    let store = open(&place.state)?;
    let mut all = Vec::new();
    for autoscaler in store.autoscalers().or_exit(Exit::Failed)? {
        if let Some(state) = store.load(&autoscaler).or_exit(Exit::Failed)? {
            all.push((autoscaler, state.ledger));
        }
    }
    Ok(all)
}

fn refused(error: KeptError) -> Failure {
    let exit = match error {
        KeptError::Unfound(_) | KeptError::Server { .. } => Exit::Unreachable,
        KeptError::NothingOpen { .. } => Exit::Usage,
        KeptError::State(_) | KeptError::NotResumed { .. } => Exit::Failed,
    };
    Failure { exit, error: error.into() }
}

fn resume_in_cluster(autoscaler: &str, place: &Place) -> Result<String, Failure> {
    let namespace = place.namespace.clone();
    let resumed =
        runtime()?.block_on(async { Kept::of(namespace).await?.resume(autoscaler, clock::now()).await });
    let does = match resumed.map_err(refused)? {
        Resumed::Savepoint(savepoint) => {
            format!("runs the job of {autoscaler} from {savepoint} within seconds, unless it runs by then")
        }
        Resumed::Operator(resource) => {
            format!("puts {resource} back as it was within seconds, unless somebody else has changed it")
        }
    };
    Ok(format!("the controller {does}"))
}

fn resume(autoscaler: &str, place: &Place) -> Result<String, Failure> {
    let store = open(&place.state)?;
    let mut state: State = store.load(autoscaler).or_exit(Exit::Failed)?.unwrap_or_default();
    let attempt = state.ledger.attempt.as_mut();
    if let Some(upgrade) = attempt.as_ref().and_then(|attempt| attempt.upgrade.as_ref()) {
        let resource = upgrade.change.resource.clone();
        return resume_upgrade(autoscaler, &resource, state, &store);
    }
    let open = attempt.and_then(|attempt| Some((attempt.job, attempt.resubmission.as_mut()?)));
    let Some((job, resubmission)) = open else {
        let known = store.autoscalers().or_exit(Exit::Failed)?.join(", ");
        let error =
            anyhow!("of {autoscaler} no job is stopped to be run again; there are states of: {known}");
        return Err(error).or_exit(Exit::Usage);
    };
    resubmission.resume(job, clock::now()).with_context(|| autoscaler.to_owned()).or_exit(Exit::Failed)?;
    let savepoint = resubmission.location.clone().unwrap_or_default();
    store.stage(autoscaler, &state).or_exit(Exit::Failed)?;
    store.commit().or_exit(Exit::Failed)?;
    Ok(format!("start the daemon: it runs the job of {autoscaler} from {savepoint}, unless it runs by then"))
}

/// The same, where an operator was asked.
fn resume_upgrade(
    autoscaler: &str,
    resource: &str,
    mut state: State,
    store: &Store,
) -> Result<String, Failure> {
    let upgrade = state.ledger.attempt.as_mut().and_then(|attempt| attempt.upgrade.as_mut());
    let resumed = upgrade.map_or(Ok(()), |upgrade| upgrade.resume(clock::now()));
    resumed.with_context(|| autoscaler.to_owned()).or_exit(Exit::Failed)?;
    store.stage(autoscaler, &state).or_exit(Exit::Failed)?;
    store.commit().or_exit(Exit::Failed)?;
    Ok(format!("start the daemon: it puts {resource} back as it was, unless somebody else has changed it"))
}

/// All that there are, of each autoscaler the newest first.
#[derive(Serialize)]
struct Attempts {
    attempts: Vec<Shown>,
}

/// A rescale.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    autoscaler: String,
    asked: Timestamp,
    /// The state that it is in, or how it ended.
    state: String,
    since: Timestamp,
    from: BTreeMap<VertexId, Parallelism>,
    to: BTreeMap<VertexId, Parallelism>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reached: Vec<Reached>,
    #[serde(skip_serializing_if = "Option::is_none")]
    savepoint: Option<String>,
    /// What was changed of an operator's resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<OperatorChange>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    needs_a_person: bool,
    /// How it is brought back by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    rerun: Option<Rerun>,
    /// The same as a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
}

impl Shown {
    fn of_open(autoscaler: &str, attempt: &Attempt) -> Self {
        let Attempt { at, from, to, resubmission, upgrade, .. } = attempt;
        let (anew, upgrade) = (resubmission.as_ref(), upgrade.as_ref());
        let stage = attempt.stage();
        Self {
            autoscaler: autoscaler.to_owned(),
            asked: *at,
            state: stage.map_or("UnderWay".to_owned(), |reached| format!("{:?}", reached.stage)),
            since: stage.map_or(*at, |reached| reached.at),
            from: from.clone(),
            to: to.clone(),
            reached: attempt.reached().to_vec(),
            savepoint: anew.and_then(|anew| anew.location.clone()),
            operator: upgrade.map(|upgrade| upgrade.change.clone()),
            detail: anew
                .and_then(|anew| anew.detail.clone())
                .or_else(|| upgrade.and_then(|upgrade| upgrade.detail.clone())),
            needs_a_person: attempt.needs_a_person(),
            rerun: anew.and_then(|anew| anew.rerun.as_deref().cloned()),
            command: anew.and_then(|anew| Some(anew.rerun.as_ref()?.command())),
        }
    }

    fn of_past(autoscaler: &str, rescale: &Rescale) -> Self {
        let Rescale { at, ended, end, from, to, reached, .. } = rescale;
        Self {
            autoscaler: autoscaler.to_owned(),
            asked: *at,
            state: format!("{end:?}"),
            since: *ended,
            from: from.clone(),
            to: to.clone(),
            reached: reached.clone(),
            savepoint: None,
            operator: None,
            detail: None,
            needs_a_person: false,
            rerun: None,
            command: None,
        }
    }

    /// What is wrong, and what a person can do.
    fn help(&self) -> String {
        let Self { autoscaler, detail, savepoint, operator, rerun, command, .. } = self;
        let why = detail.as_deref().unwrap_or("nothing tells why");
        if let Some(OperatorChange { resource, before, .. }) = operator {
            return format!(
                "{autoscaler} does not run as it is to: {why}\n  Mend that, then either let Tidegate put {resource} back as it was:\n    \
                 tidegate attempts resume {autoscaler}\n  or edit it by hand, and Tidegate takes it from there. It was: {before}"
            );
        }
        let by_hand = command.as_deref().unwrap_or("flink run --fromSavepoint SAVEPOINT JAR ARGUMENTS");
        let hides = rerun.as_ref().is_some_and(Rerun::hides);
        let hidden = match rerun.as_ref().and_then(|rerun| rerun.manifest.as_deref()) {
            _ if !hides => String::new(),
            Some(by) => {
                format!("\n  What is hidden there is in the manifest of {} {}.", by.kind.name(), by.name)
            }
            None => "\n  What is hidden there is in spec.savepoint.args.".to_owned(),
        };
        let Some(savepoint) = savepoint else {
            return format!(
                "{autoscaler} does not run, and where its savepoint is is not known: {why}\n  Look for the newest one in the savepoint \
                 directory, or take the job's last checkpoint, and run the job by hand, under its name; Tidegate takes it from \
                 there:\n    {by_hand} --fromSavepoint PATH{hidden}"
            );
        };
        let by_hand = by_hand.replace("SAVEPOINT", savepoint);
        format!(
            "{autoscaler} does not run: {why}\n  Mend that, then either let Tidegate go on:\n    tidegate attempts resume {autoscaler}\n  \
             or run the job by hand, under its name, and Tidegate takes it from there:\n    {by_hand}{hidden}"
        )
    }
}

impl Show for Attempts {
    fn show(&self) -> String {
        if self.attempts.is_empty() {
            return "no rescale has been asked for yet".to_owned();
        }
        let left = ["AUTOSCALER", "ASKED", "STATE", "SINCE", "SUBTASKS", "SAVEPOINT"].map(Column::Left);
        let mut table = Table::new(&left);
        let sum =
            |sizes: &BTreeMap<VertexId, Parallelism>| sizes.values().map(|p| u64::from(p.get())).sum::<u64>();
        for shown in &self.attempts {
            let Shown { autoscaler, asked, state, since, from, to, savepoint, .. } = shown;
            let subtasks = format!("{} -> {}", sum(from), sum(to));
            let savepoint = savepoint.clone().unwrap_or_else(|| "-".to_owned());
            table.row([
                autoscaler.clone(),
                asked.to_string(),
                state.clone(),
                since.to_string(),
                subtasks,
                savepoint,
            ]);
        }
        let mut text = table.to_string();
        for shown in self.attempts.iter().filter(|shown| shown.needs_a_person) {
            text.push_str("\n\n");
            text.push_str(&shown.help());
        }
        text
    }
}
