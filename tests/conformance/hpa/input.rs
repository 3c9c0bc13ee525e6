//! How the HPA's vectors are written down, and the Tidegate types that they become.

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use tidegate::model::Timestamp;
use tidegate::policy::hpa::{
    Ask, Behavior, Burst, Change, Failure, Inactive, Metric, Phase, Pod, PodMetrics, RatePolicy, Ready,
    ReadyStatus, Recommendation, Rules, Sample, ScaleEvent, SelectPolicy, Source, Timing, Tolerance,
    Unmeasured,
};

use crate::frame::Fault;

/// When the vectors happen: long after [`ZERO`].
pub(super) const NOW: Timestamp = Timestamp::from_millis(2_000_000_000_000);

/// The zero time: when that happened of which a vector does not say when.
const ZERO: Timestamp = Timestamp::from_millis(0);

fn ago(seconds: i64) -> Timestamp {
    Timestamp::from_millis(NOW.as_millis().saturating_sub(seconds.saturating_mul(1_000)))
}

/// The inputs of all kinds; each kind has some of them.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Inputs {
    pub(super) current_replicas: Option<u32>,
    pub(super) desired_replicas: Option<u32>,
    pub(super) spec_replicas: Option<u32>,
    pub(super) status_replicas: Option<u32>,
    min_replicas: Option<u32>,
    max_replicas: Option<u32>,
    pub(super) ready_pods: Option<u32>,
    pub(super) value_milli: Option<i64>,
    pub(super) target_utilization_percent: Option<u32>,
    pub(super) target_average_milli: Option<i64>,
    pub(super) target_value_milli: Option<i64>,
    #[serde(deserialize_with = "pods")]
    pods: Vec<Pod>,
    pub(super) pod: Option<PodInput>,
    metrics: Vec<MetricInput>,
    metrics_for_unknown_pods: Vec<i64>,
    recommendations: Option<Vec<RecommendationInput>>,
    events: Vec<EventInput>,
    scale_up_events: Vec<EventInput>,
    scale_down_events: Vec<EventInput>,
    pub(super) new_change: Option<u32>,
}

fn pods<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Pod>, D::Error> {
    Ok(Vec::<PodInput>::deserialize(from)?.iter().map(PodInput::pod).collect())
}

/// A pod. What it does not say is as usual: running, ready, measured over a minute.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_excessive_bools, reason = "as the vectors write it; it becomes a `Pod` at once")]
pub(super) struct PodInput {
    usage: Option<i64>,
    request: Option<i64>,
    phase: Phase,
    deleted: bool,
    has_ready_condition: bool,
    has_start_time: bool,
    ready: bool,
    started_seconds_ago: Option<i64>,
    last_ready_transition_seconds_ago: Option<i64>,
    metric_timestamp_seconds_ago: Option<i64>,
    metric_window_seconds: u64,
}

impl Default for PodInput {
    fn default() -> Self {
        Self {
            usage: None,
            request: None,
            phase: Phase::Running,
            deleted: false,
            has_ready_condition: true,
            has_start_time: true,
            ready: true,
            started_seconds_ago: None,
            last_ready_transition_seconds_ago: None,
            metric_timestamp_seconds_ago: None,
            metric_window_seconds: 60,
        }
    }
}

