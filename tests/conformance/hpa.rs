//! The HPA's own cases: each kind's inputs brought to Tidegate's types, and what comes of them brought back.

mod input;

use std::time::Duration;

use serde_json::{Map, Value, json};
use tidegate::policy::hpa::{
    Ask, Behavior, Change, EventLog, History, Metric, Observed, RatePolicy, Reading, Recommendation, Rules,
    Settings, Source, Step, clamp, classify, highest_recent, limit, remember, step, within_windows,
};

use crate::frame::{Fault, Suite, Vector};
use input::{Config, Inputs, NOW};

pub(crate) const SUITE: Suite = Suite { name: "hpa", judge, differences: &[] };

/// What was computed, or the error that came instead.
type Computed = Result<Map<String, Value>, String>;

fn judge(vector: &Vector) -> Result<(), Fault> {
    let inputs: Inputs = vector.part("inputs")?;
    let config = vector.part::<Option<Config>>("config")?.unwrap_or_default();
    let computed = match vector.kind.as_str() {
        "resource-utilization" => metric(&inputs, &config, Source::Resource, |inputs, config| {
            Some(Ask::Utilization {
                pods: inputs.cpu_pods(config),
                percent: inputs.target_utilization_percent?,
            })
        }),
        "pods-average-value" => metric(&inputs, &config, Source::Pods, |inputs, _| {
            Some(Ask::PodAverage { pods: inputs.custom_pods(), target: inputs.target_average_milli? })
        }),
        "object-value" => metric(&inputs, &config, Source::Object, whole_value),
        "external-value" => metric(&inputs, &config, Source::External, whole_value),
        "object-average-value" => metric(&inputs, &config, Source::Object, per_replica),
        "external-average-value" => metric(&inputs, &config, Source::External, per_replica),
        "clamp-no-behavior" => clamped(&inputs, &config).map(Ok),
        "stabilize-no-behavior" => stabilized(&inputs, &config).map(Ok),
        "rate-limit-with-behavior" => rate_limited(&inputs, &config.rules()?).map(Ok),
        "stabilize-with-behavior" => stabilized_by_windows(&inputs, &config).map(Ok),
        "scale-event-log" => logged(&inputs, &config).map(Ok),
        "pod-grouping-cpu" => grouped(&inputs, &config).map(Ok),
        "end-to-end" => whole_step(&inputs, &config)?.map(Ok),
        _ => return Err(vector.unknown_kind()),
    };
    let computed =
        computed.ok_or_else(|| Fault::Unreadable("an input of its kind is not there".to_owned()))?;
    compare(vector, computed)
}

/// Compares what was computed; of an error, a part of its text is expected.
fn compare(vector: &Vector, computed: Computed) -> Result<(), Fault> {
    let expected: Map<String, Value> = vector.part("expected")?;
    let part = expected.get("errorContains").and_then(Value::as_str);
    match (computed, part) {
        (Ok(computed), None) => vector.agrees(&computed),
        (Err(error), Some(part)) if error.contains(part) => Ok(()),
        (Err(error), _) => Err(Fault::Differs(format!("the error {error:?} comes of it"))),
        (Ok(_), Some(part)) => Err(Fault::Differs(format!("no error with {part:?} comes of it"))),
    }
}

fn fields<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// One metric of whatever type. `None` where the vector lacks an input.
fn metric<'a>(
    inputs: &'a Inputs,
    config: &Config,
    source: Source,
    ask: impl Fn(&'a Inputs, &Config) -> Option<Ask<'a>>,
) -> Option<Computed> {
    let metric = Metric::Measured { source, ask: ask(inputs, config)? };
    let current = inputs.current_replicas.or(inputs.status_replicas)?;
    let observed = inputs.status_replicas.or(inputs.current_replicas)?;
    let tolerance = config.tolerance().ok()?;
    Some(match metric.propose(current, observed, tolerance) {
        Err(failure) => Err(failure.to_string()),
        Ok(proposal) => {
            let mut computed = fields([("replicas", json!(proposal.replicas))]);
            computed.extend(match proposal.reading {
                Reading::Utilization { percent, average } => {
                    fields([("utilizationPercent", json!(percent)), ("rawAverageMilli", json!(average))])
                }
                Reading::Average(usage) => {
                    fields([("usageMilli", json!(usage)), ("averageMilli", json!(usage))])
                }
                Reading::Value(usage) => fields([("usageMilli", json!(usage)), ("valueMilli", json!(usage))]),
            });
            Ok(computed)
        }
    })
}

fn whole_value<'a>(inputs: &'a Inputs, _: &Config) -> Option<Ask<'a>> {
    let (value, target) = (inputs.value_milli?, inputs.target_value_milli?);
    Some(Ask::Value { value, target, ready_pods: inputs.ready_pods? })
}

