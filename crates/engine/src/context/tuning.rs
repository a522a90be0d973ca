//! Times that differ between clouds. Everything else is a named constant where it is used.

use holdfast_model::time::{HOUR, MINUTE, SECOND};

/// Times, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuning {
    /// How long a Describe may be behind a change: until then a NotFound proves nothing.
    pub consistency_window: u64,
    /// How long a market that refused for want of capacity is not asked again.
    pub capacity_cooldown: u64,
    /// How long a family of markets that refused for quota is not asked again.
    pub quota_cooldown: u64,
    /// First pause before a refused call is tried again; it doubles with each attempt.
    pub retry_base: u64,
    /// How much earlier than an announced interruption a drain must end.
    pub notice_reserve: u64,
    /// How often a node on demand looks for a way back to spot.
    pub revert_interval: u64,
    /// The blackout that a replacement in the same zone is taken to cost when markets are weighed.
    pub blackout_same_zone: u64,
    /// The same for a move to another zone, by snapshots.
    pub blackout_zone_move: u64,
    /// The least time between two snapshots of a node that runs.
    pub snapshot_interval: u64,
    /// How much further apart they are for each volume of the fleet: half of what the cloud lets
    /// through is left to replacements.
    pub snapshot_spacing: u64,
    /// How long what a deallocation did not select is kept.
    pub deallocation_grace: u64,
}

impl Tuning {
    /// For EC2, whose Describe calls are eventually consistent.
    #[must_use]
    pub fn ec2() -> Tuning {
        Tuning {
            consistency_window: 30 * SECOND,
            capacity_cooldown: 3 * MINUTE,
            quota_cooldown: 10 * MINUTE,
            retry_base: 2 * SECOND,
            notice_reserve: 15 * SECOND,
            revert_interval: 10 * MINUTE,
            blackout_same_zone: 90 * SECOND,
            blackout_zone_move: 4 * MINUTE,
            snapshot_interval: 5 * MINUTE,
            // Half of CreateSnapshots' 5 a second.
            snapshot_spacing: 2 * SECOND / 5,
            deallocation_grace: 96 * HOUR,
        }
    }

    /// For nodes on this host: what it shows is true at once.
    #[must_use]
    pub fn local() -> Tuning {
        Tuning {
            consistency_window: 0,
            capacity_cooldown: 5 * SECOND,
            quota_cooldown: 10 * SECOND,
            retry_base: SECOND / 5,
            notice_reserve: SECOND,
            revert_interval: 10 * SECOND,
            blackout_same_zone: SECOND,
            blackout_zone_move: 2 * SECOND,
            snapshot_interval: 5 * MINUTE,
            snapshot_spacing: 0,
            deallocation_grace: 96 * HOUR,
        }
    }
}
