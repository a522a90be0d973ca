//! Weekly windows of time (`strategy.optimizationWindows`), in UTC.

use crate::Time;
use crate::time::MINUTE;

const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// 1970-01-01 was a Thursday.
const FIRST_DAY: u64 = 4;
const DAY: u64 = 24 * 60;
const WEEK: u64 = 7 * DAY;

/// A window that comes back every week. It may reach over the week's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Minutes since the week began (Sunday, 00:00 UTC) at which it opens.
    from: u64,
    /// Minutes since the week began at which it closes; it is then no longer open.
    to: u64,
}

impl Window {
    /// Reads Spot's form `ddd:hh:mm-ddd:hh:mm`, such as `Mon:03:30-Wed:02:30`.
    #[must_use]
    pub fn read(text: &str) -> Option<Window> {
        let (from, to) = text.split_once('-')?;
        let window = Window { from: minute_of_week(from)?, to: minute_of_week(to)? };
        (window.from != window.to).then_some(window)
    }

    /// Whether it is open.
    #[must_use]
    pub fn is_open(&self, now: Time) -> bool {
        let minute = (now.0 / MINUTE + FIRST_DAY * DAY) % WEEK;
        if self.from < self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        }
    }

    /// When it next opens; `now` if it is open.
    #[must_use]
    pub fn next(&self, now: Time) -> Time {
        if self.is_open(now) {
            return now;
        }
        let minutes = now.0 / MINUTE + FIRST_DAY * DAY;
        let ahead = (self.from + WEEK - minutes % WEEK) % WEEK;
        Time((now.0 / MINUTE + ahead) * MINUTE)
    }
}

fn minute_of_week(text: &str) -> Option<u64> {
    let mut parts = text.trim().split(':');
    let (day, hour, minute) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let day = day.get(..3)?.to_ascii_lowercase();
    let day = DAYS.iter().position(|d| *d == day)? as u64;
    let hour: u64 = hour.parse().ok().filter(|h| *h < 24)?;
    let minute: u64 = minute.parse().ok().filter(|m| *m < 60)?;
    Some(day * DAY + hour * 60 + minute)
}
