//! What a Kubernetes is like, as far as it matters to scaling: read once, changing nothing, and judged by
//! [`findings`](super::findings).

use axum::http::Request;
use axum::http::header::DATE;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{ListParams, PostParams};
use kube::client::Body;
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;

use super::super::finding::Weight;
use super::fault::{Fault, in_time};
use super::manager::ManagerTarget;
use super::needs::{NEEDS, OF_DEPLOYMENTS, OF_JOBS, OF_OPERATORS, OF_WORKLOADS};
use super::operator::{OperatorTarget, Read};
use super::target::Target;
use crate::crd::FlinkAutoscaler;
use crate::model::{ManagerKind, OperatorSeen, Timestamp};
use crate::policy::{AutoscalerSpec, JobManagerRef, Mode, OperatorRef, WorkloadRef};

/// Kinds that Tidegate brings along, by their plurals.
const OURS: [&str; 2] = ["flinkautoscalers", "scalingpolicies"];

/// What was seen of a Kubernetes.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterCheckup {
    /// Its version, in its own words.
    pub version: String,
    /// The namespace that was looked at.
    pub namespace: String,
    /// Those of our kinds that it does not have, by their plurals.
    pub missing: Vec<&'static str>,
    /// What whoever asks may not do.
    pub denied: Vec<Denied>,
    /// Whether it has the resource metrics API.
    pub has_metrics: bool,
    /// Its clock before ours (negative: behind), milliseconds; `None` where no answer bore a date.
    pub skew_ms: Option<i64>,
    /// The workloads that autoscalers name.
    pub workloads: Vec<WorkloadCheckup>,
    /// The operators' resources that autoscalers name.
    pub operators: Vec<OperatorCheckup>,
    /// What runs a JobManager in application mode and is named by an autoscaler: each that cannot be used, and why.
    pub unfit_managers: Vec<(String, String)>,
    /// The autoscalers that are there, by name.
    pub autoscalers: Vec<(String, AutoscalerSpec)>,
}

/// A right that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The API group; empty for the core.
    pub group: String,
    /// The plural, with its subresource after a slash.
    pub resource: String,
    /// What may not be done.
    pub verbs: Vec<&'static str>,
    /// How much that matters.
    pub weight: Weight,
    /// What it costs.
    pub costs: &'static str,
}

/// An autoscaler that names a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub autoscaler: String,
    /// What gives its job the slots.
    pub workload: WorkloadRef,
    /// Whether it acts, or only recommends.
    pub acts: bool,
}

/// What was seen of an operator's resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorCheckup {
    /// Its kind and name.
    pub name: String,
    /// What it is like, or one line on why that is not known.
    pub seen: Result<OperatorSeen, String>,
}

/// What was seen of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadCheckup {
    /// Its kind and name, as kubectl takes them.
    pub name: String,
    /// The autoscalers that name it and act.
    pub autoscalers: Vec<String>,
    /// What it is like, or one line on why that is not known.
    pub seen: Result<WorkloadSeen, String>,
    /// The HPAs that scale it.
    pub hpas: Vec<String>,
}

/// What a workload is like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadSeen {
    /// Containers of its pods that request no CPU.
    pub without_cpu: Vec<String>,
    /// Containers of its pods that request no memory.
    pub without_memory: Vec<String>,
}

