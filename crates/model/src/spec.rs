//! The spec: what the user asked for, as Holdfast reads it. The document itself is kept beside it
//! (see [`crate::document`]) and echoed exactly.
//!
//! Field names and defaults are those of Spot's published `managedInstance`.

mod interfaces;
pub mod limits;
mod order;
mod reader;
pub mod revert;
mod settings;
pub mod windows;

use crate::tags::{self, Tags};
use crate::{AllocationId, FieldError, ImageId, Lifecycle, SnapshotId, SubnetId};
use serde_json::{Map, Value};

/// How a market is preferred (`strategy.orientation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orientation {
    /// Lowest price with regard to availability.
    CostOriented,
    /// Longest expected life.
    AvailabilityOriented,
    /// Between the two.
    Balanced,
    /// Lowest price.
    Cheapest,
}

/// How data volumes travel (`persistence.blockDevicesMode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockDevicesMode {
    /// The same volume, attached again.
    Reattach,
    /// A new volume from a final snapshot, at each launch.
    OnLaunch,
}

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Persistence {
    /// The root volume.
    pub root: bool,
    /// The data volumes, and how they travel; `None`: they are made anew at each launch.
    pub data: Option<BlockDevicesMode>,
    /// The private IPv4 address (and with it the interface and the zone).
    pub private_ip: bool,
}

/// Which resources carry the user's tags beside the instance (`resourceTagSpecification`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tagged {
    /// Volumes.
    pub volumes: bool,
    /// Snapshots.
    pub snapshots: bool,
    /// Network interfaces.
    pub interfaces: bool,
    /// Images.
    pub images: bool,
}

/// One data volume.
#[derive(Debug, Clone, PartialEq)]
pub struct DataVolumeSpec {
    /// Device name.
    pub device: String,
    /// Size in GiB.
    pub size_gib: u32,
    /// What it is first made from.
    pub snapshot: Option<SnapshotId>,
    /// The other members of `ebs`, as received.
    pub settings: Map<String, Value>,
    /// Where it is mounted in the node.
    pub mount: String,
}

/// What counts as well, and for how long a node may be unwell (`healthCheck`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthCheck {
    /// Whether an unhealthy instance is replaced.
    pub auto_healing: bool,
    /// Milliseconds after launch in which nothing counts as unhealthy.
    pub grace_ms: u64,
    /// Milliseconds of failing checks after which an instance is unhealthy.
    pub unhealthy_ms: u64,
}

/// The spec.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// The node's name.
    pub name: String,
    /// The region.
    pub region: String,
    /// What to prefer to run on.
    pub lifecycle: Lifecycle,
    /// Whether to fall back to on-demand when no spot market has capacity.
    pub fallback_to_on_demand: bool,
    /// How to choose among markets.
    pub orientation: Orientation,
    /// When to go back from on-demand to spot.
    pub revert: revert::Revert,
    /// How long a drain may take, in milliseconds.
    pub draining_timeout_ms: u64,
    /// What is kept.
    pub persistence: Persistence,
    /// Health.
    pub health_check: HealthCheck,
    /// The VPC.
    pub vpc: String,
    /// Subnets, in the user's order; never empty.
    pub subnets: Vec<SubnetId>,
    /// A chosen private address.
    pub private_ip: Option<String>,
    /// An Elastic IP of the user's that leads to the node, wherever it runs.
    pub elastic_ip: Option<AllocationId>,
    /// Device indices of interfaces beside the primary one, from 1, in order.
    pub secondary: Vec<u32>,
    /// Instance types, preferred ones first, without repetition; never empty.
    pub types: Vec<String>,
    /// The image of a fresh root.
    pub image: ImageId,
    /// User data, base64 as received.
    pub user_data: Option<String>,
    /// Shutdown script, base64 as received.
    pub shutdown_script: Option<String>,
    /// The user's tags.
    pub tags: Tags,
    /// Which resources carry them.
    pub tagged: Tagged,
    /// Size of the root volume in GiB.
    pub root_size_gib: Option<u32>,
    /// The other members of the root volume's `ebs`, as received.
    pub root_settings: Map<String, Value>,
    /// Data volumes.
    pub data: Vec<DataVolumeSpec>,
    /// Security groups.
    pub security_groups: Vec<String>,
    /// Members of `launchSpecification` that are passed on to the cloud as received.
    pub settings: Map<String, Value>,
    /// Whether the next instance may be launched while the old one still serves.
    pub make_before_break: bool,
    /// Settings of the document that this version accepts and echoes, but does not act on.
    pub not_acted_on: Vec<String>,
}

/// Device names that mean the root volume in `blockDeviceMappings`.
pub const ROOT_DEVICES: [&str; 2] = ["/dev/xvda", "/dev/sda1"];
/// The largest spec document in bytes.
pub const MAX_DOCUMENT: usize = 256 * 1024;
/// EC2's limit on user data before encoding, in bytes.
pub const MAX_USER_DATA: usize = 16 * 1024;
/// The most data volumes of a node: EC2's usual limit of 28 attachments, less root and interface.
pub const MAX_DATA_VOLUMES: usize = 26;
/// The highest device index of an interface: EC2's small types take two or three interfaces, its
/// large ones eight and more.
pub const MAX_DEVICE_INDEX: u32 = 7;
/// The most subnets and the most instance types in a spec.
pub const MAX_CHOICES: usize = 50;

impl Spec {
    /// Reads a document (what stands under `managedInstance`), however old it is.
    ///
    /// # Errors
    /// Every mistake at once, each with its field's path.
    pub fn read(document: &Value) -> Result<Spec, Vec<FieldError>> {
        reader::read(document)
    }

    /// Reads a document that somebody sends: it must be a spec, and within the limits of what is
    /// sent ([`limits`], [`crate::depth`]). `before` is the node's document as it is, if there is
    /// one: what is in there already was accepted once, and is not held against the new one.
    ///
    /// # Errors
    /// As [`Spec::read`].
    pub fn accept(document: &Value, before: Option<&Value>) -> Result<Spec, Vec<FieldError>> {
        limits::accept(document, before)
    }

    /// Where a device is mounted in the node if no tag says so: `/mnt/xvdb` for `/dev/xvdb`.
    #[must_use]
    pub fn default_mount(device: &str) -> String {
        format!("/mnt/{}", device.rsplit('/').next().unwrap_or(device))
    }

    /// The tag that says where a device is mounted.
    #[must_use]
    pub fn mount_tag(device: &str) -> String {
        format!("{}{device}", tags::MOUNT_PREFIX)
    }
}
