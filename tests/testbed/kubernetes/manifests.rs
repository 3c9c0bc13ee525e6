//! The manifests of `deploy/flink/base` as the test bed runs them: so small that ten TaskManagers fit into 8 GiB, and seen to
//! be ready sooner. All else is what users get. A text that is to be another and is not there any more is an error, so that
//! nobody believes to have changed it.

use anyhow::{Result, bail, ensure};

use super::{Namespace, Options};

const CONFIG: &str = include_str!("../../../deploy/flink/base/configmap.yaml");
const JOBMANAGER: &str = include_str!("../../../deploy/flink/base/jobmanager.yaml");
const TASKMANAGER: &str = include_str!("../../../deploy/flink/base/taskmanager.yaml");

/// The calculator of Flink's image wants the sizes to add up to no less than it needs.
pub(super) const SIZES: [(&str, &str); 13] = [
    ("jobmanager.memory.process.size", "600m"),
    ("jobmanager.memory.heap.size", "256m"),
    ("jobmanager.memory.off-heap.size", "64m"),
    ("jobmanager.memory.jvm-metaspace.size", "128m"),
    ("jobmanager.memory.jvm-overhead.min", "64m"),
    ("taskmanager.memory.process.size", "640m"),
    ("taskmanager.memory.framework.heap.size", "64m"),
    ("taskmanager.memory.framework.off-heap.size", "64m"),
    ("taskmanager.memory.managed.size", "0"),
    ("taskmanager.memory.network.min", "64m"),
    ("taskmanager.memory.network.max", "64m"),
    ("taskmanager.memory.jvm-metaspace.size", "128m"),
    ("taskmanager.memory.jvm-overhead.min", "64m"),
];

/// The manifests, one text for each file of the base.
pub(super) async fn manifests(namespace: &Namespace, options: &Options) -> Result<Vec<String>> {
    let mut jobmanager = jobmanager(namespace, options)?;
    if let Some(patch) = &options.beside_jobmanager {
        jobmanager = patched(namespace, &jobmanager, patch).await?;
    }
    Ok(vec![config(namespace, options)?, jobmanager, taskmanager(namespace, options)?])
}

fn config(namespace: &Namespace, options: &Options) -> Result<String> {
    let folder = namespace.shared_folder().display().to_string();
    let mut config = Manifest(CONFIG.to_owned());
    for (key, value) in [
        ("taskmanager.numberOfTaskSlots", &*options.slots.to_string()),
        ("execution.checkpointing.interval", "5s"),
        ("execution.checkpointing.storage", "filesystem"),
    ] {
        ensure!(config.set(key, value), "deploy/flink/base/configmap.yaml has no {key} any more");
    }
    let checkpoints = format!("file://{folder}/checkpoints");
    let savepoints = format!("file://{folder}/savepoints");
    let more = [
        ("execution.checkpointing.dir", &*checkpoints),
        ("execution.checkpointing.savepoint-dir", &*savepoints),
        // What dies without a word is noticed sooner.
        ("heartbeat.interval", "2000"),
    ];
    let own = options.config.iter().map(|(key, value)| (&**key, &**value));
    for (key, value) in SIZES.into_iter().chain(more).chain(own) {
        if !config.set(key, value) {
            config.replace("  config.yaml: |\n", &format!("  config.yaml: |\n    {key}: {value}\n"))?;
        }
    }
    // Flink 1.20 reads the new name, too, but as the YAML that it then has to be.
    if options.version.starts_with("1.") {
        config.replace("  config.yaml: |\n", "  flink-conf.yaml: |\n")?;
    }
    Ok(config.0)
}

fn jobmanager(namespace: &Namespace, options: &Options) -> Result<String> {
    let mut jobmanager = Manifest(JOBMANAGER.to_owned());
    jobmanager.replace("periodSeconds: 2\n          failureThreshold: 60\n", STARTUP)?;
    jobmanager.replace(
        "periodSeconds: 5\n          timeoutSeconds: 5\n",
        "periodSeconds: 1\n          timeoutSeconds: 3\n",
    )?;
    // A machine that stands still for some seconds must not cost a test its job.
    jobmanager.replace(
        "periodSeconds: 10\n          timeoutSeconds: 5\n          failureThreshold: 6\n",
        "periodSeconds: 5\n          timeoutSeconds: 5\n          failureThreshold: 5\n          \
         terminationGracePeriodSeconds: 2\n",
    )?;
    jobmanager.replace("{cpu: 500m, memory: 1600Mi}", "{cpu: 100m, memory: 600Mi}")?;
    jobmanager.replace("{cpu: \"2\", memory: 1600Mi}", "{cpu: \"2\", memory: 640Mi}")?;
    jobmanager.of_flink(namespace, options)?;
    match options.manager {
        "Deployment" => {}
        "Job" => {
            jobmanager
                .replace("apiVersion: apps/v1\nkind: Deployment\n", "apiVersion: batch/v1\nkind: Job\n")?;
            let own = jobmanager
                .0
                .split_once("  replicas: 1\n")
                .and_then(|(_, rest)| rest.split_once("  template:\n"));
            let own = own.map(|(own, _)| own.to_owned()).unwrap_or_default();
            jobmanager.replace(&format!("  replicas: 1\n{own}"), "")?;
            let spec = "      automountServiceAccountToken: false\n";
            jobmanager.replace(spec, &format!("{spec}      restartPolicy: OnFailure\n"))?;
        }
        other => bail!("a {other} runs no JobManager"),
    }
    Ok(jobmanager.0)
}

