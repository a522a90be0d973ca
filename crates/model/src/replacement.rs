//! A replacement in flight, as the record keeps it: which rows of the table have started, with
//! which whole requests, and which are done.

use crate::command::{CloudError, Command};
use crate::{Document, Market, Record, Shared, Time, Token};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The rows of the table, in the order in which people read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Row {
    /// Ask whether a market has capacity, before anything is given up for it.
    Probe,
    /// Launch the next instance while the old one serves.
    Standby,
    /// Let the workload finish what it is doing.
    Drain,
    /// Terminate the instance.
    Stop,
    /// Wait until the old generation can write no more.
    Fence,
    /// Choose a market.
    Place,
    /// Save what the market needs.
    Capture,
    /// Launch the next instance.
    Launch,
    /// Give it its volumes.
    Attach,
    /// Open the gate and check health.
    Ready,
    /// Delete what is superseded.
    Retire,
    /// No row of the table: what is done beside replacements, while the node runs.
    Upkeep,
}

impl Row {
    /// Every row.
    pub const ALL: [Row; 11] = [
        Row::Probe,
        Row::Standby,
        Row::Drain,
        Row::Stop,
        Row::Fence,
        Row::Place,
        Row::Capture,
        Row::Launch,
        Row::Attach,
        Row::Ready,
        Row::Retire,
    ];

    /// The row's name in the table, in tokens and on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Row::Probe => "probe",
            Row::Standby => "standby",
            Row::Drain => "drain",
            Row::Stop => "stop",
            Row::Fence => "fence",
            Row::Place => "place",
            Row::Capture => "capture",
            Row::Launch => "launch",
            Row::Attach => "attach",
            Row::Ready => "ready",
            Row::Retire => "retire",
            Row::Upkeep => "upkeep",
        }
    }
}

/// Why an instance is replaced, or given up, or first made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The first instance of a new node.
    Create,
    /// The cloud gave notice.
    Notice,
    /// The instance is gone, without notice.
    Lost,
    /// The health check fails.
    Unhealthy,
    /// The user asked for another instance.
    Recycle,
    /// From on-demand back to spot, as the spec allows.
    Revert,
    /// The user asked for an earlier content.
    Rollback,
    /// The user asked for none.
    Pause,
    /// The user asked for one again.
    Resume,
    /// The user gave up the node.
    Delete,
    /// What could not be deleted at once is deleted; the node serves on.
    Tidy,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 11] = [
        Kind::Create,
        Kind::Notice,
        Kind::Lost,
        Kind::Unhealthy,
        Kind::Recycle,
        Kind::Revert,
        Kind::Rollback,
        Kind::Pause,
        Kind::Resume,
        Kind::Delete,
        Kind::Tidy,
    ];

    /// The kind's name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Create => "create",
            Kind::Notice => "notice",
            Kind::Lost => "lost",
            Kind::Unhealthy => "unhealthy",
            Kind::Recycle => "recycle",
            Kind::Revert => "revert",
            Kind::Rollback => "rollback",
            Kind::Pause => "pause",
            Kind::Resume => "resume",
            Kind::Delete => "delete",
            Kind::Tidy => "tidy",
        }
    }
}

/// How far one call is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum CallState {
    /// Committed, so it may have left. Until a definite answer it is repeated byte for byte.
    Started,
    /// Done; the id of what it made, if it made something.
    Done {
        /// The new resource's id.
        id: Option<String>,
    },
    /// Definitely refused: nothing was done.
    Refused {
        /// How.
        error: CloudError,
        /// When.
        at: Time,
    },
}

/// One call of a row: the whole request, so that it can be repeated by another process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The request.
    pub command: Command,
    /// Its token; also where the cloud takes none (then it stands in a tag).
    pub token: Token,
    /// Counts definite refusals of the same call, from 1.
    pub attempt: u32,
    /// When it was committed.
    pub at: Time,
    /// How far it is. Not flattened: its members have names of their own.
    pub state: CallState,
    /// When its success was taken in. What it has set may have been changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Time>,
}

/// How far one row is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RowState {
    /// When its guard first held.
    pub started_at: Option<Time>,
    /// When facts showed that it is done.
    pub done_at: Option<Time>,
    /// Its calls by their name within the row.
    pub calls: BTreeMap<String, Shared<Call>>,
}

impl RowState {
    /// The calls that leave, and are repeated until there is a definite answer. A row that is done
    /// wants nothing more; but what makes something must be answered, whoever still waits for it.
    pub fn open_calls(&self) -> impl Iterator<Item = (&String, &Call)> {
        let all = self.calls.iter().map(|(name, call)| (name, &**call));
        all.filter(|(_, call)| {
            call.state == CallState::Started
                && (self.done_at.is_none() || call.command.makes().is_some())
        })
    }
}

/// One replacement in flight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replacement {
    /// Counts the node's replacements, from 1.
    pub number: u64,
    /// Why.
    pub kind: Kind,
    /// Why, as a sentence.
    pub reason: String,
    /// When it began.
    pub started_at: Time,
    /// By when the cloud takes the instance, if it said so.
    pub deadline: Option<Time>,
    /// The generation that is replaced, if there was one.
    pub from_generation: Option<u64>,
    /// The spec that it follows to its end, whatever the user changes meanwhile.
    pub document: Document,
    /// That spec's revision.
    pub spec_revision: u64,
    /// The chosen market.
    pub market: Option<Market>,
    /// Why that one was chosen, as a sentence; empty where there is none, or nobody noted it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub market_why: String,
    /// Rows that have begun.
    pub rows: BTreeMap<Row, RowState>,
    /// Since when no market has been found, if none has.
    pub without_market_since: Option<Time>,
    /// How many launches markets have refused: each market's launch is a call of its own.
    #[serde(default)]
    pub markets_refused: u32,
}

impl Replacement {
    /// One that begins now, of the record's node, and has done nothing yet. It has the record's
    /// newest number, and follows the record's spec.
    #[must_use]
    pub fn begin(record: &Record, kind: Kind, reason: String, now: Time) -> Replacement {
        Replacement {
            number: record.memory.replacements,
            kind,
            reason,
            started_at: now,
            deadline: None,
            from_generation: record.generations.current(),
            document: record.document.clone(),
            spec_revision: record.spec_revision,
            market: None,
            market_why: String::new(),
            rows: BTreeMap::new(),
            without_market_since: None,
            markets_refused: 0,
        }
    }

    /// Whether the row is done.
    #[must_use]
    pub fn is_done(&self, row: Row) -> bool {
        self.rows.get(&row).is_some_and(|state| state.done_at.is_some())
    }

    /// Whether the row has made any call.
    #[must_use]
    pub fn has_called(&self, row: Row) -> bool {
        self.rows.get(&row).is_some_and(|state| !state.calls.is_empty())
    }
}

/// What is kept of a finished replacement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// Its number.
    pub number: u64,
    /// Why it was made.
    pub kind: Kind,
    /// Why, as a sentence.
    pub reason: String,
    /// When it began.
    pub started_at: Time,
    /// When its last row was done, or when it was given up.
    pub finished_at: Time,
    /// The generation before, if there was one.
    pub from_generation: Option<u64>,
    /// The generation after, if there was one.
    pub to_generation: Option<u64>,
    /// Where the node went.
    pub market: Option<Market>,
    /// Each row: when it started, and when it was done.
    pub rows: Vec<(Row, Time, Option<Time>)>,
    /// Whether it reached its end; otherwise another followed at once.
    pub completed: bool,
    /// Whether it came to nothing because the new instance was lost before it was ready.
    #[serde(default)]
    pub lost_again: bool,
}
