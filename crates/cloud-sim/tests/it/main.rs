//! The simulated cloud's tests.

mod conformance;
mod faults;
mod history;
mod node;
mod requests;
mod rules;
mod states;
mod truth;
mod writes;
