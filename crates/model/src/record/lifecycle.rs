//! What the user wants of the node, and how far giving it up has come.

use super::{DataVolume, FinalSnapshot, Goal, HeldInterface, RootHead, SnapshotSet};
use crate::user::Deallocation;
use serde::{Deserialize, Serialize};

/// What the user wants of the node. Users' commands change it, and a deletion as it goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum NodeLifecycle {
    /// An instance should serve.
    Running {
        /// Whether the user wants another instance, and none has been begun since.
        recycle: bool,
    },
    /// The identity is kept, without an instance.
    Paused,
    /// The node is being given up: what it holds has not been given away yet.
    Deleting(Deletion),
    /// The node has been given up: what is kept of it waits for its time of grace.
    Deleted(Deletion),
}

/// How a node is given up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Deletion {
    /// What the user wanted deleted at once.
    pub deallocation: Deallocation,
    /// Whether a living instance, with all that it holds, was left to the user.
    pub handed_over: bool,
    /// What the node was, until its last leftover is gone. Versions before the first undelete noted
    /// none.
    pub tombstone: Option<Box<Tombstone>>,
    /// What was left to the user with the instance, and still carries our tags.
    pub untag: Vec<String>,
}

/// What a node was when it was given up: what of it is kept can be brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// Where the root was.
    pub root: RootHead,
    /// Where the data was.
    pub data: Vec<DataVolume>,
    /// The primary interface, if it was kept.
    pub interface: Option<HeldInterface>,
    /// Further interfaces.
    pub secondary: Vec<HeldInterface>,
    /// Final snapshots.
    pub final_snapshots: Vec<FinalSnapshot>,
    /// What was taken while it ran.
    pub sets: Vec<SnapshotSet>,
}

impl NodeLifecycle {
    /// What the user wants.
    #[must_use]
    pub fn goal(&self) -> Goal {
        match self {
            NodeLifecycle::Running { .. } => Goal::Running,
            NodeLifecycle::Paused => Goal::Paused,
            NodeLifecycle::Deleting(_) | NodeLifecycle::Deleted(_) => Goal::Deleted,
        }
    }

    /// Whether the user wants another instance, and none has been begun since.
    #[must_use]
    pub fn wants_recycle(&self) -> bool {
        matches!(self, NodeLifecycle::Running { recycle: true })
    }

    /// How the node is given up, if it is.
    #[must_use]
    pub fn deletion(&self) -> Option<&Deletion> {
        match self {
            NodeLifecycle::Deleting(deletion) | NodeLifecycle::Deleted(deletion) => Some(deletion),
            NodeLifecycle::Running { .. } | NodeLifecycle::Paused => None,
        }
    }

    /// What the user wanted deleted at once, if the node is given up.
    #[must_use]
    pub fn deallocation(&self) -> Option<Deallocation> {
        self.deletion().map(|deletion| deletion.deallocation)
    }

    /// Whether all that the node holds has been given away: what is left waits for its grace.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        matches!(self, NodeLifecycle::Deleted(_))
    }

    /// Whether the deletion left a living instance to the user.
    #[must_use]
    pub fn is_handed_over(&self) -> bool {
        self.deletion().is_some_and(|deletion| deletion.handed_over)
    }

    /// What the node was, if it was given up and that was noted.
    #[must_use]
    pub fn tombstone(&self) -> Option<&Tombstone> {
        self.deletion().and_then(|deletion| deletion.tombstone.as_deref())
    }

    /// What still carries our tags after the instance was left to the user.
    #[must_use]
    pub fn untag(&self) -> &[String] {
        self.deletion().map_or(&[], |deletion| &deletion.untag)
    }

    /// An instance is wanted. A wish for another one stays.
    pub fn run(&mut self) {
        if self.goal() != Goal::Running {
            *self = NodeLifecycle::Running { recycle: false };
        }
    }

    /// Another instance is wanted, or is begun: a node that is not to run wants none.
    pub fn set_recycle(&mut self, wanted: bool) {
        if let NodeLifecycle::Running { recycle } = self {
            *recycle = wanted;
        }
    }

    /// The node is to be given up.
    pub fn delete(&mut self, deallocation: Deallocation) {
        *self = NodeLifecycle::Deleting(Deletion { deallocation, ..Deletion::default() });
    }

    /// All that the node holds has been given away: to the deletion, or to the user with a living
    /// instance (then `untag` still carries our tags).
    pub fn note_deleted(
        &mut self,
        handed_over: bool,
        tombstone: Box<Tombstone>,
        untag: Vec<String>,
    ) {
        if let NodeLifecycle::Deleting(Deletion { deallocation, .. }) = self {
            let (deallocation, tombstone) = (*deallocation, Some(tombstone));
            *self =
                NodeLifecycle::Deleted(Deletion { deallocation, handed_over, tombstone, untag });
        }
    }

    /// What was left to the user carries our tags no more.
    pub fn note_untagged(&mut self, id: &str) {
        if let NodeLifecycle::Deleting(deletion) | NodeLifecycle::Deleted(deletion) = self {
            deletion.untag.retain(|left| left != id);
        }
    }
}
