//! Elastic IPs.

use super::cells::{sound_json, text};
use super::error::StateError;
use super::table::Table;
use crate::clock::now;
use crate::labels::Label;
use crate::sums;
use rusqlite::params;
use serde_json::json;

/// The kind of an Elastic IP's label.
pub(crate) const ADDRESS: &str = "address";

impl Table<'_> {
    /// Every Elastic IP: its allocation and its address, by allocation. A damaged row is left out.
    pub(crate) fn addresses(&self) -> Result<Vec<(String, String)>, StateError> {
        let mut query =
            self.tx.prepare_cached("SELECT id, public_ip, sum FROM addresses ORDER BY id")?;
        let mut rows = query.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let (id, public_ip) = (text(row, 0), text(row, 1));
            match sound_json(ADDRESS, &id, row, 1) {
                Ok(_) => found.push((id, public_ip)),
                Err(why) => self.note_damage(&id, &why),
            }
        }
        Ok(found)
    }

    /// The allocations of all Elastic IPs, damaged ones included.
    pub(crate) fn address_ids(&self) -> Result<Vec<String>, StateError> {
        let mut query = self.tx.prepare_cached("SELECT id FROM addresses")?;
        let rows = query.query_map([], |row| Ok(text(row, 0)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The address of an Elastic IP.
    pub(crate) fn address(&self, id: &str) -> Result<Option<String>, StateError> {
        Ok(self.addresses()?.into_iter().find(|(known, _)| known == id).map(|(_, ip)| ip))
    }

    /// Remembers an Elastic IP.
    pub(crate) fn put_address(&self, id: &str, public_ip: &str) -> Result<(), StateError> {
        self.tx.execute(
            "INSERT OR REPLACE INTO addresses (id, public_ip, sum) VALUES (?1, ?2, ?3)",
            params![id, public_ip, sums::of_row(ADDRESS, id, public_ip.as_bytes())],
        )?;
        let label = Label::new(ADDRESS, id, json!({ "publicIp": public_ip }));
        self.changes.borrow_mut().labels.push(label);
        Ok(())
    }

    /// Forgets an Elastic IP.
    pub(crate) fn delete_address(&self, id: &str) -> Result<(), StateError> {
        self.tx.execute("DELETE FROM addresses WHERE id = ?1", [id])?;
        self.put_gone(id, now())
    }
}
