//! What promtool's rule tests are to alerts: the `tests:` of a policy, each a small job and a diary.
//!
//! Comes in: a [`Test`] and the policy that it is of. Goes out: a [`TestRun`], with every expectation that was not met, what
//! came instead, and the trail of the decision that it is about. A test runs on the simulated Flink with the engine at the
//! wheel, so what it sees decided is what would be decided. This module must never decide anything itself, nor let an
//! expectation pass that it has not compared.

mod check;
mod judge;
mod names;
mod run;
mod scenario;
mod spec;
mod surroundings;
mod trail;
mod units;

pub use check::mistakes;
pub use names::{HeldFor, RuleName, ScenarioName};
pub use run::{TestRun, Unmet, run};
pub use spec::{
    Action, Expect, Gone, Range, Step, Test, TestBounds, TestJob, TestPods, TestSignals, TestVertex,
};
pub use units::{Percent, ServiceTime, UnitError};

#[cfg(test)]
mod tests;
