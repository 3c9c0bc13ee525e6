//! Which way a job is rescaled: picked from what the cluster is, and from what is known of the job.

use serde::Serialize;

use crate::model::{Cluster, FlinkVersion, Scheduler};
use crate::policy::{Mechanism, Policy};

/// Requirements can be set over REST from this version on (FLIP-291).
const IN_PLACE_SINCE: FlinkVersion = FlinkVersion { major: 1, minor: 18, patch: 0 };

/// A job that is run again takes `pipeline.jobvertex-parallelism-overrides` from this version on: earlier ones accept the setting and
/// ignore it (FLINK-33534).
const OVERRIDES_SINCE: FlinkVersion = FlinkVersion { major: 1, minor: 19, patch: 0 };

/// No version is earlier.
const ALWAYS: FlinkVersion = FlinkVersion { major: 0, minor: 0, patch: 0 };

/// From this version on it is ignored again (FLINK-38770), at least up to 2.3.0.
const OVERRIDES_UNTIL: FlinkVersion = FlinkVersion { major: 2, minor: 0, patch: 0 };

/// Which way a job is rescaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub enum Way {
    /// By resource requirements: the job restarts by itself, under its id.
    #[default]
    InPlace,
    /// The job is stopped with a savepoint and run again, each vertex at its own size.
    Savepoint,
    /// The same, with one size for the whole job: this Flink takes no other.
    SavepointWhole,
    /// Only the TaskManagers are made more or fewer: the job takes all slots there are.
    Reactive,
    /// The operator that runs the job is asked, each vertex at its own size.
    Operator,
    /// The same, with one size for the whole job.
    OperatorWhole,
}

impl Way {
    /// Whether it is by resource requirements.
    pub fn is_in_place(&self) -> bool {
        *self == Self::InPlace
    }

    /// Whether the job is stopped for it and run again under another id.
    pub fn runs_anew(self) -> bool {
        matches!(self, Self::Savepoint | Self::SavepointWhole)
    }

    /// Whether the operator that runs the job is asked, which brings the TaskManagers as well.
    pub fn is_by_operator(self) -> bool {
        matches!(self, Self::Operator | Self::OperatorWhole)
    }

    /// Whether all vertices get one size.
    pub fn takes_one_size(self) -> bool {
        matches!(self, Self::SavepointWhole | Self::OperatorWhole)
    }
}

/// The way for this job.
///
/// # Errors
/// Why there is none, and which setting would allow one.
pub fn way(cluster: Cluster, policy: &Policy) -> Result<Way, String> {
    let anew = || anew(cluster, policy);
    let why = match cluster.scheduler {
        // It takes all slots there are, whatever size it is run at.
        Scheduler::Reactive => return reactive(policy),
        _ if policy.mechanism == Mechanism::Reactive => {
            return Err("the job does not run in reactive mode; set `scheduler-mode: reactive`, or leave `spec.mechanism` out"
                .to_owned());
        }
        _ if policy.mechanism == Mechanism::Savepoint => return anew(),
        _ if cluster.version < IN_PLACE_SINCE => {
            format!("Flink {} cannot rescale a running job in place; 1.18 and later can", cluster.version)
        }
        Scheduler::Default => {
            "the job runs under the default scheduler, which cannot rescale it in place; set `jobmanager.scheduler: adaptive`"
                .to_owned()
        }
        Scheduler::Adaptive | Scheduler::Unknown => return Ok(Way::InPlace),
    };
    match policy.mechanism {
        Mechanism::Auto if policy.can_run_again => anew().map_err(|instead| format!("{why}; and {instead}")),
        Mechanism::Auto => {
            Err(format!("{why}, or say in `spec.savepoint` how it is run again from a savepoint"))
        }
        Mechanism::InPlace | Mechanism::Savepoint | Mechanism::Reactive | Mechanism::Operator => Err(why),
    }
}

/// The job is run again: by its jar, or by its JobManager's arguments where that is in application mode.
fn anew(cluster: Cluster, policy: &Policy) -> Result<Way, String> {
    match (cluster.takes_no_jars, policy.runs_by_manifest) {
        (true, false) if policy.can_run_again => {
            return Err("no jar can be run over REST (`web-submit: false`), as in application mode: name what runs its JobManager in \
                        `spec.savepoint.jobManager` in place of a jar; in a session cluster set `web.submit.enable: true`"
                .to_owned());
        }
        (false, true) => {
            return Err("it is a session cluster, whose JobManager's arguments say nothing of its jobs: name the jar in \
                        `spec.savepoint.jar` in place of `jobManager`"
                .to_owned());
        }
        _ => {}
    }
    // In application mode they are the cluster's, which has heeded them for longer.
    let since = if policy.runs_by_manifest { ALWAYS } else { OVERRIDES_SINCE };
    let takes_overrides = (since..OVERRIDES_UNTIL).contains(&cluster.version);
    Ok(if takes_overrides { Way::Savepoint } else { Way::SavepointWhole })
}

