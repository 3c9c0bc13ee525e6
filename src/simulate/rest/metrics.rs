//! Metrics by their ids: of subtasks, aggregated over subtasks, and of the job.

use serde_json::{Value, json};

use super::failure::Failure;
use super::query::Query;
use super::subtask::{Subtask, bytes, subtasks};
use super::{Found, names, number};
use crate::model::{JobId, JobState, VertexId};
use crate::simulate::scheduler::Phase;
use crate::simulate::simulation::Simulation;

/// A metric's value: counters print as whole numbers, the rest as Java prints doubles.
#[derive(Clone, Copy, Debug)]
enum Metric {
    Count(u64),
    Whole(i64),
    Gauge(f64),
}

/// What a source says of how late its records are while none had a time.
const UNDEFINED: Metric = Metric::Whole(-1);

impl Metric {
    fn as_f64(self) -> f64 {
        match self {
            Self::Count(count) => count as f64,
            Self::Whole(value) => value as f64,
            Self::Gauge(value) => value,
        }
    }

    fn as_text(self) -> String {
        match self {
            Self::Count(count) => count.to_string(),
            Self::Whole(value) => value.to_string(),
            Self::Gauge(value) => format!("{value:?}"),
        }
    }
}

/// The metrics of one subtask under their ids.
type Named = Vec<(String, Metric)>;

impl Simulation {
    pub(super) fn job_metrics(&mut self, id: JobId, query: &Query) -> Value {
        let metrics = if id == self.job && self.store.has_answer(self.now) {
            self.metrics_of_job()
        } else {
            Vec::new()
        };
        self.touch_store();
        match query.list("get") {
            None => ids(metrics.iter().map(|(id, _)| (*id).to_owned())),
            Some(wanted) => {
                let find = |&wanted: &&str| metrics.iter().find(|(id, _)| *id == wanted);
                let values = wanted.iter().filter_map(find);
                values.map(|(id, value)| json!({"id": id, "value": value})).collect()
            }
        }
    }

    pub(super) fn vertex_metrics(&mut self, id: JobId, vertex: VertexId, query: &Query) -> Value {
        let subtasks = self.metrics_of(id, vertex);
        self.touch_store();
        let all = || {
            let of = |(index, metrics): (usize, &Named)| {
                let numbered = metrics.iter().map(move |(id, value)| (format!("{index}.{id}"), *value));
                numbered.collect::<Named>()
            };
            subtasks.iter().enumerate().flat_map(of)
        };
        match query.list("get") {
            None => ids(all().map(|(id, _)| id)),
            Some(wanted) => {
                let find = |wanted: &str| all().find(|(id, _)| id == wanted);
                let values = wanted.into_iter().filter_map(find);
                values.map(|(id, value)| json!({"id": id, "value": value.as_text()})).collect()
            }
        }
    }

    pub(super) fn subtask_metrics(&mut self, id: JobId, vertex: VertexId, query: &Query) -> Found {
        let aggregates = self.aggregates(query)?;
        let mut subtasks = self.metrics_of(id, vertex);
        self.touch_store();
        if let Some(ranges) = query.list("subtasks") {
            let selected: Vec<usize> = ranges.into_iter().flat_map(range).collect();
            let mut index = 0..;
            subtasks.retain(|_| index.next().is_some_and(|index| selected.contains(&index)));
        }
        let Some(wanted) = query.list("get") else {
            return Ok(ids(subtasks.first().into_iter().flatten().map(|(id, _)| id.clone())));
        };
        let values = |wanted: &str| -> Vec<f64> {
            let found = subtasks.iter().filter_map(|metrics| metrics.iter().find(|(id, _)| id == wanted));
            found.map(|(_, value)| value.as_f64()).collect()
        };
        let mut answer = Vec::new();
        for wanted in wanted {
            let values = values(wanted);
            if values.is_empty() {
                // One id that nothing has empties the whole answer.
                return Ok(json!([]));
            }
            let mut metric = json!({ "id": wanted });
            for aggregate in &aggregates {
                metric[*aggregate] = number(aggregated(&values, aggregate));
            }
            answer.push(metric);
        }
        Ok(answer.into())
    }

