//! How many records travel along each edge, and what is remembered of it across changes of the load and restarts.

use serde::{Deserialize, Serialize};

use super::estimate::{Tally, both, rate_variance};
use super::{Estimate, Sample};
use crate::model::{Graph, Ship};

/// How the flow along one edge is read from the totals of its ends.
///
/// The sender's count is exact where the edge is its only output, the receiver's where it is its only input. The sender's goes
/// first: while the buffers between the two fill, the receiver takes in less than what is sent to it, and what is sent is
/// what it will have to take in (seen on 2.3.0: 700/s sent, 497/s received, and nothing else to show that it is short). A
/// record that goes to several outputs is counted once by its sender (seen on 1.17.2 to 2.3.0), so there the sender's count
/// bounds each of them and is no sum. Between a sender of several outputs and a receiver of several inputs, what the receiver took
/// in beyond its known inputs is split in proportion to what the senders put out.
#[derive(Clone, Copy)]
pub(super) struct Edge<'a> {
    graph: &'a Graph,
    from: usize,
    to: usize,
    is_only_input: bool,
    sender_tells: bool,
    is_from_source: bool,
}

impl<'a> Edge<'a> {
    /// The edge of this number.
    pub(super) fn new(graph: &'a Graph, index: usize) -> Self {
        let crate::model::Edge { from, to, .. } = graph.edges()[index];
        Self {
            graph,
            from,
            to,
            is_only_input: graph.inputs(to).len() == 1,
            sender_tells: sender_tells(graph, index),
            is_from_source: graph.is_source(from),
        }
    }

    /// Records/s along it over one sample, and records/s into its sender that these are in proportion to: what a source puts
    /// out, what any other takes in.
    #[inline]
    pub(super) fn rates(&self, sample: &Sample) -> Option<(f64, f64)> {
        let from = &sample.vertices[self.from];
        let drive = if self.is_from_source { from.rate_out() } else { from.rate_in() }?;
        if self.sender_tells
            && let Some(sent) = from.rate_out()
        {
            return Some((sent, drive));
        }
        let received = sample.vertices[self.to].rate_in()?;
        let flow = if self.is_only_input { Some(received) } else { self.split(sample, received) };
        Some((flow?, drive))
    }

    /// Its part of what its receiver takes in.
    fn split(&self, sample: &Sample, received: f64) -> Option<f64> {
        let (mut rest, mut unknown, mut all) = (received, 0.0, 0.0);
        for &input in self.graph.inputs(self.to) {
            let from = self.graph.edges()[input].from;
            let put_out = sample.vertices[from].rate_out()?;
            if sender_tells(self.graph, input) {
                rest -= put_out;
            } else {
                unknown += 1.0;
                all += put_out;
            }
        }
        let put_out = sample.vertices[self.from].rate_out()?;
        Some(rest.max(0.0) * if all > 0.0 { put_out / all } else { 1.0 / unknown })
    }
}

/// Whether the sender's count is the flow: of its only output, unless each record goes to every subtask, which is counted
/// once where it is sent and by each one that receives it.
fn sender_tells(graph: &Graph, edge: usize) -> bool {
    let edge = graph.edges()[edge];
    edge.ship != Ship::Broadcast && graph.outputs(edge.from).len() == 1
}

/// Levels of the input that are told apart; a load of two peaks a day and what is between them needs no more.
const MOST_LEVELS: usize = 6;

/// Inputs within this share of each other are one level: twice the noise of a few per cent.
const SAME_LEVEL: f64 = 0.12;

/// A level rests on at most about this many samples; then old ones fade, so that it follows a job that changes.
const MOST_SAMPLES: f64 = 64.0;

/// Fewer samples of a level are not compared: bursts of a window may all have fallen into them.
const LEAST_SAMPLES: f64 = 6.0;

/// Levels closer together tell nothing about growth.
const LEAST_RATIO: f64 = 1.5;