impl ClusterCheckup {
    /// Looks at a namespace, and at the workloads that its autoscalers and `named` name; the Lease is in `home`.
    ///
    /// # Errors
    /// One line, when the API server cannot be reached, or lets nobody in.
    pub async fn take(
        client: &Client,
        namespace: &str,
        home: &str,
        named: Vec<Named>,
        now: fn() -> Timestamp,
    ) -> Result<Self, String> {
        let (version, skew_ms) = version(client, now).await.map_err(|fault| fault.to_string())?;
        let missing = missing(client).await.map_err(|fault| fault.to_string())?;
        let has_metrics = in_time(client.list_api_group_resources("metrics.k8s.io/v1beta1")).await.is_ok();
        let (mut all, mut autoscalers) = (named, Vec::new());
        if missing.is_empty() {
            // Whoever may not list them is told so by what is denied.
            let api: Api<FlinkAutoscaler> = Api::namespaced(client.clone(), namespace);
            let objects = in_time(api.list(&ListParams::default())).await.map(|list| list.items);
            let specs = objects.unwrap_or_default().into_iter();
            autoscalers = specs.map(|object| (object.name_any(), object.spec)).collect();
            all.extend(autoscalers.iter().filter_map(|(name, spec)| {
                let (autoscaler, acts) = (name.clone(), spec.mode == Mode::Auto);
                spec.workload.clone().map(|workload| Named { autoscaler, workload, acts })
            }));
        }
        let mut kinds: Vec<String> = all.iter().filter_map(|named| plural(&named.workload)).collect();
        if kinds.is_empty() {
            kinds.push("deployments".to_owned());
        }
        kinds.sort();
        kinds.dedup();
        let mut denied = denied(client, namespace, home, &kinds).await.map_err(|fault| fault.to_string())?;
        let named: Vec<OperatorRef> =
            autoscalers.iter().filter_map(|(_, spec)| spec.operator.clone()).collect();
        let of_operators = denied_of_operators(client, namespace, &named).await;
        denied.extend(of_operators.map_err(|fault| fault.to_string())?);
        let managers: Vec<JobManagerRef> =
            autoscalers.iter().filter_map(|(_, spec)| spec.savepoint.as_ref()?.job_manager.clone()).collect();
        let of_managers = denied_of_managers(client, namespace, &managers).await;
        denied.extend(of_managers.map_err(|fault| fault.to_string())?);
        Ok(Self {
            version,
            namespace: namespace.to_owned(),
            missing,
            denied,
            has_metrics,
            skew_ms,
            workloads: workloads(client, namespace, all).await,
            operators: operators(client, namespace, &named, now).await,
            unfit_managers: unfit_managers(client, namespace, &managers).await,
            autoscalers,
        })
    }
}

async fn version(client: &Client, now: fn() -> Timestamp) -> Result<(String, Option<i64>), Fault> {
    let request = Request::get("/version").body(Body::empty()).map_err(kube::Error::HttpError);
    let before = now();
    let response = in_time(async { client.send(request?).await }).await?;
    let after = now();
    // The header has whole seconds: half of one is what it lacks on the average.
    let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    let ours = i64::midpoint(before.as_millis(), after.as_millis());
    let skew = date.map(|date| date.timestamp().as_millisecond() + 500 - ours);
    let info = in_time(client.apiserver_version()).await?;
    Ok((info.git_version, skew))
}

async fn missing(client: &Client) -> Result<Vec<&'static str>, Fault> {
    match in_time(client.list_api_group_resources("tidegate.dev/v1alpha1")).await {
        Ok(list) => {
            let has = |plural: &&str| list.resources.iter().any(|resource| resource.name == *plural);
            Ok(OURS.into_iter().filter(|plural| !has(plural)).collect())
        }
        Err(Fault::Refused(status)) if status.code == 404 => Ok(OURS.to_vec()),
        Err(error) => Err(error),
    }
}

/// The plural of a workload of the group `apps`; others are asked for by their own controllers' rules.
fn plural(workload: &WorkloadRef) -> Option<String> {
    workload.api_version.starts_with("apps/").then(|| format!("{}s", workload.kind.to_lowercase()))
}

