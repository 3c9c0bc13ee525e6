//! Policies: every rule, alone and several together, with all that limits them.

use proptest::prelude::*;
use serde_json::{Value, json};
use tidegate::model::Parallelism;
use tidegate::policy::{Bounds, Policy, PolicySpec, ReplicaBounds, Rule, Span, VertexSpec};

use crate::jobs::QUERIES;

/// Which rules there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kinds {
    /// Every kind.
    All,
    /// Those that ask for more when more arrives and hold when data is missing, whoever wrote them: not switched on and off by the
    /// load, without a size to fall back to, and without the operator's, which has a mind of its own.
    FollowTheLoad,
}

fn when() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "true",
        "false",
        "hour >= 11",
        "weekday == 7",
        "signals.load > 1000.0",
        "signals.backlog > 100.0",
        "signals.replicas > 4",
        "job.labels['tier'] == 'gold'",
    ])
}

fn fallback() -> impl Strategy<Value = Value> {
    (10..600_u64, prop::option::of(1..20_u32), prop::option::weighted(0.3, 1..20_u32)).prop_map(
        |(after, least, size)| {
            let mut fallback = json!({"after": format!("{after}s")});
            if let Some(size) = size {
                fallback["parallelism"] = json!(size);
            } else if let Some(least) = least {
                fallback["minParallelism"] = json!(least);
            }
            fallback
        },
    )
}

fn throughput() -> impl Strategy<Value = Value> {
    let band = (0.5..0.9_f64, 0.1..0.45_f64, 0.9..1.2_f64)
        .prop_map(|(target, min, max)| json!({"target": target, "min": min, "max": max}));
    let factors = (prop::option::weighted(0.3, 1.0..4.0_f64), prop::option::weighted(0.3, 0.0..1.0_f64));
    (band, factors, 1..600_u64, prop::option::of(1..60_u64)).prop_map(
        |(band, (up, down), catch_up, restart)| {
            let mut rule = json!({"utilization": band, "catchUp": format!("{catch_up}s")});
            if let Some(up) = up {
                rule["maxScaleUpFactor"] = json!(up);
            }
            if let Some(down) = down {
                rule["maxScaleDownFactor"] = json!(down);
            }
            if let Some(restart) = restart {
                rule["restart"] = json!(format!("{restart}s"));
            }
            json!({"throughput": rule})
        },
    )
}

fn schedule() -> impl Strategy<Value = Value> {
    // One that is open at the moment of the tests, and one that is not.
    let cron = prop::sample::select(vec!["0 10 * * 3", "0 12 * * 3"]);
    let some = |most: u32| prop::option::of(1..most);
    let window = (cron, some(20), some(20), some(12), some(12)).prop_map(|(cron, a, b, c, d)| {
        let mut window = json!({"cron": cron, "for": "2h"});
        for (field, size) in [
            ("minParallelism", a.zip(b).map_or(a, |(a, b)| Some(a.min(b)))),
            ("maxParallelism", a.zip(b).map_or(b, |(a, b)| Some(a.max(b)))),
            ("minReplicas", c.zip(d).map_or(c, |(c, d)| Some(c.min(d)))),
            ("maxReplicas", c.zip(d).map_or(d, |(c, d)| Some(c.max(d)))),
        ] {
            if let Some(size) = size {
                window[field] = json!(size);
            }
        }
        window
    });
    prop::collection::vec(window, 1..3).prop_map(|windows| json!({"schedule": {"windows": windows}}))
}

fn rule(kinds: Kinds) -> impl Strategy<Value = Rule> {
    let resource = (prop::sample::select(vec!["cpu", "memory"]), 10..120_u32).prop_map(|(name, percent)| {
        let target = json!({"type": "Utilization", "averageUtilization": percent});
        json!({"resource": {"name": name, "target": target}})
    });
    let prometheus = (prop::sample::select(QUERIES.to_vec()), 1..10_u32, any::<bool>()).prop_map(
        |(query, value, is_average)| {
            let value = value.to_string();
            let target = if is_average {
                json!({"type": "AverageValue", "averageValue": value})
            } else {
                json!({"type": "Value", "value": value})
            };
            json!({"prometheus": {"query": query, "target": target}})
        },
    );
    let backpressure = (0.3..0.9_f64, 0.01..0.2_f64)
        .prop_map(|(above, below)| json!({"backpressure": {"above": above, "below": below, "for": "0s"}}));
    let backlog = (1..300_u64, prop::option::of(0..10_000_u32)).prop_map(|(target, records)| {
        let mut rule = json!({"target": format!("{target}s")});
        if let Some(records) = records {
            rule["records"] = json!(records.to_string());
        }
        json!({"backlog": rule})
    });
    let operators = (0.4..0.9_f64, any::<bool>()).prop_map(|(target, excludes)| {
        let mut options = json!({"job.autoscaler.utilization.target": target.to_string()});
        if excludes {
            options["job.autoscaler.vertex.exclude.ids"] = json!(format!("{:032x}", 1));
        }
        json!({"flinkAutoscaler": {"options": options}})
    });
    let operators = if kinds == Kinds::FollowTheLoad { throughput().boxed() } else { operators.boxed() };
    let any = prop_oneof![
        4 => throughput(),
        1 => schedule(),
        1 => resource,
        1 => prometheus,
        1 => backpressure,
        1 => backlog,
        1 => operators,
    ];
    let with = (prop::option::weighted(0.2, when()), prop::option::weighted(0.2, fallback()));
    (any, with).prop_map(move |(mut rule, (when, fallback))| {
        let fields = rule.as_object_mut().expect("a rule by its name");
        let (name, fields) = fields.iter_mut().next().expect("one rule");
        if let Some(when) = when.filter(|_| kinds != Kinds::FollowTheLoad) {
            fields["when"] = json!(when);
        }
        let may_fall_back = !matches!(name.as_str(), "schedule" | "flinkAutoscaler");
        if let Some(fallback) = fallback.filter(|_| may_fall_back && kinds == Kinds::All) {
            fields["fallback"] = fallback;
        }
        serde_json::from_value(rule.clone()).unwrap_or_else(|error| panic!("{error}: {rule}"))
    })
}

