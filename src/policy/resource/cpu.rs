//! The pods of a workload with what Prometheus says of their CPU, for where the metrics API of Kubernetes says nothing.
//!
//! Three sources, the first of which there is enough: cAdvisor's use of each container against what it requests, as
//! metrics-server would have it; what Flink's own reporter says that each TaskManager uses, against what its pod requests; and
//! the share of the cores that its JVM sees, where nobody tells of requests.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::hpa::{self, Sample};
use super::super::said::{MeasuredBy, Silence};
use super::super::{Resource, ResourceTarget};
use super::of_pod;
use crate::model::{Container, ContainerCpu, CpuTold, Phase, Pod, Ready, ReadyStatus, Timestamp};

/// The queries take the difference of the last two scrapes: by Prometheus' own default, one a minute.
const WINDOW: Duration = Duration::from_mins(1);

/// A whole core, or all of what a JVM sees.
const WHOLE: i64 = 1000;

/// The pods that count, as of `at`; `pods` are the workload's where the API server tells of them.
pub(super) fn pods(
    told: &CpuTold,
    pods: Option<&[Pod]>,
    rule: &Resource,
    at: Timestamp,
) -> Result<(Vec<hpa::Pod>, MeasuredBy), Silence> {
    let by_container = by_container(told, pods, at).iter().map(|pod| of_pod(pod, rule)).collect::<Vec<_>>();
    let is_relative = matches!(rule.target, ResourceTarget::Utilization { .. });
    let is_enough = |pod: &hpa::Pod| pod.sample.is_some() && (pod.request.is_some() || !is_relative);
    if by_container.iter().any(is_enough) {
        return Ok((by_container, MeasuredBy::Cadvisor));
    }
    if rule.container.is_some() {
        return Err(no_value(
            "Prometheus has no CPU time of that container (container_cpu_usage_seconds_total), and Flink's reporter \
             knows no containers",
        ));
    }
    let alive: Vec<&Pod> = pods.unwrap_or_default().iter().filter(|pod| pod.is_alive()).collect();
    let requests = alive.iter().map(|pod| of_pod(pod, rule).request);
    let request = requests.reduce(|one, other| one.filter(|one| Some(*one) == other)).flatten();
    let (used, request, by) = match (request, is_relative) {
        (Some(_), _) | (None, false) => (&told.cores, request, MeasuredBy::FlinkCpuTime),
        (None, true) => (&told.shares, Some(WHOLE), MeasuredBy::FlinkCpuLoad),
    };
    if used.is_empty() {
        return Err(no_value(
            "of the pods' CPU Prometheus has neither what they use (container_cpu_usage_seconds_total) together with what they \
             request (kube_pod_container_resource_requests), nor two scrapes of Flink's own reporter \
             (flink_taskmanager_Status_JVM_CPU_Time, ..._Load)",
        ));
    }
    let measured = used.iter().map(|used| steady(request, Some(Sample { value: *used, at, window: WINDOW })));
    // Pods whose TaskManager runs nothing of the job, or nothing yet: of unknown load.
    let others = alive.len().saturating_sub(used.len());
    Ok((measured.chain(std::iter::repeat_n(steady(request, None), others)).collect(), by))
}

fn no_value(detail: &str) -> Silence {
    Silence::NoValue { detail: detail.to_owned() }
}

/// The pods with what cAdvisor says: those of the API server, with their requests and how ready they are; without it, those that
/// cAdvisor tells of.
fn by_container(told: &CpuTold, pods: Option<&[Pod]>, at: Timestamp) -> Vec<Pod> {
    let mut of_pods: BTreeMap<&str, Vec<&ContainerCpu>> = BTreeMap::new();
    for container in &told.containers {
        of_pods.entry(&container.pod).or_default().push(container);
    }
    let Some(pods) = pods else {
        return of_pods.into_iter().map(|(name, containers)| unseen(name, &containers, at)).collect();
    };
    let with_use = |pod: &Pod| {
        let mut pod = pod.clone();
        let containers = of_pods.get(pod.name.as_str()).map_or(&[][..], Vec::as_slice);
        for container in &mut pod.containers {
            let found = containers.iter().find(|found| found.container == container.name);
            container.cpu.used = found.and_then(|found| found.cpu.used);
        }
        pod.measured = (!containers.is_empty()).then_some((at, WINDOW));
        pod
    };
    pods.iter().map(with_use).collect()
}

