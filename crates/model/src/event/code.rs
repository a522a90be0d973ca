//! The codes of events: what programs may rely on.

use crate::{Kind, Severity};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// What an event is about. Its name is stable; a store keeps it by that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventCode {
    /// A replacement of this kind has begun, or goes on as one; the name is the kind's.
    Begun(Kind),
    /// An address or interface that the spec keeps no longer was given back.
    AddressGivenBack,
    /// The node has an interface whose address it keeps.
    AddressKept,
    /// A person had the node taken up from what the cloud shows.
    Adopted,
    /// A replacement that nobody asked for waits, for the fleet has begun as many as it may in an hour.
    Braked,
    /// A call was refused and is tried again.
    CallRetried,
    /// A volume was deleted from outside; a person may restore it from what is kept.
    CanBeRestored,
    /// The node was created.
    Created,
    /// A person answered a question.
    Decided,
    /// A deletion was asked for.
    DeleteAsked,
    /// The shutdown script was ended before it was done.
    DrainEnded,
    /// The shutdown script failed.
    DrainFailed,
    /// The Elastic IP leads to the node.
    ElasticIp,
    /// A damaged record of which the cloud shows nothing was deleted.
    Forgotten,
    /// An instance that was taken for lost was only hidden, and serves on.
    FoundAgain,
    /// Nothing in the fleet is changed until the freeze is lifted.
    Frozen,
    /// The spec names another image: the next root begins with it.
    ImageChanged,
    /// A kept interface that was deleted from outside is made again.
    InterfaceAgain,
    /// A kept interface was deleted from outside.
    InterfaceLost,
    /// What may never happen was seen: nothing more is done with this node.
    InvariantBroken,
    /// Something was to be deleted and is still needed: it stays.
    Kept,
    /// An instance ended before its launch was answered.
    LaunchLost,
    /// What a call had made was gone before it was used; it is made anew.
    MadeAnew,
    /// A market has no capacity or quota; another one is looked for.
    MarketRefused,
    /// The node cannot go on without a person.
    NeedsDecision,
    /// No market has capacity.
    NoMarket,
    /// There is no room for a volume or a snapshot.
    NoRoom,
    /// The spec has members that this version keeps and does not act on.
    NotActedOn,
    /// A deletion was refused, and is tried again later.
    NotDeleted,
    /// Our tags could not be taken off something that is let go.
    NotUntagged,
    /// A pause was asked for.
    PauseAsked,
    /// The market of the next instance is chosen.
    Placed,
    /// The cloud shows what the record does not know: the node is left alone until a person has it adopted.
    Quarantined,
    /// A recycle was asked for.
    RecycleAsked,
    /// A replacement is complete.
    ReplacementDone,
    /// A replacement was overtaken.
    ReplacementOvertaken,
    /// A resume was asked for.
    ResumeAsked,
    /// No spot market has capacity: the node stays on demand.
    RevertPostponed,
    /// A rollback was asked for.
    RollbackAsked,
    /// An earlier content is the beginning of the next generation.
    RolledBack,
    /// A row of a replacement is done.
    RowDone,
    /// Snapshots of the running node succeed again.
    SnapshotsAgain,
    /// Snapshots of the running node failed.
    SnapshotsFailed,
    /// A newer spec is followed from here on.
    SpecTakenUp,
    /// An instance that stands by is asked for in another market.
    StandbyElsewhere,
    /// The instance that stood by was lost.
    StandbyLost,
    /// No instance stands by; the old one ends first.
    StandbyRefused,
    /// The freeze was lifted.
    Thawed,
    /// A deletion was taken back.
    UndeleteAsked,
    /// An event of the store cannot be read.
    UnreadableEvent,
    /// The node goes on by itself.
    Unstuck,
    /// The spec was changed.
    Updated,
    /// A volume that was lost begins anew from what is kept of it.
    VolumeAgain,
    /// A data volume was deleted, as was asked.
    VolumeDeleted,
    /// A volume that a user attached belongs to the node.
    VolumeJoined,
    /// A volume that a user had attached has left the node.
    VolumeLeft,
    /// What the spec keeps cannot leave its zone.
    ZonePinned,
}

impl EventCode {
    /// Every code: the kinds of replacement first.
    #[must_use]
    pub fn all() -> Vec<EventCode> {
        let begun = Kind::ALL.into_iter().map(EventCode::Begun);
        begun.chain(OTHERS.iter().map(|(code, ..)| *code)).collect()
    }