fn taskmanager(namespace: &Namespace, options: &Options) -> Result<String> {
    let mut taskmanager = Manifest(TASKMANAGER.to_owned());
    taskmanager.replace("  replicas: 3\n", &format!("  replicas: {}\n", options.taskmanagers))?;
    taskmanager.replace("periodSeconds: 2\n          failureThreshold: 60\n", STARTUP)?;
    taskmanager.replace("          periodSeconds: 5\n", "          periodSeconds: 1\n")?;
    taskmanager
        .replace("{cpu: \"1\", memory: 1728Mi}", &format!("{{cpu: {}, memory: 640Mi}}", options.cpu))?;
    taskmanager.replace("{cpu: \"2\", memory: 1728Mi}", "{cpu: \"2\", memory: 700Mi}")?;
    taskmanager.of_flink(namespace, options)?;
    match options.workload {
        "Deployment" => {}
        // Its pods are started side by side, as a Deployment's are, and those that run stay as they are.
        "StatefulSet" => {
            taskmanager.replace("kind: Deployment\n", "kind: StatefulSet\n")?;
            let replicas = format!("  replicas: {}\n", options.taskmanagers);
            let more = "  podManagementPolicy: Parallel\n  updateStrategy: {type: OnDelete}\n";
            taskmanager.replace(&replicas, &format!("{replicas}{more}"))?;
        }
        other => bail!("a {other} gives no slots"),
    }
    Ok(taskmanager.0)
}

/// A container that starts is looked at every second, and given four minutes on a machine that is busy.
const STARTUP: &str = "periodSeconds: 1\n          failureThreshold: 240\n";

struct Manifest(String);

impl Manifest {
    /// Puts one text in the place of another, which must be there just once.
    fn replace(&mut self, old: &str, new: &str) -> Result<()> {
        let found = self.0.matches(old).count();
        ensure!(found == 1, "{old:?} is {found} times in a manifest of deploy/flink/base, and not once");
        self.0 = self.0.replace(old, new);
        Ok(())
    }

    /// Gives an option of Flink's configuration another value, where it has one.
    fn set(&mut self, key: &str, value: &str) -> bool {
        let start = format!("    {key}: ");
        let mut found = false;
        let lines = self.0.lines().map(|line| {
            let is_it = line.starts_with(&start);
            found |= is_it;
            if is_it { format!("{start}{value}\n") } else { format!("{line}\n") }
        });
        self.0 = lines.collect();
        found
    }

    /// The image that the node has, and the test's folder, where its topics and checkpoints are.
    fn of_flink(&mut self, namespace: &Namespace, options: &Options) -> Result<()> {
        let folder = namespace.shared_folder().display().to_string();
        self.replace("        image: flink\n", &format!("        image: flink:{}\n", options.version))?;
        let mount = "        - {name: config, mountPath: /opt/flink/conf, readOnly: true}\n";
        self.replace(mount, &format!("{mount}        - {{name: shared, mountPath: {folder}}}\n"))?;
        let volume = "        configMap: {name: flink-config}\n";
        self.replace(
            volume,
            &format!("{volume}      - name: shared\n        hostPath: {{path: {folder}, type: Directory}}\n"),
        )
    }
}

/// Objects with a patch on the Deployment among them, as kustomize would make them.
async fn patched(namespace: &Namespace, objects: &str, patch: &str) -> Result<String> {
    let mut all = Vec::new();
    for object in objects.split("\n---\n") {
        let is_it = object.contains("kind: Deployment\n") || object.contains("kind: Job\n");
        let arguments = ["patch", "--local", "-f", "-", "--type=strategic", "-p", patch, "-o", "yaml"];
        all.push(if is_it { namespace.kubectl_on(&arguments, object).await? } else { object.to_owned() });
    }
    Ok(all.join("\n---\n"))
}
