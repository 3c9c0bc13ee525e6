//! `tidegate import`: what it makes of what people had, and what it says of what it cannot read.
//!
//! `TIDEGATE_BLESS=1 cargo test --test import` writes the expected outputs anew.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, fs};

use proptest::prelude::*;
use serde_json::Value;
use tidegate::config::{Config, Library, Source, load};
use tidegate::import::{AutoscalerRule, Fill, Imported, NoteKind, Translation, import};
use tidegate::policy::hpa::SelectPolicy;
use tidegate::policy::{Mode, Rule};

/// Inputs with the flags that they are imported with, and the names of their outputs.
const GOLDEN: &[(&str, &[&str], &str)] = &[
    ("hpa-v1.yaml", &[], "hpa-v1"),
    (
        "hpa-v1.yaml",
        &["--flink", "https://flink.example.org/orders", "--job", "Orders (v2)"],
        "hpa-v1-filled",
    ),
    ("hpa-v1.yaml", &["-o", "json"], "hpa-v1-json"),
    ("hpa-v2.yaml", &[], "hpa-v2"),
    ("keda.yaml", &[], "keda"),
    ("flinkdeployment.yaml", &[], "flinkdeployment"),
    ("flinkdeployment.yaml", &["--rule", "throughput"], "flinkdeployment-throughput"),
    ("config.yaml", &["--rule", "throughput"], "config"),
    ("legacy/flink-conf.yaml", &[], "flink-conf"),
    ("list.yaml", &[], "list"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
}

/// The program in the folder of the inputs, so that messages name them shortly.
fn run(args: &[&str], stdin: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.arg("import").args(args).current_dir(folder()).env_remove("TIDEGATE_LOG").env_remove("RUST_LOG");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut input = child.stdin.take().expect("it is a pipe");
    // One that reads no input may be gone already.
    let _ = input.write_all(stdin.unwrap_or_default().as_bytes());
    drop(input);
    child.wait_with_output().expect("it ends")
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("it prints text")
}

/// What is imported from a text.
fn imported(name: &str, text: &str) -> Result<Imported, String> {
    import(&[Source::new(name, text)], &Fill::default()).map_err(|errors| errors.to_string())
}

/// The documents of an import as the program's own loader reads them.
fn loaded(imported: &Imported) -> Result<Config, String> {
    let documents = imported.translations.iter().flat_map(Translation::documents);
    let text = documents.fold(String::new(), |mut text, document| {
        let _ = write!(text, "---\n{document}\n");
        text
    });
    load(&[Source::new("imported", text.clone())], &Library::built_in())
        .map_err(|errors| format!("{errors}\n{text}"))
}

#[test]
fn makes_what_is_expected_and_the_loader_takes_it() {
    for (file, flags, name) in GOLDEN {
        let output = run(&[&[*file], *flags].concat(), None);
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        assert!(output.status.success() && stderr.is_empty(), "{name}: {stderr}");
        let is_json = flags.contains(&"json");
        let golden = folder().join(format!("{name}.out.{}", if is_json { "json" } else { "yaml" }));
        if env::var_os("TIDEGATE_BLESS").is_some() {
            fs::write(&golden, &stdout).expect("the file can be written");
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        let line = expected.lines().zip(stdout.lines()).position(|(old, new)| old != new);
        assert!(
            expected == stdout,
            "{} is not what is made (first at line {}); if it should be, run TIDEGATE_BLESS=1 cargo test --test import\n{stdout}",
            golden.display(),
            line.unwrap_or_default() + 1
        );
        if is_json {
            let value: Value = serde_json::from_str(&stdout).expect("it is JSON");
            assert_eq!(value["documents"].as_array().map(Vec::len), Some(2), "{stdout}");
            assert!(value["notes"].as_array().is_some_and(|notes| !notes.is_empty()), "{stdout}");
        } else {
            let read = load(&[Source::new(*name, stdout.as_str())], &Library::built_in());
            assert!(
                read.is_ok(),
                "{name}: {}",
                read.err().map(|errors| errors.to_string()).unwrap_or_default()
            );
        }
    }
}

#[test]
fn reads_standard_input() {
    let hpa = fs::read_to_string(folder().join("hpa-v1.yaml")).expect("it is there");
    let output = run(&["-"], Some(&hpa));
    assert!(output.status.success());
    assert!(text(output.stdout).starts_with("---\n# From HorizontalPodAutoscaler flink-taskmanager, -:1.\n"));
}

#[test]
fn what_could_be_written_instead_can_be_read() {
    let mut seen = 0;
    for (file, ..) in GOLDEN {
        let text = fs::read_to_string(folder().join(file)).expect("it is there");
        for translation in imported(file, &text).expect("it is sound").translations {
            for value in translation.notes.into_iter().filter_map(|note| note.instead) {
                let rule = serde_json::from_value::<Rule>(value.clone());
                assert!(rule.is_ok(), "{file}: {value}: {:?}", rule.err());
                seen += 1;
            }
        }
    }
    assert!(seen >= 8, "only {seen}");
}

/// An HPA or a ScaledObject, and what of it is to be seen in the result.
fn spec(manifest: &str) -> Config {
    loaded(&imported("f.yaml", manifest).expect(manifest)).unwrap_or_else(|errors| panic!("{errors}"))
}

fn hpa(rest: &str) -> String {
    format!(
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: a}}\nspec:\n  maxReplicas: 10\n  \
         scaleTargetRef: {{kind: Deployment, name: t}}\n{rest}"
    )
}

