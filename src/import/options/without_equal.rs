//! The operator's options that have no field here, and what is done instead of each.

use super::AutoscalerRule;

/// What is done instead of an option, and where that is said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Behind {
    pub(super) at: &'static str,
    pub(super) text: &'static str,
}

const RULES: &str = "spec.rules[]";
const LIMITS: &str = "spec.limits";

/// What neither rule has, by what the names begin with.
const OF_BOTH: [(&str, Behind); 7] = [
    (
        "metrics.custom-evaluator",
        Behind {
            at: RULES,
            text: "the operator's plugins do not run here; a prometheus rule may say the same.",
        },
    ),
    ("scaling.custom-executor", Behind { at: LIMITS, text: "the operator's plugins do not run here." }),
    (
        "memory.gc-pressure.threshold",
        Behind {
            at: LIMITS,
            text: "as limits.memoryPressure.gcTime it holds up shrinking only: growing is what relieves the memory.",
        },
    ),
    (
        "memory.heap-usage.threshold",
        Behind {
            at: LIMITS,
            text: "as limits.memoryPressure.heap it holds up shrinking only: growing is what relieves the memory.",
        },
    ),
    (
        "memory.tuning.",
        Behind {
            at: LIMITS,
            text: "the memory of TaskManagers is not changed here. Write down what the operator has given them last.",
        },
    ),
    (
        "scaling.event.interval",
        Behind {
            at: RULES,
            text: "there is nothing to thin out: every decision is one line of the journal.",
        },
    ),
    (
        "scaling.parallelism-alignment.mode.",
        Behind {
            at: LIMITS,
            text: "the operator's plugins do not run here; `balanced` stands for one that is not found.",
        },
    ),
];

/// What the throughput rule does not have.
const OF_THROUGHPUT: [(&str, Behind); 8] = [
    (
        "backlog-processing.lag-threshold",
        Behind {
            at: RULES,
            text: "nothing shrinks while a backlog stands, however long it would take to work it off.",
        },
    ),
    (
        "observed-true-processing-rate.",
        Behind {
            at: RULES,
            text: "not needed: capacity comes from exact counters, and that of a source from what it takes in while records wait.",
        },
    ),
    (
        "scaling.effectiveness.",
        Behind {
            at: RULES,
            text: "always on, at 0.1: a size that brought less than a tenth of what was expected is not tried again until the load \
                   is another.",
        },
    ),
    (
        "observed-scalability.",
        Behind {
            at: RULES,
            text: "always on: what a subtask more brings is learned for each vertex, from the second size on.",
        },
    ),
    (
        "metrics.busy-time.aggregator",
        Behind {
            at: RULES,
            text: "the mean of all subtasks and the hottest of them are both measured, so there is nothing to choose.",
        },
    ),
    (
        "restart.time-tracking.limit",
        Behind { at: RULES, text: "an observed restart counts for as long as it took." },
    ),
    (
        "excluded.periods",
        Behind {
            at: RULES,
            text: "the throughput rule does not look at the clock. Its `when` can switch it off, and then nothing changes; the rule \
                   flinkAutoscaler knows these periods.",
        },
    ),
    (
        "history.max.",
        Behind { at: RULES, text: "what is learned of a vertex is kept for as long as it is of use." },
    ),
];

/// What is done instead of the option of this name; `None` where a field says the same.
pub(super) fn of(name: &str, rule: AutoscalerRule) -> Option<Behind> {
    let own: &[_] = match rule {
        AutoscalerRule::FlinkAutoscaler => &[],
        AutoscalerRule::Throughput => &OF_THROUGHPUT,
    };
    OF_BOTH.iter().chain(own).find(|(start, _)| name.starts_with(start)).map(|(_, behind)| *behind)
}
