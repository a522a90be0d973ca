//! Decides. Given a record, what the cloud shows and the time, [`plan`](plan::plan) says what the
//! record becomes; the calls that may leave stand in the record.
//!
//! Start at [`tables`]: a replacement is two tables.
//!
//! **Floors.** The modules stand on one another in the order of this file, the highest first; none
//! names one above it, and no files form a circle (`tests/it/floors.rs`).
//!
//! **Invariant:** pure. No clock, no randomness, no I/O, no runtime; the same inputs give the same
//! outputs, bit for bit.

// The doors, by which the controller comes in.
/// What may never happen, asked again when a call leaves.
pub mod invariants;
/// What must hold between a record and the one that takes its place.
pub mod joints;
/// One round of decisions for one node.
pub mod plan;
/// What an answer of the cloud does to a record.
pub mod replies;
/// What a user's command does to a record.
pub mod words;

/// What happens when: the order of rows, what begins a replacement, and what overtakes one.
pub mod tables;

/// What each row of the table does, a file each.
pub mod steps;

/// Beginnings and ends of a node: deletion and its way back, rollback, quarantine, adoption.
pub mod life;

/// What a node is made of, a file each: snapshots, interfaces, volumes of users, markets.
pub mod parts;

/// What a decision is made with: the desk, the scene around it, tokens, times.
pub mod context;

/// What the cloud has shown.
pub mod observed;

pub use context::scene::Scene;
pub use context::tuning::Tuning;
pub use observed::world::World;
pub use plan::{Plan, plan};
