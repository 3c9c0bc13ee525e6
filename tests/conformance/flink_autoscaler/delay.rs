//! The kinds about the delay before a scale-down.

use serde::Deserialize;
use serde_json::{Value, json};
use tidegate::model::Timestamp;
use tidegate::policy::flink_autoscaler::Options;
use tidegate::policy::flink_autoscaler::delay::{DelayedScaleDown, DelayedVertex, Recommendation};
use tidegate::policy::flink_autoscaler::vertex::decide_vertex;

use super::Computed;
use super::value::{at, fields};
use super::vertices::{OneVertex, RatesInput, evaluated, seconds};
use crate::frame::{Fault, Vector};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecommendationInput {
    t_s: f64,
    parallelism: u32,
    #[serde(alias = "outside")]
    outside_utilization_bound: bool,
}

impl RecommendationInput {
    fn recommendation(&self) -> Recommendation {
        Recommendation {
            at: at(self.t_s),
            parallelism: self.parallelism,
            outside: self.outside_utilization_bound,
        }
    }
}

pub(crate) fn scale_down_sequence(vector: &Vector, options: &Options) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        vertex: OneVertex,
        steps: Vec<Step>,
    }
    #[derive(Deserialize)]
    struct Step {
        t_s: f64,
        current_parallelism: u32,
        inject_recommendation: Option<RecommendationInput>,
        #[serde(flatten)]
        rates: RatesInput,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let restart_time = seconds(vector, options)?;
    let mut delayed = DelayedScaleDown::default();
    let mut steps = Vec::new();
    for step in &inputs.steps {
        if let Some(injected) = &step.inject_recommendation {
            delayed.recommend("v", injected.recommendation(), options.scale_down_interval);
        }
        let decision = decide_vertex(
            options,
            &inputs.vertex.vertex(step.current_parallelism),
            &evaluated(options, step.rates, restart_time),
            &[],
            restart_time,
            &mut delayed,
            at(step.t_s),
        );
        steps.push(json!({
            "new_parallelism": decision.change().map_or(step.current_parallelism, |(to, _)| to),
            "outside_utilization_bound": decision.change().is_some_and(|(_, outside)| outside),
            "delayed_vertices_empty": delayed.waiting().next().is_none(),
        }));
    }
    Ok(fields([("steps", json!(steps))]))
}

pub(crate) fn window_max(vector: &Vector) -> Computed {
    #[derive(Deserialize)]
    struct Inputs {
        triggers: Vec<RecommendationInput>,
        queries: Vec<Query>,
    }
    #[derive(Deserialize)]
    struct Query {
        window_start_s: f64,
    }
    let inputs: Inputs = vector.part("inputs")?;
    let [first, later @ ..] = inputs.triggers.as_slice() else {
        return Err(Fault::Unreadable("it has no triggers".to_owned()));
    };
    let mut delayed = DelayedVertex::new(first.recommendation());
    for trigger in later {
        delayed.add(trigger.recommendation());
    }
    let seconds = |at: Timestamp| json!(at.as_millis() as f64 / 1000.0);
    let queries: Vec<Value> = inputs
        .queries
        .iter()
        .map(|query| match delayed.most_since(at(query.window_start_s)) {
            Ok(most) => {
                json!({"t_s": seconds(most.at), "parallelism": most.parallelism, "outside": most.outside})
            }
            Err(_) => json!({"error": "IllegalState"}),
        })
        .collect();
    Ok(fields([("first_trigger_s", seconds(delayed.first())), ("queries", json!(queries))]))
}
