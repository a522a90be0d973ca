//! What people say and do, and what a node was doing when they did: at the full size every
//! combination that can occur must have occurred.
//!
//! The list follows [`UserCommand`]: what a user may say one day does not compile here until it has
//! a name.

use crate::scenario::Mix;
use crate::table::{cell, line};
use crate::tally::Tally;
use holdfast_cloud_sim::Class;
use holdfast_model::record::Goal;
use holdfast_model::user::{Choice, Deallocation, Target, UserCommand};
use holdfast_model::{Kind, Record};
use serde_json::Value;

/// Of a column of the table.
const WIDTH: usize = 11;

/// A word, or a deed at the cloud itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// A node is made.
    Create,
    /// Its spec is changed: instance types, or all of it.
    Update,
    /// Its image is changed.
    UpdateImage,
    /// Its volumes are changed.
    UpdateVolumes,
    /// Its private address is changed.
    UpdateAddress,
    /// It is paused.
    Pause,
    /// It is resumed.
    Resume,
    /// Another instance is asked for.
    Recycle,
    /// Back to a generation.
    RollbackGeneration,
    /// Back to what was taken together with a snapshot.
    RollbackSnapshot,
    /// It is given up, with all that there is of it.
    Delete,
    /// It is given up, and some of it is kept for a while.
    DeletePart,
    /// It is brought back whole.
    Undelete,
    /// It is brought back with what is left.
    UndeleteWithLoss,
    /// One data volume is deleted.
    DeleteVolume,
    /// What the cloud shows of a node that has a record is taken up.
    AdoptKnown,
    /// The same of one that has none.
    AdoptUnknown,
    /// It is waited for longer.
    DecideWait,
    /// It is tried again.
    DecideRetry,
    /// What is lost begins with what is kept.
    DecideRestore,
    /// A volume of the user's is attached to its instance.
    Attach,
    /// It is taken away again.
    TakeAway,
    /// Volumes are set to die with their instance.
    Doom,
    /// The controller's store is lost, and an older one takes its place.
    LoseStore,
}

impl Act {
    /// Every one.
    pub const ALL: [Act; 24] = [
        Act::Create,
        Act::Update,
        Act::UpdateImage,
        Act::UpdateVolumes,
        Act::UpdateAddress,
        Act::Pause,
        Act::Resume,
        Act::Recycle,
        Act::RollbackGeneration,
        Act::RollbackSnapshot,
        Act::Delete,
        Act::DeletePart,
        Act::Undelete,
        Act::UndeleteWithLoss,
        Act::DeleteVolume,
        Act::AdoptKnown,
        Act::AdoptUnknown,
        Act::DecideWait,
        Act::DecideRetry,
        Act::DecideRestore,
        Act::Attach,
        Act::TakeAway,
        Act::Doom,
        Act::LoseStore,
    ];

    /// What a word is.
    #[must_use]
    pub fn of(word: &UserCommand) -> Act {
        match word {
            UserCommand::Create { .. } => Act::Create,
            UserCommand::Update { patch, .. } => Act::of_patch(patch),
            UserCommand::Pause(_) => Act::Pause,
            UserCommand::Resume(_) => Act::Resume,
            UserCommand::Recycle(_) => Act::Recycle,
            UserCommand::Rollback { to: Target::Generation(_), .. } => Act::RollbackGeneration,
            UserCommand::Rollback { to: Target::Snapshot(_), .. } => Act::RollbackSnapshot,
            UserCommand::Delete { deallocation, .. } => match *deallocation {
                Deallocation::EVERYTHING => Act::Delete,
                _ => Act::DeletePart,
            },
            UserCommand::Undelete { accept_loss: false, .. } => Act::Undelete,
            UserCommand::Undelete { accept_loss: true, .. } => Act::UndeleteWithLoss,
            UserCommand::DeleteVolume { .. } => Act::DeleteVolume,
            UserCommand::Adopt { document: None, .. } => Act::AdoptKnown,
            UserCommand::Adopt { document: Some(_), .. } => Act::AdoptUnknown,
            UserCommand::Decide { choice: Choice::Wait, .. } => Act::DecideWait,
            UserCommand::Decide { choice: Choice::Retry, .. } => Act::DecideRetry,
            UserCommand::Decide { choice: Choice::Restore, .. } => Act::DecideRestore,
        }
    }

    fn of_patch(patch: &Value) -> Act {
        let compute = &patch["compute"];
        let launch = &compute["launchSpecification"];
        let has = |of: &Value, key: &str| of.get(key).is_some();
        // A whole document has them all.
        match launch {
            _ if has(launch, "instanceTypes") => Act::Update,
            _ if has(launch, "imageId") => Act::UpdateImage,
            _ if has(launch, "blockDeviceMappings") => Act::UpdateVolumes,
            _ if has(compute, "privateIp") => Act::UpdateAddress,
            _ => Act::Update,
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Act> {
        Act::ALL.into_iter().find(|act| act.name() == name)
    }

    /// For the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Act::Create => "create",
            Act::Update => "update",
            Act::UpdateImage => "update-image",
            Act::UpdateVolumes => "update-volumes",
            Act::UpdateAddress => "update-address",
            Act::Pause => "pause",
            Act::Resume => "resume",
            Act::Recycle => "recycle",
            Act::RollbackGeneration => "rollback",
            Act::RollbackSnapshot => "to-snapshot",
            Act::Delete => "delete",
            Act::DeletePart => "delete-part",
            Act::Undelete => "undelete",
            Act::UndeleteWithLoss => "accept-loss",
            Act::DeleteVolume => "delete-volume",
            Act::AdoptKnown => "adopt",
            Act::AdoptUnknown => "adopt-unknown",
            Act::DecideWait => "decide-wait",
            Act::DecideRetry => "decide-retry",
            Act::DecideRestore => "decide-restore",
            Act::Attach => "attach-volume",
            Act::TakeAway => "take-volume",
            Act::Doom => "set-to-die",
            Act::LoseStore => "lose-store",
        }
    }
}

