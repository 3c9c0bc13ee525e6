//! Ready-made queries for the CPU of a job's TaskManagers, so that a `resource` rule needs neither PromQL nor metrics-server.
//!
//! What the rule makes of the answers is the policy's business; here is only what is asked, and what need not be: the metrics API
//! of Kubernetes comes first, and of several sources those that have nothing are asked seldom while another has.

use std::time::Duration;

use tokio::time::Instant;

use super::super::join::join_all;
use super::answer::Series;
use super::queries::{Asking, Whose};
use crate::model::{Amount, ContainerCpu, CpuTold, Timestamp, Workload};
use crate::policy::{Policy, Query, QueryFacts, ResourceName, Rule};

/// A source that had nothing while another had is asked again after this long: somebody may have installed it.
const AGAIN_AFTER: Duration = Duration::from_mins(1);

/// More cores than any machine has; as thousandths they are still exact.
const MOST_CORES: f64 = 1e6;

/// The queries. Each takes the last two scrapes (`irate`), as metrics-server does, of whatever interval up to half of 5 minutes;
/// what is gone from the last scrape does not count, however much of it the range still holds.
pub(super) struct Cpu {
    sources: Vec<Source>,
    /// The metrics API tells, or nobody has looked yet whether it does.
    is_told: bool,
    /// Whether cAdvisor is of use: the pods' names tell the workload's from others, or the API server does.
    tells_pods_apart: bool,
    is_of_a_known_kind: bool,
}

struct Source {
    what: What,
    query: Query,
    rests_until: Option<Instant>,
}

/// What a query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// Cores of each container, by cAdvisor.
    Used,
    /// What it requests, by kube-state-metrics.
    Requested,
    /// Cores of each TaskManager, by Flink's reporter.
    Cores,
    /// The share of those that its JVM sees.
    Shares,
}

impl What {
    fn is_of_flink(self) -> bool {
        matches!(self, Self::Cores | Self::Shares)
    }
}

/// The TaskManagers that run something of the job: what a TaskManager says of itself names no job.
const RUN_THE_JOB: &str =
    "and on (instance, tm_id) flink_taskmanager_job_task_numRecordsOut{job_id=\"${jobId}\"}";

impl Cpu {
    /// What is asked for a policy's `resource` rules on CPU; `None` where there are none.
    pub(super) fn of(policy: &Policy, whose: &Whose) -> Option<Self> {
        let is_cpu = |rule: &Rule| matches!(rule, Rule::Resource(rule) if rule.name == ResourceName::Cpu);
        if !policy.spec.rules.iter().any(is_cpu) {
            return None;
        }
        let flink = [
            (What::Cores, format!("irate(flink_taskmanager_Status_JVM_CPU_Time[5m]) / 1e9 {RUN_THE_JOB}")),
            (What::Shares, format!("flink_taskmanager_Status_JVM_CPU_Load {RUN_THE_JOB}")),
        ];
        let pods = whose.kind.as_deref().filter(|_| whose.namespace.is_some()).map(selector);
        let kubernetes = pods.map(|pods| {
            let used =
                format!("container_cpu_usage_seconds_total{{{pods},container!=\"\",container!=\"POD\"}}");
            let requested = format!("kube_pod_container_resource_requests{{{pods},resource=\"cpu\"}}");
            [
                (What::Used, format!("sum by (pod, container) (irate({used}[5m]) and {used})")),
                (What::Requested, format!("sum by (pod, container) ({requested})")),
            ]
        });
        let source = |(what, query): (What, String)| Source {
            what,
            query: query.parse().expect("queries of ours are well formed"),
            rests_until: None,
        };
        let sources = kubernetes.into_iter().flatten().chain(flink).map(source).collect();
        let is_of_a_known_kind = matches!(whose.kind.as_deref(), Some("Deployment" | "StatefulSet"));
        let is_told = whose.workload.is_some();
        Some(Self { sources, is_told, tells_pods_apart: is_of_a_known_kind, is_of_a_known_kind })
    }

    /// Whether the metrics API tells what the pods use.
    pub(super) fn heed(&mut self, workload: Option<&Workload>) {
        self.is_told =
            workload.is_some_and(|workload| workload.pods.iter().any(|pod| pod.measured.is_some()));
        self.tells_pods_apart = self.is_of_a_known_kind || workload.is_some();
    }

