//! Where a replacement's time goes: its rows, and what lies around them.

use holdfast_model::Row;
use holdfast_wire::record::Finished;
use serde_json::Value;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Both clocks at one moment: acknowledgements have the one, rows the other.
#[derive(Debug, Clone, Copy)]
pub struct Timeline {
    at: Instant,
    wall: Duration,
}

impl Timeline {
    /// Now.
    #[expect(clippy::disallowed_methods, reason = "the record's instants are of the wall clock")]
    pub fn start() -> Timeline {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timeline { at: Instant::now(), wall }
    }

    fn millis(self, instant: Instant) -> u64 {
        let wall = self.wall + instant.saturating_duration_since(self.at);
        u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)
    }

    /// The rows of the last replacement in a node as it is shown, as far as they lie between the
    /// last acknowledgement and the first (what is done while the old instance serves is no part of
    /// the blackout); before them the time from the last acknowledgement, after them the time to
    /// the first.
    pub fn rows(
        self,
        shown: &Value,
        last: Instant,
        next: Instant,
    ) -> Result<Vec<(String, Duration)>, String> {
        let finished = shown.pointer("/record/history").and_then(Value::as_array);
        let finished = finished.and_then(|all| all.last()).ok_or("no replacement is shown")?;
        let finished: Finished =
            serde_json::from_value(finished.clone()).map_err(|e| e.to_string())?;
        let mut rows = Vec::new();
        let until = finished.started_at.saturating_sub(self.millis(last));
        rows.push(("until".to_owned(), Duration::from_millis(until)));
        let mut ready = finished.finished_at;
        for (row, started, done) in &finished.rows {
            let Some(done) = done else { continue };
            if row == Row::Ready.name() {
                ready = *done;
            }
            // What comes after the node is back is no part of the blackout.
            if row != Row::Retire.name() {
                let from = (*started).max(self.millis(last));
                let length = Duration::from_millis(done.saturating_sub(from));
                rows.push((row.clone(), length));
            }
        }
        let serve = self.millis(next).saturating_sub(ready);
        rows.push(("serve".to_owned(), Duration::from_millis(serve)));
        Ok(rows)
    }
}
