//! The trials as people start them. All but the simulation need root, loop devices, xfsprogs,
//! e2fsprogs, the servers that are tried, and the binary `holdfast` beside this crate's own.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails should panic")]

mod alone;
mod blackout;
mod demo;
mod floors;
mod pairs;
mod soak;

use std::process::{Command, Stdio};

/// `holdfast-trials` without a terminal and without the surroundings' settings.
fn trials() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast-trials"));
    command
        .env_remove("HOLDFAST_SERVER")
        .env_remove("HOLDFAST_TOKEN")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null());
    command
}
