//! Attacks on the interface, each with a control: without its wall the same attack succeeds.

mod connections;
mod fuzz;
mod malformed;
