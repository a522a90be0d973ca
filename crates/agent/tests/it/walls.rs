//! Attacks by root in a node, each on one wall. A control shows that the same attack succeeds where
//! the wall is not, if that can be shown without harm.

mod calls;
mod init;
mod memory;
mod shared;
mod terminal;
mod tree;
