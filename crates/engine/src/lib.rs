//! Decides. Given a record, what the cloud shows and the time, [`plan`](plan::plan) says what the
//! record becomes; the calls that may leave stand in the record.
//!
//! Start at [`replacement`]: the table.
//!
//! **Invariant:** pure. No clock, no randomness, no I/O, no runtime; the same inputs give the same
//! outputs, bit for bit.

pub mod adopt;
pub mod begin;
pub mod clock;
mod deallocation;
pub mod desk;
pub mod invariants;
mod joined;
pub mod markets;
mod network;
pub mod plan;
pub mod quarantine;
mod release;
pub mod replacement;
pub mod replies;
pub mod retention;
mod revert;
pub mod rollback;
pub mod steps;
pub mod token;
pub mod tuning;
mod undelete;
mod upkeep;
pub mod words;
pub mod world;

pub use plan::{Plan, Scene, plan};
pub use tuning::Tuning;
pub use world::World;
