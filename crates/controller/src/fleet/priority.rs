//! How urgent a call is.

use holdfast_model::{Kind, Row};

/// How urgent a call is: smaller goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A node whose instance is taken away.
    Interrupted,
    /// What a user asked for.
    User,
    /// A node that is unwell.
    Healing,
    /// What could run somewhere better.
    Optimising,
    /// Copies beyond what a replacement needs, and tidying up.
    Backup,
}

impl Priority {
    /// How urgent the calls of a row are, in a kind of replacement.
    #[must_use]
    pub fn of(kind: Kind, row: Row) -> Priority {
        match (kind, row) {
            (_, Row::Upkeep) => Priority::Backup,
            (Kind::Delete, _) => Priority::User,
            (_, Row::Retire) | (Kind::Tidy, _) => Priority::Backup,
            (Kind::Notice | Kind::Lost, _) => Priority::Interrupted,
            // Once an instance has been given up, its node waits like one that was interrupted.
            (Kind::Revert, Row::Probe | Row::Place | Row::Standby | Row::Drain) => {
                Priority::Optimising
            }
            (Kind::Revert, _) => Priority::Interrupted,
            (Kind::Create | Kind::Recycle | Kind::Rollback | Kind::Pause | Kind::Resume, _) => {
                Priority::User
            }
            (Kind::Unhealthy, _) => Priority::Healing,
        }
    }
}
