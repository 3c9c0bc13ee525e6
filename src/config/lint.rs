//! All that can be said of files before anything runs: mistakes, or what is legal and unwise.

use std::fmt;
use std::sync::Arc;

use super::advice::{self, Advice};
use super::error::{ConfigErrors, Position, Problem};
use super::library::Library;
use super::load::{AUTOSCALER, Document, POLICY, Policies, read};
use super::policies::{Place, policy};
use super::source::Source;
use super::{consistency, document::ScalingPolicy};
use crate::policy::{FlinkRef, Span};

/// Something that is unwise, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Warning {
    /// Where.
    pub place: Place,
    /// The field, from the top of its document: `spec.limits.rescales.max`.
    pub path: String,
    /// What is unwise, and what would be better.
    pub advice: Advice,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.path, self.advice)
    }
}

/// Says what is unwise in files, by file and place.
///
/// # Errors
/// All mistakes of all files; also when there is nothing in them.
pub fn lint(files: &[Source], library: &Library) -> Result<Vec<Warning>, ConfigErrors> {
    let (documents, mut errors) = read(files);
    errors.extend(consistency::check(&documents));
    if errors.is_empty() && documents.is_empty() {
        errors.extend(files.first().map(|file| file.error(Position::START, "", Problem::Nothing(POLICY))));
    }
    let (mut warnings, mut polls) = (Vec::new(), Vec::new());
    let mut policies = Policies::new(&documents, library);
    for document in documents.iter().filter(|document| document.kind() == Some(AUTOSCALER)) {
        if let Some(autoscaler) = policies.autoscaler(document) {
            let has_namespace = autoscaler.namespace.is_some();
            let queries = advice::on_queries(&autoscaler.spec, &autoscaler.policy.spec, has_namespace);
            warnings.extend(placed(document, queries));
            let spec = autoscaler.spec;
            warnings.extend(placed(document, advice::on_autoscaler(&spec)));
            polls.push((spec.policy_ref.name, spec.flink.poll));
        }
    }
    errors.append(&mut policies.into_errors());
    for document in documents.iter().filter(|document| document.kind() == Some(POLICY)) {
        if let Some(ScalingPolicy { metadata, spec, .. }) = policy(document, &mut errors) {
            let of_it = polls.iter().filter(|(name, _)| *name == metadata.name).map(|(_, poll)| *poll);
            let poll: Span = of_it.max().unwrap_or(FlinkRef::POLL);
            warnings.extend(placed(document, advice::on_policy(&spec, poll)));
        }
    }
    warnings.sort_by(|a, b| (&a.place.file, a.place.at).cmp(&(&b.place.file, b.place.at)));
    ConfigErrors::unless_any(errors, warnings)
}

