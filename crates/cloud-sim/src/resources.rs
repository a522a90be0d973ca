//! What there is, as it truly is; Describe may show it later (see `veil`).

use crate::workload::Workload;
use crate::writes::Writes;
use holdfast_model::command::Launch;
use holdfast_model::facts::{
    Fact, ImageFact, InstanceFact, InstanceState, InterfaceFact, SnapshotFact, VolumeFact,
};
use holdfast_model::shared::Shared;
use holdfast_model::{InterfaceId, NodeId, Time};

/// Whose content, and under which device name: what a copy is a copy of.
pub(crate) type Lineage = (NodeId, String);

/// What is written on a volume or kept in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Content {
    /// Whose; `None` until a workload writes.
    pub owner: Option<Lineage>,
    /// Every write, acknowledged or not.
    pub writes: Writes,
    /// Those of them that a power cut may lose.
    pub tail: Writes,
}

#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub fact: Shared<InstanceFact>,
    /// The request that made it, if it was made here.
    pub launch: Option<Launch>,
    pub vcpus: u32,
    pub has_script: bool,
    /// Its interface was made for it and dies with it.
    pub own_interface: bool,
    /// Interfaces that were attached later.
    pub secondary: Vec<InterfaceId>,
    /// It can run programs.
    pub powered: bool,
    /// From when on the agent answers.
    pub answers_at: Option<Time>,
    pub gate_open: bool,
    /// When the shutdown script will have ended, and whether it came to its end.
    pub draining: Option<(Time, bool)>,
    /// The gate was opened and the workload was not stopped.
    pub workload: Option<Workload>,
}

impl Instance {
    pub(crate) fn shown(&self) -> Fact {
        let mut fact = self.fact.clone();
        let released = fact.attachments.is_empty() && fact.interface.is_none();
        match fact.state {
            InstanceState::Pending => fact.attachments.clear(),
            // Once it has let go of everything, it says so itself.
            InstanceState::Terminated if !released => {
                fact.attachments.clear();
                fact.private_ip = None;
                fact.interface = None;
            }
            _ => {}
        }
        Fact::Instance(fact)
    }

    /// Whether its time is neither over nor coming to its end.
    pub(crate) fn lives(&self) -> bool {
        matches!(self.fact.state, InstanceState::Pending | InstanceState::Running)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Volume {
    pub fact: Shared<VolumeFact>,
    pub detaching: bool,
    pub content: Content,
    pub last_snapshot: Option<Time>,
    /// Snapshots of it that are under way.
    pub snapshots_pending: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub fact: Shared<SnapshotFact>,
    pub size_gib: u32,
    pub fs_uuid: Option<String>,
    pub content: Content,
}

#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub fact: Shared<ImageFact>,
    pub root_gib: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Interface {
    pub fact: Shared<InterfaceFact>,
}

impl Volume {
    pub(crate) fn shown(&self) -> Fact {
        Fact::Volume(self.fact.clone())
    }
}

impl Snapshot {
    pub(crate) fn shown(&self) -> Fact {
        Fact::Snapshot(self.fact.clone())
    }
}

impl Image {
    pub(crate) fn shown(&self) -> Fact {
        Fact::Image(self.fact.clone())
    }
}

impl Interface {
    pub(crate) fn shown(&self) -> Fact {
        Fact::Interface(self.fact.clone())
    }
}
