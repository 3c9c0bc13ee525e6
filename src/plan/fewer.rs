//! TaskManagers that go after a job has shrunk: how many are not needed any more, and which of them run nothing.
//!
//! By what is seen alone, in every cycle anew: whatever has happened in between, the TaskManagers that nobody needs and that
//! nothing runs on are found again.

mod pods;

use std::time::Duration;

use super::make::{Made, Maker};
use super::more::Source;
use super::{Direction, LimitedBy, Scale, slots};
use crate::model::{Ledger, Parallelism, Scalable, Scaled, Snapshot, Timestamp, Workload};
use crate::policy::hpa::{self, Change, RatePolicy, Rules, ScaleEvent, SelectPolicy};
use crate::policy::{self, Policy, Proposal, ScalingPolicyType, scale_down_window};
use pods::Order;

/// What keeps TaskManagers from being removed that are no longer needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clinging {
    /// The registered TaskManagers have not been asked for yet.
    Unseen,
    /// Each of them holds slots.
    NoneIdle,
    /// The workload removes this one first, and it may hold slots.
    Busy {
        /// Its name.
        pod: String,
    },
}

/// The plan to remove TaskManagers that nobody needs; `None` where there are none. `planned` is what is to be done to the
/// job, if anything: what it needs is kept.
pub fn fewer(
    proposal: &Proposal,
    snapshot: &Snapshot,
    policy: &Policy,
    ledger: &Ledger,
    planned: Option<&Made>,
    now: Timestamp,
) -> Option<Made> {
    let scaling = &ledger.scaling;
    if snapshot.around.workload.as_ref()?.scalable.is_none() || scaling.growth.is_some() {
        return None;
    }
    let maker = Maker::new(proposal, snapshot, policy, ledger, now);
    let source = maker.source()?;
    let (kept, window_until) = maker.kept(planned, source);
    let replicas = source.workload.replicas;
    let surplus = replicas.checked_sub(kept).filter(|&surplus| surplus > 0)?;

    let order = Order::of(source.workload, source.scalable);
    let (free, clinging) = order.free(surplus);
    let (paced, paced_by) = maker.paced_removal(replicas, kept);
    let going = surplus.min(free).min(replicas - paced);
    let to = if going > 0 { replicas - going } else { kept };
    let pods = if going > 0 { order.names(going) } else { Vec::new() };
    // Those that a job holds slots of go with the rescale that is for that.
    if going == 0 && maker.is_reactive() {
        return None;
    }

    let mut made = maker.made_of(Direction::Down, &snapshot.parallelism());
    made.plan.replicas = Some(to);
    made.plan.scale = Some(Scale { from: replicas, to, pods, removes: source.scalable.removes });
    made.paced_by = paced_by.filter(|_| paced == replicas);
    if going == 0 && made.paced_by.is_none() {
        made.clinging = clinging;
    }
    // What has never come costs nothing to give back, and waits for nobody.
    let gives_back = going > 0 && going <= order.absent() && scaling.room(now).is_some();
    made.window_until = window_until.filter(|_| !gives_back);
    made.gives_back = gives_back;
    Some(made)
}

/// Whether so many replicas can go now with nothing lost, and just these pods would.
///
/// # Errors
/// In one line, what is no longer so.
pub fn can_go(workload: &Workload, scalable: &Scalable, going: u32, names: &[String]) -> Result<(), String> {
    let order = Order::of(workload, scalable);
    if let Some(busy) = names.iter().find(|name| !order.is_free(name)) {
        return Err(format!("{busy} is gone, or its TaskManager holds slots by now"));
    }
    match order.free(going) {
        (free, _) if free >= going => Ok(()),
        (_, Some(Clinging::Busy { pod })) => {
            Err(format!("{pod} would go first, and its TaskManager may hold slots"))
        }
        (free, _) => Err(format!("only {free} of {going} TaskManagers run nothing by now")),
    }
}

