//! Smallest, middle and largest.

use serde::Serialize;
use std::time::Duration;

/// Smallest, middle and largest of some durations, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// The shortest.
    pub min: u64,
    /// The middle one (of an even number, the later of the two in the middle).
    pub median: u64,
    /// The longest.
    pub max: u64,
}

impl Spread {
    /// Of these durations.
    pub fn of(durations: &[Duration]) -> Spread {
        let mut millis: Vec<u64> =
            durations.iter().map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)).collect();
        millis.sort_unstable();
        Spread {
            min: millis.first().copied().unwrap_or_default(),
            median: millis.get(millis.len() / 2).copied().unwrap_or_default(),
            max: millis.last().copied().unwrap_or_default(),
        }
    }
}
