//! What is done to nodes.

use super::subjects::Kept;

/// Something that is done to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    Hard,
    Notice,
    Recycle,
    Pause,
    ZoneMove,
    Drought,
    ServerKilled,
    Stopped,
    InterfaceDeleted,
    OldSnapshotSpoilt,
    NeededSnapshotSpoilt,
    FullPool,
}

impl Action {
    /// Every one, and how often it is done in one round.
    pub const ALL: [(Action, usize); 12] = [
        (Action::Hard, 4),
        (Action::Notice, 3),
        (Action::Recycle, 2),
        (Action::Pause, 2),
        (Action::ZoneMove, 3),
        (Action::Drought, 1),
        (Action::ServerKilled, 3),
        (Action::Stopped, 1),
        (Action::InterfaceDeleted, 1),
        (Action::OldSnapshotSpoilt, 1),
        (Action::NeededSnapshotSpoilt, 1),
        (Action::FullPool, 1),
    ];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Action::Hard => "hard interruption",
            Action::Notice => "interruption with notice",
            Action::Recycle => "recycle",
            Action::Pause => "pause, then resume",
            Action::ZoneMove => "drought in its zone",
            Action::Drought => "drought in every zone",
            Action::ServerKilled => "server killed -9 in a replacement",
            Action::Stopped => "process tree stopped",
            Action::InterfaceDeleted => "interface deleted from outside",
            Action::OldSnapshotSpoilt => "superseded snapshot spoilt",
            Action::NeededSnapshotSpoilt => "needed snapshot spoilt",
            Action::FullPool => "pool full",
        }
    }

    /// Whether it can be done to such a node.
    pub fn fits(self, kept: Kept) -> bool {
        match self {
            Action::ZoneMove => kept == Kept::Nothing,
            Action::OldSnapshotSpoilt | Action::NeededSnapshotSpoilt => {
                kept == Kept::AddressAndRoot
            }
            _ => true,
        }
    }

    /// Whether everybody feels it, so that nothing else is done meanwhile.
    pub fn is_for_all(self) -> bool {
        self == Action::FullPool
    }
}