/// A flow that wavers by more than this share of itself while its input stays at one level comes in bursts.
const BURSTS: f64 = 0.5;

/// How much travelled along one edge at different levels of its sender's input.
///
/// A window that fires by the clock puts out one record for each key, however many it took in. That shows only when
/// the input changes, and a rescale usually comes just then: so this is kept across epochs, of one job and graph.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct FlowMemory {
    /// The one that was seen last is the last.
    levels: Vec<Level>,
}

/// The flow at one level of the input: sums over samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Level {
    samples: f64,
    seconds: f64,
    input: f64,
    flow: f64,
    flow_squared: f64,
}

impl Level {
    fn input_rate(&self) -> f64 {
        self.input / self.seconds
    }

    fn flow(&self) -> Tally {
        Tally::from_sums(self.samples, self.seconds, self.flow, self.flow_squared)
    }

    fn estimate(&self) -> Option<Estimate> {
        self.flow().estimate(|mean| rate_variance(mean, self.seconds / self.samples))
    }

    /// Whether the flow wavers much more than the input, as that of a window which fires by the clock.
    fn comes_in_bursts(&self) -> bool {
        // The variance against the square of so much of the mean, both times the square of the seconds.
        let flow_squared = self.flow * self.flow;
        self.flow_squared * self.seconds - flow_squared > BURSTS * BURSTS * flow_squared
    }

    fn fade(&mut self) {
        for sum in
            [&mut self.samples, &mut self.seconds, &mut self.input, &mut self.flow, &mut self.flow_squared]
        {
            *sum *= 0.5;
        }
    }
}

impl FlowMemory {
    /// Adds what one sample saw, in records/s.
    pub(super) fn add(&mut self, seconds: f64, input: f64, flow: f64) {
        if !(seconds > 0.0 && input > 0.0 && input.is_finite() && flow.is_finite()) {
            return;
        }
        let distance = |level: &Level| (level.input_rate() / input - 1.0).abs();
        let nearest = (0..self.levels.len())
            .min_by(|&a, &b| distance(&self.levels[a]).total_cmp(&distance(&self.levels[b])))
            .filter(|&i| distance(&self.levels[i]) <= SAME_LEVEL);
        let mut level = match nearest {
            Some(i) => self.levels.remove(i),
            None => Level::default(),
        };
        if level.samples >= MOST_SAMPLES {
            level.fade();
        }
        level.samples += 1.0;
        level.seconds += seconds;
        level.input += input * seconds;
        level.flow += flow * seconds;
        level.flow_squared += flow * flow * seconds;
        self.levels.push(level);
        if self.levels.len() > MOST_LEVELS {
            self.levels.remove(0);
        }
    }

    /// Records along the edge per record into its sender, over all that is remembered.
    pub(super) fn selectivity(&self) -> Option<Estimate> {
        let input: f64 = self.levels.iter().map(|level| level.input).sum();
        let flow = self.flow()?;
        let seconds: f64 = self.levels.iter().map(|level| level.seconds).sum();
        (input > 0.0).then(|| flow.scaled(seconds / input))
    }

    /// Records/s along the edge over all that is remembered, whatever the input was.
    pub(super) fn flow(&self) -> Option<Estimate> {
        let mut all = Tally::default();
        for level in &self.levels {
            all.add_all(&level.flow());
        }
        let each = all.weight() / f64::from(all.samples().max(1));
        all.estimate(|mean| rate_variance(mean, each)).map(Estimate::at_least_zero)
    }

    /// The most records/s that are to be expected, where these do not follow the input.
    ///
    /// Either they were seen not to: from the lowest level of the input to the highest they grew by less than half as much as
    /// it (on a scale of logarithms, so by less than its root: halfway between one that follows and one that the clock alone
    /// determines), with 95 % probability. Or they come in bursts, as what a window puts out when the clock
    /// tells it to: one record for each key, however many went in. That is an inference before the input has ever changed;
    /// when it is wrong, what is seen next corrects it (`control.md`, section 6).
    pub(super) fn bound(&self) -> Option<f64> {
        self.bound_by_levels().or_else(|| {
            if !self.known().all(Level::comes_in_bursts) {
                return None;
            }
            self.known().filter_map(Level::estimate).map(|flow| flow.high).reduce(f64::max)
        })
    }

