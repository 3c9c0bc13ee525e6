//! The command line: what commands share. Each command turns arguments into calls of the library and prints what comes
//! of them; it must never decide anything itself.

pub mod exit;
pub mod output;
pub mod yaml;
