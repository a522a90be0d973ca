//! What was decided about a node: a view of what is stored, for people and their programs. It has what
//! they use; whole requests, tokens and what only the next decision needs are not in it.
//!
//! Instants are milliseconds since 1970.

use crate::{Choice, Deallocation, ManagedInstance, Market};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What was decided about a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NodeRecord {
    /// Which node.
    pub id: String,
    /// The spec as received and merged.
    pub document: ManagedInstance,
    /// Counts the changes of `document`, from 1.
    pub spec_revision: u64,
    /// When the node was made.
    pub created_at: u64,
    /// When `document` last changed.
    pub updated_at: u64,
    /// What the user wants.
    pub goal: Goal,
    /// Whether the user wants another instance, and none has been begun since.
    pub recycle_wanted: bool,
    /// Where the user wants the node to return to, until that has been put in its place.
    pub rollback: Option<Rollback>,
    /// The generation that holds the identity, or held it last. 0: none yet.
    pub generation: u64,
    /// The newest generation that became ready, where it is known.
    pub ready_generation: Option<u64>,
    /// The instance that holds the identity now.
    pub holder: Option<Holder>,
    /// Where the root is.
    pub root: RootHead,
    /// Where the data is.
    pub data: Vec<DataVolume>,
    /// The node's first interface, if it is kept.
    pub interface: Option<HeldInterface>,
    /// Further interfaces, which are always kept, by device index.
    pub secondary: Vec<HeldInterface>,
    /// The Elastic IP that leads to the node, once it does.
    pub elastic_ip: Option<String>,
    /// The replacement in flight.
    pub replacement: Option<Replacement>,
    /// Finished ones, oldest first.
    pub history: Vec<Finished>,
    /// Counts replacements.
    pub replacements: u64,
    /// Final snapshots that are kept, oldest first.
    pub finals: Vec<FinalSnapshot>,
    /// Snapshots while it runs.
    pub upkeep: Upkeep,
    /// What will be deleted.
    pub superseded: Vec<Superseded>,
    /// Markets that refused, and until when they are not asked again. Keyed by the market's text.
    pub cooled: BTreeMap<String, u64>,
    /// Until when no way back to spot is looked for again.
    pub revert_after: Option<u64>,
    /// Why it cannot go on, if it cannot.
    pub stuck: Option<NeedsDecision>,
    /// What the user wanted deleted, once the node is given up.
    pub deallocation: Option<Deallocation>,
    /// Whether the deallocation has been carried out: what is left waits for its time of grace.
    pub deallocated: bool,
    /// Whether the deallocation left a living instance, with all that it holds, to the user.
    pub let_go: bool,
    /// Why nothing is done with the node until it is adopted, if so.
    pub quarantine: Option<Quarantine>,
}

/// What the user wants of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Holder {
    /// Its id.
    pub id: String,
    /// Its market.
    pub market: Market,
    /// Why that one was chosen, as a sentence; empty where nobody noted it.
    pub why: String,
    /// Since when.
    pub launched_at: u64,
    /// Since when its health check fails, if it does.
    pub impaired_since: Option<u64>,
}

/// Where the root's newest acknowledged content is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "at", rename_all = "kebab-case")]
pub enum RootHead {
    /// Nowhere yet: the next instance boots from the spec's image.
    Fresh,
    /// In an image that was registered from a final snapshot.
    Captured {
        /// The final snapshot.
        snapshot: String,
        /// The image.
        image: String,
        /// Device name of the root volume.
        root_device: String,
    },
    /// In the root volume of a launch that has left.
    Live {
        /// The volume, once it is known.
        volume: Option<String>,
        /// Of which generation.
        generation: u64,
        /// Device name, once it is known.
        root_device: Option<String>,
        /// Whether it outlives its instance.
        kept: bool,
    },
}

/// Where a data volume's newest acknowledged content is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "at", rename_all = "kebab-case")]
pub enum DataHead {
    /// Nowhere yet: it will be made as the spec says.
    Fresh,
    /// In a volume.
    Volume {
        /// The volume.
        id: String,
        /// Its zone.
        zone: String,
    },
}

/// One data volume of the node's identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DataVolume {
    /// Device name, such as `/dev/xvdb`.
    pub device: String,
    /// Where its newest content is.
    pub head: DataHead,
    /// Its filesystem's UUID, once known.
    pub fs_uuid: Option<String>,
    /// If its user attached it while the node ran: what the spec does not say of it.
    pub joined: Option<Joined>,
    /// The snapshot that the next launch makes it from, because a person chose so.
    pub restore: Option<String>,
}

/// What is known of a volume that a user attached while the node ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Joined {
    /// Its size in GiB.
    pub size_gib: u32,
    /// Where it is mounted in the node.
    pub mount: String,
    /// When it joined; 0 where nobody noted it.
    pub since: u64,
}

/// A kept interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeldInterface {
    /// Its id.
    pub id: String,
    /// Its subnet.
    pub subnet: String,
    /// Its zone: it pins the node there.
    pub zone: String,
    /// Its private IPv4 address.
    pub private_ip: String,
    /// Its MAC address.
    pub mac: String,
    /// Its device index at the instance; 0 is the primary one.
    pub device_index: u32,
}

