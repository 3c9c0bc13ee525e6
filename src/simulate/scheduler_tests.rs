//! What requests and faults do to the job, each as a diary of what is seen when.

use std::time::Duration;

use super::model_tests::{chain, grow, near, run, see, start};
use super::*;
use crate::model::{FlinkVersion, JobState, Missed, MissedWhy, Observation, Snapshot, VertexId};
use crate::policy::Span;

/// For each second after a request: the state and the sizes that the job is in.
fn follow(flink: &mut Simulation, seconds: u32) -> Vec<(u32, JobState, Vec<u32>)> {
    let mut changes: Vec<(u32, JobState, Vec<u32>)> = Vec::new();
    for tenth in 0..seconds * 10 {
        let truth = flink.truth();
        if changes.last().is_none_or(|(_, state, sizes)| (*state, sizes) != (truth.state, &truth.parallelism))
        {
            changes.push((tenth / 10, truth.state, truth.parallelism));
        }
        run(flink, 0.1);
    }
    changes
}

#[test]
fn each_version_rescales_in_its_own_way() {
    use JobState::{Created, Restarting, Running};
    let (one, three, nine, eight) = (vec![1, 1], vec![1, 3], vec![1, 9], vec![1, 8]);
    for (version, upper, wait, expected) in [
        // Slots are there: at once, after the cooldown (30 s after the start at 0), with the next checkpoint (33, 36...).
        ("1.18.1", 3, 10.0, vec![(0, Running, &one), (0, Restarting, &one), (0, Running, &three)]),
        ("1.20.5", 3, 10.0, vec![(0, Running, &one), (20, Restarting, &one), (20, Running, &three)]),
        ("1.20.5", 3, 40.0, vec![(0, Running, &one), (0, Restarting, &one), (0, Running, &three)]),
        ("2.3.0", 3, 10.0, vec![(0, Running, &one), (20, Restarting, &one), (20, Running, &three)]),
        ("2.3.0", 3, 40.0, vec![(0, Running, &one), (2, Restarting, &one), (2, Running, &three)]),
        // One slot is missing: the old ones stop first and wait then, the new ones wait first.
        (
            "1.18.1",
            9,
            40.0,
            vec![(0, Running, &one), (0, Restarting, &one), (0, Created, &nine), (10, Running, &eight)],
        ),
        (
            "1.20.5",
            9,
            40.0,
            vec![(0, Running, &one), (0, Restarting, &one), (0, Created, &nine), (10, Running, &eight)],
        ),
        ("2.3.0", 9, 40.0, vec![(0, Running, &one), (60, Restarting, &one), (60, Running, &eight)]),
    ] {
        let mut scenario = chain(Load::constant(100.0), &[(1.0, 1)]);
        scenario.flink_version = version.parse().expect("a version");
        (scenario.taskmanagers, scenario.slots_per_taskmanager) = (2, 4);
        scenario.checkpoints =
            Some(CheckpointScenario { interval: Span::from_secs(3), duration: Span::from_millis(200) });
        let mut flink = start(&scenario);
        run(&mut flink, wait);
        assert_eq!(grow(&mut flink, "step 0", upper), Ok(()));
        let seen = follow(&mut flink, 100);
        let seen: Vec<_> = seen.iter().map(|(second, state, sizes)| (*second, *state, sizes)).collect();
        assert_eq!(seen, expected, "{version}, {upper} subtasks asked for after {wait} s");
    }
}

#[test]
fn a_lower_bound_beyond_the_slots_waits_for_them() {
    let mut scenario = chain(Load::constant(100.0), &[(1.0, 4)]);
    (scenario.taskmanagers, scenario.slots_per_taskmanager) = (2, 2);
    scenario.faults =
        vec![Fault { at: Span::from_secs(200), what: FaultKind::TaskmanagersAdded { count: 1 } }];
    let mut flink = start(&scenario);
    let ids: Vec<VertexId> = flink.graph().vertices().iter().map(|v| v.id).collect();
    assert_eq!(flink.requirements(&[(ids[0], 1, 1), (ids[1], 6, 6)]), Ok(()));
    run(&mut flink, 199.0);
    assert_eq!((flink.truth().parallelism, flink.truth().restarts), (vec![1, 4], 0));
    run(&mut flink, 20.0);
    assert_eq!((flink.truth().parallelism, flink.truth().restarts), (vec![1, 6], 1));
}

