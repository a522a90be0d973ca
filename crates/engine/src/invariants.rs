//! What may never happen, as checks that are cheap enough to stay on in production.

use crate::context::scene::Scene;
use crate::life::quarantine;
use crate::parts::retention;
use crate::parts::standing_by;
use holdfast_model::command::Launch;
use holdfast_model::facts::{Fact, InstanceFact, InstanceState};
use holdfast_model::record::PendingDeletion;
use holdfast_model::{Command, Invariant, Known, Record, tags};

/// A broken invariant: its name and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub name: Invariant,
    /// What was seen.
    pub what: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name, self.what)
    }
}

/// Whether a command may leave at all, asked again at the last moment.
///
/// # Errors
/// The invariant that it would break.
pub fn may_leave(record: &Record, command: &Command, scene: &Scene<'_>) -> Result<(), Broken> {
    let target = match command {
        Command::RunInstances(launch) => return may_launch(record, launch, scene),
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
    if deletes && retention::is_needed(record, target) {
        return Err(Broken {
            name: Invariant::LastCopyKept,
            what: format!("{} of {target}, which {} needs", command.action(), record.id),
        });
    }
    let in_grace = |kept: &&PendingDeletion| kept.id == target && !kept.is_due();
    let kept = record.kept.pending_deletion.iter().find(in_grace);
    if let Some(kept) = kept.filter(|_| record.lifecycle.deallocation().is_some()) {
        return Err(Broken {
            name: Invariant::GraceKept,
            what: format!(
                "{} of {target}, of whose time of grace {} ms are left",
                command.action(),
                kept.due.grace_left().unwrap_or_default()
            ),
        });
    }
    Ok(())
}

/// Whether a launch may leave: not with the number of another instance that lives.
fn may_launch(record: &Record, launch: &Launch, scene: &Scene<'_>) -> Result<(), Broken> {
    let number = launch.tags.get(tags::GENERATION);
    let twin = scene.world.ours(&record.id, scene.installation).find_map(|fact| match fact {
        Fact::Instance(i) if i.state <= InstanceState::Running => {
            let is_it = i.tags.get(tags::TOKEN) == Some(&launch.token.0);
            (!is_it && i.tags.get(tags::GENERATION) == number).then_some(&i.id)
        }
        _ => None,
    });
    let (Some(twin), Some(number)) = (twin, number) else { return Ok(()) };
    Err(Broken {
        name: Invariant::GenerationOnce,
        what: format!("a launch as generation {number} of {}, which {twin} is", record.id),
    })
}

/// What is wrong with a node as it is seen.
#[must_use]
pub fn check(record: &Record, scene: &Scene<'_>) -> Vec<Broken> {
    let world = scene.world;
    let mut broken = Vec::new();
    let alive: Vec<&InstanceFact> = world
        .ours(&record.id, scene.installation)
        .filter_map(|fact| match fact {
            Fact::Instance(i) if i.state <= InstanceState::Running => Some(&**i),
            _ => None,
        })
        .collect();
    // Beside the one that serves there may be one that holds nothing of the node.
    let may_write = |i: &&&InstanceFact| {
        !standing_by::stands_by(record, i) || holds_of(record, i, scene).is_some()
    };
    if alive.len() > 1 && alive.iter().filter(may_write).count() > 1 {
        let told = alive.iter().map(|i| match holds_of(record, i, scene) {
            Some(held) => format!("{} (which holds {held})", i.id),
            None => i.id.to_string(),
        });
        let told: Vec<String> = told.collect();
        broken.push(Broken {
            name: Invariant::OneWriter,
            what: format!("{} has several live instances: {}", record.id, told.join(", ")),
        });
    }
    for held in record.identity.interfaces() {
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

/// What of the node's identity an instance holds, if anything.
fn holds_of<'a>(record: &Record, instance: &'a InstanceFact, scene: &Scene<'a>) -> Option<&'a str> {
    let volumes = instance.attachments.iter().map(|a| a.volume.as_str());
    let primary = instance.interface.iter().map(|i| i.as_str());
    let others = scene.world.ours(&record.id, scene.installation).filter_map(|fact| match fact {
        Fact::Volume(v) if v.attached_to.as_ref().is_some_and(|(i, _)| i == &instance.id) => {
            Some(v.id.as_str())
        }
        Fact::Interface(i) if i.attached_to.as_ref() == Some(&instance.id) => Some(i.id.as_str()),
        _ => None,
    });
    volumes.chain(primary).chain(others).find(|id| retention::is_needed(record, id))
}
