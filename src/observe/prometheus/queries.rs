//! The queries of one job's policy, asked in each cycle.

use std::time::Duration;

use super::super::join::join_all;
use super::cpu::Cpu;
use super::server::{Reply, Server};
use crate::model::{self, Answer, Observation, Snapshot, Timestamp};
use crate::policy::{AutoscalerSpec, Policy, Query, QueryFacts, Rule, Span, Variable};

/// Whose queries they are, for the variables in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whose {
    /// The namespace of the `FlinkAutoscaler`.
    pub namespace: Option<String>,
    /// Its name.
    pub autoscaler: Option<String>,
    /// The name of the workload that it names.
    pub workload: Option<String>,
    /// Its kind.
    pub kind: Option<String>,
}

impl Whose {
    /// Of an autoscaler of this name, in this namespace.
    pub fn of(autoscaler: &AutoscalerSpec, name: &str, namespace: Option<&str>) -> Self {
        Self {
            namespace: namespace.map(str::to_owned),
            autoscaler: Some(name.to_owned()),
            workload: autoscaler.workload.as_ref().map(|workload| workload.name.clone()),
            kind: autoscaler.workload.as_ref().map(|workload| workload.kind.clone()),
        }
    }
}

/// The queries of one job.
pub struct Queries {
    server: Server,
    all: Vec<Query>,
    /// Where a rule looks at the CPU of pods.
    cpu: Option<Cpu>,
    whose: Whose,
    /// The job's name and id, when it was last seen.
    job: Option<(String, String)>,
    window: Duration,
    patience: Duration,
}

impl Queries {
    /// The queries of a policy, and those for its `resource` rule on CPU; `None` when it has none.
    pub fn new(server: Server, policy: &Policy, whose: Whose) -> Option<Self> {
        let all: Vec<Query> = of(policy).cloned().collect();
        let cpu = Cpu::of(policy, &whose);
        let poll = policy.poll.get();
        // Polls come up to a twentieth early.
        let (window, patience) = (poll.mul_f64(0.9), poll / 2);
        let is_any = cpu.is_some() || !all.is_empty();
        is_any.then_some(Self { server, all, cpu, whose, job: None, window, patience })
    }

    /// Polls the job, and asks for the answers meanwhile; in the first cycle of a policy that asks for the job's name or id,
    /// after it.
    pub async fn beside(
        &mut self,
        poll: impl Future<Output = Observation>,
        now: fn() -> Timestamp,
    ) -> Observation {
        let (observation, (answers, cpu)) = if self.job.is_some() || !self.asks_for_the_job() {
            tokio::join!(poll, self.ask(now))
        } else {
            let observation = poll.await;
            self.meet(&observation);
            let answers = self.ask(now).await;
            (observation, answers)
        };
        self.meet(&observation);
        match observation {
            Observation::Seen(mut snapshot) => {
                snapshot.around.queries.extend(answers);
                snapshot.around.cpu = cpu.map(Box::new);
                Observation::Seen(snapshot)
            }
            missed @ Observation::Missed(_) => missed,
        }
    }

    /// What is known of a job once its workload was looked at: where the metrics API tells what the pods use, it is not asked for.
    pub fn heed(&mut self, observation: &Observation) {
        if let (Some(cpu), Observation::Seen(snapshot)) = (&mut self.cpu, observation) {
            cpu.heed(snapshot.around.workload.as_ref());
        }
    }

    fn asks_for_the_job(&self) -> bool {
        let mut variables = self.all.iter().flat_map(Query::variables);
        self.cpu.is_some() || variables.any(|variable| matches!(variable, Variable::Job | Variable::JobId))
    }

    fn meet(&mut self, observation: &Observation) {
        if let Observation::Seen(Snapshot { name, job, .. }) = observation {
            self.job = Some((name.clone(), job.to_string()));
        }
    }

    /// All at once.
    async fn ask(&mut self, now: fn() -> Timestamp) -> (Vec<(String, Answer)>, Option<model::Cpu>) {
        let job = self.job.as_ref();
        let facts = QueryFacts {
            namespace: self.whose.namespace.as_deref(),
            autoscaler: self.whose.autoscaler.as_deref(),
            workload: self.whose.workload.as_deref(),
            job: job.map(|(name, _)| name.as_str()),
            job_id: job.map(|(_, id)| id.as_str()),
        };
        let asking = Asking { server: &self.server, window: self.window, patience: self.patience, now };
        let answers = join_all(self.all.iter().map(async |query| {
            let answer = match query.fill(&facts) {
                Ok(filled) => asking.reply(&filled).await.into(),
                Err(unfilled) => Answer { at: now(), values: Err(unfilled.to_string()) },
            };
            (query.as_str().to_owned(), answer)
        }));
        let cpu = async {
            match &mut self.cpu {
                Some(cpu) => cpu.ask(&asking, &facts).await,
                None => None,
            }
        };
        tokio::join!(answers, cpu)
    }
}

/// A server, and how long its answers are waited for and may be used.
pub(super) struct Asking<'a> {
    server: &'a Server,
    window: Duration,
    patience: Duration,
    pub(super) now: fn() -> Timestamp,
}

impl Asking<'_> {
    /// What came of a query.
    pub(super) async fn reply(&self, filled: &str) -> Reply {
        let Self { server, window, patience, now } = self;
        server.reply(filled, *window, *patience, *now).await.unwrap_or_else(|| {
            let (url, patience) = (server.url(), Span::from(*patience));
            Reply { at: now(), series: Err(format!("Prometheus {url}: no answer yet after {patience}")) }
        })
    }
}

pub(super) fn of(policy: &Policy) -> impl Iterator<Item = &Query> {
    policy.spec.rules.iter().filter_map(|rule| match rule {
        Rule::Prometheus(rule) => Some(&rule.query),
        _ => None,
    })
}
