//! Every reason against a plan, all of them at once.

use std::time::Duration;

use serde::Serialize;

use super::Hold;
use crate::model::{Ledger, Rescale, RescaleEnd, Snapshot, Stage, Timestamp};
use crate::plan::{Awaited, Clinging, Direction, Made, OverQuota, Plan, Scale, Step, Way, way_of};
use crate::policy::{MemoryState, Policy, Proposal, ScaleDirection};
use crate::signals::{Signals, Trend};

/// Samples that a decision rests on at the least: one shows a load, and the trend says whether it has been confirmed.
pub const SAMPLES_NEEDED: u32 = 1;

/// A poll is late when it is this many intervals old: two may be lost to a slow answer and a retry.
const POLLS_UNTIL_STALE: u32 = 3;

/// Flink fetches metrics every ten seconds unless told otherwise, and a fetch may just have been missed twice.
const SAMPLE_STALE: Duration = Duration::from_secs(30);

/// A rescale that brought less than this share of what was expected brought nothing (the Flink autoscaler's
/// `scaling.effectiveness.threshold`).
const BROUGHT_NOTHING: f64 = 0.1;

/// What keeps a job from coming up at a size (memory, a quota, slots that others take) is mended in hours rather than minutes, and
/// each try stops the job for minutes: the same is tried again after so long, then twice as long each time, up to a day.
const FAILED_AGAIN_AFTER: Duration = Duration::from_mins(30);
const FAILED_AGAIN_AT_MOST: Duration = Duration::from_hours(24);

/// What keeps a savepoint from being written (back-pressure, a storage that is away) keeps it whatever size comes after, and mostly
/// passes within minutes. Each try may hold records up for as long as Flink's `execution.checkpointing.timeout` lets it (10 min), so
/// the next one waits for at least as long as the last one took.
const STOPPED_AGAIN_AFTER: Duration = Duration::from_mins(1);
const STOPPED_AGAIN_AT_MOST: Duration = Duration::from_hours(1);

/// What brought nothing is not tried again until the load is this much higher, or lower.
const OTHER_LOAD: f64 = 0.1;

/// A change of the replicas that failed is tried again after this long: an API server that restarts is back by then, and one
/// that is down for longer is not asked with every poll.
const SCALE_AGAIN_AFTER: Duration = Duration::from_secs(15);

/// A plan that nothing speaks against; only [`judge`] makes one, and an actuator takes nothing else.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Approved(Plan);

impl Approved {
    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.0
    }
}

/// What a plan is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// What the job was last seen to be.
    pub snapshot: &'a Snapshot,
    /// What it was doing.
    pub signals: &'a Signals,
    /// What was asked for.
    pub proposal: &'a Proposal,
    /// The policy.
    pub policy: &'a Policy,
    /// What was done before.
    pub ledger: &'a Ledger,
    /// When.
    pub now: Timestamp,
}

/// Whether something seen at `at` is too old to act on at `now`.
pub fn is_stale(at: Timestamp, policy: &Policy, now: Timestamp) -> bool {
    now.since(at) > policy.poll.get() * POLLS_UNTIL_STALE
}

/// Why a job's numbers mean nothing at present, if they do not.
pub fn not_running(snapshot: &Snapshot) -> Option<Hold> {
    (!snapshot.is_fully_running()).then_some(Hold::JobNotRunning { state: snapshot.state })
}

/// Approves a plan, or says everything that speaks against it.
///
/// # Errors
/// The plan, with every reason why not now.
pub fn judge(made: Made, context: &Context<'_>) -> Result<Approved, (Plan, Vec<Hold>)> {
    let direction = made.plan.direction;
    if made.plan.step() == Step::RemoveTaskManagers && !made.plan.rescales_by_scale() {
        return judge_removal(made, context);
    }
    let general = [
        unfit(context),
        changing(context),
        mechanism(context),
        cooldown(direction, context),
        budget(context),
        blackout(direction, context),
        paused(direction, context),
        conflict(context),
        paced(&made),
        scale_failed(&made.plan, context),
        failed_before(&made.plan, context).or_else(|| stop_failed(&made.plan, context)),
        nothing_to_scale(&made, context),
    ];
    let directed = match direction {
        Direction::Up => [
            slots(&made).or_else(|| awaited(&made)),
            quota(&made),
            brought_nothing(&made.plan, context),
            None,
            None,
            None,
            None,
        ],
        Direction::Down if made.plan.within_bounds_again => [const { None }; 7],
        Direction::Down => {
            let [gc, heap] = memory(context);
            [
                window(&made),
                backlog(context),
                not_worth_it(&made.plan, context),
                silent(context),
                workload_unseen(context),
                gc,
                heap,
            ]
        }
    };
    concluded(made.plan, general.into_iter().chain(directed))
}

