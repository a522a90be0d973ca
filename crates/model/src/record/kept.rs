//! What is kept of the node's content besides the content itself, and what waits for its deletion.

use crate::{ImageId, SnapshotId, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is kept of a node, and what goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Final snapshots that are kept, oldest first.
    pub final_snapshots: Vec<FinalSnapshot>,
    /// What will be deleted.
    pub pending_deletion: Vec<PendingDeletion>,
    /// When the grace of what will be deleted was last counted down.
    pub grace_counted_at: Time,
}

/// A final snapshot (with the image registered from it, for a root).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalSnapshot {
    /// Which generation wrote what it holds.
    pub generation: u64,
    /// `root`, or the device name.
    pub of: String,
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// The image, for a root.
    pub image: Option<ImageId>,
    /// When it was begun.
    pub taken_at: Time,
    /// Size of the volume that it was taken of, in GiB, where it is known.
    pub size_gib: Option<u32>,
    /// Whether its generation had become ready: only those count for retention.
    pub ready: bool,
    /// Whether a person's word put another content in its place (a rollback, another image).
    pub set_aside: bool,
    /// The image that the root began with, for a root.
    pub origin: Option<ImageId>,
}

/// A return to an earlier content, as a person chose it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// The generation that wrote it.
    pub generation: u64,
    /// The root, if it returns.
    pub root: Option<RootPoint>,
    /// Snapshots by device name, of the data that returns.
    pub data: BTreeMap<String, SnapshotId>,
    /// Why, as a sentence.
    pub reason: String,
}

/// A root to return to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootPoint {
    /// Its snapshot.
    pub snapshot: SnapshotId,
    /// Its image, unless it has to be registered yet.
    pub image: Option<ImageId>,
    /// The image that the root began with.
    pub origin: Option<ImageId>,
    /// When the snapshot was begun.
    pub taken_at: Time,
}

/// Something that is no longer needed, and will be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingDeletion {
    /// Its id; the prefix says what it is.
    pub id: String,
    /// Why it may go.
    pub reason: String,
    /// When it may go.
    pub due: Due,
}

/// When something may be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Due {
    /// At once.
    Now,
    /// After its time of grace.
    After {
        /// How much of it is left, in milliseconds.
        grace_ms: u64,
    },
}

impl Due {
    /// After so many milliseconds; none: at once.
    #[must_use]
    pub fn after(grace_ms: u64) -> Due {
        if grace_ms == 0 { Due::Now } else { Due::After { grace_ms } }
    }

    /// How much of the grace is left in milliseconds, if any.
    #[must_use]
    pub fn grace_left(self) -> Option<u64> {
        match self {
            Due::Now => None,
            Due::After { grace_ms } => Some(grace_ms),
        }
    }

    /// What is left of it after so many milliseconds have passed.
    #[must_use]
    pub fn less(self, passed_ms: u64) -> Due {
        Due::after(self.grace_left().unwrap_or_default().saturating_sub(passed_ms))
    }
}

impl PendingDeletion {
    /// Whether it may be deleted now.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.due == Due::Now
    }
}
