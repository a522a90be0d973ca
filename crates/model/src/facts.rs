//! What the cloud shows, with EC2's words for it.

use crate::shared::Shared;
use crate::tags::Tags;
use crate::{
    AllocationId, ImageId, InstanceId, InterfaceId, Lifecycle, SnapshotId, SubnetId, Time,
    VolumeId, Zone,
};
use serde::{Deserialize, Serialize};

/// What is known of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known<T> {
    /// It was seen.
    Present(T),
    /// It is positively not there: terminated, deleted, or looked for long enough.
    Absent,
    /// Nobody knows: not asked yet, asked too early, or not visible yet. Satisfies no guard.
    Unknown,
}

impl<T> Known<T> {
    /// The resource, if it was seen.
    pub fn present(self) -> Option<T> {
        match self {
            Known::Present(value) => Some(value),
            Known::Absent | Known::Unknown => None,
        }
    }

    /// True only if it is positively not there.
    pub fn is_absent(&self) -> bool {
        matches!(self, Known::Absent)
    }
}

/// EC2's instance states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// Being made.
    Pending,
    /// Runs.
    Running,
    /// Being terminated: it may still write.
    ShuttingDown,
    /// Gone for good: it can write no more.
    Terminated,
    /// Being stopped.
    Stopping,
    /// Stopped. Holdfast counts it as lost.
    Stopped,
}

/// The system and instance status checks, and the node's own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// Not known yet.
    Initializing,
    /// All checks pass; where the agent holds a gate, it has been opened.
    Ok,
    /// A check fails.
    Impaired,
}

/// A volume as an instance holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Device name, such as `/dev/xvdb`.
    pub device: String,
    /// The volume.
    pub volume: VolumeId,
    /// Whether the volume dies with the instance.
    pub delete_on_termination: bool,
}

/// An instance as Describe shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceFact {
    /// Its id.
    pub id: InstanceId,
    /// Its state.
    pub state: InstanceState,
    /// Why it is in that state, in EC2's words: `Server.SpotInstanceTermination`, ….
    pub reason: Option<String>,
    /// Its type.
    pub instance_type: String,
    /// Its zone.
    pub zone: Zone,
    /// Spot or on-demand.
    pub lifecycle: Lifecycle,
    /// The image it was launched from.
    pub image: ImageId,
    /// When it was launched.
    pub launched_at: Time,
    /// Primary private IPv4 address.
    pub private_ip: Option<String>,
    /// Primary interface.
    pub interface: Option<InterfaceId>,
    /// Device name of the root volume.
    pub root_device: String,
    /// Volumes that it holds.
    pub attachments: Vec<Attachment>,
    /// Status checks.
    pub health: Health,
    /// Which status check fails, and how, as a sentence.
    #[serde(default)]
    pub health_why: Option<String>,
    /// Why nothing could be made in its place now, as a sentence, where the cloud knows that: there is
    /// no room for another root volume, in any market. Nothing is given up for a successor that
    /// cannot be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_successor: Option<String>,
    /// When the cloud will take it back, if it said so.
    pub interruption_at: Option<Time>,
    /// Whether the shutdown script has run to its end (or there is none to run).
    pub drained: bool,
    /// Its tags.
    pub tags: Tags,
}

/// EC2's volume states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeState {
    /// Being made.
    Creating,
    /// Attached to nothing.
    Available,
    /// Attached, or being attached or detached.
    InUse,
    /// Being deleted.
    Deleting,
    /// Broken.
    Error,
}

/// A volume as Describe shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeFact {
    /// Its id.
    pub id: VolumeId,
    /// Its state.
    pub state: VolumeState,
    /// Its zone.
    pub zone: Zone,
    /// Size in GiB.
    pub size_gib: u32,
    /// The instance that holds it, and under which device name.
    pub attached_to: Option<(InstanceId, String)>,
    /// Whether the attachment is complete (`attached`, not `attaching` or `detaching`).
    pub attachment_settled: bool,
    /// The snapshot it came from.
    pub snapshot: Option<SnapshotId>,
    /// Its filesystem's UUID, where the cloud can tell (local; on EC2 the agent reports it).
    pub fs_uuid: Option<String>,
    /// Its tags.
    pub tags: Tags,
}

/// EC2's snapshot states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SnapshotState {
    /// Being copied. Its content is that of the instant it was begun.
    Pending,
    /// Complete.
    Completed,
    /// Failed: of no use.
    Error,
}

/// A snapshot as Describe shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotFact {
    /// Its id.
    pub id: SnapshotId,
    /// Its state.
    pub state: SnapshotState,
    /// The volume it was taken of.
    pub volume: VolumeId,
    /// When it was begun.
    pub started_at: Time,
    /// Its tags.
    pub tags: Tags,
}

/// EC2's image states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageState {
    /// Being registered.
    Pending,
    /// Can be launched.
    Available,
    /// Failed.
    Failed,
}

/// An image as Describe shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFact {
    /// Its id.
    pub id: ImageId,
    /// Its state.
    pub state: ImageState,
    /// Its unique name.
    pub name: String,
    /// The snapshot of its root volume.
    pub snapshot: Option<SnapshotId>,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// Device name of the root volume.
    pub root_device: String,
    /// Its tags.
    pub tags: Tags,
}

/// EC2's interface states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InterfaceState {
    /// Attached to nothing.
    Available,
    /// Attached.
    InUse,
}

