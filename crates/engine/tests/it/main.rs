//! The engine's tests. The table itself is proved by the simulation, row by row and fault by
//! fault; here stands what can be said of its parts alone.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails should panic")]

mod clock;
mod interfaces;
mod launches;
mod looks;
mod others;
mod stops;
mod survival;
mod table;
mod undelete;
mod world;