#[test]
fn requirements_are_checked_as_flink_does() {
    let scenario = chain(Load::constant(100.0), &[(1.0, 1)]);
    let mut flink = start(&scenario);
    let ids: Vec<VertexId> = flink.graph().vertices().iter().map(|v| v.id).collect();
    let stranger = VertexId::from_bits(1);
    for (wanted, words) in [
        (Vec::new(), "is missing"),
        (vec![(ids[0], 1, 1)], "is missing"),
        (vec![(ids[0], 1, 1), (ids[1], 3, 2)], "lower bound 3 is above the upper bound 2"),
        (vec![(ids[0], 1, 1), (ids[1], 0, 2)], "must be above 0"),
        (vec![(ids[0], 1, 1), (ids[1], 1, 129)], "above its max parallelism 128"),
        (vec![(ids[0], 1, 1), (ids[1], 1, 2), (stranger, 1, 1)], "not one of the job's"),
    ] {
        let refused = flink.requirements(&wanted).expect_err("must be refused");
        assert!(matches!(refused, Refused::Invalid(_)) && refused.to_string().contains(words), "{refused}");
    }
    let old = Scenario { flink_version: "1.17.2".parse().expect("a version"), ..scenario.clone() };
    assert_eq!(grow(&mut start(&old), "step 0", 2), Err(Refused::NotFound));
    let default = Scenario { scheduler: SchedulerKind::Default, ..scenario };
    assert_eq!(grow(&mut start(&default), "step 0", 2), Err(Refused::Unsupported));
}

#[test]
fn a_restart_resets_counters_and_reads_again_since_the_last_checkpoint() {
    let mut scenario = chain(Load::constant(1000.0), &[(0.5, 1)]);
    scenario.flink_version = FlinkVersion { major: 1, minor: 18, patch: 1 };
    scenario.checkpoints =
        Some(CheckpointScenario { interval: Span::from_secs(10), duration: Span::from_millis(200) });
    scenario.restart.time = Span::from_secs(2);
    let mut flink = start(&scenario);
    run(&mut flink, 45.0);
    assert_eq!(grow(&mut flink, "step 0", 2), Ok(()));
    run(&mut flink, 0.4);
    // Read again: what came since the checkpoint of second 40; waiting besides: what came since the stop.
    near(flink.truth().backlog(), 5400.0, 0.05);
    near(flink.truth().lag().get(), 5.4, 0.1);
    let Observation::Seen(seen) = flink.observe() else { panic!("not seen") };
    assert_eq!((seen.state, seen.is_fully_running()), (JobState::Restarting, false));
    run(&mut flink, 3.0);
    let Observation::Seen(seen) = flink.observe() else { panic!("not seen") };
    assert!(seen.is_fully_running() && seen.vertices[1].read_records.is_none(), "not fetched yet: {seen:?}");
    let seen = see(&mut flink);
    let reading = &seen.vertices[1];
    let clock = reading.busy_ms.zip(reading.idle_ms).zip(reading.back_pressured_ms);
    let clock = clock.map(|((busy, idle), pressed)| busy + idle + pressed);
    // Asked for at 45.0 and noticed at 45.2, 2 s of restart, fetched at 58.4: the counters are of the 11.2 s since.
    assert_eq!(clock, Some(2 * 11_200), "two subtasks");
    assert_eq!(reading.read_records, Some(58_400 - 40_000), "all since the checkpoint");
    assert_eq!(flink.truth().restarts, 1);
}

#[test]
fn state_makes_restarts_longer_and_slots_make_them_shorter() {
    let downtime = |slots: u32| {
        let mut scenario = chain(Load::constant(100.0), &[(1.0, 1)]);
        scenario.restart =
            RestartScenario { time: Span::from_secs(1), state_mib: 1000.0, mib_per_second: 50.0 };
        scenario.flink_version = FlinkVersion { major: 1, minor: 18, patch: 1 };
        let mut flink = start(&scenario);
        run(&mut flink, 20.0);
        assert_eq!(grow(&mut flink, "step 0", slots), Ok(()));
        let mut seconds = 0.0;
        while seconds < 0.5 || !flink.truth().running {
            run(&mut flink, 0.2);
            seconds += 0.2;
        }
        seconds
    };
    near(downtime(2), 11.0, 0.05);
    near(downtime(10), 3.0, 0.1);
}

fn faulty(what: FaultKind) -> Scenario {
    let mut scenario = chain(Load::constant(100.0), &[(1.0, 3)]);
    (scenario.taskmanagers, scenario.slots_per_taskmanager) = (2, 2);
    scenario.faults = vec![Fault { at: Span::from_secs(60), what }];
    scenario
}

#[test]
fn a_lost_taskmanager_restarts_the_job_at_what_is_left() {
    let mut scenario = faulty(FaultKind::TaskmanagersLost { count: 1 });
    let back = FaultKind::TaskmanagersAdded { count: 1 };
    scenario.faults.push(Fault { at: Span::from_secs(120), what: back });
    let mut flink = start(&scenario);
    run(&mut flink, 59.0);
    let seen = follow(&mut flink, 100);
    let sizes: Vec<_> = seen.iter().map(|(second, state, sizes)| (*second, *state, sizes[1])).collect();
    assert_eq!(
        sizes,
        [
            (0, JobState::Running, 3),
            (1, JobState::Restarting, 3),
            (1, JobState::Created, 3),
            (11, JobState::Running, 2),
            // Slots are back at second 61; the next checkpoint after that.
            (62, JobState::Restarting, 2),
            (62, JobState::Running, 3),
        ]
    );
    assert_eq!((flink.slots().total, flink.slots().taskmanagers), (4, 2));
}

