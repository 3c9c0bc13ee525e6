//! Apache's Flink Kubernetes Operator, as a process on the network of the node: it talks to Flink through Services, by name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::manifests::SIZES;
use super::{Cluster, Namespace};
use crate::testbed::process::Process;
use crate::testbed::{Job, until};

/// Java starts within seconds; loaded machines are slow.
const PATIENCE: Duration = Duration::from_mins(2);

/// The operator's own settings. It looks more often than it does by itself (60 s, 10 s), so that tests need not wait.
const SETTINGS: &str = "
kubernetes.operator.leader-election.enabled: false
kubernetes.operator.health.probe.enabled: false
kubernetes.operator.reconcile.interval: 5 s
kubernetes.operator.observer.progress-check.interval: 1 s
kubernetes.operator.observer.rest-ready.delay: 2 s
";

const LOGGING: &str = "
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c{1} %m%n
";

/// What Flink's own pods may do: in native mode the JobManager makes those of its TaskManagers.
const RIGHTS: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: flink}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: flink}
rules:
- {apiGroups: [''], resources: [pods, configmaps], verbs: ['*']}
- {apiGroups: [apps], resources: [deployments, deployments/finalizers], verbs: ['*']}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: flink}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: flink}
subjects: [{kind: ServiceAccount, name: flink}]
";

/// The running operator, which looks after one namespace. It ends with this value.
pub struct FlinkOperator {
    home: PathBuf,
    folder: TempDir,
    _process: Process,
}

impl FlinkOperator {
    /// Fetches what is missing, makes its kinds known, and starts it.
    pub async fn start(cluster: &Cluster, namespace: &Namespace) -> Result<Self> {
        let fetched = tokio::task::spawn_blocking(fetch).await??;
        let mut definitions = String::new();
        for file in fs::read_dir(fetched.join("crd"))? {
            definitions = format!("{definitions}---\n{}\n", fs::read_to_string(file?.path())?);
        }
        cluster
            .knows(&definitions, &["flinkdeployments.flink.apache.org", "flinksessionjobs.flink.apache.org"])
            .await?;
        namespace.apply(RIGHTS).await?;

        let folder = tempfile::Builder::new().prefix("operator-").tempdir()?;
        let watched = format!("kubernetes.operator.watched.namespaces: {}\n", namespace.name());
        fs::write(folder.path().join("flink-conf.yaml"), format!("{watched}{SETTINGS}"))?;
        fs::write(folder.path().join("log4j2.properties"), LOGGING)?;
        let mut process = Process::start("operator", folder.path(), &command(cluster, &fetched, &folder)?)?;
        let log = folder.path().join("operator.out");
        until("the operator to run", PATIENCE, async || {
            process.check_alive()?;
            let said = fs::read_to_string(&log)?;
            ensure!(said.contains("'flinkdeploymentcontroller' controller started"), "{said}");
            Ok(())
        })
        .await?;
        Ok(Self { home: fetched.join("flink"), folder, _process: process })
    }

