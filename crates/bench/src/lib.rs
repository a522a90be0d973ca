//! Benchmarks behind `holdfast-trials bench …`: the real fleet on the simulated EC2, in virtual time. Each
//! returns rows for programs and says how they read as a table for people.
//!
//! [`market`]: what a stateful node costs on a trace of a spot market, by policy.
//! [`storm`]: how long until N nodes that are interrupted at once are all back.
//! [`scale`]: what it costs to watch over many nodes that do nothing.

mod clone;
mod drive;
pub mod market;
mod memory;
pub mod scale;
pub mod storm;

/// Why a benchmark has no result.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The run came to no end in virtual time.
    #[error("{what} came to no end: {waits}")]
    Stuck {
        /// Which run.
        what: String,
        /// What some nodes wait for.
        waits: String,
    },
    /// A node could not be copied: the benchmark itself is wrong.
    #[error("a node could not be copied: {0}")]
    Copy(String),
    /// The ground truth was broken: the figures of such a run are worth nothing.
    #[error("{what} broke the ground truth: {violation}")]
    Broken {
        /// Which run.
        what: String,
        /// The first violation.
        violation: String,
    },
}
