//! The interface through real HTTP on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails should panic")]

mod doors;
mod fleet;
mod log;
mod nodes;
mod rules;
mod sdk;
mod server;
mod walls;
