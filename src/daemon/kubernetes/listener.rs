//! What one job's cycles say to Kubernetes: a status, and now and then an Event.

use k8s_openapi::api::core::v1::ObjectReference;
use serde_json::Value;

use super::events::Events;
use super::found::Found;
use super::key::Key;
use super::news::Teller;
use super::publish::{Board, Said};
use super::status;
use crate::daemon::job::{Listener, Told};
use crate::record::Summary;

/// Who is told.
pub(super) struct Ears {
    pub(super) board: Board,
    pub(super) events: Events,
    pub(super) found: Found,
}

/// Listens to the cycles of the job of the object `about`.
pub(super) fn listener(
    key: Key,
    about: ObjectReference,
    generation: Option<i64>,
    last: Value,
    ears: Ears,
) -> Listener {
    let Ears { board, events, found } = ears;
    let mut teller = Teller::default();
    let mut told_last: Option<(Summary, &'static str)> = None;
    let mut status = status::Keeper::new(generation, last);
    Box::new(move |told: &Told<'_>| {
        if let Some(job) = told.decision.job {
            found.is(&key, job);
        }
        for news in teller.news(told) {
            events.tell(&about, news);
        }
        let graph = told.state.history.last().map(|snapshot| &*snapshot.graph);
        let (summary, outcome) = (Summary::of(told.decision, graph), told.outcome.kind());
        let is_news = told_last.as_ref().is_none_or(|(last, kind)| {
            summary.is_news_after(last) || last.current != summary.current || *kind != outcome
        });
        let (status, conditions_changed) = status.after(told, &summary);
        put(&board, status, is_news || conditions_changed);
        if is_news {
            told_last = Some((summary, outcome));
        }
    })
}

/// Puts a status on the board; `is_news` when more than figures has changed.
pub(super) fn put(board: &Board, status: Value, is_news: bool) {
    board.send_if_modified(|said: &mut Said| {
        if said.status == status {
            return false;
        }
        said.status = status;
        said.news = said.news.wrapping_add(u64::from(is_news));
        true
    });
}
