//! The reasons of an HPA's three conditions, as closed enums: the same words in a status, a label and an event.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why `AbleToScale` is true. (That it is false, a failed call to Kubernetes tells, of which nothing is known here.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Able {
    /// The size was read; nothing more was looked at.
    SucceededGetScale,
    /// The size that is asked for may be taken.
    ReadyForNewScale,
    /// A smaller size was asked for lately.
    ScaleUpStabilized,
    /// A larger size was asked for lately.
    ScaleDownStabilized,
}

/// Why `ScalingActive` is false. It is true, with the reason `ValidMetricFound`, when the metrics gave a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Inactive {
    /// There are no replicas, and there is to be at least one: somebody switched the workload off.
    ScalingDisabled,
    /// Pods' CPU or memory is not there.
    FailedGetResourceMetric,
    /// A container's CPU or memory is not there.
    FailedGetContainerResourceMetric,
    /// What pods report is not there.
    FailedGetPodsMetric,
    /// An object's metric is not there.
    FailedGetObjectMetric,
    /// A metric from outside is not there.
    FailedGetExternalMetric,
    /// A metric is of a type that does not exist, or none is given.
    InvalidMetricSourceType,
    /// The workload does not say which pods are its own.
    InvalidSelector,
    /// The pods are those of another HPA too.
    AmbiguousSelector,
}

/// Why `ScalingLimited` is as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limited {
    /// It is false: the size that was asked for is taken.
    DesiredWithinRange,
    /// Fewer than the minimum were asked for.
    TooFewReplicas,
    /// More than the maximum were asked for.
    TooManyReplicas,
    /// More were asked for than may be added at once.
    ScaleUpLimit,
    /// More were to go than may be taken away at once.
    ScaleDownLimit,
}

impl Able {
    /// As Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SucceededGetScale => "SucceededGetScale",
            Self::ReadyForNewScale => "ReadyForNewScale",
            Self::ScaleUpStabilized => "ScaleUpStabilized",
            Self::ScaleDownStabilized => "ScaleDownStabilized",
        }
    }
}

impl Inactive {
    /// As Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ScalingDisabled => "ScalingDisabled",
            Self::FailedGetResourceMetric => "FailedGetResourceMetric",
            Self::FailedGetContainerResourceMetric => "FailedGetContainerResourceMetric",
            Self::FailedGetPodsMetric => "FailedGetPodsMetric",
            Self::FailedGetObjectMetric => "FailedGetObjectMetric",
            Self::FailedGetExternalMetric => "FailedGetExternalMetric",
            Self::InvalidMetricSourceType => "InvalidMetricSourceType",
            Self::InvalidSelector => "InvalidSelector",
            Self::AmbiguousSelector => "AmbiguousSelector",
        }
    }
}

impl Limited {
    /// As Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DesiredWithinRange => "DesiredWithinRange",
            Self::TooFewReplicas => "TooFewReplicas",
            Self::TooManyReplicas => "TooManyReplicas",
            Self::ScaleUpLimit => "ScaleUpLimit",
            Self::ScaleDownLimit => "ScaleDownLimit",
        }
    }
}

impl fmt::Display for Able {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Inactive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
