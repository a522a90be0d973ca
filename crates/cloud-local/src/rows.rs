//! What the local cloud remembers of each resource: what it shows of it, and what it needs itself.

use holdfast_model::command::Launch;
use holdfast_model::facts::{
    Fact, ImageFact, InstanceFact, InterfaceFact, InterfaceState, ResourceKind, SnapshotFact,
    SnapshotState, VolumeFact, VolumeState,
};
use holdfast_model::tags::Tags;
use holdfast_model::{InstanceId, SnapshotId, Time};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A row of the table of resources.
pub(crate) trait Row: Serialize + DeserializeOwned {
    /// Its kind.
    const KIND: ResourceKind;
    /// Its id.
    fn id(&self) -> &str;
    /// What the cloud shows of it.
    fn fact(&self) -> Fact;
    /// Its tags.
    fn tags(&mut self) -> &mut Tags;
    /// What of it outlives the memory, as its label; `None`: the label stays as it is.
    fn label(&self) -> Option<Self> {
        None
    }
    /// What a label says, with what this row knows beyond it: who holds it.
    fn held_as(&self, label: Self) -> Self {
        label
    }
    /// The instance in whose label it is, too.
    fn instance(&self) -> Option<&InstanceId> {
        None
    }
}

/// How an instance ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ending {
    /// Its processes are asked to end; its filesystems are unmounted.
    Clean,
    /// Its power is cut.
    Cut,
}

/// An instance.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct InstanceRow {
    pub(crate) fact: InstanceFact,
    /// The request, without user data and script: those are in the instance's directory only, as
    /// long as it runs, for they may hold secrets.
    pub(crate) launch: Launch,
    /// What was found wrong with its volumes and cannot become right while it runs.
    #[serde(default)]
    pub(crate) lasting_fault: Option<String>,
    /// Whether the interface was made for it, and dies with it.
    pub(crate) own_interface: bool,
    /// The device index of the interface by which its node is known, if that is not the primary one.
    #[serde(default)]
    pub(crate) known_by: Option<u32>,
    /// Set once it is to end.
    pub(crate) ending: Option<Ending>,
    /// When it was terminated.
    pub(crate) ended_at: Option<Time>,
}

impl Row for InstanceRow {
    const KIND: ResourceKind = ResourceKind::Instance;

    fn id(&self) -> &str {
        self.fact.id.as_str()
    }

    fn fact(&self) -> Fact {
        Fact::Instance(self.fact.clone().into())
    }

    fn tags(&mut self) -> &mut Tags {
        &mut self.fact.tags
    }

    fn instance(&self) -> Option<&InstanceId> {
        Some(&self.fact.id)
    }
}

/// A volume.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct VolumeRow {
    pub(crate) fact: VolumeFact,
    /// Whether it is to become a root volume that no node has run on yet, from no image: then the
    /// skeleton of a system is laid out on it.
    pub(crate) blank_root: bool,
}

impl VolumeRow {
    /// Nothing holds it any more.
    pub(crate) fn free(&mut self) {
        self.fact.state = VolumeState::Available;
        self.fact.attached_to = None;
        self.fact.attachment_settled = true;
    }
}

impl Row for VolumeRow {
    const KIND: ResourceKind = ResourceKind::Volume;

    fn id(&self) -> &str {
        self.fact.id.as_str()
    }

    fn fact(&self) -> Fact {
        Fact::Volume(self.fact.clone().into())
    }

    fn tags(&mut self) -> &mut Tags {
        &mut self.fact.tags
    }

    /// As a volume that nothing holds. One that is being made or deleted leaves its label as it is.
    fn label(&self) -> Option<VolumeRow> {
        let lasts = matches!(self.fact.state, VolumeState::Available | VolumeState::InUse);
        lasts.then(|| {
            let mut row = self.clone();
            row.free();
            row
        })
    }

    fn held_as(&self, mut label: VolumeRow) -> VolumeRow {
        label.fact.state = self.fact.state;
        label.fact.attached_to.clone_from(&self.fact.attached_to);
        label.fact.attachment_settled = self.fact.attachment_settled;
        label
    }
}

/// A snapshot.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SnapshotRow {
    pub(crate) fact: SnapshotFact,
    /// Size of the volume it was taken of, in GiB.
    pub(crate) size_gib: u32,
    /// Those that were taken at the same instant: all of them or none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) with: Vec<SnapshotId>,
}

impl Row for SnapshotRow {
    const KIND: ResourceKind = ResourceKind::Snapshot;

    fn id(&self) -> &str {
        self.fact.id.as_str()
    }

    fn fact(&self) -> Fact {
        Fact::Snapshot(self.fact.clone().into())
    }

    fn tags(&mut self) -> &mut Tags {
        &mut self.fact.tags
    }

    fn label(&self) -> Option<SnapshotRow> {
        (self.fact.state == SnapshotState::Completed).then(|| self.clone())
    }
}

/// An image.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ImageRow {
    pub(crate) fact: ImageFact,
}

impl Row for ImageRow {
    const KIND: ResourceKind = ResourceKind::Image;

    fn id(&self) -> &str {
        self.fact.id.as_str()
    }

    fn fact(&self) -> Fact {
        Fact::Image(self.fact.clone().into())
    }

    fn tags(&mut self) -> &mut Tags {
        &mut self.fact.tags
    }

    fn label(&self) -> Option<ImageRow> {
        Some(self.clone())
    }
}

/// An interface.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct InterfaceRow {
    pub(crate) fact: InterfaceFact,
}

impl InterfaceRow {
    /// Nothing holds it any more.
    pub(crate) fn free(&mut self) {
        self.fact.state = InterfaceState::Available;
        self.fact.attached_to = None;
        self.fact.device_index = None;
        self.fact.attachment_settled = true;
    }
}

impl Row for InterfaceRow {
    const KIND: ResourceKind = ResourceKind::Interface;

    fn id(&self) -> &str {
        self.fact.id.as_str()
    }

    fn fact(&self) -> Fact {
        Fact::Interface(self.fact.clone().into())
    }

    fn tags(&mut self) -> &mut Tags {
        &mut self.fact.tags
    }

    /// As an interface that nothing holds; its Elastic IP leads to it all the same.
    fn label(&self) -> Option<InterfaceRow> {
        let mut row = self.clone();
        row.free();
        Some(row)
    }

    fn held_as(&self, mut label: InterfaceRow) -> InterfaceRow {
        label.fact.state = self.fact.state;
        label.fact.attached_to.clone_from(&self.fact.attached_to);
        label.fact.device_index = self.fact.device_index;
        label.fact.attachment_settled = self.fact.attachment_settled;
        label
    }

    fn instance(&self) -> Option<&InstanceId> {
        self.fact.attached_to.as_ref()
    }
}
