//! What Holdfast has decided about one node and must not forget. Everything else is found again
//! by looking.
//!
//! The record's parts have owners: what the node is ([`identity`]), what its user wants
//! ([`lifecycle`]), what is under way ([`crate::replacement`], [`upkeep`]), what is kept and what
//! goes ([`kept`]), what it waits for ([`blocked`]) and what is remembered ([`memory`]).

pub mod blocked;
pub mod generations;
pub mod identity;
pub mod kept;
pub mod lifecycle;
pub mod memory;
pub mod upkeep;

pub use blocked::{Blocked, MAX_EVIDENCE, NeedsDecision, Quarantine, Question};
pub use generations::Generations;
pub use identity::{DataHead, DataVolume, HeldInterface, Identity, RootHead, UserAttached};
pub use kept::{Due, FinalSnapshot, Kept, PendingDeletion, Rollback, RootPoint};
pub use lifecycle::{Deletion, NodeLifecycle, Tombstone};
pub use memory::{MAX_HISTORY, MAX_SPOT_LIFETIMES, Memory, SpotLifetime};
pub use upkeep::{SnapshotSet, Upkeep};

use crate::replacement::{Replacement, Row, RowState};
use crate::{Document, InstanceId, Market, NodeId, Shared, Time};
use serde::{Deserialize, Serialize};

/// The newest schema of [`Record`]. Older ones are upcast by [`crate::versions`].
pub const SCHEMA: u32 = 2;

/// What the user wants of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// An instance should serve.
    Running,
    /// The identity is kept, without an instance.
    Paused,
    /// The node is given up.
    Deleted,
}

/// The instance that holds the identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServingInstance {
    /// Its id.
    pub id: InstanceId,
    /// Its market.
    pub market: Market,
    /// Why that one was chosen, as a sentence; empty where nobody noted it.
    pub why: String,
    /// Since when.
    pub launched_at: Time,
    /// Since when its health check fails, if it does.
    pub impaired_since: Option<Time>,
}

/// The record. Written by the controller alone, by compare-and-swap on `revision`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// Which node.
    pub id: NodeId,
    /// Counts the writes of this record, from 1; none before its first commit.
    pub revision: Option<u64>,
    /// The spec as received and merged; echoed exactly.
    pub document: Document,
    /// Counts the changes of `document`, from 1.
    pub spec_revision: u64,
    /// When the node was made.
    pub created_at: Time,
    /// When `document` last changed.
    pub updated_at: Time,
    /// What the user wants.
    pub lifecycle: NodeLifecycle,
    /// Its generations.
    pub generations: Generations,
    /// The instance that holds the identity now.
    pub instance: Option<ServingInstance>,
    /// What stays the same from instance to instance.
    pub identity: Identity,
    /// The replacement in flight.
    pub work: Option<Replacement>,
    /// Snapshots while it runs.
    pub upkeep: Shared<Upkeep>,
    /// What is kept, and what goes.
    pub kept: Kept,
    /// Why it cannot go on, if it cannot.
    pub blocked: Blocked,
    /// What has been.
    pub memory: Memory,
}

impl Record {
    /// A new node's record, as it is before its first commit.
    #[must_use]
    pub fn new(id: NodeId, document: impl Into<Document>, now: Time) -> Record {
        Record {
            schema: SCHEMA,
            id,
            revision: None,
            document: document.into(),
            spec_revision: 1,
            created_at: now,
            updated_at: now,
            lifecycle: NodeLifecycle::Running { recycle: false },
            generations: Generations::default(),
            instance: None,
            identity: Identity::default(),
            work: None,
            upkeep: Shared::default(),
            kept: Kept {
                final_snapshots: Vec::new(),
                pending_deletion: Vec::new(),
                grace_counted_at: now,
            },
            blocked: Blocked::default(),
            memory: Memory::default(),
        }
    }

    /// Every row with its calls: those of the replacement in flight, and the upkeep's.
    pub fn rows(&self) -> impl Iterator<Item = (Row, &RowState)> {
        let rows = self.work.iter().flat_map(|r| r.rows.iter().map(|(row, s)| (*row, s)));
        rows.chain(std::iter::once((Row::Upkeep, &self.upkeep.row)))
    }

    /// One of these rows, if it is there.
    #[must_use]
    pub fn row(&self, row: Row) -> Option<&RowState> {
        match row {
            Row::Upkeep => Some(&self.upkeep.row),
            _ => self.work.as_ref().and_then(|r| r.rows.get(&row)),
        }
    }

    /// The node's state, in the words of Spot's API.
    #[must_use]
    pub fn status(&self) -> &'static str {
        use crate::Kind;
        if self.lifecycle.is_deleted() {
            return "DEALLOCATED";
        }
        if self.blocked.decision().is_some() || self.blocked.quarantine().is_some() {
            return "ERROR";
        }
        let Some(replacement) = &self.work else {
            return match (self.lifecycle.goal(), self.instance.is_some()) {
                (Goal::Running, true)
                    if self.lifecycle.wants_recycle() || self.identity.rollback.is_some() =>
                {
                    "RECYCLE"
                }
                // The next attempt is about to begin, and nothing serves meanwhile.
                (Goal::Running, true)
                    if self.memory.history.last().is_some_and(|h| h.lost_again) =>
                {
                    "RECYCLING"
                }
                (Goal::Running, true) => "ACTIVE",
                (Goal::Running, false) => "RESUME",
                (Goal::Paused, true) => "PAUSE",
                (Goal::Paused, false) => "PAUSED",
                (Goal::Deleted, _) => "DEALLOCATE",
            };
        };
        match replacement.kind {
            Kind::Create | Kind::Resume => "RESUMING",
            Kind::Pause => "PAUSING",
            Kind::Delete => "DEALLOCATING",
            Kind::Tidy if self.instance.is_none() => "PAUSED",
            Kind::Tidy => "ACTIVE",
            Kind::Notice | Kind::Lost | Kind::Unhealthy | Kind::Recycle | Kind::Rollback => {
                "RECYCLING"
            }
            // Until a market has been found that has capacity, the node serves as before.
            Kind::Revert if !replacement.is_done(Row::Probe) => "ACTIVE",
            Kind::Revert => "RECYCLING",
        }
    }
}
