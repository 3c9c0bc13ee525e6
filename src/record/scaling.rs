//! What is remembered of a workload's replicas: for how long TaskManagers are awaited, when there is no room for more, and
//! which changes were made.

use std::time::Duration;

use super::Outcome;
use crate::decide::Decision;
use crate::guard::Hold;
use crate::model::{Growth, NoRoom, Scaled, Scaling, Slots, Snapshot, Timestamp};
use crate::plan::{Direction, Scale};

/// TaskManagers that were asked for are awaited for so long. A pod takes seconds where a node has room for it; a cluster
/// autoscaler's node takes one to three minutes, and the image has to be pulled to it. Flink itself waits as long for the slots
/// of a job that was submitted (`resource-wait-timeout`).
const AWAITED_FOR: Duration = Duration::from_mins(5);

/// The same where Kubernetes makes no pods at all, as a quota has it: no node will help. Another pod may be about to go.
const REFUSED_FOR: Duration = Duration::from_secs(30);

/// When there was no room, more are asked for again after this long: often enough to find room that others have left, and
/// seldom enough that pods that cannot be placed do not trouble the scheduler all the time.
const NO_ROOM_FOR: Duration = Duration::from_mins(10);

/// A change of the replicas is about to be asked for.
pub(super) fn begin(scaling: &mut Scaling, scale: &Scale, slots: Option<Slots>, now: Timestamp) {
    let &Scale { from, to, .. } = scale;
    scaling.asked = Some(Scaled { at: now, from, to });
    if to > from {
        // Of several requests in a row, the size that the job has is still that of the first.
        let first = scaling.growth.as_ref();
        let each = slots.and_then(|slots| slots.per_taskmanager());
        let (since, from, slots_of_each) = first
            .map_or((now, from, each), |growth| (growth.since, growth.from.min(from), growth.slots_of_each));
        scaling.growth = Some(Growth { since, at: now, from, to, until: now + AWAITED_FOR, slots_of_each });
    }
}

/// What came of asking for it; nothing where nothing was being asked.
pub(super) fn end(scaling: &mut Scaling, outcome: &Outcome, now: Timestamp) {
    let Some(asked) = scaling.asked.take() else { return };
    let refused =
        |why: String| Some(NoRoom { replicas: asked.from, until: now + NO_ROOM_FOR, why: Some(why) });
    match outcome {
        Outcome::Applied => return scaling.add(asked),
        Outcome::Held { found: Some(Hold::ScaleRefused { detail }) } if asked.to > asked.from => {
            scaling.no_room = refused(detail.clone());
        }
        Outcome::Failed { .. } | Outcome::Held { found: Some(Hold::ScaleRefused { .. }) } => {
            scaling.failed = Some(now);
        }
        // The next cycle sees what there is now.
        Outcome::Superseded { .. }
        | Outcome::Held { .. }
        | Outcome::RolledBack { .. }
        | Outcome::Unobserved
        | Outcome::Unchanged
        | Outcome::Recommended => {}
    }
    scaling.growth = None;
}

/// What was seen, before it is decided on.
pub(super) fn follow(scaling: &mut Scaling, snapshot: &Snapshot, now: Timestamp) {
    let workload = snapshot.around.workload.as_ref();
    if let (Some(asked), Some(workload)) = (scaling.asked, workload) {
        // The program was stopped before the answer came: what there is now tells.
        scaling.asked = None;
        if workload.replicas == asked.to {
            scaling.add(asked);
        }
    }
    let registered = snapshot.slots.map(|slots| slots.taskmanagers);
    scaling.no_room.take_if(|no_room| {
        now >= no_room.until || registered.is_some_and(|registered| registered > no_room.replicas)
    });
    let (Some(growth), Some(slots)) = (&scaling.growth, snapshot.slots) else { return };
    let registered = growth.arrived(slots);
    let refused = workload.and_then(|workload| workload.scalable.as_ref()?.refused.clone());
    let unmade = workload.filter(|workload| workload.has_stopped_short(now, REFUSED_FOR)).map(|workload| {
        let (made, all) = (workload.observed, workload.replicas);
        format!("{made} of {all} pods were made and no more for {REFUSED_FOR:?}: the Events of the StatefulSet say why")
    });
    let refused = refused.or(unmade);
    let is_over = now >= growth.until || refused.is_some() && growth.age(now) >= REFUSED_FOR;
    if !is_over {
        return;
    }
    if registered < growth.to {
        let pods = workload.map_or(&[][..], |workload| &workload.pods);
        let unschedulable = || pods.iter().find_map(|pod| pod.unschedulable.clone());
        let why = refused.or_else(unschedulable);
        scaling.no_room = Some(NoRoom { replicas: registered, until: now + NO_ROOM_FOR, why });
    }
    scaling.growth = None;
}

/// What was decided, for the next cycle. `window` is the one for scaling down.
pub(super) fn learn(scaling: &mut Scaling, decision: &Decision, snapshot: &Snapshot, window: Duration) {
    if decision.proposal.is_none() {
        return;
    }
    let awaited = decision.holds.iter().find_map(|hold| match hold {
        Hold::SlotsAwaited { replicas, .. } => Some(*replicas),
        _ => None,
    });
    if let (Some(to), None, Some(slots)) = (awaited, &scaling.growth, snapshot.slots) {
        // Somebody else has asked for them, or it was forgotten.
        let (at, from) = (decision.at, slots.taskmanagers.min(to));
        scaling.growth = Some(Growth {
            since: at,
            at,
            from,
            to,
            until: at + AWAITED_FOR,
            slots_of_each: slots.per_taskmanager(),
        });
        return;
    }
    // The load has fallen meanwhile: what is not needed any more goes as other TaskManagers do.
    let grows = decision.plan().is_some_and(|plan| plan.direction == Direction::Up);
    scaling.growth.take_if(|growth| !grows && growth.age(decision.at) >= window);
}
