//! CPU or memory of the workload's pods against what they request, exactly as the HPA computes it.

use super::hpa::{self, Ask, Metric, PodMetrics, Sample, Timing};
use super::replicas;
use super::said::{Asked, Context, MeasuredBy, Replicas, Silence};
use super::{Resource, ResourceName, ResourceTarget};
use crate::model::{Amount, Container, Pod};

mod cpu;

/// What the rule asks for.
pub(super) fn propose(rule: &Resource, context: &Context<'_>) -> Asked {
    let (pods, by) = pods(rule, context)?;
    let source =
        if rule.container.is_some() { hpa::Source::ContainerResource } else { hpa::Source::Resource };
    let cpu = (rule.name == ResourceName::Cpu).then(Timing::default);
    let pods = PodMetrics { source, pods: &pods, strangers: &[], cpu, now: context.now };
    let ask = match rule.target {
        ResourceTarget::Utilization { average_utilization: percent } => Ask::Utilization { pods, percent },
        ResourceTarget::AverageValue { average_value } => {
            Ask::PodAverage { pods, target: average_value.milli() }
        }
    };
    let (wants, said) = replicas::ask(&Metric::Measured { source, ask }, context)?;
    Ok((wants, said.map(|said| Replicas { measured_by: Some(by), ..said })))
}

/// The pods of the workload with what the metrics API says of them; with what Prometheus says where that says nothing.
fn pods(rule: &Resource, context: &Context<'_>) -> Result<(Vec<hpa::Pod>, MeasuredBy), Silence> {
    let around = &context.snapshot.around;
    let workload = around.workload.as_ref();
    if let Some(workload) = workload {
        context.check_fresh(workload.at)?;
    }
    let pods = workload.map(|workload| &workload.pods[..]);
    let is_measured = pods.is_some_and(|pods| pods.iter().any(|pod| pod.measured.is_some()));
    match (&around.cpu, pods) {
        (Some(cpu), pods) if !is_measured && rule.name == ResourceName::Cpu => {
            context.check_fresh(cpu.at)?;
            let told = cpu.told.as_ref().map_err(|detail| Silence::Failed { detail: detail.clone() })?;
            cpu::pods(told, pods, rule, cpu.at)
        }
        (_, Some(pods)) => Ok((pods.iter().map(|pod| of_pod(pod, rule)).collect(), MeasuredBy::MetricsApi)),
        (_, None) => Err(Silence::NotAsked),
    }
}

fn of_pod(pod: &Pod, rule: &Resource) -> hpa::Pod {
    let counts = |container: &&Container| rule.container.as_ref().is_none_or(|name| *name == container.name);
    let amount = |container: &Container| match rule.name {
        ResourceName::Cpu => container.cpu,
        ResourceName::Memory => container.memory,
    };
    let sum = |of: fn(Amount) -> Option<i64>| {
        let mut all = pod.containers.iter().filter(counts).map(|container| of(amount(container))).peekable();
        // Without any container there is nothing to sum up, and with one of them unknown the sum is.
        all.peek()?;
        all.try_fold(0_i64, |sum, one| Some(sum.saturating_add(one?)))
    };
    let value = sum(|amount| amount.used);
    hpa::Pod {
        phase: pod.phase,
        is_deleted: pod.is_deleted,
        ready: pod.ready,
        started: pod.started,
        request: sum(|amount| amount.request),
        sample: pod.measured.zip(value).map(|((at, window), value)| Sample { value, at, window }),
    }
}
