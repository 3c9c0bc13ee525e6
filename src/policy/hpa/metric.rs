//! One metric of an HPA, and several together.

use serde::Serialize;
use thiserror::Error;

use super::average::{per_replica, value};
use super::conditions::Inactive;
use super::per_pod::{PodMetrics, average, utilization};
use super::proposal::{Proposal, Unmeasured};
use super::tolerance::Tolerance;

/// Where a metric comes from: the types of an HPA's metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Source {
    /// CPU or memory of the pods.
    Resource,
    /// CPU or memory of one container of each pod.
    ContainerResource,
    /// What pods report themselves.
    Pods,
    /// Something else in the cluster.
    Object,
    /// Something outside.
    External,
}

impl Source {
    /// The API that serves it.
    pub(super) fn api(self) -> &'static str {
        match self {
            Self::Resource | Self::ContainerResource => "resource",
            Self::Pods | Self::Object => "custom",
            Self::External => "external",
        }
    }

    /// What the `ScalingActive` condition says when it fails.
    pub fn failure(self) -> Inactive {
        match self {
            Self::Resource => Inactive::FailedGetResourceMetric,
            Self::ContainerResource => Inactive::FailedGetContainerResourceMetric,
            Self::Pods => Inactive::FailedGetPodsMetric,
            Self::Object => Inactive::FailedGetObjectMetric,
            Self::External => Inactive::FailedGetExternalMetric,
        }
    }
}

/// A metric, with what was measured of it.
#[derive(Clone, Debug)]
pub enum Metric<'a> {
    /// One that could be read.
    Measured {
        /// Where it comes from.
        source: Source,
        /// The value and the target.
        ask: Ask<'a>,
    },
    /// One that could not.
    Failed(Failure),
}

/// A value, and the target that it is compared with. Values and targets are in thousandths.
#[derive(Clone, Copy, Debug)]
pub enum Ask<'a> {
    /// So many per cent of what the pods request.
    Utilization {
        /// What was measured of the pods.
        pods: PodMetrics<'a>,
        /// The target in per cent.
        percent: u32,
    },
    /// So much per pod, measured of each pod.
    PodAverage {
        /// What was measured of the pods.
        pods: PodMetrics<'a>,
        /// The target per pod.
        target: i64,
    },
    /// So much altogether.
    Value {
        /// The value.
        value: i64,
        /// The target.
        target: i64,
        /// Pods that are ready, see [`ready_pods`](super::ready_pods).
        ready_pods: u32,
    },
    /// So much per replica, measured once.
    PerReplica {
        /// The value altogether.
        value: i64,
        /// The target per replica.
        target: i64,
    },
}

/// A metric that cannot ask for anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Error)]
#[serde(rename_all = "camelCase")]
#[error("{cause}")]
pub struct Failure {
    /// What the `ScalingActive` condition says.
    pub reason: Inactive,
    /// Why.
    pub cause: Unmeasured,
}

impl Metric<'_> {
    /// What it asks for. `current` are the replicas that were asked for last, `observed` those that exist.
    ///
    /// # Errors
    ///
    /// Why it cannot ask, and the reason that the HPA gives for that.
    pub fn propose(&self, current: u32, observed: u32, tolerance: Tolerance) -> Result<Proposal, Failure> {
        let (source, ask) = match self {
            Self::Measured { source, ask } => (*source, ask),
            Self::Failed(failure) => return Err(failure.clone()),
        };
        let proposal = match ask {
            Ask::Utilization { pods, percent } => utilization(pods, current, *percent, tolerance),
            Ask::PodAverage { pods, target } => average(pods, current, *target, tolerance),
            Ask::Value { value: all, target, ready_pods } => {
                value(current, *ready_pods, *all, *target, tolerance)
            }
            Ask::PerReplica { value, target } => per_replica(observed, *value, *target, tolerance),
        };
        proposal.map_err(|cause| Failure { reason: source.failure(), cause })
    }
}

/// What several metrics, or rules, ask for together: the largest. Those that failed could have asked for more, so with
/// one of them the size is not made smaller.
///
/// # Errors
///
/// The first failure, where all failed, or where the others ask for less than `current`; `None` where there is nothing
/// to ask at all.
pub fn largest<'a, P, E>(
    asked: impl IntoIterator<Item = Result<&'a P, E>>,
    replicas: impl Fn(&P) -> u32,
    current: u32,
) -> Result<u32, Option<E>>
where
    P: 'a,
{
    let (mut most, mut failed) = (None, None);
    for one in asked {
        match one {
            Ok(one) => most = most.max(Some(replicas(one))),
            Err(failure) => failed = failed.or(Some(failure)),
        }
    }
    match (most, failed) {
        (Some(most), None) => Ok(most),
        (Some(most), Some(_)) if most >= current => Ok(most),
        (_, failed) => Err(failed),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_metric_that_fails_blocks_only_the_way_down() {
        let largest = |asked: &[Result<u32, &'static str>]| {
            super::largest(asked.iter().map(|one| one.as_ref().map_err(|why| *why)), |size| *size, 5)
        };
        assert_eq!(largest(&[Ok(3), Ok(4)]), Ok(4));
        assert_eq!(largest(&[Ok(3), Err("gone"), Err("late")]), Err(Some("gone")));
        assert_eq!(largest(&[Err("gone"), Ok(5)]), Ok(5));
        assert_eq!(largest(&[Ok(6), Err("gone")]), Ok(6));
        assert_eq!(largest(&[Err("gone")]), Err(Some("gone")));
        assert_eq!(largest(&[]), Err(None));
    }
}
