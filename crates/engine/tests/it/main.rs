//! The engine's tests. The table itself is proved by the simulation, row by row and fault by
//! fault; here stands what can be said of its parts alone.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails should panic")]

mod adopting;
mod answers;
mod captures;
mod certain;
mod choices;
mod clock;
mod deallocation;
mod decided;
mod deletions;
mod fences;
mod floors;
mod interfaces;
mod joined;
mod joints;
mod kinds;
mod launches;
mod looks;
mod others;
mod overtakes;
mod periods;
mod refusals;
mod returns;
mod sets;
mod standing_by;
mod stops;
mod survival;
mod table;
mod taken_up;
mod undelete;
mod words;
mod world;
