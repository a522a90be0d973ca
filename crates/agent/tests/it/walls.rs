//! Attacks by root in a node on the host. Each has a control: the same attack with its wall taken
//! away succeeds, where that harms nobody.

mod calls;
mod terminal;
