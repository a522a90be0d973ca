//! What the local cloud remembers of each resource: what it shows of it, and what it needs itself.

use holdfast_model::Time;
use holdfast_model::command::Launch;
use holdfast_model::facts::{
    Fact, ImageFact, InstanceFact, InterfaceFact, ResourceKind, SnapshotFact, VolumeFact,
};
use holdfast_model::tags::Tags;
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
    /// The request, with user data and script.
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
}

/// A volume.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct VolumeRow {
    pub(crate) fact: VolumeFact,
    /// Whether it is to become a root volume that no node has run on yet, from no image: then the
    /// skeleton of a system is laid out on it.
    pub(crate) blank_root: bool,
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
}

/// A snapshot.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SnapshotRow {
    pub(crate) fact: SnapshotFact,
    /// Size of the volume it was taken of, in GiB.
    pub(crate) size_gib: u32,
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
}

/// An interface.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct InterfaceRow {
    pub(crate) fact: InterfaceFact,
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
}
