//! One client per endpoint, however many of its jobs are scaled: they share connections and the rate limit.

use crate::observe::flink::{FlinkClient, FlinkError};
use crate::observe::{Gate, Within};
use crate::policy::{FlinkRef, Span};

/// The clients that were made.
#[derive(Default)]
pub(super) struct Clients {
    gate: Gate,
    within: Within,
    made: Vec<(FlinkRef, FlinkClient)>,
}

impl Clients {
    /// None yet; what they are to change needs `gate` to be open, and the files that they name lie `within` a folder.
    pub(super) fn new(gate: Gate, within: Within) -> Self {
        Self { gate, within, made: Vec::new() }
    }

    /// The client of the endpoint of `flink`.
    pub(super) fn of(&mut self, flink: &FlinkRef) -> Result<FlinkClient, FlinkError> {
        let endpoint = endpoint(flink);
        if let Some((_, client)) = self.made.iter().find(|(made, _)| *made == endpoint) {
            return Ok(client.clone());
        }
        let client = FlinkClient::gated(flink, self.gate.clone(), &self.within)?;
        self.made.push((endpoint, client.clone()));
        Ok(client)
    }

    /// Forgets the clients of all endpoints but these.
    pub(super) fn keep<'a>(&mut self, used: impl Iterator<Item = &'a FlinkRef>) {
        let used: Vec<FlinkRef> = used.map(endpoint).collect();
        self.made.retain(|(made, _)| used.contains(made));
    }
}

/// What differs between the jobs of one endpoint is not the client's.
fn endpoint(flink: &FlinkRef) -> FlinkRef {
    FlinkRef { job: None, poll: Span::default(), ..flink.clone() }
}
