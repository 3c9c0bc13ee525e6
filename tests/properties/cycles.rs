//! What holds for any course of polls, mad ones too: `State::cycle` never panics, always says the same of the same, and keeps
//! within bounds.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tidegate::decide::{Decision, decide};
use tidegate::model::{
    Edge, Graph, JobId, JobState, Missed, MissedWhy, Observation, Parallelism, Reading, Ship, Slots,
    Snapshot, Timestamp, Vertex, VertexId,
};
use tidegate::policy::Policy;
use tidegate::record::{Outcome, State};

use crate::cases;
use crate::jobs::{NOW, snapshot};
use crate::policies::{Kinds, policy};

/// One thing that happens to a job between two polls, or to the poll, or to the clocks.
#[derive(Clone, Debug)]
enum Event {
    /// It runs for so many seconds, and this is read in; each vertex costs so much a record.
    Runs {
        seconds: f64,
        rate: f64,
        cost: f64,
        waits: f64,
    },
    /// A vertex says anything.
    Says(usize, [Option<u64>; 6]),
    Misses(MissedWhy),
    Restarts(Vec<u64>),
    Resubmitted(u128),
    Is(JobState),
    OurClockJumps(i64),
    FlinksClockJumps(i64),
    SlotsAre(Option<(u32, u32, u32, u32)>),
    LosesReadings,
    LosesItsGraph,
    /// An approved plan is carried out, with or without a word, and the job takes the new size or does not.
    Acts(bool),
}

const VERTICES: usize = 4;

fn number() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![
        Just(None),
        Just(Some(0)),
        Just(Some(u64::MAX)),
        (0..100_000_u64).prop_map(Some),
        any::<u64>().prop_map(Some)
    ]
}

fn moment() -> impl Strategy<Value = i64> {
    let near = (-100_000..100_000_i64).prop_map(|millis| NOW.as_millis() + millis);
    prop_oneof![4 => near, 1 => any::<i64>(), 1 => prop::sample::select(vec![0, i64::MIN, i64::MAX])]
}

fn event() -> impl Strategy<Value = Event> {
    let runs =
        (0.0..20.0_f64, prop_oneof![Just(0.0), 0.0..1e4_f64, 1e4..1e9_f64], 0.0..0.05_f64, 0.0..=1.0_f64);
    let says = (number(), number(), number(), number(), number(), number());
    let missed =
        prop::sample::select(vec![MissedWhy::Unreachable, MissedWhy::TimedOut, MissedWhy::NoSuchJob]);
    let state = prop::sample::select(vec![
        JobState::Running,
        JobState::Restarting,
        JobState::Failed,
        JobState::Suspended,
    ]);
    let count = || prop_oneof![6 => 0..100_u32, 1 => Just(u32::MAX)];
    prop_oneof![
        24 => runs.prop_map(|(seconds, rate, cost, waits)| Event::Runs { seconds, rate, cost, waits }),
        1 => (0..VERTICES, says).prop_map(|(v, (a, b, c, d, e, f))| Event::Says(v, [a, b, c, d, e, f])),
        1 => missed.prop_map(Event::Misses),
        1 => prop::collection::vec(1..40_000_u64, VERTICES).prop_map(Event::Restarts),
        1 => (0..3_u128).prop_map(Event::Resubmitted),
        1 => state.prop_map(Event::Is),
        1 => moment().prop_map(Event::OurClockJumps),
        1 => moment().prop_map(Event::FlinksClockJumps),
        1 => prop::option::of((count(), count(), count(), count())).prop_map(Event::SlotsAre),
        1 => Just(Event::LosesReadings),
        1 => Just(Event::LosesItsGraph),
        4 => any::<bool>().prop_map(Event::Acts),
    ]
}

/// A source, a step it goes straight through to, a keyed one, and a sink of both.
fn start() -> Snapshot {
    let vertex = |index: u128| Vertex {
        id: VertexId::from_bits(index),
        name: format!("v{index}"),
        max_parallelism: Parallelism::clamped([128, 128, 720, 64][index as usize]),
        slot_sharing_group: None,
    };
    let edges = [(0, 1, Ship::Forward), (1, 2, Ship::Hash), (1, 3, Ship::Rebalance), (2, 3, Ship::Hash)];
    let edges = edges.map(|(from, to, ship)| Edge { from, to, ship });
    let graph = Graph::new((0..4).map(vertex).collect(), edges.to_vec()).expect("no cycle");
    let slots = Slots { at: NOW, total: 32, available: 20, taskmanagers: 8, jobs_running: 1 };
    snapshot(graph, &[2, 2, 4, 1].map(Parallelism::clamped), Some(slots), tidegate::model::Around::default())
}

