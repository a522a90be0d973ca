//! The tables, and how those of earlier versions become them.

use super::cells::text;
use super::error::{StateError, VERSION};
use crate::sums;
use holdfast_model::facts::ResourceKind;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use std::path::Path;

const TABLES: &str = "
CREATE TABLE resources (
    kind TEXT NOT NULL,
    id TEXT NOT NULL PRIMARY KEY,
    json TEXT NOT NULL
) STRICT;
CREATE INDEX resources_by_kind ON resources (kind, id);
CREATE TABLE tokens (
    token TEXT NOT NULL PRIMARY KEY,
    request TEXT NOT NULL,
    id TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE TABLE markets (
    instance_type TEXT NOT NULL,
    zone TEXT NOT NULL,
    lifecycle TEXT NOT NULL,
    capacity INTEGER,
    hourly_usd REAL,
    quota INTEGER,
    PRIMARY KEY (instance_type, zone, lifecycle)
) STRICT;
";

/// What version 1 lacks.
const TO_VERSION_2: &str = "ALTER TABLE markets ADD COLUMN quota INTEGER;";
/// What version 2 lacks.
const TO_VERSION_3: &str = "
CREATE TABLE addresses (
    id TEXT NOT NULL PRIMARY KEY,
    public_ip TEXT NOT NULL UNIQUE
) STRICT;
";
/// What version 3 lacks: checksums (none: the row is of an earlier version), and what was deleted, so
/// that a file without a row is known to be the rest of a deletion and not guessed to be.
const TO_VERSION_4: &str = "
ALTER TABLE resources ADD COLUMN sum TEXT;
ALTER TABLE addresses ADD COLUMN sum TEXT;
CREATE TABLE gone (
    id TEXT NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT;
";

/// Opens the file and brings it to [`VERSION`].
pub(super) fn open(path: &Path) -> Result<Connection, StateError> {
    let at = |cause| StateError::of(path, cause);
    let mut db = Connection::open(path).map_err(at)?;
    // What is deleted is overwritten: launches of earlier versions held user data.
    db.pragma_update_and_check(None, "secure_delete", true, |_| Ok(())).map_err(at)?;
    db.pragma_update(None, "journal_mode", "WAL").map_err(at)?;
    db.pragma_update(None, "synchronous", "FULL").map_err(at)?;
    let whole: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(at)?;
    if whole != "ok" {
        return Err(StateError::Damaged { path: path.to_owned(), why: whole });
    }
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(at)?;
    let found: u32 = tx.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(at)?;
    let scripts: &[&str] = match found {
        0 => &[TABLES, TO_VERSION_3, TO_VERSION_4],
        1 => &[TO_VERSION_2, TO_VERSION_3, TO_VERSION_4],
        2 => &[TO_VERSION_3, TO_VERSION_4],
        3 => &[TO_VERSION_4],
        VERSION => &[],
        found => return Err(StateError::Version { path: path.to_owned(), found }),
    };
    for script in scripts {
        tx.execute_batch(script).map_err(at)?;
    }
    let upgraded = (1..VERSION).contains(&found);
    if upgraded {
        keep_no_requests(&tx).map_err(at)?;
        keep_no_user_data(&tx).map_err(at)?;
    }
    tx.pragma_update(None, "user_version", VERSION).map_err(at)?;
    tx.commit().map_err(at)?;
    if upgraded {
        // What the rows held is in the file's free pages and in its log until then.
        db.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);").map_err(at)?;
    }
    Ok(db)
}

/// Tokens keep a hash of their request in place of the request.
fn keep_no_requests(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut query = tx.prepare("SELECT token, request FROM tokens")?;
    let rows = query.query_map([], |row| Ok((text(row, 0), text(row, 1))))?;
    let rows: Vec<(String, String)> = rows.collect::<Result<_, _>>()?;
    for (token, request) in rows {
        let hash = sums::digest(&[request.as_bytes()]);
        tx.execute("UPDATE tokens SET request = ?2 WHERE token = ?1", params![token, hash])?;
    }
    Ok(())
}

/// Instances keep no user data: their directories hold it while they run. A row that cannot be read is
/// left as it is.
fn keep_no_user_data(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    let kind = ResourceKind::Instance.name();
    let mut query = tx.prepare("SELECT id, json FROM resources WHERE kind = ?1")?;
    let mut rows = query.query([kind])?;
    let mut changed = Vec::new();
    while let Some(row) = rows.next()? {
        let json = row.get_ref(1)?.as_bytes().unwrap_or_default();
        let Ok(mut value) = serde_json::from_slice::<serde_json::Value>(json) else { continue };
        let launch = value.get_mut("launch").and_then(|launch| launch.as_object_mut());
        if let Some(launch) = launch {
            launch.insert("user_data".to_owned(), serde_json::Value::Null);
            launch.insert("shutdown_script".to_owned(), serde_json::Value::Null);
            changed.push((text(row, 0), value.to_string()));
        }
    }
    for (id, json) in changed {
        let sum = sums::of_row(kind, &id, json.as_bytes());
        tx.execute(
            "UPDATE resources SET json = ?2, sum = ?3 WHERE id = ?1",
            params![id, json, sum],
        )?;
    }
    Ok(())
}