fn placed<'a>(document: &'a Document<'_>, found: advice::Found) -> impl Iterator<Item = Warning> + 'a {
    let file = &document.source.name;
    found.into_iter().map(move |(path, advice)| Warning {
        place: Place { file: Arc::clone(file), at: document.root.place(&path) },
        path,
        advice,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Vec<String> {
        match lint(&[Source::new("f", text)], &Library::built_in()) {
            Ok(warnings) => warnings.iter().map(ToString::to_string).collect(),
            Err(errors) => panic!("{errors}"),
        }
    }

    fn policy(spec: &str) -> String {
        format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: ScalingPolicy\nmetadata: {{name: p}}\nspec:\n{spec}"
        )
    }

    fn autoscaler(spec: &str) -> String {
        format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: FlinkAutoscaler\nmetadata: {{name: j}}\nspec:\n{spec}"
        )
    }

    #[test]
    fn what_is_wise_is_left_alone() {
        for policy in super::super::builtin::list() {
            assert_eq!(said(policy.text), [""; 0], "{}", policy.name);
        }
        assert_eq!(
            said(&autoscaler("  flink: {url: 'http://x'}\n  parallelism: {min: 1, max: 9}\n")),
            [""; 0]
        );
    }

    #[test]
    fn each_unwise_setting_says_where_and_why() {
        let throughput = "  rules: [throughput: {}]\n";
        for (spec, says) in [
            (
                "  rules:\n  - throughput: {utilization: {target: 0.97}}\n",
                "f:6:40: spec.rules[0].throughput.utilization.target: a new size is 0.97 full, and too full at 1: ",
            ),
            (
                "  rules:\n  - throughput: {utilization: {min: 0.68}}\n",
                "f:6:31: spec.rules[0].throughput.utilization.target: a new size is 0.7 full, and too empty below 0.68: ",
            ),
            (
                "  rules:\n  - throughput: {catchUp: 30s, restart: 1m}\n",
                "f:6:27: spec.rules[0].throughput.catchUp: a backlog is to be gone within 30s, and a restart takes 1m: ",
            ),
            (
                "  rules:\n  - backpressure: {for: 1s}\n",
                "f:6:25: spec.rules[0].backpressure.for: 1s is shorter than a poll (5s): ",
            ),
            (
                "  rules:\n  - schedule: {windows: [{cron: 0 7 * * *, for: 12h, minReplicas: 6}, {cron: 0 9 * * 1, for: 2h, minReplicas: 8}]}\n",
                "f:6:71: spec.rules[0].schedule.windows[1]: it is open together with windows[0], as at 2026-01-05T09:00:00.000Z: ",
            ),
            (
                "  rules:\n  - backlog: {fallback: {after: 1m}}\n",
                "f:6:25: spec.rules[0].backlog.fallback: without parallelism or minParallelism it has no effect: ",
            ),
            (
                "  rules:\n  - backlog: {fallback: {after: 1m, parallelism: 4, minParallelism: 2}}\n",
                "f:6:69: spec.rules[0].backlog.fallback.minParallelism: parallelism is the size that counts",
            ),
            (
                &format!("{throughput}  behavior: {{scaleUp: {{stabilizationWindowSeconds: 3}}}}\n"),
                "f:6:52: spec.behavior.scaleUp.stabilizationWindowSeconds: 3s is shorter than a poll (5s): ",
            ),
            (
                &format!("{throughput}  behavior: {{scaleDown: {{stabilizationWindowSeconds: 30}}}}\n"),
                "f:6:54: spec.behavior.scaleDown.stabilizationWindowSeconds: scaling down after 30s spends more than a tenth",
            ),
            (
                &format!(
                    "{throughput}  behavior: {{scaleUp: {{policies: [{{type: Pods, value: 2, periodSeconds: 2}}]}}}}\n"
                ),
                "f:6:73: spec.behavior.scaleUp.policies[0].periodSeconds: 2s is shorter than a poll (5s): ",
            ),
            (
                &format!(
                    "{throughput}  behavior: {{scaleUp: {{selectPolicy: Disabled}}, scaleDown: {{selectPolicy: Disabled}}}}\n"
                ),
                "f:6:75: spec.behavior.scaleDown.selectPolicy: both directions are Disabled: ",
            ),
            (
                &format!("{throughput}  limits: {{cooldown: 30m, rescales: {{max: 4, per: 1h}}}}\n"),
                "f:6:43: spec.limits.rescales.max: 4 rescales with a cooldown of 30m between them do not fit into 1h: ",
            ),
            (
                &format!("{throughput}  limits: {{memoryPressure: {{heap: 0.3}}}}\n"),
                "f:6:35: spec.limits.memoryPressure.heap: 0.3 is what any healthy JVM has: ",
            ),
        ] {
            let said = said(&policy(spec));
            assert!(said.len() == 1 && said[0].starts_with(says), "{spec}{said:#?}");
        }
    }

    #[test]
    fn bounds_that_leave_no_choice_are_unwise() {
        let flink = "  flink: {url: 'http://x'}\n";
        for (spec, says) in [
            ("  parallelism: {min: 4, max: 4}\n", "f:6:30: spec.parallelism.max: min and max are both 4: "),
            ("  replicas: {min: 2, max: 2}\n", "f:6:27: spec.replicas.max: min and max are both 2: "),
            (
                "  vertices: [{name: a, min: 3, max: 3}]\n",
                "f:6:37: spec.vertices[0].max: min and max are both 3: nothing is ever scaled; leave more room between them, or write `exclude: true`",
            ),
        ] {
            let said = said(&autoscaler(&format!("{flink}{spec}")));
            assert!(said.len() == 1 && said[0].starts_with(says), "{spec}{said:#?}");
        }
    }

    #[test]
    fn queries_want_a_server_and_what_they_ask_for() {
        let rules = "  rules: [{prometheus: {query: 'a{n=\"${namespace}\",w=\"${workload}\",j=\"${job}\"}', \
                     target: {type: Value, value: 1}}}]\n";
        let job =
            |more| autoscaler(&format!("  flink: {{url: 'http://x'}}\n  policyRef: {{name: p}}\n{more}"));
        for (more, says) in [
            (
                "",
                &[
                    "the policy asks Prometheus",
                    "a query of the policy asks for ${namespace}",
                    "for ${workload}",
                ][..],
            ),
            (
                "  prometheus: {url: 'http://p'}\n  workload: {apiVersion: apps/v1, kind: Deployment, name: w}\n",
                &["asks for ${namespace}, and metadata.namespace is not given"],
            ),
        ] {
            let said = said(&format!("{}---\n{}", job(more), policy(rules)));
            assert!(
                said.len() == says.len() && said.iter().zip(says).all(|(a, b)| a.contains(b)),
                "{said:#?}"
            );
            assert!(said.iter().all(|line| line.starts_with("f:6:14: spec.policyRef: ")), "{said:#?}");
        }
    }

    #[test]
    fn a_policy_is_judged_by_the_poll_of_the_jobs_that_name_it() {
        let slow = autoscaler("  flink: {url: 'http://x', poll: 90s}\n  policyRef: {name: p}\n");
        let policy = policy("  rules: [throughput: {}, backpressure: {}]\n");
        assert_eq!(said(&policy), [""; 0]);
        let said = said(&format!("{slow}---\n{policy}"));
        assert!(said.len() == 1 && said[0].contains("1m is shorter than a poll (1m30s)"), "{said:#?}");
    }
}
