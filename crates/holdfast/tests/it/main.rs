//! The command line as people and programs use it: against a server whose controller is played,
//! and against a real one, which needs root, loop devices, xfsprogs and e2fsprogs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails should panic")]

mod commands;
mod deallocation;
mod described;
mod docs;
mod evidence;
mod fallback;
mod floors;
mod full_pool;
mod launch_settings;
mod life;
mod markets;
mod matrix;
mod metrics;
mod network;
mod old_store;
mod persistence;
mod played;
mod refusals;
mod restore;
mod snapshots;
mod standby;
mod user_volumes;
mod walls;