impl PodInput {
    pub(super) fn pod(&self) -> Pod {
        let at = |seconds: Option<i64>| seconds.map_or(ZERO, ago);
        let status = if self.ready { ReadyStatus::True } else { ReadyStatus::False };
        let ready = Ready { status, since: at(self.last_ready_transition_seconds_ago) };
        let window = Duration::from_secs(self.metric_window_seconds);
        let sample = |value| Sample { value, at: at(self.metric_timestamp_seconds_ago), window };
        Pod {
            phase: self.phase,
            is_deleted: self.deleted,
            ready: self.has_ready_condition.then_some(ready),
            started: self.has_start_time.then(|| at(self.started_seconds_ago)),
            request: self.request,
            sample: self.usage.map(sample),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecommendationInput {
    replicas: u32,
    seconds_ago: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventInput {
    change: i64,
    seconds_ago: i64,
}

/// One metric of a whole reconciliation. Quantities are in thousandths.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetricInput {
    r#type: String,
    reason: Option<Inactive>,
    target_utilization: Option<u32>,
    target_value: Option<i64>,
    target_average_value: Option<i64>,
    value: Option<i64>,
    ready_pods: Option<u32>,
}

impl Inputs {
    pub(super) fn bounds(&self) -> Option<(u32, u32)> {
        // One replica is what an HPA without a minimum has for it.
        Some((self.min_replicas.unwrap_or(1), self.max_replicas?))
    }

    /// `None` where the vector says that nothing was asked for yet, not even nothing.
    pub(super) fn recommendations(&self) -> Option<Vec<Recommendation>> {
        let past = self.recommendations.as_ref()?.iter();
        Some(past.map(|one| Recommendation { at: ago(one.seconds_ago), size: one.replicas }).collect())
    }

    /// Past changes up and down, the latter as numbers below zero.
    pub(super) fn events(&self) -> (Vec<ScaleEvent>, Vec<ScaleEvent>) {
        let grown = self.scale_up_events.iter().map(|event| event.event(1));
        let shrunk = self.scale_down_events.iter().map(|event| event.event(-1));
        (grown.collect(), shrunk.collect())
    }

    pub(super) fn logged_events(&self) -> Vec<ScaleEvent> {
        self.events.iter().map(|event| event.event(1)).collect()
    }

    /// The pods as a resource metric has them: CPU time.
    pub(super) fn cpu_pods(&self, config: &Config) -> PodMetrics<'_> {
        PodMetrics { source: Source::Resource, cpu: Some(config.timing()), ..self.custom_pods() }
    }

    /// The pods as a metric has them of which a pod's start says nothing.
    pub(super) fn custom_pods(&self) -> PodMetrics<'_> {
        let strangers = &self.metrics_for_unknown_pods;
        PodMetrics { source: Source::Pods, pods: &self.pods, strangers, cpu: None, now: NOW }
    }

    pub(super) fn metrics(&self, config: &Config) -> Result<Vec<Metric<'_>>, Fault> {
        self.metrics.iter().map(|metric| self.metric(metric, config)).collect()
    }

    fn metric<'a>(&'a self, metric: &MetricInput, config: &Config) -> Result<Metric<'a>, Fault> {
        let lacks = |what: &str| Fault::Unreadable(format!("its metric {:?} has no {what}", metric.r#type));
        let percent = || metric.target_utilization.ok_or_else(|| lacks("targetUtilization"));
        let target = || metric.target_value.ok_or_else(|| lacks("targetValue"));
        let average = || metric.target_average_value.ok_or_else(|| lacks("targetAverageValue"));
        let value = || metric.value.ok_or_else(|| lacks("value"));
        let ready_pods = || metric.ready_pods.ok_or_else(|| lacks("readyPods"));
        let resource = |pods: PodMetrics<'a>| {
            let pods = PodMetrics { source: Source::Resource, ..pods };
            Ok(match metric.target_average_value {
                Some(target) => Ask::PodAverage { pods, target },
                None => Ask::Utilization { pods, percent: percent()? },
            })
        };
        let whole = || Ok(Ask::Value { value: value()?, target: target()?, ready_pods: ready_pods()? });
        let each = || Ok(Ask::PerReplica { value: value()?, target: average()? });
        let (source, ask) = match metric.r#type.as_str() {
            "cpu" => (Source::Resource, resource(self.cpu_pods(config))?),
            "memory" => (Source::Resource, resource(self.custom_pods())?),
            "pods-average" | "pods-average-value" => {
                (Source::Pods, Ask::PodAverage { pods: self.custom_pods(), target: average()? })
            }
            "object-value" => (Source::Object, whole()?),
            "object-average" | "object-average-value" => (Source::Object, each()?),
            "external-value" => (Source::External, whole()?),
            "external-average" | "external-average-value" => (Source::External, each()?),
            "invalid" => {
                let reason = metric.reason.ok_or_else(|| lacks("reason"))?;
                let cause = Unmeasured::Unavailable("as the vector has it".to_owned());
                return Ok(Metric::Failed(Failure { reason, cause }));
            }
            other => return Err(Fault::Unreadable(format!("a metric of type {other:?} is not known here"))),
        };
        Ok(Metric::Measured { source, ask })
    }
}

impl EventInput {
    fn event(&self, direction: i64) -> ScaleEvent {
        ScaleEvent { at: ago(self.seconds_ago), change: direction.saturating_mul(self.change) }
    }
}

