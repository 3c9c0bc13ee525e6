//! The operator's `job.autoscaler.*` options as a rule, and what limits it.
//!
//! The rule is `flinkAutoscaler` unless another is asked for: it takes the options as they are and computes what the operator
//! would. Who moves changes the program then, and not in the same moment the sizes; what differs afterwards can be told
//! from the journal. What the options come to as Tidegate's own throughput rule stands beside it in a comment, for the
//! second step, and is written in its place for who asks.

mod throughput;
mod without_equal;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::draft::Draft;
use super::fields::Field;
use super::note::Made::{FlinkAutoscaler as Autoscaler, ScalingPolicy as Policy};
use super::{AutoscalerRule, Fill};
use crate::config::ConfigError;
use crate::policy::flink_autoscaler::options::{Bytes, KEYS, OLD_PREFIX, OptionError, PREFIX};
use crate::policy::flink_autoscaler::{Options, Settings as Texts};
use crate::policy::{
    Alignment, Budget, FlinkAutoscaler, Limits, MemoryPressure, Mode, Rule, ScalingRules, Span, VertexSpec,
};
use without_equal::Behind;

/// A setting of a Flink configuration.
#[derive(Clone, Debug)]
pub(super) struct Setting<'n> {
    /// Where it is.
    pub(super) field: Field<'n>,
    /// Its value, as a flat configuration has it.
    pub(super) text: String,
}

/// The settings of a Flink configuration by their keys.
pub(super) type Settings<'n> = BTreeMap<String, Setting<'n>>;

/// What one TaskManager has, for quotas.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TaskManager {
    pub(super) cpu: Option<f64>,
    pub(super) memory: Option<Bytes>,
}

/// The longest window of a `behavior`, and a day, in seconds.
const LONGEST_WINDOW: u32 = 3_600;
const DAY: u64 = 86_400;

/// The place of the rule.
const RULE: &str = "spec.rules[0]";

/// What the rule `flinkAutoscaler` leaves to the rest of the documents, by what the names begin with.
const LEFT_TO_OTHERS: [&str; 12] = [
    "enabled",
    "scaling.enabled",
    "stabilization.interval",
    "metrics.window",
    "scale-down.interval",
    "scale-up.grace-period",
    "quota.",
    "memory.",
    "flink.rest-client.timeout",
    "scaling.event.interval",
    "metrics.custom-evaluator",
    "scaling.custom-executor",
];

/// Writes down what the options mean.
pub(super) fn translate<'n>(
    settings: &Settings<'n>,
    taskmanager: TaskManager,
    fill: &Fill,
    draft: &mut Draft<'n>,
) -> Result<(), ConfigError> {
    let mut own = settings.clone();
    own.retain(|key, _| is_option(key));
    let options = read(&mut own, draft)?;
    let of = Translator { options: &options, settings: &own };
    of.mode(draft);
    of.excluded(draft);
    of.quotas(taskmanager, draft);
    of.limits(draft);
    match fill.rule {
        AutoscalerRule::FlinkAutoscaler => of.exact(draft)?,
        AutoscalerRule::Throughput => of.throughput(draft)?,
    }
    of.without_equal(fill.rule, draft);
    Ok(())
}

/// Whether a key of a Flink configuration is one of the autoscaler's.
pub(super) fn is_option(key: &str) -> bool {
    after_prefix(key).is_some()
}

fn after_prefix(key: &str) -> Option<&str> {
    key.strip_prefix(PREFIX).or_else(|| key.strip_prefix(OLD_PREFIX))
}

/// The options; those that the operator does not know are told of, and left out.
fn read(settings: &mut Settings<'_>, draft: &mut Draft<'_>) -> Result<Options, ConfigError> {
    let wrong = |settings: &Settings<'_>, key: &str, error: &OptionError| {
        let name = after_prefix(key).unwrap_or(key);
        let at =
            settings.get(key).or_else(|| given(settings, name)).map_or(&draft.from, |setting| &setting.field);
        at.wrong(error.to_string())
    };
    let mut unknown = Vec::new();
    let options = loop {
        let texts = settings.iter().map(|(key, setting)| (key.clone(), setting.text.clone())).collect();
        match Options::from_map(&texts) {
            Ok(options) => break options,
            Err(errors) => {
                let before = settings.len();
                for error in errors {
                    match &error {
                        OptionError::Unknown { key, hint } => {
                            unknown.extend(settings.remove(key).map(|setting| (setting, hint.to_string())));
                        }
                        OptionError::Value { key, .. } => return Err(wrong(settings, key, &error)),
                        OptionError::OutOfRange { .. } | OptionError::Period { .. } => {}
                    }
                }
                if settings.len() == before {
                    return Err(draft.from.wrong("its options cannot be read"));
                }
            }
        }
    };
    // The operator looks at its ranges only when it is enabled.
    match (Options { enabled: true, ..options.clone() }).validate().first() {
        Some(error @ OptionError::OutOfRange { key, .. }) => return Err(wrong(settings, key, error)),
        Some(error) => return Err(wrong(settings, "job.autoscaler.excluded.periods", error)),
        None => {}
    }
    for (Setting { field, .. }, hint) in unknown {
        let near = if hint.starts_with("did you mean") { format!(" ({hint})") } else { String::new() };
        let text = format!("the operator (1.16) has no such option{near}; it is left out.");
        draft.notes.no_equal(&field, (Policy, "spec"), text);
    }
    Ok(options)
}

