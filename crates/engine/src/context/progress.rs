//! What a step says when it has done what it can for now.

/// Whether a row is done, or still waits for something (the step has said for what).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Facts show that it is done.
    Done,
    /// Not yet.
    Waiting,
    /// Not like this: the table of what overtakes a replacement says what becomes of it.
    Reports(Report),
}

/// What a step reports that is not its own to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Report {
    /// There is no market to launch in.
    NoMarket,
    /// The market has no capacity, or its quota is used up.
    MarketRefused,
    /// The user's newer spec is followed from here on.
    SpecTakenUp,
    /// The market that was probed has no capacity.
    ProbeRefused,
    /// No spot market that pays has capacity.
    NoSpot,
}
