//! The status of one `FlinkAutoscaler`, written when it changes.
//!
//! Comes in: what the status is to be, after each cycle. Goes out: server-side apply on the status subresource, at most once in
//! a few seconds, and once a minute where only figures have changed. What cannot be written is tried again; only the newest
//! counts.

use std::time::Duration;

use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use super::fault::call;
use crate::daemon::clock;
use crate::daemon::report::Trouble;
use crate::observe::Gate;

/// The name under which fields are owned.
pub(super) const FIELD_MANAGER: &str = "tidegate";

/// From one write to the next at the least.
const AT_MOST_EVERY: Duration = Duration::from_secs(2);

/// Loads and backlogs change with every cycle; three hundred autoscalers that wrote each would be sixty writes a second.
const FIGURES_EVERY: Duration = Duration::from_mins(1);

/// How long a write is waited for that failed.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// What a status is to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Said {
    pub(super) status: Value,
    /// Another number when more than figures has changed.
    pub(super) news: u64,
}

/// Tells a [`Publisher`] what the status is to be.
pub(super) type Board = watch::Sender<Said>;

/// Writes the status of one object.
pub(super) struct Publisher {
    api: Api<DynamicObject>,
    name: String,
    kind: String,
    gate: Gate,
    said: watch::Receiver<Said>,
    written: Said,
    at: Option<Instant>,
    trouble: Trouble,
}

impl Publisher {
    /// For the object `name`; with the board on which its status is put.
    pub(super) fn new(api: Api<DynamicObject>, name: String, kind: String, gate: Gate) -> (Board, Self) {
        let (board, said) = watch::channel(Said::default());
        let written = Said::default();
        (board, Self { api, name, kind, gate, said, written, at: None, trouble: Trouble::default() })
    }

    /// Writes until the board is dropped, and what it said last if that was news.
    pub(super) async fn run(mut self) {
        loop {
            let due = self.due();
            let is_open = match due {
                None => self.said.changed().await.is_ok(),
                Some(due) => tokio::select! {
                    changed = self.said.changed() => changed.is_ok(),
                    () = sleep_until(due) => {
                        self.write().await;
                        true
                    }
                },
            };
            if !is_open {
                if self.is_news() {
                    self.write().await;
                }
                return;
            }
        }
    }

    fn is_news(&self) -> bool {
        self.said.borrow().news != self.written.news
    }

    /// When the next write is due; `None` while there is nothing to write.
    fn due(&self) -> Option<Instant> {
        if self.said.borrow().status == self.written.status {
            return None;
        }
        let pause = match (self.trouble.is_there(), self.is_news()) {
            (true, _) => AGAIN_AFTER,
            (false, true) => AT_MOST_EVERY,
            (false, false) => FIGURES_EVERY,
        };
        Some(self.at.map_or_else(Instant::now, |at| at + pause))
    }

    async fn write(&mut self) {
        let said = self.said.borrow_and_update().clone();
        self.at = Some(Instant::now());
        if said.status.is_null() || !self.gate.is_open() {
            return;
        }
        let patch = json!({
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": self.kind,
            "metadata": {"name": self.name},
            "status": said.status,
        });
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        match call(self.api.patch_status(&self.name, &parameters, &Patch::Apply(&patch))).await {
            Ok(_) => {
                self.written = said;
                if let Some(since) = self.trouble.ends() {
                    info!(%since, "the status is written again");
                }
            }
            // It is being deleted.
            Err(fault) if fault.is_missing() => {
                debug!("the status is not written: {fault}");
                self.written = said;
            }
            Err(fault) => {
                if self.trouble.begins(clock::now()) {
                    warn!("the status cannot be written: {fault}");
                }
            }
        }
    }
}
