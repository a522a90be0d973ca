//! Real nodes on this host. Needs root, loop devices, ext4 and overlayfs, and says so without.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod end;
mod gate;
mod inside;
mod machine;
mod metadata;
mod person;
mod skeleton;
mod streams;
mod survival;
mod walls;
