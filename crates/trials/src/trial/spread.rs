//! Smallest, middle and largest.

use serde::Serialize;

/// Smallest, middle and largest of some lengths, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// The shortest.
    pub min: i64,
    /// The middle one (of an even number, the later of the two in the middle).
    pub median: i64,
    /// The longest.
    pub max: i64,
}

impl Spread {
    /// Of these.
    pub fn of(lengths: impl IntoIterator<Item = i64>) -> Spread {
        let mut millis: Vec<i64> = lengths.into_iter().collect();
        millis.sort_unstable();
        Spread {
            min: millis.first().copied().unwrap_or_default(),
            median: millis.get(millis.len() / 2).copied().unwrap_or_default(),
            max: millis.last().copied().unwrap_or_default(),
        }
    }
}
