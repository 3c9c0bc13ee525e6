//! The job that is watched, as it was last seen: what the next cycle needs to know of it.

use std::sync::Arc;

use tokio::time::Instant;

use super::client::FlinkClient;
use super::error::FlinkError;
use super::pending::{Ask, Pending};
use super::wire::JobView;
use crate::model::{Graph, JobId, JobState, Parallelism, Timestamp, VertexId};

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
    parallelism: Vec<Parallelism>,
    graph: Arc<Graph>,
    sources: Vec<Source>,
}

/// A source and its backlog.
pub(super) struct Source {
    vertex: VertexId,
    /// Its index in the graph.
    pub(super) index: usize,
    pending: Pending,
    /// Records that waited in this cycle; `None` where that is not known.
    pub(super) pending_records: Option<u64>,
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
        seen.sources.iter_mut().for_each(|source| source.pending_records = None);
        if seen.state == JobState::Running { &mut seen.sources } else { &mut [] }
    }

    /// What the sources answered in this cycle.
    pub(super) fn sources(&self) -> &[Source] {
        self.seen.as_ref().map_or(&[], |seen| &seen.sources)
    }

    /// Takes up what was seen of it; returns its graph, and whether it has started again or changed its size since it was
    /// last seen.
    pub(super) fn take_up(&mut self, view: &JobView, now: Instant) -> (Arc<Graph>, bool) {
        let parallelism: Vec<Parallelism> = view.readings.iter().map(|reading| reading.parallelism).collect();
        let (graph, mut sources, has_changed) = match self.seen.take() {
            Some(seen) if *seen.graph == view.graph => {
                let is_same = seen.running_since == view.running_since && seen.parallelism == parallelism;
                (seen.graph, seen.sources, !is_same)
            }
            other => {
                let sources =
                    view.graph.sources().map(|index| Source::new(&view.graph, index, now)).collect();
                (Arc::new(view.graph.clone()), sources, other.is_some())
            }
        };
        if has_changed {
            sources.iter_mut().for_each(|source| source.pending.restarted(now));
        }
        self.seen = Some(Seen {
            state: view.state,
            running_since: view.running_since,
            parallelism,
            graph: Arc::clone(&graph),
            sources,
        });
        (graph, has_changed)
    }
}

impl Source {
    fn new(graph: &Graph, index: usize, now: Instant) -> Self {
        let vertex = graph.vertices()[index].id;
        Self { vertex, index, pending: Pending::new(now), pending_records: None }
    }

    /// Asks for its pending records, or for how they are called; at most one call.
    pub(super) async fn read(
        &mut self,
        client: &FlinkClient,
        job: JobId,
        until: Instant,
    ) -> Result<(), FlinkError> {
        match self.pending.ask(Instant::now()) {
            Ask::Nothing => {}
            Ask::List => {
                let ids = client.list(job, self.vertex, until, Pending::ids_in).await?;
                self.pending.listed(ids, Instant::now());
            }
            Ask::Sum(ids) => {
                self.pending_records = client.sum(job, self.vertex, &ids, until).await?;
                self.pending.summed(self.pending_records, Instant::now());
            }
        }
        Ok(())
    }
}