#[test]
fn the_defaults_of_an_hpa_are_those_of_its_controller() {
    // Growth in one direction: the window, and the policies as (type, value).
    let up = |config: &Config| {
        let rules = &config.autoscalers[0].policy.spec.behavior.scale_up;
        let policies = rules.policies.iter().map(|rate| (format!("{:?}", rate.kind), rate.value));
        (rules.stabilization_window_seconds, policies.collect::<Vec<_>>())
    };
    let percent = ("Percent".to_owned(), 100);
    let pods = |pods| ("Pods".to_owned(), pods);
    for (rest, expected) in [
        // Without `behavior`: twice as many, or four.
        ("  minReplicas: 3\n", (Some(0), vec![percent.clone()])),
        ("", (Some(0), vec![percent.clone(), pods(3)])),
        // With one, its defaults.
        ("  behavior: {}\n", (Some(0), vec![pods(4), percent.clone()])),
        ("  behavior: {scaleUp: {stabilizationWindowSeconds: 30}}\n", (Some(30), vec![pods(4), percent])),
    ] {
        assert_eq!(up(&spec(&hpa(rest))), expected, "{rest}");
    }
    let config = spec(&hpa(""));
    let policy = &config.autoscalers[0].policy;
    assert_eq!(policy.spec.behavior.scale_down.stabilization_window_seconds, Some(300));
    assert_eq!((policy.replicas.min, policy.replicas.max), (Some(1), Some(10)));
    assert!(
        serde_json::to_string(&policy.spec.rules)
            .is_ok_and(|rules| rules.contains("\"averageUtilization\":80"))
    );
}

