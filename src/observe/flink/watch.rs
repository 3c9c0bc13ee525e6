//! The job that is watched, as it was last seen: what the next cycle needs to know of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::client::FlinkClient;
use super::error::FlinkError;
use super::pending::{Ask, Pending};
use super::wire::JobView;
use crate::model::{Graph, JobId, JobState, Parallelism, Reading, Timestamp, VertexId};

/// The job that is watched.
pub(super) struct Watched {
    /// Its id.
    pub(super) id: JobId,
    /// As it was last seen; `None` before its first cycle.
    seen: Option<Seen>,
}

struct Seen {
    state: JobState,
    running_since: Option<Timestamp>,
    sizes: BTreeMap<VertexId, Parallelism>,
    graph: Arc<Graph>,
    sources: Vec<Source>,
}

/// What was seen, in its place.
pub(super) struct Taken {
    /// The job's graph.
    pub(super) graph: Arc<Graph>,
    /// One reading for each of its vertices, in its order.
    pub(super) readings: Vec<Reading>,
    /// Whether the job has started again or changed its size.
    pub(super) has_changed: bool,
}

/// A source and its backlog.
pub(super) struct Source {
    vertex: VertexId,
    /// Its index in the graph.
    index: usize,
    pending: Pending,
    /// Records that waited in this cycle; `None` where that is not known.
    pending_records: Option<u64>,
    /// How late its records were in this cycle; `None` where that is not known, or how many waited is.
    event_time_lag_ms: Option<u64>,
}

impl Watched {
    /// A job that has not been seen yet.
    pub(super) fn new(id: JobId) -> Self {
        Self { id, seen: None }
    }

    /// Whether it was RUNNING in the last cycle.
    pub(super) fn is_running(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.state == JobState::Running)
    }

    /// Whether it had ended for good in the last cycle.
    pub(super) fn has_ended(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.state.is_terminal())
    }

    /// Begins a cycle: forgets the last one's backlogs, and returns the sources to ask, which are those of a job that runs.
    pub(super) fn sources_to_ask(&mut self) -> &mut [Source] {
        let Some(seen) = &mut self.seen else { return &mut [] };
        for source in &mut seen.sources {
            (source.pending_records, source.event_time_lag_ms) = (None, None);
        }
        if seen.state == JobState::Running { &mut seen.sources } else { &mut [] }
    }

    /// Takes up what was seen of it: its graph, its readings in the graph's order with the sources' backlogs, and whether
    /// it has started again or changed its size since it was last seen. `None` while nothing is known of its graph.
    pub(super) fn take_up(&mut self, view: &JobView, now: Instant) -> Option<Taken> {
        let before = self.seen.take();
        let is_first = before.is_none();
        let same_graph = before.filter(|seen| is_of(view, &seen.graph));
        let (graph, mut sources, is_same_run) = match (same_graph, &view.graph) {
            (Some(seen), _) => {
                let is_same_run = seen.running_since == view.running_since && seen.sizes == sizes(view);
                (seen.graph, seen.sources, is_same_run)
            }
            (None, Some(graph)) => {
                let sources = graph.sources().map(|index| Source::new(graph, index, now)).collect();
                (Arc::new(graph.clone()), sources, is_first)
            }
            (None, None) => return None,
        };
        if !is_same_run {
            for source in &mut sources {
                source.pending.restarted(now);
            }
        }
        let mut readings = in_order(&graph, &view.readings);
        for source in &sources {
            let reading = &mut readings[source.index];
            reading.pending_records = source.pending_records;
            reading.event_time_lag_ms = source.event_time_lag_ms;
        }
        self.seen = Some(Seen {
            state: view.state,
            running_since: view.running_since,
            sizes: sizes(view),
            graph: Arc::clone(&graph),
            sources,
        });
        Some(Taken { graph, readings, has_changed: !is_same_run })
    }
}

