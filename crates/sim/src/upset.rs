//! One fault at one deed of the controller: the points at which a replacement can be upset.

use holdfast_cloud_sim::Fault;

/// What the controller does, in the order in which it does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// It commits a record.
    Commit,
    /// A request leaves.
    Call(&'static str),
    /// It looks.
    Look,
}

impl Deed {
    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Deed::Commit => "commit",
            Deed::Call(action) => action,
            Deed::Look => "look",
        }
    }
}

/// What happens at a deed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Upset {
    /// The controller dies, and the deed is not done.
    DiesBefore,
    /// The controller dies, and the deed is done.
    DiesAfter,
    /// The store refuses the commit.
    CommitFails,
    /// The commit is durable at once and takes ten seconds to say so.
    CommitIsSlow,
    /// The request is refused.
    Refused,
    /// The market has no capacity for this launch.
    Capacity,
    /// The request is throttled.
    Throttled,
    /// The request meets a state that passes.
    Conflict,
    /// The request is lost.
    LostRequest,
    /// The request is carried out, and its answer is lost.
    LostReply,
    /// What the request makes or changes is shown late.
    ShownLate,
    /// What the request sets going is stuck for twenty minutes.
    Stuck,
    /// The snapshot or the image that the request makes fails.
    Fails,
    /// The node's oldest instance that lives dies as the request leaves.
    InstanceDies,
    /// Of two instances of the node that live, the newest dies as the request leaves.
    NextDies,
    /// The node's newest instance is announced to be taken back as the request leaves.
    Notice,
    /// The look gets no answer.
    LookLost,
    /// The look shows what the same one has shown before, if that is not longer ago than EC2 may
    /// be behind.
    LookStale,
}

impl Upset {
    /// Every one.
    pub const ALL: [Upset; 18] = [
        Upset::DiesBefore,
        Upset::DiesAfter,
        Upset::CommitFails,
        Upset::CommitIsSlow,
        Upset::Refused,
        Upset::Capacity,
        Upset::Throttled,
        Upset::Conflict,
        Upset::LostRequest,
        Upset::LostReply,
        Upset::ShownLate,
        Upset::Stuck,
        Upset::Fails,
        Upset::InstanceDies,
        Upset::NextDies,
        Upset::Notice,
        Upset::LookLost,
        Upset::LookStale,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Upset::DiesBefore => "dies-before",
            Upset::DiesAfter => "dies-after",
            Upset::CommitFails => "commit-fails",
            Upset::CommitIsSlow => "commit-is-slow",
            Upset::Refused => "refused",
            Upset::Capacity => "capacity",
            Upset::Throttled => "throttled",
            Upset::Conflict => "conflict",
            Upset::LostRequest => "lost-request",
            Upset::LostReply => "lost-reply",
            Upset::ShownLate => "shown-late",
            Upset::Stuck => "stuck",
            Upset::Fails => "fails",
            Upset::InstanceDies => "instance-dies",
            Upset::NextDies => "next-dies",
            Upset::Notice => "notice",
            Upset::LookLost => "look-lost",
            Upset::LookStale => "look-stale",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Upset> {
        Upset::ALL.into_iter().find(|upset| upset.name() == name)
    }

    /// Whether it can happen at a deed.
    #[must_use]
    pub fn can_hit(self, deed: Deed) -> bool {
        let action = match (self, deed) {
            (Upset::DiesBefore | Upset::DiesAfter, _) => return deed != Deed::Look,
            (Upset::CommitFails | Upset::CommitIsSlow, _) => return deed == Deed::Commit,
            (Upset::LookLost | Upset::LookStale, _) => return deed == Deed::Look,
            (_, Deed::Call(action)) => action,
            (_, Deed::Commit | Deed::Look) => return false,
        };
        match self {
            Upset::Capacity => matches!(action, "RunInstances" | "Probe"),
            Upset::Fails => {
                matches!(action, "CreateSnapshot" | "CreateSnapshots" | "RegisterImage")
            }
            // What is looked at by its deeds alone is shown nowhere.
            Upset::ShownLate => !matches!(action, "Drain" | "Probe"),
            Upset::Stuck => matches!(
                action,
                "RunInstances"
                    | "TerminateInstances"
                    | "AttachVolume"
                    | "DetachVolume"
                    | "CreateSnapshot"
                    | "CreateSnapshots"
                    | "RegisterImage"
            ),
            _ => true,
        }
    }

    /// What the cloud makes of the request.
    pub(crate) fn fault(self) -> Option<Fault> {
        Some(match self {
            Upset::Refused => Fault::refused(),
            Upset::Capacity => Fault::capacity(),
            Upset::Throttled => Fault::Throttled,
            Upset::Conflict => Fault::conflict(),
            Upset::LostRequest => Fault::LostRequest,
            Upset::LostReply => Fault::LostReply,
            Upset::ShownLate => Fault::ShownLate,
            Upset::Stuck => Fault::Stuck,
            Upset::Fails => Fault::Fails,
            _ => return None,
        })
    }
}
