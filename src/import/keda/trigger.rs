//! One trigger of a ScaledObject as a rule.

use super::super::draft::Draft;
use super::super::fields::{Field, Fields};
use super::super::hpa;
use super::super::metrics::{MORE_RULES, above_zero, resource_name, rule};
use super::super::note::Made::ScalingPolicy as Policy;
use crate::config::ConfigError;
use crate::policy::{
    Backlog, Cron, ExternalTarget, Prometheus, Quantity, Query, ResourceName, ResourceTarget, Rule, Schedule,
    ScheduleWindow, Zone,
};

/// The lag per replica that KEDA aims at, unless told otherwise.
const LAG_THRESHOLD: i64 = 10;

/// A trigger as a rule, or as what could become one.
pub(super) fn translate(trigger: &Field<'_>, draft: &mut Draft<'_>) -> Result<(), ConfigError> {
    let fields = trigger.fields()?;
    let kind = fields.need("type", "the trigger's type")?;
    let name = kind.name()?;
    let metadata = fields.need("metadata", "what the trigger looks at")?.fields()?;
    let of = Trigger { this: trigger, fields: &fields, metadata: &metadata };
    let place = match name.as_str() {
        "cpu" | "memory" => of.resource(&name, draft)?,
        "prometheus" => of.prometheus(draft)?,
        "cron" => of.cron(draft)?,
        "kafka" | "apache-kafka" => of.kafka(draft)?,
        other => {
            let text = format!(
                "no rule looks at what the trigger {other:?} looks at. Where its figure is in Prometheus, a prometheus rule can; \
                 if it is what waits at the job's sources, a backlog rule."
            );
            draft.notes.no_equal(&kind, (Policy, MORE_RULES), text);
            return Ok(());
        }
    };
    of.rest(&place, draft);
    Ok(())
}

struct Trigger<'t, 'n> {
    this: &'t Field<'n>,
    fields: &'t Fields<'n>,
    metadata: &'t Fields<'n>,
}

impl Trigger<'_, '_> {
    /// CPU or memory of the pods.
    fn resource(&self, name: &str, draft: &mut Draft<'_>) -> Result<String, ConfigError> {
        let kind = match self.fields.get("metricType").or_else(|| self.metadata.get("type")) {
            Some(field) => field.name()?,
            None => {
                return Err(self
                    .this
                    .wrong(format!("a {name} trigger says metricType: Utilization or AverageValue")));
            }
        };
        let value = self.metadata.need("value", "what it is to be")?;
        let target = match kind.as_str() {
            "Utilization" => ResourceTarget::Utilization { average_utilization: value.whole(1, u32::MAX)? },
            "AverageValue" => ResourceTarget::AverageValue { average_value: above_zero(&value)? },
            other => {
                return Err(self
                    .this
                    .wrong(format!("expected metricType Utilization or AverageValue, not {other:?}")));
            }
        };
        let container = self.metadata.get("containerName").map(|field| field.name()).transpose()?;
        let name = resource_name(name).unwrap_or(ResourceName::Cpu);
        Ok(draft.rule(hpa::resource(name, container, target)))
    }

    /// A query.
    fn prometheus(&self, draft: &mut Draft<'_>) -> Result<String, ConfigError> {
        let query: Query = self.metadata.need("query", "the query")?.parsed()?;
        let threshold = above_zero(&self.metadata.need("threshold", "what it is to be")?)?;
        let target = self.target(threshold)?;
        let place = draft.rule(Rule::Prometheus(Prometheus { query, target, when: None, fallback: None }));
        if let Some(address) = self.metadata.get("serverAddress") {
            let text = format!(
                "{} has no place in a policy: a rule asks the Prometheus of the FlinkAutoscaler's spec.prometheus. It must \
                 be this one, or have the same series.",
                address.text()?
            );
            draft.notes.no_equal(&address, (Policy, &place), text);
        }
        let empty_is_nothing = self.metadata.get("ignoreNullValues").map(|field| field.flag()).transpose()?;
        if empty_is_nothing != Some(false) {
            let text = "KEDA counts an empty answer as 0 (ignoreNullValues), so a series that is gone scales the job down. Here it \
                        is no answer, and nothing shrinks. If it does mean 0, write `(QUERY) or vector(0)`.";
            draft.notes.no_equal(self.this, (Policy, &place), text);
        }
        Ok(place)
    }

