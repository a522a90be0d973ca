//! The time.

use holdfast_model::Time;
use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock: what deadlines survive a restart by.
#[expect(clippy::disallowed_methods, reason = "real machines end in real time")]
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