    /// The last lines that it has said.
    pub fn said(&self) -> String {
        let said = fs::read_to_string(self.folder.path().join("operator.out")).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// A `FlinkDeployment` of a job on a cluster of its own; `spec` are lines of its spec besides.
    pub fn deployment(&self, namespace: &Namespace, name: &str, job: &Job, spec: &str) -> String {
        let jar = "local:///opt/flink/lib/jobs.jar";
        format!("{}{}{spec}", self.cluster(namespace, name), program(jar, job))
    }

    /// A `FlinkDeployment` of a session cluster, and a `FlinkSessionJob` that runs on it; `spec` are lines of the cluster's spec.
    pub fn session_job(&self, namespace: &Namespace, name: &str, job: &Job, spec: &str) -> String {
        let jar = format!("file://{}/lib/jobs.jar", self.home.display());
        format!(
            "{}{spec}---
apiVersion: flink.apache.org/v1beta1
kind: FlinkSessionJob
metadata: {{name: {name}}}
spec:
  deploymentName: {name}
{}",
            self.cluster(namespace, name),
            program(&jar, job)
        )
    }

    /// A `FlinkDeployment` of Flink 1.18 with two slots for each TaskManager, as far as any needs it.
    fn cluster(&self, namespace: &Namespace, name: &str) -> String {
        let shared = namespace.shared_folder().display().to_string();
        let home = self.home.display();
        let sizes = SIZES.iter().filter(|(key, _)| !key.ends_with("process.size"));
        let sizes: Vec<String> = sizes.map(|(key, value)| format!("    {key}: '{value}'\n")).collect();
        let sizes = sizes.concat();
        // The image has Java and the entry point; its Flink is another one's, and is hidden by the one that the operator knows.
        format!(
            "apiVersion: flink.apache.org/v1beta1
kind: FlinkDeployment
metadata: {{name: {name}}}
spec:
  image: docker.io/library/flink:1.20
  flinkVersion: v1_18
  serviceAccount: flink
  flinkConfiguration:
    taskmanager.numberOfTaskSlots: '2'
    execution.checkpointing.interval: 5s
    state.checkpoints.dir: file://{shared}/checkpoints
    state.savepoints.dir: file://{shared}/savepoints
    metrics.fetcher.update-interval: '1000'
    # The operator makes limits equal to requests unless told otherwise: with 0.2 cores Java takes half a minute to start.
    kubernetes.jobmanager.cpu.limit-factor: '10'
    kubernetes.taskmanager.cpu.limit-factor: '10'
{sizes}  podTemplate:
    apiVersion: v1
    kind: Pod
    metadata: {{name: pod-template}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: flink-main-container
        env: [{{name: PATH, value: '/opt/flink/bin:/usr/bin:/bin'}}]
        volumeMounts: [{{name: home, mountPath: /opt/flink}}, {{name: shared, mountPath: {shared}}}]
      volumes:
      - {{name: home, hostPath: {{path: {home}, type: Directory}}}}
      - {{name: shared, hostPath: {{path: {shared}, type: Directory}}}}
  jobManager: {{resource: {{memory: 600m, cpu: 0.1}}}}
"
        )
    }
}

/// What a resource says of its job.
fn program(jar: &str, job: &Job) -> String {
    let (class, arguments) = job.program();
    let arguments: Vec<String> = arguments.iter().map(|argument| format!("{argument:?}")).collect();
    format!(
        "  job:
    jarURI: {jar}
    entryClass: {class}
    args: [{}]
    parallelism: 1
    upgradeMode: savepoint
",
        arguments.join(", ")
    )
}

/// The folder with all of it.
fn fetch() -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testbed/node/operator/fetch");
    let run = Command::new(&script)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {}", script.display()))?;
    ensure!(
        run.status.success(),
        "tests/testbed/node/operator/fetch failed; its reason is on standard error above"
    );
    Ok(PathBuf::from(String::from_utf8(run.stdout)?.trim_end()))
}

fn command(cluster: &Cluster, fetched: &Path, folder: &TempDir) -> Result<Vec<String>> {
    let folder = folder.path().display();
    let jars = fetched.join("lib/*");
    let admin = cluster.kubeconfig().with_file_name("admin.conf");
    let command = cluster.command("env")?;
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.extend([
        format!("KUBECONFIG={}", admin.display()),
        format!("FLINK_CONF_DIR={folder}"),
        format!("CONF_OVERRIDE_DIR={folder}"),
        // Without these it takes itself for a developer's, and looks for every JobManager at localhost:8081.
        "KUBERNETES_SERVICE_HOST=10.96.0.1".to_owned(),
        "KUBERNETES_SERVICE_PORT=443".to_owned(),
        "java".to_owned(),
        "-Xmx300m".to_owned(),
        "-XX:+UseSerialGC".to_owned(),
        "-XX:TieredStopAtLevel=1".to_owned(),
        // It leaves files behind.
        format!("-Djava.io.tmpdir={folder}"),
        format!("-Dlog4j.configurationFile={folder}/log4j2.properties"),
        "-cp".to_owned(),
        jars.display().to_string(),
        "org.apache.flink.kubernetes.operator.FlinkOperator".to_owned(),
    ]);
    Ok(words)
}
