//! What one job's cycles say to Kubernetes: a status, and now and then an Event.

use k8s_openapi::api::core::v1::ObjectReference;

use super::events::Events;
use super::found::Found;
use super::key::Key;
use super::news::Teller;
use super::publish::{Board, put};
use crate::crd::{Cycle, FlinkAutoscalerStatus, after_cycle};
use crate::daemon::job::{Listener, Told};

/// Who is told.
pub(super) struct Ears {
    pub(super) board: Board,
    pub(super) events: Events,
    pub(super) found: Found,
}

/// Listens to the cycles of the job of the object `about`, whose status was `status`.
pub(super) fn listener(
    key: Key,
    about: ObjectReference,
    generation: Option<i64>,
    mut status: FlinkAutoscalerStatus,
    ears: Ears,
) -> Listener {
    let Ears { board, events, found } = ears;
    let mut teller = Teller::default();
    Box::new(move |told: &Told<'_>| {
        let Told { policy, decision, outcome, state } = *told;
        if let Some(job) = decision.job {
            found.is(&key, job);
        }
        for news in teller.news(told) {
            events.tell(&about, news);
        }
        // The same as before, while nothing has changed but figures.
        status = after_cycle(&status, &Cycle { generation, policy, decision, outcome, state });
        put(&board, &status);
    })
}
