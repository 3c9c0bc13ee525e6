//! Stops with savepoints, jars and their runs, and the disposal of savepoints.

use serde_json::{Value, json};

use super::failure::Failure;
use super::{Found, query};
use crate::model::{JobId, TriggerId};
use crate::simulate::session::Declined;
use crate::simulate::simulation::Simulation;

impl From<Declined> for Failure {
    fn from(Declined { status, errors }: Declined) -> Self {
        Self::of(status, errors)
    }
}

impl Simulation {
    pub(super) fn stop_job(&mut self, id: JobId, body: &[u8]) -> Found {
        let trigger = self.ask_to_stop(id, body)?;
        Ok(json!({ "request-id": trigger }))
    }

    pub(super) fn stop_status(&self, id: JobId, trigger: TriggerId) -> Found {
        let what = || format!("There is no savepoint operation with triggerId={trigger} for job {id}.");
        self.session.status(trigger, self.done).ok_or_else(|| Failure::not_found(&what()))
    }

    pub(super) fn all_jars(&self) -> Value {
        self.session.jars(self.flink_moment(0).as_millis())
    }

    pub(super) fn run_of(&mut self, jar: &str, body: &[u8]) -> Found {
        let jar = query::decode(jar)?;
        let id = self.run_jar(&jar, body)?;
        Ok(json!({ "jobid": id }))
    }

    pub(super) fn dispose(&mut self, body: &[u8]) -> Found {
        let trigger = self.session.dispose(body)?;
        Ok(json!({ "request-id": trigger }))
    }

    pub(super) fn disposal(&self, trigger: TriggerId) -> Found {
        let what = || format!("There is no savepoint disposal with triggerId={trigger}.");
        self.session.disposal(trigger).ok_or_else(|| Failure::not_found(&what()))
    }
}
