//! Jobs that an operator runs: one that is made up, by the paths of its fields, and Apache's own.

mod apache;
mod made_up;

use anyhow::{Context as _, Result};

use crate::controller::bed::ledger;
use crate::kubernetes::Namespace;

/// The states that the last rescale which has ended went through, and how it ended.
async fn last_rescale(namespace: &Namespace, autoscaler: &str) -> Result<(Vec<String>, String)> {
    let ledger = ledger(namespace, autoscaler).await?;
    let last = ledger["rescales"].as_array().and_then(|all| all.last()).context("no rescale has ended")?;
    let stages = last["reached"].as_array().into_iter().flatten();
    let stages = stages.filter_map(|reached| reached["stage"].as_str().map(str::to_owned)).collect();
    Ok((stages, last["end"].as_str().unwrap_or_default().to_owned()))
}
