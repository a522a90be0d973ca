//! The writing side: one connection, compare-and-swap, and the pruning of events.

use super::sums;
use crate::{EventLimits, Write, Written, left_after_pruning};
use holdfast_model::{Event, NodeId};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use std::collections::BTreeMap;

/// The most nodes whose events are counted in memory; beyond, all are counted anew when needed.
const MAX_COUNTED_NODES: usize = 100_000;

pub(super) struct WriteSide {
    pub(super) conn: Connection,
    pub(super) limits: EventLimits,
    counts: EventCounts,
}

/// How many events are stored, as far as that was needed since the start.
#[derive(Default)]
struct EventCounts {
    total: Option<usize>,
    per_node: BTreeMap<NodeId, usize>,
}

impl WriteSide {
    pub(super) fn new(conn: Connection, limits: EventLimits) -> Self {
        Self { conn, limits, counts: EventCounts::default() }
    }

    /// One transaction; an error leaves nothing of it.
    pub(super) fn commit(&mut self, group: &[Write]) -> rusqlite::Result<Vec<Written>> {
        // Taken, and put back only at the end: whatever fails, no count outlives a rollback.
        let mut counts = std::mem::take(&mut self.counts);
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut written = Vec::with_capacity(group.len());
        for write in group {
            written.push(apply(&tx, write, &mut counts, self.limits)?);
        }
        tx.commit()?;
        self.counts = counts;
        Ok(written)
    }

    pub(super) fn set_setting(&mut self, name: &str, value: &str) -> rusqlite::Result<()> {
        self.conn.execute(
            "INSERT INTO settings (name, value, sum) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value, sum = excluded.sum",
            [name, value, &sums::of_setting(name, value.as_bytes())],
        )?;
        Ok(())
    }
}

fn apply(
    tx: &Transaction<'_>,
    write: &Write,
    counts: &mut EventCounts,
    limits: EventLimits,
) -> rusqlite::Result<Written> {
    let node = write.node.as_str();
    let found: Option<i64> = tx
        .prepare_cached("SELECT revision FROM records WHERE node = ?1")?
        .query_row([node], |row| row.get(0))
        .optional()?;
    // The table's CHECK keeps revisions positive.
    let revision = found.map_or(0, i64::unsigned_abs);
    if revision != write.expected {
        return Ok(Written::Conflict { found: revision });
    }
    match (found, &write.record) {
        (None, Some(json)) => {
            let sum = sums::of_record(node, 1, json.as_bytes());
            tx.prepare_cached(
                "INSERT INTO records (node, revision, json, sum) VALUES (?1, 1, ?2, ?3)",
            )?
            .execute([node, json, &sum])?;
        }
        (Some(_), Some(json)) => {
            let sum = sums::of_record(node, revision + 1, json.as_bytes());
            tx.prepare_cached(
                "UPDATE records SET revision = revision + 1, json = ?2, sum = ?3 WHERE node = ?1",
            )?
            .execute([node, json, &sum])?;
        }
        (Some(_), None) => {
            tx.prepare_cached("DELETE FROM records WHERE node = ?1")?.execute([node])?;
        }
        (None, None) => {}
    }
    for event in &write.events {
        add(tx, event, counts, limits)?;
    }
    Ok(Written::Done)
}

fn add(
    tx: &Transaction<'_>,
    event: &Event,
    counts: &mut EventCounts,
    limits: EventLimits,
) -> rusqlite::Result<()> {
    let total = match counts.total {
        Some(total) => total,
        None => count(tx.query_row("SELECT count(*) FROM events", [], |row| row.get(0))?),
    };
    let of_node = match counts.per_node.get(&event.node) {
        Some(of_node) => *of_node,
        None => count(
            tx.prepare_cached("SELECT count(*) FROM events WHERE node = ?1")?
                .query_row([event.node.as_str()], |row| row.get(0))?,
        ),
    };
    let json = serde_json::to_string(event)
        .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
    tx.prepare_cached("INSERT INTO events (node, at, json) VALUES (?1, ?2, ?3)")?
        .execute(params![event.node.as_str(), super::integer(event.at.0), json])?;

    let (mut total, mut of_node) = (total + 1, of_node + 1);
    if of_node > limits.per_node {
        let surplus = of_node - left_after_pruning(limits.per_node);
        let gone = tx.execute(
            "DELETE FROM events WHERE sequence IN
                 (SELECT sequence FROM events WHERE node = ?1 ORDER BY sequence LIMIT ?2)",
            params![event.node.as_str(), super::integer(surplus as u64)],
        )?;
        of_node -= gone;
        total -= gone;
    }
    if counts.per_node.len() >= MAX_COUNTED_NODES {
        counts.per_node.clear();
    }
    counts.per_node.insert(event.node.clone(), of_node);
    if total > limits.total {
        let surplus = total - left_after_pruning(limits.total);
        total -= tx.execute(
            "DELETE FROM events WHERE sequence IN
                 (SELECT sequence FROM events ORDER BY sequence LIMIT ?1)",
            [super::integer(surplus as u64)],
        )?;
        // Whose they were is not known here: they are counted anew.
        counts.per_node.clear();
    }
    counts.total = Some(total);
    Ok(())
}

/// A `count(*)`, which is never negative.
fn count(rows: i64) -> usize {
    usize::try_from(rows).unwrap_or(0)
}