    fn other(self) -> Option<&'static Other> {
        OTHERS.iter().find(|(code, ..)| *code == self)
    }

    /// The name on the wire and in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            EventCode::Begun(kind) => kind.name(),
            other => other.other().map_or("", |(_, name, ..)| name),
        }
    }

    /// How grave an event with this code is.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            EventCode::Begun(Kind::Notice | Kind::Lost | Kind::Unhealthy) => Severity::Warn,
            EventCode::Begun(_) => Severity::Info,
            other => other.other().map_or(Severity::Info, |(_, _, severity, _)| *severity),
        }
    }

    /// What such an event says, in a sentence.
    #[must_use]
    pub fn says(self) -> &'static str {
        match self {
            EventCode::Begun(Kind::Create) => "A new node is made.",
            EventCode::Begun(Kind::Notice) => "The cloud takes the instance back soon.",
            EventCode::Begun(Kind::Lost) => "The instance is lost.",
            EventCode::Begun(Kind::Unhealthy) => "The instance fails its status check.",
            EventCode::Begun(Kind::Recycle) => "The user wants another instance.",
            EventCode::Begun(Kind::Revert) => "The node goes back from on-demand to spot.",
            EventCode::Begun(Kind::Rollback) => "The user returns to an earlier content.",
            EventCode::Begun(Kind::Pause) => "The node is being paused.",
            EventCode::Begun(Kind::Resume) => "The node is being resumed.",
            EventCode::Begun(Kind::Delete) => "The node is being deleted.",
            EventCode::Begun(Kind::Tidy) => "What is left over is deleted.",
            other => other.other().map_or("", |(.., says)| says),
        }
    }

    /// The code with this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<EventCode> {
        EventCode::all().into_iter().find(|code| code.name() == name)
    }
}

/// A code, its name, how grave it is, and what it says.
type Other = (EventCode, &'static str, Severity, &'static str);