/// Removing idle TaskManagers restarts nothing: it costs no budget and needs no mechanism. What has never come is given back
/// whatever else is going on.
fn judge_removal(made: Made, context: &Context<'_>) -> Result<Approved, (Plan, Vec<Hold>)> {
    let failed = scale_failed(&made.plan, context);
    if made.gives_back {
        return concluded(made.plan, [failed]);
    }
    let holds = [
        unfit(context),
        changing(context),
        cooldown(Direction::Down, context),
        blackout(Direction::Down, context),
        paced(&made),
        failed,
        window(&made),
        backlog(context),
        silent(context),
        clinging(&made),
    ];
    concluded(made.plan, holds)
}

fn concluded(
    plan: Plan,
    holds: impl IntoIterator<Item = Option<Hold>>,
) -> Result<Approved, (Plan, Vec<Hold>)> {
    let holds: Vec<Hold> = holds.into_iter().flatten().collect();
    if holds.is_empty() { Ok(Approved(plan)) } else { Err((plan, holds)) }
}

fn unfit(c: &Context<'_>) -> Option<Hold> {
    let age = (c.policy.poll.get() * POLLS_UNTIL_STALE).max(SAMPLE_STALE);
    if c.now.since(c.signals.at) > age {
        return Some(Hold::Stale { last: Some(c.signals.at) });
    }
    let samples = if c.signals.warm { c.signals.samples } else { 0 };
    (samples < SAMPLES_NEEDED).then_some(Hold::WarmingUp { samples, needed: SAMPLES_NEEDED })
}

fn changing(c: &Context<'_>) -> Option<Hold> {
    (c.signals.trend == Trend::Changing).then_some(Hold::LoadChanging)
}

fn mechanism(c: &Context<'_>) -> Option<Hold> {
    way_of(c.snapshot, c.policy).err().map(|detail| Hold::MechanismUnavailable { detail })
}

fn cooldown(direction: Direction, c: &Context<'_>) -> Option<Hold> {
    let limits = &c.policy.spec.limits;
    let of_direction = match direction {
        Direction::Up => limits.scale_up_cooldown,
        Direction::Down => limits.scale_down_cooldown,
    };
    let until = c.ledger.rescales.back()?.ended + of_direction.unwrap_or(limits.cooldown).get();
    (until > c.now).then_some(Hold::Cooldown { until })
}

fn budget(c: &Context<'_>) -> Option<Hold> {
    let budget = c.policy.spec.limits.rescales;
    let from = c.now - budget.per.get();
    let counted: Vec<&Rescale> =
        c.ledger.rescales.iter().filter(|r| r.end.changed_the_job() && r.ended > from).collect();
    let made = u32::try_from(counted.len()).unwrap_or(u32::MAX);
    // The next may be made when all but `max - 1` of these are older than the period.
    let last_in_the_way = counted.get(counted.len().checked_sub(budget.max.max(1) as usize)?)?;
    Some(Hold::BudgetSpent { made, until: last_in_the_way.ended + budget.per.get() })
}

fn slots(made: &Made) -> Option<Hold> {
    made.slots_have.map(|have| Hold::SlotsMissing { needed: made.plan.slots_after, have })
}

fn awaited(made: &Made) -> Option<Hold> {
    let Awaited { needed, have, replicas, until, why } = made.awaited.clone()?;
    Some(Hold::SlotsAwaited { needed, have, replicas, until, why })
}

fn scale_failed(plan: &Plan, c: &Context<'_>) -> Option<Hold> {
    plan.scale.as_ref()?;
    let until = c.ledger.scaling.failed? + SCALE_AGAIN_AFTER;
    (until > c.now).then_some(Hold::ScaleFailed { until })
}

