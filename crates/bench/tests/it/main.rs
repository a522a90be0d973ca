//! Benchmarks as tests: small ones, whose figures are promises.

mod scale;
mod storm;