/// In reactive mode there is one way, and it needs something that makes TaskManagers.
fn reactive(policy: &Policy) -> Result<Way, String> {
    let instead = "or set `jobmanager.scheduler: adaptive` instead of `scheduler-mode: reactive`";
    let why = match policy.mechanism {
        Mechanism::Auto | Mechanism::Reactive if policy.has_workload => return Ok(Way::Reactive),
        Mechanism::Auto | Mechanism::Reactive => "name the workload of its TaskManagers in `spec.workload`",
        Mechanism::InPlace | Mechanism::Savepoint | Mechanism::Operator => {
            "leave `spec.mechanism` out, and name the workload of its TaskManagers in `spec.workload`"
        }
    };
    Err(format!("the job runs in reactive mode, which takes all slots there are: {why}, {instead}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_picked_from_what_the_cluster_is() {
        use Mechanism::{Auto, InPlace, Savepoint};
        use Scheduler::{Adaptive, Default, Unknown};
        for (version, scheduler, mechanism, can_run_again, expected) in [
            ("2.3.0", Adaptive, Auto, true, Some(Way::InPlace)),
            ("1.20.5", Unknown, Auto, true, Some(Way::InPlace)),
            ("1.20.5", Default, Auto, true, Some(Way::Savepoint)),
            ("1.20.5", Default, Auto, false, None),
            ("1.20.5", Default, InPlace, true, None),
            ("1.20.5", Adaptive, Savepoint, true, Some(Way::Savepoint)),
            ("1.19.3", Default, Auto, true, Some(Way::Savepoint)),
            ("1.18.1", Default, Auto, true, Some(Way::SavepointWhole)),
            ("1.17.2", Adaptive, Auto, true, Some(Way::SavepointWhole)),
            ("1.17.2", Default, Auto, false, None),
            ("2.3.0", Default, Auto, true, Some(Way::SavepointWhole)),
        ] {
            let cluster =
                Cluster { version: version.parse().expect("a version"), scheduler, takes_no_jars: false };
            let policy = Policy { mechanism, can_run_again, ..Policy::default() };
            let got = way(cluster, &policy);
            assert_eq!(
                got.as_ref().ok(),
                expected.as_ref(),
                "{version} {scheduler:?} {mechanism:?}: {got:?}"
            );
        }
    }

    #[test]
    fn in_application_mode_it_is_run_again_by_its_jobmanager_and_by_nothing_else() {
        use Mechanism::{Auto, InPlace, Savepoint};
        use Scheduler::{Adaptive, Default};
        for (version, scheduler, mechanism, takes_no_jars, runs_by_manifest, expected) in [
            ("1.17.2", Default, Auto, true, true, Ok(Way::Savepoint)),
            ("1.18.1", Default, Savepoint, true, true, Ok(Way::Savepoint)),
            ("1.20.5", Default, Auto, true, true, Ok(Way::Savepoint)),
            ("2.3.0", Default, Auto, true, true, Ok(Way::SavepointWhole)),
            ("2.3.0", Adaptive, Auto, true, true, Ok(Way::InPlace)),
            ("2.3.0", Adaptive, Savepoint, true, true, Ok(Way::SavepointWhole)),
            ("1.20.5", Default, Auto, true, false, Err("spec.savepoint.jobManager")),
            ("1.20.5", Adaptive, Savepoint, true, false, Err("web.submit.enable: true")),
            ("1.20.5", Default, Auto, false, true, Err("spec.savepoint.jar")),
            ("2.3.0", Adaptive, Savepoint, false, true, Err("spec.savepoint.jar")),
            ("2.3.0", Default, InPlace, true, true, Err("jobmanager.scheduler: adaptive")),
        ] {
            let cluster = Cluster { version: version.parse().expect("a version"), scheduler, takes_no_jars };
            let policy = Policy { mechanism, can_run_again: true, runs_by_manifest, ..Policy::default() };
            let is_it = match (way(cluster, &policy), expected) {
                (Ok(got), Ok(expected)) => got == expected,
                (Err(why), Err(setting)) => why.contains(setting),
                (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
            };
            assert!(
                is_it,
                "{version} {scheduler:?} {mechanism:?} {takes_no_jars}: {:?}",
                way(cluster, &policy)
            );
        }
    }

    #[test]
    fn in_reactive_mode_only_the_taskmanagers_can_be_changed() {
        use Mechanism::{Auto, InPlace, Reactive, Savepoint};
        for (scheduler, mechanism, has_workload, expected) in [
            (Scheduler::Reactive, Auto, true, Some(Way::Reactive)),
            (Scheduler::Reactive, Reactive, true, Some(Way::Reactive)),
            (Scheduler::Reactive, Auto, false, None),
            (Scheduler::Reactive, InPlace, true, None),
            (Scheduler::Reactive, Savepoint, true, None),
            (Scheduler::Adaptive, Reactive, true, None),
            (Scheduler::Default, Reactive, true, None),
            (Scheduler::Adaptive, Auto, true, Some(Way::InPlace)),
        ] {
            let cluster =
                Cluster { version: "1.17.2".parse().expect("a version"), scheduler, takes_no_jars: false };
            let newer =
                Cluster { version: "2.3.0".parse().expect("a version"), scheduler, takes_no_jars: false };
            let policy = Policy { mechanism, has_workload, can_run_again: true, ..Policy::default() };
            assert_eq!(way(newer, &policy).ok(), expected, "{scheduler:?} {mechanism:?} {has_workload}");
            if scheduler == Scheduler::Reactive {
                assert_eq!(way(cluster, &policy), way(newer, &policy), "in every version");
            }
        }
    }

    #[test]
    fn a_refusal_names_what_would_allow_it() {
        for (version, scheduler, settings) in [
            ("1.20.5", Scheduler::Default, ["jobmanager.scheduler: adaptive", "spec.savepoint"]),
            ("1.17.2", Scheduler::Adaptive, ["1.18", "spec.savepoint"]),
            ("2.3.0", Scheduler::Reactive, ["spec.workload", "adaptive"]),
        ] {
            let cluster =
                Cluster { version: version.parse().expect("a version"), scheduler, takes_no_jars: false };
            let why = way(cluster, &Policy::default()).expect_err("there is none");
            assert!(settings.iter().all(|setting| why.contains(setting)), "{why}");
        }
    }
}