fn per_replica<'a>(inputs: &'a Inputs, _: &Config) -> Option<Ask<'a>> {
    Some(Ask::PerReplica { value: inputs.value_milli?, target: inputs.target_average_milli? })
}

fn clamped(inputs: &Inputs, config: &Config) -> Option<Map<String, Value>> {
    let (current, desired) = (inputs.current_replicas?, inputs.desired_replicas?);
    let (size, reason) = clamp(current, desired, inputs.bounds()?, config.burst());
    Some(fields([("replicas", json!(size)), ("reason", json!(reason.as_str()))]))
}

fn stabilized(inputs: &Inputs, config: &Config) -> Option<Map<String, Value>> {
    let mut past = inputs.recommendations()?;
    let desired = inputs.desired_replicas?;
    let size = highest_recent(&past, desired, config.window(), NOW);
    remember(&mut past, desired, config.window(), NOW);
    Some(fields([("replicas", json!(size)), ("logLength", json!(past.len())), ("log", sizes(&past))]))
}

fn stabilized_by_windows(inputs: &Inputs, config: &Config) -> Option<Map<String, Value>> {
    let mut past = inputs.recommendations()?;
    let (current, desired) = (inputs.current_replicas?, inputs.desired_replicas?);
    let up = Duration::from_secs(config.scale_up_window_seconds?);
    let down = Duration::from_secs(config.scale_down_window_seconds?);
    let size = within_windows(&past, current, desired, up, down, NOW);
    remember(&mut past, desired, up.max(down), NOW);
    Some(fields([("replicas", json!(size)), ("logLength", json!(past.len())), ("log", sizes(&past))]))
}

fn sizes(past: &[Recommendation]) -> Value {
    past.iter().map(|one| json!(one.size)).collect()
}

fn rate_limited(inputs: &Inputs, behavior: &Behavior) -> Option<Map<String, Value>> {
    let (current, desired) = (inputs.current_replicas?, inputs.desired_replicas?);
    let (grown, shrunk) = inputs.events();
    let events: Vec<_> = grown.into_iter().chain(shrunk).collect();
    let (size, reason) = limit(current, desired, inputs.bounds()?, behavior, &events, NOW);
    Some(fields([("replicas", json!(size)), ("reason", json!(reason.as_str()))]))
}

fn logged(inputs: &Inputs, config: &Config) -> Option<Map<String, Value>> {
    let change = inputs.new_change?;
    let period = Duration::from_secs(config.longest_policy_period_seconds.unwrap_or(0));
    let policies = vec![RatePolicy { change: Change::Count(1), period }];
    let behavior = Behavior {
        up: Rules { policies: policies.clone(), ..Rules::up() },
        down: Rules { policies, ..Rules::down() },
    };
    let events = inputs.logged_events();
    let mut history = History { grown: EventLog::new(events), ..History::default() };
    let before = history.grown.changed_within(Duration::from_mins(1), NOW);
    history.rescaled(config.has_behavior?.then_some(&behavior), 0, change, NOW);
    let entries = history.grown.entries().iter();
    let log: Value = entries.map(|logged| json!([logged.event.change, logged.is_outdated])).collect();
    Some(fields([("changeInLast60s", json!(before)), ("log", log)]))
}

fn grouped(inputs: &Inputs, config: &Config) -> Option<Map<String, Value>> {
    let group = classify(&inputs.pod.as_ref()?.pod(), Some(config.timing()), NOW);
    Some(fields([("group", json!(group))]))
}

fn whole_step(inputs: &Inputs, config: &Config) -> Result<Option<Map<String, Value>>, Fault> {
    let metrics = inputs.metrics(config)?;
    let Some((min, max)) = inputs.bounds() else { return Ok(None) };
    let (Some(current), Some(existing)) = (inputs.spec_replicas, inputs.status_replicas) else {
        return Ok(None);
    };
    let (grown, shrunk) = inputs.events();
    let history = History {
        recommendations: inputs.recommendations(),
        grown: EventLog::new(grown),
        shrunk: EventLog::new(shrunk),
    };
    let settings = Settings {
        min,
        max,
        behavior: config.behavior()?,
        tolerance: config.tolerance()?,
        window: config.window(),
        burst: config.burst(),
    };
    let observed = Observed { current, existing, metrics: &metrics };
    let step = step(&settings, &observed, &history, NOW);
    let Step { size, able, inactive, limited, .. } = &step;
    let is = |is: bool| json!(if is { "True" } else { "False" });
    Ok(Some(fields([
        ("replicas", json!(size)),
        ("reason", json!(step.reason())),
        ("ableToScale", is(true)),
        ("ableToScaleReason", json!(able)),
        ("scalingActive", is(inactive.is_none())),
        ("scalingActiveReason", json!(inactive.map_or("ValidMetricFound", |reason| reason.as_str()))),
        ("scalingLimited", is(limited.is_some_and(|limited| limited.as_str() != "DesiredWithinRange"))),
    ])))
}