/// The configuration of all kinds.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Config {
    tolerance: Tolerance,
    cpu_initialization_period_seconds: Option<u64>,
    initial_readiness_delay_seconds: Option<u64>,
    scale_up_limit_factor: Option<u32>,
    scale_up_limit_minimum: Option<u32>,
    downscale_stabilization_seconds: Option<u64>,
    scale_up: Option<RulesInput>,
    scale_down: Option<RulesInput>,
    behavior: Option<BehaviorInput>,
    pub(super) scale_up_window_seconds: Option<u64>,
    pub(super) scale_down_window_seconds: Option<u64>,
    pub(super) has_behavior: Option<bool>,
    pub(super) longest_policy_period_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BehaviorInput {
    scale_up: Option<RulesInput>,
    scale_down: Option<RulesInput>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RulesInput {
    stabilization_window_seconds: Option<u64>,
    select_policy: Option<String>,
    policies: Option<Vec<PolicyInput>>,
    tolerance: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PolicyInput {
    r#type: PolicyType,
    value: u32,
    period_seconds: u64,
}

#[derive(Deserialize)]
enum PolicyType {
    Pods,
    Percent,
}

impl Config {
    pub(super) fn timing(&self) -> Timing {
        let default = Timing::default();
        let seconds = |given: Option<u64>, default| given.map_or(default, Duration::from_secs);
        Timing {
            initialization: seconds(self.cpu_initialization_period_seconds, default.initialization),
            readiness_delay: seconds(self.initial_readiness_delay_seconds, default.readiness_delay),
        }
    }

    pub(super) fn burst(&self) -> Burst {
        let default = Burst::default();
        Burst {
            factor: self.scale_up_limit_factor.unwrap_or(default.factor),
            least: self.scale_up_limit_minimum.unwrap_or(default.least),
        }
    }

    /// The flag for HPAs that say nothing of their window for scaling down.
    pub(super) fn window(&self) -> Duration {
        self.downscale_stabilization_seconds.map_or(Rules::down().window, Duration::from_secs)
    }

    /// The rules that stand in the configuration itself.
    pub(super) fn rules(&self) -> Result<Behavior, Fault> {
        self.behavior_of(self.scale_up.as_ref(), self.scale_down.as_ref())
    }

    /// The HPA's `behavior`; `None` where it has none.
    pub(super) fn behavior(&self) -> Result<Option<Behavior>, Fault> {
        let behavior = self.behavior.as_ref();
        behavior.map(|both| self.behavior_of(both.scale_up.as_ref(), both.scale_down.as_ref())).transpose()
    }

    /// The tolerance of the controller, or of the HPA's `behavior`.
    pub(super) fn tolerance(&self) -> Result<Tolerance, Fault> {
        let behavior = self.behavior.as_ref();
        let of = |rules: Option<&RulesInput>| rules.and_then(|rules| rules.tolerance);
        let down = of(behavior.and_then(|both| both.scale_down.as_ref()));
        let up = of(behavior.and_then(|both| both.scale_up.as_ref()));
        self.tolerance.or(down, up).map_err(|error| Fault::Unreadable(error.to_string()))
    }

    fn behavior_of(&self, up: Option<&RulesInput>, down: Option<&RulesInput>) -> Result<Behavior, Fault> {
        let down_default = Rules { window: self.window(), ..Rules::down() };
        Ok(Behavior { up: rules(up, Rules::up())?, down: rules(down, down_default)? })
    }
}

/// Each field that is not given has its default.
fn rules(given: Option<&RulesInput>, default: Rules) -> Result<Rules, Fault> {
    let Some(given) = given else { return Ok(default) };
    let select = match given.select_policy.as_deref() {
        None => default.select,
        Some("Max") => SelectPolicy::Max,
        Some("Min") => SelectPolicy::Min,
        Some("Disabled") => SelectPolicy::Disabled,
        Some(other) => return Err(Fault::Unreadable(format!("selectPolicy {other:?} is not known here"))),
    };
    let policies = given.policies.as_ref().map(|policies| policies.iter().map(PolicyInput::policy).collect());
    Ok(Rules {
        window: given.stabilization_window_seconds.map_or(default.window, Duration::from_secs),
        select,
        policies: policies.unwrap_or(default.policies),
    })
}

impl PolicyInput {
    fn policy(&self) -> RatePolicy {
        let change = match self.r#type {
            PolicyType::Pods => Change::Count(self.value),
            PolicyType::Percent => Change::Percent(self.value),
        };
        RatePolicy { change, period: Duration::from_secs(self.period_seconds) }
    }
}
