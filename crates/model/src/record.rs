//! What Holdfast has decided about one node and must not forget. Everything else is found again
//! by looking.

use crate::replacement::{Finished, Replacement, Row, RowState};
use crate::user::{Choice, Deallocation};
use crate::{
    AllocationId, Document, ImageId, InstanceId, InterfaceId, Market, NodeId, Shared, SnapshotId,
    SubnetId, Time, Token, VolumeId, Zone,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The newest schema of [`Record`]. Older ones are upcast by [`crate::versions`].
pub const SCHEMA: u32 = 1;
/// How many finished replacements a record keeps.
pub const MAX_HISTORY: usize = 50;

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
pub struct Holder {
    /// Its id.
    pub id: InstanceId,
    /// Its market.
    pub market: Market,
    /// Why that one was chosen, as a sentence; empty where nobody noted it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Since when.
    pub launched_at: Time,
    /// Since when its health check fails, if it does.
    pub impaired_since: Option<Time>,
}

/// Where the root's newest acknowledged content is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "kebab-case")]
pub enum RootHead {
    /// Nowhere yet: the next instance boots from the spec's image.
    Fresh,
    /// In an image that was registered from a final snapshot.
    Captured {
        /// The final snapshot.
        snapshot: SnapshotId,
        /// The image.
        image: ImageId,
        /// Device name of the root volume.
        root_device: String,
    },
    /// In the root volume of a launch that has left. There is no way back from here but through
    /// fence and capture, unless that launch never had a volume.
    Live {
        /// The volume, once it is known.
        volume: Option<VolumeId>,
        /// Of which generation.
        generation: u64,
        /// Device name, once it is known.
        root_device: Option<String>,
        /// Whether it outlives its instance: so it was launched.
        #[serde(default)]
        kept: bool,
        /// What the launch was made from.
        from: Option<(SnapshotId, ImageId, String)>,
        /// The image that this root began with, however many generations ago: its properties are
        /// the root's.
        #[serde(default)]
        origin: Option<ImageId>,
    },
}

impl RootHead {
    /// Where the head was before the launch that it is in; any other stays where it is.
    #[must_use]
    pub fn before_launch(&self) -> RootHead {
        match self {
            RootHead::Live { from: Some((snapshot, image, root_device)), .. } => {
                let (snapshot, image) = (snapshot.clone(), image.clone());
                RootHead::Captured { snapshot, image, root_device: root_device.clone() }
            }
            RootHead::Live { from: None, .. } => RootHead::Fresh,
            RootHead::Captured { .. } | RootHead::Fresh => self.clone(),
        }
    }
}

/// Where a data volume's newest acknowledged content is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "kebab-case")]
pub enum DataHead {
    /// Nowhere yet: it will be made as the spec says.
    Fresh,
    /// In a volume.
    Volume {
        /// The volume.
        id: VolumeId,
        /// Its zone.
        zone: Zone,
    },
}

/// One data volume of the node's identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataVolume {
    /// Device name, such as `/dev/xvdb`: its identity within the node.
    pub device: String,
    /// Where its newest content is.
    pub head: DataHead,
    /// Its filesystem's UUID, once known. It is the same for ever.
    pub fs_uuid: Option<String>,
    /// If its user attached it while the node ran: what the spec does not say of it.
    #[serde(default)]
    pub joined: Option<Joined>,
    /// The next launch makes it from this snapshot, whatever its head holds: a person chose so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<SnapshotId>,
}

/// What is known of a volume that a user attached while the node ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// Its size in GiB.
    pub size_gib: u32,
    /// Where it is mounted in the node.
    pub mount: String,
    /// When it joined: what was saved under its device name before is not of it. Older versions did
    /// not note it.
    #[serde(default)]
    pub since: Time,
}

/// A persisted interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldInterface {
    /// Its id.
    pub id: InterfaceId,
    /// Its subnet.
    pub subnet: SubnetId,
    /// Its zone: it pins the node there.
    pub zone: Zone,
    /// Its private IPv4 address.
    pub private_ip: String,
    /// Its MAC address.
    pub mac: String,
    /// Its device index at the instance; 0 is the primary one.
    #[serde(default)]
    pub device_index: u32,
}

/// A final snapshot (with the image registered from it, for a root).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Final {
    /// Which generation wrote what it holds.
    pub generation: u64,
    /// `root`, or the device name.
    pub of: String,
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// The image, for a root.
    pub image: Option<ImageId>,
    /// When it was begun.
    #[serde(default)]
    pub taken_at: Time,
    /// Size of the volume that it was taken of, in GiB, where it is known.
    #[serde(default)]
    pub size_gib: Option<u32>,
    /// Whether its generation had become ready: only those count for retention.
    #[serde(default = "yes")]
    pub ready: bool,
    /// Whether a person's word put another content in its place (a rollback, another image).
    #[serde(default)]
    pub set_aside: bool,
    /// The image that the root began with, for a root.
    #[serde(default)]
    pub origin: Option<ImageId>,
}

