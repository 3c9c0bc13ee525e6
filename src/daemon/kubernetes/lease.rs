//! The task that holds the Lease, or waits for it.
//!
//! Comes in: nothing but the API server's word. Goes out: who leads ([`Standing`]), and the [`Gate`], which is open while this
//! process may act. The Lease is replaced with the version it was last seen with, so that of two candidates one fails.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use super::election::{Election, Move, Record, Standing, TERMS};
use super::fault::{Fault, call_within};
use crate::daemon::clock;
use crate::daemon::report::Trouble;
use crate::observe::Gate;

/// A renewal is given this long, so that several fit into the time in which the leader may act.
const PATIENCE: Duration = Duration::from_secs(3);

/// The Lease of one candidate.
pub(super) struct Candidate {
    api: Api<Lease>,
    name: String,
    me: String,
    gate: Gate,
    standing: watch::Sender<Standing>,
    election: Election,
    /// The Lease as it was last seen.
    lease: Option<Lease>,
    trouble: Trouble,
}

impl Candidate {
    /// A candidate of the name `me`, which no other process has. Nothing is asked yet.
    pub(super) fn new(api: Api<Lease>, name: String, me: String, gate: Gate) -> Self {
        let election = Election::new(me.clone(), TERMS);
        let (standing, _) = watch::channel(Standing::Unknown);
        Self { api, name, me, gate, standing, election, lease: None, trouble: Trouble::default() }
    }

    /// Who leads, as far as it is known.
    pub(super) fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Stands for the Lease until `stop` is true; gives it back then.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let next = self.step().await;
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                () = self.wait(next) => {}
            }
        }
        self.gate.close();
        self.release().await;
    }

    /// Waits for the next step, and notices in the middle of it when the time to act has run out.
    async fn wait(&self, next: Instant) {
        if let Some(until) = self.election.acts_until().filter(|until| *until < next) {
            sleep_until(until).await;
            self.publish();
        }
        sleep_until(next).await;
    }

    /// Looks, and does what is to be done; when to do so again.
    async fn step(&mut self) -> Instant {
        let began = Instant::now();
        // A leader knows what it wrote last; whoever else is there makes its write fail.
        let known = self.election.standing(began) == Standing::Leading;
        let mut done = Ok(());
        if !known {
            done = self.look().await;
        }
        if done.is_ok() {
            done = match self.election.next(Instant::now()) {
                Move::Wait(until) => {
                    self.publish();
                    self.says(Ok(()));
                    return until;
                }
                Move::Create => self.write(None).await,
                Move::Take | Move::Renew => self.write(self.lease.clone()).await,
            };
            if done.as_ref().is_err_and(|fault| fault.is_conflict() || fault.is_missing()) {
                // Somebody was quicker, or has deleted it: who leads now decides what is next.
                done = self.look().await;
            }
        }
        self.says(done);
        self.publish();
        began + TERMS.retry
    }

    async fn look(&mut self) -> Result<(), Fault> {
        let found = call_within(PATIENCE, self.api.get_opt(&self.name)).await?;
        self.election.found(found.as_ref().map(record), Instant::now());
        self.lease = found;
        Ok(())
    }

    /// Makes this candidate the holder, of the Lease as it was last seen.
    async fn write(&mut self, last: Option<Lease>) -> Result<(), Fault> {
        let sent = Instant::now();
        let exists = last.is_some();
        let lease = held(last.unwrap_or_default(), &self.name, &self.me);
        let parameters = PostParams::default();
        let written = if exists {
            call_within(PATIENCE, self.api.replace(&self.name, &parameters, &lease)).await?
        } else {
            call_within(PATIENCE, self.api.create(&parameters, &lease)).await?
        };
        self.election.wrote(record(&written), sent);
        self.lease = Some(written);
        Ok(())
    }

    fn publish(&self) {
        match self.election.acts_until() {
            Some(until) => self.gate.open_until(until),
            None => self.gate.close(),
        }
        let standing = self.election.standing(Instant::now());
        self.standing.send_if_modified(|current| {
            if *current == standing {
                return false;
            }
            match &standing {
                Standing::Leading => info!(lease = self.name, me = self.me, "this process leads"),
                Standing::Unsure => {
                    warn!(lease = self.name, "the Lease cannot be renewed: nothing is done until it can be");
                }
                Standing::Following { leader } => info!(lease = self.name, leader, "another process leads"),
                Standing::Unknown => debug!(lease = self.name, "nobody leads"),
            }
            *current = standing;
            true
        });
    }

    fn says(&mut self, done: Result<(), Fault>) {
        match done {
            Ok(()) => {
                if let Some(since) = self.trouble.ends() {
                    info!(lease = self.name, %since, "the Lease can be read and written again");
                }
            }
            Err(fault) => {
                if self.trouble.begins(clock::now()) {
                    warn!(lease = self.name, "the Lease cannot be read or written: {fault}");
                }
            }
        }
    }

    /// Gives the Lease back, so that another need not wait for its end.
    async fn release(&mut self) {
        let Some(lease) = self.lease.take().filter(|lease| record(lease).holder == self.me) else { return };
        let mut lease = lease;
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        // As client-go does: a follower that misses this change waits for as long.
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(now());
        let parameters = PostParams::default();
        match call_within(PATIENCE, self.api.replace(&self.name, &parameters, &lease)).await {
            Ok(_) => info!(lease = self.name, "the Lease is given back"),
            Err(fault) => warn!(lease = self.name, "the Lease is not given back, and runs out: {fault}"),
        }
    }
}

/// The Lease with `me` as its holder from now on.
fn held(mut lease: Lease, name: &str, me: &str) -> Lease {
    lease.metadata.name = Some(name.to_owned());
    let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
    let now = now();
    if spec.holder_identity.as_deref() != Some(me) {
        // The first holder is no transition; as client-go counts them.
        spec.lease_transitions = Some(match spec.acquire_time {
            None => 0,
            Some(_) => spec.lease_transitions.unwrap_or(0).saturating_add(1),
        });
        spec.acquire_time = Some(now.clone());
        spec.holder_identity = Some(me.to_owned());
    }
    spec.renew_time = Some(now);
    spec.lease_duration_seconds = i32::try_from(TERMS.lasts.as_secs()).ok();
    lease
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Record {
        holder: spec.holder_identity.unwrap_or_default(),
        lasts: seconds.map_or(TERMS.lasts, Duration::from_secs),
        version: lease.resource_version().unwrap_or_default(),
    }
}

/// For people who look at the Lease: nobody compares it with another clock.
fn now() -> MicroTime {
    MicroTime(k8s_openapi::jiff::Timestamp::from_millisecond(clock::now().as_millis()).unwrap_or_default())
}
