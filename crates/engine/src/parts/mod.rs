//! What a node is made of.

/// Final snapshots.
pub(crate) mod finals;
/// Volumes that a user attached.
pub(crate) mod joined;
/// What a launch takes from the spec.
pub(crate) mod launching;
/// Which market the next instance is launched in.
pub mod markets;
/// Interfaces, addresses and the Elastic IP.
pub(crate) mod network;
/// What is kept, for how long, and what may go.
pub mod retention;
/// The instance that stands by, as the record knows it.
pub mod standing_by;
/// Snapshots that are taken while a node runs.
pub(crate) mod upkeep;