    fn aggregates(&self, query: &Query) -> Result<Vec<&'static str>, Failure> {
        let known: &[&str] = if self.since(1, 20) {
            &["min", "max", "avg", "sum", "skew"]
        } else {
            &["min", "max", "avg", "sum"]
        };
        let Some(wanted) = query.list("agg") else { return Ok(known.to_vec()) };
        let find = |wanted: &str| {
            let found = known.iter().find(|aggregate| aggregate.eq_ignore_ascii_case(wanted));
            found.copied().ok_or_else(|| Failure::parameter("Query", "agg", wanted))
        };
        wanted.into_iter().map(find).collect()
    }

    /// The metrics of each subtask as the store has them; nothing for what it does not know.
    fn metrics_of(&self, job: JobId, vertex: VertexId) -> Vec<Named> {
        let Some(v) = self.graph.index_of(vertex).filter(|_| job == self.job) else { return Vec::new() };
        let now = subtasks(&self.store.answer(self.now)[v]);
        let before = self.store.before(self.now);
        let before =
            before.map(|known| known[v]).filter(|k| k.attempt == self.store.answer(self.now)[v].attempt);
        let before = before.map_or_else(Vec::new, |known| subtasks(&known));
        let name = &self.graph.vertices()[v].name;
        let is_source = self.graph.is_source(v);
        let prefix = if is_source { names::source_prefix(name) } else { names::operator_prefix(name) };
        now.iter()
            .enumerate()
            .map(|(i, subtask)| metrics(subtask, before.get(i), &prefix, is_source))
            .collect()
    }

    fn metrics_of_job(&self) -> Vec<(&'static str, String)> {
        let state = self.scheduler.state();
        let times = self.scheduler.times;
        let since = |entered: Option<u64>| entered.map_or(0, |at| self.now.saturating_sub(at));
        let running = since(times.running.filter(|_| state == JobState::Running));
        let fully = if self.scheduler.phase == Phase::Running { since(self.started) } else { 0 };
        let whole = |value: u64| value.to_string();
        let mut metrics = vec![
            ("numRestarts", self.scheduler.restarts.to_string()),
            ("uptime", whole(running)),
            ("downtime", whole(since(times.restarting))),
            ("initializingTime", "0".to_owned()),
            ("createdTime", whole(since(Some(times.created).filter(|_| state == JobState::Created)))),
            ("deployingTime", whole(running - fully)),
            ("runningTime", whole(running)),
            ("restartingTime", whole(since(times.restarting))),
            ("cancellingTime", "0".to_owned()),
            ("failingTime", "0".to_owned()),
        ];
        metrics.extend(self.checkpoint_metrics());
        if self.since(2, 0) {
            metrics.push(("numRescales", self.scheduler.rescales.to_string()));
        } else {
            metrics.push(("fullRestarts", self.scheduler.restarts.to_string()));
        }
        if self.since(2, 3) {
            metrics.push(("allSubTasksRunningOrFinishedTime", whole(fully)));
        }
        metrics
    }
}

