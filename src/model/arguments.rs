//! The arguments of a JobManager in application mode: which job it runs, from which savepoint, at which size.
//!
//! Comes in: the command and the arguments of its container. Goes out: the same that run the job again, all else being kept where it is.
//! Flink reads options up to the first word that it does not know; what follows is the program's own. What Tidegate sets comes first,
//! before anything that one version of Flink knows and another does not.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{JobId, Parallelism, VertexId};

/// The word by which Flink's image starts a JobManager that runs one job (`docker-entrypoint.sh`).
const STANDALONE_JOB: &str = "standalone-job";

/// What sizes a job vertex by vertex.
pub const OVERRIDES: &str = "pipeline.jobvertex-parallelism-overrides";

/// The options that Flink's `StandaloneApplicationClusterConfigurationParserFactory` has had from 1.17 to 2.3 and that take a value.
const WITH_VALUE: [&str; 16] = [
    "c",
    "configDir",
    "D",
    "h",
    "host",
    "j",
    "job-classname",
    "jar-file",
    "jarfile",
    "jars",
    "jid",
    "job-id",
    "r",
    "webui-port",
    "s",
    "fromSavepoint",
];

/// Those without one.
const FLAGS: [&str; 2] = ["n", "allowNonRestoredState"];

/// Options that Tidegate sets.
const OURS: [&str; 4] = ["jid", "job-id", "s", "fromSavepoint"];

/// Properties that Tidegate sets, or that say the same as an option of its own. The savepoint is never claimed by the job
/// (`NO_CLAIM`, Flink's default): the job may have to come back from it.
const OUR_PROPERTIES: [&str; 7] = [
    "parallelism.default",
    OVERRIDES,
    "$internal.pipeline.job-id",
    "execution.savepoint.path",
    "execution.state-recovery.path",
    "execution.savepoint-restore-mode",
    "execution.state-recovery.claim-mode",
];

/// Why a container's arguments cannot be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoArguments {
    /// It is no JobManager of one job, or is started in another way.
    #[error(
        "it is not started by the word standalone-job, as Flink's image starts a JobManager in application mode"
    )]
    NotStandalone,
    /// What is to be changed is in the command.
    #[error("options follow standalone-job in its `command`; write them into `args`")]
    InCommand,
}

/// How the job is run again.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunAgain<'a> {
    /// The id of the run.
    pub(super) id: JobId,
    /// Where its savepoint is.
    pub(super) savepoint: &'a str,
    /// Its sizes.
    pub(super) sizes: &'a BTreeMap<VertexId, Parallelism>,
}

/// The options of a JobManager among its container's arguments: before them, they, and the program's own.
struct Parts<'a> {
    head: &'a [String],
    options: Vec<&'a [String]>,
    rest: &'a [String],
}

impl<'a> Parts<'a> {
    fn of(command: &[String], args: &'a [String]) -> Result<Self, NoArguments> {
        let is_word = |word: &String| word == STANDALONE_JOB;
        let head = match command.iter().position(is_word) {
            Some(at) if at + 1 == command.len() => 0,
            Some(_) => return Err(NoArguments::InCommand),
            None => args.iter().position(is_word).ok_or(NoArguments::NotStandalone)? + 1,
        };
        let (head, mut rest) = args.split_at(head);
        let mut options = Vec::new();
        while let Some(length) = rest.first().and_then(|word| length(word)) {
            let (option, after) = rest.split_at(length.min(rest.len()));
            options.push(option);
            rest = after;
        }
        Ok(Self { head, options, rest })
    }
}

/// The name of an option, and its value where it is in the same word.
fn named(word: &str) -> Option<(&str, Option<&str>)> {
    // The property is always in the same word, or all of it in the next one.
    if let Some(property) = word.strip_prefix("-D").filter(|property| !property.is_empty()) {
        return Some(("D", Some(property)));
    }
    let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
    Some(name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value))))
}

/// How many words an option takes up; `None` for what is none.
fn length(word: &str) -> Option<usize> {
    let (name, value) = named(word)?;
    if FLAGS.contains(&name) && value.is_none() {
        return Some(1);
    }
    WITH_VALUE.contains(&name).then_some(if value.is_some() { 1 } else { 2 })
}

/// An option's name and value.
fn read(option: &[String]) -> Option<(&str, &str)> {
    let (name, value) = named(option.first()?)?;
    Some((name, value.or_else(|| option.get(1).map(String::as_str)).unwrap_or_default()))
}

fn is_ours(option: &[String]) -> bool {
    match read(option) {
        Some(("D", property)) => {
            let key = property.split_once('=').map_or(property, |(key, _)| key);
            OUR_PROPERTIES.contains(&key.trim())
        }
        Some((name, _)) => OURS.contains(&name),
        None => false,
    }
}

/// The id that a JobManager's job is to have, where its arguments say so.
///
/// # Errors
/// When they are none of a JobManager in application mode.
pub fn job_id(command: &[String], args: &[String]) -> Result<Option<JobId>, NoArguments> {
    let parts = Parts::of(command, args)?;
    let ids = parts.options.iter().filter_map(|option| read(option));
    // Of several the first counts.
    let id = ids.filter(|(name, _)| matches!(*name, "jid" | "job-id")).map(|(_, id)| id).next();
    Ok(id.and_then(|id| id.parse().ok()))
}

