//! The simulated cloud's tests.

mod conformance;
