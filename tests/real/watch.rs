//! The backlog of a topic over time, by the topic's own books.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use tokio::task::JoinHandle;

use crate::testbed::{Topic, until};

/// How often it is looked at: a backlog of 4,000 that grows by 1,500/s is seen to within 75.
const EVERY: Duration = Duration::from_millis(50);

/// Watches a topic until it is asked what it saw.
pub struct Watch {
    task: JoinHandle<()>,
    seen: Arc<std::sync::Mutex<Vec<(SystemTime, f64)>>>,
}

impl Watch {
    /// Begins to watch.
    pub fn start(topic: &Arc<Topic>) -> Self {
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (topic, into) = (Arc::clone(topic), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            loop {
                if let Ok(waiting) = topic.waiting() {
                    into.lock().expect("nothing panics with it").push((SystemTime::now(), waiting));
                }
                tokio::time::sleep(EVERY).await;
            }
        });
        Self { task, seen }
    }

    /// When the most waited since a moment, and how much that was.
    pub fn peak_since(&self, from: SystemTime) -> (SystemTime, f64) {
        let seen = self.seen.lock().expect("nothing panics with it");
        let since = seen.iter().filter(|(at, _)| *at >= from).copied();
        since.max_by(|(_, one), (_, other)| one.total_cmp(other)).unwrap_or((from, 0.0))
    }

    /// Waits until no more than `few` records wait and have not done so for a second, and says since when.
    pub async fn gone_since(&self, from: SystemTime, few: f64, within: Duration) -> Result<SystemTime> {
        until(&format!("a backlog of at most {few}"), within, async || {
            let seen = self.seen.lock().expect("nothing panics with it");
            let (now, waiting) = *seen.last().context("nothing seen")?;
            let last_above = seen.iter().rev().find(|(at, waiting)| *at >= from && *waiting > few);
            let since = last_above.map_or(from, |(at, _)| *at);
            ensure!(waiting <= few && now > since + Duration::from_secs(1), "{waiting} wait");
            Ok(since)
        })
        .await
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}