/// The arguments that run the job again.
///
/// # Errors
/// When they are none of a JobManager in application mode.
pub(super) fn run_again(
    command: &[String],
    args: &[String],
    run: RunAgain<'_>,
) -> Result<Vec<String>, NoArguments> {
    let parts = Parts::of(command, args)?;
    let parallelism = run.sizes.values().copied().max().unwrap_or(Parallelism::ONE);
    let sizes = run.sizes.iter().map(|(vertex, size)| format!("{vertex}:{size}")).collect::<Vec<_>>();
    let own = [
        "--job-id".to_owned(),
        run.id.to_string(),
        "--fromSavepoint".to_owned(),
        // Kubernetes puts variables in the place of $(NAME).
        run.savepoint.replace("$(", "$$("),
        format!("-Dparallelism.default={parallelism}"),
        // Where it is ignored it does no harm.
        format!("-D{OVERRIDES}={}", sizes.join(",")),
    ];
    let kept = parts.options.into_iter().filter(|option| !is_ours(option)).flatten().cloned();
    Ok(parts.head.iter().cloned().chain(own).chain(kept).chain(parts.rest.iter().cloned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    const OWN: &str = "--job-id 00000000000000000000000000000009 --fromSavepoint file:/s/1 -Dparallelism.default=4 \
        -Dpipeline.jobvertex-parallelism-overrides=00000000000000000000000000000001:2,00000000000000000000000000000002:4";

    fn again(command: &str, args: &str) -> Result<Vec<String>, NoArguments> {
        let sizes = [(1, 2), (2, 4)].map(|(id, size)| (VertexId::from_bits(id), Parallelism::clamped(size)));
        let sizes = sizes.into();
        let run = RunAgain { id: JobId::from_bits(9), savepoint: "file:/s/1", sizes: &sizes };
        run_again(&words(command), &words(args), run)
    }

    #[test]
    fn what_is_not_ours_stays_where_it_is() {
        for (args, options) in [
            ("", ""),
            ("--job-classname a.B", "--job-classname a.B"),
            ("-j a.B -n --host $(POD_IP)", "-j a.B -n --host $(POD_IP)"),
            ("--job-id 07 --job-classname a.B", "--job-classname a.B"),
            ("--job-id=07 -j a.B -s file:/old", "-j a.B"),
            ("-jid 07 --fromSavepoint=file:/old --allowNonRestoredState", "--allowNonRestoredState"),
            ("-Dparallelism.default=1 -Da=b -D parallelism.default=2 -D c=d", "-Da=b -D c=d"),
            ("-Dpipeline.jobvertex-parallelism-overrides=a:1 --jars /a.jar,/b.jar", "--jars /a.jar,/b.jar"),
            ("-Dexecution.state-recovery.claim-mode=CLAIM -Dexecution.savepoint.path=x", ""),
            ("-Dparallelism.defaults=1", "-Dparallelism.defaults=1"),
        ] {
            for own in
                ["", "--topic orders --job-id theirs -s theirs", "-- -s x", "plain -Dparallelism.default=9"]
            {
                let got = again("", &format!("standalone-job {args} {own}")).expect(args);
                assert_eq!(got, words(&format!("standalone-job {OWN} {options} {own}")), "{args} {own}");
                let twice = again("", &got.join(" ")).expect(args);
                assert_eq!(twice, got, "done again it is the same");
            }
        }
    }

    #[test]
    fn the_word_may_end_the_command() {
        let got = again("/docker-entrypoint.sh standalone-job", "-j a.B --topic x").expect("arguments");
        assert_eq!(got, words(&format!("{OWN} -j a.B --topic x")));
        let got = again("/docker-entrypoint.sh", "standalone-job -j a.B").expect("arguments");
        assert_eq!(got, words(&format!("standalone-job {OWN} -j a.B")));
        for (command, args, why) in [
            ("", "jobmanager", NoArguments::NotStandalone),
            ("", "", NoArguments::NotStandalone),
            ("bash -c", "standalone-job.sh", NoArguments::NotStandalone),
            ("/docker-entrypoint.sh standalone-job -j a.B", "", NoArguments::InCommand),
        ] {
            assert_eq!(again(command, args), Err(why), "{command} {args}");
        }
    }

    #[test]
    fn a_job_id_is_found_among_the_options_only() {
        let id = "00000000000000000000000000000007";
        for (args, found) in [
            (format!("standalone-job --job-id {id} -j a.B"), true),
            (format!("standalone-job -j a.B -jid={id}"), true),
            (format!("standalone-job -j a.B --topic x --job-id {id}"), false),
            ("standalone-job -j a.B".to_owned(), false),
            ("standalone-job --job-id".to_owned(), false),
        ] {
            let expected = found.then(|| JobId::from_bits(7));
            assert_eq!(job_id(&[], &words(&args)), Ok(expected), "{args}");
        }
    }

    #[test]
    fn a_savepoint_is_no_variable_of_kubernetes() {
        let sizes = BTreeMap::new();
        let run = RunAgain { id: JobId::from_bits(9), savepoint: "file:/$(x)/1", sizes: &sizes };
        let got = run_again(&[], &words("standalone-job"), run).expect("arguments");
        assert_eq!(got[4], "file:/$$(x)/1");
    }
}
