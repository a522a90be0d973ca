//! What a decision is made with.

/// A clock that was ahead is set right.
pub mod clock;
/// The record as it becomes, and what is to be told and waited for.
pub mod desk;
/// What a step says when it has done what it can.
pub mod progress;
/// Why a user's command is refused.
pub mod refusal;
/// What a plan is made from, besides the record.
pub mod scene;
/// The tokens of requests.
pub mod token;
/// Times that differ between clouds.
pub mod tuning;