/// What a node is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doing {
    /// There is no record of it.
    Absent,
    /// It serves.
    Rest,
    /// It serves, and snapshots of it are being taken.
    Snapshots,
    /// It is being replaced, or is on its way up or down.
    Replacement,
    /// It is paused.
    Paused,
    /// It has been given up, and that is being carried out.
    Deleting,
    /// What is left of it waits for the end of its grace.
    Kept,
}

impl Doing {
    /// Every one.
    pub const ALL: [Doing; 7] = [
        Doing::Absent,
        Doing::Rest,
        Doing::Snapshots,
        Doing::Replacement,
        Doing::Paused,
        Doing::Deleting,
        Doing::Kept,
    ];

    /// By its record.
    #[must_use]
    pub fn of(record: Option<&Record>) -> Doing {
        let Some(record) = record else { return Doing::Absent };
        let busy = record.work.as_ref().is_some_and(|r| r.kind != Kind::Tidy);
        match record.lifecycle.goal() {
            Goal::Deleted if record.lifecycle.is_deleted() => Doing::Kept,
            Goal::Deleted => Doing::Deleting,
            _ if busy => Doing::Replacement,
            _ if record.instance.is_some() && record.upkeep.pending.is_some() => Doing::Snapshots,
            _ if record.instance.is_some() => Doing::Rest,
            Goal::Paused => Doing::Paused,
            Goal::Running => Doing::Replacement,
        }
    }

    /// For the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Doing::Absent => "absent",
            Doing::Rest => "at rest",
            Doing::Snapshots => "snapshots",
            Doing::Replacement => "replaced",
            Doing::Paused => "paused",
            Doing::Deleting => "deleting",
            Doing::Kept => "kept",
        }
    }
}

/// Why something cannot be said or done then, if so. What is refused is not counted as said.
///
/// # Errors
/// The reason.
pub fn can_be(act: Act, doing: Doing) -> Result<(), &'static str> {
    let given_up = matches!(doing, Doing::Deleting | Doing::Kept);
    match act {
        Act::LoseStore => Err("it happens to all nodes at once, and is no word of any"),
        Act::AdoptUnknown if doing != Doing::Absent => Err("it has a record"),
        Act::AdoptUnknown => Ok(()),
        Act::Create if doing != Doing::Absent => Err("it has a record"),
        Act::Create => Ok(()),
        _ if doing == Doing::Absent => Err("there is nobody to say it to"),
        Act::Undelete | Act::UndeleteWithLoss if !given_up => Err("it has not been given up"),
        Act::UndeleteWithLoss if doing == Doing::Deleting => Err("nothing is lost yet"),
        Act::Undelete | Act::UndeleteWithLoss => Ok(()),
        Act::DecideWait | Act::DecideRetry if doing == Doing::Deleting => Ok(()),
        _ if given_up => Err("a node that was given up hears only that it comes back"),
        Act::DeleteVolume if doing != Doing::Paused => Err("its volume is in use, or may be"),
        Act::DecideWait | Act::DecideRetry | Act::DecideRestore if doing != Doing::Replacement => {
            Err("only a replacement asks")
        }
        Act::Attach | Act::TakeAway | Act::Doom if doing == Doing::Paused => {
            Err("it has no instance")
        }
        _ => Ok(()),
    }
}

/// Faults that hit the fleet as a whole: what each node was doing meanwhile is counted too.
pub const OF_ALL: [Class; 4] = [Class::Killed, Class::ClockJump, Class::Stall, Class::Blind];

/// Combinations that could have occurred in a mix, and did not.
#[must_use]
pub fn holes(tally: &Tally, mix: &Mix) -> Vec<String> {
    let mut holes = Vec::new();
    // Only what is not deleted at once is kept for a while.
    let is_met = |doing: &Doing| *doing != Doing::Kept || mix.acts.contains(&Act::DeletePart);
    for act in mix.acts.iter().copied() {
        for doing in Doing::ALL.into_iter().filter(is_met) {
            let count = tally.acts.get(&(act, doing)).copied().unwrap_or_default();
            if count == 0 && can_be(act, doing).is_ok() {
                holes.push(format!("{} of a node that is {}", act.name(), doing.name()));
            }
        }
    }
    for class in OF_ALL.into_iter().filter(|class| mix.classes.contains(class)) {
        for doing in Doing::ALL.into_iter().filter(|d| *d != Doing::Absent && is_met(d)) {
            if tally.met.get(&(class, doing)).copied().unwrap_or_default() == 0 {
                holes.push(format!("{class} while a node is {}", doing.name()));
            }
        }
    }
    holes
}

/// The tables of people's acts, and of the faults of the whole fleet, by what a node was doing.
#[must_use]
pub fn render(tally: &Tally) -> String {
    let mut text = String::new();
    line(&mut text, "act", WIDTH, Doing::ALL.map(|doing| doing.name().to_owned()));
    for act in Act::ALL {
        let cells = Doing::ALL.map(|doing| {
            let count = tally.acts.get(&(act, doing)).copied().unwrap_or_default();
            cell(count, can_be(act, doing).is_ok())
        });
        line(&mut text, act.name(), WIDTH, cells);
    }
    for class in OF_ALL {
        let cells = Doing::ALL.map(|doing| {
            let count = tally.met.get(&(class, doing)).copied().unwrap_or_default();
            cell(count, doing != Doing::Absent)
        });
        line(&mut text, class.name(), WIDTH, cells);
    }
    text
}