#[test]
fn without_slots_the_job_waits_and_then_fails() {
    let mut flink = start(&faulty(FaultKind::TaskmanagersLost { count: 2 }));
    run(&mut flink, 100.0);
    assert_eq!((flink.truth().state, flink.slots().total), (JobState::Created, 0));
    run(&mut flink, 300.0);
    assert_eq!(flink.truth().state, JobState::Failed);
    run(&mut flink, 100.0);
    near(flink.truth().backlog(), 100.0 * 440.0, 0.02);
}

#[test]
fn what_cannot_be_seen_is_missed() {
    let lasts = Span::from_secs(30);
    let missed = |what: FaultKind| {
        let mut flink = start(&faulty(what));
        run(&mut flink, 70.0);
        let during = flink.observe();
        run(&mut flink, 40.0);
        let Observation::Seen(after) = flink.observe() else { panic!("still missed") };
        let Observation::Missed(Missed { why, .. }) = during else { panic!("was seen") };
        (why, after.state, flink.truth().restarts)
    };
    for (what, expected) in [
        (FaultKind::Unreachable { lasts }, (MissedWhy::Unreachable, JobState::Running, 0)),
        (FaultKind::JobmanagerLost { lasts }, (MissedWhy::Unreachable, JobState::Running, 1)),
        (
            FaultKind::SlowAnswers { lasts, delay: Span::from_secs(60) },
            (MissedWhy::TimedOut, JobState::Running, 0),
        ),
    ] {
        assert_eq!(missed(what.clone()), expected, "{what:?}");
    }
}

#[test]
fn stale_and_partial_metrics_stand_still() {
    let lasts = Span::from_secs(60);
    let vertex = "step 0".to_owned();
    for (what, moves) in [
        (FaultKind::StaleMetrics { lasts }, [false, false]),
        (FaultKind::PartialMetrics { lasts, vertex }, [true, false]),
    ] {
        let mut flink = start(&faulty(what.clone()));
        run(&mut flink, 50.0);
        let (before, during) = (see(&mut flink), see(&mut flink));
        let (first, second) = (during, see(&mut flink));
        let moved =
            |a: &Snapshot, b: &Snapshot| [0, 1].map(|v| a.vertices[v].idle_ms != b.vertices[v].idle_ms);
        assert_eq!(moved(&first, &second), moves, "{what:?}");
        run(&mut flink, 60.0);
        assert_eq!(moved(&before, &see(&mut flink)), [true, true], "{what:?}");
    }
}

#[test]
fn a_job_that_is_submitted_again_is_another_job() {
    let mut scenario = faulty(FaultKind::Cancelled);
    scenario.faults.push(Fault { at: Span::from_secs(90), what: FaultKind::Resubmitted });
    let mut flink = start(&scenario);
    let before = see(&mut flink);
    run(&mut flink, 69.0);
    let Observation::Seen(during) = flink.observe() else { panic!("not seen") };
    assert_eq!((during.state, during.job), (JobState::Canceled, before.job));
    run(&mut flink, 30.0);
    let after = see(&mut flink);
    assert_eq!(after.state, JobState::Running);
    assert_ne!(after.job, before.job);
    assert_eq!(after.graph, before.graph);
}

#[test]
fn a_skewed_clock_shows_only_in_flinks_own_times() {
    let mut flink = start(&faulty(FaultKind::ClockBehind { by: Span::from_secs(3600) }));
    run(&mut flink, 100.0);
    let seen = see(&mut flink);
    assert_eq!(seen.at.since(seen.flink_now), Duration::from_hours(1));
    assert_eq!(
        seen.running_since.map(|at| at + Duration::from_hours(1)),
        Some(start(&scenarios::demo()).now())
    );
}

#[test]
fn slots_that_were_given_up_linger() {
    let mut scenario = chain(Load::constant(100.0), &[(1.0, 4)]);
    (scenario.taskmanagers, scenario.slots_per_taskmanager) = (2, 2);
    let mut flink = start(&scenario);
    assert_eq!((flink.slots().available, flink.truth().slots_held), (0, 4));
    run(&mut flink, 40.0);
    assert_eq!(grow(&mut flink, "step 0", 1), Ok(()));
    run(&mut flink, 20.0);
    assert_eq!((flink.slots().available, flink.truth().slots_held), (0, 1));
    run(&mut flink, 60.0);
    assert_eq!((flink.slots().available, flink.truth().slots_held), (3, 1));
}