    fn known(&self) -> impl Iterator<Item = &Level> {
        self.levels.iter().filter(|level| level.samples >= LEAST_SAMPLES)
    }

    fn bound_by_levels(&self) -> Option<f64> {
        let mut rates = self.known().map(|level| (level.input_rate(), level));
        let first = rates.next()?;
        let ((least_rate, least), (most_rate, most)) = rates.fold((first, first), |(least, most), one| {
            (if one.0 < least.0 { one } else { least }, if one.0 > most.0 { one } else { most })
        });
        let input_grew = most_rate / least_rate;
        if input_grew.is_nan() || input_grew < LEAST_RATIO {
            return None;
        }
        let (low, high) = (least.flow / least.seconds, most.flow / most.seconds);
        // It does follow, whatever the errors: as it nearly always does.
        if high * high >= low * low * input_grew {
            return None;
        }
        let (low, high) = (least.estimate()?, most.estimate()?);
        // Relative errors add up as squares in a ratio.
        let error = both(low.relative_half_width(), high.relative_half_width());
        let flow_grew_at_most = high.mean / low.mean * (1.0 + error);
        (flow_grew_at_most < input_grew.sqrt())
            .then(|| self.known().filter_map(|level| level.flow().mean()).fold(0.0, f64::max))
    }
}

#[cfg(test)]
mod tests {
    use super::super::VertexSample;
    use super::*;
    use crate::model::{self, Parallelism, Timestamp, Vertex, VertexId};

    fn graph(vertices: u128, edges: &[(usize, usize)]) -> Graph {
        let vertex = |id| Vertex {
            id: VertexId::from_bits(id),
            name: id.to_string(),
            max_parallelism: Parallelism::clamped(128),
            slot_sharing_group: None,
        };
        let edges = edges.iter().map(|&(from, to)| model::Edge { from, to, ship: Ship::Hash }).collect();
        Graph::new((0..vertices).map(vertex).collect(), edges).expect("no cycle")
    }

    /// One second in which each vertex took in and put out so many records.
    fn sample(counts: &[(u64, u64)]) -> Sample {
        let vertex = |&(read, written): &(u64, u64)| VertexSample {
            micros: 1_000_000,
            read: Some(read),
            written: Some(written),
            ..VertexSample::default()
        };
        Sample {
            lags: Vec::new(),
            at: Timestamp::default(),
            micros: 1_000_000,
            warm: true,
            vertices: counts.iter().map(vertex).collect(),
        }
    }

    #[test]
    fn totals_of_the_ends_give_the_flow() {
        type Row<'a> = (&'a str, &'a [(usize, usize)], &'a [(u64, u64)], &'a [f64]);
        let rows: [Row; 5] = [
            ("a chain: what is sent, though less was received", &[(0, 1)], &[(0, 100), (90, 0)], &[100.0]),
            ("a fan-out", &[(0, 1), (0, 2)], &[(0, 100), (100, 0), (40, 0)], &[100.0, 40.0]),
            (
                "a join: the senders' counts",
                &[(0, 2), (1, 2)],
                &[(0, 100), (0, 300), (390, 0)],
                &[100.0, 300.0],
            ),
            (
                "a sender of two outputs into a join: the rest",
                &[(0, 1), (0, 3), (2, 3)],
                &[(0, 100), (100, 0), (0, 300), (340, 0)],
                &[100.0, 40.0, 300.0],
            ),
            (
                "two senders of two outputs into a join: in proportion",
                &[(0, 2), (0, 3), (1, 3), (1, 4)],
                &[(0, 100), (0, 300), (100, 0), (200, 0), (300, 0)],
                &[100.0, 50.0, 150.0, 300.0],
            ),
        ];
        for (what, edges, counts, flows) in rows {
            let graph = graph(counts.len() as u128, edges);
            let got: Vec<_> = (0..edges.len())
                .map(|e| Edge::new(&graph, e).rates(&sample(counts)).map(|(flow, _)| flow))
                .collect();
            let expected: Vec<_> = flows.iter().copied().map(Some).collect();
            assert_eq!(got, expected, "{what}");
        }
    }

