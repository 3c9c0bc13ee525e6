//! Which way a job is rescaled: picked from what the cluster is, and from what is known of the job.

use serde::Serialize;

use crate::model::{Cluster, FlinkVersion, Scheduler};
use crate::policy::{Mechanism, Policy};

/// Requirements can be set over REST from this version on (FLIP-291).
const IN_PLACE_SINCE: FlinkVersion = FlinkVersion { major: 1, minor: 18, patch: 0 };

/// A job that is run again takes `pipeline.jobvertex-parallelism-overrides` from this version on: earlier ones accept the setting and
/// ignore it (FLINK-33534).
const OVERRIDES_SINCE: FlinkVersion = FlinkVersion { major: 1, minor: 19, patch: 0 };

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
}

impl Way {
    /// Whether the job keeps running under its id.
    pub fn is_in_place(&self) -> bool {
        *self == Self::InPlace
    }
}

/// The way for this job.
///
/// # Errors
/// Why there is none, and which setting would allow one.
pub fn way(cluster: Cluster, policy: &Policy) -> Result<Way, String> {
    let anew = || {
        let takes_overrides = (OVERRIDES_SINCE..OVERRIDES_UNTIL).contains(&cluster.version);
        if takes_overrides { Way::Savepoint } else { Way::SavepointWhole }
    };
    let why = match cluster.scheduler {
        _ if policy.mechanism == Mechanism::Savepoint => return Ok(anew()),
        // It takes all slots there are, whatever size it is run at.
        Scheduler::Reactive => {
            return Err("the job runs in reactive mode, which takes all slots there are; set `jobmanager.scheduler: adaptive` \
                        instead of `scheduler-mode: reactive`"
                .to_owned());
        }
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
        Mechanism::Auto if policy.can_run_again => Ok(anew()),
        Mechanism::Auto => {
            Err(format!("{why}, or say in `spec.savepoint` how it is run again from a savepoint"))
        }
        Mechanism::InPlace | Mechanism::Savepoint => Err(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_picked_from_what_the_cluster_is() {
        use Mechanism::{Auto, InPlace, Savepoint};
        use Scheduler::{Adaptive, Default, Reactive, Unknown};
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
            ("2.3.0", Reactive, Auto, true, None),
        ] {
            let cluster = Cluster { version: version.parse().expect("a version"), scheduler };
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
    fn a_refusal_names_what_would_allow_it() {
        for (version, scheduler, settings) in [
            ("1.20.5", Scheduler::Default, ["jobmanager.scheduler: adaptive", "spec.savepoint"]),
            ("1.17.2", Scheduler::Adaptive, ["1.18", "spec.savepoint"]),
            ("2.3.0", Scheduler::Reactive, ["scheduler-mode: reactive", "adaptive"]),
        ] {
            let cluster = Cluster { version: version.parse().expect("a version"), scheduler };
            let why = way(cluster, &Policy::default()).expect_err("there is none");
            assert!(settings.iter().all(|setting| why.contains(setting)), "{why}");
        }
    }
}