/// An Elastic IP and the interface that it leads to: part of the interface's fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Association {
    /// Which Elastic IP.
    pub allocation: AllocationId,
    /// The address itself.
    pub public_ip: String,
}

fn yes() -> bool {
    true
}

/// A network interface as Describe shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceFact {
    /// Its id.
    pub id: InterfaceId,
    /// Its state.
    pub state: InterfaceState,
    /// Its subnet.
    pub subnet: SubnetId,
    /// Its zone.
    pub zone: Zone,
    /// Its primary private IPv4 address.
    pub private_ip: String,
    /// Its MAC address.
    pub mac: String,
    /// The instance that holds it.
    pub attached_to: Option<InstanceId>,
    /// Under which device index the instance holds it; 0 is the primary one.
    #[serde(default)]
    pub device_index: Option<u32>,
    /// Whether the attachment is complete (`attached`, not `attaching` or `detaching`).
    #[serde(default = "yes")]
    pub attachment_settled: bool,
    /// The Elastic IP that leads to it.
    #[serde(default)]
    pub association: Option<Association>,
    /// Its tags.
    pub tags: Tags,
}

/// One resource, of any kind. Copies share it: a sweep of many resources copies none of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Fact {
    /// An instance.
    Instance(Shared<InstanceFact>),
    /// A volume.
    Volume(Shared<VolumeFact>),
    /// A snapshot.
    Snapshot(Shared<SnapshotFact>),
    /// An image.
    Image(Shared<ImageFact>),
    /// A network interface.
    Interface(Shared<InterfaceFact>),
}

impl Fact {
    /// The resource's id as text. Ids of different kinds never collide: their prefixes differ.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Fact::Instance(f) => f.id.as_str(),
            Fact::Volume(f) => f.id.as_str(),
            Fact::Snapshot(f) => f.id.as_str(),
            Fact::Image(f) => f.id.as_str(),
            Fact::Interface(f) => f.id.as_str(),
        }
    }

    /// Its tags.
    #[must_use]
    pub fn tags(&self) -> &Tags {
        match self {
            Fact::Instance(f) => &f.tags,
            Fact::Volume(f) => &f.tags,
            Fact::Snapshot(f) => &f.tags,
            Fact::Image(f) => &f.tags,
            Fact::Interface(f) => &f.tags,
        }
    }

    /// Which Describe call shows it.
    #[must_use]
    pub fn kind(&self) -> ResourceKind {
        match self {
            Fact::Instance(_) => ResourceKind::Instance,
            Fact::Volume(_) => ResourceKind::Volume,
            Fact::Snapshot(_) => ResourceKind::Snapshot,
            Fact::Image(_) => ResourceKind::Image,
            Fact::Interface(_) => ResourceKind::Interface,
        }
    }
}

/// The kinds of resources: one Describe call each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResourceKind {
    /// DescribeInstances.
    Instance,
    /// DescribeVolumes.
    Volume,
    /// DescribeSnapshots (owner: self).
    Snapshot,
    /// DescribeImages (owner: self).
    Image,
    /// DescribeNetworkInterfaces.
    Interface,
}

impl ResourceKind {
    /// Every kind, in the order in which a sweep asks.
    pub const ALL: [ResourceKind; 5] = [
        ResourceKind::Instance,
        ResourceKind::Volume,
        ResourceKind::Snapshot,
        ResourceKind::Image,
        ResourceKind::Interface,
    ];

    /// Its stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ResourceKind::Instance => "instance",
            ResourceKind::Volume => "volume",
            ResourceKind::Snapshot => "snapshot",
            ResourceKind::Image => "image",
            ResourceKind::Interface => "interface",
        }
    }

    /// EC2's name of the call that shows it.
    #[must_use]
    pub fn describe_action(self) -> &'static str {
        match self {
            ResourceKind::Instance => "DescribeInstances",
            ResourceKind::Volume => "DescribeVolumes",
            ResourceKind::Snapshot => "DescribeSnapshots",
            ResourceKind::Image => "DescribeImages",
            ResourceKind::Interface => "DescribeNetworkInterfaces",
        }
    }

    /// What the ids of a kind begin with.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            ResourceKind::Instance => "i-",
            ResourceKind::Volume => "vol-",
            ResourceKind::Snapshot => "snap-",
            ResourceKind::Image => "ami-",
            ResourceKind::Interface => "eni-",
        }
    }

    /// The kind that an id's prefix names.
    #[must_use]
    pub fn of_id(id: &str) -> Option<ResourceKind> {
        match id.split('-').next()? {
            "i" => Some(ResourceKind::Instance),
            "vol" => Some(ResourceKind::Volume),
            "snap" => Some(ResourceKind::Snapshot),
            "ami" => Some(ResourceKind::Image),
            "eni" => Some(ResourceKind::Interface),
            _ => None,
        }
    }
}

/// What to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// Which Describe call.
    pub kind: ResourceKind,
    /// Only these ids; empty means everything that carries any Holdfast tag.
    pub ids: Vec<String>,
    /// Where to go on: the previous page's `next`.
    pub page: Option<String>,
}

/// One page of an answer. At most [`MAX_PAGE`] facts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Page {
    /// What was seen.
    pub facts: Vec<Fact>,
    /// Where to go on, if there is more.
    pub next: Option<String>,
}

/// EC2's largest page of DescribeInstances and its siblings.
pub const MAX_PAGE: usize = 1_000;

/// Facts without order, as a command's reply carries them.
pub type Facts = Vec<Fact>;
