//! What stays the same while instances come and go: where the node's content is, its interfaces and
//! its address.

use super::Rollback;
use crate::{AllocationId, ImageId, InterfaceId, SnapshotId, SubnetId, Time, VolumeId, Zone};
use serde::{Deserialize, Serialize};

/// The node's identity.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Identity {
    /// Where the root is.
    pub root: RootHead,
    /// The spec's image as the newest launch found it: another one means another root.
    pub image_followed: Option<ImageId>,
    /// Where the data is.
    pub data: Vec<DataVolume>,
    /// Where the user wants the content to return to, until that has been put in its place.
    pub rollback: Option<Rollback>,
    /// Volumes that a user attached to the node and has taken away: never touched again, but that
    /// our tags come off.
    pub detached_by_user: Vec<VolumeId>,
    /// The node's first interface, if it is kept. It is its instance's primary one, unless the
    /// instance was launched while another still had it: then it was attached to it later.
    pub interface: Option<HeldInterface>,
    /// Further interfaces, which are always kept, by device index.
    pub secondary: Vec<HeldInterface>,
    /// The Elastic IP that leads to the node, once it does.
    pub elastic_ip: Option<AllocationId>,
}

impl Identity {
    /// Every interface that is kept, the primary one first.
    pub fn interfaces(&self) -> impl Iterator<Item = &HeldInterface> {
        self.interface.iter().chain(&self.secondary)
    }
}

/// Where the root's newest acknowledged content is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "kebab-case")]
pub enum RootHead {
    /// Nowhere yet: the next instance boots from the spec's image.
    #[default]
    Fresh,
    /// In an image that was registered from a final snapshot.
    Captured {
        /// The final snapshot.
        snapshot: SnapshotId,
        /// The image.
        image: ImageId,
        /// Device name of the root volume.
        root_device: String,
    },
    /// In the root volume of a launch that has left. There is no way back from here but through
    /// fence and capture, unless that launch never had a volume.
    Live {
        /// The volume, once it is known.
        volume: Option<VolumeId>,
        /// Of which generation.
        generation: u64,
        /// Device name, once it is known.
        root_device: Option<String>,
        /// Whether it outlives its instance: so it was launched.
        kept: bool,
        /// What the launch was made from.
        from: Option<(SnapshotId, ImageId, String)>,
        /// The image that this root began with, however many generations ago: its properties are
        /// the root's.
        origin: Option<ImageId>,
    },
}

impl RootHead {
    /// Where the head was before the launch that it is in; any other stays where it is.
    #[must_use]
    pub fn before_launch(&self) -> RootHead {
        match self {
            RootHead::Live { from: Some((snapshot, image, root_device)), .. } => {
                let (snapshot, image) = (snapshot.clone(), image.clone());
                RootHead::Captured { snapshot, image, root_device: root_device.clone() }
            }
            RootHead::Live { from: None, .. } => RootHead::Fresh,
            RootHead::Captured { .. } | RootHead::Fresh => self.clone(),
        }
    }
}

/// Where a data volume's newest acknowledged content is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "kebab-case")]
pub enum DataHead {
    /// Nowhere yet: it will be made as the spec says.
    Fresh,
    /// In a volume.
    Volume {
        /// The volume.
        id: VolumeId,
        /// Its zone.
        zone: Zone,
    },
}

/// One data volume of the node's identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataVolume {
    /// Device name, such as `/dev/xvdb`: its identity within the node.
    pub device: String,
    /// Where its newest content is.
    pub head: DataHead,
    /// Its filesystem's UUID, once known. It is the same for ever.
    pub fs_uuid: Option<String>,
    /// If its user attached it while the node ran: what the spec does not say of it.
    pub user_attached: Option<UserAttached>,
    /// The next launch makes it from this snapshot, whatever its head holds: a person chose so.
    pub restore: Option<SnapshotId>,
}

/// What is known of a volume that a user attached while the node ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserAttached {
    /// Its size in GiB.
    pub size_gib: u32,
    /// Where it is mounted in the node.
    pub mount: String,
    /// When it joined: what was saved under its device name before is not of it. Older versions did
    /// not note it.
    pub since: Time,
}

/// A persisted interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldInterface {
    /// Its id.
    pub id: InterfaceId,
    /// Its subnet.
    pub subnet: SubnetId,
    /// Its zone: it pins the node there.
    pub zone: Zone,
    /// Its private IPv4 address.
    pub private_ip: String,
    /// Its MAC address.
    pub mac: String,
    /// Its device index at the instance; 0 is the primary one.
    pub device_index: u32,
}
