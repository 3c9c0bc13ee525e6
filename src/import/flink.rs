//! Where `job.autoscaler.*` options are found: the resources of the Flink Kubernetes Operator, and Flink's own
//! configuration.

use super::Fill;
use super::draft::Draft;
use super::fields::{Field, Fields};
use super::note::Made::FlinkAutoscaler as Autoscaler;
use super::options::{self, Setting, Settings, TaskManager};
use crate::config::{ConfigError, Node, Value};
use crate::model::JobId;
use crate::policy::flink_autoscaler::options::{Bytes, Value as _};
use crate::policy::{OperatorRef, Quantity, WorkloadRef};

/// The kinds of the operator's resources.
pub(super) const DEPLOYMENT: &str = "FlinkDeployment";
pub(super) const SESSION_JOB: &str = "FlinkSessionJob";

/// The version of both.
const VERSION: &str = "flink.apache.org/v1beta1";

/// A resource of the operator's; `None` when it sets no option of the autoscaler.
pub(super) fn resource<'n>(
    document: &Fields<'n>,
    kind: &str,
    fill: &Fill,
) -> Result<Option<Draft<'n>>, ConfigError> {
    let version = document.need("apiVersion", VERSION)?;
    if version.name()? != VERSION {
        return Err(version.wrong(format!("expected {VERSION}, not {:?}", version.text()?)));
    }
    let mut draft = Draft::resource(document, kind)?;
    let spec = document.need("spec", "what is deployed")?.fields()?;
    let settings =
        spec.get("flinkConfiguration").map(|field| settings(&field)).transpose()?.unwrap_or_default();
    if !settings.keys().any(|key| options::is_option(key)) {
        return Ok(None);
    }
    let deployment = match kind {
        SESSION_JOB => {
            let cluster = spec.need("deploymentName", "the session cluster that the job runs on")?;
            of_a_session(&cluster, &settings, fill, &mut draft);
            cluster.name()?
        }
        _ => draft.name.clone(),
    };
    draft.autoscaler.workload =
        Some(WorkloadRef { api_version: VERSION.to_owned(), kind: DEPLOYMENT.to_owned(), name: deployment });
    // By an id it would no longer be found once the operator has run it again.
    if fill.job.as_ref().is_none_or(|job| job.parse::<JobId>().is_err()) {
        draft.autoscaler.operator = Some(OperatorRef::known(kind, &draft.name));
    }
    draft.endpoint(fill);
    job(&spec, &mut draft)?;
    let mut taskmanager = configured(&settings);
    if let Some(field) = spec.get("taskManager") {
        let fields = field.fields()?;
        if let Some(resource) = fields.get("resource") {
            let resource = resource.fields()?;
            taskmanager.cpu = resource.get("cpu").map(|cpu| number(&cpu)).transpose()?.or(taskmanager.cpu);
            taskmanager.memory =
                resource.get("memory").map(|memory| bytes(&memory)).transpose()?.or(taskmanager.memory);
        }
        if let Some(replicas) = fields.get("replicas") {
            let text = format!(
                "{} TaskManagers at the start; it bounds nothing. Bounds are written as `replicas: {{min: N, max: N}}`.",
                replicas.whole(0, u32::MAX)?
            );
            draft.notes.choice(&replicas, (Autoscaler, "spec.workload"), text);
        }
    }
    options::translate(&settings, taskmanager, fill, &mut draft)?;
    Ok(Some(draft))
}

/// A session cluster runs several jobs, so the job needs its name.
fn of_a_session<'n>(cluster: &Field<'n>, settings: &Settings<'n>, fill: &Fill, draft: &mut Draft<'n>) {
    let named =
        settings.get("pipeline.name").map(|setting| setting.text.clone()).filter(|name| !name.is_empty());
    if fill.job.is_none() && named.is_none() {
        let text = "a session cluster runs several jobs, and the resource does not say what Flink calls this one: write its name, or \
                    import it with --job NAME.";
        draft.notes.fill_in(cluster, (Autoscaler, "spec.flink.job"), text);
    }
    // A name that no job has: better none than another one's.
    draft.autoscaler.flink.job = named.or_else(|| Some(format!("fill-in-{}", draft.name)));
}

/// What the resource says of the job itself.
fn job(spec: &Fields<'_>, draft: &mut Draft<'_>) -> Result<(), ConfigError> {
    let Some(job) = spec.get("job") else { return Ok(()) };
    if let Some(field) = job.fields()?.get("parallelism") {
        let text =
            format!("{} is the size that the job starts with; it bounds nothing.", field.whole(1, 32_768)?);
        draft.notes.choice(&field, (Autoscaler, "spec.workload"), text);
    }
    Ok(())
}