async fn denied(
    client: &Client,
    namespace: &str,
    home: &str,
    kinds: &[String],
) -> Result<Vec<Denied>, Fault> {
    let mut denied = Vec::new();
    for need in &NEEDS {
        let place = if need.name.is_some() { home } else { namespace };
        let found = Denied {
            group: need.group.to_owned(),
            resource: need.resource.to_owned(),
            verbs: refused(client, (place, need.name), need.group, need.resource, need.verbs).await?,
            weight: need.weight,
            costs: need.costs,
        };
        denied.push(found);
    }
    for kind in kinds {
        for (subresource, verbs, weight, costs) in OF_WORKLOADS {
            let resource = format!("{kind}{subresource}");
            let verbs = refused(client, (namespace, None), "apps", &resource, verbs).await?;
            denied.push(Denied { group: "apps".to_owned(), resource, verbs, weight, costs });
        }
    }
    denied.retain(|denied| !denied.verbs.is_empty());
    Ok(denied)
}

/// What is refused of the operators' resources that are named.
async fn denied_of_operators(
    client: &Client,
    namespace: &str,
    named: &[OperatorRef],
) -> Result<Vec<Denied>, Fault> {
    let mut denied: Vec<Denied> = Vec::new();
    for named in named {
        // A kind that is not there is told of where it is looked at.
        let Ok(resource) = OperatorTarget::new(client.clone(), namespace, named).resource().await else {
            continue;
        };
        if denied.iter().any(|known| known.group == resource.group && known.resource == resource.plural) {
            continue;
        }
        for (verbs, weight, costs) in OF_OPERATORS {
            let (group, plural) = (resource.group.clone(), resource.plural.clone());
            let verbs = refused(client, (namespace, None), &group, &plural, verbs).await?;
            denied.push(Denied { group, resource: plural, verbs, weight, costs });
        }
    }
    denied.retain(|denied| !denied.verbs.is_empty());
    Ok(denied)
}

/// What is refused of each JobManager that is named.
async fn denied_of_managers(
    client: &Client,
    namespace: &str,
    named: &[JobManagerRef],
) -> Result<Vec<Denied>, Fault> {
    let mut denied: Vec<Denied> = Vec::new();
    for JobManagerRef { kind, name } in named {
        let (group, plural, needs) = match kind {
            ManagerKind::Deployment => ("apps", "deployments", OF_DEPLOYMENTS),
            ManagerKind::Job => ("batch", "jobs", OF_JOBS),
        };
        for &(verbs, weight, costs) in needs {
            // What is created has no name yet.
            let name = (!verbs.contains(&"create")).then_some(name.as_str());
            let verbs = refused(client, (namespace, name), group, plural, verbs).await?;
            let found = Denied { group: group.to_owned(), resource: plural.to_owned(), verbs, weight, costs };
            if !found.verbs.is_empty() && !denied.contains(&found) {
                denied.push(found);
            }
        }
    }
    Ok(denied)
}

/// Each JobManager that is named and cannot be used.
async fn unfit_managers(client: &Client, namespace: &str, named: &[JobManagerRef]) -> Vec<(String, String)> {
    let mut unfit = Vec::new();
    for named in named {
        let target = ManagerTarget::new(client.clone(), namespace, named);
        let why = match target.read().await {
            Ok(Some((_, Ok(seen)))) => seen.hindrance,
            Ok(Some((_, Err(why)))) => Some(why),
            Ok(None) => Some("there is none of that name".to_owned()),
            Err(fault) => Some(fault.to_string()),
        };
        unfit.extend(why.map(|why| (target.shown(), why)));
    }
    unfit
}

async fn operators(
    client: &Client,
    namespace: &str,
    named: &[OperatorRef],
    now: fn() -> Timestamp,
) -> Vec<OperatorCheckup> {
    let mut found: Vec<OperatorCheckup> = Vec::new();
    for named in named {
        let target = OperatorTarget::new(client.clone(), namespace, named);
        let name = target.name();
        if found.iter().any(|known| known.name == name) {
            continue;
        }
        let seen = match target.read(Read::Now, now()).await {
            Ok(Some(found)) => Ok(found.seen),
            Ok(None) => Err("there is none of that name".to_owned()),
            Err(fault) => Err(fault.to_string()),
        };
        found.push(OperatorCheckup { name, seen });
    }
    found
}

