//! What there is in the namespaces that are watched: autoscalers, policies, Services and HPAs.
//!
//! Comes in: watches, one per kind and namespace. Goes out: the objects as they were last seen, and a word whenever something
//! has changed. A watch that fails is begun again and again; what was known stays known meanwhile. Our own kinds are read as
//! plain trees: one object that is not understood must not hide the others.

use std::fmt::Debug;
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Service;
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::reflector::store::{Store, Writer};
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::fault::Fault;
use crate::crd::{FlinkAutoscaler, ScalingPolicy};
use crate::daemon::clock;
use crate::daemon::report::Trouble;

/// The pause before a watch that failed is begun again; twice as long each time, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Short against what anybody waits for who gave the rights back or started the API server again.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// A watch from which no error has come for this long works again, even if nothing happens in it.
const CALM: Duration = Duration::from_secs(20);

/// Our own kinds.
pub(super) fn autoscalers() -> ApiResource {
    ApiResource::erase::<FlinkAutoscaler>(&())
}

fn policies() -> ApiResource {
    ApiResource::erase::<ScalingPolicy>(&())
}

/// Which namespaces are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All there are.
    All,
    /// These.
    Namespaces(Vec<String>),
}

/// What there is.
pub(super) struct World {
    autoscalers: Vec<Store<DynamicObject>>,
    policies: Vec<Store<DynamicObject>>,
    services: Vec<Store<Service>>,
    hpas: Vec<Store<HorizontalPodAutoscaler>>,
    /// Watches that have not brought their first list yet.
    missing: Arc<AtomicUsize>,
    changed: Arc<Notify>,
    watches: JoinSet<()>,
}

/// All objects at one moment.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) autoscalers: Vec<Arc<DynamicObject>>,
    pub(super) policies: Vec<Arc<DynamicObject>>,
    pub(super) services: Vec<Arc<Service>>,
    pub(super) hpas: Vec<Arc<HorizontalPodAutoscaler>>,
}

impl World {
    /// Begins to watch.
    pub(super) fn watch(client: &Client, scope: &Scope) -> Self {
        let mut world = Self {
            autoscalers: Vec::new(),
            policies: Vec::new(),
            services: Vec::new(),
            hpas: Vec::new(),
            missing: Arc::default(),
            changed: Arc::default(),
            watches: JoinSet::new(),
        };
        let namespaces: Vec<Option<&str>> = match scope {
            Scope::All => vec![None],
            Scope::Namespaces(names) => names.iter().map(|name| Some(name.as_str())).collect(),
        };
        for namespace in namespaces {
            for (kind, stores) in [(autoscalers(), Kind::Autoscalers), (policies(), Kind::Policies)] {
                let api = match namespace {
                    Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
                    None => Api::all_with(client.clone(), &kind),
                };
                let store = world.follow(api, kind, namespace, true);
                match stores {
                    Kind::Autoscalers => world.autoscalers.push(store),
                    Kind::Policies => world.policies.push(store),
                }
            }
            let services = match namespace {
                Some(namespace) => Api::namespaced(client.clone(), namespace),
                None => Api::all(client.clone()),
            };
            let store = world.follow::<Service>(services, (), namespace, false);
            world.services.push(store);
            let hpas = match namespace {
                Some(namespace) => Api::namespaced(client.clone(), namespace),
                None => Api::all(client.clone()),
            };
            let store = world.follow::<HorizontalPodAutoscaler>(hpas, (), namespace, false);
            world.hpas.push(store);
        }
        world
    }

    /// Waits until something has changed.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether every watch has brought its first list. Those of kinds that need not be readable count as soon as it is known
    /// that they are not.
    pub(super) fn is_synced(&self) -> bool {
        self.missing.load(Ordering::Acquire) == 0
    }

    /// The objects as they were last seen.
    pub(super) fn objects(&self) -> Objects {
        Objects {
            autoscalers: all(&self.autoscalers),
            policies: all(&self.policies),
            services: all(&self.services),
            hpas: all(&self.hpas),
        }
    }

    fn follow<K>(
        &mut self,
        api: Api<K>,
        kind: K::DynamicType,
        namespace: Option<&str>,
        is_needed: bool,
    ) -> Store<K>
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
        K::DynamicType: Clone + Eq + Hash + Send + Sync,
    {
        let what = match namespace {
            Some(namespace) => format!("{} in {namespace}", K::plural(&kind)),
            None => K::plural(&kind).into_owned(),
        };
        let writer = Writer::new(kind);
        let store = writer.as_reader();
        let objects = watcher(api, watcher::Config::default()).backoff(Pauses::default()).modify(strip);
        self.missing.fetch_add(1, Ordering::AcqRel);
        let first = First { missing: Arc::clone(&self.missing), is_missing: true };
        self.watches.spawn(follow(objects, writer, what, Arc::clone(&self.changed), first, is_needed));
        store
    }
}

enum Kind {
    Autoscalers,
    Policies,
}

fn all<K: Resource + Clone>(stores: &[Store<K>]) -> Vec<Arc<K>>
where
    K::DynamicType: Clone + Eq + Hash,
{
    stores.iter().flat_map(Store::state).collect()
}

/// What nobody here asks for, and is the larger part of many objects.
fn strip<K: Resource>(object: &mut K) {
    object.managed_fields_mut().clear();
    object.annotations_mut().remove("kubectl.kubernetes.io/last-applied-configuration");
}

/// Whether a watch has brought its first list.
struct First {
    missing: Arc<AtomicUsize>,
    is_missing: bool,
}

impl First {
    fn came(&mut self) {
        if std::mem::take(&mut self.is_missing) {
            self.missing.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

async fn follow<K>(
    events: impl Stream<Item = watcher::Result<watcher::Event<K>>>,
    mut writer: Writer<K>,
    what: String,
    changed: Arc<Notify>,
    mut first: First,
    is_needed: bool,
) where
    K: Resource + Clone + 'static,
    K::DynamicType: Clone + Eq + Hash,
{
    let mut events = pin!(events);
    let mut trouble = Trouble::default();
    let over = |trouble: &mut Trouble| {
        if let Some(since) = trouble.ends() {
            info!(%since, "{what}: the watch works again");
        }
    };
    loop {
        match timeout(CALM, events.next()).await {
            Err(_) => over(&mut trouble),
            Ok(None) => return,
            Ok(Some(Ok(event))) => {
                writer.apply_watcher_event(&event);
                match event {
                    watcher::Event::Init => continue,
                    watcher::Event::InitApply(_) => {}
                    watcher::Event::InitDone => {
                        first.came();
                        changed.notify_one();
                    }
                    watcher::Event::Apply(_) | watcher::Event::Delete(_) => changed.notify_one(),
                }
                over(&mut trouble);
            }
            Ok(Some(Err(error))) => {
                let fault = Fault::from(error);
                if fault.is_expired() {
                    debug!("{what}: the watch has expired, and lists anew");
                    continue;
                }
                if trouble.begins(clock::now()) {
                    warn!("{what}: the watch has failed, and what was known stays known: {fault}");
                }
                if !is_needed && (fault.is_forbidden() || fault.is_missing()) && first.is_missing {
                    first.came();
                    changed.notify_one();
                }
            }
        }
    }
}

/// The pauses of a watch that fails.
#[derive(Debug)]
struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(FIRST_PAUSE)
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST_PAUSE);
        Some(pause)
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0 = FIRST_PAUSE;
    }
}

#[cfg(test)]
mod tests;