/// The same sizes for which the job was stopped in vain, however often in a row.
fn failed_before(plan: &Plan, c: &Context<'_>) -> Option<Hold> {
    let is_same = |rescale: &&Rescale| {
        rescale.to.len() == plan.changes.len()
            && plan.changes.iter().all(|change| rescale.to.get(&change.vertex) == Some(&change.to))
    };
    let same = c.ledger.rescales.iter().rev().filter(is_same).filter(|rescale| !was_not_stopped(rescale));
    let in_vain = |rescale: &&Rescale| {
        !rescale.reached.is_empty() && matches!(rescale.end, RescaleEnd::TimedOut | RescaleEnd::Failed)
    };
    let mut failed = same.take_while(in_vain);
    let last = failed.next()?;
    let until = last.ended + doubled(FAILED_AGAIN_AFTER, failed.count(), FAILED_AGAIN_AT_MOST);
    (until > c.now).then_some(Hold::FailedBefore { tried: last.at, until })
}

/// The last rescales failed as the job could not be stopped, however often in a row.
fn stop_failed(plan: &Plan, c: &Context<'_>) -> Option<Hold> {
    let mut failed = c.ledger.rescales.iter().rev().take_while(|rescale| was_not_stopped(rescale));
    let last = failed.next().filter(|_| plan.way.runs_anew())?;
    let pause = STOPPED_AGAIN_AFTER.max(last.ended.since(last.at));
    let until = last.ended + doubled(pause, failed.count(), STOPPED_AGAIN_AT_MOST);
    (until > c.now).then_some(Hold::StopFailed { tried: last.at, until })
}

/// Whether the job was to be stopped for it, and was not: which says nothing of the size.
fn was_not_stopped(rescale: &Rescale) -> bool {
    let is_in = |stage| rescale.reached.iter().any(|reached| reached.stage == stage);
    is_in(Stage::StopRequested) && is_in(Stage::NotStopped)
}

/// A pause that doubles with each time.
fn doubled(pause: Duration, times: usize, most: Duration) -> Duration {
    let times = u32::try_from(times).unwrap_or(u32::MAX);
    pause.saturating_mul(2_u32.saturating_pow(times)).min(most)
}

fn clinging(made: &Made) -> Option<Hold> {
    let Scale { from, to, .. } = made.plan.scale.as_ref()?;
    Some(match made.clinging.as_ref()? {
        Clinging::Unseen => Hold::TaskManagersUnseen,
        Clinging::NoneIdle => Hold::NoIdleTaskManager { replicas: *from, enough: *to },
        Clinging::Busy { pod } => Hold::BusyTaskManagerFirst { pod: pod.clone() },
    })
}

fn workload_unseen(c: &Context<'_>) -> Option<Hold> {
    let detail = c.snapshot.around.workload_unseen.clone()?;
    Some(Hold::WorkloadUnseen { detail })
}

/// A job that takes the slots there are is rescaled by its workload alone.
fn nothing_to_scale(made: &Made, c: &Context<'_>) -> Option<Hold> {
    let is_held = made.awaited.is_some()
        || made.slots_have.is_some()
        || made.over_quota.is_some()
        || made.paced_by.is_some()
        || c.snapshot.around.workload_unseen.is_some() && made.plan.direction == Direction::Down;
    if made.plan.way != Way::Reactive || made.plan.scale.is_some() || is_held {
        return None;
    }
    let unseen = c.snapshot.around.workload_unseen.clone();
    let detail =
        unseen.unwrap_or_else(|| "its scale, or the slots of its TaskManagers, are not known yet".to_owned());
    Some(Hold::WorkloadUnseen { detail })
}

fn quota(made: &Made) -> Option<Hold> {
    let needed = made.plan.slots_after;
    made.over_quota.map(|over| match over {
        OverQuota::Allows(allowed) => Hold::QuotaSpent { needed, allowed },
        OverQuota::Unknown(have) => Hold::QuotaUnknown { needed, have },
    })
}

fn of_policy(direction: Direction) -> ScaleDirection {
    match direction {
        Direction::Up => ScaleDirection::Up,
        Direction::Down => ScaleDirection::Down,
    }
}

/// Of several pauses, one that is not over by itself counts, or else the last to end.
fn paused(direction: Direction, c: &Context<'_>) -> Option<Hold> {
    let holding = c.policy.pauses.iter().filter(|pause| pause.holds(of_policy(direction), c.now));
    let last = holding.max_by_key(|pause| (pause.until.is_none(), pause.until))?;
    Some(Hold::PausedByAnnotation { direction: last.direction, until: last.until })
}

