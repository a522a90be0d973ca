//! Behaviour on a real Linux host. Needs root, loop devices, xfsprogs and e2fsprogs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails should panic")]

mod cloud;
mod floors;
mod network;
mod standstill;
mod storage;
