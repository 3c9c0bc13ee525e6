//! `tidegate run --kubernetes` before a real API server and simulated jobs.

mod bed;
mod conflicts;
mod follows;
mod leads;
mod outages;
