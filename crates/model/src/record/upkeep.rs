//! What is done beside replacements: snapshots from time to time while the node runs.

use crate::replacement::RowState;
use crate::{ImageId, SnapshotId, Time, Token, VolumeId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Snapshots of several volumes, begun at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotSet {
    /// Which generation wrote what they hold.
    pub generation: u64,
    /// When they were asked for; once they are complete: when they were begun.
    pub begun_at: Time,
    /// The image that the root began with.
    pub origin: Option<ImageId>,
    /// The volumes: `root`, or the device name.
    pub volumes: BTreeMap<String, VolumeId>,
    /// The snapshots, once all are complete.
    pub snapshots: BTreeMap<String, SnapshotId>,
}

/// What is done beside replacements: snapshots from time to time while the node runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Upkeep {
    /// Its calls.
    pub row: RowState,
    /// What is being taken.
    pub pending: Option<SnapshotSet>,
    /// What is kept, oldest first.
    pub sets: Vec<SnapshotSet>,
    /// Snapshots that are to be deleted.
    pub expired: Vec<String>,
    /// When the newest was begun, whatever came of it.
    pub last_at: Time,
    /// How much time is between two of them at the moment, in milliseconds.
    pub interval_ms: u64,
    /// Whether the last one came to nothing, and people were told.
    pub failing: bool,
    /// Tokens of the newest calls that were given up before all that they make was seen: what shows
    /// up later is deleted.
    pub unseen: Vec<Token>,
}

impl Upkeep {
    /// How many volumes have their snapshots taken together.
    #[must_use]
    pub fn volumes(&self) -> u64 {
        let newest = self.pending.as_ref().or(self.sets.last());
        newest.map_or(0, |set| set.volumes.len() as u64)
    }
}
