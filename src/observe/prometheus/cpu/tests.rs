//! What is asked for CPU, and what is left alone.

use super::*;
use crate::policy::{Resource, ResourceTarget};

fn policy() -> Policy {
    let target = ResourceTarget::Utilization { average_utilization: 50 };
    let rule = Resource { name: ResourceName::Cpu, container: None, target, when: None, fallback: None };
    let mut policy = Policy::default();
    policy.spec.rules = vec![Rule::Resource(rule)];
    policy
}

fn whose(kind: Option<&str>) -> Whose {
    Whose {
        namespace: Some("streams".to_owned()),
        autoscaler: None,
        workload: kind.map(|_| "orders.tm".to_owned()),
        kind: kind.map(str::to_owned),
    }
}

#[test]
fn the_queries_name_the_pods_of_the_workload_and_the_taskmanagers_of_the_job() {
    let facts = QueryFacts {
        namespace: Some("streams"),
        workload: Some("orders.tm"),
        job_id: Some("00"),
        ..QueryFacts::default()
    };
    let filled = |kind| -> Vec<String> {
        let cpu = Cpu::of(&policy(), &whose(kind)).expect("there is such a rule");
        cpu.sources.iter().filter_map(|source| source.query.fill(&facts).ok()).collect()
    };
    let of_a_deployment = filled(Some("Deployment"));
    assert_eq!(of_a_deployment.len(), 4);
    assert_eq!(
        of_a_deployment[1],
        r#"sum by (pod, container) (kube_pod_container_resource_requests{namespace="streams",pod=~"orders\\.tm-[a-z0-9]+-[a-z0-9]{5}",resource="cpu"})"#
    );
    assert_eq!(
        of_a_deployment[3],
        r#"flink_taskmanager_Status_JVM_CPU_Load and on (instance, tm_id) flink_taskmanager_job_task_numRecordsOut{job_id="00"}"#
    );
    assert!(filled(Some("StatefulSet"))[0].contains(r#"pod=~"orders\\.tm-[0-9]+""#));
    assert_eq!(filled(None).len(), 2, "without a workload Flink's reporter is all there is");
    assert!(Cpu::of(&Policy::default(), &whose(None)).is_none(), "no rule looks at CPU");
}

fn told(request: Option<i64>, containers: usize, taskmanagers: usize) -> CpuTold {
    let one = ContainerCpu {
        pod: "p".to_owned(),
        container: "tm".to_owned(),
        cpu: Amount { used: Some(1), request },
    };
    CpuTold { containers: vec![one; containers], cores: vec![1; taskmanagers], shares: vec![1; taskmanagers] }
}

#[test]
fn what_has_nothing_rests_while_another_tells_all() {
    let mut cpu = Cpu::of(&policy(), &whose(Some("Deployment"))).expect("there is such a rule");
    let at = Instant::now();
    for (told, resting) in [
        (told(Some(1), 2, 2), &[What::Cores, What::Shares][..]),
        (told(None, 2, 2), &[]),
        (told(None, 0, 2), &[What::Used, What::Requested]),
        (told(None, 0, 0), &[]),
    ] {
        cpu.rest(&told, at);
        let rests = cpu.sources.iter().filter(|source| source.rests_until == Some(at + AGAIN_AFTER));
        assert_eq!(rests.map(|source| source.what).collect::<Vec<_>>(), resting, "{told:?}");
    }
}

#[test]
fn containers_are_put_together_and_what_is_no_amount_is_left_out() {
    let series =
        |container: &str, value| Series { value, pod: Some("p".into()), container: Some(container.into()) };
    let mut all = CpuTold::default();
    add(&mut all, What::Used, &[series("tm", 0.2501), series("proxy", f64::NAN)]);
    add(&mut all, What::Requested, &[series("tm", 0.5), series("proxy", 0.1)]);
    add(&mut all, What::Cores, &[series("", -1.0), series("", 1.5), series("", 1e9)]);
    let amounts: Vec<_> = all.containers.iter().map(|one| (one.container.as_str(), one.cpu)).collect();
    let amount = |used, request| Amount { request, used };
    assert_eq!(amounts, [("tm", amount(Some(251), Some(500))), ("proxy", amount(None, Some(100)))]);
    assert_eq!(all.cores, [1500]);
}

#[test]
fn one_that_failed_makes_all_fail_and_nothing_at_all_says_what_was_looked_for() {
    let said = |told: CpuTold, failed: Option<&str>| {
        conclude(told, Timestamp::default(), failed.map(str::to_owned)).told
    };
    assert_eq!(said(told(None, 1, 1), None), Ok(told(None, 1, 1)));
    assert_eq!(said(told(None, 1, 1), Some("gone")), Err("gone".to_owned()));
    assert!(
        said(CpuTold::default(), None)
            .is_err_and(|said| said.contains("flink_taskmanager_Status_JVM_CPU_Load"))
    );
}

#[test]
fn the_metrics_api_comes_first_and_pods_of_other_kinds_are_told_apart_by_the_api_server_only() {
    use crate::policy::testing::workload;
    let mut cpu = Cpu::of(&policy(), &whose(Some("FlinkDeployment"))).expect("there is such a rule");
    assert!(cpu.is_told, "nobody has looked yet");
    let mut seen = workload(2, 500);
    for (measured, is_told) in [(None, false), (Some((Timestamp::default(), Duration::ZERO)), true)] {
        seen.pods[0].measured = measured;
        cpu.heed(Some(&seen));
        assert_eq!((cpu.is_told, cpu.tells_pods_apart), (is_told, true));
    }
    cpu.heed(None);
    assert_eq!((cpu.is_told, cpu.tells_pods_apart), (false, false));
}
