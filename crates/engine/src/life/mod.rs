//! Beginnings and ends of a node, and the ways back.

/// A node that the store does not know, or knows too little of, is taken up from what the cloud shows.
pub mod adopt;
/// Giving a node up: what goes at once, what after its grace.
pub(crate) mod deallocation;
/// Nodes of which another controller knows more.
pub mod quarantine;
/// Letting an instance, and all that is its, go to its user.
pub(crate) mod release;
/// From on-demand back to spot.
pub(crate) mod revert;
/// Back to an earlier content, and the restoring of what was lost.
pub mod rollback;
/// What is in the cloud and accounted for by no record.
pub mod strays;
/// Taking a deletion back, and giving up one volume.
pub(crate) mod undelete;
