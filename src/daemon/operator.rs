//! A job that an operator runs: its resource is looked at in each poll, and an upgrade is seen through by the job's task.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use super::clock;
use super::job::{Done, Job};
use super::report::Trouble;
use super::workload::Reach;
use crate::act;
use crate::model::{Observation, OperatorSeen, Sighting, Stage};
use crate::observe::kubernetes::{OperatorTarget, Read};
use crate::policy::AutoscalerSpec;
use crate::record::Outcome;

/// Time between two looks while an operator works: it looks itself every few seconds.
const BETWEEN: Duration = Duration::from_secs(1);

/// The same while the API server does not answer.
const AWAY: Duration = Duration::from_secs(3);

/// A poll does not wait longer for the API server: what it does not tell now it tells in the next one.
const PATIENCE: Duration = Duration::from_secs(3);

/// The operator's resource of one job, or why it cannot be looked at.
pub(super) struct Operator {
    target: Result<OperatorTarget, String>,
    job: Option<String>,
    trouble: Trouble,
}

impl Operator {
    /// The resource that an autoscaler names, if it does.
    pub(super) fn of(spec: &AutoscalerSpec, namespace: Option<&str>, reach: &Reach) -> Option<Self> {
        let named = spec.operator.as_ref()?;
        let target = reach.as_ref().map_err(Clone::clone);
        let target = target.map(|(client, default)| {
            OperatorTarget::new(client.clone(), namespace.unwrap_or(default), named)
        });
        Some(Self { target, job: spec.flink.job.clone(), trouble: Trouble::default() })
    }

    /// The resource as it is, or one line on why that is not known.
    pub(super) async fn look(&self) -> Result<OperatorSeen, String> {
        let target = self.target.as_ref().map_err(Clone::clone)?;
        match timeout(PATIENCE, target.read(Read::Cached, clock::now())).await {
            Ok(Ok(Some(found))) => Ok(found.seen),
            Ok(Ok(None)) => Err(format!("there is no {}", target.name())),
            Ok(Err(fault)) => Err(fault.to_string()),
            Err(_) => Err(format!("no answer from the API server within {} s", PATIENCE.as_secs())),
        }
    }

    /// Adds what is known of it to what was seen of the job.
    pub(super) fn add(&mut self, looked: Result<OperatorSeen, String>, observation: &mut Observation) {
        let Observation::Seen(snapshot) = observation else { return };
        match looked {
            Ok(seen) => {
                if let Some(since) = self.trouble.ends() {
                    info!(%since, "the operator's resource is seen again");
                }
                snapshot.around.operator = Some(Box::new(seen));
            }
            Err(detail) => {
                if self.trouble.begins(clock::now()) {
                    warn!("the operator's resource is not seen, and the job not rescaled: {detail}");
                }
                snapshot.around.operator_unseen = Some(detail);
            }
        }
    }
}

impl Job {
    /// One step, where an operator brings the job to another size; `None` where none does. What then counts is whether somebody else
    /// has written the state; nothing where the program is to stop.
    ///
    /// The mode and rivals do not matter any more: what was asked for is confirmed, or taken back.
    pub(super) async fn upgrade(&mut self, stop: &mut watch::Receiver<bool>) -> Option<Option<bool>> {
        let (attempt, upgrade) = self.state.upgrading()?;
        let (target, name) = match &self.operator {
            Some(Operator { target: Ok(target), job, .. }) => (target, job.as_deref()),
            Some(Operator { target: Err(_), .. }) | None => return None,
        };
        if !self.poller.client().may_change() {
            return None;
        }
        let before = upgrade.stage();
        let doing = Box::pin(act::upgrade(target, self.poller.client(), attempt, upgrade, name, clock::now));
        let sighting = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return Some(None),
            sighting = doing => sighting,
        };
        let now = clock::now();
        let (mut fenced, mut pause) = (false, BETWEEN);
        if self.state.upgrade(&sighting, now) {
            self.poller.forget_job();
            self.poller.refresh_slots();
            fenced = self.sync().await;
            self.tell_upgrade(before);
            // What comes next can be done at once.
            pause = Duration::ZERO;
        }
        if let Sighting::Silence(why) | Sighting::Refused(why) = &sighting {
            if self.trouble.begins(now) {
                warn!(stage = ?before, why, "no word of the operator's resource while it is changed");
            }
            pause = AWAY;
        } else {
            self.trouble.ends();
        }
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => Some(None),
            () = sleep(pause) => Some(Some(fenced)),
        }
    }

    fn tell_upgrade(&self, before: Stage) {
        let attempt = self.state.ledger.attempt.as_ref();
        let Some(upgrade) = attempt.and_then(|attempt| attempt.upgrade.as_ref()) else { return };
        let (stage, detail) = (upgrade.stage(), upgrade.detail.as_deref());
        let resource = &upgrade.change.resource;
        match stage {
            Stage::Failed => error!(
                resource,
                detail,
                was = %upgrade.change.before,
                "the job does not run as it is to, and needs a person: mend the operator's resource"
            ),
            Stage::RollingBack | Stage::RolledBack | Stage::NotStopped | Stage::Superseded => {
                warn!(
                    ?before,
                    ?stage,
                    resource,
                    detail,
                    "the operator does not bring the job to its new size"
                );
            }
            _ => {
                let (from, to) = (&upgrade.change.before, &upgrade.change.after);
                info!(?before, ?stage, resource, %from, %to, "the operator brings the job to another size");
            }
        }
    }

    /// The end of one that the job itself does not show.
    pub(super) fn conclude_upgrade(&mut self, observation: &Observation) -> Option<Done> {
        self.state.ledger.attempt.as_ref()?.upgrade.as_ref()?;
        let seen = match observation {
            Observation::Seen(snapshot) => Some(snapshot),
            Observation::Missed(_) => None,
        };
        let outcome = if self.operator.is_some() {
            self.state.upgrade_outcome(seen)?
        } else {
            Outcome::Superseded { detail: "spec.operator, which named the resource, is gone".to_owned() }
        };
        let ended = clock::now();
        self.state.end(&outcome, ended);
        Some(Done { begun: None, outcome, ended: Some(ended) })
    }
}
