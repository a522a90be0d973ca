//! The table, proved in virtual time: every kind of replacement works, survives every fault of
//! every one of its calls, and survives the death of the controller before and after every one of
//! its effects. Judged on the simulated cloud's ground truth, not on the controller's view.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails should panic")]

mod adoption;
mod blind;
mod calls;
mod counted;
mod deallocation;
mod ec2;
mod found;
mod goldens;
mod ground_truth;
mod heard;
mod invariants;
mod joined;
mod judged;
mod kept;
mod markets;
mod matrix;
mod network;
mod noticed;
mod overlooked;
mod overtakes;
mod pairs;
mod planted;
mod regressions;
mod restored;
mod rollback;
mod saved;
mod scene;
mod settings;
mod singles;
mod standby;
mod stopped;
mod swarm;
mod termination;
mod unknown;
mod upgrades;
mod upkeep;
mod waits;
mod words;
mod works;