    /// Asks what is to be asked, all at once.
    pub(super) async fn ask(
        &mut self,
        asking: &Asking<'_>,
        facts: &QueryFacts<'_>,
    ) -> Option<crate::model::Cpu> {
        if self.is_told {
            return None;
        }
        let at = Instant::now();
        let due = self.sources.iter().filter(|source| {
            source.rests_until.is_none_or(|until| until <= at)
                && (source.what.is_of_flink() || self.tells_pods_apart)
        });
        let filled = due.filter_map(|source| Some((source.what, source.query.fill(facts).ok()?)));
        let replies = join_all(filled.map(async |(what, query)| (what, asking.reply(&query).await))).await;
        let (mut told, mut oldest, mut failed) = (CpuTold::default(), (asking.now)(), None);
        for (what, reply) in replies {
            match reply.series {
                Ok(series) => {
                    if !series.is_empty() {
                        oldest = oldest.min(reply.at);
                    }
                    add(&mut told, what, &series);
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        // What is requested of pods of which nothing is known to be used is of no use.
        told.containers.retain(|container| container.cpu.used.is_some());
        self.rest(&told, at);
        Some(conclude(told, oldest, failed))
    }

    /// Lets those rest that are not needed while another tells all.
    fn rest(&mut self, told: &CpuTold, at: Instant) {
        let by_kubernetes = told.containers.iter().any(|container| container.cpu.request.is_some());
        let by_flink = !told.cores.is_empty() && !told.shares.is_empty();
        for source in &mut self.sources {
            let is_resting = source.rests_until.is_some_and(|until| at < until);
            let has_better = if source.what.is_of_flink() {
                by_kubernetes
            } else {
                by_flink && told.containers.is_empty()
            };
            match (has_better, is_resting) {
                (true, true) => {}
                (true, false) => source.rests_until = Some(at + AGAIN_AFTER),
                (false, _) => source.rests_until = None,
            }
        }
    }
}

/// The pods of the workload, as a selector; where the API server tells of them, only those of its names count.
fn selector(kind: &str) -> String {
    let rest = match kind {
        // The hash of its ReplicaSet, and five characters of the pod's own.
        "Deployment" => "[a-z0-9]+-[a-z0-9]{5}",
        "StatefulSet" => "[0-9]+",
        _ => ".+",
    };
    format!("namespace=\"${{namespace}}\",pod=~\"${{workload}}-{rest}\"")
}

fn add(told: &mut CpuTold, what: What, series: &[Series]) {
    for one in series {
        let Some(amount) = milli(one.value) else { continue };
        match what {
            What::Cores => told.cores.push(amount),
            What::Shares => told.shares.push(amount),
            What::Used => container(told, one).used = Some(amount),
            What::Requested => container(told, one).request = Some(amount),
        }
    }
}

fn container<'a>(told: &'a mut CpuTold, series: &Series) -> &'a mut Amount {
    let name = |label: &Option<Box<str>>| label.as_deref().unwrap_or_default().to_owned();
    let (pod, name) = (name(&series.pod), name(&series.container));
    let found = told.containers.iter().position(|one| one.pod == pod && one.container == name);
    let index = found.unwrap_or_else(|| {
        told.containers.push(ContainerCpu { pod, container: name, cpu: Amount::default() });
        told.containers.len() - 1
    });
    &mut told.containers[index].cpu
}

/// In thousandths, rounded up as quantities are; `None` of what is no amount.
fn milli(value: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "within the range, as checked")]
    (0.0..=MOST_CORES).contains(&value).then(|| (value * 1e3).ceil() as i64)
}

fn conclude(told: CpuTold, at: Timestamp, failed: Option<String>) -> crate::model::Cpu {
    let told = match failed {
        // A part of the answers would be another measure than all of them.
        Some(error) => Err(error),
        None if told != CpuTold::default() => Ok(told),
        None => Err("Prometheus has neither container_cpu_usage_seconds_total of the workload's pods nor \
                     flink_taskmanager_Status_JVM_CPU_Load of TaskManagers that run the job"
            .to_owned()),
    };
    crate::model::Cpu { at, told }
}

#[cfg(test)]
mod tests;