#[test]
fn the_mode_is_what_was_done_before() {
    let keda = |annotation: &str| {
        format!(
            "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {{name: a, annotations: {{{annotation}}}}}\nspec:\n  \
             scaleTargetRef: {{name: t}}\n  triggers:\n  - {{type: cpu, metricType: Utilization, metadata: {{value: '50'}}}}\n"
        )
    };
    let flink = |options: &str| format!("job.autoscaler.restart.time: 1m\n{options}");
    for (manifest, mode) in [
        (hpa(""), Mode::Auto),
        (
            hpa(
                "  metrics: [{type: Pods, pods: {metric: {name: m}, target: {type: AverageValue, averageValue: 1}}}]\n",
            ),
            Mode::Recommend,
        ),
        (keda(""), Mode::Auto),
        (keda("autoscaling.keda.sh/paused: 'true'"), Mode::Paused),
        (keda("autoscaling.keda.sh/paused: 'false'"), Mode::Auto),
        (keda("autoscaling.keda.sh/paused: 'on'"), Mode::Paused),
        (keda("autoscaling.keda.sh/paused-replicas: '4'"), Mode::Paused),
        (flink(""), Mode::Recommend),
        (flink("job.autoscaler.enabled: true"), Mode::Auto),
        (flink("job.autoscaler.enabled: 'false'"), Mode::Paused),
        (
            flink("kubernetes.operator.job.autoscaler.enabled: true\njob.autoscaler.scaling.enabled: false"),
            Mode::Recommend,
        ),
    ] {
        assert_eq!(spec(&manifest).autoscalers[0].spec.mode, mode, "{manifest}");
    }
    let paused = spec(&keda("autoscaling.keda.sh/paused-scale-in: 'true'"));
    assert_eq!(paused.autoscalers[0].policy.spec.behavior.scale_down.select_policy, SelectPolicy::Disabled);
}

#[test]
fn nothing_is_left_out_in_silence() {
    for (manifest, told) in [
        (hpa("  metrcs: []\n"), "spec.metrcs"),
        (hpa("  behavior: {scaleUp: {window: 5}}\n"), "spec.behavior.scaleUp.window"),
        (hpa("  minReplicas: 0\n"), "spec.minReplicas"),
        ("job.autoscaler.memory.tuning.enabled: true".to_owned(), "job.autoscaler.memory.tuning.enabled"),
        ("job.autoscaler.memory.tunning.enabled: true".to_owned(), "job.autoscaler.memory.tunning.enabled"),
    ] {
        let notes: Vec<_> = imported("f.yaml", &manifest)
            .expect("it can be read")
            .translations
            .into_iter()
            .flat_map(|translation| translation.notes)
            .filter(|note| note.kind == NoteKind::NoEqual)
            .map(|note| note.field)
            .collect();
        assert_eq!(notes, [told], "{manifest}");
    }
}

