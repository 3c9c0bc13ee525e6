//! Who gets in whose way: several autoscalers of one job or one workload, and HPAs on an autoscaler's workload.
//!
//! Only those that act are looked at: one that recommends is in nobody's way, and may well be there to be compared.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::ResourceExt as _;

use super::endpoint::{Target, Workload};
use super::key::Key;
use crate::policy::Rival;

/// A workload with its namespace.
type Place = (String, Workload);

/// The workloads that HPAs scale, with the names of those.
pub(super) fn scaled_by<'a>(
    hpas: impl Iterator<Item = &'a HorizontalPodAutoscaler>,
) -> BTreeMap<Place, Vec<String>> {
    let mut scaled: BTreeMap<Place, Vec<String>> = BTreeMap::new();
    for hpa in hpas {
        let (Some(namespace), Some(spec)) = (hpa.namespace(), &hpa.spec) else { continue };
        let target = &spec.scale_target_ref;
        let api_version = target.api_version.as_deref().unwrap_or_default();
        let workload = Workload::new(api_version, &target.kind, &target.name);
        scaled.entry((namespace, workload)).or_default().push(hpa.name_any());
    }
    scaled
}

/// Who is in the way of each of `targets`; those who are in nobody's way are not in it.
pub(super) fn rivals(targets: &[Target], hpas: &BTreeMap<Place, Vec<String>>) -> BTreeMap<Key, Vec<Rival>> {
    let (mut endpoints, mut workloads) = (BTreeMap::new(), BTreeMap::new());
    for target in targets {
        endpoints.entry(&*target.endpoint).or_insert_with(Vec::new).push(target);
        if let Some(workload) = &target.workload {
            workloads.entry((&*target.key.namespace, workload)).or_insert_with(Vec::new).push(target);
        }
    }
    let mut found: BTreeMap<Key, BTreeSet<Rival>> = BTreeMap::new();
    for target in targets {
        let same_job = endpoints[&*target.endpoint].iter().copied().filter(|other| same_job(target, other));
        let workload = target.workload.as_ref().map(|workload| (&*target.key.namespace, workload));
        let same_workload = workload.and_then(|place| workloads.get(&place)).into_iter().flatten().copied();
        let others = same_job.chain(same_workload).filter(|other| other.key != target.key).map(autoscaler);
        let place = target.workload.as_ref().map(|w| (target.key.namespace.clone(), w.clone()));
        let hpas = place.and_then(|place| hpas.get(&place)).into_iter().flatten();
        let hpas = hpas.map(|name| Rival::HorizontalPodAutoscaler {
            namespace: target.key.namespace.clone(),
            name: name.clone(),
        });
        let all: BTreeSet<Rival> = others.chain(hpas).collect();
        if !all.is_empty() {
            found.insert(target.key.clone(), all);
        }
    }
    found.into_iter().map(|(key, all)| (key, all.into_iter().collect())).collect()
}

/// Of two at one endpoint. An autoscaler that names no job means the only one there is; one may be named by its name here and by its
/// id there, which is known when it has been found.
fn same_job(one: &Target, other: &Target) -> bool {
    match (&one.job, &other.job) {
        (Some(name), Some(others)) => name == others || (one.id.is_some() && one.id == other.id),
        _ => true,
    }
}

