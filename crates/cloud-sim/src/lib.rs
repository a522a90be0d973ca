//! A simulated EC2: its rules as a deterministic, single-threaded state machine in virtual time,
//! with a workload that writes all the time and the ground truth of what was acknowledged.
//!
//! [`SimCloud`] is driven by `call`, `observe` and `advance`, each with the time as an argument;
//! [`SimCloudHandle`] puts it behind the [`holdfast_cloud::Cloud`] trait. [`truth`] holds the
//! checks of what may never happen, [`faults`] what a test can do to a call, and [`config`] every
//! time and limit.
//!
//! **Invariant:** no clock, no thread, no hash order, no randomness but the seed's: the same seed
//! and the same calls give the same history.

pub mod cloud;
pub mod config;
mod describe;
mod events;
pub mod faults;
pub mod given;
mod handle;
pub mod latency;
mod likeness;
mod refusal;
mod resources;
pub mod rng;
mod rules;
pub mod truth;
mod veil;
mod waiver;
mod workload;
mod world;
pub mod writes;

pub use cloud::{Scheduled, SimCloud};
pub use config::{SimConfig, Span};
pub use faults::{Class, Fault, Faults, Hit, Scripted, When};
pub use handle::SimCloudHandle;
pub use latency::Latency;
pub use rules::throttle::{instance_bucket, request_bucket};
pub use truth::{Truth, Violation};