/// A pod of which only Prometheus tells: what is measured runs, and is ready for all that is known.
fn unseen(name: &str, containers: &[&ContainerCpu], at: Timestamp) -> Pod {
    let container =
        |of: &&ContainerCpu| Container { name: of.container.clone(), cpu: of.cpu, ..Container::default() };
    Pod {
        name: name.to_owned(),
        ready: Some(Ready { status: ReadyStatus::True, since: Timestamp::default() }),
        started: Some(Timestamp::default()),
        measured: Some((at, WINDOW)),
        containers: containers.iter().map(container).collect(),
        ..Pod::default()
    }
}

/// A pod that has long been ready.
fn steady(request: Option<i64>, sample: Option<Sample>) -> hpa::Pod {
    hpa::Pod {
        phase: Phase::Running,
        is_deleted: false,
        ready: Some(Ready { status: ReadyStatus::True, since: Timestamp::default() }),
        started: Some(Timestamp::default()),
        request,
        sample,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Job, workload};
    use super::super::super::{Policy, Quantity, ResourceName};
    use super::*;
    use crate::model::{Amount, Cpu};

    const MEASURED: Silence = Silence::NotAsked;

    /// What the rule asks for, and by whose measurement.
    type Wanted = Result<(u32, Option<MeasuredBy>), Silence>;

    fn container(pod: &str, container: &str, used: Option<i64>, request: Option<i64>) -> ContainerCpu {
        ContainerCpu { pod: pod.to_owned(), container: container.to_owned(), cpu: Amount { request, used } }
    }

    /// The TaskManagers that the rule asks for, of a job that fills four; where the API server tells, those are pods `0` to `3`,
    /// which request half a core each.
    fn asked(told: &CpuTold, by_api: bool, target: ResourceTarget, only: Option<&str>) -> Wanted {
        let mut job = Job::chain(&[(1, 0.0), (4, 0.004)]).filling(4).arriving(500.0);
        job.snapshot.around.cpu = Some(Box::new(Cpu { at: job.now, told: Ok(told.clone()) }));
        job.snapshot.around.workload = by_api.then(|| {
            let mut workload = workload(4, 500);
            for (name, pod) in workload.pods.iter_mut().enumerate() {
                pod.name = name.to_string();
                pod.ready = Some(Ready { status: ReadyStatus::True, since: Timestamp::default() });
                pod.started = Some(Timestamp::default());
                pod.containers[0].name = "tm".to_owned();
            }
            workload
        });
        let container = only.map(str::to_owned);
        let rule = Resource { name: ResourceName::Cpu, container, target, when: None, fallback: None };
        let policy = Policy::default();
        let said = super::super::propose(&rule, &job.context(&policy))?;
        said.1.map(|replicas| (replicas.wanted, replicas.measured_by)).ok_or(MEASURED)
    }

    #[test]
    fn each_source_gives_the_size_that_an_hpa_would() {
        let half = ResourceTarget::Utilization { average_utilization: 50 };
        let cores =
            ResourceTarget::AverageValue { average_value: "250m".parse::<Quantity>().expect("a quantity") };
        // Four pods that use 400m each: 80 % of their requests, and more than half as much again as they are to.
        let pods =
            |request| (0..4).map(|pod| container(&pod.to_string(), "tm", Some(400), request)).collect();
        let advisor = |request| CpuTold { containers: pods(request), ..CpuTold::default() };
        let flink = CpuTold { cores: vec![400; 4], shares: vec![250; 4], ..CpuTold::default() };
        let both = CpuTold { containers: pods(None), ..flink.clone() };
        let (by_cadvisor, by_time, by_load) = (
            Some((7, Some(MeasuredBy::Cadvisor))),
            Some((7, Some(MeasuredBy::FlinkCpuTime))),
            Some((2, Some(MeasuredBy::FlinkCpuLoad))),
        );
        for (name, told, by_api, target, expected) in [
            ("requests by kube-state-metrics", advisor(Some(500)), false, half, by_cadvisor),
            ("requests by the API server", advisor(None), true, half, by_cadvisor),
            ("those of the API server count", advisor(Some(100)), true, half, by_cadvisor),
            ("no requests", advisor(None), false, half, None),
            ("cores without requests", advisor(None), false, cores, by_cadvisor),
            ("Flink's cores against requests", flink.clone(), true, half, by_time),
            ("Flink's share of what its JVM sees", flink.clone(), false, half, by_load),
            ("Flink's cores", flink, false, cores, by_time),
            ("Flink's share where cAdvisor has no requests", both, false, half, by_load),
            ("nothing", CpuTold::default(), true, half, None),
        ] {
            assert_eq!(asked(&told, by_api, target, None).ok(), expected, "{name}");
        }
    }

    #[test]
    fn taskmanagers_that_run_nothing_of_the_job_count_as_an_hpa_counts_pods_that_nobody_measured() {
        let half = ResourceTarget::Utilization { average_utilization: 50 };
        let told = |used: &[i64]| CpuTold { cores: used.to_vec(), ..CpuTold::default() };
        // Idle where the others ask for more: 1200m of 2000m. Busy where they ask for less: 1100m of 2000m, which is no less.
        for (used, expected) in [(&[400, 400, 400][..], 5), (&[50, 50], 4), (&[50, 50, 50, 50], 1)] {
            let wanted = asked(&told(used), true, half, None).map(|(wanted, _)| wanted);
            assert_eq!(wanted, Ok(expected), "{used:?}");
        }
    }

    #[test]
    fn one_container_counts_where_one_is_named() {
        let half = ResourceTarget::Utilization { average_utilization: 50 };
        let told = CpuTold {
            containers: vec![
                container("a", "tm", Some(400), Some(500)),
                container("a", "proxy", Some(0), Some(500)),
            ],
            cores: vec![400],
            shares: vec![900],
        };
        for (only, expected, why) in [(Some("tm"), 2, "80 % of one pod"), (None, 1, "40 % of it")] {
            let wanted = asked(&told, false, half, only).map(|(wanted, _)| wanted);
            assert_eq!(wanted, Ok(expected), "{why}");
        }
        let said =
            asked(&told, false, half, Some("init")).expect_err("there is no such container").to_string();
        assert!(said.contains("container_cpu_usage_seconds_total"), "{said}");
    }

    #[test]
    fn what_prometheus_could_not_answer_makes_the_rule_silent_in_its_words() {
        let mut job = Job::chain(&[(1, 0.0), (4, 0.004)]).filling(4).arriving(500.0);
        let target = ResourceTarget::Utilization { average_utilization: 50 };
        let rule = Resource { name: ResourceName::Cpu, container: None, target, when: None, fallback: None };
        let policy = Policy::default();
        let told = Err("refused".to_owned());
        job.snapshot.around.cpu = Some(Box::new(Cpu { at: job.now, told }));
        let said = super::super::propose(&rule, &job.context(&policy)).expect_err("nothing was told");
        assert_eq!(said, Silence::Failed { detail: "refused".to_owned() });
        let old = job.now - Duration::from_mins(10);
        job.snapshot.around.cpu = Some(Box::new(Cpu { at: old, told: Ok(CpuTold::default()) }));
        let said = super::super::propose(&rule, &job.context(&policy)).expect_err("it is old");
        assert_eq!(said, Silence::Stale { at: old });
    }
}
