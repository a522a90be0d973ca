//! The driver for real life: what outlives the process, and with whose credentials it works.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails should panic")]

mod adoption;
mod brake;
mod buckets;
mod commits;
mod floors;
mod looking;
mod memory;
mod metrics;
mod misled;
mod orders;
mod priority;
mod readings;
mod remarks;
mod standing;
mod starts;
mod sweeps;
mod unreadable;
