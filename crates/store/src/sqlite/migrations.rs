//! The schema, as the steps that led to it. A step that was released is never changed: a change is
//! a new step at the end.

use rusqlite::{Connection, TransactionBehavior};

/// Step `n` (from 1) takes a file from `user_version` `n - 1` to `n`.
const STEPS: &[&str] = &[
    // 1. An event's `node` and `at` stand outside its JSON because they are searched for; its
    //    index on `node` ends in the row id and so also gives a node's events in order.
    //    AUTOINCREMENT: a number is never given twice, also after its event was pruned.
    "CREATE TABLE records (
         node     TEXT NOT NULL PRIMARY KEY,
         revision INTEGER NOT NULL CHECK (revision > 0),
         json     TEXT NOT NULL
     ) STRICT;
     CREATE TABLE events (
         sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
         node     TEXT NOT NULL,
         at       INTEGER NOT NULL,
         json     TEXT NOT NULL
     ) STRICT;
     CREATE INDEX events_by_node ON events (node);
     CREATE TABLE settings (
         name  TEXT NOT NULL PRIMARY KEY,
         value TEXT NOT NULL
     ) STRICT;",
    // 2. Checksums; NULL: the row was written before there were any, and is read as it is. Opening
    //    the file gives it one.
    "ALTER TABLE records ADD COLUMN sum TEXT;
     ALTER TABLE settings ADD COLUMN sum TEXT;",
];

/// The newest version that this program knows.
#[expect(clippy::cast_possible_wrap, reason = "a handful of steps")]
pub(super) const NEWEST: i64 = STEPS.len() as i64;

/// The version of the file; 0: a new one.
pub(super) fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Whether there is any table: a file of version 0 that has one is not ours.
pub(super) fn has_tables(conn: &Connection) -> rusqlite::Result<bool> {
    conn.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))
}

/// Brings the file to [`NEWEST`], each step in a transaction of its own together with the version.
pub(super) fn run(conn: &mut Connection) -> rusqlite::Result<()> {
    let from = version(conn)?;
    for (to, step) in (1_i64..).zip(STEPS).filter(|(to, _)| *to > from) {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch(step)?;
        tx.pragma_update(None, "user_version", to)?;
        tx.commit()?;
        tracing::info!(version = to, "the store was brought to a new version");
    }
    Ok(())
}
