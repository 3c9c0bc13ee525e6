//! The resource by which an operator runs a job: what of it makes the job's size, and how the operator says it is.
//!
//! Serialised in snapshots, states and journals: the fields are a promise.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{FlinkVersion, Timestamp};

/// The fields of an operator's resource that make a job's size; `None` where a field is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OperatorFields {
    /// The job's parallelism.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<u32>,
    /// Sizes of single vertices, as `pipeline.jobvertex-parallelism-overrides` has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overrides: Option<String>,
    /// TaskManagers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
}

impl fmt::Display for OperatorFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { parallelism, overrides, replicas } = self;
        let number = |number: &Option<u32>| number.map_or_else(|| "none".to_owned(), |n| n.to_string());
        write!(f, "parallelism {}", number(parallelism))?;
        if let Some(overrides) = overrides {
            write!(f, ", overrides {overrides}")?;
        }
        replicas.map_or(Ok(()), |replicas| write!(f, ", {replicas} TaskManagers"))
    }
}

/// What an operator says of its resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all_fields = "camelCase")]
pub enum OperatorState {
    /// It runs as it is to, by the spec that is there.
    Stable,
    /// It is about to change something, or has not looked at the spec yet.
    InProgress {
        /// In the operator's own words.
        says: String,
    },
    /// It could not bring about what the spec says.
    Failed {
        /// In the operator's own words.
        says: String,
    },
}

/// Which Flinks take sizes of single vertices by way of an operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Overrides {
    /// None: the resource has no place for them.
    #[default]
    Never,
    /// They become the configuration of a job on a cluster of several: 1.19 and 1.20 heed them there.
    OfJob,
    /// They become the configuration of the job's own cluster: 1.17 to 1.20 heed them there.
    OfCluster,
}

impl Overrides {
    /// Whether this Flink heeds them: as of a job from 1.19 on (FLINK-33534), and never from 2.0 on (FLINK-38770).
    pub fn are_heeded(self, version: FlinkVersion) -> bool {
        let minor = (version.major, version.minor);
        match self {
            Self::Never => false,
            Self::OfJob => ((1, 19)..(2, 0)).contains(&minor),
            Self::OfCluster => ((1, 17)..(2, 0)).contains(&minor),
        }
    }
}

/// What keeps a job from being scaled by its operator, and is somebody's to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hindrance {
    /// The operator's own autoscaler scales the job.
    Autoscaler,
    /// An upgrade would begin without the job's state.
    Stateless,
    /// The job is suspended.
    Suspended,
    /// The resource is no job: a cluster that takes jobs.
    NoJob,
    /// It has been asked to go.
    Deleted,
}

impl Hindrance {
    /// Whether it stands against any rescale, and not only against one by the operator.
    pub fn is_general(self) -> bool {
        match self {
            Self::Autoscaler | Self::Suspended | Self::Deleted => true,
            Self::Stateless | Self::NoJob => false,
        }
    }
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Autoscaler => {
                "its operator's own autoscaler scales the job: set `job.autoscaler.enabled: \"false\"` in spec.flinkConfiguration, or \
                 `job.autoscaler.scaling.enabled: \"false\"` to have its advice only"
            }
            Self::Stateless => {
                "an upgrade would lose the job's state: set spec.job.upgradeMode to `last-state` or `savepoint`"
            }
            Self::Suspended => "the job is suspended: set spec.job.state to `running`",
            Self::NoJob => "it is a session cluster without a job: name the FlinkSessionJob in spec.operator",
            Self::Deleted => "it is being deleted",
        })
    }
}

/// An operator's resource, as it was last seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperatorSeen {
    /// When, by Tidegate's clock.
    pub at: Timestamp,
    /// Its kind and name, for people.
    pub name: String,
    /// What makes the job's size.
    pub fields: OperatorFields,
    /// A digest of all else of its spec: whoever changes anything else makes it another one.
    pub rest: String,
    /// What the operator says.
    pub state: OperatorState,
    /// Which Flinks take sizes of single vertices by it.
    #[serde(default)]
    pub overrides: Overrides,
    /// Whether it says how many TaskManagers there are to be; otherwise they follow from the parallelism.
    #[serde(default)]
    pub takes_replicas: bool,
    /// What stands in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hindrance: Option<Hindrance>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_vertices_are_heeded_by_some_versions() {
        for (version, of_job, of_cluster) in [
            ("1.16.3", false, false),
            ("1.17.2", false, true),
            ("1.18.1", false, true),
            ("1.19.0", true, true),
            ("1.20.5", true, true),
            ("2.0.0", false, false),
            ("2.3.0", false, false),
        ] {
            let version: FlinkVersion = version.parse().expect("a version");
            let heeded =
                [Overrides::OfJob, Overrides::OfCluster, Overrides::Never].map(|o| o.are_heeded(version));
            assert_eq!(heeded, [of_job, of_cluster, false], "{version}");
        }
    }
}