/// Those of the verbs that are refused, by the API server's own review; it changes nothing.
async fn refused(
    client: &Client,
    (namespace, name): (&str, Option<&str>),
    group: &str,
    resource: &str,
    verbs: &'static [&'static str],
) -> Result<Vec<&'static str>, Fault> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let (plural, subresource) = resource.split_once('/').map_or((resource, None), |(a, b)| (a, Some(b)));
    let mut refused = Vec::new();
    for verb in verbs {
        let attributes = ResourceAttributes {
            namespace: Some(namespace.to_owned()),
            name: name.map(str::to_owned),
            group: Some(group.to_owned()),
            resource: Some(plural.to_owned()),
            subresource: subresource.map(str::to_owned),
            verb: Some((*verb).to_owned()),
            ..ResourceAttributes::default()
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(attributes),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let answer = in_time(reviews.create(&PostParams::default(), &review)).await?;
        if !answer.status.is_some_and(|status| status.allowed) {
            refused.push(*verb);
        }
    }
    Ok(refused)
}

async fn workloads(client: &Client, namespace: &str, named: Vec<Named>) -> Vec<WorkloadCheckup> {
    let api: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), namespace);
    let hpas = in_time(api.list(&ListParams::default())).await.map(|list| list.items).unwrap_or_default();
    let mut found: Vec<WorkloadCheckup> = Vec::new();
    for Named { autoscaler, workload, acts } in named {
        let name = format!("{}/{}", workload.kind.to_lowercase(), workload.name);
        if let Some(known) = found.iter_mut().find(|known| known.name == name) {
            known.autoscalers.extend(acts.then_some(autoscaler));
            continue;
        }
        let seen = look(&Target::new(client.clone(), namespace, &workload)).await;
        let scales = |hpa: &&HorizontalPodAutoscaler| {
            hpa.spec.as_ref().is_some_and(|spec| {
                let target = &spec.scale_target_ref;
                target.kind == workload.kind && target.name == workload.name
            })
        };
        found.push(WorkloadCheckup {
            name,
            autoscalers: acts.then_some(autoscaler).into_iter().collect(),
            seen: seen.map_err(|fault| fault.to_string()),
            hpas: hpas.iter().filter(scales).map(kube::ResourceExt::name_any).collect(),
        });
    }
    found
}

async fn look(target: &Target) -> Result<WorkloadSeen, Fault> {
    let resource = target.resource().await?;
    let scale = target.scale(&resource).await?;
    let selector = target.scale_seen(&scale)?.selector;
    let object = in_time(target.api(&resource).get(target.name())).await?;
    let pods = in_time(target.pods().list(&ListParams::default().labels(&selector).limit(1))).await?;
    let mut seen = WorkloadSeen::default();
    // The pod has what a LimitRange has added; without one, the template is what there is.
    if let Some(spec) = pods.items.into_iter().next().and_then(|pod| pod.spec) {
        for container in spec.containers {
            let requests = container.resources.and_then(|resources| resources.requests).unwrap_or_default();
            seen.add(&container.name, |resource| requests.contains_key(resource));
        }
    } else if let Some(Value::Array(containers)) = object.data.pointer("/spec/template/spec/containers") {
        for container in containers {
            let name = container["name"].as_str().unwrap_or_default();
            seen.add(name, |resource| {
                // What is limited and not requested is requested to its limit.
                let resources = &container["resources"];
                ["requests", "limits"].iter().any(|kind| resources[kind].get(resource).is_some())
            });
        }
    }
    Ok(seen)
}

impl WorkloadSeen {
    fn add(&mut self, container: &str, requests: impl Fn(&str) -> bool) {
        for (resource, without) in [("cpu", &mut self.without_cpu), ("memory", &mut self.without_memory)] {
            if !requests(resource) {
                without.push(container.to_owned());
            }
        }
    }
}