    /// A window of time with a floor.
    fn cron(&self, draft: &mut Draft<'_>) -> Result<String, ConfigError> {
        let time_zone: Zone = self.metadata.need("timezone", "an IANA time zone")?.parsed()?;
        let cron: Cron = self.metadata.need("start", "when the window opens")?.parsed()?;
        let end: Cron = self.metadata.need("end", "when the window closes")?.parsed()?;
        let desired =
            self.metadata.need("desiredReplicas", "the replicas in the window")?.whole(0, u32::MAX)?;
        let window = ScheduleWindow {
            cron,
            lasts: None,
            end: Some(end),
            min_replicas: Some(desired.max(1)),
            max_replicas: None,
            min_parallelism: None,
            max_parallelism: None,
        };
        let place = draft.rule(Rule::Schedule(Schedule { time_zone, windows: vec![window], when: None }));
        let text =
            "desiredReplicas is a floor while the window is open, as the largest of all triggers counts.";
        draft.notes.choice(self.this, (Policy, &place), text);
        Ok(place)
    }

    /// The lag of a consumer group: the records that wait at the job's source.
    fn kafka(&self, draft: &mut Draft<'_>) -> Result<String, ConfigError> {
        let threshold = match self.metadata.get("lagThreshold") {
            Some(field) => above_zero(&field)?,
            None => Quantity::from_units(LAG_THRESHOLD),
        };
        let target = self.target(threshold)?;
        let text_of = |name: &str| self.metadata.get(name).map(|field| field.name()).transpose();
        let (group, topic) = (text_of("consumerGroup")?, text_of("topic")?);
        let backlog = Backlog::default();
        let within = backlog.target;
        let place = draft.rule(Rule::Backlog(backlog));
        let text = format!(
            "KEDA asks for one TaskManager for each {threshold} records of lag, whatever the job can do, and the lag of the \
             group's commits, which move at checkpoints only. Here what waits at the sources is to be worked off within {within}, at \
             the speed that was measured. For KEDA's own measure, put this in its place, with the name that your exporter gives \
             the lag:"
        );
        draft.notes.choice(self.this, (Policy, &place), text);
        let matchers = [("consumergroup", group), ("topic", topic)];
        let matchers: Vec<String> =
            matchers.into_iter().filter_map(|(label, value)| Some(format!("{label}={:?}", value?))).collect();
        let query = format!("sum(kafka_consumergroup_lag{{{}}})", matchers.join(", "));
        draft.notes.instead(rule(&query, target));
        Ok(place)
    }

    /// What a number is compared with: so much for each TaskManager, unless told otherwise.
    fn target(&self, threshold: Quantity) -> Result<ExternalTarget, ConfigError> {
        let Some(field) = self.fields.get("metricType") else {
            return Ok(ExternalTarget::AverageValue { average_value: threshold });
        };
        match field.name()?.as_str() {
            "AverageValue" => Ok(ExternalTarget::AverageValue { average_value: threshold }),
            "Value" => Ok(ExternalTarget::Value { value: threshold }),
            other => Err(field.wrong(format!("expected AverageValue or Value, not {other:?}"))),
        }
    }

    /// What is left of the trigger.
    fn rest(&self, place: &str, draft: &mut Draft<'_>) {
        // The name is for formulas, which are told of themselves.
        self.fields.get("name");
        for field in self.metadata.rest().into_iter().chain(self.fields.rest()) {
            let name = field.path.rsplit('.').next().unwrap_or_default();
            let text = match name {
                _ if name.starts_with("activation") => {
                    "a threshold for starting from nothing, which does not happen here."
                }
                "authenticationRef" | "authModes" | "customHeaders" | "unsafeSsl" | "queryParameters" => {
                    "how the trigger's server is asked has no place in a policy."
                }
                "bootstrapServers" | "version" | "sasl" | "tls" | "offsetResetPolicy" => {
                    "Kafka is not asked: Flink says what waits at its sources."
                }
                "allowIdleConsumers" | "limitToPartitionsWithLag" | "ensureEvenDistributionOfPartitions" => {
                    "the rule goes by what waits, not by partitions; `vertices` bounds a source's parallelism."
                }
                "useCachedMetrics" => "there is no cache: a query is asked once for all of its rules.",
                _ => "nothing stands for this field; it is left out.",
            };
            draft.notes.no_equal(&field, (Policy, place), text);
        }
    }
}