#[rustfmt::skip]
const OTHERS: &[Other] = &[
    (EventCode::AddressGivenBack, "address-given-back", Severity::Info,
        "An address or interface that the spec keeps no longer was given back."),
    (EventCode::AddressKept, "address-kept", Severity::Info,
        "The node has an interface whose address it keeps."),
    (EventCode::Adopted, "adopted", Severity::Warn,
        "A person had the node taken up from what the cloud shows."),
    (EventCode::Braked, "braked", Severity::Info,
        "A replacement that nobody asked for waits, for the fleet has begun as many as it may in an hour."),
    (EventCode::CallRetried, "call-retried", Severity::Warn,
        "A call was refused and is tried again."),
    (EventCode::CanBeRestored, "can-be-restored", Severity::Error,
        "A volume was deleted from outside; a person may restore it from what is kept."),
    (EventCode::Created, "created", Severity::Info,
        "The node was created."),
    (EventCode::Decided, "decided", Severity::Info,
        "A person answered a question."),
    (EventCode::DeleteAsked, "delete-asked", Severity::Info,
        "A deletion was asked for."),
    (EventCode::DrainEnded, "drain-ended", Severity::Warn,
        "The shutdown script was ended before it was done."),
    (EventCode::DrainFailed, "drain-failed", Severity::Warn,
        "The shutdown script failed."),
    (EventCode::ElasticIp, "elastic-ip", Severity::Info,
        "The Elastic IP leads to the node."),
    (EventCode::Forgotten, "forgotten", Severity::Warn,
        "A damaged record of which the cloud shows nothing was deleted."),
    (EventCode::FoundAgain, "found-again", Severity::Info,
        "An instance that was taken for lost was only hidden, and serves on."),
    (EventCode::Frozen, "frozen", Severity::Error,
        "Nothing in the fleet is changed until the freeze is lifted."),
    (EventCode::ImageChanged, "image-changed", Severity::Warn,
        "The spec names another image: the next root begins with it."),
    (EventCode::InterfaceAgain, "interface-again", Severity::Warn,
        "A kept interface that was deleted from outside is made again."),
    (EventCode::InterfaceLost, "interface-lost", Severity::Warn,
        "A kept interface was deleted from outside."),
    (EventCode::InvariantBroken, "invariant-broken", Severity::Error,
        "What may never happen was seen: nothing more is done with this node."),
    (EventCode::Kept, "kept", Severity::Warn,
        "Something was to be deleted and is still needed: it stays."),
    (EventCode::LaunchLost, "launch-lost", Severity::Warn,
        "An instance ended before its launch was answered."),
    (EventCode::MadeAnew, "made-anew", Severity::Warn,
        "What a call had made was gone before it was used; it is made anew."),
    (EventCode::MarketRefused, "market-refused", Severity::Warn,
        "A market has no capacity or quota; another one is looked for."),
    (EventCode::NeedsDecision, "needs-decision", Severity::Error,
        "The node cannot go on without a person."),
    (EventCode::NoMarket, "no-market", Severity::Warn,
        "No market has capacity."),
    (EventCode::NoRoom, "no-room", Severity::Warn,
        "There is no room for a volume or a snapshot."),
    (EventCode::NotActedOn, "not-acted-on", Severity::Warn,
        "The spec has members that this version keeps and does not act on."),
    (EventCode::NotDeleted, "not-deleted", Severity::Warn,
        "A deletion was refused, and is tried again later."),
    (EventCode::NotUntagged, "not-untagged", Severity::Warn,
        "Our tags could not be taken off something that is let go."),
    (EventCode::PauseAsked, "pause-asked", Severity::Info,
        "A pause was asked for."),
    (EventCode::Placed, "placed", Severity::Info,
        "The market of the next instance is chosen."),
    (EventCode::Quarantined, "quarantined", Severity::Error,
        "The cloud shows what the record does not know: the node is left alone until a person has it adopted."),
    (EventCode::RecycleAsked, "recycle-asked", Severity::Info,
        "A recycle was asked for."),
    (EventCode::ReplacementDone, "replacement-done", Severity::Info,
        "A replacement is complete."),
    (EventCode::ReplacementOvertaken, "replacement-overtaken", Severity::Warn,
        "A replacement was overtaken."),
    (EventCode::ResumeAsked, "resume-asked", Severity::Info,
        "A resume was asked for."),
    (EventCode::RevertPostponed, "revert-postponed", Severity::Info,
        "No spot market has capacity: the node stays on demand."),
    (EventCode::RollbackAsked, "rollback-asked", Severity::Info,
        "A rollback was asked for."),
    (EventCode::RolledBack, "rolled-back", Severity::Warn,
        "An earlier content is the beginning of the next generation."),
    (EventCode::RowDone, "row-done", Severity::Debug,
        "A row of a replacement is done."),
    (EventCode::SnapshotsAgain, "snapshots-again", Severity::Info,
        "Snapshots of the running node succeed again."),
    (EventCode::SnapshotsFailed, "snapshots-failed", Severity::Warn,
        "Snapshots of the running node failed."),
    (EventCode::SpecTakenUp, "spec-taken-up", Severity::Info,
        "A newer spec is followed from here on."),
    (EventCode::StandbyElsewhere, "standby-elsewhere", Severity::Info,
        "An instance that stands by is asked for in another market."),
    (EventCode::StandbyLost, "standby-lost", Severity::Warn,
        "The instance that stood by was lost."),
    (EventCode::StandbyRefused, "standby-refused", Severity::Info,
        "No instance stands by; the old one ends first."),
    (EventCode::Thawed, "thawed", Severity::Info,
        "The freeze was lifted."),
    (EventCode::UndeleteAsked, "undelete-asked", Severity::Info,
        "A deletion was taken back."),
    (EventCode::UnreadableEvent, "unreadable-event", Severity::Warn,
        "An event of the store cannot be read."),
    (EventCode::Unstuck, "unstuck", Severity::Info,
        "The node goes on by itself."),
    (EventCode::Updated, "updated", Severity::Info,
        "The spec was changed."),
    (EventCode::VolumeAgain, "volume-again", Severity::Warn,
        "A volume that was lost begins anew from what is kept of it."),
    (EventCode::VolumeDeleted, "volume-deleted", Severity::Info,
        "A data volume was deleted, as was asked."),
    (EventCode::VolumeJoined, "volume-joined", Severity::Info,
        "A volume that a user attached belongs to the node."),
    (EventCode::VolumeLeft, "volume-left", Severity::Info,
        "A volume that a user had attached has left the node."),
    (EventCode::ZonePinned, "zone-pinned", Severity::Warn,
        "What the spec keeps cannot leave its zone."),
];

impl fmt::Display for EventCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl PartialEq<&str> for EventCode {
    fn eq(&self, name: &&str) -> bool {
        self.name() == *name
    }
}

impl PartialEq<str> for EventCode {
    fn eq(&self, name: &str) -> bool {
        self.name() == name
    }
}

impl Serialize for EventCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for EventCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<EventCode, D::Error> {
        let name = String::deserialize(deserializer)?;
        EventCode::of_name(&name).ok_or_else(|| {
            serde::de::Error::custom(format!("there is no event {name:?} in this version"))
        })
    }
}
