//! Waiting for a condition instead of for a time.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is looked at: often enough not to slow a test down, seldom enough not to load two cores.
const PAUSE: Duration = Duration::from_millis(100);

/// Looks again and again until `probe` gives `Ok`, and returns that. Its error says what was seen instead; the last
/// one is in the failure when the deadline passes.
pub async fn until<T>(what: &str, within: Duration, mut probe: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        match probe().await {
            Ok(value) => return Ok(value),
            Err(seen) if Instant::now() >= deadline => {
                bail!("waited {} s for {what}; last seen: {seen:#}", within.as_secs())
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