#[test]
fn each_mistake_is_one_line_with_its_place() {
    let flink = "job.autoscaler.enabled: true\njob.autoscaler.";
    let keda = |rest: &str| {
        format!(
            "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {{name: a}}\nspec:\n  scaleTargetRef: {{name: t}}\n{rest}"
        )
    };
    let two = format!("{}---\n{}", hpa(""), hpa("").replace("t}", "u}"));
    let same = hpa("").replace("kind: Deployment", "kind: FlinkDeployment");
    let same = format!("{same}---\n{}", same.replace("name: a", "name: b"));
    let rows: &[(&str, &str)] = &[
        ("", "f.yaml:1:1: nothing in it; expected a HorizontalPodAutoscaler"),
        ("a: [b\n", "f.yaml:2:1: not valid YAML: expected `,` or `]`"),
        ("- a\n", "f.yaml:1:1: expected a mapping, found a list"),
        ("taskmanager.numberOfTaskSlots: 2\n", "f.yaml:1:1: neither a Kubernetes resource (no `kind`) nor"),
        ("kind: Deployment\n", "f.yaml:1:1: the kind `Deployment` is none that is imported"),
        (
            "kind: HorizontalPodAutoscaller\n",
            "f.yaml:1:1: the kind `HorizontalPodAutoscaller` is none that is imported; did you mean `HorizontalPodAutoscaler`?",
        ),
        ("kind: HorizontalPodAutoscaler\n", "f.yaml:1:1: `apiVersion` is missing"),
        (
            "kind: HorizontalPodAutoscaler\napiVersion: autoscaling/v2beta1\n",
            "f.yaml:2:13: apiVersion: \"autoscaling/v2beta1\" is not a version",
        ),
        (
            &hpa("").replace("name: a", "name: A_b"),
            "f.yaml:3:18: metadata.name: a name has lower-case letters",
        ),
        (&hpa("").replace("maxReplicas: 10", "x: 1"), "f.yaml:5:3: spec: `maxReplicas` is missing"),
        (
            &hpa("").replace("10", "many"),
            "f.yaml:5:16: spec.maxReplicas: expected a whole number of at least 1, found",
        ),
        (
            &hpa("  minReplicas: 11\n"),
            "f.yaml:5:16: spec.maxReplicas: maxReplicas 10 is below minReplicas 11",
        ),
        (
            &hpa("  metrics: [{type: Resources}]\n"),
            "f.yaml:7:20: spec.metrics[0].type: expected Resource, ContainerResource",
        ),
        (
            &hpa(
                "  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 0}}}]\n",
            ),
            "averageUtilization: expected a whole number of at least 1",
        ),
        (
            &hpa(
                "  metrics: [{type: Resource, resource: {name: cpu, target: {type: AverageValue, averageValue: 1x}}}]\n",
            ),
            "averageValue: expected a quantity",
        ),
        (&hpa("  behavior: {scaleUp: {policies: []}}\n"), "an HPA's behavior has at least one policy"),
        (
            &hpa("  behavior: {scaleUp: {stabilizationWindowSeconds: 3601}}\n"),
            "expected a whole number from 0 to 3600",
        ),
        (&keda(""), "f.yaml:5:3: spec: `triggers` is missing"),
        (
            &keda("  triggers: [{type: cpu, metadata: {value: '5'}}]\n"),
            "a cpu trigger says metricType: Utilization or AverageValue",
        ),
        (
            &keda("  triggers: [{type: prometheus, metadata: {query: up, threshold: '0'}}]\n"),
            "threshold: a target is above zero",
        ),
        (
            &keda(
                "  triggers: [{type: cron, metadata: {timezone: Europe/Pariss, start: 0 7 * * *, end: 0 8 * * *, desiredReplicas: '3'}}]\n",
            ),
            "timezone: expected a time zone",
        ),
        (
            &keda(
                "  triggers: [{type: cron, metadata: {timezone: UTC, start: 0 7 * *, end: 0 8 * * *, desiredReplicas: '3'}}]\n",
            ),
            "start: expected five fields",
        ),
        (&format!("{flink}metrics.window: 5x"), "f.yaml:2:"),
        (
            &format!("{flink}metrics.window: 5x"),
            "`job.autoscaler.metrics.window`: expected a time in Flink's notation",
        ),
        (&format!("{flink}utilization.target: 1.5"), "expected a number from 0 to 1, not 1.5"),
        (&format!("{flink}excluded.periods: noon"), "f.yaml:2:34: job.autoscaler.excluded.periods: "),
        (&hpa("").replace("kind: Deployment, ", ""), "f.yaml:6:19: spec.scaleTargetRef: `kind` is missing"),
        (
            &same,
            "HorizontalPodAutoscaler b scales the same job as HorizontalPodAutoscaler a at f.yaml:1; import one of them",
        ),
    ];
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|(text, says)| {
            let said = imported("f.yaml", text).map(|_| ()).err().unwrap_or_default();
            (!said.contains(says) || said.lines().count() != 1)
                .then(|| format!("{text}\n{said}\nnot: {says}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    // Names that are taken in one namespace are made others.
    let names = spec(&two).autoscalers.into_iter().map(|one| one.name).collect::<Vec<_>>();
    assert_eq!(names, ["a", "a-2"]);
}

#[test]
fn the_program_ends_with_2_and_a_line() {
    let rows: &[(&[&str], Option<&str>, &str)] = &[
        (&["gone.yaml"], None, "tidegate: error: cannot read gone.yaml: No such file"),
        (&["-"], Some("a: [b"), "tidegate: error: -:2:1: not valid YAML"),
        (
            &["-"],
            Some("kind: Service"),
            "tidegate: error: -:1:1: the kind `Service` is none that is imported",
        ),
        (&["hpa-v1.yaml", "--flink", "flink:8081"], None, "expected http:// or https:// and a host"),
        (&["hpa-v1.yaml", "keda.yaml", "--flink", "http://x"], None, "import one at a time"),
        (&[], None, "required arguments were not provided"),
    ];
    for (args, stdin, says) in rows {
        let output = run(args, *stdin);
        let stderr = text(output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(output.stdout.is_empty() && stderr.contains(says), "{args:?}: {stderr}");
    }
}

/// Words of manifests and values of all kinds, put together at random: what cannot be told from a manifest at first sight.
fn any_manifest() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "spec",
        "metadata",
        "name",
        "type",
        "metrics",
        "behavior",
        "scaleUp",
        "policies",
        "triggers",
        "target",
        "resource",
        "items",
        "averageUtilization",
        "minReplicas",
        "maxReplicas",
        "scaleTargetRef",
        "flinkConfiguration",
        "value",
        "kind",
        "job",
        "autoscaler",
    ]);
    let leaf = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        prop::sample::select(vec![
            "null",
            "true",
            "[]",
            "{}",
            "Utilization",
            "cpu",
            "Resource",
            "kafka",
            "'0'",
            "1e400",
            ".nan",
            "-1",
            "\"\"",
            "a b",
            "5m",
            "1Gi",
        ])
        .prop_map(str::to_owned),
        "[a-zA-Z0-9.: \"'{}\\[\\]#&*!|>%@-]{0,12}".prop_map(|text| format!("{text:?}")),
    ];
    let value = leaf.prop_recursive(5, 48, 5, move |inner| {
        prop_oneof![
            prop::collection::vec((word.clone(), inner.clone()), 0..5).prop_map(|fields| {
                let fields: Vec<String> =
                    fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
                format!("{{{}}}", fields.join(", "))
            }),
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
        ]
    });
    let kinds = prop::sample::select(vec![
        "kind: HorizontalPodAutoscaler\napiVersion: autoscaling/v2",
        "kind: HorizontalPodAutoscaler\napiVersion: autoscaling/v1",
        "kind: ScaledObject\napiVersion: keda.sh/v1alpha1",
        "kind: FlinkDeployment\napiVersion: flink.apache.org/v1beta1",
        "kind: FlinkSessionJob\napiVersion: flink.apache.org/v1beta1",
        "kind: List",
        "job.autoscaler.enabled: true",
    ]);
    (kinds, value.clone(), value.clone(), value).prop_map(|(kind, spec, metric, target)| {
        format!(
            "{kind}\nmetadata: {{name: a}}\nitems: {metric}\nspec:\n  scaleTargetRef: {{kind: Deployment, name: t}}\n  maxReplicas: 9\n  \
             metrics: [{metric}]\n  triggers: [{{type: cpu, metricType: Utilization, metadata: {{value: 5, x: {metric}}}}}]\n  \
             behavior: {target}\n  flinkConfiguration: {{job.autoscaler.enabled: true, taskmanager: {spec}}}\n  more: {spec}\n"
        )
    })
}

