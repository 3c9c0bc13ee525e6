//! The status of one `FlinkAutoscaler`, written when it changes.
//!
//! Comes in: what the status is to be, after each cycle. Goes out: server-side apply on the status subresource when it is another
//! than what was written last, at most once in a few seconds. What cannot be written is tried again; only the newest counts.

use std::time::Duration;

use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use super::fault::call;
use crate::crd::FlinkAutoscalerStatus;
use crate::daemon::clock;
use crate::daemon::report::Trouble;
use crate::observe::Gate;

/// The name under which fields are owned.
pub(super) const FIELD_MANAGER: &str = "tidegate";

/// From one write to the next at the least.
const AT_MOST_EVERY: Duration = Duration::from_secs(2);

/// How long a write is waited for that failed.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Tells a [`Publisher`] what the status is to be.
pub(super) type Board = watch::Sender<Option<FlinkAutoscalerStatus>>;

/// Puts a status on the board.
pub(super) fn put(board: &Board, status: &FlinkAutoscalerStatus) {
    board.send_if_modified(|said| {
        let is_news = said.as_ref() != Some(status);
        if is_news {
            *said = Some(status.clone());
        }
        is_news
    });
}

/// Writes the status of one object.
pub(super) struct Publisher {
    api: Api<DynamicObject>,
    name: String,
    kind: String,
    gate: Gate,
    said: watch::Receiver<Option<FlinkAutoscalerStatus>>,
    written: Option<FlinkAutoscalerStatus>,
    at: Option<Instant>,
    trouble: Trouble,
}

impl Publisher {
    /// For the object `name`; with the board on which its status is put.
    pub(super) fn new(api: Api<DynamicObject>, name: String, kind: String, gate: Gate) -> (Board, Self) {
        let (board, said) = watch::channel(None);
        (board, Self { api, name, kind, gate, said, written: None, at: None, trouble: Trouble::default() })
    }

    /// Writes until the board is dropped, and what it said last.
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
                if self.due().is_some() {
                    self.write().await;
                }
                return;
            }
        }
    }

    /// When the next write is due; `None` while there is nothing to write.
    fn due(&self) -> Option<Instant> {
        if *self.said.borrow() == self.written {
            return None;
        }
        let pause = if self.trouble.is_there() { AGAIN_AFTER } else { AT_MOST_EVERY };
        Some(self.at.map_or_else(Instant::now, |at| at + pause))
    }

    async fn write(&mut self) {
        let said = self.said.borrow_and_update().clone();
        self.at = Some(Instant::now());
        if !self.gate.is_open() {
            return;
        }
        let patch = json!({
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": self.kind,
            "metadata": {"name": self.name},
            "status": said,
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
