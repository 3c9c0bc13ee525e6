//! Another number of TaskManagers: the workload's `scale` is changed, when all is still so that the plan assumes.
//!
//! Before some go, those that run nothing are marked, so that Kubernetes removes just those.

use k8s_openapi::api::autoscaling::v1::Scale as RawScale;
use kube::api::{Patch, PatchParams};
use kube::core::ApiResource;
use serde_json::json;
use tokio::time::Instant;

use crate::guard::{Approved, Hold};
use crate::model::{Removes, Scalable, Scaled, Timestamp, Workload};
use crate::observe::flink::{FlinkClient, TaskManagers};
use crate::observe::kubernetes::{DELETION_COST, Fault, Target, in_time, matched};
use crate::plan::{self, Scale};
use crate::record::Outcome;

/// Who changes what, in the `managedFields` of what is changed.
const MANAGER: &str = "tidegate";

/// A conflict means that something of the workload has changed in between, as its status does all the time while pods come and
/// go: looked at again, it is mostly still so.
const TRIES: u32 = 3;

/// The lowest cost there is: what is marked with it goes before everything that runs.
const FIRST_TO_GO: i32 = i32::MIN;

/// Asks for the replicas of an approved plan.
pub async fn scale(target: &Target, flink: &FlinkClient, approved: &Approved, now: Timestamp) -> Outcome {
    let Some(scale) = &approved.plan().scale else { return Outcome::Unchanged };
    // A job that takes all slots there are has none to spare: which TaskManagers go makes no difference to it.
    let idle = (!approved.plan().rescales_by_scale()).then_some(now);
    match carry_out(target, flink, scale, idle).await {
        Ok(()) => Outcome::Applied,
        Err(Objection::Outcome(outcome)) => outcome,
        Err(Objection::Fault(fault)) => outcome_of(&fault),
    }
}

/// Takes back a change of the replicas that was all of a rescale which has not come about.
pub async fn scale_back(target: &Target, flink: &FlinkClient, scaled: Scaled) -> Outcome {
    let Scaled { from: to, to: from, .. } = scaled;
    let back = Scale { from, to, pods: Vec::new(), removes: Removes::LowestCost };
    match carry_out(target, flink, &back, None).await {
        Ok(()) => Outcome::RolledBack {
            detail: format!("the job did not run on {from} TaskManagers in time: {to} are asked for again"),
        },
        Err(Objection::Outcome(outcome)) => outcome,
        // What is not possible will not be in the next cycle either.
        Err(Objection::Fault(fault)) if fault.code().is_some_and(|code| (400..500).contains(&code)) => {
            Outcome::Superseded { detail: fault.to_string() }
        }
        Err(Objection::Fault(fault)) => Outcome::Failed { detail: fault.to_string() },
    }
}

/// Why it is not carried out.
enum Objection {
    Outcome(Outcome),
    Fault(Fault),
}

impl From<Fault> for Objection {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

fn outcome_of(fault: &Fault) -> Outcome {
    let detail = fault.to_string();
    match fault.code() {
        Some(409) => Outcome::Superseded { detail },
        // Not allowed, not there, not possible: asking again does not help.
        Some(401 | 403 | 404 | 405 | 422) => Outcome::Held { found: Some(Hold::ScaleRefused { detail }) },
        _ => Outcome::Failed { detail },
    }
}

async fn carry_out(
    target: &Target,
    flink: &FlinkClient,
    plan: &Scale,
    idle: Option<Timestamp>,
) -> Result<(), Objection> {
    let resource = target.resource().await?;
    let mut tries = 0;
    loop {
        tries += 1;
        let found = target.scale(&resource).await?;
        let seen = target.scale_seen(&found)?;
        if seen.replicas == plan.to {
            // Somebody has been quicker, or an answer was lost.
            return Ok(());
        }
        if seen.replicas != plan.from {
            let detail = format!("{} replicas are asked for now, not {}", seen.replicas, plan.from);
            return Err(Objection::Outcome(Outcome::Superseded { detail }));
        }
        if let Some(now) = idle
            && plan.to < plan.from
        {
            make_sure(target, flink, plan, &seen.selector, now).await?;
        }
        if !flink.may_change() {
            return Err(Objection::Outcome(Outcome::Held { found: Some(Hold::NotLeading) }));
        }
        match replace(target, &resource, found, plan.to).await {
            Err(fault) if fault.code() == Some(409) && tries < TRIES => {}
            done => return Ok(done?),
        }
    }
}

/// The resource version that was found makes sure that nobody has changed it meanwhile.
async fn replace(target: &Target, resource: &ApiResource, found: RawScale, to: u32) -> Result<(), Fault> {
    let version = found.metadata.resource_version;
    let patch = Patch::Merge(json!({"metadata": {"resourceVersion": version}, "spec": {"replicas": to}}));
    let by = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    in_time(target.api(resource).patch_scale(target.name(), &by, &patch)).await.map(drop)
}

/// Looks once more whether the pods that are to go run nothing and go first, and marks them.
async fn make_sure(
    target: &Target,
    flink: &FlinkClient,
    plan: &Scale,
    selector: &str,
    now: Timestamp,
) -> Result<(), Objection> {
    let superseded = |detail: String| Objection::Outcome(Outcome::Superseded { detail });
    let until = Instant::now() + flink.timeout();
    let (listed, pods) = tokio::join!(flink.taskmanagers(until), target.pods_now(selector));
    let listed = listed.map_err(|error| Objection::Outcome(Outcome::Failed { detail: error.to_string() }))?;
    let (pods, registered) = matched(pods?, Some(&TaskManagers { at: now, listed }));
    let scalable = Scalable { removes: plan.removes, refused: None, registered };
    let replicas = plan.from;
    let workload = Workload { at: now, replicas, observed: replicas, pods, scalable: Some(scalable.clone()) };
    plan::can_go(&workload, &scalable, plan.from - plan.to, &plan.pods).map_err(superseded)?;
    if plan.removes == crate::model::Removes::HighestOrdinal {
        return Ok(());
    }
    for pod in workload.pods.iter().filter(|pod| pod.is_alive()) {
        let is_marked = pod.deletion_cost == Some(FIRST_TO_GO);
        let mark = match (plan.pods.contains(&pod.name), is_marked) {
            (true, false) => json!(FIRST_TO_GO.to_string()),
            // A mark that was left behind, of a pod that has work by now.
            (false, true) => json!(null),
            (true, true) | (false, false) => continue,
        };
        if !flink.may_change() {
            return Err(Objection::Outcome(Outcome::Held { found: Some(Hold::NotLeading) }));
        }
        let patch = Patch::Merge(json!({"metadata": {"annotations": {DELETION_COST: mark}}}));
        let by = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        in_time(target.pods().patch(&pod.name, &by, &patch)).await?;
    }
    Ok(())
}
