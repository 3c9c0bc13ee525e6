//! A job's state in Kubernetes: one ConfigMap beside its `FlinkAutoscaler`, which goes when that goes.
//!
//! Comes in: states. Goes out: what is kept of the last one: the ledger, as JSON with a version. What was seen lately is not
//! kept, for it comes again within a few polls. Each write says which version of the ConfigMap it follows, and a process that
//! begins to look after a job writes its name first: so the write of one that led before, and does not know yet that it
//! leads no more, is refused, and nothing is done that is not written first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::fault::{Fault, call};
use crate::model::Ledger;
use crate::observe::Gate;
use crate::record::State;

/// The version of what is in the ConfigMap. Every other one is refused.
const VERSION: u32 = 1;

/// Where in the ConfigMap it is.
pub(super) const FIELD: &str = "state.json";

/// Who wrote it last.
pub(super) const WRITER: &str = "tidegate.dev/writer";

/// Kubernetes takes no ConfigMap of more than 1 MiB. A job of a hundred vertices with all of its rescales has half of that.
const MOST_BYTES: usize = 900 << 10;

/// The longest name that Kubernetes takes.
const LONGEST_NAME: usize = 253;

/// Why a state is not kept, or not read.
#[derive(Debug, Error)]
pub(in crate::daemon) enum StateError {
    /// Somebody else has written it.
    #[error("the ConfigMap {name} has been written by another process since")]
    Fenced {
        /// The ConfigMap.
        name: String,
    },
    /// This process may not write at present.
    #[error("the ConfigMap {name} is not written, as the Lease is not held")]
    NotLeading {
        /// The ConfigMap.
        name: String,
    },
    /// Another version wrote it.
    #[error(
        "the ConfigMap {name} has version {found}, and this Tidegate reads version {VERSION}: run the Tidegate that wrote it, \
         or delete the ConfigMap to begin without what was learned"
    )]
    OtherVersion {
        /// The ConfigMap.
        name: String,
        /// Its version.
        found: u32,
    },
    /// It is not what Tidegate writes.
    #[error(
        "the ConfigMap {name} does not hold a state of Tidegate: delete it, if it is nobody's, to begin without what was learned"
    )]
    NotUnderstood {
        /// The ConfigMap.
        name: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// It cannot be written as JSON; the types do not allow such a value.
    #[error("the state for the ConfigMap {name} cannot be written")]
    Form {
        /// The ConfigMap.
        name: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The API server refused, or is away.
    #[error("the ConfigMap {name}: {fault}")]
    Server {
        /// The ConfigMap.
        name: String,
        /// What happened.
        fault: Fault,
    },
}

/// The state of one job.
#[derive(Debug)]
pub(in crate::daemon) struct ClusterState {
    api: Api<ConfigMap>,
    name: String,
    owner: OwnerReference,
    writer: String,
    gate: Gate,
    /// The autoscaler is gone: nothing of it is written any more.
    gone: Arc<AtomicBool>,
    /// The version that was last seen; `None` when there is none.
    version: Option<String>,
    /// What it holds.
    written: String,
    /// What was to be written last is not known to be.
    is_behind: bool,
}

/// What is kept.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Kept<'a> {
    version: u32,
    ledger: &'a Ledger,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    ledger: Ledger,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl ClusterState {
    /// Reads the state of the autoscaler `owner`, and takes it over in the name of `writer`.
    ///
    /// # Errors
    /// When it cannot be read, understood or written.
    pub(super) async fn take_over(
        api: Api<ConfigMap>,
        owner: OwnerReference,
        writer: &str,
        gate: Gate,
        gone: Arc<AtomicBool>,
    ) -> Result<(Self, State), StateError> {
        let name = name_for(&owner.name);
        let server = |fault| StateError::Server { name: name.clone(), fault };
        let found = call(api.get_opt(&name)).await.map_err(server)?;
        // What belongs to a deleted autoscaler of the same name is about to go, and means another job.
        let is_ours = |map: &ConfigMap| map.owner_references().iter().any(|other| other.uid == owner.uid);
        let is_foreign = |map: &ConfigMap| {
            !map.owner_references().iter().any(|o| (&o.kind, &o.name) == (&owner.kind, &owner.name))
        };
        let (mut state, mut written, mut is_mine) = (State::default(), String::new(), false);
        if let Some(map) = found.as_ref().filter(|map| is_ours(map) || is_foreign(map)) {
            written = map.data.as_ref().and_then(|data| data.get(FIELD)).cloned().unwrap_or_default();
            // One that is empty was put there so that nobody needs the right to make it.
            if !written.is_empty() {
                state.ledger = decode(&name, &written)?;
            }
            is_mine = map.annotations().get(WRITER).is_some_and(|last| last == writer);
        }
        let version = found.as_ref().and_then(kube::ResourceExt::resource_version);
        let mut this = Self {
            api,
            name,
            owner,
            writer: writer.to_owned(),
            gate,
            gone,
            version,
            written,
            is_behind: false,
        };
        if !is_mine {
            let text = encode(&this.name, &state.ledger)?;
            this.write(text).await?;
        }
        Ok((this, state))
    }

    /// Writes the state, whatever was written before.
    ///
    /// # Errors
    /// When it cannot be.
    pub(in crate::daemon) async fn save(&mut self, state: &State) -> Result<(), StateError> {
        let text = encode(&self.name, &state.ledger)?;
        self.write(text).await
    }

    /// Writes the state, if it is another than what was written last.
    ///
    /// # Errors
    /// When it cannot be.
    pub(in crate::daemon) async fn stage(&mut self, state: &State) -> Result<(), StateError> {
        let text = encode(&self.name, &state.ledger)?;
        if text == self.written { Ok(()) } else { self.write(text).await }
    }

    /// Whether the last write did not succeed.
    pub(in crate::daemon) fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Whether another has written it since; not where that cannot be found out.
    pub(in crate::daemon) async fn is_overwritten(&self) -> bool {
        let found = call(self.api.get_opt(&self.name)).await;
        found.is_ok_and(|map| map.is_some_and(|map| map.resource_version() != self.version))
    }

    async fn write(&mut self, text: String) -> Result<(), StateError> {
        if self.gone.load(Ordering::Acquire) {
            return Ok(());
        }
        self.is_behind = true;
        if !self.gate.is_open() {
            return Err(StateError::NotLeading { name: self.name.clone() });
        }
        let parameters = PostParams { field_manager: Some("tidegate".to_owned()), ..PostParams::default() };
        let map = self.map(&text);
        let mut answer = match &self.version {
            Some(_) => call(self.api.replace(&self.name, &parameters, &map)).await,
            None => call(self.api.create(&parameters, &map)).await,
        };
        if self.version.is_some() && answer.as_ref().is_err_and(Fault::is_missing) {
            // Somebody deleted it; whoever makes it first has it.
            self.version = None;
            let map = self.map(&text);
            answer = call(self.api.create(&parameters, &map)).await;
        }
        let name = || self.name.clone();
        match answer {
            Ok(map) => {
                self.version = map.resource_version();
                self.written = text;
                self.is_behind = false;
                Ok(())
            }
            Err(fault) if fault.is_conflict() => Err(StateError::Fenced { name: name() }),
            Err(fault) => Err(StateError::Server { name: name(), fault }),
        }
    }

    fn map(&self, text: &str) -> ConfigMap {
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                resource_version: self.version.clone(),
                labels: Some([label("app.kubernetes.io/managed-by", "tidegate")].into()),
                annotations: Some([label(WRITER, &self.writer)].into()),
                owner_references: Some(vec![self.owner.clone()]),
                ..ObjectMeta::default()
            },
            data: Some([label(FIELD, text)].into()),
            ..ConfigMap::default()
        }
    }
}

