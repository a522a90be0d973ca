//! What is brought about: every kind of replacement, and what is made of them.

use crate::shape::{LIGHT, ROAMING, SNAPSHOTS, Shape, WHOLE, with_other_image};
use crate::simulation::Simulation;
use holdfast_cloud_sim::{SimCloud, SimConfig};
use holdfast_controller::FleetConfig;
use holdfast_model::facts::Health;
use holdfast_model::time::SECOND;
use holdfast_model::user::{Deallocation, Target, UserCommand};
use holdfast_model::{Installation, Kind, Lifecycle, NodeId, Time};

/// The shapes with a name.
pub const SHAPES: [(&str, Shape); 4] =
    [("whole", WHOLE), ("roaming", ROAMING), ("snapshots", SNAPSHOTS), ("light", LIGHT)];

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// A replacement of a kind.
    Of(Kind),
    /// A deletion that selects nothing: the instance is left to its user, and what is kept of the
    /// node goes after its time of grace.
    LetGo,
    /// A deletion that selects the instance alone is taken back.
    Undelete,
}

impl Course {
    /// Every one.
    pub const ALL: [Course; 13] = [
        Course::Of(Kind::Create),
        Course::Of(Kind::Notice),
        Course::Of(Kind::Lost),
        Course::Of(Kind::Unhealthy),
        Course::Of(Kind::Recycle),
        Course::Of(Kind::Revert),
        Course::Of(Kind::Rollback),
        Course::Of(Kind::Pause),
        Course::Of(Kind::Resume),
        Course::Of(Kind::Delete),
        Course::Of(Kind::Tidy),
        Course::LetGo,
        Course::Undelete,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Course::Of(kind) => kind.name(),
            Course::LetGo => "let-go",
            Course::Undelete => "undelete",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Course> {
        Course::ALL.into_iter().find(|course| course.name() == name)
    }

    /// Whether it can be brought about for a node of this shape.
    ///
    /// # Errors
    /// Why not.
    pub fn can_be(self, shape: Shape) -> Result<(), &'static str> {
        match self {
            Course::Of(Kind::Rollback) if !shape.root => {
                Err("its data is one and the same volume: there is nothing to return to")
            }
            Course::Of(Kind::Tidy) if !shape.root && shape.data != Some("onLaunch") => {
                Err("a loss supersedes nothing of it")
            }
            _ => Ok(()),
        }
    }
}

/// A cloud and a controller; no node yet.
pub fn empty(seed: u64, tell: impl FnOnce(&mut FleetConfig)) -> Simulation {
    let mut sim = SimConfig::default();
    with_other_image(&mut sim);
    let mut config = FleetConfig::ec2(Installation::from("0123abcd"));
    tell(&mut config);
    Simulation::new(SimCloud::new(seed, sim), config)
}

/// No capacity (or capacity again) in all markets of a lifecycle, or of a zone.
pub fn drought(sim: &mut Simulation, lifecycle: Option<Lifecycle>, zone: Option<&str>, dry: bool) {
    for price in sim.cloud.catalogue().prices {
        let market = price.market;
        if lifecycle.is_none_or(|l| l == market.lifecycle)
            && zone.is_none_or(|z| z == market.zone.as_str())
        {
            let until = if dry { Time(u64::MAX) } else { Time(0) };
            sim.cloud.drought(&market, until);
        }
    }
}

/// The word that asks for a new node.
#[must_use]
pub fn creation(node: &NodeId, shape: Shape) -> UserCommand {
    UserCommand::Create { id: node.clone(), document: shape.spec() }
}

/// Brings a course about; returns the number of the word that was said, and the word.
///
/// # Errors
/// If the node is in no state for it.
pub fn trigger(
    sim: &mut Simulation,
    node: &NodeId,
    course: Course,
    shape: Shape,
) -> Result<Option<(u64, UserCommand)>, String> {
    let record = sim.record(node);
    let holder = record.as_ref().and_then(|r| r.instance.clone()).map(|h| h.id);
    let now = sim.now;
    let Course::Of(kind) = course else {
        let word = if course == Course::LetGo {
            UserCommand::Delete { id: node.clone(), deallocation: Deallocation::default() }
        } else {
            UserCommand::Undelete { id: node.clone(), accept_loss: false }
        };
        return Ok(Some((sim.say(word.clone()), word)));
    };
    let word = match (kind, holder) {
        (Kind::Create, _) => creation(node, shape),
        (Kind::Notice, Some(id)) => {
            sim.cloud.interrupt(now, &id, Some(120 * SECOND));
            return Ok(None);
        }
        (Kind::Lost, Some(id)) => {
            sim.cloud.kill(now, &id);
            return Ok(None);
        }
        (Kind::Unhealthy, Some(id)) => {
            sim.cloud.set_health(now, &id, Health::Impaired);
            return Ok(None);
        }
        (Kind::Recycle, _) => UserCommand::Recycle(node.clone()),
        // Looked for by itself, once spot has capacity again.
        (Kind::Revert, _) => {
            drought(sim, Some(Lifecycle::Spot), None, false);
            return Ok(None);
        }
        // What could not be deleted can be from now on.
        (Kind::Tidy, _) => {
            sim.cloud.faults().stop();
            return Ok(None);
        }
        (Kind::Rollback, _) => {
            let kept = record.as_ref().and_then(|r| r.kept.final_snapshots.first());
            let Some(kept) = kept else { return Err("no generation is kept".to_owned()) };
            sim.cloud.truth_mut().returns(node);
            let to = Target::Generation(kept.generation);
            UserCommand::Rollback { id: node.clone(), to, data: None }
        }
        (Kind::Pause, _) => UserCommand::Pause(node.clone()),
        (Kind::Resume, _) => UserCommand::Resume(node.clone()),
        (Kind::Delete, _) => {
            sim.cloud.truth_mut().release(node);
            let deallocation = Deallocation::EVERYTHING;
            UserCommand::Delete { id: node.clone(), deallocation }
        }
        (kind, None) => return Err(format!("{} needs an instance", kind.name())),
    };
    Ok(Some((sim.say(word.clone()), word)))
}

/// Whether a course has ended that was brought about when the node had this generation.
#[must_use]
pub fn has_ended(sim: &Simulation, node: &NodeId, course: Course, before: u64) -> bool {
    let record = sim.record(node);
    match course {
        Course::Of(Kind::Delete) | Course::LetGo => record.is_none(),
        Course::Of(Kind::Pause) | Course::Undelete => {
            record.is_some_and(|r| r.status() == "PAUSED" && r.work.is_none())
        }
        Course::Of(Kind::Tidy) => {
            record.is_some_and(|r| r.kept.pending_deletion.is_empty() && r.work.is_none())
        }
        Course::Of(_) => {
            record.is_some_and(|r| r.generations.number() > before && r.status() == "ACTIVE")
        }
    }
}

/// Whether the controller has heard a word that was said when the node's record was this.
#[must_use]
pub fn is_heard(
    sim: &Simulation,
    node: &NodeId,
    word: &UserCommand,
    before: Option<&holdfast_model::Record>,
) -> bool {
    let record = sim.record(node);
    match (word, record, before) {
        (UserCommand::Delete { .. }, None, _) => true,
        (UserCommand::Create { .. }, record, _) => record.is_some(),
        (_, Some(record), Some(before)) => {
            record.lifecycle.goal() != before.lifecycle.goal()
                || record.memory.replacements > before.memory.replacements
                || record.work.is_some()
                || record.lifecycle.wants_recycle()
                || record.identity.rollback.is_some()
        }
        _ => false,
    }
}
