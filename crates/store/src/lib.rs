//! Where records and events live: SQLite embedded ([`sqlite`]), and a memory store ([`memory`])
//! held to the same [`conformance`] suite.
//!
//! **Invariant:** a record and its events are written in one transaction, by compare-and-swap on
//! the record's revision; only the controller writes.

pub mod conformance;
pub mod memory;
pub mod sqlite;
pub mod writer;

use holdfast_model::{Event, NodeId, Time};

/// One record as it is stored: JSON, so that an unknown schema stops its node and not the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Which node.
    pub node: NodeId,
    /// Its revision.
    pub revision: u64,
    /// The record as JSON.
    pub json: String,
    /// What is wrong with the row, if its checksum says so: then the JSON is not to be believed.
    pub fault: Option<String>,
}

/// One compare-and-swap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Which node.
    pub node: NodeId,
    /// The revision that must be stored now; 0: the record must not exist.
    pub expected: u64,
    /// The new record (its revision is `expected + 1`); `None` removes it.
    pub record: Option<String>,
    /// Events that go with it.
    pub events: Vec<Event>,
}

/// How one write of a group ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It is durable.
    Done,
    /// Another revision is stored: nothing of this write was done.
    Conflict {
        /// The stored revision; 0: none.
        found: u64,
    },
}

/// Which events to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFilter {
    /// Only of this node.
    pub node: Option<NodeId>,
    /// From this instant on.
    pub from: Time,
    /// To this instant, inclusive.
    pub to: Time,
    /// Only with a sequence number greater than this.
    pub after: u64,
    /// The newest so many; at most [`MAX_EVENTS_READ`].
    pub limit: usize,
}

impl EventFilter {
    /// Whether an event is wanted (the limit aside).
    #[must_use]
    pub fn holds(&self, stored: &StoredEvent) -> bool {
        let event = &stored.event;
        stored.sequence > self.after
            && (self.from..=self.to).contains(&event.at)
            && self.node.as_ref().is_none_or(|node| node == &event.node)
    }
}

/// An event with its sequence number, which grows with each event of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its number, from 1.
    pub sequence: u64,
    /// The event.
    pub event: Event,
}

/// The most events one read returns (the limit of Spot's log).
pub const MAX_EVENTS_READ: usize = 1_000;
/// The most events kept for one node; the oldest go first.
pub const MAX_EVENTS_KEPT: usize = 10_000;
/// The most events kept in all, those of removed nodes included; the oldest go first.
pub const MAX_EVENTS_STORED: usize = 1_000_000;
/// The most writes of one group commit.
pub const MAX_GROUP: usize = 1_000;

/// How many events a store keeps. Where one more would be too many, a tenth goes at once, so that
/// pruning costs little per event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventLimits {
    /// The most of one node.
    pub per_node: usize,
    /// The most in all.
    pub total: usize,
}

impl Default for EventLimits {
    fn default() -> Self {
        Self { per_node: MAX_EVENTS_KEPT, total: MAX_EVENTS_STORED }
    }
}

/// How many events are left where there were more than `limit`.
pub(crate) fn left_after_pruning(limit: usize) -> usize {
    limit - limit / 10
}

/// Refuses a group that is larger than [`MAX_GROUP`].
pub(crate) fn check_group(path: &str, group: &[Write]) -> Result<(), StoreError> {
    if group.len() <= MAX_GROUP {
        return Ok(());
    }
    let why = format!("{} writes in one group; at most {MAX_GROUP}", group.len());
    Err(StoreError::Failed { path: path.to_owned(), why })
}

/// Why the store cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another server has it.
    #[error(
        "the data directory {dir} is used by another holdfast server; stop that one, or give this one another --data-dir"
    )]
    InUse {
        /// The directory.
        dir: String,
    },
    /// Others could write to it.
    #[error(
        "the data directory {dir} {why}, and whoever writes there can become this server's user. Look \
         that what is in it is yours, then chown it to the server's user and chmod 700 it; or give \
         another --data-dir"
    )]
    Exposed {
        /// The directory.
        dir: String,
        /// What is wrong with it, as the rest of a sentence.
        why: String,
    },
    /// Written by a newer version.
    #[error(
        "the store {path} has version {found}, this holdfast knows up to {known}; run the newer holdfast, or give another --data-dir"
    )]
    Newer {
        /// The file.
        path: String,
        /// Its version.
        found: i64,
        /// The newest known.
        known: i64,
    },
    /// The disk is full. Nothing was lost.
    #[error("the disk that holds {path} is full; make room, nothing that was committed is lost")]
    Full {
        /// The file.
        path: String,
    },
    /// Anything else.
    #[error("the store {path} failed: {why}")]
    Failed {
        /// The file.
        path: String,
        /// What SQLite or the system said.
        why: String,
    },
}

/// A store. Blocking: callers that must not block use [`writer::Writer`].
pub trait Store: Send + Sync + 'static {
    /// Every record, in the order of ids.
    ///
    /// # Errors
    /// If it cannot be read.
    fn load(&self) -> Result<Vec<StoredRecord>, StoreError>;

    /// Writes a group in one durable transaction. Each write succeeds or conflicts by itself.
    ///
    /// # Errors
    /// If nothing at all was written.
    fn commit(&self, group: &[Write]) -> Result<Vec<Written>, StoreError>;

    /// Events, oldest first.
    ///
    /// # Errors
    /// If they cannot be read.
    fn events(&self, filter: &EventFilter) -> Result<Vec<StoredEvent>, StoreError>;

    /// A named value of the installation (its id, the token's hash, …).
    ///
    /// # Errors
    /// If it cannot be read.
    fn setting(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// Sets a named value.
    ///
    /// # Errors
    /// If it cannot be written.
    fn set_setting(&self, name: &str, value: &str) -> Result<(), StoreError>;
}
