//! Jobs in application mode that cannot be rescaled in place, in real pods: stopped with a savepoint, and run again by their
//! JobManager's arguments, though Tidegate is killed in between.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::controller::bed::{Controller, ledger};
use crate::kubernetes::{Cluster, Flink, Namespace, Options};
use crate::testbed::{Job, Ledger, Topic, until};

/// Java starts within seconds, and a Lease that nobody gives back is taken over after twelve; the machine is busy with other tests.
const PATIENCE: Duration = Duration::from_mins(4);

const OBJECTS: &str = "
apiVersion: tidegate.dev/v1alpha1
kind: ScalingPolicy
metadata: {name: short}
spec:
  rules: [{throughput: {}}]
  behavior: {scaleDown: {stabilizationWindowSeconds: 5}}
  limits: {cooldown: 1s}
---
apiVersion: tidegate.dev/v1alpha1
kind: FlinkAutoscaler
metadata: {name: flink}
spec:
  flink: {url: 'URL', poll: 1s}
  policyRef: {name: short}
  parallelism: {max: 3}
  savepoint: {keep: 1, jobManager: {kind: KIND, name: flink-jobmanager}}
";

/// What a job that is run again goes through.
const STAGES: [&str; 7] =
    ["Planned", "StopRequested", "SavepointDone", "Stopped", "Submitted", "Confirming", "Done"];

/// A job in application mode, and where it writes down what it has seen.
struct Bed<'a> {
    namespace: &'a Namespace,
    flink: Flink<'a>,
    topic: Topic,
    ledger: Ledger,
    kind: &'static str,
}

impl<'a> Bed<'a> {
    async fn start(namespace: &'a Namespace, version: &'static str, kind: &'static str) -> Result<Self> {
        let topic = namespace.topic("orders")?;
        topic.set_rate(150.0)?;
        let ledger = Ledger::within(&namespace.shared_folder())?;
        // From 2.0 on there is one size for the whole job.
        let job = if version == "1.20" { Job::chain(&topic) } else { Job::chain_of_one_size(&topic) };
        let job = ledger.of(job);
        let (class, arguments) = job.program();
        let begin =
            ["standalone-job", "-Dparallelism.default=1", "--job-classname", class].map(str::to_owned);
        let arguments: Vec<_> = begin.iter().chain(arguments).collect();
        let args = json!({"spec": {"template": {"spec": {"containers": [{"name": "jobmanager", "args": arguments}]}}}});
        let options = Options {
            version,
            taskmanagers: 1,
            slots: 4,
            manager: kind,
            beside_jobmanager: Some(args.to_string()),
            ..Options::default()
        };
        let options = options
            .with("jobmanager.scheduler", "default")
            // A TaskManager notices by this alone that its JobManager is another; the default is 50 s.
            .with("heartbeat.timeout", "12000")
            .with("cluster.registration.error-delay", "1000");
        let flink = namespace.flink(options).await?;
        Ok(Self { namespace, flink, topic, ledger, kind })
    }

    /// The one job that the cluster knows, as soon as it runs with these sizes.
    async fn runs(&self, before: &str, sizes: &[(&str, u64)]) -> Result<String> {
        until("the job to run", PATIENCE, async || {
            let jobs = self.flink.client().get("/jobs").await?;
            let [job] = &jobs["jobs"].as_array().context("jobs")?[..] else {
                anyhow::bail!("not one job: {jobs}")
            };
            let id = job["id"].as_str().context("an id")?.to_owned();
            ensure!(id != before, "it is still {id}");
            self.flink.client().running_at(&id, Duration::ZERO, sizes).await?;
            Ok(id)
        })
        .await
    }

    /// The rescales that are over, when there are so many.
    async fn rescales(&self, count: usize, controller: &mut Controller) -> Result<Vec<Value>> {
        until("the rescale to be over", PATIENCE, async || {
            let rescales =
                ledger(self.namespace, "flink").await?["rescales"].as_array().cloned().unwrap_or_default();
            ensure!(rescales.len() >= count, "{rescales:?}\n{}", controller.said());
            Ok(rescales)
        })
        .await
    }

    /// The JobManager's pod.
    async fn pod(&self) -> Result<String> {
        let pods: Api<Pod> = self.namespace.api();
        let listed = pods.list(&ListParams::default().labels("component=jobmanager")).await?.items;
        let name = listed.into_iter().find(|pod| pod.metadata.deletion_timestamp.is_none());
        name.and_then(|pod| pod.metadata.name).context("no JobManager")
    }