fn yes() -> bool {
    true
}

fn is_zero(number: &u64) -> bool {
    *number == 0
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
#[serde(default)]
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<Token>,
}

impl Upkeep {
    fn is_empty(&self) -> bool {
        *self == Upkeep::default()
    }

    /// How many volumes have their snapshots taken together.
    #[must_use]
    pub fn volumes(&self) -> u64 {
        let newest = self.pending.as_ref().or(self.sets.last());
        newest.map_or(0, |set| set.volumes.len() as u64)
    }
}

/// Something that is no longer needed, and will be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Superseded {
    /// Its id; the prefix says what it is.
    pub id: String,
    /// Why it may go.
    pub reason: String,
    /// How much of its time of grace is left, in milliseconds; zero: at once.
    pub grace_ms: u64,
}

/// A node that cannot go on without a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NeedsDecision {
    /// Which row is stuck.
    pub row: Row,
    /// Since when.
    pub since: Time,
    /// What is known, as a sentence.
    pub why: String,
    /// What can be chosen.
    pub choices: Vec<Choice>,
    /// What [`Choice::Restore`] puts in the place of what is lost: snapshots by `root` or device.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub restore: BTreeMap<String, SnapshotId>,
}

/// The cloud holds what a controller that knew more than this record has made for the node: a
/// store was restored or copied. Nothing is done with the node until a person has it adopted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Since when.
    pub since: Time,
    /// What was seen, as a sentence.
    pub why: String,
    /// Ids of what was seen first; at most [`MAX_EVIDENCE`].
    pub ids: Vec<String>,
}

/// How long one instance served on a spot market. From these the choice of markets learns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// The market.
    pub market: Market,
    /// When it ended.
    pub ended_at: Time,
    /// How long it lasted, in milliseconds.
    pub lived_ms: u64,
    /// Whether the cloud took it; otherwise it was given up.
    pub lost: bool,
}

/// What a node was when it was given up: what of it is kept can be brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// Where the root was.
    pub root: RootHead,
    /// Where the data was.
    pub data: Vec<DataVolume>,
    /// The primary interface, if it was kept.
    pub interface: Option<HeldInterface>,
    /// Further interfaces.
    pub secondary: Vec<HeldInterface>,
    /// Final snapshots.
    pub finals: Vec<Final>,
    /// What was taken while it ran.
    #[serde(default)]
    pub sets: Vec<SnapshotSet>,
}

/// The most lives that a record keeps.
pub const MAX_LIVES: usize = 64;

/// The most ids that a quarantine names.
pub const MAX_EVIDENCE: usize = 20;

/// The record. Written by the controller alone, by compare-and-swap on `revision`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// Which node.
    pub id: NodeId,
    /// Counts the writes of this record, from 1.
    pub revision: u64,
    /// The spec as received and merged; echoed exactly.
    pub document: Document,
    /// Counts the changes of `document`, from 1.
    pub spec_revision: u64,
    /// When the node was made.
    pub created_at: Time,
    /// When `document` last changed.
    pub updated_at: Time,
    /// What the user wants.
    pub goal: Goal,
    /// Whether the user wants another instance, and none has been begun since.
    pub recycle_wanted: bool,
    /// Where the user wants the node to return to, until that has been put in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    /// The generation that holds the identity, or held it last. 0: none yet.
    pub generation: u64,
    /// The highest number that was ever given to a launch that may have left and has not become
    /// the node's generation (yet): see [`Record::newest_generation`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub standby_generation: u64,
    /// The newest generation that became ready, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_generation: Option<u64>,
    /// The spec's image as the newest launch found it: another one means another root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_followed: Option<ImageId>,
    /// The instance that holds the identity now.
    pub holder: Option<Holder>,
    /// Where the root is.
    pub root: RootHead,
    /// Where the data is.
    pub data: Vec<DataVolume>,
    /// Volumes that joined the node and that their user has taken away: never touched again, but
    /// that our tags come off.
    #[serde(default)]
    pub left: Vec<VolumeId>,
    /// The node's first interface, if it is kept. It is its instance's primary one, unless the
    /// instance was launched while another still had it: then it was attached to it later.
    pub interface: Option<HeldInterface>,
    /// Further interfaces, which are always kept, by device index.
    #[serde(default)]
    pub secondary: Vec<HeldInterface>,
    /// The Elastic IP that leads to the node, once it does.
    #[serde(default)]
    pub elastic_ip: Option<AllocationId>,
    /// The replacement in flight.
    pub replacement: Option<Replacement>,
    /// Finished ones, oldest first, at most [`MAX_HISTORY`].
    pub history: Shared<Vec<Finished>>,
    /// Counts replacements.
    pub replacements: u64,
    /// Final snapshots that are kept, oldest first.
    pub finals: Vec<Final>,
    /// Snapshots while it runs.
    #[serde(default, skip_serializing_if = "Upkeep::is_empty")]
    pub upkeep: Shared<Upkeep>,
    /// What will be deleted.
    pub superseded: Vec<Superseded>,
    /// Markets that refused, and until when they are not asked again. Keyed by the market's text.
    pub cooled: BTreeMap<String, Time>,
    /// How long instances on spot markets lived, oldest first, at most [`MAX_LIVES`].
    #[serde(default)]
    pub lives: Shared<Vec<Life>>,
    /// Until when no way back to spot is looked for again.
    #[serde(default)]
    pub revert_after: Option<Time>,
    /// Why it cannot go on, if it cannot.
    pub stuck: Option<NeedsDecision>,
    /// What the user wanted deleted, once the node is given up.
    pub deallocation: Option<Deallocation>,
    /// Whether the deallocation has been carried out: what is left waits for its time of grace.
    pub deallocated: bool,
    /// Whether the deallocation left a living instance, with all that it holds, to the user.
    #[serde(default)]
    pub let_go: bool,
    /// What the node was, from the deallocation until its last leftover is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<Box<GivenUp>>,
    /// What was left to the user with the instance, and still carries our tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub released: Vec<String>,
    /// When `grace_ms` of the superseded was last counted down.
    pub grace_counted_at: Time,
    /// Why nothing is done with the node until it is adopted, if so.
    #[serde(default)]
    pub quarantine: Option<Quarantine>,
}