fn autoscaler(target: &Target) -> Rival {
    let Key { namespace, name } = target.key.clone();
    Rival::FlinkAutoscaler { namespace, name }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::autoscaling::v2::{CrossVersionObjectReference, HorizontalPodAutoscalerSpec};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::super::endpoint::canonical;
    use super::*;
    use crate::model::JobId;

    /// `namespace/name`, URL, job, workload of apps/v1 as `Kind/name`.
    type Row<'a> = (&'a str, &'a str, Option<&'a str>, Option<&'a str>);

    fn target(&(key, url, job, workload): &Row<'_>) -> Target {
        let (namespace, name) = key.split_once('/').expect("a key");
        let workload = workload.and_then(|workload| workload.split_once('/'));
        Target {
            key: Key::new(namespace, name),
            endpoint: canonical(url, namespace),
            job: job.map(str::to_owned),
            id: None,
            workload: workload.map(|(kind, name)| Workload::new("apps/v1", kind, name)),
        }
    }

    fn hpa(namespace: &str, api_version: &str, kind: &str, name: &str) -> HorizontalPodAutoscaler {
        let scale_target_ref = CrossVersionObjectReference {
            api_version: Some(api_version.to_owned()),
            kind: kind.to_owned(),
            name: name.to_owned(),
        };
        let spec = HorizontalPodAutoscalerSpec { scale_target_ref, ..HorizontalPodAutoscalerSpec::default() };
        let metadata = ObjectMeta {
            namespace: Some(namespace.to_owned()),
            name: Some("hpa".to_owned()),
            ..ObjectMeta::default()
        };
        HorizontalPodAutoscaler { metadata, spec: Some(spec), status: None }
    }

    fn said(rows: &[Row<'_>], hpas: &[HorizontalPodAutoscaler]) -> Vec<String> {
        let targets: Vec<Target> = rows.iter().map(target).collect();
        let found = rivals(&targets, &scaled_by(hpas.iter()));
        let line = |(key, rivals): (&Key, &Vec<Rival>)| {
            let rivals: Vec<String> = rivals.iter().map(ToString::to_string).collect();
            format!("{key}: {}", rivals.join(", "))
        };
        found.iter().map(line).collect()
    }

    #[test]
    fn several_autoscalers_of_one_job_name_each_other() {
        let both = ["s/a: FlinkAutoscaler s/b", "s/b: FlinkAutoscaler s/a"];
        let none: [&str; 0] = [];
        let url = "http://jm:8081";
        for (rows, expected) in [
            (&[("s/a", url, Some("x"), None), ("s/b", url, Some("x"), None)][..], &both[..]),
            (&[("s/a", url, None, None), ("s/b", "http://jm.s.svc:8081", Some("x"), None)], &both),
            (&[("s/a", url, Some("x"), None), ("s/b", url, Some("y"), None)], &none),
            (&[("s/a", url, Some("x"), None), ("t/b", url, Some("x"), None)], &none),
            (&[("s/a", url, None, None)], &none),
            // Another job, of pods of the same Deployment.
            (
                &[
                    ("s/a", "http://j1", None, Some("Deployment/tm")),
                    ("s/b", "http://j2", None, Some("Deployment/tm")),
                ],
                &both,
            ),
            (
                &[
                    ("s/a", "http://j1", None, Some("Deployment/tm")),
                    ("s/b", "http://j2", None, Some("StatefulSet/tm")),
                ],
                &none,
            ),
        ] {
            assert_eq!(said(rows, &[]), expected, "{rows:?}");
        }
    }

    #[test]
    fn one_job_under_two_names_is_found_by_its_id() {
        let rows: [Row<'_>; 2] =
            [("s/a", "http://jm", Some("x"), None), ("s/b", "http://jm.s", Some("a1b2"), None)];
        let mut targets: Vec<Target> = rows.iter().map(target).collect();
        for (ids, are_rivals) in [
            ([None, None], false),
            ([Some(7), None], false),
            ([Some(7), Some(7)], true),
            ([Some(7), Some(8)], false),
        ] {
            for (target, id) in targets.iter_mut().zip(ids) {
                target.id = id.map(JobId::from_bits);
            }
            assert_eq!(!rivals(&targets, &BTreeMap::new()).is_empty(), are_rivals, "{ids:?}");
        }
    }

    #[test]
    fn an_hpa_on_the_workload_is_a_rival_of_it_alone() {
        let rows: [Row<'_>; 2] = [
            ("s/a", "http://j1", None, Some("Deployment/tm")),
            ("s/b", "http://j2", None, Some("Deployment/other")),
        ];
        for (hpa, expected) in [
            (hpa("s", "apps/v1", "Deployment", "tm"), &["s/a: HorizontalPodAutoscaler s/hpa"][..]),
            (hpa("s", "apps/v1beta1", "Deployment", "tm"), &["s/a: HorizontalPodAutoscaler s/hpa"]),
            (hpa("t", "apps/v1", "Deployment", "tm"), &[]),
            (hpa("s", "apps/v1", "StatefulSet", "tm"), &[]),
            (hpa("s", "flink.apache.org/v1beta1", "Deployment", "tm"), &[]),
        ] {
            assert_eq!(said(&rows, std::slice::from_ref(&hpa)), expected, "{:?}", hpa.spec);
        }
    }
}
