//! Which job of the cluster is meant.

use std::fmt;

use super::wire::Listed;
use crate::model::{JobId, JobState};

/// What the settings say of the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Its id: it is this run of the job and no other.
    Id(JobId),
    /// Its name: whichever job of that name runs.
    Name(String),
    /// The only job that runs.
    Only,
}

/// Why there is no one job that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unclear {
    /// None runs; the last one of that name, if the cluster remembers it.
    None(Option<(JobId, JobState)>),
    /// Several run.
    Many(Vec<(JobId, String)>),
}

impl Wanted {
    /// What `flink.job` says: 32 hexadecimal digits are an id.
    pub(super) fn new(job: Option<&str>) -> Self {
        match job.map(|job| (job.parse(), job)) {
            Some((Ok(id), _)) => Self::Id(id),
            Some((Err(_), name)) => Self::Name(name.to_owned()),
            None => Self::Only,
        }
    }

    /// The one job of `/jobs/overview` that is meant.
    pub(super) fn find(&self, jobs: &[Listed]) -> Result<JobId, Unclear> {
        let meant: Vec<&Listed> = jobs.iter().filter(|job| self.means(job)).collect();
        let alive: Vec<&Listed> = meant.iter().copied().filter(|job| is_alive(job.state)).collect();
        match alive.as_slice() {
            [job] => Ok(job.id),
            [] => {
                let last = meant.iter().max_by_key(|job| job.started);
                Err(Unclear::None(last.map(|job| (job.id, job.state))))
            }
            several => Err(Unclear::Many(several.iter().map(|job| (job.id, job.name.clone())).collect())),
        }
    }

    fn means(&self, job: &Listed) -> bool {
        match self {
            Self::Id(id) => job.id == *id,
            Self::Name(name) => job.name == *name,
            Self::Only => true,
        }
    }
}

/// A job that is being cancelled is on its way out: the one that takes its place is meant.
fn is_alive(state: JobState) -> bool {
    !state.is_terminal() && !matches!(state, JobState::Cancelling | JobState::Suspended)
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Name(name) => write!(f, "{:?}", name.chars().take(80).collect::<String>()),
            Self::Only => f.write_str("at all"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: u128, name: &str, state: JobState) -> Listed {
        Listed {
            id: JobId::from_bits(id),
            name: name.to_owned(),
            state,
            started: i64::try_from(id).expect("small"),
        }
    }

    #[test]
    fn finds_the_job_that_runs() {
        use JobState::{Canceled, Cancelling, Created, Finished, Restarting, Running};
        let id = JobId::from_bits;
        let none = |last: Option<(u128, JobState)>| Err(Unclear::None(last.map(|(i, state)| (id(i), state))));
        let orders = Wanted::new(Some("orders"));
        for (wanted, jobs, found) in [
            (&orders, vec![job(1, "orders", Running), job(2, "other", Running)], Ok(id(1))),
            (&orders, vec![job(1, "orders", Canceled), job(2, "orders", Created)], Ok(id(2))),
            (&orders, vec![job(1, "orders", Cancelling), job(2, "orders", Running)], Ok(id(2))),
            (&orders, vec![job(1, "orders", Restarting)], Ok(id(1))),
            (&orders, vec![job(1, "Orders", Running)], none(None)),
            (&orders, vec![], none(None)),
            (
                &orders,
                vec![job(1, "orders", Canceled), job(3, "orders", Finished), job(2, "orders", Canceled)],
                none(Some((3, Finished))),
            ),
            (
                &orders,
                vec![job(1, "orders", Running), job(2, "orders", Restarting)],
                Err(Unclear::Many(vec![(id(1), "orders".to_owned()), (id(2), "orders".to_owned())])),
            ),
            (&Wanted::Only, vec![job(1, "a", Finished), job(2, "b", Running)], Ok(id(2))),
            (&Wanted::Only, vec![job(1, "a", Finished)], none(Some((1, Finished)))),
            (
                &Wanted::Only,
                vec![job(1, "a", Running), job(2, "b", Running)],
                Err(Unclear::Many(vec![(id(1), "a".to_owned()), (id(2), "b".to_owned())])),
            ),
        ] {
            assert_eq!(wanted.find(&jobs), found, "{wanted} of {jobs:?}");
        }
    }

    #[test]
    fn tells_an_id_from_a_name() {
        let text = "a1b2c3d4e5f60718293a4b5c6d7e8f90";
        assert_eq!(Wanted::new(Some(text)), Wanted::Id(text.parse().expect("an id")));
        assert_eq!(Wanted::new(Some("a1b2")), Wanted::Name("a1b2".to_owned()));
        assert_eq!(Wanted::new(None), Wanted::Only);
    }
}
