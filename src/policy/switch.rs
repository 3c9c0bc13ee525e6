//! Whether a rule is on: its `when:` is asked by what is known of the job now.

use super::said::{Context, Silence};
use super::{Facts, JobFacts, Rule, SignalFacts, Want};
use crate::model::Parallelism;
use crate::signals::VertexSignals;

/// Whether a rule is on; why that cannot be said, where it cannot: it is silent then.
pub(super) fn is_on(rule: &Rule, numbers: &[Want], context: &Context<'_>) -> Result<bool, Silence> {
    let Some(when) = rule.when() else { return Ok(true) };
    let snapshot = context.snapshot;
    let id = snapshot.job.to_string();
    let facts = Facts {
        job: JobFacts { name: &snapshot.name, id: &id, labels: Some(&context.policy.labels) },
        signals: signals(numbers, context),
        now: context.now,
        zone: &context.policy.spec.time_zone,
    };
    when.is_on(&facts).map_err(|why| Silence::Failed { detail: format!("when: {why}") })
}

fn signals(numbers: &[Want], context: &Context<'_>) -> SignalFacts {
    let sources = || context.snapshot.graph.sources().map(|v| &context.signals.vertices[v]);
    let sum = |of: fn(&VertexSignals) -> Option<f64>| sources().filter_map(of).reduce(|a, b| a + b);
    let (load, backlog) = (sum(|source| source.arrival.map(|arrival| arrival.mean)), sum(|s| s.backlog));
    let taken_in = sum(|source| source.rate_in.map(|rate| rate.mean));
    let most = |values: &mut dyn Iterator<Item = f64>| values.reduce(f64::max);
    let fullest = most(&mut context.signals.vertices.iter().zip(numbers).filter_map(|(vertex, want)| {
        Some(vertex.rate_in?.mean / want.capacity.filter(|capacity| *capacity > 0.0)?)
    }));
    let capacity = taken_in.zip(fullest).map(|(taken_in, fullest)| taken_in / fullest);
    let busiest = most(&mut numbers.iter().filter_map(|want| want.utilization));
    let back_pressured = most(&mut context.signals.vertices.iter().filter_map(|v| v.back_pressured));
    let around = &context.snapshot.around;
    SignalFacts {
        load,
        backlog,
        backlog_seconds: load
            .zip(backlog)
            .and_then(|(load, backlog)| backlog_seconds(load, backlog, capacity)),
        busiest,
        back_pressured,
        replicas: around
            .workload
            .as_ref()
            .map(|w| w.replicas)
            .or(context.snapshot.slots.map(|s| s.taskmanagers)),
        parallelism: context.snapshot.vertices.iter().map(|v| v.parallelism).max().map(Parallelism::get),
    }
}

/// In what time the job works off what waits, beside what arrives; `None` where it never does.
fn backlog_seconds(load: f64, backlog: f64, capacity: Option<f64>) -> Option<f64> {
    if backlog <= 0.0 {
        return Some(0.0);
    }
    let left = capacity.filter(|capacity| capacity.is_finite())? - load;
    (left > 0.0).then(|| backlog / left)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Job, policy};
    use super::super::{Said, Throughput};
    use super::*;

    #[test]
    fn asks_about_the_job_as_it_is() {
        // Eight subtasks at 4 ms take in 2000/s; 500/s arrive, and 3,000 wait: 2 s.
        for (when, expected) in [
            ("true", Ok(true)),
            ("hour >= 12", Ok(false)),
            ("hour == 11 && weekday == 3", Ok(true)),
            ("job.name == 'orders' && job.labels['tier'] == 'gold'", Ok(true)),
            ("job.labels['team'] == 'a'", Err(())),
            ("signals.load > 499.0 && signals.backlog == 3000.0", Ok(true)),
            ("signals.backlogSeconds > 1.9 && signals.backlogSeconds < 2.1", Ok(true)),
            ("signals.replicas == 8 && signals.parallelism == 8", Ok(true)),
        ] {
            let job = Job::chain(&[(8, 0.0), (8, 0.004)]).arriving(500.0).backlog(3000.0);
            let mut policy = policy();
            policy.labels.insert("tier".to_owned(), "gold".to_owned());
            let rule = Throughput { when: Some(when.parse().expect("CEL")), ..Throughput::default() };
            policy.spec.rules = vec![Rule::Throughput(rule)];
            let said = job.proposal(&policy).rules.remove(0).said;
            let got = match said {
                Said::Sizes => Ok(true),
                Said::Off => Ok(false),
                _ => Err(()),
            };
            assert_eq!(got, expected, "{when}: {said:?}");
        }
    }
}
