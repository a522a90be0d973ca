//! What has been, as far as decisions and people need it.

use crate::replacement::Finished;
use crate::{Market, Shared, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many finished replacements a record keeps.
pub const MAX_HISTORY: usize = 50;
/// The most lifetimes that a record keeps.
pub const MAX_SPOT_LIFETIMES: usize = 64;

/// What a record remembers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// Counts replacements.
    pub replacements: u64,
    /// Finished ones, oldest first, at most [`MAX_HISTORY`].
    pub history: Shared<Vec<Finished>>,
    /// How long instances on spot markets lived, oldest first, at most [`MAX_SPOT_LIFETIMES`].
    pub spot_lifetimes: Shared<Vec<SpotLifetime>>,
    /// Markets that refused, and until when they are not asked again. Keyed by the market's text.
    pub market_backoff: BTreeMap<String, Time>,
    /// Until when no way back to spot is looked for again.
    pub revert_after: Option<Time>,
}

/// How long one instance served on a spot market. From these the choice of markets learns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpotLifetime {
    /// The market.
    pub market: Market,
    /// When it ended.
    pub ended_at: Time,
    /// How long it lasted, in milliseconds.
    pub lived_ms: u64,
    /// Whether the cloud took it; otherwise it was given up.
    pub lost: bool,
}