/// A Flink configuration; `None` when it sets no option of the autoscaler.
pub(super) fn configuration<'n>(document: &Field<'n>, fill: &Fill) -> Result<Option<Draft<'n>>, ConfigError> {
    let settings = settings(document)?;
    if !settings.keys().any(|key| options::is_option(key)) {
        return Ok(None);
    }
    let text_of =
        |key: &str| settings.get(key).map(|setting| setting.text.as_str()).filter(|text| !text.is_empty());
    let name = text_of("pipeline.name").or_else(|| text_of("kubernetes.cluster-id")).map(dns_name);
    let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| "flink".to_owned());
    let mut draft = Draft::new(document.clone(), "Flink configuration", name);
    draft.endpoint(fill);
    if fill.url.is_none()
        && let Some((setting, url)) = endpoint(&settings)
    {
        draft.autoscaler.flink.url = url;
        draft.notes.0.retain(|note| note.at != "spec.flink.url");
        let text = "the REST endpoint by this configuration; --flink URL writes another.";
        draft.notes.choice(&setting.field, (Autoscaler, "spec.flink.url"), text);
    }
    if let (None, Some(name)) = (&fill.job, text_of("pipeline.name")) {
        draft.autoscaler.flink.job = Some(name.to_owned());
    }
    let text = "a configuration does not say what starts TaskManagers, and without a workload only the slots are used that are there. \
                Name it as `workload: {apiVersion: apps/v1, kind: Deployment, name: NAME}`.";
    draft.notes.fill_in(document, (Autoscaler, "spec"), text);
    options::translate(&settings, configured(&settings), fill, &mut draft)?;
    Ok(Some(draft))
}

/// Where a configuration says that the REST endpoint is, unless that is a place which only its own machine knows.
fn endpoint<'s, 'n>(settings: &'s Settings<'n>) -> Option<(&'s Setting<'n>, String)> {
    let is_reachable =
        |host: &str| !matches!(host, "" | "localhost" | "127.0.0.1" | "0.0.0.0" | "::1" | "::");
    let host = ["rest.address", "jobmanager.rpc.address"].into_iter().find_map(|key| {
        let setting = settings.get(key)?;
        is_reachable(&setting.text).then(|| (setting, setting.text.clone()))
    });
    let cluster =
        || settings.get("kubernetes.cluster-id").map(|setting| (setting, format!("{}-rest", setting.text)));
    let (setting, host) = host.or_else(cluster)?;
    let scheme = match settings.get("security.ssl.rest.enabled") {
        Some(setting) if setting.text.eq_ignore_ascii_case("true") => "https",
        _ => "http",
    };
    let port = settings.get("rest.port").map_or("8081", |setting| setting.text.as_str());
    let url = format!("{scheme}://{host}:{port}");
    crate::config::is_endpoint(&url).ok().map(|()| (setting, url))
}

/// What a TaskManager has by the configuration of a cluster that Flink starts itself.
fn configured(settings: &Settings<'_>) -> TaskManager {
    let text = |key: &str| settings.get(key).map(|setting| setting.text.as_str());
    TaskManager {
        cpu: text("kubernetes.taskmanager.cpu").and_then(f64::parse),
        memory: text("taskmanager.memory.process.size").and_then(Bytes::parse),
    }
}

fn number(field: &Field<'_>) -> Result<f64, ConfigError> {
    f64::parse(&field.text()?)
        .filter(|number| *number > 0.0)
        .ok_or_else(|| field.wrong("expected a number above 0"))
}

/// Memory as Flink writes it (`2048m`), or as Kubernetes does (`2Gi`).
fn bytes(field: &Field<'_>) -> Result<Bytes, ConfigError> {
    let text = field.text()?;
    let kubernetes =
        || text.parse::<Quantity>().ok().and_then(|quantity| u64::try_from(quantity.value()).ok()).map(Bytes);
    Bytes::parse(&text)
        .or_else(kubernetes)
        .filter(|bytes| bytes.0 > 0)
        .ok_or_else(|| field.wrong(format!("expected memory such as 2048m or 2Gi, not {text:?}")))
}

/// A name as Kubernetes has it, from any: what has no place in one becomes `-`.
fn dns_name(text: &str) -> String {
    let lower = text.to_lowercase();
    let words =
        lower.split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit()).filter(|word| !word.is_empty());
    let mut name = words.collect::<Vec<_>>().join("-");
    // A host's label is no longer than this, and the name becomes one.
    name.truncate(63);
    name.trim_end_matches('-').to_owned()
}

/// The settings of a configuration, nested or flat or both: `a: {b: 1}` is `a.b: 1`, and a list is joined with `;`.
fn settings<'n>(configuration: &Field<'n>) -> Result<Settings<'n>, ConfigError> {
    let mut settings = Settings::new();
    flatten(configuration, "", &mut settings)?;
    Ok(settings)
}

fn flatten<'n>(field: &Field<'n>, prefix: &str, settings: &mut Settings<'n>) -> Result<(), ConfigError> {
    for (name, field) in field.fields()?.all() {
        let key = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        let text = match &field.node.value {
            Value::Map(_) => {
                flatten(&field, &key, settings)?;
                continue;
            }
            Value::List(items) => list(items),
            _ => field.text()?,
        };
        settings.insert(key, Setting { field, text });
    }
    Ok(())
}

/// A list as one text, an item in quotes where it holds a `;`; what is no text in it is nothing that an option takes.
fn list(items: &[Node]) -> String {
    let item = |item: &Node| match &item.value {
        Value::Text(text) if text.contains(';') => format!("'{}'", text.replace('\'', "''")),
        Value::Text(text) => text.clone(),
        Value::Number(number) => number.text.clone(),
        Value::Bool(value) => value.to_string(),
        Value::Null | Value::List(_) | Value::Map(_) => String::new(),
    };
    items.iter().map(item).collect::<Vec<_>>().join(";")
}
