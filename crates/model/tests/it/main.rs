//! The model's tests: specs, documents, stored records.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails should panic")]

mod document;
mod events;
mod record;
mod shared;
mod spec;
mod walls;
