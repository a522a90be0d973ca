//! Time at the edge: instants as the interface writes and reads them.

use holdfast_model::Time;
use std::time::{SystemTime, UNIX_EPOCH};

/// The latest instant that every part of the server can hold.
pub(crate) const LATEST: Time = Time(i64::MAX as u64);

/// RFC 3339 in UTC with milliseconds and `Z`, such as `2020-05-05T08:53:12.000Z`: the one form
/// that every client of the interface can read.
#[must_use]
pub fn rfc3339(at: Time) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis)
        .unwrap_or(jiff::Timestamp::MAX)
        .strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
        .to_string()
}

/// Now, for what has no effect on any decision: the time of a request in its answer.
#[expect(
    clippy::disallowed_methods,
    reason = "a request's time is shown, nothing is decided by it"
)]
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Reads an instant: milliseconds since 1970, a date, or a date with a time.
pub(crate) fn parse(text: &str) -> Option<Time> {
    if let Ok(millis) = text.parse::<u64>() {
        return Some(Time(millis.min(LATEST.0)));
    }
    let instant = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let date = text.parse::<jiff::civil::Date>().ok()?;
        Some(date.to_zoned_datetime(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    })?;
    u64::try_from(instant.as_millisecond()).ok().map(Time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_has_milliseconds_and_z() {
        assert_eq!(rfc3339(Time(1_588_668_792_000)), "2020-05-05T08:53:12.000Z");
        assert_eq!(rfc3339(Time(1_588_668_792_007)), "2020-05-05T08:53:12.007Z");
    }

    #[test]
    fn an_instant_is_read_in_three_forms() {
        let whole = Some(Time(1_588_636_800_000));
        assert_eq!(parse("1588636800000"), whole);
        assert_eq!(parse("2020-05-05"), whole);
        assert_eq!(parse("2020-05-05T00:00:00Z"), whole);
        assert_eq!(parse("yesterday"), None);
    }
}