impl Maker<'_> {
    /// Replicas that are kept, and when the window will have passed that must be known for it, if it has not.
    fn kept(&self, planned: Option<&Made>, source: Source<'_>) -> (u32, Option<Timestamp>) {
        let own = self.own();
        let (lately, window_until) = self.needed_lately();
        let planned = planned.filter(|made| made.plan.direction == Direction::Up);
        let needed = own.max(lately).max(planned.map_or(0, |made| made.plan.slots_after));
        let others = slots::of_others(source.slots, own);
        let least = policy::least_replicas(self.policy, self.proposal, self.now);
        let taskmanagers = |slots: u32| slots.saturating_add(others).div_ceil(source.per).max(1);
        let mut kept = taskmanagers(needed).max(least);
        if let Some(most) = self.most_replicas() {
            kept = kept.min(most.max(taskmanagers(own)));
        }
        if let Some(room) = self.ledger.scaling.room(self.now) {
            kept = kept.min(room.max(source.slots.taskmanagers).max(taskmanagers(own)));
        }
        (kept, window_until)
    }

    /// Slots that the job needed at its most within the scale-down window.
    fn needed_lately(&self) -> (u32, Option<Timestamp>) {
        let window = scale_down_window(self.policy, self.ledger);
        let mut window_until: Option<Timestamp> = None;
        let wants = self.proposal.wants.iter().enumerate();
        let sizes: Vec<Parallelism> = wants
            .map(|(index, want)| {
                // Nothing is known of what it needs: it keeps what it has.
                let Some(needs) = self.ledger.needs.get(&self.vertex(index).id) else { return want.current };
                let most = needs.most_since(self.now - window);
                // Where nothing was needed within a window that has passed, nothing is known of it any more, and nothing is
                // waited for: a source's need is known only while records wait.
                let until = Some(needs.since + window).filter(|&until| most.is_none() && until > self.now);
                window_until = window_until.max(until);
                let (least, largest) = self.bounds[index];
                most.map_or(want.current, |most| most.min(largest).max(least).max(want.current))
            })
            .collect();
        (slots::needed(&self.snapshot.graph, &sizes), window_until)
    }

    /// The fewest replicas that the behavior lets go to now, and what of it leaves more than are kept.
    fn paced_removal(&self, replicas: u32, kept: u32) -> (u32, Option<LimitedBy>) {
        let rules = &self.policy.spec.behavior.scale_down;
        let of_replicas = |rate: &policy::ScalingRate| {
            let change = match rate.kind {
                ScalingPolicyType::Pods => Change::Count(rate.value),
                ScalingPolicyType::Percent => Change::Percent(rate.value),
                ScalingPolicyType::Subtasks => return None,
            };
            Some(RatePolicy { change, period: Duration::from_secs(u64::from(rate.period_seconds)) })
        };
        let policies: Vec<_> = rules.policies.iter().filter_map(of_replicas).collect();
        if policies.is_empty() && rules.select_policy != SelectPolicy::Disabled {
            return (kept, None);
        }
        let rules = Rules { window: Duration::ZERO, select: rules.select_policy, policies };
        let event =
            |&Scaled { at, from, to }: &Scaled| ScaleEvent { at, change: i64::from(to) - i64::from(from) };
        let events: Vec<_> = self.ledger.scaling.changes.iter().map(event).collect();
        let floor = hpa::floor(replicas, &events, &rules, self.now).max(kept);
        (floor, (floor > kept).then_some(LimitedBy::ScaleDownLimit))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::slots;
    use super::*;
    use crate::model::{Need, NeedWindow, Removes, Slots};
    use crate::policy::testing::{Job, policy, workload};

    /// Three of five TaskManagers are enough; the need of the source was known so many seconds ago, and is no more.
    #[test]
    fn a_need_that_is_known_no_more_is_waited_for_no_longer_than_its_window() {
        for (ago, left) in [(10, Some(50)), (59, Some(1)), (60, None), (4000, None)] {
            let mut job = Job::chain(&[(1, 0.0), (3, 0.004), (1, 0.001)]).arriving(500.0);
            let scalable = Scalable { removes: Removes::LowestCost, refused: None, registered: None };
            job.snapshot.slots = Some(Slots { available: 2, ..slots(5, 5) });
            job.snapshot.around.workload = Some(Workload { scalable: Some(scalable), ..workload(5, 1000) });
            let (source, policy) = (job.snapshot.graph.vertices()[0].id, policy());
            let known = Need { at: job.now - Duration::from_secs(ago), wanted: Parallelism::clamped(1) };
            job.ledger.needs.clear();
            job.ledger.needs.insert(source, NeedWindow::new(known));
            let made = fewer(&job.proposal(&policy), &job.snapshot, &policy, &job.ledger, None, job.now);
            let made = made.expect("there are more than are needed");
            let waits = made.window_until.map(|until| until.since(job.now).as_secs());
            assert_eq!((made.plan.replicas, waits), (Some(3), left), "{ago} s ago");
        }
    }
}
