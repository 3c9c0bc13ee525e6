//! Which of our jobs to submit, and how.

use super::Topic;

/// A job to be submitted; what its arguments mean is said in `tests/testbed/jobs/Shape.java`.
pub struct Job {
    pub(super) class: &'static str,
    pub(super) arguments: Vec<String>,
}

impl Job {
    /// `source`, `parse` (4 ms of waiting a record), `enrich` (1 ms), `sink`.
    pub fn chain(topic: &Topic) -> Self {
        Self { class: "testbed.Chain", arguments: Vec::new() }.topic("source", topic)
    }

    /// The same, every stage at the parallelism of the whole job.
    pub fn chain_of_one_size(topic: &Topic) -> Self {
        ["source", "parse", "enrich", "sink"]
            .iter()
            .fold(Self::chain(topic), |job, stage| job.parallelism(stage, 0))
    }

    /// `left` to `explode` (three records of one), `right` (reports no pending records) to `clean`, both to `join`;
    /// `join` to `sink`, and to a 5 s `window`, its `report` and their `archive`.
    pub fn diamond(left: &Topic, right: &Topic) -> Self {
        Self { class: "testbed.Diamond", arguments: Vec::new() }.topic("left", left).topic("right", right)
    }

    /// The job's name; `chain` and `diamond` unless told otherwise.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        self.with("name", name)
    }

    /// The parallelism with which a stage starts; 1 unless told otherwise, and with 0 that of the whole job.
    #[must_use]
    pub fn parallelism(self, stage: &str, parallelism: u32) -> Self {
        self.with(&format!("{stage}.parallelism"), &parallelism.to_string())
    }

    /// What a record costs a stage: `none`, `wait:4ms`, or `burn:0.4ms` of processor time.
    #[must_use]
    pub fn cost(self, stage: &str, cost: &str) -> Self {
        self.with(&format!("{stage}.cost"), cost)
    }

    /// The class whose `main` is run, and its arguments.
    pub fn program(&self) -> (&'static str, &[String]) {
        (self.class, &self.arguments)
    }

    /// Any other argument.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.arguments.extend([format!("--{name}"), value.to_owned()]);
        self
    }

    fn topic(self, stage: &str, topic: &Topic) -> Self {
        self.with(&format!("{stage}.topic"), &topic.file().to_string_lossy())
    }
}
