//! What a source becomes, while it is being put together.

use serde_json::{Value, json};

use super::Fill;
use super::fields::{Field, Fields};
use super::note::Made::{FlinkAutoscaler as Autoscaler, ScalingPolicy as Policy};
use super::note::{Note, Notes};
use crate::config::document::{
    ApiVersion, FlinkAutoscaler, FlinkAutoscalerKind, Metadata, ScalingPolicy, ScalingPolicyKind,
};
use crate::config::{ConfigError, dns_label, dns_subdomain};
use crate::policy::{
    Alignment, AutoscalerSpec, Budget, Limits, MemoryPressure, Mode, PolicyRef, PolicySpec, Rule, Span,
    Throughput, WorkloadRef,
};

/// How often an HPA's controller looks, in seconds (its `--horizontal-pod-autoscaler-sync-period`).
const HPA_SYNC: u32 = 15;
const DAY: u32 = 86_400;

/// The two documents of a source while they are put together, with what there is to say of them.
#[derive(Debug)]
pub(super) struct Draft<'n> {
    /// The source.
    pub(super) from: Field<'n>,
    /// What it is called: `HorizontalPodAutoscaler orders`.
    pub(super) called: String,
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) autoscaler: AutoscalerSpec,
    pub(super) policy: PolicySpec,
    pub(super) notes: Notes,
    /// How the source is stopped.
    pub(super) stop: String,
}

/// A source, as the two documents that do the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Translation {
    /// What was translated: `HorizontalPodAutoscaler orders`.
    pub called: String,
    /// The file it was in.
    pub file: String,
    /// The line there on which it begins.
    pub line: usize,
    /// Where the job is, and its bounds.
    pub autoscaler: FlinkAutoscaler,
    /// How the right size is found.
    pub policy: ScalingPolicy,
    /// What there is to say, in the order of the source.
    pub notes: Vec<Note>,
}

impl<'n> Draft<'n> {
    /// A draft from a Kubernetes resource, with its name and namespace.
    pub(super) fn resource(document: &Fields<'n>, kind: &str) -> Result<Self, ConfigError> {
        let metadata = document.need("metadata", "what it is called")?.fields()?;
        let name = metadata.need("name", "what it is called")?;
        let text = name.name()?;
        dns_subdomain(&text).map_err(|why| name.wrong(why))?;
        let mut draft = Self::new(document.this.clone(), kind, text);
        if let Some(namespace) = metadata.get("namespace") {
            let text = namespace.name()?;
            dns_label(&text).map_err(|why| namespace.wrong(why))?;
            draft.namespace = Some(text);
        }
        let of = draft.namespace.as_ref().map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
        draft.stop = format!("kubectl delete {} {}{of}", kind.to_lowercase(), draft.name);
        Ok(draft)
    }

    /// A draft of this name.
    pub(super) fn new(from: Field<'n>, kind: &str, name: String) -> Self {
        Self {
            called: format!("{kind} {name}"),
            from,
            name,
            namespace: None,
            autoscaler: AutoscalerSpec::default(),
            policy: PolicySpec::default(),
            notes: Notes::default(),
            stop: String::new(),
        }
    }

    /// Adds a rule; its place in the policy.
    pub(super) fn rule(&mut self, rule: Rule) -> String {
        self.policy.rules.push(rule);
        format!("spec.rules[{}]", self.policy.rules.len() - 1)
    }

    /// Says how the job is found: what `fill` says, or what can be told from the workload, or a mark that it is to be filled in.
    pub(super) fn endpoint(&mut self, fill: &Fill) {
        if fill.job.is_some() {
            self.autoscaler.flink.job.clone_from(&fill.job);
        }
        let place = (Autoscaler, "spec.flink.url");
        if let Some(url) = &fill.url {
            self.autoscaler.flink.url.clone_from(url);
            return;
        }
        let deployment =
            self.autoscaler.workload.as_ref().filter(|workload| workload.kind == "FlinkDeployment");
        if let Some(WorkloadRef { name, .. }) = deployment {
            let namespace =
                self.namespace.as_ref().map(|namespace| format!(".{namespace}")).unwrap_or_default();
            self.autoscaler.flink.url = format!("http://{name}-rest{namespace}:8081");
            let text = "the Service that the Flink operator makes for a FlinkDeployment, at Flink's default port; \
                        --flink URL writes another.";
            return self.notes.choice(&self.from, place, text);
        }
        self.autoscaler.flink.url = nowhere(&self.name, self.namespace.as_deref());
        let text = "the URL of Flink's REST endpoint is not in the source. With the manifests of Flink's own documentation it is \
                    http://flink-jobmanager:8081; --flink URL writes it.";
        self.notes.fill_in(&self.from, place, text);
    }

