//! What an expression may ask about, as values of CEL.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use cel::common::traits::{Container, Indexer};
use cel::common::types::{CelDouble, CelInt, CelString, Type};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Env, ExecutionError};

use super::moment::{self, Moment};
use crate::model::Timestamp;
use crate::policy::Zone;

/// What an expression may ask about: `job`, `signals`, `now`, and `hour` (0 to 23), `minute` (0 to 59), `weekday` (0 is Sunday) in
/// the policy's time zone.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The job.
    pub job: JobFacts<'a>,
    /// What it is doing.
    pub signals: SignalFacts,
    /// The moment that is asked about.
    pub now: Timestamp,
    /// Whose clocks show `hour`, `minute` and `weekday`.
    pub zone: &'a Zone,
}

/// What an expression knows of the job, as `job.name` and so on.
#[derive(Clone, Copy, Debug)]
pub struct JobFacts<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its id.
    pub id: &'a str,
    /// Its labels; `None`, when an expression is checked, stands for any label.
    pub labels: Option<&'a BTreeMap<String, String>>,
}

/// What an expression knows of the signals, as `signals.load` and so on; `None` (and what is not finite) where it is not known now.
#[derive(Clone, Copy, Debug, Default)]
pub struct SignalFacts {
    /// Records/s that arrive at the sources.
    pub load: Option<f64>,
    /// Records that wait at the sources.
    pub backlog: Option<f64>,
    /// Seconds in which the present size works them off.
    pub backlog_seconds: Option<f64>,
    /// Utilization of the fullest vertex; 1 is full.
    pub busiest: Option<f64>,
    /// Share of time, 0 to 1, for which the most back-pressured vertex is.
    pub back_pressured: Option<f64>,
    /// TaskManagers.
    pub replicas: Option<u32>,
    /// Subtasks of the largest vertex.
    pub parallelism: Option<u32>,
}

/// All variables.
pub(super) const VARIABLES: [&str; 6] = ["job", "signals", "now", "hour", "minute", "weekday"];
/// All fields of `job`.
pub(super) const JOB: [&str; 3] = ["name", "id", "labels"];
/// All fields of `signals`.
pub(super) const SIGNALS: [&str; 7] =
    ["load", "backlog", "backlogSeconds", "busiest", "backPressured", "replicas", "parallelism"];

/// The functions and types of CEL that are offered: the standard ones but for optional values, durations and regular expressions.
pub(super) static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut environment = Env::default().with_optional_support(false).with_stdlib();
    moment::declare(&mut environment);
    Arc::new(environment)
});

impl VariableResolver for Facts<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let now = || jiff::Timestamp::from_millisecond(self.now.as_millis()).ok();
        let shown = || Some(self.zone.shown(now()?));
        Some(match variable {
            "job" => CowVal::owned(Record::Job(&self.job)),
            "signals" => CowVal::owned(Record::Signals(&self.signals)),
            "now" => CowVal::owned(Moment(now()?)),
            "hour" => whole(shown()?.hour()),
            "minute" => whole(shown()?.minute()),
            "weekday" => whole(shown()?.weekday().to_sunday_zero_offset()),
            _ => return None,
        })
    }
}

/// Something with fields, borrowed for as long as an evaluation takes.
#[derive(Clone, Copy, Debug)]
enum Record<'a> {
    Job(&'a JobFacts<'a>),
    Labels(Option<&'a BTreeMap<String, String>>),
    Signals(&'a SignalFacts),
}

static JOB_TYPE: Type = Type::new_unspecified_type("job");
static LABELS_TYPE: Type = Type::new_unspecified_type("labels");
static SIGNALS_TYPE: Type = Type::new_unspecified_type("signals");

impl<'a> Record<'a> {
    fn field<'b, 'v>(self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        'a: 'v,
    {
        let Some(name) = index.downcast_ref::<CelString>().map(CelString::inner) else {
            let (got, want) = (index.get_type().name().to_owned(), "string".to_owned());
            return Err(ExecutionError::UnexpectedType { got, want });
        };
        let found = match self {
            Self::Job(job) => match name {
                "name" => Some(text(job.name)),
                "id" => Some(text(job.id)),
                "labels" => Some(CowVal::owned(Record::Labels(job.labels))),
                _ => return Err(ExecutionError::undeclared_reference(&format!("job.{name}"))),
            },
            Self::Labels(None) => Some(text("")),
            Self::Labels(Some(labels)) => labels.get(name).map(|label| text(label)),
            Self::Signals(signals) => match name {
                "load" => number(signals.load),
                "backlog" => number(signals.backlog),
                "backlogSeconds" => number(signals.backlog_seconds),
                "busiest" => number(signals.busiest),
                "backPressured" => number(signals.back_pressured),
                "replicas" => signals.replicas.map(whole),
                "parallelism" => signals.parallelism.map(whole),
                _ => return Err(ExecutionError::undeclared_reference(&format!("signals.{name}"))),
            },
        };
        found.ok_or_else(|| ExecutionError::no_such_key(name))
    }
}

fn text<'b>(text: &str) -> CowVal<'b, '_> {
    CowVal::owned(CelString::from(text))
}

fn number<'b, 'v>(number: Option<f64>) -> Option<CowVal<'b, 'v>> {
    number.filter(|number| number.is_finite()).map(|number| CowVal::owned(CelDouble::from(number)))
}

fn whole<'b, 'v>(number: impl Into<i64>) -> CowVal<'b, 'v> {
    CowVal::owned(CelInt::from(number.into()))
}

impl Val for Record<'_> {
    fn get_type(&self) -> &Type {
        match self {
            Self::Job(_) => &JOB_TYPE,
            Self::Labels(_) => &LABELS_TYPE,
            Self::Signals(_) => &SIGNALS_TYPE,
        }
    }

    fn cel_type() -> &'static Type {
        &JOB_TYPE
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(*self)
    }
}

impl Indexer for Record<'_> {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.field(index)
    }

    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.field(index).map(CowVal::into_owned)
    }
}

impl Container for Record<'_> {
    fn contains(&self, name: &dyn Val) -> Result<bool, ExecutionError> {
        match self.field(name) {
            Ok(_) => Ok(true),
            Err(ExecutionError::NoSuchKey(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
