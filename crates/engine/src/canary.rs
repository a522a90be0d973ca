//! Bugs that can be planted on purpose, so that the simulation proves that it would find them.
//!
//! **Invariant:** nothing but the simulation ever sets [`crate::Tuning::canary`].

use crate::replacement::RowSpec;
use holdfast_model::{Invariant, Row};

/// A bug that can be planted. Those that are calls gone wrong are planted between the fleet and
/// its cloud, by the simulation; the others are asked for where the decision is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Canary {
    /// The next instance is launched before the old one can write no more.
    LaunchBeforeFence,
    /// Snapshots are begun while the old instance still writes.
    CaptureBeforeFence,
    /// A repeated request gets a new token.
    NewTokenOnRetry,
    /// The interface that is kept is forgotten at a replacement.
    ForgetInterface,
    /// The last snapshot is deleted before anything was made from it.
    DeleteLastSnapshot,
    /// Data volumes are detached by force from an instance that writes.
    ForceDetach,
    /// Without spot capacity, on-demand is not tried.
    MissingFallback,
    /// Calls leave before their record is durable.
    ActBeforeCommit,
    /// A resource that one read does not show is taken as gone.
    NotFoundIsGone,
    /// The gate opens before the volumes are mounted.
    GateBeforeVolumes,
    /// After a loss the root goes back to the image of before.
    OlderRoot,
    /// A kept root dies with its instance.
    RootDiesWithInstance,
    /// Final snapshots never expire.
    SnapshotsPileUp,
    /// A market that refused is asked again at once.
    NoCooldown,
    /// A node that waits does not say for what.
    SilentWait,
    /// What an overtaken replacement has made is forgotten.
    ForgetOvertaken,
    /// Of the snapshots taken while a node runs, the newest are deleted and not the oldest.
    DeleteNewestSet,
}

impl Canary {
    /// Every canary.
    pub const ALL: [Canary; 17] = [
        Canary::LaunchBeforeFence,
        Canary::CaptureBeforeFence,
        Canary::NewTokenOnRetry,
        Canary::ForgetInterface,
        Canary::DeleteLastSnapshot,
        Canary::ForceDetach,
        Canary::MissingFallback,
        Canary::ActBeforeCommit,
        Canary::NotFoundIsGone,
        Canary::GateBeforeVolumes,
        Canary::OlderRoot,
        Canary::RootDiesWithInstance,
        Canary::SnapshotsPileUp,
        Canary::NoCooldown,
        Canary::SilentWait,
        Canary::ForgetOvertaken,
        Canary::DeleteNewestSet,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Canary::LaunchBeforeFence => "launch-before-fence",
            Canary::CaptureBeforeFence => "capture-before-fence",
            Canary::NewTokenOnRetry => "new-token-on-retry",
            Canary::ForgetInterface => "forget-interface",
            Canary::DeleteLastSnapshot => "delete-last-snapshot",
            Canary::ForceDetach => "force-detach",
            Canary::MissingFallback => "missing-fallback",
            Canary::ActBeforeCommit => "act-before-commit",
            Canary::NotFoundIsGone => "not-found-is-gone",
            Canary::GateBeforeVolumes => "gate-before-volumes",
            Canary::OlderRoot => "older-root",
            Canary::RootDiesWithInstance => "root-dies-with-instance",
            Canary::SnapshotsPileUp => "snapshots-pile-up",
            Canary::NoCooldown => "no-cooldown",
            Canary::SilentWait => "silent-wait",
            Canary::ForgetOvertaken => "forget-overtaken",
            Canary::DeleteNewestSet => "delete-newest-set",
        }
    }

    /// The canary of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Canary> {
        Canary::ALL.into_iter().find(|canary| canary.name() == name)
    }

    /// The invariant that it must trip.
    #[must_use]
    pub fn trips(self) -> Invariant {
        match self {
            Canary::LaunchBeforeFence => Invariant::OneWriter,
            Canary::CaptureBeforeFence
            | Canary::ForceDetach
            | Canary::GateBeforeVolumes
            | Canary::OlderRoot => Invariant::NoWriteLost,
            Canary::NewTokenOnRetry | Canary::NotFoundIsGone | Canary::ForgetOvertaken => {
                Invariant::NothingForgotten
            }
            Canary::ForgetInterface => Invariant::IdentityKept,
            Canary::DeleteLastSnapshot | Canary::RootDiesWithInstance | Canary::DeleteNewestSet => {
                Invariant::LastCopyKept
            }
            Canary::MissingFallback => Invariant::Converges,
            Canary::ActBeforeCommit => Invariant::CommitBeforeAct,
            Canary::SnapshotsPileUp | Canary::NoCooldown => Invariant::WithinLimits,
            Canary::SilentWait => Invariant::UserTold,
        }
    }
}

/// The rows that must be done before a row may run.
pub(crate) fn after(canary: Option<Canary>, spec: &RowSpec) -> &'static [Row] {
    match (canary, spec.row) {
        (Some(Canary::CaptureBeforeFence), Row::Capture) => &[Row::Place],
        (Some(Canary::CaptureBeforeFence), Row::Launch) => &[Row::Fence, Row::Capture],
        (Some(Canary::DeleteLastSnapshot), Row::Retire) => &[Row::Fence, Row::Capture],
        _ => spec.after,
    }
}