impl Record {
    /// A new node's record, as it is before its first commit (`revision` 0).
    #[must_use]
    pub fn new(id: NodeId, document: impl Into<Document>, now: Time) -> Record {
        Record {
            schema: SCHEMA,
            id,
            revision: 0,
            document: document.into(),
            spec_revision: 1,
            created_at: now,
            updated_at: now,
            goal: Goal::Running,
            recycle_wanted: false,
            rollback: None,
            generation: 0,
            standby_generation: 0,
            ready_generation: None,
            image_followed: None,
            holder: None,
            root: RootHead::Fresh,
            data: Vec::new(),
            left: Vec::new(),
            interface: None,
            secondary: Vec::new(),
            elastic_ip: None,
            replacement: None,
            history: Shared::default(),
            replacements: 0,
            finals: Vec::new(),
            upkeep: Shared::default(),
            superseded: Vec::new(),
            cooled: BTreeMap::new(),
            lives: Shared::default(),
            revert_after: None,
            stuck: None,
            deallocation: None,
            deallocated: false,
            let_go: false,
            given_up: None,
            released: Vec::new(),
            grace_counted_at: now,
            quarantine: None,
        }
    }

    /// The highest number that was ever given to a launch: no number is given twice.
    #[must_use]
    pub fn newest_generation(&self) -> u64 {
        self.generation.max(self.standby_generation)
    }

    /// Every interface that is kept, the primary one first.
    pub fn interfaces(&self) -> impl Iterator<Item = &HeldInterface> {
        self.interface.iter().chain(&self.secondary)
    }

    /// Every row with its calls: those of the replacement in flight, and the upkeep's.
    pub fn rows(&self) -> impl Iterator<Item = (Row, &RowState)> {
        let rows = self.replacement.iter().flat_map(|r| r.rows.iter().map(|(row, s)| (*row, s)));
        rows.chain(std::iter::once((Row::Upkeep, &self.upkeep.row)))
    }

    /// One of these rows, if it is there.
    #[must_use]
    pub fn row(&self, row: Row) -> Option<&RowState> {
        match row {
            Row::Upkeep => Some(&self.upkeep.row),
            _ => self.replacement.as_ref().and_then(|r| r.rows.get(&row)),
        }
    }

    /// The node's state, in the words of Spot's API.
    #[must_use]
    pub fn status(&self) -> &'static str {
        use crate::Kind;
        if self.deallocated {
            return "DEALLOCATED";
        }
        if self.stuck.is_some() || self.quarantine.is_some() {
            return "ERROR";
        }
        let Some(replacement) = &self.replacement else {
            return match (self.goal, self.holder.is_some()) {
                (Goal::Running, true) if self.recycle_wanted || self.rollback.is_some() => {
                    "RECYCLE"
                }
                // The next attempt is about to begin, and nothing serves meanwhile.
                (Goal::Running, true) if self.history.last().is_some_and(|h| h.lost_again) => {
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
            Kind::Tidy if self.holder.is_none() => "PAUSED",
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
