//! A task that keeps an eye on a workload, so that whoever wants to know finds it in memory.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use kube::core::ApiResource;
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use super::fault::{Fault, of_watch};
use super::room;
use super::seen::{Seen, refused, template};
use super::target::Target;
use super::usage;
use crate::model::{Room, Timestamp, Workload};
use crate::observe::flink::TaskManagers;

/// Where the watch cannot begin, it is tried again after this long.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// The scale is read when the workload is seen to change, and besides this often: where the workload itself may not be watched,
/// that is all there is.
const SCALE_EVERY: Duration = Duration::from_secs(10);

/// metrics-server measures every 15 s.
const USAGE_EVERY: Duration = Duration::from_secs(15);

/// All nodes and pods of the cluster are listed for it: seldom enough for large clusters.
const ROOM_EVERY: Duration = Duration::from_secs(30);

/// What is wanted to be known besides the workload and its pods.
#[derive(Clone, Copy, Debug, Default)]
pub struct Besides {
    /// What the pods use, as metrics-server measures it.
    pub usage: bool,
    /// What the nodes have room for.
    pub room: bool,
}

/// A workload that is kept an eye on; no longer when this is dropped.
pub struct Watch {
    target: Target,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Begins; the clock tells when the nodes were looked at.
    pub fn begin(target: Target, besides: Besides, clock: fn() -> Timestamp) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let watcher = Watcher { target: target.clone(), seen: Arc::clone(&seen), besides, clock };
        let task = tokio::spawn(watcher.run());
        Self { target, seen, task }
    }

    /// The workload that is watched.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The workload as it was last seen, with the TaskManagers where they were asked for; or one line on why it is not known.
    pub(crate) fn look(
        &self,
        taskmanagers: Option<&TaskManagers>,
        at: Timestamp,
    ) -> Result<Workload, String> {
        locked(&self.seen).workload(self.target.removes(), taskmanagers, at)
    }

    /// What the nodes had room for when they were last looked at.
    pub(crate) fn room(&self) -> Option<Room> {
        locked(&self.seen).room
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn locked(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Watcher {
    target: Target,
    seen: Arc<Mutex<Seen>>,
    besides: Besides,
    clock: fn() -> Timestamp,
}

impl Watcher {
    async fn run(self) {
        loop {
            let Err(fault) = Box::pin(self.watch()).await else { continue };
            locked(&self.seen).trouble = Some(fault.to_string());
            sleep(AGAIN_AFTER).await;
        }
    }

    /// Watches until the selector is another one.
    async fn watch(&self) -> Result<(), Fault> {
        let resource = self.target.resource().await?;
        let selector = self.read_scale(&resource).await?;
        locked(&self.seen).forget_pods();
        let of_it = watcher::Config::default().fields(&format!("metadata.name={}", self.target.name()));
        let mut object = pin!(watcher(self.target.api(&resource), of_it).default_backoff());
        let mut pods =
            pin!(watcher(self.target.pods(), watcher::Config::default().labels(&selector)).default_backoff());
        let every = |period| {
            let mut ticks = interval_at(Instant::now() + period, period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let (mut scale_due, mut usage_due) = (every(SCALE_EVERY), every(USAGE_EVERY));
        let mut room_due = every(ROOM_EVERY);
        if self.besides.usage {
            self.read_usage(&selector).await;
        }
        loop {
            tokio::select! {
                Some(event) = pods.next() => match event {
                    Ok(event) => {
                        let mut seen = locked(&self.seen);
                        seen.pod(event);
                        seen.trouble = None;
                    }
                    Err(error) => locked(&self.seen).trouble = Some(of_watch(error)),
                },
                Some(event) = object.next() => match event {
                    Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
                        let is_first = {
                            let mut seen = locked(&self.seen);
                            seen.refused = refused(&object);
                            seen.template = template(&object);
                            seen.room.is_none()
                        };
                        if self.besides.room && is_first {
                            self.read_room(&selector).await;
                        }
                        if self.read_scale(&resource).await? != selector {
                            return Ok(());
                        }
                    }
                    Ok(watcher::Event::Delete(_) | watcher::Event::Init | watcher::Event::InitDone) => {}
                    // It may not be watched, only its scale read: then that is done by the clock.
                    Err(error) => tracing::debug!(error = of_watch(error), "the workload is not watched"),
                },
                _ = scale_due.tick() => if self.read_scale(&resource).await? != selector { return Ok(()) },
                _ = usage_due.tick(), if self.besides.usage => self.read_usage(&selector).await,
                _ = room_due.tick(), if self.besides.room => self.read_room(&selector).await,
            }
        }
    }

    /// Reads the scale; which pods are the workload's.
    async fn read_scale(&self, resource: &ApiResource) -> Result<String, Fault> {
        let scale = self.target.scale(resource).await?;
        let scale = self.target.scale_seen(&scale)?;
        let selector = scale.selector.clone();
        locked(&self.seen).scale = Some(scale);
        Ok(selector)
    }

    /// Without an answer nothing is known to be used: the rules that go by it are silent.
    async fn read_usage(&self, selector: &str) {
        let usage = usage::read(&self.target, selector).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "what the pods use is not known");
            BTreeMap::new()
        });
        locked(&self.seen).usage = usage;
    }

    /// Without the right to list nodes nothing is known of their room, and pods that find none are seen to be pending.
    async fn read_room(&self, selector: &str) {
        let template = locked(&self.seen).template.clone();
        let Some(template) = template else { return };
        let room = match room::read(&self.target, selector, &template, (self.clock)()).await {
            Ok(room) => Some(room),
            Err(error) => {
                tracing::debug!(%error, "what the nodes have room for is not known");
                None
            }
        };
        locked(&self.seen).room = room;
    }
}
