//! What the fleet as a whole must not forget: which controller of its installation it is, and why
//! nothing may be changed at the moment, if so.

use crate::Time;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The newest schema of [`Standing`].
pub const SCHEMA: u32 = 1;
/// The longest reason of a freeze, in bytes.
pub const MAX_REASON: usize = 500;

/// Which controller: each start of a server begins an epoch of its own, and what is made in it
/// carries it as a tag. A store that was copied or restored goes on with the count that it holds,
/// so that what was made after the copy shows as of a *later* epoch, or as of one with the same
/// count that was begun at another time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Epoch {
    /// Counts the starts of this installation's server, from 1.
    pub count: u64,
    /// When it began: tells apart two servers that both count on from one copy.
    pub began: Time,
}

impl Epoch {
    /// The next one.
    #[must_use]
    pub fn next(self, began: Time) -> Epoch {
        Epoch { count: self.count + 1, began }
    }

    /// Whether what was made in this epoch cannot be known to a controller of `own`: another
    /// controller of the same installation has made it.
    #[must_use]
    pub fn is_beyond(self, own: Epoch) -> bool {
        self.count > own.count || (self.count == own.count && self.began != own.began)
    }

    /// Reads a tag.
    #[must_use]
    pub fn read(tag: &str) -> Option<Epoch> {
        let (count, began) = tag.split_once('@')?;
        Some(Epoch { count: count.parse().ok()?, began: Time(began.parse().ok()?) })
    }
}

impl std::fmt::Display for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.count, self.began.0)
    }
}

/// What froze the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// A person. Only a person lifts it.
    Asked,
    /// The credentials are of another account. Lifted by a start with the right ones.
    Account,
    /// Most of what the nodes need is not shown any more. Lifted when it shows again, or by a
    /// person who knows that it is gone.
    Vanished,
}

/// Nothing is changed, for this reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// Since when.
    pub since: Time,
    /// A sentence: why, and what lifts it.
    pub reason: String,
    /// What vanished, if that is the cause.
    #[serde(default)]
    pub ids: Vec<String>,
}

/// What the fleet as a whole must not forget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// Which controller this is.
    pub epoch: Epoch,
    /// Why nothing may be changed; empty: it may.
    #[serde(default)]
    pub freezes: BTreeMap<Cause, Freeze>,
    /// What vanished and a person knows to be gone.
    #[serde(default)]
    pub gone: BTreeSet<String>,
}

impl Default for Standing {
    fn default() -> Standing {
        Standing {
            schema: SCHEMA,
            epoch: Epoch::default(),
            freezes: BTreeMap::new(),
            gone: BTreeSet::new(),
        }
    }
}

impl Standing {
    /// Why nothing is changed, if so: the gravest reason.
    #[must_use]
    pub fn frozen(&self) -> Option<&Freeze> {
        self.freezes.values().next()
    }
}
