//! Where the controller dies: before or after one of its effects, counted from the start.

/// On which side of the effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The effect has not taken place.
    Before,
    /// The effect has taken place, and nobody heard of it.
    After,
}

/// One death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crash {
    /// Which effect (commits and calls count, from 1).
    pub effect: u64,
    /// On which side of it.
    pub side: Side,
}
