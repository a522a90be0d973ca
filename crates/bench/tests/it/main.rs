//! Benchmarks as tests: small ones, whose figures are promises.

mod market;
mod scale;
mod storm;