fn conflict(c: &Context<'_>) -> Option<Hold> {
    let with = &c.policy.rivals;
    (!with.is_empty()).then(|| Hold::Conflict { with: with.clone() })
}

/// Of several that are open, the last to close counts.
fn blackout(direction: Direction, c: &Context<'_>) -> Option<Hold> {
    let direction = of_policy(direction);
    let blackouts = c.policy.spec.limits.blackout.iter();
    let meant = blackouts.filter(|blackout| blackout.direction.is_none_or(|only| only == direction));
    let until = meant.filter_map(|blackout| blackout.open_until(c.now)).max()?;
    Some(Hold::Blackout { until })
}

/// Growing again at the load for which the job has just grown: what that brought is looked at first, and where it brought
/// nothing, as when the cores are the limit, other vertices would gain nothing either.
fn brought_nothing(plan: &Plan, c: &Context<'_>) -> Option<Hold> {
    let last = c.ledger.last_applied().filter(|rescale| rescale.is_up())?;
    if (plan.load - last.load).abs() > last.load * OTHER_LOAD {
        return None;
    }
    if let Some(expected) = &c.ledger.expectation {
        return Some(Hold::EffectAwaited { until: expected.check_at });
    }
    last.brought
        .is_some_and(|share| share < BROUGHT_NOTHING)
        .then_some(Hold::BroughtNothing { tried: last.at })
}

fn paced(made: &Made) -> Option<Hold> {
    made.paced_by.map(|by| Hold::Paced { by })
}

/// As with several metrics of an HPA: one that cannot be had might ask for more than the others.
fn silent(c: &Context<'_>) -> Option<Hold> {
    let (rule, why) = c.proposal.silent().next()?;
    Some(Hold::RuleSilent { rule: rule.rule.to_owned(), why: why.clone() })
}

/// What the memory has too little of now it would have less of.
fn memory(c: &Context<'_>) -> [Option<Hold>; 2] {
    let most = c.policy.spec.limits.memory_pressure;
    let state = MemoryState::of(c.ledger, c.now);
    let gc = state.gc_pressure(&most).map(|share| Hold::GcPressure { share, most: most.gc_time });
    let heap = state.heap_pressure(&most).map(|share| Hold::HeapPressure { share, most: most.heap });
    [gc, heap]
}

fn window(made: &Made) -> Option<Hold> {
    made.window_until.map(|until| Hold::ScaleDownStabilized { until })
}

fn backlog(c: &Context<'_>) -> Option<Hold> {
    let records = c.proposal.backlog_standing;
    (records > 0.0).then_some(Hold::BacklogStands { records })
}