    /// The limits of a source that has none: as often as the HPA's controller looks.
    pub(super) fn without_limits(&mut self, who: &str) {
        self.policy.limits = Limits {
            cooldown: Span::default(),
            rescales: Budget { max: DAY / HPA_SYNC, per: Span::from_secs(u64::from(DAY)) },
            alignment: Alignment::Off,
            memory_pressure: MemoryPressure { gc_time: 1.0, heap: 1.0 },
            ..Limits::default()
        };
        let text = format!(
            "{who} has no such limits: with these it goes on as often as the HPA does, every {HPA_SYNC} s. But every rescale \
             restarts the job, so Tidegate's own are the better ones: leave `limits` out and they are `cooldown: 2m`, \
             `rescales: {{max: 12, per: 1d}}` and `alignment: balanced`."
        );
        self.notes.choice(&self.from, (Policy, "spec.limits"), text);
    }

    /// The two documents.
    pub(super) fn finish(mut self) -> Translation {
        if self.policy.rules.is_empty() {
            self.rule(Rule::Throughput(Throughput::default()));
            let text = "nothing of the source could be translated into a rule, and a policy has at least one: this is Tidegate's \
                        default, and the mode is Recommend so that nothing is done that was not done before.";
            self.notes.no_equal(&self.from, (Policy, "spec.rules[0]"), text);
            if self.autoscaler.mode == Mode::Auto {
                self.autoscaler.mode = Mode::Recommend;
            }
        }
        if self.autoscaler.mode == Mode::Auto {
            let text = format!(
                "Auto acts. First stop what was translated ({}), or the two undo each other's work; Recommend only says what it \
                 would do.",
                self.stop
            );
            self.notes.choice(&self.from, (Autoscaler, "spec.mode"), text);
        }
        let Self { from, called, name, namespace, autoscaler, policy, notes, stop: _ } = self;
        let metadata = Metadata { name: name.clone(), namespace, ..Metadata::default() };
        let spec = AutoscalerSpec { policy_ref: PolicyRef { name }, ..autoscaler };
        Translation {
            called,
            file: from.file().to_owned(),
            line: from.line,
            autoscaler: FlinkAutoscaler {
                api_version: ApiVersion::default(),
                kind: FlinkAutoscalerKind::default(),
                metadata: metadata.clone(),
                spec,
            },
            policy: ScalingPolicy {
                api_version: ApiVersion::default(),
                kind: ScalingPolicyKind::default(),
                metadata,
                spec: policy,
                tests: Vec::new(),
            },
            notes: notes.0,
        }
    }
}

impl Translation {
    /// Gives both documents another name.
    pub(super) fn rename(&mut self, name: &str) {
        let Metadata { name: before, namespace, .. } = &self.autoscaler.metadata;
        if self.autoscaler.spec.flink.url == nowhere(before, namespace.as_deref()) {
            self.autoscaler.spec.flink.url = nowhere(name, namespace.as_deref());
        }
        name.clone_into(&mut self.autoscaler.metadata.name);
        name.clone_into(&mut self.policy.metadata.name);
        name.clone_into(&mut self.autoscaler.spec.policy_ref.name);
    }

    /// The two documents as they are written: what a person would leave out, because it is the default and no source says
    /// anything of it, is left out.
    pub fn documents(&self) -> [Value; 2] {
        let mut autoscaler = json!(self.autoscaler);
        let default = json!(AutoscalerSpec::default());
        prune(&mut autoscaler["spec"], &default, &["mechanism", "parallelism", "replicas", "vertices"]);
        prune(&mut autoscaler["spec"]["flink"], &default["flink"], &["poll", "timeout"]);
        [autoscaler, json!(self.policy)]
    }
}

/// A URL that is to be filled in: below the top-level domain that never resolves (RFC 2606), so that no other job is scaled by
/// mistake, and of its own for each source, as two autoscalers may not share a job.
fn nowhere(name: &str, namespace: Option<&str>) -> String {
    let namespace = namespace.map(|namespace| format!(".{namespace}")).unwrap_or_default();
    format!("http://{name}{namespace}.fill-in.invalid:8081")
}

/// Takes those of `fields` away that are as in `default`.
fn prune(value: &mut Value, default: &Value, fields: &[&str]) {
    if let Value::Object(map) = value {
        map.retain(|name, value| !fields.contains(&name.as_str()) || *value != default[name]);
    }
}