    /// The arguments of the JobManager that say which run it is.
    async fn arguments(&self) -> Result<Vec<String>> {
        let found = self.namespace.object(self.kind, "flink-jobmanager").await?;
        let args =
            found["spec"]["template"]["spec"]["containers"][0]["args"].as_array().context("arguments")?;
        Ok(args.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// It was restored from a savepoint, which its arguments name, and it is the run that they name.
    async fn is_from_a_savepoint(&self, job: &str) -> Result<()> {
        let restored =
            self.flink.client().get(&format!("/jobs/{job}/checkpoints")).await?["latest"]["restored"].clone();
        let args = self.arguments().await?;
        let value = |name: &str| args.iter().skip_while(|arg| *arg != name).nth(1).map(String::as_str);
        ensure!(value("--job-id") == Some(job), "{job}: {args:?}");
        ensure!(restored["is_savepoint"] == true, "{restored}");
        ensure!(value("--fromSavepoint") == restored["external_path"].as_str(), "{restored}: {args:?}");
        Ok(())
    }

    fn objects(&self, sizes: &str) -> String {
        let text = OBJECTS.replace("URL", self.flink.client().url()).replace("KIND", self.kind);
        text.replace("{max: 3}", sizes)
    }
}

fn all_done(rescales: &[Value]) -> Result<()> {
    for rescale in rescales {
        let reached = rescale["reached"].as_array().context("states")?;
        let stages: Vec<&str> = reached.iter().filter_map(|reached| reached["stage"].as_str()).collect();
        ensure!(rescale["end"] == "Done" && stages == STAGES, "{rescale}");
    }
    Ok(())
}

#[tokio::test]
async fn a_deployment_is_given_another_savepoint_and_another_size_for_each_vertex() -> Result<()> {
    let Some(cluster) = Cluster::with_pods()? else { return Ok(()) };
    let namespace = cluster.namespace_of_ours().await?;
    let bed = Bed::start(&namespace, "1.20", "Deployment").await?;
    let first = bed.runs("", &[("parse", 1)]).await?;
    // Two JobManagers would run side by side: it is said, and nothing is touched.
    let rolling = r#"{"spec":{"strategy":{"type":"RollingUpdate"}}}"#;
    namespace.kubectl(&["patch", "deployment", "flink-jobmanager", "-p", rolling]).await?;
    namespace.apply(&bed.objects("{max: 3}")).await?;
    let mut controller = Controller::start(cluster, &namespace)?;
    bed.topic.set_rate(400.0)?;
    controller.says("strategy: {type: Recreate}").await?;
    ensure!(bed.runs("", &[("parse", 1)]).await? == first, "it was stopped all the same");
    let recreate = r#"{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}"#;
    namespace.kubectl(&["patch", "deployment", "flink-jobmanager", "-p", recreate]).await?;

    // The job has ended, and its JobManager still says the old arguments.
    controller.says("stage=Stopped").await?;
    controller.signal("KILL")?;
    ensure!(!bed.arguments().await?.contains(&"--fromSavepoint".to_owned()), "too late to be a test");
    let mut controller = Controller::start(cluster, &namespace)?;
    let second = bed.runs(&first, &[("source", 1), ("parse", 3), ("sink", 1)]).await?;
    bed.is_from_a_savepoint(&second).await?;
    let rescales = bed.rescales(1, &mut controller).await?;
    all_done(&rescales)?;

    bed.topic.set_rate(100.0)?;
    // Smaller at once, whatever the load.
    namespace.apply(&bed.objects("{max: 2}")).await?;
    let third = bed.runs(&second, &[("parse", 2)]).await?;
    bed.is_from_a_savepoint(&third).await?;
    all_done(&bed.rescales(2, &mut controller).await?)?;
    bed.ledger.is_exact(&bed.topic).await?;
    controller.says("an old savepoint is disposed of").await.map(drop)
}

#[tokio::test]
async fn a_job_is_deleted_and_created_with_another_savepoint_and_size() -> Result<()> {
    let Some(cluster) = Cluster::with_pods()? else { return Ok(()) };
    let namespace = cluster.namespace_of_ours().await?;
    let bed = Bed::start(&namespace, "2.3", "Job").await?;
    let first = bed.runs("", &[("parse", 1)]).await?;
    let uid = namespace.object("Job", "flink-jobmanager").await?["metadata"]["uid"].clone();
    namespace.apply(&bed.objects("{min: 2, max: 2}")).await?;
    let mut controller = Controller::start(cluster, &namespace)?;
    controller.says("stage=Submitted").await?;
    until("the Job to go", PATIENCE, async || {
        match namespace.object("Job", "flink-jobmanager").await {
            Ok(job) => {
                ensure!(job["metadata"]["deletionTimestamp"].is_string(), "{job}\n{}", controller.said());
            }
            Err(error) => ensure!(format!("{error:#}").contains("not found"), "{error:#}"),
        }
        Ok(())
    })
    .await?;
    controller.signal("KILL")?;
    let mut controller = Controller::start(cluster, &namespace)?;
    let second = bed.runs(&first, &[("parse", 2)]).await?;
    bed.is_from_a_savepoint(&second).await?;
    all_done(&bed.rescales(1, &mut controller).await?)?;
    let job = namespace.object("Job", "flink-jobmanager").await?;
    ensure!(job["metadata"]["uid"] != uid, "{job}");

    namespace.apply(&bed.objects("{max: 1}")).await?;
    let third = bed.runs(&second, &[("parse", 1)]).await?;
    bed.is_from_a_savepoint(&third).await?;
    all_done(&bed.rescales(2, &mut controller).await?)?;
    bed.ledger.is_exact(&bed.topic).await?;
    controller.said();
    bed.topic.set_rate(100.0)?;

    // Its JobManager dies while the job is to be stopped, and runs it anew by the arguments that it has: that is another run.
    let (jobmanager, before) = (bed.pod().await?, bed.arguments().await?);
    namespace.apply(&bed.objects("{min: 2, max: 2}")).await?;
    controller.says("stage=StopRequested").await?;
    namespace.signal(&jobmanager, "java", "KILL").await?;
    let said = controller.says("the JobManager was started again while the job was to be stopped").await?;
    ensure!(said.contains("stage=Superseded"), "{said}");
    ensure!(bed.arguments().await? == before, "nothing more is touched");
    Ok(())
}
