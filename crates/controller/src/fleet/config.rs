//! What the fleet is told at its start.

use holdfast_engine::Tuning;
use holdfast_model::Installation;
use holdfast_model::time::{MINUTE, SECOND};

/// Times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetConfig {
    /// Who we are.
    pub installation: Installation,
    /// Times that differ between clouds.
    pub tuning: Tuning,
    /// From one sweep to the next: how late a loss without any hint is found, at most.
    pub sweep_interval: u64,
    /// From one look at what is waited for to the next.
    pub poll_interval: u64,
    /// First pause before a call without a definite answer is repeated; it doubles.
    pub call_retry: u64,
    /// Longest pause before a call is repeated.
    pub call_retry_most: u64,
    /// Pause before a commit that failed is made again.
    pub commit_retry: u64,
    /// The most calls under way at once.
    pub calls_at_once: usize,
}

impl FleetConfig {
    /// For EC2.
    #[must_use]
    pub fn ec2(installation: Installation) -> FleetConfig {
        FleetConfig {
            installation,
            tuning: Tuning::ec2(),
            sweep_interval: 15 * SECOND,
            poll_interval: 2 * SECOND,
            call_retry: SECOND,
            call_retry_most: MINUTE,
            commit_retry: SECOND,
            calls_at_once: 256,
        }
    }

    /// For nodes on this host.
    #[must_use]
    pub fn local(installation: Installation) -> FleetConfig {
        FleetConfig {
            installation,
            tuning: Tuning::local(),
            sweep_interval: SECOND,
            poll_interval: 20,
            call_retry: 50,
            call_retry_most: 10 * SECOND,
            commit_retry: SECOND / 2,
            calls_at_once: 64,
        }
    }
}
