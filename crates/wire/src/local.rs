//! The cloud of this host: what people do to it with their own hands.

use crate::{Lifecycle, RequestBody};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// How a node is interrupted; it may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InterruptionRequest {
    /// Announced this many milliseconds before; without it: now, without notice.
    pub notice_ms: Option<u64>,
}

impl RequestBody for InterruptionRequest {
    const EXAMPLE: &'static str = "{\"noticeMs\": 120000}";
}

/// What is interrupted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Interruption {
    /// The instance.
    pub instance_id: String,
}

/// Where a node runs on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The instance.
    pub instance_id: String,
    /// Its directory.
    pub instance_dir: String,
}

/// A market of this host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalMarket {
    /// Its instance type.
    pub instance_type: String,
    /// Its zone.
    pub zone: String,
    /// `spot` or `on-demand`.
    pub lifecycle: Lifecycle,
    /// US dollars for an hour.
    pub hourly_usd: f64,
    /// What it usually costs.
    pub usual_usd: f64,
    /// How many instances it takes; none: any number.
    pub capacity: Option<u32>,
    /// How many you may have; none: any number.
    pub quota: Option<u32>,
    /// What runs in it.
    pub instances: Vec<String>,
    /// Whether something was set.
    pub changed: bool,
}

/// What is to change of markets; members that are left out stay, null means the usual.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MarketRequest {
    /// An instance type, or `all`.
    pub instance_type: String,
    /// A zone, or `all`.
    pub zone: String,
    /// Of spot.
    #[serde(default)]
    pub spot: MarketChange,
    /// Of on-demand.
    #[serde(default)]
    pub on_demand: MarketChange,
    /// Forget first what was set before.
    #[serde(default)]
    pub usual: bool,
    /// Take back the spot instances for which there is no room any more.
    #[serde(default)]
    pub interrupt: bool,
    /// Announced this many milliseconds before.
    #[serde(default)]
    pub notice_ms: Option<u64>,
}

impl RequestBody for MarketRequest {
    const EXAMPLE: &'static str =
        "{\"instanceType\": \"t3.small\", \"zone\": \"local-1a\", \"spot\": {\"capacity\": 0}}";
}

/// What is to change of one kind of market.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MarketChange {
    /// How many instances it takes.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    pub capacity: Option<Option<u32>>,
    /// How many you may have.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    pub quota: Option<Option<u32>>,
    /// US dollars for an hour.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    pub hourly_usd: Option<Option<f64>>,
}

/// Tells null from a member that is left out.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// What runs although its market has no room for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BeyondCapacity {
    /// The instance.
    pub instance_id: String,
    /// The node that it is of, if it is of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// That node's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Spot or on-demand.
    pub lifecycle: Lifecycle,
    /// Whether it is being taken back.
    pub interrupted: bool,
}

/// What was set of markets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MarketSetting {
    /// The markets as they are now.
    pub markets: Vec<LocalMarket>,
    /// What runs beyond what they take.
    pub beyond_capacity: Vec<BeyondCapacity>,
}

/// An instance of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalInstance {
    /// Its id.
    pub instance_id: String,
    /// Its state, in EC2's word.
    pub state: String,
    /// Its type.
    pub instance_type: String,
    /// Its zone.
    pub zone: String,
    /// Primary private IPv4 address.
    pub private_ip: Option<String>,
    /// The node that it is of.
    pub node_id: Option<String>,
    /// The node that let it go.
    pub let_go_by: Option<String>,
}

/// What this host has for volumes, in bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pool {
    /// Its size.
    pub total_bytes: u64,
    /// Of it used.
    pub used_bytes: u64,
    /// Of it free.
    pub free_bytes: u64,
    /// What its file takes of the disk.
    pub file_bytes: u64,
    /// What is free on that disk.
    pub disk_free_bytes: u64,
    /// What is there for volumes.
    pub there_bytes: u64,
    /// What was promised to volumes.
    pub promised_bytes: u64,
    /// The most that may be promised.
    pub most_bytes: u64,
    /// How many times as much as there is may be promised.
    pub overcommit: f64,
}

/// A volume of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalVolume {
    /// Its id.
    pub volume_id: String,
    /// Its zone.
    pub zone: String,
    /// Size in GiB.
    pub size_gib: u32,
    /// Its state, in EC2's word.
    pub state: String,
    /// The instance that holds it.
    pub instance_id: Option<String>,
    /// Under which device name.
    pub device: Option<String>,
    /// The node that it is of.
    pub node_id: Option<String>,
    /// Where it is mounted in a node.
    pub mount: Option<String>,
}

/// A volume that is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeRequest {
    /// Its zone.
    pub zone: String,
    /// Size in GiB.
    pub size_gib: u32,
    /// Where it is mounted in the node that it is attached to.
    pub mount: Option<String>,
}

impl RequestBody for VolumeRequest {
    const EXAMPLE: &'static str = "{\"zone\": \"local-1a\", \"sizeGib\": 1, \"mount\": \"/srv\"}";
}

/// Where a volume is to be attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttachmentRequest {
    /// The node.
    pub node_id: String,
    /// Device name.
    pub device: String,
}

impl RequestBody for AttachmentRequest {
    const EXAMPLE: &'static str = "{\"nodeId\": \"smi-0a1b2c3d\", \"device\": \"/dev/xvdf\"}";
}

/// Where a volume was attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeMount {
    /// Where it is mounted in the node.
    pub mount: String,
}

/// What the memory of this host's cloud does not account for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalUnaccounted {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub thing: String,
    /// The node whose it is, by its label.
    pub node_id: Option<String>,
    /// What is known of it, as a sentence.
    pub what: String,
    /// Whether it can be adopted as it is.
    pub adoptable: bool,
}

/// How something is taken up; it may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct AdoptionRequest {
    /// Where a volume is to lie whose label is lost.
    pub zone: Option<String>,
}

impl RequestBody for AdoptionRequest {
    const EXAMPLE: &'static str = "{\"zone\": \"local-1a\"}";
}

/// An Elastic IP of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Address {
    /// What a spec names in `compute.elasticIp`.
    pub allocation_id: String,
    /// The address.
    pub public_ip: String,
    /// The interface that it leads to.
    pub network_interface_id: Option<String>,
    /// The instance that holds the interface.
    pub instance_id: Option<String>,
}
