//! Everything that can go wrong, by name. Each class has a chance of its own and a stream of
//! chance of its own, so that leaving one out changes no other's draws.

/// A class of faults. The cloud draws most of them itself; the last ones are its driver's, who
/// draws them from the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A market refuses a launch and stays dry for a while.
    Capacity,
    /// A call or a Describe is throttled.
    Throttled,
    /// A call is definitely refused, once.
    Refused,
    /// A call is definitely refused, and so is the same one until faults stop.
    Permanent,
    /// A call meets a state that passes.
    Conflict,
    /// The deed is done, its answer lost.
    LostReply,
    /// The request is lost.
    LostRequest,
    /// A Describe gets no answer.
    LostDescribe,
    /// A change is shown late, now so and now so.
    Stale,
    /// Something new is shown late, now and now not.
    Missing,
    /// A launch takes long.
    SlowLaunch,
    /// An attachment takes long, or is stuck.
    SlowAttach,
    /// A terminated instance keeps its volumes and interface for long.
    SlowDetach,
    /// A termination takes long.
    SlowTerminate,
    /// A snapshot or an image takes long.
    SlowSnapshot,
    /// A snapshot or an image fails.
    FailedSnapshot,
    /// A notice never arrives.
    NoticeLost,
    /// A notice arrives late, after others too.
    NoticeLate,
    /// A notice arrives twice.
    NoticeDoubled,
    /// A notice arrives for an instance that nobody knows.
    NoticeUnknown,
    /// An instance dies while something else is done with its node.
    Death,
    /// Somebody deletes a resource behind Holdfast's back.
    Deleted,
    /// The controller dies between two effects.
    Killed,
    /// A controller starts with a clock that is wrong.
    ClockJump,
    /// The controller stands still for a while.
    Stall,
    /// The store refuses a commit.
    StoreError,
    /// A commit takes longer than the wake that it commits.
    SlowCommit,
    /// A snapshot that a replacement needs hangs for hours.
    StuckSnapshot,
    /// No look shows something of a node that has been given up, for a while.
    Unshown,
    /// The cloud shows nothing at all, or answers no Describe, for minutes or hours.
    Blind,
}

impl Class {
    /// Every class.
    pub const ALL: [Class; 30] = [
        Class::Capacity,
        Class::Throttled,
        Class::Refused,
        Class::Permanent,
        Class::Conflict,
        Class::LostReply,
        Class::LostRequest,
        Class::LostDescribe,
        Class::Stale,
        Class::Missing,
        Class::SlowLaunch,
        Class::SlowAttach,
        Class::SlowDetach,
        Class::SlowTerminate,
        Class::SlowSnapshot,
        Class::FailedSnapshot,
        Class::NoticeLost,
        Class::NoticeLate,
        Class::NoticeDoubled,
        Class::NoticeUnknown,
        Class::Death,
        Class::Deleted,
        Class::Killed,
        Class::ClockJump,
        Class::Stall,
        Class::StoreError,
        Class::SlowCommit,
        Class::StuckSnapshot,
        Class::Unshown,
        Class::Blind,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Class::Capacity => "capacity",
            Class::Throttled => "throttled",
            Class::Refused => "refused",
            Class::Permanent => "permanent",
            Class::Conflict => "conflict",
            Class::LostReply => "lost-reply",
            Class::LostRequest => "lost-request",
            Class::LostDescribe => "lost-describe",
            Class::Stale => "stale",
            Class::Missing => "missing",
            Class::SlowLaunch => "slow-launch",
            Class::SlowAttach => "slow-attach",
            Class::SlowDetach => "slow-detach",
            Class::SlowTerminate => "slow-terminate",
            Class::SlowSnapshot => "slow-snapshot",
            Class::FailedSnapshot => "failed-snapshot",
            Class::NoticeLost => "notice-lost",
            Class::NoticeLate => "notice-late",
            Class::NoticeDoubled => "notice-doubled",
            Class::NoticeUnknown => "notice-unknown",
            Class::Death => "death",
            Class::Deleted => "deleted",
            Class::Killed => "killed",
            Class::ClockJump => "clock-jump",
            Class::Stall => "stall",
            Class::StoreError => "store-error",
            Class::SlowCommit => "slow-commit",
            Class::StuckSnapshot => "stuck-snapshot",
            Class::Unshown => "unshown",
            Class::Blind => "blind",
        }
    }

    /// The class of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Class> {
        Class::ALL.into_iter().find(|class| class.name() == name)
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
