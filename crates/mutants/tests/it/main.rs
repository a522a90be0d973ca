//! The lists of wrong changes are fit, and each is noticed by the test that it names.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails should panic")]

mod anchors;
mod lists;