/// Whether what was seen is of this graph. Without a plan, vertices that are all the same are taken for the same graph.
fn is_of(view: &JobView, graph: &Graph) -> bool {
    match &view.graph {
        Some(seen) => seen == graph,
        None => view.readings.len() == graph.len() && in_order(graph, &view.readings).len() == graph.len(),
    }
}

fn in_order(graph: &Graph, readings: &[(VertexId, Reading)]) -> Vec<Reading> {
    let find = |id: VertexId| readings.iter().find(|(vertex, _)| *vertex == id);
    let found = graph.vertices().iter().filter_map(|vertex| find(vertex.id));
    found.map(|(_, reading)| reading.clone()).collect()
}

fn sizes(view: &JobView) -> BTreeMap<VertexId, Parallelism> {
    view.readings.iter().map(|(vertex, reading)| (*vertex, reading.parallelism)).collect()
}

impl Source {
    fn new(graph: &Graph, index: usize, now: Instant) -> Self {
        let vertex = graph.vertices()[index].id;
        Self { vertex, index, pending: Pending::new(now), pending_records: None, event_time_lag_ms: None }
    }

    /// Asks for its pending records: one call, and once before it one for how they are called. Both in the same cycle, for
    /// what is decided without knowing the backlog is a guess. How late its records are can wait for the next cycle, so that
    /// looking for the count again and again takes no further call.
    pub(super) async fn read(
        &mut self,
        client: &FlinkClient,
        job: JobId,
        until: Instant,
    ) -> Result<(), FlinkError> {
        let is_looked_for = self.pending.ask(Instant::now()) == Ask::List;
        if is_looked_for {
            let ids = client.list(job, self.vertex, until, Pending::ids_in).await?;
            self.pending.listed(ids, Instant::now());
        }
        match self.pending.ask(Instant::now()) {
            Ask::Sum(ids) => {
                self.pending_records = client.sum(job, self.vertex, &ids, until).await?;
                self.pending.summed(self.pending_records, Instant::now());
            }
            Ask::Lag(ids) if !is_looked_for => {
                self.event_time_lag_ms = client.longest_lag(job, self.vertex, &ids, until).await?;
            }
            Ask::Lag(_) | Ask::List | Ask::Nothing => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripted::{fixture, recorded_job};
    use super::super::wire::Answer;
    use super::*;

    const VERSION: &str = "2.3.0";

    fn view() -> JobView {
        JobView::read(fixture(VERSION, "job-running").as_bytes()).expect("a job")
    }

    fn watched() -> Watched {
        Watched::new(recorded_job(VERSION).parse().expect("an id"))
    }

    #[tokio::test]
    async fn what_is_returned_has_one_reading_for_each_vertex_whatever_came() {
        type Change = fn(&mut JobView);
        let changes: [(Change, Option<bool>); 6] = [
            (|_| {}, Some(false)),
            (|view| view.running_since = None, Some(true)),
            (|view| view.readings[1].1.parallelism = Parallelism::ONE, Some(true)),
            (|view| view.graph = None, Some(false)),
            // Without a plan, and with vertices that are not those of the graph that is known.
            (
                |view| {
                    view.graph = None;
                    view.readings[1] = view.readings[0].clone();
                },
                None,
            ),
            (
                |view| {
                    view.graph = None;
                    view.readings.truncate(2);
                },
                None,
            ),
        ];
        for (index, (change, has_changed)) in changes.into_iter().enumerate() {
            let mut job = watched();
            let now = Instant::now();
            let first = job.take_up(&view(), now).expect("a graph");
            assert!(!first.has_changed, "what is seen for the first time has not changed");
            let mut then = view();
            change(&mut then);
            let taken = job.take_up(&then, now);
            assert_eq!(taken.as_ref().map(|taken| taken.has_changed), has_changed, "row {index}");
            if let Some(taken) = taken {
                assert_eq!(taken.readings.len(), taken.graph.len(), "row {index}");
                assert!(Arc::ptr_eq(&taken.graph, &first.graph), "row {index}: one graph is kept");
            }
        }
    }
}