/// A job that things happen to, and who watches it.
struct World {
    job: Snapshot,
    now: Timestamp,
    state: State,
    approved: Option<Decision>,
}

impl World {
    fn new() -> Self {
        Self { job: start(), now: NOW, state: State::default(), approved: None }
    }

    /// What a poll sees after an event.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counters of a made-up job saturate"
    )]
    fn happens(&mut self, event: &Event) -> Observation {
        match event {
            Event::Runs { seconds, rate, cost, waits } => {
                for (index, reading) in self.job.vertices.iter_mut().enumerate() {
                    let all = seconds * 1e3 * reading.parallelism.as_f64();
                    let busy = (rate * seconds * cost * 1e3).min(all);
                    let waited = (all - busy) * waits;
                    let add = |counter: &mut Option<u64>, by: f64| {
                        *counter = counter.map(|counter| counter.saturating_add(by as u64));
                    };
                    add(&mut reading.read_records, if index == 0 { 0.0 } else { rate * seconds });
                    add(&mut reading.write_records, rate * seconds);
                    add(&mut reading.busy_ms, busy);
                    add(&mut reading.back_pressured_ms, waited);
                    add(&mut reading.idle_ms, all - busy - waited);
                }
                let time = Duration::from_secs_f64(*seconds);
                (self.now, self.job.flink_now) = (self.now + time, self.job.flink_now + time);
            }
            Event::Says(v, [read, written, busy, idle, waits, pending]) => {
                if let Some(reading) = self.job.vertices.get_mut(*v) {
                    (reading.read_records, reading.write_records, reading.busy_ms) = (*read, *written, *busy);
                    (reading.idle_ms, reading.back_pressured_ms, reading.pending_records) =
                        (*idle, *waits, *pending);
                }
            }
            Event::Misses(why) => {
                return Observation::Missed(Missed { at: self.now, why: *why, detail: "a word".to_owned() });
            }
            Event::Restarts(sizes) => {
                self.restart(sizes.iter().map(|&size| Parallelism::clamped(size)).collect());
            }
            Event::Resubmitted(id) => self.job.job = JobId::from_bits(*id),
            Event::Is(state) => self.job.state = *state,
            Event::OurClockJumps(millis) => self.now = Timestamp::from_millis(*millis),
            Event::FlinksClockJumps(millis) => self.job.flink_now = Timestamp::from_millis(*millis),
            Event::SlotsAre(slots) => {
                self.job.slots = slots.map(|(total, available, taskmanagers, jobs_running)| Slots {
                    at: self.now,
                    total,
                    available,
                    taskmanagers,
                    jobs_running,
                });
            }
            Event::LosesReadings => {
                let mut job = self.job.clone();
                job.vertices.pop();
                return Observation::Seen(Snapshot { at: self.now, ..job });
            }
            Event::LosesItsGraph => {
                let graph = Arc::new(Graph::new(Vec::new(), Vec::new()).expect("no cycle"));
                return Observation::Seen(Snapshot {
                    at: self.now,
                    graph,
                    vertices: Vec::new(),
                    ..self.job.clone()
                });
            }
            Event::Acts(comes_about) => self.act(*comes_about),
        }
        Observation::Seen(Snapshot { at: self.now, ..self.job.clone() })
    }

    fn act(&mut self, comes_about: bool) {
        let Some(decision) = self.approved.take() else { return };
        let Some(plan) = decision.approved() else { return };
        self.state.begin(plan, self.now);
        if comes_about {
            self.state.end(&Outcome::Applied, self.now);
            self.restart(plan.plan().changes.iter().map(|change| change.to).collect());
        } else {
            self.state.end(&Outcome::Failed { detail: "no".to_owned() }, self.now);
        }
    }

    fn restart(&mut self, sizes: Vec<Parallelism>) {
        for (reading, parallelism) in self.job.vertices.iter_mut().zip(sizes) {
            *reading = Reading {
                parallelism,
                running: parallelism.get(),
                read_records: Some(0),
                write_records: Some(0),
                busy_ms: Some(0),
                idle_ms: Some(0),
                back_pressured_ms: Some(0),
                pending_records: reading.pending_records,
                event_time_lag_ms: None,
            };
        }
        self.job.running_since = Some(self.job.flink_now);
    }
}

/// A decision as it goes into the journal.
fn bytes(decision: &Decision) -> String {
    serde_json::to_string(decision).expect("a decision can be written")
}

