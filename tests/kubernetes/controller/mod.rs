//! `tidegate run --kubernetes` before a real API server and simulated jobs.

mod attempts;
pub mod bed;
mod conflicts;
mod fleet;
mod follows;
mod leads;
mod outages;
mod replicas;
mod rival;
mod room;
