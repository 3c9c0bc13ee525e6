//! The result of a query against a target, as an HPA's external metric.

use super::hpa::{Ask, Metric, Source, total};
use super::replicas;
use super::said::{Asked, Context, Silence};
use super::{ExternalTarget, Prometheus};

/// Numbers beyond this would run over as thousandths; who asks for more has mistyped a unit.
const LARGEST: f64 = 9e15;

/// What the rule asks for.
pub(super) fn propose(rule: &Prometheus, context: &Context<'_>) -> Asked {
    let answer = context.snapshot.around.queries.get(rule.query.as_str()).ok_or(Silence::NotAsked)?;
    context.check_fresh(answer.at)?;
    let values = answer.values.as_ref().map_err(|detail| Silence::Failed { detail: detail.clone() })?;
    let value = total(&thousandths(values)?);
    let ask = match rule.target {
        ExternalTarget::Value { value: target } => {
            Ask::Value { value, target: target.milli(), ready_pods: replicas::ready(context)? }
        }
        ExternalTarget::AverageValue { average_value } => {
            Ask::PerReplica { value, target: average_value.milli() }
        }
    };
    replicas::ask(&Metric::Measured { source: Source::External, ask }, context)
}

/// The series' values as the HPA counts: a query that gives nothing, or what is no number, or less than nothing, is a broken
/// one, and not a small load.
fn thousandths(values: &[f64]) -> Result<Vec<i64>, Silence> {
    if values.is_empty() {
        return Err(Silence::NoValue { detail: "the query gave no series".to_owned() });
    }
    let milli = |value: &f64| {
        if !(0.0..=LARGEST).contains(value) {
            return Err(Silence::NoValue { detail: format!("the query gave {value}, which is no amount") });
        }
        #[expect(clippy::cast_possible_truncation, reason = "within the range, as checked")]
        Ok((value * 1e3).ceil() as i64)
    };
    values.iter().map(milli).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::Job;
    use super::super::{Policy, Quantity, ReplicaBounds, Why};
    use super::*;
    use crate::model::Answer;

    /// What a job of one step of eight subtasks on as many TaskManagers is to be by this answer.
    fn asked(values: Result<Vec<f64>, String>, target: ExternalTarget) -> Result<(u32, Why), Silence> {
        let mut job = Job::chain(&[(1, 0.0), (8, 0.004)]).filling(8).arriving(500.0);
        job.snapshot.around.queries.insert("lag".to_owned(), Answer { at: job.now, values });
        let policy = Policy::default();
        let rule = Prometheus { query: "lag".parse().expect("a query"), target, when: None, fallback: None };
        propose(&rule, &job.context(&policy)).map(|(wants, _)| (wants[1].wanted.get(), wants[1].why))
    }

    fn quantity(text: &str) -> Quantity {
        text.parse().expect("a quantity")
    }

    #[test]
    fn sizes_as_an_external_metric_does() {
        let value = |text| ExternalTarget::Value { value: quantity(text) };
        let average = |text| ExternalTarget::AverageValue { average_value: quantity(text) };
        for (values, target, expected) in [
            (&[2000.0][..], value("1k"), (16, Why::MetricAboveTarget)),
            (&[500.0, 1500.0], value("1k"), (16, Why::MetricAboveTarget)),
            (&[1050.0], value("1k"), (8, Why::WithinBand)),
            (&[500.0], value("1k"), (4, Why::MetricBelowTarget)),
            (&[0.0], value("1k"), (1, Why::MetricBelowTarget)),
            (&[12_000.0], average("1k"), (12, Why::MetricAboveTarget)),
            (&[8_100.0], average("1k"), (8, Why::WithinBand)),
            (&[0.012], average("1m"), (12, Why::MetricAboveTarget)),
        ] {
            assert_eq!(asked(Ok(values.to_vec()), target), Ok(expected), "{values:?} {target:?}");
        }
    }

    #[test]
    fn asks_for_no_more_and_no_fewer_taskmanagers_than_the_job_may_have() {
        for (value, bounds, expected) in [
            (12_000.0, (None, Some(10)), 10),
            (2_000.0, (Some(4), None), 4),
            (12_000.0, (Some(3), Some(16)), 12),
        ] {
            let mut job = Job::chain(&[(1, 0.0), (8, 0.004)]).filling(8).arriving(500.0);
            let answer = Answer { at: job.now, values: Ok(vec![value]) };
            job.snapshot.around.queries.insert("lag".to_owned(), answer);
            let policy =
                Policy { replicas: ReplicaBounds { min: bounds.0, max: bounds.1 }, ..Policy::default() };
            let target = ExternalTarget::AverageValue { average_value: quantity("1k") };
            let rule =
                Prometheus { query: "lag".parse().expect("a query"), target, when: None, fallback: None };
            let (wants, _) = propose(&rule, &job.context(&policy)).expect("there is an answer");
            assert_eq!(wants[1].wanted.get(), expected, "{value} within {bounds:?}");
        }
    }

    #[test]
    fn what_is_no_amount_is_silent() {
        for values in
            [Ok(vec![]), Ok(vec![f64::NAN]), Ok(vec![-1.0]), Ok(vec![1.0, f64::INFINITY]), Err(String::new())]
        {
            let target = ExternalTarget::Value { value: quantity("1") };
            assert!(asked(values.clone(), target).is_err(), "{values:?}");
        }
    }
}
