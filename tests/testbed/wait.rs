//! Waiting for a condition instead of for a time.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is looked at: often enough not to slow a test down, and less and less often where it takes long, so that
/// looking (by kubectl, say) does not load two cores.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(600)];

/// A pause is this part of what has been waited already.
const PART: u32 = 20;

/// Looks again and again until `probe` gives `Ok`, and returns that. Its error says what was seen instead; the last
/// one is in the failure when the deadline passes.
pub async fn until<T>(what: &str, within: Duration, mut probe: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    let deadline = begun + within;
    loop {
        match probe().await {
            Ok(value) => return Ok(value),
            Err(seen) if Instant::now() >= deadline => {
                bail!("waited {} s for {what}; last seen: {seen:#}", within.as_secs())
            }
            Err(_) => tokio::time::sleep((begun.elapsed() / PART).clamp(PAUSES[0], PAUSES[1])).await,
        }
    }
}