/// What a subtask's task and operator report. Rates are those between the last two fetches, where Flink's are those of the
/// last minute.
fn metrics(now: &Subtask, before: Option<&Subtask>, prefix: &str, is_source: bool) -> Named {
    let clock =
        |s: &Subtask| s.counters.busy_ms.unwrap_or(0) + s.counters.idle_ms + s.counters.back_pressured_ms;
    let seconds = before.map_or(0.0, |before| clock(now).saturating_sub(clock(before)) as f64 / 1000.0);
    let per_second = |of: fn(&Subtask) -> u64, at_first: f64| match before {
        Some(before) if seconds > 0.0 => of(now).saturating_sub(of(before)) as f64 / seconds,
        _ => at_first,
    };
    let counters = now.counters;
    let busy_rate = match counters.busy_ms {
        // Flink counts as busy what is neither idle nor back-pressured, and at first nothing is.
        Some(_) => per_second(|s| s.counters.busy_ms.unwrap_or(0), 1000.0),
        None => f64::NAN,
    };
    let busy = counters.busy_ms.map_or(Metric::Gauge(f64::NAN), Metric::Count);
    let (read, written) = (counters.read, counters.written);
    let mut metrics: Named = [
        ("numRecordsIn", Metric::Count(read)),
        ("numRecordsOut", Metric::Count(written)),
        ("numRecordsInPerSecond", Metric::Gauge(per_second(|s| s.counters.read, 0.0))),
        ("numRecordsOutPerSecond", Metric::Gauge(per_second(|s| s.counters.written, 0.0))),
        ("numBytesIn", Metric::Count(bytes(read))),
        ("numBytesOut", Metric::Count(bytes(written))),
        ("accumulateBusyTimeMs", busy),
        ("accumulateIdleTimeMs", Metric::Count(counters.idle_ms)),
        ("accumulateBackPressuredTimeMs", Metric::Count(counters.back_pressured_ms)),
        ("busyTimeMsPerSecond", Metric::Gauge(busy_rate)),
        ("idleTimeMsPerSecond", Metric::Gauge(per_second(|s| s.counters.idle_ms, 0.0))),
        ("backPressuredTimeMsPerSecond", Metric::Gauge(per_second(|s| s.counters.back_pressured_ms, 0.0))),
    ]
    .map(|(id, value)| (id.to_owned(), value))
    .to_vec();
    let of_operator =
        [("numRecordsIn", Some(read)), ("numRecordsOut", Some(written)), ("pendingRecords", now.pending)];
    let lag = now.lag.map_or(UNDEFINED, Metric::Count);
    let of_operator = of_operator.into_iter().filter_map(|(id, value)| Some((id, value?)));
    metrics.extend(of_operator.map(|(id, value)| (format!("{prefix}{id}"), Metric::Count(value))));
    if is_source {
        metrics.push((format!("{prefix}currentEmitEventTimeLag"), lag));
    }
    metrics
}

fn ids(ids: impl Iterator<Item = String>) -> Value {
    ids.map(|id| json!({ "id": id })).collect()
}

fn aggregated(values: &[f64], aggregate: &str) -> f64 {
    let (sum, count) = (values.iter().sum::<f64>(), values.len() as f64);
    let mean = sum / count;
    // `f64::min` and `f64::max` pass over a NaN, which Flink's do not.
    let nan = if values.iter().any(|value| value.is_nan()) { f64::NAN } else { 0.0 };
    match aggregate {
        "min" => nan + values.iter().copied().fold(f64::INFINITY, f64::min),
        "max" => nan + values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        "avg" => mean,
        "sum" => sum,
        // Mean distance from the mean, in percent of it.
        _ if mean == 0.0 => 0.0,
        _ => values.iter().map(|value| (value - mean).abs()).sum::<f64>() / count / mean * 100.0,
    }
}

/// The subtasks that `3` or `2-5` names; none where it names none.
fn range(text: &str) -> std::ops::RangeInclusive<usize> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    match (from.trim().parse(), to.trim().parse()) {
        (Ok(from), Ok(to)) => from..=to,
        #[expect(clippy::reversed_empty_ranges, reason = "no subtask at all")]
        _ => 1..=0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aggregates_as_flink_does() {
        // The rows are recorded answers of a real 2.3.
        for (values, aggregate, expected) in [
            (vec![1.0, 2.0], "skew", 33.333_333_333_333_33),
            (vec![750.0, 756.0, 757.0], "skew", 0.382_972_455_446_262_1),
            (vec![750.0, 756.0, 757.0], "avg", 754.333_333_333_333_4),
            (vec![0.0, 0.0], "skew", 0.0),
            (vec![3.0, 1.0], "min", 1.0),
            (vec![3.0, 1.0], "max", 3.0),
        ] {
            let got = aggregated(&values, aggregate);
            assert!((got - expected).abs() < 1e-9, "{aggregate} of {values:?}: {got}");
        }
        for aggregate in ["min", "max", "avg", "sum", "skew"] {
            assert!(aggregated(&[f64::NAN, 1.0], aggregate).is_nan(), "{aggregate}");
        }
    }

    #[test]
    fn reads_ranges_of_subtasks() {
        for (text, subtasks) in
            [("3", vec![3]), ("2-4", vec![2, 3, 4]), ("4-2", vec![]), ("x", vec![]), ("", vec![])]
        {
            assert_eq!(range(text).collect::<Vec<_>>(), subtasks, "{text:?}");
        }
    }
}
