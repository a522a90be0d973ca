//! What a user may say to a node.

use crate::adoption::Heads;
use crate::facts::ResourceKind;
use crate::{NodeId, SnapshotId, VolumeId};
use serde::{Deserialize, Serialize};

/// A user's word. Its answer is either accepted or refused at once; the work happens later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum UserCommand {
    /// A new node from a spec document (already validated).
    Create {
        /// The new node's id.
        id: NodeId,
        /// The document under `managedInstance`, as received.
        document: serde_json::Value,
    },
    /// A partial document to merge.
    Update {
        /// Which node.
        id: NodeId,
        /// What changes.
        patch: serde_json::Value,
    },
    /// Keep the identity, give up the instance.
    Pause(NodeId),
    /// Bring a paused node back.
    Resume(NodeId),
    /// Replace the instance.
    Recycle(NodeId),
    /// Return to an earlier content.
    Rollback {
        /// Which node.
        id: NodeId,
        /// Where to.
        to: Target,
        /// Whether data volumes return too; `None`: where they travel as snapshots anyway
        /// (`onLaunch`), and there is one.
        data: Option<bool>,
    },
    /// Give up the node.
    Delete {
        /// Which node.
        id: NodeId,
        /// What goes at once.
        deallocation: Deallocation,
    },
    /// Bring back a node that was given up, paused, as long as what was kept of it is there.
    Undelete {
        /// Which node.
        id: NodeId,
        /// Whether it comes back even if something of it is gone.
        accept_loss: bool,
    },
    /// Delete one data volume of a paused node, with what is on it.
    DeleteVolume {
        /// Which node.
        id: NodeId,
        /// Which volume.
        volume: VolumeId,
    },
    /// Bring the record up to what the cloud shows: after a store was restored, say.
    Adopt {
        /// Which node; it need not be known.
        id: NodeId,
        /// The spec's document: for a node that is not known, it must be given.
        document: Option<serde_json::Value>,
        /// What a person has decided.
        heads: Heads,
    },
    /// One of the choices that `needs-decision` offered.
    Decide {
        /// Which node.
        id: NodeId,
        /// The choice.
        choice: Choice,
    },
}

impl UserCommand {
    /// The node it speaks to.
    #[must_use]
    pub fn node(&self) -> &NodeId {
        match self {
            UserCommand::Create { id, .. }
            | UserCommand::Update { id, .. }
            | UserCommand::Rollback { id, .. }
            | UserCommand::Delete { id, .. }
            | UserCommand::Undelete { id, .. }
            | UserCommand::DeleteVolume { id, .. }
            | UserCommand::Adopt { id, .. }
            | UserCommand::Decide { id, .. }
            | UserCommand::Pause(id)
            | UserCommand::Resume(id)
            | UserCommand::Recycle(id) => id,
        }
    }
}

/// What to return to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// What a generation left behind.
    Generation(u64),
    /// What was taken together with this snapshot.
    Snapshot(SnapshotId),
}

/// Which of a deleted node's resources go at once. What is not selected is kept for the time of
/// grace and then removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Deallocation {
    /// Images.
    pub should_delete_images: bool,
    /// Interfaces.
    pub should_delete_network_interfaces: bool,
    /// Volumes.
    pub should_delete_volumes: bool,
    /// Snapshots.
    pub should_delete_snapshots: bool,
    /// The instance; `false` lets it go on without Holdfast.
    pub should_terminate_instance: bool,
}

impl Deallocation {
    /// Nothing of the node stays.
    pub const EVERYTHING: Deallocation = Deallocation {
        should_delete_images: true,
        should_delete_network_interfaces: true,
        should_delete_volumes: true,
        should_delete_snapshots: true,
        should_terminate_instance: true,
    };

    /// Whether what is known by nothing but its kind goes at once. A snapshot may be what an image
    /// needs: it goes only where images go too.
    #[must_use]
    pub fn selects(self, kind: ResourceKind) -> bool {
        match kind {
            ResourceKind::Instance => self.should_terminate_instance,
            ResourceKind::Volume => self.should_delete_volumes,
            ResourceKind::Snapshot => self.should_delete_snapshots && self.should_delete_images,
            ResourceKind::Image => self.should_delete_images,
            ResourceKind::Interface => self.should_delete_network_interfaces,
        }
    }
}

/// What a person can choose where a node cannot go on by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// Wait again for as long as before.
    Wait,
    /// Try again from the row that is stuck, with a new attempt.
    Retry,
    /// Return to the newest snapshots that are kept, and accept the loss of what came after.
    Restore,
}

impl Choice {
    /// As people and programs say it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Choice::Wait => "wait",
            Choice::Retry => "retry",
            Choice::Restore => "restore",
        }
    }
}
