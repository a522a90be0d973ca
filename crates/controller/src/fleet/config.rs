//! What the fleet is told at its start.

use super::buckets::CallLimits;
use holdfast_engine::Tuning;
use holdfast_model::Installation;
use holdfast_model::time::{MINUTE, SECOND};

/// Of [`FleetConfig::voluntary_per_hour`], unless somebody says otherwise: a small fleet is back on
/// spot within the hour, and a mistake about markets costs a large one a blackout a minute.
pub const VOLUNTARY_PER_HOUR: usize = 60;

/// Times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetConfig {
    /// Who we are.
    pub installation: Installation,
    /// Times that differ between clouds.
    pub tuning: Tuning,
    /// From one sweep over the instances to the next: how late a loss without any hint is found,
    /// at most, besides the time that the sweep itself takes.
    pub sweep_interval: u64,
    /// From one sweep over everything else to the next, while no node waits for one.
    pub inventory_interval: u64,
    /// From one look at what is waited for to the next.
    pub poll_interval: u64,
    /// The same while so many calls wait for tokens that nobody would act on a look.
    pub poll_interval_most: u64,
    /// First pause before a call without a definite answer is repeated; it doubles.
    pub call_retry: u64,
    /// Longest pause before a call is repeated.
    pub call_retry_most: u64,
    /// Pause before a commit that failed is made again.
    pub commit_retry: u64,
    /// The most calls under way at once.
    pub calls_at_once: usize,
    /// The most replacements in an hour that the fleet begins by its own choice, because a node
    /// could run somewhere better; 0: none.
    pub voluntary_per_hour: usize,
    /// The cloud's own limits on calls.
    pub limits: CallLimits,
}

impl FleetConfig {
    /// For EC2.
    #[must_use]
    pub fn ec2(installation: Installation) -> FleetConfig {
        FleetConfig {
            installation,
            tuning: Tuning::ec2(),
            sweep_interval: 15 * SECOND,
            inventory_interval: MINUTE,
            poll_interval: SECOND / 4,
            poll_interval_most: 2 * SECOND,
            call_retry: SECOND,
            call_retry_most: MINUTE,
            commit_retry: SECOND,
            calls_at_once: 256,
            voluntary_per_hour: VOLUNTARY_PER_HOUR,
            limits: CallLimits::Ec2,
        }
    }

    /// For nodes on this host.
    #[must_use]
    pub fn local(installation: Installation) -> FleetConfig {
        FleetConfig {
            installation,
            tuning: Tuning::local(),
            sweep_interval: SECOND,
            inventory_interval: SECOND,
            poll_interval: 20,
            poll_interval_most: 20,
            call_retry: 50,
            call_retry_most: 10 * SECOND,
            commit_retry: SECOND / 2,
            calls_at_once: 64,
            voluntary_per_hour: VOLUNTARY_PER_HOUR,
            limits: CallLimits::Unlimited,
        }
    }
}
