//! A replacement is two tables: the order of its rows ([`replacement`]), and what overtakes it
//! ([`overtakes`]). Why one begins at all stands in [`triggers`].

/// What ends a replacement, turns it into another or sends it back to an earlier row.
pub mod overtakes;
/// The rows of a replacement, and their order.
pub mod replacement;
/// Why a replacement begins.
pub(crate) mod triggers;
