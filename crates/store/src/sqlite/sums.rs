//! Checksums of records and settings: a flipped bit in a row is seen, and stops what the row is about.

use rusqlite::{Connection, Row, TransactionBehavior, params};
use sha2::{Digest, Sha256};

/// What is said of a row whose checksum is not that of its content.
pub(super) const DAMAGED: &str = "its checksum is not that of its content";

fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn of_record(node: &str, revision: u64, json: &[u8]) -> String {
    digest(&[node.as_bytes(), &revision.to_be_bytes(), json])
}

pub(super) fn of_setting(name: &str, value: &[u8]) -> String {
    digest(&[name.as_bytes(), value])
}

/// Whether the checksum at a column is that; one that there is not says nothing.
pub(super) fn agrees(row: &Row<'_>, column: usize, sum: &str) -> rusqlite::Result<bool> {
    let found = row.get_ref(column)?.as_bytes_or_null()?;
    Ok(found.is_none_or(|found| found == sum.as_bytes()))
}

/// Gives a checksum to every row that has none: it was written by an earlier version.
pub(super) fn fill(conn: &mut Connection) -> rusqlite::Result<()> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut found = Vec::new();
    {
        let mut query = tx.prepare("SELECT node, revision, json FROM records WHERE sum IS NULL")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let node: String = row.get(0)?;
            let revision = row.get::<_, i64>(1)?.unsigned_abs();
            let sum = of_record(&node, revision, row.get_ref(2)?.as_bytes()?);
            found.push(("UPDATE records SET sum = ?2 WHERE node = ?1", node, sum));
        }
        let mut query = tx.prepare("SELECT name, value FROM settings WHERE sum IS NULL")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let name: String = row.get(0)?;
            let sum = of_setting(&name, row.get_ref(1)?.as_bytes()?);
            found.push(("UPDATE settings SET sum = ?2 WHERE name = ?1", name, sum));
        }
    }
    for (statement, key, sum) in found {
        tx.execute(statement, params![key, sum])?;
    }
    tx.commit()
}
