//! Which fault hit which row how often, and which replacements count.
//!
//! A replacement counts if it reached its end, its node had acknowledged writes to keep, and at
//! least one fault hit it between its beginning and its end. What merely caused it does not count
//! as a fault.

use crate::people::{Act, Doing};
use holdfast_cloud_sim::{Class, Hit, SimCloud};
use holdfast_engine::tables::overtakes::Followed;
use holdfast_model::{Command, Kind, NodeId, Record, Row};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of every node's durable record.
pub(crate) type Durable = BTreeMap<NodeId, Arc<Record>>;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often a fault of a class hit a row.
    pub hits: BTreeMap<(Class, Row), u64>,
    /// How often people said or did something, and what the node was doing.
    pub acts: BTreeMap<(Act, Doing), u64>,
    /// How often a fault of the whole fleet met a node, and what it was doing.
    pub met: BTreeMap<(Class, Doing), u64>,
    /// How often each line of the table of what overtakes a replacement was followed.
    pub overtakes: BTreeMap<Followed, u64>,
    /// Replacements that count.
    pub counted: u64,
    /// Replacements that reached their end, counted or not.
    pub completed: u64,
    /// Replacements that were overtaken: by another loss, or by the user.
    pub overtaken: u64,
    /// Faults since each node's replacement began.
    faults: BTreeMap<NodeId, u64>,
}

impl Tally {
    /// Takes note of a fault; returns the rows that it hit, for people.
    pub(crate) fn hit(
        &mut self,
        hit: &Hit,
        call: Option<(&NodeId, &Command)>,
        durable: &Durable,
    ) -> String {
        let mut rows: Vec<Row> = Vec::new();
        // What a call itself met is its row's; what it set going too.
        let (only, command) = match call {
            Some((node, command)) => (Some(node), Some(command)),
            None => (hit.node.as_ref(), None),
        };
        for (node, record) in durable {
            if only.is_some_and(|only| only != node) {
                continue;
            }
            if only.is_none() {
                *self.met.entry((hit.class, Doing::of(Some(record)))).or_default() += 1;
            }
            let Some(replacement) = &record.work else { continue };
            *self.faults.entry(node.clone()).or_default() += 1;
            for (row, state) in &replacement.rows {
                let of_call = |c: &Command| state.calls.values().any(|call| &call.command == c);
                if state.done_at.is_none() && command.is_none_or(of_call) {
                    rows.push(*row);
                }
            }
        }
        for row in &rows {
            *self.hits.entry((hit.class, *row)).or_default() += 1;
        }
        rows.dedup();
        if rows.is_empty() {
            return "no row".to_owned();
        }
        rows.iter().map(|row| row.name()).collect::<Vec<_>>().join(", ")
    }

    /// A person said or did something.
    pub(crate) fn act(&mut self, act: Act, doing: Doing) {
        *self.acts.entry((act, doing)).or_default() += 1;
    }

    /// A record was committed: its replacement may have ended.
    pub(crate) fn committed(
        &mut self,
        node: &NodeId,
        before: Option<&Arc<Record>>,
        after: Option<&Arc<Record>>,
        cloud: &SimCloud,
    ) {
        let number = |r: &Arc<Record>| r.work.as_ref().map(|r| r.number);
        let was = before.and_then(number);
        if was == after.and_then(number) {
            return;
        }
        let faults = self.faults.remove(node).unwrap_or_default();
        let (Some(was), Some(after)) = (was, after) else { return };
        let Some(finished) = after.memory.history.iter().rev().find(|h| h.number == was) else {
            return;
        };
        if !finished.completed {
            self.overtaken += 1;
            return;
        }
        let replaces = matches!(
            finished.kind,
            Kind::Notice
                | Kind::Lost
                | Kind::Unhealthy
                | Kind::Recycle
                | Kind::Rollback
                | Kind::Resume
        );
        if replaces {
            self.completed += 1;
            self.counted += u64::from(faults > 0 && cloud.truth().has_kept(node));
        }
    }

    /// Adds what a fleet has counted.
    pub(crate) fn follow(&mut self, overtakes: &BTreeMap<Followed, u64>) {
        for (followed, times) in overtakes {
            *self.overtakes.entry(*followed).or_default() += times;
        }
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &Tally) {
        for (cell, hits) in &other.hits {
            *self.hits.entry(*cell).or_default() += hits;
        }
        for (cell, times) in &other.acts {
            *self.acts.entry(*cell).or_default() += times;
        }
        for (cell, times) in &other.met {
            *self.met.entry(*cell).or_default() += times;
        }
        self.follow(&other.overtakes);
        self.counted += other.counted;
        self.completed += other.completed;
        self.overtaken += other.overtaken;
    }
}