impl StateError {
    /// Whether this process may not write at present.
    pub(in crate::daemon) fn is_not_leading(&self) -> bool {
        matches!(self, Self::NotLeading { .. })
    }

    /// Whether somebody else has written it since.
    pub(in crate::daemon) fn is_fenced(&self) -> bool {
        matches!(self, Self::Fenced { .. })
    }
}

/// The name of the ConfigMap of an autoscaler; of a name that leaves no room, as much as fits and a number that tells it from
/// others.
fn name_for(autoscaler: &str) -> String {
    let name = format!("tidegate-{autoscaler}");
    if name.len() <= LONGEST_NAME {
        return name;
    }
    // FNV-1a: names of resources are ASCII, and the number is only to differ.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let start = name[..LONGEST_NAME - 17].trim_end_matches(['-', '.']);
    format!("{start}-{hash:016x}")
}

/// The ledger as JSON; without its oldest rescales, where it would be too long.
pub(super) fn encode(name: &str, ledger: &Ledger) -> Result<String, StateError> {
    let text = |ledger: &Ledger| {
        serde_json::to_string(&Kept { version: VERSION, ledger })
            .map_err(|source| StateError::Form { name: name.to_owned(), source })
    };
    let whole = text(ledger)?;
    if whole.len() <= MOST_BYTES {
        return Ok(whole);
    }
    let mut over = whole.len() - MOST_BYTES;
    let mut shorter = ledger.clone();
    while over > 0
        && let Some(oldest) = shorter.rescales.pop_front()
    {
        let its = serde_json::to_string(&oldest)
            .map_err(|source| StateError::Form { name: name.to_owned(), source })?;
        // Its comma goes with it.
        over = over.saturating_sub(its.len() + 1);
    }
    text(&shorter)
}

