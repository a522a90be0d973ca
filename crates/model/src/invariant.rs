//! What may never happen, and what must: the names by which the simulation's ground truth, the
//! engine and the fleet speak of it.

use serde::{Deserialize, Serialize};

/// An invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Invariant {
    /// Never two instances that can write to one volume, never two generations that serve.
    OneWriter,
    /// Never an acknowledged write lost.
    NoWriteLost,
    /// Never the last copy of a volume's content deleted.
    LastCopyKept,
    /// Never a persisted address, interface, mount or device name changed.
    IdentityKept,
    /// Never a resource made and forgotten.
    NothingForgotten,
    /// Never anything changed that is not, or not yet, this node's.
    OthersLeftAlone,
    /// Never more snapshots kept, or more calls made, than the rules allow.
    WithinLimits,
    /// Never a node that waits and does not say for what.
    UserTold,
    /// Never a call that is not, byte for byte, in a durable record.
    CommitBeforeAct,
    /// Never the number of a generation given to two launches that may have come to something.
    GenerationOnce,
    /// Never a launch that leaves for the first time after its user has said that none is wanted.
    NoUnwantedLaunch,
    /// Never a time of grace that a jump of the clock ends.
    GraceKept,
    /// Never an instance ended with which a kept volume would die.
    VolumesOutlive,
    /// Never a loss that an undelete does not name.
    LossesNamed,
    /// Never a choice offered that is refused, or leads nowhere.
    ChoicesWork,
    /// Never a node that waits for what is so already.
    NoLostWake,
    /// Never a plan that goes on and on without coming to rest.
    PlanSettles,
    /// Never a row done again after whose end the old generation is no more.
    RowsStayDone,
    /// Never a token used for another request while the first may have left.
    TokenOnce,
    /// Never a root's newest content said to be elsewhere before its instance can write no more.
    HeadAfterFence,
    /// Once faults stop, every node reaches what its spec asks for, within a named time.
    Converges,
}

impl Invariant {
    /// Every invariant.
    pub const ALL: [Invariant; 21] = [
        Invariant::OneWriter,
        Invariant::NoWriteLost,
        Invariant::LastCopyKept,
        Invariant::IdentityKept,
        Invariant::NothingForgotten,
        Invariant::OthersLeftAlone,
        Invariant::WithinLimits,
        Invariant::UserTold,
        Invariant::CommitBeforeAct,
        Invariant::GenerationOnce,
        Invariant::NoUnwantedLaunch,
        Invariant::GraceKept,
        Invariant::VolumesOutlive,
        Invariant::LossesNamed,
        Invariant::ChoicesWork,
        Invariant::NoLostWake,
        Invariant::PlanSettles,
        Invariant::RowsStayDone,
        Invariant::TokenOnce,
        Invariant::HeadAfterFence,
        Invariant::Converges,
    ];

    /// Its stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Invariant::OneWriter => "one-writer",
            Invariant::NoWriteLost => "no-write-lost",
            Invariant::LastCopyKept => "last-copy-kept",
            Invariant::IdentityKept => "identity-kept",
            Invariant::NothingForgotten => "nothing-forgotten",
            Invariant::OthersLeftAlone => "others-left-alone",
            Invariant::WithinLimits => "within-limits",
            Invariant::UserTold => "user-told",
            Invariant::CommitBeforeAct => "commit-before-act",
            Invariant::GenerationOnce => "generation-once",
            Invariant::NoUnwantedLaunch => "no-unwanted-launch",
            Invariant::GraceKept => "grace-kept",
            Invariant::VolumesOutlive => "volumes-outlive",
            Invariant::LossesNamed => "losses-named",
            Invariant::ChoicesWork => "choices-work",
            Invariant::NoLostWake => "no-lost-wake",
            Invariant::PlanSettles => "plan-settles",
            Invariant::RowsStayDone => "rows-stay-done",
            Invariant::TokenOnce => "token-once",
            Invariant::HeadAfterFence => "head-after-fence",
            Invariant::Converges => "converges",
        }
    }
}

impl std::fmt::Display for Invariant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