    #[test]
    fn a_broadcast_is_counted_by_each_that_receives_it() {
        let (all, some) = (Ship::Broadcast, Ship::Hash);
        let edges = [(0, 2, some), (1, 2, all)].map(|(from, to, ship)| model::Edge { from, to, ship });
        let plain = graph(3, &[(0, 2), (1, 2)]);
        let rules = Graph::new(plain.vertices().to_vec(), edges.to_vec()).expect("no cycle");
        let flow =
            |e| Edge::new(&rules, e).rates(&sample(&[(0, 100), (0, 5), (120, 0)])).map(|(flow, _)| flow);
        assert_eq!((flow(0), flow(1)), (Some(100.0), Some(20.0)), "five records to each of four subtasks");
    }

    #[test]
    fn what_no_count_tells_is_not_known() {
        let graph = graph(2, &[(0, 1)]);
        let nothing = VertexSample { micros: 1_000_000, ..VertexSample::default() };
        let silent = Sample { vertices: vec![nothing; 2], ..sample(&[]) };
        assert!(Edge::new(&graph, 0).rates(&silent).is_none());
    }

    /// Remembers levels of (input, flow of each sample in turn, samples of 3 s).
    fn memory(levels: &[(f64, &[f64], usize)]) -> FlowMemory {
        let mut memory = FlowMemory::default();
        for &(input, flows, samples) in levels {
            for flow in flows.iter().cycle().take(samples) {
                memory.add(3.0, input, *flow);
            }
        }
        memory
    }

    #[test]
    fn a_flow_that_does_not_grow_is_bounded() {
        // A window of 5 s that puts out 100 records, polled every 3 s: 0, 33 or 33/s, 20/s on average.
        let bursts: &[f64] = &[33.3, 0.0, 33.3, 33.3, 0.0];
        let rows: [(&str, FlowMemory, Option<f64>); 7] = [
            ("one level tells nothing", memory(&[(300.0, &[20.0], 20)]), None),
            (
                "bursts of one level: the upper end of what was seen",
                memory(&[(300.0, bursts, 20)]),
                Some(27.0),
            ),
            ("the clock decides", memory(&[(300.0, &[20.0], 20), (900.0, &[20.0], 20)]), Some(20.0)),
            ("the clock decides, in bursts", memory(&[(300.0, bursts, 40), (900.0, bursts, 40)]), Some(20.0)),
            ("the input decides", memory(&[(300.0, &[20.0], 20), (900.0, &[60.0], 20)]), None),
            ("too close together", memory(&[(300.0, &[20.0], 20), (400.0, &[20.0], 20)]), None),
            ("too few samples", memory(&[(300.0, &[20.0], 20), (900.0, &[20.0], 3)]), None),
        ];
        for (what, memory, bound) in rows {
            assert_eq!(memory.bound().map(f64::round), bound, "{what}");
        }
    }

    #[test]
    fn remembers_few_levels_and_follows_a_job_that_changes() {
        let mut memory = FlowMemory::default();
        for level in 1..50 {
            memory.add(5.0, f64::from(level) * 100.0, 10.0);
        }
        assert!(memory.levels.len() <= MOST_LEVELS);
        for _ in 0..400 {
            memory.add(5.0, 1000.0, 10.0);
        }
        for _ in 0..400 {
            memory.add(5.0, 1000.0, 500.0);
        }
        let last = memory.levels.last().and_then(|level| level.flow().mean());
        assert!(last.is_some_and(|flow| flow > 490.0), "{last:?}");
    }
}
