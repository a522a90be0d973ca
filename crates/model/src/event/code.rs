//! The codes of events: what programs may rely on.

use crate::{Kind, Severity};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Makes the enum of its table: each code with its name, how grave it is, and what it says.
macro_rules! codes {
    ($($code:ident $name:literal $severity:ident $says:literal,)*) => {
        /// What an event is about. Its name is stable; a store keeps it by that name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventCode {
            /// A replacement of this kind has begun, or goes on as one; the name is the kind's.
            Begun(Kind),
            $(#[doc = $says] $code,)*
        }

        impl EventCode {
            /// Every code: the kinds of replacement first.
            pub fn all() -> impl Iterator<Item = EventCode> {
                Kind::ALL.into_iter().map(EventCode::Begun).chain([$(EventCode::$code),*])
            }

            /// The name on the wire and in the store.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    EventCode::Begun(kind) => kind.name(),
                    $(EventCode::$code => $name,)*
                }
            }

            /// How grave an event with this code is.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self {
                    EventCode::Begun(Kind::Notice | Kind::Lost | Kind::Unhealthy) => Severity::Warn,
                    EventCode::Begun(_) => Severity::Info,
                    $(EventCode::$code => Severity::$severity,)*
                }
            }

            /// What such an event says, in a sentence.
            #[must_use]
            pub fn says(self) -> &'static str {
                match self {
                    EventCode::Begun(kind) => begun(kind),
                    $(EventCode::$code => $says,)*
                }
            }
        }
    };
}

codes! {
    AddressGivenBack "address-given-back" Info "An address or interface that the spec keeps no longer was given back.",
    AddressKept "address-kept" Info "The node has an interface whose address it keeps.",
    Adopted "adopted" Warn "A person had the node taken up from what the cloud shows.",
    Braked "braked" Info "A replacement that nobody asked for waits, for the fleet has begun as many as it may in an hour.",
    CallRetried "call-retried" Warn "A call was refused and is tried again.",
    CanBeRestored "can-be-restored" Error "A volume was deleted from outside; a person may restore it from what is kept.",
    Created "created" Info "The node was created.",
    Decided "decided" Info "A person answered a question.",
    DeleteAsked "delete-asked" Info "A deletion was asked for.",
    DrainEnded "drain-ended" Warn "The shutdown script was ended before it was done.",
    DrainFailed "drain-failed" Warn "The shutdown script failed.",
    ElasticIp "elastic-ip" Info "The Elastic IP leads to the node.",
    Forgotten "forgotten" Warn "A damaged record of which the cloud shows nothing was deleted.",
    FoundAgain "found-again" Info "An instance that was taken for lost was only hidden, and serves on.",
    Frozen "frozen" Error "Nothing in the fleet is changed until the freeze is lifted.",
    ImageChanged "image-changed" Warn "The spec names another image: the next root begins with it.",
    InterfaceAgain "interface-again" Warn "A kept interface that was deleted from outside is made again.",
    InterfaceLost "interface-lost" Warn "A kept interface was deleted from outside.",
    InvariantBroken "invariant-broken" Error "What may never happen was seen: nothing more is done with this node.",
    Kept "kept" Warn "Something was to be deleted and is still needed: it stays.",
    LaunchLost "launch-lost" Warn "An instance ended before its launch was answered.",
    MadeAnew "made-anew" Warn "What a call had made was gone before it was used; it is made anew.",
    MarketRefused "market-refused" Warn "A market has no capacity or quota; another one is looked for.",
    NeedsDecision "needs-decision" Error "The node cannot go on without a person.",
    NoMarket "no-market" Warn "No market has capacity.",
    NoRoom "no-room" Warn "There is no room for a volume or a snapshot.",
    NotActedOn "not-acted-on" Warn "The spec has members that this version keeps and does not act on.",
    NotDeleted "not-deleted" Warn "A deletion was refused, and is tried again later.",
    NotUntagged "not-untagged" Warn "Our tags could not be taken off something that is let go.",
    PauseAsked "pause-asked" Info "A pause was asked for.",
    Placed "placed" Info "The market of the next instance is chosen.",
    Quarantined "quarantined" Error "The cloud shows what the record does not know: the node is left alone until a person has it adopted.",
    RecycleAsked "recycle-asked" Info "A recycle was asked for.",
    ReplacementDone "replacement-done" Info "A replacement is complete.",
    ReplacementOvertaken "replacement-overtaken" Warn "A replacement was overtaken.",
    ResumeAsked "resume-asked" Info "A resume was asked for.",
    RevertPostponed "revert-postponed" Info "No spot market has capacity: the node stays on demand.",
    RollbackAsked "rollback-asked" Info "A rollback was asked for.",
    RolledBack "rolled-back" Warn "An earlier content is the beginning of the next generation.",
    RowDone "row-done" Debug "A row of a replacement is done.",
    SnapshotsAgain "snapshots-again" Info "Snapshots of the running node succeed again.",
    SnapshotsFailed "snapshots-failed" Warn "Snapshots of the running node failed.",
    SpecTakenUp "spec-taken-up" Info "A newer spec is followed from here on.",
    StandbyElsewhere "standby-elsewhere" Info "An instance that stands by is asked for in another market.",
    StandbyLost "standby-lost" Warn "The instance that stood by was lost.",
    StandbyRefused "standby-refused" Info "No instance stands by; the old one ends first.",
    Thawed "thawed" Info "The freeze was lifted.",
    UndeleteAsked "undelete-asked" Info "A deletion was taken back.",
    UnreadableEvent "unreadable-event" Warn "An event of the store cannot be read.",
    Unstuck "unstuck" Info "The node goes on by itself.",
    Updated "updated" Info "The spec was changed.",
    VolumeAgain "volume-again" Warn "A volume that was lost begins anew from what is kept of it.",
    VolumeDeleted "volume-deleted" Info "A data volume was deleted, as was asked.",
    VolumeJoined "volume-joined" Info "A volume that a user attached belongs to the node.",
    VolumeLeft "volume-left" Info "A volume that a user had attached has left the node.",
    ZonePinned "zone-pinned" Warn "What the spec keeps cannot leave its zone.",
}

/// What the beginning of a replacement says.
fn begun(kind: Kind) -> &'static str {
    match kind {
        Kind::Create => "A new node is made.",
        Kind::Notice => "The cloud takes the instance back soon.",
        Kind::Lost => "The instance is lost.",
        Kind::Unhealthy => "The instance fails its status check.",
        Kind::Recycle => "The user wants another instance.",
        Kind::Revert => "The node goes back from on-demand to spot.",
        Kind::Rollback => "The user returns to an earlier content.",
        Kind::Pause => "The node is being paused.",
        Kind::Resume => "The node is being resumed.",
        Kind::Delete => "The node is being deleted.",
        Kind::Tidy => "What is left over is deleted.",
    }
}

impl EventCode {
    /// The code with this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<EventCode> {
        EventCode::all().find(|code| code.name() == name)
    }
}

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
