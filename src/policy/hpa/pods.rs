//! Which pods count. Comes in: what Kubernetes says of each pod. Goes out: its [`Group`].

use std::time::Duration;

use serde::Serialize;

use crate::model::Timestamp;
pub use crate::model::{Phase, Ready, ReadyStatus};

/// What Kubernetes says of a pod, as far as the HPA looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pod {
    /// How far it is in its life.
    pub phase: Phase,
    /// Whether it is on its way out (it has a deletion timestamp).
    pub is_deleted: bool,
    /// Its Ready condition; `None` where it has none.
    pub ready: Option<Ready>,
    /// When the kubelet took it on; `None` where it has not.
    pub started: Option<Timestamp>,
    /// What it requests of the resource, in thousandths, over all its containers, or over the one that a
    /// `ContainerResource` metric names; `None` where one of them requests nothing.
    pub request: Option<i64>,
    /// What was measured of it; `None` where nothing was.
    pub sample: Option<Sample>,
}

/// A value measured of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The value, in thousandths.
    pub value: i64,
    /// The end of the time that it was measured over.
    pub at: Timestamp,
    /// The time that it was measured over.
    pub window: Duration,
}

/// From when on a pod's CPU time says something of its load, and not of its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// So long after its start, only samples taken wholly while it was ready count.
    pub initialization: Duration,
    /// A pod that became unready so soon after its start has never been ready.
    pub readiness_delay: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        // The controller's flags `cpu-initialization-period` and `initial-readiness-delay`.
        Self { initialization: Duration::from_mins(5), readiness_delay: Duration::from_secs(30) }
    }
}

/// How a pod counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Group {
    /// Not at all.
    Ignored,
    /// Its sample does not; it counts as idle where the others ask for more.
    Unready,
    /// It has no sample: it is taken for busy where the others ask for less, for idle where they ask for more.
    Missing,
    /// Fully.
    Ready,
}

/// How a pod counts. `cpu` is given where the metric is CPU time, the only one that a start distorts.
pub fn classify(pod: &Pod, cpu: Option<Timing>, now: Timestamp) -> Group {
    if pod.is_deleted || pod.phase == Phase::Failed {
        return Group::Ignored;
    }
    if pod.phase == Phase::Pending {
        return Group::Unready;
    }
    let Some(sample) = pod.sample else { return Group::Missing };
    match cpu {
        Some(timing) if !is_settled(pod, sample, timing, now) => Group::Unready,
        _ => Group::Ready,
    }
}

fn is_settled(pod: &Pod, sample: Sample, timing: Timing, now: Timestamp) -> bool {
    let (Some(ready), Some(started)) = (pod.ready, pod.started) else { return false };
    let is_unready = ready.status == ReadyStatus::False;
    if started + timing.initialization > now {
        !is_unready && sample.at >= ready.since + sample.window
    } else {
        !is_unready || started + timing.readiness_delay <= ready.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

    fn ago(seconds: u64) -> Timestamp {
        NOW - Duration::from_secs(seconds)
    }

    fn pod(started: u64, status: ReadyStatus, since: u64, sampled: u64) -> Pod {
        Pod {
            phase: Phase::Running,
            is_deleted: false,
            ready: Some(Ready { status, since: ago(since) }),
            started: Some(ago(started)),
            request: None,
            sample: Some(Sample { value: 1, at: ago(sampled), window: Duration::from_mins(1) }),
        }
    }

    #[test]
    fn cpu_counts_from_a_window_after_readiness_on() {
        use ReadyStatus::{False, True, Unknown};
        let old = pod(900, True, 890, 10);
        for (name, pod, group) in [
            ("settled", old, Group::Ready),
            ("a fresh sample", pod(100, True, 90, 30), Group::Ready),
            ("a sample from the start", pod(100, True, 90, 31), Group::Unready),
            ("starting, not ready", pod(100, False, 90, 0), Group::Unready),
            ("out of reach while starting", pod(100, Unknown, 90, 0), Group::Ready),
            ("never was ready", pod(900, False, 871, 0), Group::Unready),
            ("was ready once", pod(900, False, 870, 0), Group::Ready),
            ("no condition", Pod { ready: None, ..old }, Group::Unready),
            ("not taken on", Pod { started: None, ..old }, Group::Unready),
            ("no sample", Pod { sample: None, ..old }, Group::Missing),
            ("pending, no sample", Pod { sample: None, phase: Phase::Pending, ..old }, Group::Unready),
            ("failed while pending", Pod { is_deleted: true, phase: Phase::Pending, ..old }, Group::Ignored),
            ("failed", Pod { phase: Phase::Failed, ..old }, Group::Ignored),
            ("ended", Pod { phase: Phase::Succeeded, ..old }, Group::Ready),
        ] {
            assert_eq!(classify(&pod, Some(Timing::default()), NOW), group, "{name}");
        }
    }

    #[test]
    fn readiness_does_not_matter_to_other_metrics() {
        let starting = pod(1, ReadyStatus::False, 1, 900);
        assert_eq!(classify(&starting, None, NOW), Group::Ready);
        assert_eq!(classify(&Pod { sample: None, ..starting }, None, NOW), Group::Missing);
    }
}
