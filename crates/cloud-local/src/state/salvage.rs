//! What is read of an old file when a new one is made: only what has no label.

use super::cells::{signed, sound_json, text};
use super::error::{StateError, VERSION};
use super::table::{State, Table};
use crate::rows::InstanceRow;
use holdfast_model::Time;
use holdfast_model::facts::InstanceState;
use rusqlite::{Connection, OpenFlags, params};
use std::collections::BTreeMap;
use std::path::Path;

/// Kind, id and content of every row, in order: what two memories are compared by.
pub(crate) type Dump = Vec<(String, String, String)>;

/// See the module.
#[derive(Default)]
pub(crate) struct Salvage {
    tokens: Vec<(String, String, String, i64)>,
    /// What was deleted on purpose.
    pub(crate) gone: BTreeMap<String, Time>,
    /// Instances that are shown as terminated.
    pub(crate) terminated: Vec<InstanceRow>,
    /// All of it, if all of it could be read.
    pub(crate) dump: Option<Dump>,
}

impl Salvage {
    /// Reads what can be read of a file; what cannot is left out.
    pub(crate) fn of(path: &Path) -> Salvage {
        if !path.exists() {
            return Salvage::default();
        }
        Self::read(path).unwrap_or_else(|e| {
            tracing::warn!(path = %path.display(), error = %e, "nothing is read of the old file");
            Salvage::default()
        })
    }

    fn read(path: &Path) -> rusqlite::Result<Salvage> {
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let version: u32 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let whole: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if version != VERSION || whole != "ok" {
            return Ok(Salvage::default());
        }
        let mut query = db.prepare("SELECT token, request, id, at FROM tokens")?;
        let tokens: Vec<(String, String, String, i64)> = query
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
            .collect::<Result<_, _>>()?;
        let mut query = db.prepare("SELECT id, at FROM gone")?;
        let gone: BTreeMap<String, Time> = query
            .query_map([], |row| Ok((row.get(0)?, Time(row.get::<_, i64>(1)?.unsigned_abs()))))?
            .collect::<Result<_, _>>()?;
        let (dump, sound) = dump(&db)?;
        let instances = dump.iter().filter(|(kind, ..)| kind == "instance");
        let rows = instances.filter_map(|(_, _, json)| serde_json::from_str(json).ok());
        let over = |row: &InstanceRow| row.fact.state == InstanceState::Terminated;
        let terminated = rows.filter(over).collect();
        Ok(Salvage { tokens, gone, terminated, dump: sound.then_some(dump) })
    }

    /// Writes what has no label of its own into a new memory.
    pub(crate) fn put(&self, table: &Table<'_>) -> Result<(), StateError> {
        for (token, request, id, at) in &self.tokens {
            table.tx.execute(
                "INSERT OR IGNORE INTO tokens (token, request, id, at) VALUES (?1, ?2, ?3, ?4)",
                params![token, request, id, at],
            )?;
        }
        for (id, at) in &self.gone {
            table.tx.execute(
                "INSERT OR IGNORE INTO gone (id, at) VALUES (?1, ?2)",
                params![id, signed(at.0)],
            )?;
        }
        Ok(())
    }
}

impl State {
    /// Every row.
    pub(crate) fn dump(&self) -> Result<Dump, StateError> {
        Ok(dump(&self.lock())?.0)
    }
}

/// Every row, and whether all of them are sound.
fn dump(db: &Connection) -> rusqlite::Result<(Dump, bool)> {
    let mut found = Vec::new();
    let mut sound = true;
    let mut query = db.prepare("SELECT kind, id, json, sum FROM resources ORDER BY id")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, id) = (text(row, 0), text(row, 1));
        sound &= sound_json(&kind, &id, row, 2).is_ok();
        found.push((kind, id, text(row, 2)));
    }
    let mut query = db.prepare("SELECT id, public_ip FROM addresses ORDER BY id")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        found.push(("address".to_owned(), text(row, 0), text(row, 1)));
    }
    let mut query = db.prepare(
        "SELECT instance_type || ' ' || zone || ' ' || lifecycle,
                coalesce(capacity, '-') || ' ' || coalesce(hourly_usd, '-') || ' ' ||
                coalesce(quota, '-')
         FROM markets ORDER BY 1",
    )?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        found.push(("market".to_owned(), text(row, 0), text(row, 1)));
    }
    Ok((found, sound))
}