proptest! {
    #![proptest_config(cases(700))]

    #[test]
    fn any_course_of_polls_gives_a_decision_within_bounds((events, policy) in (prop::collection::vec(event(), 1..24), policy(Kinds::All))) {
        let mut world = World::new();
        for event in &events {
            let observation = world.happens(event);
            let mut again = world.state.clone();
            let decision = world.state.cycle(&observation, &policy, world.now);
            prop_assert_eq!(bytes(&again.cycle(&observation, &policy, world.now)), bytes(&decision), "twice the same");
            prop_assert_eq!(&again, &world.state);
            let sizes: Vec<_> = decision.plan().into_iter().flat_map(|plan| &plan.changes).collect();
            for change in sizes {
                let vertex = &world.job.graph.vertices()[world.job.graph.index_of(change.vertex).expect("it is there")];
                let most = vertex.max_parallelism;
                prop_assert!(change.to <= most || change.to == change.from, "{:?} of at most {}", change, most);
            }
            if decision.approved().is_some() {
                world.approved = Some(decision);
            }
        }
        let written = serde_json::to_string(&world.state).expect("a state can be written");
        let mut read: State = serde_json::from_str(&written).expect("what was written can be read");
        let observation = world.happens(&Event::Runs { seconds: 5.0, rate: 900.0, cost: 0.001, waits: 0.0 });
        let decision = world.state.cycle(&observation, &policy, world.now);
        prop_assert_eq!(bytes(&read.cycle(&observation, &policy, world.now)), bytes(&decision), "written and read");
    }
}

#[test]
fn a_job_of_ten_thousand_vertices_is_a_job() {
    let vertex = |index: u128| Vertex {
        id: VertexId::from_bits(index),
        name: format!("v{index}"),
        max_parallelism: Parallelism::clamped(128),
        slot_sharing_group: Some(format!("g{}", index % 7)),
    };
    let ships = [Ship::Hash, Ship::Forward, Ship::Rebalance];
    let edges: Vec<_> = (1..10_000).map(|to| Edge { from: to / 2, to, ship: ships[to % 3] }).collect();
    let graph = Graph::new((0..10_000).map(vertex).collect(), edges).expect("no cycle");
    let slots = Slots { at: NOW, total: 64_000, available: 60_000, taskmanagers: 8_000, jobs_running: 1 };
    let sizes = vec![Parallelism::clamped(2); 10_000];
    let job = snapshot(graph, &sizes, Some(slots), tidegate::model::Around::default());
    let mut world = World { job, ..World::new() };
    let policy: Policy = Policy {
        poll: tidegate::policy::Span::from_secs(5),
        spec: serde_json::from_str(
            r#"{"rules": [{"throughput": {"utilization": {"target": 0.7, "min": 0.4, "max": 0.9}}}, {"backpressure": {}}, {"schedule": {"windows": []}}]}"#,
        )
        .expect("a policy"),
        ..Policy::default()
    };
    let before = processor_time();
    let (mut plans, mut verdicts) = (0, Vec::new());
    for _ in 0..6 {
        // Two subtasks are busy all the time, and none may be for more than nine tenths of it.
        let observation = world.happens(&Event::Runs { seconds: 5.0, rate: 900.0, cost: 0.004, waits: 0.0 });
        let decision = world.state.cycle(&observation, &policy, world.now);
        plans += u32::from(decision.plan().is_some_and(|plan| plan.changed().count() > 5_000));
        verdicts.push(format!("{} {:?}", decision.verdict.kind(), decision.holds));
    }
    assert!(plans > 0, "it is too small, and somebody notices: {verdicts:?}");
    // A square of ten thousand is minutes.
    let took = processor_time().saturating_sub(before);
    assert!(took < Duration::from_mins(1), "{took:?}");
}

/// Time that a processor has worked for this thread: on a busy machine hours may pass in a second of it.
fn processor_time() -> Duration {
    let said = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    let nanoseconds = said.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.expect("it begins with the time on a processor"))
}

#[test]
fn nothing_is_decided_of_nothing() {
    let nothing = Graph::new(Vec::new(), Vec::new()).expect("no cycle");
    let empty = snapshot(nothing, &[], None, tidegate::model::Around::default());
    let (mut state, policy) = (State::default(), Policy::default());
    for _ in 0..3 {
        let decision = state.cycle(&Observation::Seen(empty.clone()), &policy, NOW);
        assert!(decision.plan().is_none());
        assert_eq!(bytes(&decide(&state.history, &policy, &state.ledger, NOW)), bytes(&decision));
    }
}
