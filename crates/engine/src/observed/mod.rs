//! What the cloud has shown.

/// What tags say of a resource's maker.
pub mod marks;
/// How long instances have lived on each spot market.
pub mod survival;
/// The newest facts, and how new they are.
pub mod world;
