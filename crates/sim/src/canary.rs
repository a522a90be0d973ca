//! Bugs that are planted on purpose: a suite that does not catch them proves nothing.
//!
//! Where a bug is a call gone wrong, it is planted here, between the fleet and its cloud
//! ([`Canary::bends`]); where it is a decision gone wrong, it is a switch of the engine's
//! ([`holdfast_engine::canary`]) that nothing but this module ever sets.

pub use holdfast_engine::Canary;

use holdfast_cloud_sim::SimConfig;
use holdfast_controller::FleetConfig;
use holdfast_model::{Command, Token};

/// Plants a bug in a run that is about to begin.
pub(crate) fn plant(canary: Option<Canary>, world: &mut SimConfig, config: &mut FleetConfig) {
    config.tuning.canary = canary;
    match canary {
        Some(Canary::NotFoundIsGone) => config.tuning.consistency_window = 0,
        Some(Canary::NoCooldown) => {
            config.tuning.capacity_cooldown = 1;
            config.tuning.quota_cooldown = 1;
        }
        _ => {}
    }
    world.detaches_by_force = canary == Some(Canary::ForceDetach);
}

/// What a planted bug makes of a call that leaves for the `sent`th time; `fresh` is a number that
/// no other call has.
pub(crate) fn bend(canary: Option<Canary>, command: &mut Command, sent: u32, fresh: u64) {
    match (canary, command) {
        (Some(Canary::NewTokenOnRetry), command) if sent > 1 => {
            let new = Token(format!("retry-{fresh}"));
            match command {
                Command::RunInstances(launch) => launch.token = new,
                Command::CreateVolume { token, .. }
                | Command::CreateNetworkInterface { token, .. } => *token = new,
                _ => {}
            }
        }
        (Some(Canary::RootDiesWithInstance), Command::RunInstances(launch)) => {
            launch.root_delete_on_termination = true;
        }
        // Now and then: somebody must have written before something can be lost.
        (Some(Canary::GateBeforeVolumes), Command::OpenGate { manifest, .. })
            if fresh.is_multiple_of(2) =>
        {
            manifest.clear();
        }
        _ => {}
    }
}