/// The slots that are saved while the low load lasts, against those that stand still while the job restarts. A load that
/// has been low for the whole window is expected to stay so for as long again.
fn not_worth_it(plan: &Plan, c: &Context<'_>) -> Option<Hold> {
    let lasts = crate::policy::scale_down_window(c.policy, c.ledger).as_secs_f64();
    let saved = f64::from(plan.slots_before.saturating_sub(plan.slots_after)) * lasts;
    let cost = f64::from(plan.slots_before) * c.proposal.restart_seconds;
    (saved < cost).then_some(Hold::NotWorthIt { saved, cost })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use crate::model::{Expectation, Memory, Parallelism, Reached, Scheduler};
    use crate::plan;
    use crate::policy::hpa::SelectPolicy::Disabled;
    use crate::policy::testing::{Job, policy, rescale, unanswered, workload};
    use crate::policy::{Blackout, Bounds, Budget, Mechanism, MemoryPressure, Pause, Quota, Rival, Span};

    /// What speaks against the plan that a job's load asks for.
    fn holds(job: &Job, policy: &Policy) -> Vec<&'static str> {
        let proposal = job.proposal(policy);
        let (made, _) = plan::make(&proposal, &job.snapshot, policy, &job.ledger, job.now);
        let context = Context {
            snapshot: &job.snapshot,
            signals: &job.signals,
            proposal: &proposal,
            policy,
            ledger: &job.ledger,
            now: job.now,
        };
        match judge(made.expect("the job needs another size"), &context) {
            Ok(_) => Vec::new(),
            Err((_, holds)) => holds.iter().map(Hold::kind).collect(),
        }
    }

    fn short() -> Job {
        Job::chain(&[(1, 0.0), (3, 0.004), (1, 0.001)]).arriving(1500.0)
    }

    /// Nine subtasks where three are enough, and have been for two minutes.
    fn large() -> Job {
        Job::chain(&[(1, 0.0), (9, 0.004), (1, 0.001)])
            .arriving(400.0)
            .needed(120, &[1, 3, 1])
            .needed(0, &[1, 3, 1])
    }

    fn rescaled(job: &mut Job, ended_seconds_ago: u64, end: RescaleEnd) {
        let ended = job.now - Duration::from_secs(ended_seconds_ago);
        // A second each, so that the window and the cost of a restart stay small.
        job.ledger.add_rescale(Rescale { ended, end, ..rescale(0, Some(1.0)) });
    }

    /// So many of 1000 bytes of heap, and this share of the time in garbage collection, in three readings.
    fn memory_read(job: &mut Job, heap_used: u64, gc: f64) {
        for seconds_ago in [120, 60, 0] {
            let at = job.now - Duration::from_secs(seconds_ago);
            let (metaspace_used, managed_used, pools) = (None, None, None);
            let gc_share = Some(gc);
            let memory =
                Memory { at, heap_used, heap_max: 1000, metaspace_used, managed_used, gc_share, pools };
            job.ledger.add_memory(memory);
        }
    }

    /// What it is, the job, what is different about it or its policy, and what then speaks against the plan.
    type Row = (&'static str, fn() -> Job, fn(&mut Job, &mut Policy), &'static [&'static str]);

    fn check(rows: &[Row]) {
        for (what, job, change, expected) in rows {
            let (mut job, mut policy) = (job(), policy());
            change(&mut job, &mut policy);
            assert_eq!(holds(&job, &policy), *expected, "{what}");
        }
    }

    #[test]
    fn holds_for_every_reason_and_no_other() {
        check(&[
            ("up", short, |_, _| {}, &[]),
            ("down", large, |j, _| rescaled(j, 3600, RescaleEnd::Done), &[]),
            ("the load has just changed", short, |j, _| j.signals.trend = Trend::Changing, &["LoadChanging"]),
            ("cold tasks", short, |j, _| j.signals.warm = false, &["WarmingUp"]),
            ("no sample", short, |j, _| j.signals.samples = 0, &["WarmingUp"]),
            ("old samples", short, |j, _| j.signals.at = j.now - Duration::from_secs(31), &["Stale"]),
            (
                "default scheduler",
                short,
                |j, _| j.snapshot.cluster.scheduler = Scheduler::Default,
                &["MechanismUnavailable"],
            ),
            (
                "reactive",
                short,
                |j, _| j.snapshot.cluster.scheduler = Scheduler::Reactive,
                &["MechanismUnavailable"],
            ),
            (
                "Flink 1.17",
                short,
                |j, _| (j.snapshot.cluster.version.major, j.snapshot.cluster.version.minor) = (1, 17),
                &["MechanismUnavailable"],
            ),
            (
                "Flink 1.18",
                short,
                |j, _| (j.snapshot.cluster.version.major, j.snapshot.cluster.version.minor) = (1, 18),
                &[],
            ),
            ("within the cooldown", short, |j, _| rescaled(j, 119, RescaleEnd::Done), &["Cooldown"]),
            ("after the cooldown", short, |j, _| rescaled(j, 120, RescaleEnd::Done), &[]),
            (
                "what failed is not asked for again at once",
                short,
                |j, _| rescaled(j, 5, RescaleEnd::Failed),
                &["Cooldown"],
            ),
            (
                "the budget is spent",
                short,
                |j, p| {
                    p.spec.limits.rescales = Budget { max: 2, per: Span::from_secs(3600) };
                    rescaled(j, 3000, RescaleEnd::Done);
                    rescaled(j, 2000, RescaleEnd::Partial);
                },
                &["BudgetSpent"],
            ),
            (
                "what did not restart the job costs no budget",
                short,
                |j, p| {
                    p.spec.limits.rescales = Budget { max: 2, per: Span::from_secs(3600) };
                    rescaled(j, 3000, RescaleEnd::Done);
                    rescaled(j, 2000, RescaleEnd::TimedOut);
                },
                &[],
            ),
            ("an unknown window", large, |j, _| j.ledger.needs.clear(), &["ScaleDownStabilized"]),
            (
                "a backlog stands",
                large,
                |j, _| {
                    rescaled(j, 3600, RescaleEnd::Done);
                    j.signals.vertices[0].backlog = Some(2000.0);
                },
                &["BacklogStands"],
            ),
            // Six of nine slots for a minute are 360 slot-seconds; ten seconds of nine are 90, fifty are 450.
            ("worth it", large, |_, _| {}, &[]),
            (
                "not worth it",
                large,
                |j, _| {
                    rescaled(j, 3600, RescaleEnd::Done);
                    let last = j.ledger.rescales.back_mut().expect("just added");
                    last.downtime = crate::model::Seconds::new(50.0).ok();
                },
                &["NotWorthIt"],
            ),
            (
                "too few slots",
                short,
                |j, _| j.snapshot.slots.as_mut().expect("a row has slots").total = 3,
                &["SlotsMissing"],
            ),
        ]);
    }

    #[test]
    fn holds_for_what_the_policy_sets() {
        check(&[
            (
                "a cooldown of its own for growing",
                short,
                |j, p| {
                    p.spec.limits.scale_up_cooldown = Some(Span::from_secs(10));
                    rescaled(j, 11, RescaleEnd::Done);
                },
                &[],
            ),
            (
                "a longer one for shrinking",
                large,
                |j, p| {
                    p.spec.limits.scale_down_cooldown = Some(Span::from_secs(7200));
                    rescaled(j, 3600, RescaleEnd::Done);
                },
                &["Cooldown"],
            ),
            (
                "no growing at all",
                short,
                |_, p| p.spec.behavior.scale_up.select_policy = Disabled,
                &["Paced"],
            ),
            ("a silent rule stops no growing", short, |_, p| p.spec.rules.push(unanswered()), &[]),
            (
                "a silent rule stops shrinking",
                large,
                |j, p| {
                    p.spec.rules.push(unanswered());
                    rescaled(j, 3600, RescaleEnd::Done);
                },
                &["RuleSilent"],
            ),
        ]);
    }

    #[test]
    fn memory_that_is_nearly_full_holds_shrinking_and_nothing_else() {
        check(&[
            (
                "time in garbage collection",
                large,
                |j, _| {
                    rescaled(j, 3600, RescaleEnd::Done);
                    memory_read(j, 500, 0.11);
                },
                &["GcPressure"],
            ),
            (
                "a full heap",
                large,
                |j, _| {
                    rescaled(j, 3600, RescaleEnd::Done);
                    memory_read(j, 810, 0.05);
                },
                &["HeapPressure"],
            ),
            (
                "memory to spare",
                large,
                |j, _| {
                    rescaled(j, 3600, RescaleEnd::Done);
                    memory_read(j, 790, 0.09);
                },
                &[],
            ),
            (
                "no limit",
                large,
                |j, p| {
                    rescaled(j, 3600, RescaleEnd::Done);
                    memory_read(j, 999, 0.9);
                    p.spec.limits.memory_pressure = MemoryPressure { gc_time: 1.0, heap: 1.0 };
                },
                &[],
            ),
            ("a full heap stops no growing", short, |j, _| memory_read(j, 990, 0.9), &[]),
        ]);
    }

    /// A window of two hours that opens at this hour of Wednesdays in Paris; the tests are at 12:06 there.
    fn blackout(hour: u32, direction: Option<ScaleDirection>) -> Blackout {
        Blackout {
            time_zone: "Europe/Paris".parse().expect("a zone"),
            cron: format!("0 {hour} * * 3").parse().expect("cron"),
            lasts: Some(Span::from_secs(7200)),
            end: None,
            direction,
        }
    }

    #[test]
    fn holds_while_a_blackout_is_open() {
        check(&[
            ("both ways: up", short, |_, p| p.spec.limits.blackout = vec![blackout(11, None)], &["Blackout"]),
            (
                "both ways: down",
                large,
                |_, p| p.spec.limits.blackout = vec![blackout(11, None)],
                &["Blackout"],
            ),
            ("over", short, |_, p| p.spec.limits.blackout = vec![blackout(10, None)], &[]),
            ("not yet", short, |_, p| p.spec.limits.blackout = vec![blackout(13, None)], &[]),
            (
                "of the other direction",
                short,
                |_, p| p.spec.limits.blackout = vec![blackout(11, Some(ScaleDirection::Down))],
                &[],
            ),
            (
                "of this direction",
                large,
                |_, p| p.spec.limits.blackout = vec![blackout(11, Some(ScaleDirection::Down))],
                &["Blackout"],
            ),
            (
                "what would be brought back within its bounds waits too",
                large,
                |_, p| {
                    p.parallelism = Bounds { min: Parallelism::ONE, max: Parallelism::clamped(4) };
                    p.spec.limits.blackout = vec![blackout(11, None)];
                },
                &["Blackout"],
            ),
        ]);
    }

    #[test]
    fn holds_what_is_paused_from_outside_or_scaled_by_others() {
        fn pause(policy: &mut Policy, text: &str) {
            policy.pauses = Pause::list(text).expect("pauses");
        }
        let rival = || Rival::FlinkAutoscaler { namespace: "streams".to_owned(), name: "other".to_owned() };
        check(&[
            ("all: up", short, |_, p| pause(p, "all"), &["PausedByAnnotation"]),
            ("all: down", large, |_, p| pause(p, "all"), &["PausedByAnnotation"]),
            ("of this direction", large, |_, p| pause(p, "down"), &["PausedByAnnotation"]),
            ("of the other direction", short, |_, p| pause(p, "down"), &[]),
            ("not over", short, |_, p| pause(p, "up until 2100-01-01T00:00:00Z"), &["PausedByAnnotation"]),
            ("over", short, |_, p| pause(p, "up until 2000-01-01T00:00:00Z"), &[]),
        ]);
        let (job, mut policy) = (short(), policy());
        policy.rivals = vec![rival()];
        assert_eq!(holds(&job, &policy), ["Conflict"]);
        let said = Hold::Conflict { with: policy.rivals }.to_string();
        assert_eq!(said, "FlinkAutoscaler streams/other scales the same: only one may be left");
    }

    #[test]
    fn a_blackout_lasts_until_the_last_one_that_is_open_closes() {
        let (job, mut policy) = (short(), policy());
        policy.spec.limits.blackout = vec![blackout(12, None), blackout(11, None), blackout(13, None)];
        let proposal = job.proposal(&policy);
        let (snapshot, signals, ledger) = (&job.snapshot, &job.signals, &job.ledger);
        let context =
            Context { snapshot, signals, proposal: &proposal, policy: &policy, ledger, now: job.now };
        // Open since 12:00, for two hours from 12:06:40.
        let until = job.now + Duration::from_secs(7200 - 400);
        assert_eq!(super::blackout(Direction::Up, &context), Some(Hold::Blackout { until }));
    }

    #[test]
    fn a_quota_that_leaves_nothing_or_cannot_be_checked_holds_growing() {
        let quota = |cpu: &str| Some(Quota { cpu: cpu.parse().ok(), memory: None });
        let (mut job, mut policy) = (short(), policy());
        policy.spec.limits.quota = quota("1");
        assert_eq!(holds(&job, &policy), Vec::<&str>::new(), "within what is there, nothing is to be known");
        job.snapshot.slots = None;
        assert_eq!(holds(&job, &policy), ["QuotaUnknown"]);
        let mut job = short();
        let slots = job.snapshot.slots.as_mut().expect("a row has slots");
        (slots.total, slots.taskmanagers) = (16, 16);
        job.snapshot.around.workload = Some(workload(16, 500));
        for (cpu, expected) in [("100", &[][..]), ("1500m", &["QuotaSpent"]), ("0", &["QuotaSpent"])] {
            policy.spec.limits.quota = quota(cpu);
            assert_eq!(holds(&job, &policy), expected, "{cpu} cores for TaskManagers of one slot");
        }
    }

    #[test]
    fn a_size_at_which_the_job_did_not_come_up_is_not_tried_again_soon() {
        use RescaleEnd::{Done, Failed, TimedOut};
        let stopped = || vec![Reached { stage: Stage::RolledBack, at: Timestamp::from_millis(0) }];
        // (ends of rescales to this size, the oldest first; minutes since the last; whether the job was stopped; same size; held)
        for (ends, minutes, was_stopped, is_same, held) in [
            (&[TimedOut][..], 29, true, true, true),
            (&[TimedOut], 31, true, true, false),
            (&[Failed], 29, true, true, true),
            (&[TimedOut], 29, true, false, false),
            (&[TimedOut], 29, false, true, false),
            (&[Done], 29, true, true, false),
            (&[TimedOut, Failed], 59, true, true, true),
            (&[TimedOut, Failed], 61, true, true, false),
            (&[TimedOut, Done, Failed], 31, true, true, false),
            (&[TimedOut; 12], 23 * 60, true, true, true),
            (&[TimedOut; 12], 25 * 60, true, true, false),
        ] {
            let mut job = short();
            let policy = policy();
            let (made, _) = plan::make(&job.proposal(&policy), &job.snapshot, &policy, &job.ledger, job.now);
            let to = made.expect("it is short").plan.changes;
            for &end in ends {
                rescaled(&mut job, minutes * 60, end);
                let last = job.ledger.rescales.back_mut().expect("just added");
                last.to = to.iter().map(|change| (change.vertex, change.to)).collect();
                if !is_same {
                    last.to.values_mut().for_each(|size| *size = Parallelism::clamped(77));
                }
                last.reached = if was_stopped { stopped() } else { Vec::new() };
            }
            let expected = if held { &["FailedBefore"][..] } else { &[] };
            assert_eq!(holds(&job, &policy), expected, "{ends:?}, {minutes} min, {was_stopped} {is_same}");
        }
    }

    #[test]
    fn a_job_that_could_not_be_stopped_is_not_stopped_again_soon_for_any_size() {
        use Stage::{NotStopped, RolledBack, StopRequested, Submitted};
        let once = [[StopRequested, NotStopped]];
        // (states of rescales to another size, the oldest first; seconds that the last took, and since; whether the job is stopped for
        // this one)
        for (ends, took, since, stops, held) in [
            (&once[..], 5, 59, true, true),
            (&once, 5, 61, true, false),
            (&once, 5, 59, false, false),
            (&once, 600, 599, true, true),
            (&once, 600, 601, true, false),
            (&[[StopRequested, NotStopped]; 2], 5, 119, true, true),
            (&[[StopRequested, NotStopped]; 2], 5, 121, true, false),
            (&[[StopRequested, NotStopped]; 9], 5, 3599, true, true),
            (&[[StopRequested, NotStopped]; 9], 5, 3601, true, false),
            // It was stopped, or an operator did not take it: that would be held for the same size.
            (&[[StopRequested, NotStopped], [StopRequested, RolledBack]], 5, 59, true, false),
            (&[[Submitted, NotStopped]], 5, 59, true, false),
        ] {
            let (mut job, mut policy) = (short(), policy());
            for stages in ends {
                rescaled(&mut job, since, RescaleEnd::Failed);
                let last = job.ledger.rescales.back_mut().expect("just added");
                last.at = last.ended - Duration::from_secs(took);
                last.reached = stages.map(|stage| Reached { stage, at: last.at }).into();
            }
            policy.spec.limits.cooldown = Span::default();
            if stops {
                (policy.mechanism, policy.can_run_again) = (Mechanism::Savepoint, true);
            }
            let expected = if held { &["StopFailed"][..] } else { &[] };
            assert_eq!(holds(&job, &policy), expected, "{ends:?}, {took} s, {since} s, {stops}");
        }
    }

    #[test]
    fn what_a_rescale_brought_is_awaited_and_nothing_is_not_tried_again_at_the_same_load() {
        for (brought, load, awaited, expected) in [
            (Some(0.05), 1500.0, false, &["BroughtNothing"][..]),
            (Some(0.5), 1500.0, false, &[]),
            (None, 1500.0, false, &[]),
            (Some(0.05), 1300.0, false, &[]),
            (None, 1500.0, true, &["EffectAwaited"]),
            (None, 1300.0, true, &[]),
        ] {
            let mut job = short();
            rescaled(&mut job, 3600, RescaleEnd::Done);
            let ids = job.snapshot.graph.vertices().iter().map(|v| v.id);
            let last = job.ledger.rescales.back_mut().expect("just added");
            (last.brought, last.load) = (brought, load);
            last.from = ids.clone().zip([1, 1, 1].map(Parallelism::clamped)).collect();
            last.to = ids.zip([1, 3, 1].map(Parallelism::clamped)).collect();
            job.ledger.expectation = awaited.then(|| Expectation {
                check_at: job.now + Duration::from_secs(9),
                capacity: BTreeMap::new(),
            });
            assert_eq!(holds(&job, &policy()), expected, "{brought:?} at {load}");
        }
    }
}
