//! What is set for markets.

use super::{StateError, Table};
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
