//! What may never happen, as checks that are cheap enough to stay on in production.

use crate::canary::Canary;
use crate::plan::Scene;
use crate::quarantine;
use crate::retention;
use holdfast_model::facts::{Fact, InstanceState};
use holdfast_model::{Command, Invariant, Known, Record};

/// A broken invariant: its name and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub name: Invariant,
    /// What was seen.
    pub what: String,
}

/// Whether a command may leave at all, asked again at the last moment.
///
/// # Errors
/// The invariant that it would break.
pub fn may_leave(record: &Record, command: &Command, scene: &Scene<'_>) -> Result<(), Broken> {
    let target = match command {
        Command::TerminateInstances { instance } => instance.as_str(),
        Command::DeleteVolume { volume } => volume.as_str(),
        Command::DeleteSnapshot { snapshot } => snapshot.as_str(),
        Command::DeregisterImage { image } => image.as_str(),
        Command::DeleteNetworkInterface { interface } => interface.as_str(),
        _ => return Ok(()),
    };
    if let Some(fact) = scene.world.last_seen(target)
        && !quarantine::is_accounted(record, fact, scene)
    {
        return Err(Broken {
            name: Invariant::OthersLeftAlone,
            what: format!(
                "{} of {target}, which is not, or not yet, {}'s to change",
                command.action(),
                record.id
            ),
        });
    }
    let deletes = !matches!(command, Command::TerminateInstances { .. });
    let planted = scene.tuning.canary == Some(Canary::DeleteLastSnapshot);
    if deletes && !planted && retention::is_needed(record, target) {
        return Err(Broken {
            name: Invariant::LastCopyKept,
            what: format!("{} of {target}, which {} needs", command.action(), record.id),
        });
    }
    Ok(())
}

/// What is wrong with a node as it is seen.
#[must_use]
pub fn check(record: &Record, scene: &Scene<'_>) -> Vec<Broken> {
    let world = scene.world;
    let mut broken = Vec::new();
    let alive: Vec<&str> = world
        .ours(&record.id, scene.installation)
        .filter_map(|fact| match fact {
            Fact::Instance(i) if i.state <= InstanceState::Running => Some(i.id.as_str()),
            _ => None,
        })
        .collect();
    if alive.len() > 1 {
        broken.push(Broken {
            name: Invariant::OneWriter,
            what: format!("{} has several live instances: {}", record.id, alive.join(", ")),
        });
    }
    for held in record.interfaces() {
        if let Known::Present(seen) = world.interface(held.id.as_str())
            && (seen.private_ip != held.private_ip || seen.mac != held.mac)
        {
            broken.push(Broken {
                name: Invariant::IdentityKept,
                what: format!(
                    "{} has {} {}, but {} was promised {} {}",
                    held.id, seen.private_ip, seen.mac, record.id, held.private_ip, held.mac
                ),
            });
        }
    }
    broken
}