/// An option with a value of its type, at the ends of what it may be as well as in between.
fn any_option() -> impl Strategy<Value = String> {
    let of = |names: &[&'static str], values: &[&'static str]| {
        (prop::sample::select(names.to_vec()), prop::sample::select(values.to_vec()))
    };
    prop_oneof![
        of(
            &["utilization.target", "utilization.min", "utilization.max"],
            &["0", "0.01", "0.3", "0.5", "0.9999", "1.0"]
        ),
        of(
            &["target.utilization.boundary", "scale-down.max-factor", "scale-up.max-factor", "quota.cpu"],
            &["0", "0.004", "0.5", "1", "3.5", "1e300"]
        ),
        of(
            &[
                "catch-up.duration",
                "restart.time",
                "scale-down.interval",
                "stabilization.interval",
                "metrics.window",
                "flink.rest-client.timeout"
            ],
            &["0", "1 ms", "90 s", "5 min", "400 d", "36500 d", "99999999 d"]
        ),
        of(&["vertex.min-parallelism", "vertex.max-parallelism"], &["0", "1", "32768", "2147483647"]),
        of(&["vertex.exclude.ids"], &["", "a;b", "'c;d';*"]),
        of(&["quota.memory"], &["0", "64gb"]),
        of(&["scaling.parallelism-alignment.mode"], &["OFF", "EVENLY_SPREAD", "mine"]),
        of(
            &["restart.time-tracking.enabled", "scaling.enabled", "nonsense", "memory.tuning.enabled"],
            &["true", "false"]
        ),
        of(&["excluded.periods"], &["09:00-10:00", "* * 9-10 ? * 2-6"]),
    ]
    .prop_map(|(name, value)| format!("job.autoscaler.{name}: \"{value}\""))
}

