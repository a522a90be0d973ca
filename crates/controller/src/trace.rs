//! Spans around what is done for a node, for whoever follows one through the log. They carry which
//! node, which generation and which row, and nothing of a request: user data stays out of logs.

use holdfast_model::{NodeId, Record, Row};
use tracing::Span;

/// A runner plans with what has come in.
pub(crate) fn plan(node: &NodeId, record: Option<&Record>) -> Span {
    let row = record.and_then(row_of).map(Row::name);
    tracing::debug_span!("plan", %node, generation = record.map(|r| r.generations.number()), row)
}

/// A call, from when it leaves until its answer has come.
pub(crate) fn call(node: &NodeId, record: Option<&Record>, row: Row, action: &str) -> Span {
    let generation = record.map(|r| r.generations.number());
    tracing::debug_span!("call", %node, generation, row = row.name(), action)
}

/// A commit of a record; `None`: it is removed.
pub(crate) fn commit(node: &NodeId, record: Option<&Record>) -> Span {
    let row = record.and_then(row_of).map(Row::name);
    tracing::debug_span!("commit", %node, generation = record.map(|r| r.generations.number()), row)
}

/// Where a replacement is: of the rows that have begun and are not done, the last.
fn row_of(record: &Record) -> Option<Row> {
    let replacement = record.work.as_ref()?;
    let begun = |row: &Row| replacement.rows.get(row).is_some_and(|s| s.started_at.is_some());
    Row::ALL.into_iter().rev().find(|row| begun(row) && !replacement.is_done(*row))
}