/// How far one row of a replacement is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RowState {
    /// When its guard first held.
    pub started_at: Option<u64>,
    /// When facts showed that it is done.
    pub done_at: Option<u64>,
}

/// A replacement in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Replacement {
    /// Counts the node's replacements, from 1.
    pub number: u64,
    /// Why, in a word: `create`, `notice`, `lost`, `unhealthy`, `recycle`, `revert`, `rollback`,
    /// `pause`, `resume`, `delete` or `tidy`.
    pub kind: String,
    /// Why, as a sentence.
    pub reason: String,
    /// When it began.
    pub started_at: u64,
    /// By when the cloud takes the instance, if it said so.
    pub deadline: Option<u64>,
    /// The generation that is replaced; 0 if there was none.
    pub from_generation: u64,
    /// The revision of the spec that it follows to its end.
    pub spec_revision: u64,
    /// The chosen market.
    pub market: Option<Market>,
    /// Why that one was chosen, as a sentence; empty where there is none, or nobody noted it.
    pub market_why: String,
    /// Rows that have begun, by name.
    pub rows: BTreeMap<String, RowState>,
    /// Since when no market has been found, if none has.
    pub without_market_since: Option<u64>,
    /// How many launches markets have refused.
    pub markets_refused: u32,
}

/// A finished replacement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finished {
    /// Its number.
    pub number: u64,
    /// Why it was made, in a word.
    pub kind: String,
    /// Why, as a sentence.
    pub reason: String,
    /// When it began.
    pub started_at: u64,
    /// When its last row was done, or when it was given up.
    pub finished_at: u64,
    /// The generation before.
    pub from_generation: u64,
    /// The generation after.
    pub to_generation: u64,
    /// Where the node went.
    pub market: Option<Market>,
    /// Each row: its name, when it started, and when it was done.
    pub rows: Vec<(String, u64, Option<u64>)>,
    /// Whether it reached its end; otherwise another followed at once.
    pub completed: bool,
    /// Whether it came to nothing because the new instance was lost before it was ready.
    pub lost_again: bool,
}

/// A return to an earlier content, as a person chose it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rollback {
    /// The generation that wrote it.
    pub generation: u64,
    /// The snapshot of the root, if it returns.
    pub root: Option<String>,
    /// Snapshots by device name, of the data that returns.
    pub data: BTreeMap<String, String>,
    /// Why, as a sentence.
    pub reason: String,
}

/// A final snapshot, with the image registered from it for a root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FinalSnapshot {
    /// Which generation wrote what it holds.
    pub generation: u64,
    /// `root`, or the device name.
    pub of: String,
    /// The snapshot.
    pub snapshot: String,
    /// The image, for a root.
    pub image: Option<String>,
    /// When it was begun; 0 where nobody noted it.
    pub taken_at: u64,
    /// Size of the volume that it was taken of, in GiB, where it is known.
    pub size_gib: Option<u32>,
    /// Whether its generation had become ready.
    pub ready: bool,
    /// Whether a person put another content in its place.
    pub set_aside: bool,
}

/// Snapshots of several volumes, begun at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SnapshotSet {
    /// Which generation wrote what they hold.
    pub generation: u64,
    /// When they were asked for; once they are complete: when they were begun.
    pub begun_at: u64,
    /// The volumes: by `root`, or the device name.
    pub volumes: BTreeMap<String, String>,
    /// The snapshots, once all are complete.
    pub snapshots: BTreeMap<String, String>,
}

/// Snapshots while a node runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Upkeep {
    /// What is being taken.
    pub pending: Option<SnapshotSet>,
    /// What is kept, oldest first.
    pub sets: Vec<SnapshotSet>,
    /// When the newest was begun, whatever came of it.
    pub last_at: u64,
    /// How much time is between two of them at the moment, in milliseconds; 0: none are taken.
    pub interval_ms: u64,
    /// Whether the last one came to nothing.
    pub failing: bool,
}

/// Something that is no longer needed, and will be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Superseded {
    /// Its id; the prefix says what it is.
    pub id: String,
    /// Why it may go.
    pub reason: String,
    /// How much of its time of grace is left, in milliseconds; zero: at once.
    pub grace_ms: u64,
}

/// A node that cannot go on without a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NeedsDecision {
    /// Which row is stuck, by name.
    pub row: String,
    /// Since when.
    pub since: u64,
    /// What is known, as a sentence.
    pub why: String,
    /// What can be chosen.
    pub choices: Vec<Choice>,
    /// What `restore` puts in the place of what is lost: snapshots by `root` or device.
    pub restore: BTreeMap<String, String>,
}

/// The cloud holds what a controller that knew more has made for the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Quarantine {
    /// Since when.
    pub since: u64,
    /// What was seen, as a sentence.
    pub why: String,
    /// Ids of what was seen first.
    pub ids: Vec<String>,
}