fn spec(kinds: Kinds) -> impl Strategy<Value = PolicySpec> {
    let rates = prop::collection::vec(
        (prop::sample::select(vec!["Pods", "Subtasks", "Percent"]), 1..200_u32, 1..1_800_u32)
            .prop_map(|(kind, value, period)| json!({"type": kind, "value": value, "periodSeconds": period})),
        0..3,
    );
    let rules =
        (rates, prop::sample::select(vec!["Max", "Max", "Min", "Disabled"]), prop::option::of(0..120_u32))
            .prop_map(|(policies, select, window)| {
                let mut rules = json!({"policies": policies, "selectPolicy": select});
                if let Some(window) = window {
                    rules["stabilizationWindowSeconds"] = json!(window);
                }
                rules
            });
    // Most jobs have no limits here: the sizes themselves are what is looked at.
    let behavior = prop::option::weighted(0.3, (rules.clone(), rules)).prop_map(|both| {
        both.map_or(
            json!({"scaleDown": {"stabilizationWindowSeconds": 60}}),
            |(up, down)| json!({"scaleUp": up, "scaleDown": down}),
        )
    });
    let quota = prop::option::weighted(0.2, 0..40_u32);
    let limits =
        (prop::sample::select(vec!["balanced", "even", "off"]), quota).prop_map(|(alignment, quota)| {
            let mut limits = json!({"alignment": alignment, "cooldown": "1m"});
            if let Some(cores) = quota {
                limits["quota"] = json!({"cpu": cores.to_string()});
            }
            limits
        });
    (prop::collection::vec(rule(kinds), 1..5), behavior, limits).prop_map(|(rules, behavior, limits)| {
        let mut spec: PolicySpec =
            serde_json::from_value(json!({"rules": [], "behavior": behavior, "limits": limits}))
                .unwrap_or_else(|error| panic!("{error}: {behavior} {limits}"));
        // As a file may have them.
        let mut seen = Vec::new();
        spec.rules = rules
            .into_iter()
            .filter(|rule| {
                let is_new = !seen.contains(&rule.name());
                seen.push(rule.name());
                is_new || !matches!(rule.name(), "throughput" | "backpressure" | "flinkAutoscaler")
            })
            .collect();
        spec
    })
}

/// Any policy, with the bounds of a job.
pub(crate) fn policy(kinds: Kinds) -> impl Strategy<Value = Policy> {
    let size = |most: u64| (1..most).prop_map(Parallelism::clamped);
    let bounds = (size(20), size(60)).prop_map(|(a, b)| Bounds { min: a.min(b), max: a.max(b) });
    let bounds = prop::option::weighted(0.5, bounds).prop_map(Option::unwrap_or_default);
    let replicas = prop::option::weighted(0.3, (1..10_u32, 1..20_u32)).prop_map(|both| {
        both.map_or(ReplicaBounds::default(), |(a, b)| ReplicaBounds {
            min: Some(a.min(b)),
            max: Some(a.max(b)),
        })
    });
    let names = prop::sample::select(vec!["v0", "v1", "v2", "v?", "*3"]);
    let sizes = prop::option::weighted(0.5, (size(20), size(60)));
    let vertex = (names, sizes, prop::option::weighted(0.4, 1..40_u32), prop::bool::weighted(0.15)).prop_map(
        |(name, sizes, partitions, exclude)| VertexSpec {
            min: sizes.map(|(a, b)| a.min(b)),
            max: sizes.map(|(a, b)| a.max(b)),
            partitions,
            exclude,
            ..VertexSpec::named(name)
        },
    );
    (bounds, replicas, prop::collection::vec(vertex, 0..3), spec(kinds)).prop_map(
        |(parallelism, replicas, vertices, spec)| Policy {
            parallelism,
            replicas,
            vertices,
            poll: Span::from_secs(5),
            spec,
            ..Policy::default()
        },
    )
}
