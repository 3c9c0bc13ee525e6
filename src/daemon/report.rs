//! What a job's task says: what changes at info, every cycle at debug, and each trouble once when it begins and once when it
//! is over.

use tracing::{debug, info, warn};

use crate::model::{MissedWhy, Observation, Timestamp};
use crate::record::{Outcome, Summary};

/// Something that may not work for a while.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trouble {
    since: Option<Timestamp>,
}

impl Trouble {
    /// It does not work; true when that is new.
    pub(super) fn begins(&mut self, at: Timestamp) -> bool {
        let is_new = self.since.is_none();
        self.since.get_or_insert(at);
        is_new
    }

    /// Whether it does not work.
    pub(super) fn is_there(&self) -> bool {
        self.since.is_some()
    }

    /// It works; since when it had not, if that is news.
    pub(super) fn ends(&mut self) -> Option<Timestamp> {
        self.since.take()
    }
}

/// What was said of one job last.
#[derive(Debug, Default)]
pub(super) struct Report {
    missed: Trouble,
    why: Option<MissedWhy>,
    /// The decision that was said last, and the kind of its outcome.
    said: Option<(Summary, &'static str)>,
}

/// What is to be said of an observation.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Gone,
    Back { since: Timestamp },
    None,
}

impl Report {
    /// Says what a cycle brought. To be called within the span of the job.
    pub(super) fn cycle(&mut self, observation: &Observation, summary: &Summary, outcome: &Outcome) {
        match (self.observed(observation), observation) {
            (News::Gone, Observation::Missed(missed)) => {
                warn!(since = %missed.at, why = ?missed.why, "nothing usable from Flink: {}", missed.detail);
            }
            (News::Back { since }, _) => {
                let away = crate::policy::Span::from(observation.at().since(since));
                info!(%since, %away, "Flink answers again");
            }
            (News::Gone | News::None, _) => {}
        }
        let is_new = self.is_new(summary, outcome);
        let Summary { at: _, verdict, holds, load, backlog, current, planned, replicas, because } = summary;
        macro_rules! say {
            ($level:ident) => {
                $level!(
                    verdict,
                    outcome = outcome.kind(),
                    holds = %holds.join(","),
                    load,
                    backlog,
                    current = ?current,
                    planned = ?planned,
                    replicas = ?replicas,
                    "{because}"
                )
            };
        }
        if is_new {
            say!(info);
        } else {
            say!(debug);
        }
        match outcome {
            Outcome::Applied => {
                if let Some((from, to)) = summary.replicas {
                    info!(from, to, "Kubernetes was asked for another number of TaskManagers");
                } else {
                    info!(sizes = summary.sizes(), "Flink was asked for another size");
                }
            }
            Outcome::Superseded { detail } | Outcome::RolledBack { detail } | Outcome::Failed { detail } => {
                warn!(outcome = outcome.kind(), "{detail}");
            }
            Outcome::Held { found: Some(hold) } => info!(hold = hold.kind(), "not carried out: {hold}"),
            Outcome::Held { found: None }
            | Outcome::Unobserved
            | Outcome::Unchanged
            | Outcome::Recommended => {}
        }
    }

    fn observed(&mut self, observation: &Observation) -> News {
        match observation {
            Observation::Missed(missed) => {
                let begins = self.missed.begins(missed.at);
                let before = self.why.replace(missed.why);
                if begins || before != Some(missed.why) { News::Gone } else { News::None }
            }
            Observation::Seen(_) => {
                self.why = None;
                self.missed.ends().map_or(News::None, |since| News::Back { since })
            }
        }
    }

    /// Whether this says something else than what was said last. A poll that failed has been told of already, and changes
    /// nothing of what is known.
    fn is_new(&mut self, summary: &Summary, outcome: &Outcome) -> bool {
        if summary.holds == ["NotObserved"] {
            return false;
        }
        let outcome = outcome.kind();
        let is_new =
            self.said.as_ref().is_none_or(|(last, kind)| summary.is_news_after(last) || *kind != outcome);
        if is_new {
            self.said = Some((summary.clone(), outcome));
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Missed;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    fn missed(second: i64, why: MissedWhy) -> Observation {
        Observation::Missed(Missed { at: at(second), why, detail: "gone".to_owned() })
    }

    fn summary(verdict: &'static str, hold: Option<&'static str>, load: f64, planned: &[u32]) -> Summary {
        Summary {
            at: at(0),
            verdict,
            holds: hold.into_iter().collect(),
            load: Some(load),
            backlog: None,
            current: vec![1, 3],
            planned: planned.to_vec(),
            replicas: None,
            because: String::new(),
        }
    }

    #[test]
    fn says_once_that_flink_is_gone_and_once_that_it_is_back() {
        let seen = Observation::Seen(crate::policy::testing::Job::chain(&[(1, 0.0)]).snapshot);
        let mut report = Report::default();
        for (observation, news) in [
            (&missed(10, MissedWhy::Unreachable), News::Gone),
            (&missed(20, MissedWhy::Unreachable), News::None),
            (&missed(30, MissedWhy::NoSuchJob), News::Gone),
            (&seen, News::Back { since: at(10) }),
            (&seen, News::None),
            (&missed(90, MissedWhy::NoSuchJob), News::Gone),
        ] {
            assert_eq!(report.observed(observation), news, "{observation:?}");
        }
    }

    #[test]
    fn says_what_changes_and_not_every_number() {
        let held = Outcome::Held { found: None };
        let mut report = Report::default();
        for (summary, outcome, is_new) in [
            (summary("Unchanged", None, 500.0, &[]), Outcome::Unchanged, true),
            (summary("Unchanged", None, 501.0, &[]), Outcome::Unchanged, false),
            (summary("Unobserved", Some("NotObserved"), 0.0, &[]), Outcome::Unobserved, false),
            (summary("Unchanged", None, 499.0, &[]), Outcome::Unchanged, false),
            (summary("Held", Some("LoadChanging"), 1500.0, &[1, 7]), held.clone(), true),
            (summary("Held", Some("Cooldown"), 1500.0, &[1, 7]), held, true),
            (summary("Approved", None, 1500.0, &[1, 7]), Outcome::Recommended, true),
            (summary("Approved", None, 1501.0, &[1, 7]), Outcome::Recommended, false),
            (summary("Approved", None, 1501.0, &[1, 8]), Outcome::Recommended, true),
        ] {
            assert_eq!(report.is_new(&summary, &outcome), is_new, "{summary:?} {outcome:?}");
        }
    }
}
