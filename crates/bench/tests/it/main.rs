//! Benchmarks as tests: small ones, whose figures are promises.

mod buckets;
mod chance;
mod market;
mod scale;
mod storm;
