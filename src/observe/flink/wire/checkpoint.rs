//! `POST /jobs/:id/checkpoints` and `GET /jobs/:id/checkpoints/:trigger` (1.17+).

use serde::Deserialize;

/// What a checkpoint that was asked for is known by.
#[derive(Debug, Deserialize)]
pub(crate) struct Triggered {
    /// The trigger's id.
    #[serde(rename = "request-id")]
    pub(crate) request_id: String,
}

/// How far it is.
#[derive(Debug, Deserialize)]
pub(crate) struct CheckpointStatus {
    status: StatusId,
}

#[derive(Debug, Deserialize)]
struct StatusId {
    id: String,
}

impl CheckpointStatus {
    /// Whether it has ended, well or not.
    pub(crate) fn has_ended(&self) -> bool {
        self.status.id == "COMPLETED"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_flink_answers() {
        let triggered = r#"{"request-id":"8e9b2f6ea22a9b3c9d4df1c3f8c5dd3e"}"#;
        let triggered: Triggered = serde_json::from_str(triggered).expect("a trigger");
        assert_eq!(triggered.request_id, "8e9b2f6ea22a9b3c9d4df1c3f8c5dd3e");
        for (answer, ended) in [
            (r#"{"status":{"id":"IN_PROGRESS"},"operation":null}"#, false),
            (r#"{"status":{"id":"COMPLETED"},"operation":{"checkpointId":3,"failureCause":null}}"#, true),
            (r#"{"status":{"id":"COMPLETED"},"operation":{"failureCause":{"class":"X"}}}"#, true),
        ] {
            let status: CheckpointStatus = serde_json::from_str(answer).expect("a status");
            assert_eq!(status.has_ended(), ended, "{answer}");
        }
    }
}