pub(super) fn decode(name: &str, text: &str) -> Result<Ledger, StateError> {
    let wrong = |source| StateError::NotUnderstood { name: name.to_owned(), source };
    let Version { version } = serde_json::from_str(text).map_err(wrong)?;
    if version != VERSION {
        return Err(StateError::OtherVersion { name: name.to_owned(), found: version });
    }
    let Found { ledger } = serde_json::from_str(text).map_err(wrong)?;
    Ok(ledger)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{Parallelism, Rescale, RescaleEnd, Timestamp, VertexId};

    fn ledger(rescales: usize, vertices: u128) -> Ledger {
        let sizes: BTreeMap<_, _> =
            (0..vertices).map(|vertex| (VertexId::from_bits(vertex), Parallelism::clamped(7))).collect();
        let mut ledger = Ledger::default();
        for n in 0..rescales {
            ledger.add_rescale(Rescale {
                at: Timestamp::from_millis(n.try_into().expect("small")),
                ended: Timestamp::from_millis(5),
                end: RescaleEnd::Done,
                from: sizes.clone(),
                to: sizes.clone(),
                downtime: None,
                load: 0.1 + 0.2,
                brought: None,
                reached: Vec::new(),
            });
        }
        ledger
    }

    #[test]
    fn reads_back_what_it_writes() {
        let ledger = ledger(3, 2);
        let text = encode("m", &ledger).expect("written");
        assert_eq!(decode("m", &text).expect("read"), ledger);
    }

    #[test]
    fn what_is_too_long_loses_its_oldest_rescales() {
        let large = ledger(60, 900);
        let text = encode("m", &large).expect("written");
        assert!(text.len() <= MOST_BYTES);
        let kept = decode("m", &text).expect("read");
        let kept_on = kept.rescales.len();
        assert!((8..60).contains(&kept_on), "{kept_on}");
        let one = text.len() / kept_on;
        assert!(text.len() + one > MOST_BYTES, "{kept_on} of {one} bytes, and there is room for one more");
        assert_eq!(kept.rescales.back(), large.rescales.back());
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        for (text, message) in [
            ("{\"version\":2,\"ledger\":7}", "has version 2, and this Tidegate reads version 1"),
            ("{}", "does not hold a state of Tidegate"),
            ("", "does not hold a state of Tidegate"),
            ("{\"version\":1,\"ledger\":{}}", "does not hold a state of Tidegate"),
        ] {
            let error = decode("m", text).expect_err("it is not a state").to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn names_fit_and_differ() {
        assert_eq!(name_for("orders"), "tidegate-orders");
        let long = "a".repeat(253);
        let (one, other) = (name_for(&long), name_for(&format!("{}b", &long[1..])));
        assert!(one.len() <= LONGEST_NAME && one != other, "{one} {other}");
    }
}
