//! Events: what is worth one, written beside the object that it is about.
//!
//! What says the same as an Event of the last minutes becomes part of its series, as Kubernetes' own components do. Unlike there, what
//! is said in other words is another Event: a rescale to another size is not the one before once more. Nothing depends on
//! Events: what cannot be written is left out.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use super::fault::{Fault, call};
use super::news::News;
use super::publish::FIELD_MANAGER;
use crate::daemon::clock;
use crate::daemon::report::Trouble;
use crate::model::Timestamp;

/// How long an Event may be added to: as long as client-go does.
const SERIES_WITHIN: Duration = Duration::from_mins(6);

/// Events that wait to be written; more are left out, for then there is something worse the matter.
const WAITING: usize = 512;

/// Takes Events to be written.
#[derive(Clone, Debug)]
pub(super) struct Events(mpsc::Sender<(ObjectReference, News)>);

impl Events {
    /// Takes an Event about an object. Never waits.
    pub(super) fn tell(&self, about: &ObjectReference, news: News) {
        if self.0.try_send((about.clone(), news)).is_err() {
            debug!("an event is left out: too many wait to be written");
        }
    }
}

/// Writes Events.
pub(super) struct Recorder {
    client: Client,
    me: String,
    waiting: mpsc::Receiver<(ObjectReference, News)>,
    recent: Recent,
    trouble: Trouble,
}

impl Recorder {
    /// One that reports in the name of the process `me`.
    pub(super) fn new(client: Client, me: String) -> (Events, Self) {
        let (events, waiting) = mpsc::channel(WAITING);
        (Events(events), Self { client, me, waiting, recent: Recent::default(), trouble: Trouble::default() })
    }

    /// Writes until nobody is left who could tell of anything.
    pub(super) async fn run(mut self) {
        while let Some((about, news)) = self.waiting.recv().await {
            match self.record(&about, &news).await {
                Ok(()) => {
                    if let Some(since) = self.trouble.ends() {
                        info!(%since, "events are written again");
                    }
                }
                Err(fault) => {
                    if self.trouble.begins(clock::now()) {
                        warn!("events cannot be written: {fault}");
                    }
                }
            }
        }
    }

    async fn record(&mut self, about: &ObjectReference, news: &News) -> Result<(), Fault> {
        // Those about what is in no namespace are in `default`.
        let namespace = about.namespace.as_deref().unwrap_or("default");
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let at = clock::now();
        let uid = about.uid.clone().unwrap_or_default();
        match self.recent.place(&uid, news, at) {
            Place::Series { name, count } => {
                let series = EventSeries { count, last_observed_time: micro(at) };
                let patch = serde_json::json!({"series": series});
                let patched = call(api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch))).await;
                match patched {
                    Err(fault) if fault.is_missing() => {
                        self.recent.forget(&uid, news);
                        Ok(())
                    }
                    done => done.map(drop),
                }
            }
            Place::New { name } => {
                let parameters =
                    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
                let created = call(api.create(&parameters, &self.event(about, news, &name, at))).await;
                if created.is_err() {
                    self.recent.forget(&uid, news);
                }
                created.map(drop)
            }
        }
    }

    fn event(&self, about: &ObjectReference, news: &News, name: &str, at: Timestamp) -> Event {
        Event {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(about.namespace.clone().unwrap_or_else(|| "default".to_owned())),
                ..ObjectMeta::default()
            },
            action: Some(news.action.to_owned()),
            event_time: Some(micro(at)),
            note: Some(news.note.clone()),
            reason: Some(news.reason.clone()),
            regarding: Some(about.clone()),
            reporting_controller: Some("tidegate.dev/tidegate".to_owned()),
            // Kubernetes takes no longer name.
            reporting_instance: Some(self.me.chars().take(128).collect()),
            type_: Some(if news.is_warning { "Warning" } else { "Normal" }.to_owned()),
            ..Event::default()
        }
    }
}

fn micro(at: Timestamp) -> MicroTime {
    MicroTime(jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default())
}

/// Events of the last minutes: object, reason and note.
#[derive(Debug, Default)]
struct Recent(BTreeMap<(String, String, String), Series>);

#[derive(Debug)]
struct Series {
    name: String,
    count: i32,
    last: Timestamp,
}

/// Where something is written.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    New { name: String },
    Series { name: String, count: i32 },
}

impl Recent {
    fn place(&mut self, uid: &str, news: &News, at: Timestamp) -> Place {
        self.0.retain(|_, series| at.since(series.last) <= SERIES_WITHIN);
        let key = (uid.to_owned(), news.reason.clone(), news.note.clone());
        if let Some(series) = self.0.get_mut(&key) {
            series.count = series.count.saturating_add(1);
            series.last = at;
            return Place::Series { name: series.name.clone(), count: series.count };
        }
        // Nobody else makes one for this object with this number; the name is of no meaning.
        let number = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), &key);
        let name = format!("tidegate.{number:016x}");
        self.0.insert(key, Series { name: name.clone(), count: 1, last: at });
        Place::New { name }
    }

    fn forget(&mut self, uid: &str, news: &News) {
        self.0.remove(&(uid.to_owned(), news.reason.clone(), news.note.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_one_series_and_other_words_are_another_event() {
        let at = |second: i64| Timestamp::from_millis(second * 1000);
        let news = |note: &str| News::new(false, "Rescaling", "Rescale", note);
        let mut recent = Recent::default();
        let count = |place: Place| match place {
            Place::New { .. } => 1,
            Place::Series { count, .. } => count,
        };
        for (second, uid, note, expected) in [
            (0, "a", "1 -> 3", 1),
            (60, "a", "1 -> 3", 2),
            (70, "b", "1 -> 3", 1),
            (80, "a", "3 -> 7", 1),
            (419, "a", "1 -> 3", 3),
            (800, "a", "1 -> 3", 1),
        ] {
            assert_eq!(count(recent.place(uid, &news(note), at(second))), expected, "second {second}");
        }
        recent.forget("a", &news("1 -> 3"));
        assert_eq!(count(recent.place("a", &news("1 -> 3"), at(801))), 1);
    }
}
