//! Resources as the cloud shows them, with EC2's words for their states.

use crate::Lifecycle;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A volume as an instance holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attachment {
    /// Device name, such as `/dev/xvdb`.
    pub device: String,
    /// The volume.
    pub volume: String,
    /// Whether the volume dies with the instance.
    pub delete_on_termination: bool,
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// `pending`, `running`, `shutting-down`, `terminated`, `stopping` or `stopped`.
    pub state: String,
    /// Why it is in that state, in EC2's words.
    pub reason: Option<String>,
    /// Its type.
    pub instance_type: String,
    /// Its zone.
    pub zone: String,
    /// Spot or on-demand.
    pub lifecycle: Lifecycle,
    /// The image it was launched from.
    pub image: String,
    /// When it was launched.
    pub launched_at: u64,
    /// Primary private IPv4 address.
    pub private_ip: Option<String>,
    /// Primary interface.
    pub interface: Option<String>,
    /// Device name of the root volume.
    pub root_device: String,
    /// Volumes that it holds.
    pub attachments: Vec<Attachment>,
    /// The status checks: `initializing`, `ok` or `impaired`.
    pub health: String,
    /// Which status check fails, and how, as a sentence.
    pub health_why: Option<String>,
    /// Why nothing could be made in its place now, as a sentence, where the cloud knows that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_successor: Option<String>,
    /// When the cloud will take it back, if it said so.
    pub interruption_at: Option<u64>,
    /// Whether the shutdown script has run to its end (or there is none to run).
    pub drained: bool,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Volume {
    /// Its id.
    pub id: String,
    /// `creating`, `available`, `in-use`, `deleting` or `error`.
    pub state: String,
    /// Its zone.
    pub zone: String,
    /// Size in GiB.
    pub size_gib: u32,
    /// The instance that holds it, and under which device name.
    pub attached_to: Option<(String, String)>,
    /// Whether the attachment is complete.
    pub attachment_settled: bool,
    /// The snapshot it came from.
    pub snapshot: Option<String>,
    /// Its filesystem's UUID, where the cloud can tell.
    pub fs_uuid: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Snapshot {
    /// Its id.
    pub id: String,
    /// `pending`, `completed` or `error`.
    pub state: String,
    /// The volume it was taken of.
    pub volume: String,
    /// When it was begun.
    pub started_at: u64,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Image {
    /// Its id.
    pub id: String,
    /// `pending`, `available` or `failed`.
    pub state: String,
    /// Its unique name.
    pub name: String,
    /// The snapshot of its root volume.
    pub snapshot: Option<String>,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// Device name of the root volume.
    pub root_device: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// An Elastic IP that leads to an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Association {
    /// Which Elastic IP.
    pub allocation: String,
    /// The address itself.
    pub public_ip: String,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Interface {
    /// Its id.
    pub id: String,
    /// `available` or `in-use`.
    pub state: String,
    /// Its subnet.
    pub subnet: String,
    /// Its zone.
    pub zone: String,
    /// Its primary private IPv4 address.
    pub private_ip: String,
    /// Its MAC address.
    pub mac: String,
    /// The instance that holds it.
    pub attached_to: Option<String>,
    /// Under which device index the instance holds it; 0 is the primary one.
    pub device_index: Option<u32>,
    /// Whether the attachment is complete.
    pub attachment_settled: bool,
    /// The Elastic IP that leads to it.
    pub association: Option<Association>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// One resource, of any kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Resource {
    /// An instance.
    Instance(Instance),
    /// A volume.
    Volume(Volume),
    /// A snapshot.
    Snapshot(Snapshot),
    /// An image.
    Image(Image),
    /// A network interface.
    Interface(Interface),
}

impl Resource {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Resource::Instance(r) => &r.id,
            Resource::Volume(r) => &r.id,
            Resource::Snapshot(r) => &r.id,
            Resource::Image(r) => &r.id,
            Resource::Interface(r) => &r.id,
        }
    }

    /// Its state, in EC2's word.
    #[must_use]
    pub fn state(&self) -> &str {
        match self {
            Resource::Instance(r) => &r.state,
            Resource::Volume(r) => &r.state,
            Resource::Snapshot(r) => &r.state,
            Resource::Image(r) => &r.state,
            Resource::Interface(r) => &r.state,
        }
    }

    /// Its tags.
    #[must_use]
    pub fn tags(&self) -> &BTreeMap<String, String> {
        match self {
            Resource::Instance(r) => &r.tags,
            Resource::Volume(r) => &r.tags,
            Resource::Snapshot(r) => &r.tags,
            Resource::Image(r) => &r.tags,
            Resource::Interface(r) => &r.tags,
        }
    }
}
