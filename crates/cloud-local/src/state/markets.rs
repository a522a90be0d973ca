//! What is set for markets.

use super::error::StateError;
use super::table::Table;
use crate::labels::Label;
use holdfast_model::Lifecycle;
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The kind of a market's label.
pub(crate) const MARKET: &str = "market";

/// What is set for a market.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct MarketRow {
    /// How many instances it takes; `None`: any number.
    pub(crate) capacity: Option<u32>,
    /// US dollars for an hour, if it is not the usual price.
    pub(crate) hourly_usd: Option<f64>,
    /// How many instances the account may have in it; `None`: any number.
    pub(crate) quota: Option<u32>,
}

impl Table<'_> {
    /// What is set for a market.
    pub(crate) fn market(
        &self,
        instance_type: &str,
        zone: &str,
        lifecycle: Lifecycle,
    ) -> Result<MarketRow, StateError> {
        let found = self
            .tx
            .prepare_cached(
                "SELECT capacity, hourly_usd, quota FROM markets
                 WHERE instance_type = ?1 AND zone = ?2 AND lifecycle = ?3",
            )?
            .query_row(params![instance_type, zone, lifecycle.to_string()], |row| {
                Ok(MarketRow { capacity: row.get(0)?, hourly_usd: row.get(1)?, quota: row.get(2)? })
            })
            .optional()?;
        Ok(found.unwrap_or_default())
    }

    /// Sets a market.
    pub(crate) fn put_market(
        &self,
        instance_type: &str,
        zone: &str,
        lifecycle: Lifecycle,
        row: MarketRow,
    ) -> Result<(), StateError> {
        self.tx.execute(
            "INSERT OR REPLACE INTO markets (instance_type, zone, lifecycle, capacity, hourly_usd, quota)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                instance_type,
                zone,
                lifecycle.to_string(),
                row.capacity,
                row.hourly_usd,
                row.quota
            ],
        )?;
        let id = format!("market-{instance_type}-{zone}-{lifecycle}");
        let content = json!({
            "instanceType": instance_type,
            "zone": zone,
            "lifecycle": lifecycle,
            "set": row,
        });
        self.changes.borrow_mut().labels.push(Label::new(MARKET, &id, content));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::State;
    use super::*;
    use crate::labels::Labels;
    use rusqlite::Connection;

    /// The tables of version 1, as they were.
    const VERSION_1: &str = "
        CREATE TABLE resources (
            kind TEXT NOT NULL, id TEXT NOT NULL PRIMARY KEY, json TEXT NOT NULL
        ) STRICT;
        CREATE INDEX resources_by_kind ON resources (kind, id);
        CREATE TABLE tokens (
            token TEXT NOT NULL PRIMARY KEY, request TEXT NOT NULL, id TEXT NOT NULL,
            at INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE markets (
            instance_type TEXT NOT NULL, zone TEXT NOT NULL, lifecycle TEXT NOT NULL,
            capacity INTEGER, hourly_usd REAL, PRIMARY KEY (instance_type, zone, lifecycle)
        ) STRICT;
        INSERT INTO markets VALUES ('t3.micro', 'local-1a', 'spot', 3, 0.5);
        PRAGMA user_version = 1;
    ";

    #[test]
    fn a_memory_of_version_1_is_read_and_keeps_what_was_set() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cloud.db");
        Connection::open(&path).unwrap().execute_batch(VERSION_1).unwrap();
        for _ in 0..2 {
            let labels = Labels::open(dir.path().join("labels"), dir.path().join("late")).unwrap();
            let state = State::open(dir.path(), labels).unwrap();
            let row = state.look(|t| t.market("t3.micro", "local-1a", Lifecycle::Spot)).unwrap();
            let expected = MarketRow { capacity: Some(3), hourly_usd: Some(0.5), quota: None };
            assert_eq!(row, expected);
        }
    }
}