/// The setting of an option, by its name of today without the prefix, or by one of old.
fn given<'s, 'n>(settings: &'s Settings<'n>, name: &str) -> Option<&'s Setting<'n>> {
    let key = KEYS.iter().find(|key| key.name == name || key.old.contains(&name))?;
    std::iter::once(key.name).chain(key.old.iter().copied()).find_map(|name| {
        [PREFIX, OLD_PREFIX].iter().find_map(|prefix| settings.get(&format!("{prefix}{name}")))
    })
}

struct Translator<'t, 'n> {
    options: &'t Options,
    settings: &'t Settings<'n>,
}

impl<'t, 'n> Translator<'t, 'n> {
    fn given(&self, name: &str) -> Option<&'t Field<'n>> {
        given(self.settings, name).map(|setting| &setting.field)
    }

    /// The option's field, or the whole source when it is not given.
    fn at(&self, name: &str, draft: &Draft<'n>) -> Field<'n> {
        self.given(name).unwrap_or(&draft.from).clone()
    }

    fn mode(&self, draft: &mut Draft<'n>) {
        let place = (Autoscaler, "spec.mode");
        draft.autoscaler.mode = match (self.given("enabled"), self.options.enabled) {
            (Some(field), false) => {
                draft.notes.choice(field, place, "the operator's autoscaler is switched off for this job.");
                Mode::Paused
            }
            (None, _) => {
                let text = "job.autoscaler.enabled is not given here: it is false, unless the operator's own configuration says \
                            otherwise. Recommend only says what it would do.";
                draft.notes.choice(&draft.from, place, text);
                Mode::Recommend
            }
            (Some(_), true) if !self.options.scaling_enabled => {
                let field = self.at("scaling.enabled", draft);
                draft.notes.choice(
                    &field,
                    place,
                    "scaling.enabled is false: the operator only says what it would do.",
                );
                Mode::Recommend
            }
            (Some(_), true) => {
                "set job.autoscaler.enabled to false".clone_into(&mut draft.stop);
                Mode::Auto
            }
        };
        if self.given("flink.rest-client.timeout").is_some() {
            draft.autoscaler.flink.timeout = span(self.options.rest_timeout.max(Duration::from_millis(100)));
        }
    }

    /// Vertices that are left alone, whatever a rule or an alignment would make of them.
    fn excluded(&self, draft: &mut Draft<'n>) {
        let spec = |id: &String| VertexSpec { exclude: true, ..VertexSpec::named(id.clone()) };
        draft.autoscaler.vertices = self.options.excluded_vertices.iter().map(spec).collect();
    }

    /// Quotas of all TaskManagers together, as so many TaskManagers.
    fn quotas(&self, taskmanager: TaskManager, draft: &mut Draft<'n>) {
        let place = (Autoscaler, "spec.replicas");
        let memory = self.options.memory_quota.map(|quota| quota.0 as f64);
        let one = taskmanager.memory.map(|memory| memory.0 as f64);
        for (name, quota, one) in
            [("quota.cpu", self.options.cpu_quota, taskmanager.cpu), ("quota.memory", memory, one)]
        {
            let (Some(field), Some(quota)) = (self.given(name), quota) else { continue };
            let Some(most) = one.and_then(|one| most(quota, one)) else {
                let text = "how many TaskManagers that is cannot be told, as what one has is not given here: write it as \
                            `replicas: {max: N}`.";
                draft.notes.fill_in(field, (Autoscaler, "spec"), text);
                continue;
            };
            let replicas = &mut draft.autoscaler.replicas;
            replicas.max = Some(replicas.max.map_or(most, |max| max.min(most)));
            let text = format!("so many TaskManagers fit into {name}, by what one of them has.");
            draft.notes.choice(field, place, text);
        }
    }

    /// The operator's own rule, with the options that it looks at.
    fn exact(&self, draft: &mut Draft<'n>) -> Result<(), ConfigError> {
        let is_left = |key: &str| {
            after_prefix(key).is_none_or(|name| LEFT_TO_OTHERS.iter().any(|left| name.starts_with(left)))
        };
        let taken = self.settings.iter().filter(|(key, _)| !is_left(key));
        let texts = taken.map(|(key, setting)| (key.clone(), setting.text.clone())).collect();
        let options = Texts::new(texts).map_err(|errors| draft.from.wrong(errors.to_string()))?;
        draft.rule(Rule::FlinkAutoscaler(Box::new(FlinkAutoscaler { options, when: None })));
        let text = "computes what the operator would, from Tidegate's own signals; options that are not given have the operator's \
                    defaults (1.16). What they come to as Tidegate's own rule, which can take the place of this one (--rule \
                    throughput writes it, with the limits that go with it):";
        draft.notes.choice(&draft.from, (Policy, RULE), text);
        let (own, _) = self.as_throughput(&draft.from);
        draft.notes.instead(json!(Rule::Throughput(own)));
        if let Some(field) = self.given("excluded.periods") {
            let text =
                "these periods are read in UTC; the operator reads them in the time zone of its own process.";
            draft.notes.choice(field, (Policy, RULE), text);
        }
        // The rule has its own factors, and its own alignment.
        draft.policy.behavior.scale_down = self.waiting(draft);
        draft.policy.behavior.scale_up =
            ScalingRules { stabilization_window_seconds: Some(0), ..ScalingRules::default() };
        draft.policy.limits.alignment = Alignment::Off;
        Ok(())
    }

    /// The wait before a scale-down.
    fn waiting(&self, draft: &mut Draft<'n>) -> ScalingRules {
        let interval = self.options.scale_down_interval;
        let place = (Policy, "spec.behavior.scaleDown");
        if interval > Duration::from_secs(u64::from(LONGEST_WINDOW)) {
            let text = format!("a window is at most {LONGEST_WINDOW} s long, and not {}.", span(interval));
            draft.notes.no_equal(&self.at("scale-down.interval", draft), place, text);
        } else if self.given("scale-down.interval").is_none() {
            draft.notes.choice(&draft.from, place, "scale-down.interval is not given: it is 1 h.");
        }
        let window = u32::try_from(interval.as_secs()).unwrap_or(u32::MAX).min(LONGEST_WINDOW);
        ScalingRules { stabilization_window_seconds: Some(window), ..ScalingRules::default() }
    }

    /// What passes between two changes: the operator waits until the job is stable, and then for a whole window of metrics.
    fn apart(&self) -> Duration {
        self.options.stabilization_interval.saturating_add(self.options.metrics_window)
    }

    fn limits(&self, draft: &mut Draft<'n>) {
        let cooldown = span(self.apart());
        let often = DAY.div_ceil(cooldown.get().as_secs().max(15)).max(1);
        let rescales = Budget { max: u32::try_from(often).unwrap_or(u32::MAX), per: Span::from_secs(DAY) };
        let memory_pressure = MemoryPressure {
            gc_time: self.options.gc_pressure_threshold.clamp(0.001, 1.0),
            heap: self.options.heap_usage_threshold.clamp(0.01, 1.0),
        };
        draft.policy.limits = Limits { cooldown, rescales, memory_pressure, ..Limits::default() };
        let text = format!(
            "the operator decides when stabilization.interval ({}) and a whole metrics.window ({}) have passed since the job \
             started, and as often as that allows. Tidegate needs no such window: leave cooldown and rescales out, and the next \
             rescale may come after 2m, twelve times a day.",
            span(self.options.stabilization_interval),
            span(self.options.metrics_window)
        );
        let given = self.given("stabilization.interval").or_else(|| self.given("metrics.window"));
        let at = given.unwrap_or(&draft.from).clone();
        draft.notes.choice(&at, (Policy, "spec.limits"), text);
    }

    /// The options that are given and have no equal.
    fn without_equal(&self, rule: AutoscalerRule, draft: &mut Draft<'n>) {
        for (key, Setting { field, .. }) in self.settings {
            let Some(Behind { at, text }) = after_prefix(key).and_then(|name| without_equal::of(name, rule))
            else {
                continue;
            };
            draft.notes.no_equal(field, (Policy, at), text);
        }
    }
}

/// A length of time as policies have it: no longer than a hundred years.
fn span(length: Duration) -> Span {
    Span::from(length.min(Duration::from_hours(24 * 365 * 100)))
}

/// As many TaskManagers as a quota has room for; at least one, and `None` where that is no number.
fn most(quota: f64, one: f64) -> Option<u32> {
    let most = (quota / one).floor();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the range of a u32")]
    most.is_finite().then(|| most.clamp(1.0, f64::from(u32::MAX)) as u32)
}
