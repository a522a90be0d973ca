//! The simulated cloud's tests.

mod conformance;
mod faults;
mod history;
mod node;
mod rules;
mod truth;
mod writes;