/// A sound HPA.
fn any_hpa() -> impl Strategy<Value = String> {
    let rules = (
        0..=3600_u32,
        prop::sample::select(vec!["Max", "Min", "Disabled"]),
        1..=u32::MAX,
        1..=1800_u32,
        0..=10_000_u32,
    );
    let rules = rules.prop_map(|(window, select, value, period, tolerance)| {
        format!(
            "{{stabilizationWindowSeconds: {window}, selectPolicy: {select}, tolerance: {tolerance}m, \
             policies: [{{type: Pods, value: {value}, periodSeconds: {period}}}, {{type: Percent, value: 7, periodSeconds: 1}}]}}"
        )
    });
    let target = prop_oneof![
        (1..=u32::MAX).prop_map(|percent| format!("type: Utilization, averageUtilization: {percent}")),
        "[1-9][0-9]{0,12}(|m|k|Mi|e3|\\.5)"
            .prop_map(|value| format!("type: AverageValue, averageValue: {value:?}")),
    ];
    let kind = prop::sample::select(vec!["resource", "containerResource"]);
    (0..=9_u32, 9..=u32::MAX, kind, target, rules.clone(), rules).prop_map(|(min, max, kind, target, up, down)| {
        let capital = kind[..1].to_uppercase() + &kind[1..];
        hpa(&format!(
            "  minReplicas: {min}\n  metrics: [{{type: {capital}, {kind}: {{name: memory, container: c, target: {{{target}}}}}}}]\n  \
             behavior: {{scaleUp: {up}, scaleDown: {down}}}\n"
        ))
        .replace("maxReplicas: 10", &format!("maxReplicas: {max}"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_is_a_panic(text in any::<String>(), name in "(flink-conf|f)\\.yaml") {
        let _ = imported(&name, &text);
    }

    #[test]
    fn what_is_imported_can_be_loaded(manifest in any_manifest()) {
        if let Ok(imported) = imported("f.yaml", &manifest) {
            prop_assert!(loaded(&imported).is_ok(), "{}\n{:?}", manifest, loaded(&imported));
        }
    }

    #[test]
    fn every_sound_hpa_is_imported(manifest in any_hpa()) {
        let imported = imported("f.yaml", &manifest);
        prop_assert!(imported.is_ok(), "{}\n{:?}", manifest, imported);
        prop_assert!(loaded(&imported.clone().unwrap_or_default()).is_ok(), "{}\n{:?}", manifest, imported.map(|i| loaded(&i)));
    }

    #[test]
    fn any_options_make_a_policy(options in prop::collection::vec(any_option(), 0..8), own in any::<bool>()) {
        let mut options = options;
        options.push("job.autoscaler.enabled: true".to_owned());
        options.sort();
        options.dedup_by_key(|line| line.split(':').next().map(str::to_owned));
        let rule = if own { AutoscalerRule::Throughput } else { AutoscalerRule::FlinkAutoscaler };
        let source = Source::new("config.yaml", options.join("\n"));
        if let Ok(imported) = import(&[source], &Fill { rule, ..Fill::default() }) {
            prop_assert!(loaded(&imported).is_ok(), "{:?}\n{:?}", options, loaded(&imported));
        }
    }
}
