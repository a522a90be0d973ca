//! Mutants: edits of the source that make it wrong, to see that a test fails.
//!
//! A mutant is an edit, never a switch: the product has no code for it. [`list`] holds those that
//! were written down, each with the one test that must fail; [`generated`] those that cargo-mutants
//! thinks of. Either is applied to a copy of the workspace ([`copy`]), built ([`build`]) and
//! tested ([`play`]); the real source is only read. [`listed`] tries the lists, [`planted`] those of
//! their entries that the simulation must find by chance, [`drawn`] a sample of what was generated.

pub mod anchor;
pub mod build;
pub mod copy;
pub mod drawn;
pub mod generated;
pub mod list;
pub mod listed;
pub mod order;
pub mod planted;
pub mod play;
pub mod results;
mod work;
