//! The workload of one job, as its task sees it: watched, or why it cannot be.

use kube::Client;
use tracing::{info, warn};

use super::clock;
use super::report::Trouble;
use crate::model::Observation;
use crate::observe::flink::Poller;
use crate::observe::kubernetes::{Besides, Target, Watch};
use crate::policy::{AutoscalerSpec, Policy, Rule};

/// The workload of one job.
pub(super) struct Workload {
    watch: Result<Watch, String>,
    trouble: Trouble,
}

/// The API server, and the namespace that is meant where none is named; or why there is none.
pub(super) type Reach = Result<(Client, String), String>;

impl Workload {
    /// The workload that an autoscaler names, if it does. Begins to watch it.
    pub(super) fn of(
        spec: &AutoscalerSpec,
        policy: &Policy,
        namespace: Option<&str>,
        reach: &Reach,
    ) -> Option<Self> {
        let workload = spec.workload.as_ref()?;
        let besides = Besides {
            usage: policy.spec.rules.iter().any(|rule| matches!(rule, Rule::Resource(_))),
            room: policy.spec.limits.cluster_capacity,
        };
        let watch = match reach {
            Ok((client, default)) => {
                let target = Target::new(client.clone(), namespace.unwrap_or(default), workload);
                Ok(Watch::begin(target, besides, clock::now))
            }
            Err(why) => Err(why.clone()),
        };
        Some(Self { watch, trouble: Trouble::default() })
    }

    /// Adds what is known of it to what was seen of the job. Without it, the rest goes on.
    pub(super) fn look(&mut self, observation: &mut Observation, poller: &mut Poller) {
        let Observation::Seen(snapshot) = observation else { return };
        let now = clock::now();
        let looked = match &self.watch {
            Ok(watch) => watch.look(poller.taskmanagers(), now),
            Err(why) => Err(why.clone()),
        };
        match looked {
            Ok(workload) => {
                if let Some(since) = self.trouble.ends() {
                    info!(%since, "the workload is seen again");
                }
                // Some are about to come or to go. One that has just come is counted before its slots are: where they are
                // awaited, the decision has them looked at.
                if snapshot.slots.is_some_and(|slots| slots.taskmanagers != workload.replicas) {
                    poller.refresh_slots();
                }
                snapshot.around.workload = Some(workload);
                snapshot.around.room = self.watch.as_ref().ok().and_then(Watch::room);
            }
            Err(detail) => {
                if self.trouble.begins(now) {
                    warn!("the workload is not seen: TaskManagers neither come nor go: {detail}");
                }
                snapshot.around.workload_unseen = Some(detail);
            }
        }
    }

    /// Where its replicas are changed.
    pub(super) fn target(&self) -> Option<&Target> {
        self.watch.as_ref().ok().map(Watch::target)
    }
}
