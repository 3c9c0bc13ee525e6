//! The wall clock: the only place of the program that reads it.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::Timestamp;

/// The moment it is. A clock before 1970 reads as 1970.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(0) + since
}
