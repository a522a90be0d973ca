//! The bodies of the interface as the description shows them. Only [`Health`] is ever made: the
//! others are documents, and documents are kept as they are received.

use crate::shape;
use serde::Serialize;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A node's document.
#[derive(Debug, Clone, Serialize)]
pub struct ManagedInstance {}

impl PartialSchema for ManagedInstance {
    fn schema() -> RefOr<Schema> {
        RefOr::T(shape::schema())
    }
}

impl ToSchema for ManagedInstance {}

/// A document, or a part of one.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeRequest {
    /// The document.
    pub managed_instance: ManagedInstance,
}

/// What is repeated of the request.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RequestEcho {
    /// A UUID that names the request.
    pub id: String,
    /// Path and query.
    pub url: String,
    /// Method.
    pub method: String,
    /// When it arrived: RFC 3339 in UTC with milliseconds.
    pub timestamp: String,
}

/// The HTTP status, again.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StatusCode {
    /// 200, or the failure's.
    pub code: u16,
    /// In words.
    pub message: String,
}

/// What was answered where there are no items.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StatusBody {
    /// The status.
    pub status: StatusCode,
}

/// An answer without items.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Status {
    /// The request.
    pub request: RequestEcho,
    /// The answer.
    pub response: StatusBody,
}

/// A node's document with what only the server sets.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// `smi-` and eight hexadecimal digits.
    pub id: String,
    /// When it was made: RFC 3339 in UTC with milliseconds.
    pub created_at: String,
    /// When its document last changed.
    pub updated_at: String,
    /// What was set, and nothing else.
    #[serde(flatten)]
    pub document: ManagedInstance,
}

/// A node in a list: flat, and under `config` again.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ListedNode {
    /// The node.
    #[serde(flatten)]
    pub node: Node,
    /// Its document again.
    pub config: ManagedInstance,
}

/// A node's state.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// The node.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `ACTIVE`, `PAUSE`, `PAUSING`, `PAUSED`, `RESUME`, `RESUMING`, `RECYCLE`, `RECYCLING`,
    /// `DEALLOCATE`, `DEALLOCATING`, `DEALLOCATED` or `ERROR`.
    pub status: String,
    /// The instance under it, if there is one.
    pub instance_id: Option<String>,
    /// That instance's type.
    pub instance_type: Option<String>,
    /// The image it runs from.
    pub image_id: Option<String>,
    /// The private IPv4 address.
    pub private_ip: Option<String>,
    /// When the node was made.
    pub created_at: String,
    /// When the instance was launched.
    pub launched_at: Option<String>,
}

/// An entry of a node's log.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogEntry {
    /// A sentence.
    pub message: String,
    /// `DEBUG`, `INFO`, `WARN` or `ERROR`.
    pub severity: String,
    /// When: RFC 3339 in UTC with milliseconds.
    pub created_at: String,
}

/// Items of one kind.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Items<T: ToSchema> {
    /// The status.
    pub status: StatusCode,
    /// What the items are.
    pub kind: String,
    /// The items.
    pub items: Vec<T>,
    /// How many.
    pub count: usize,
}

/// An answer with items.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Answered<T: ToSchema> {
    /// The request.
    pub request: RequestEcho,
    /// The answer.
    pub response: Items<T>,
}

/// One reason of a failure.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Reason {
    /// A stable word for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// The field it is about, if it is about one.
    pub field: Option<String>,
}

/// What was answered where something failed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FailedBody {
    /// The status.
    pub status: StatusCode,
    /// Every reason.
    pub errors: Vec<Reason>,
}

/// A failure; every status but 200 has it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Failed {
    /// The request.
    pub request: RequestEcho,
    /// The answer.
    pub response: FailedBody,
}

/// What goes at once when a node is given up; what is missing is `false`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deallocation {
    /// The instance; `false` lets it go on without Holdfast.
    pub should_terminate_instance: Option<bool>,
    /// Images.
    pub should_delete_images: Option<bool>,
    /// Interfaces.
    pub should_delete_network_interfaces: Option<bool>,
    /// Volumes.
    pub should_delete_volumes: Option<bool>,
    /// Snapshots.
    pub should_delete_snapshots: Option<bool>,
}

/// The body of a deletion; it may be left out.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// What goes at once.
    pub deallocation_config: Option<Deallocation>,
}

/// A decision.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DecisionRequest {
    /// `wait`, `retry` or `restore`.
    pub choice: String,
}

/// How a node comes back that was given up.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UndeleteRequest {
    /// Whether it comes back even if the deletion took something of it; missing: no.
    pub accept_loss: Option<bool>,
}

/// Where a node returns to: one of `generation` and `snapshotId`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RollbackRequest {
    /// What this generation left behind.
    pub generation: Option<u64>,
    /// What was taken together with this snapshot.
    pub snapshot_id: Option<String>,
    /// Whether data volumes return too; missing: where they travel as snapshots anyway
    /// (`onLaunch`).
    pub data: Option<bool>,
}

/// One volume's part of what a node can return to.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeptVolume {
    /// `root`, or the device name.
    pub of: String,
    /// The snapshot.
    pub snapshot_id: String,
    /// The image, for a root that has one.
    pub image_id: Option<String>,
    /// Size of the volume in GiB.
    pub size_gib: Option<u32>,
}

/// What a node can return to.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Generation {
    /// The generation that wrote it.
    pub generation: u64,
    /// `final`: what it left behind; `periodic`: taken while it ran.
    pub kind: String,
    /// When it was taken.
    pub taken_at: Option<String>,
    /// Whether the generation had become ready.
    pub ready: bool,
    /// Whether a rollback or another image took its place.
    pub set_aside: bool,
    /// The volumes.
    pub volumes: Vec<KeptVolume>,
}

/// A node with all that is known of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WholeNode {
    /// The node.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its state.
    pub status: String,
    /// Counts its instances.
    pub generation: u64,
    /// What it waits for, if it is not where its spec wants it.
    pub waits_for: Option<String>,
    /// Whether the user has given it up.
    pub given_up: bool,
    /// What was decided, with the timeline of replacements; not in the list.
    #[schema(value_type = Option<Object>)]
    pub record: Option<serde_json::Value>,
    /// The instance as the cloud shows it; not in the list.
    #[schema(value_type = Option<Object>)]
    pub instance: Option<serde_json::Value>,
    /// The volumes as the cloud shows them; not in the list.
    #[schema(value_type = Option<Vec<Object>>)]
    pub volumes: Option<Vec<serde_json::Value>>,
}

/// Whether the server is ready.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Health {
    /// `ready`, `starting` or `frozen`.
    pub status: String,
}

/// Why nothing is to be changed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FreezeRequest {
    /// A sentence of at most 500 bytes.
    pub reason: String,
}

/// How the fleet is.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FleetStatus {
    /// Whether nothing is changed at the moment.
    pub frozen: bool,
    /// Why: `cause` (`asked`, `account`, `vanished`), `since`, `reason`.
    #[schema(value_type = Vec<Object>)]
    pub freezes: Vec<serde_json::Value>,
    /// Counts the starts of this installation's server.
    pub epoch: u64,
    /// When this one began.
    pub epoch_began: String,
    /// Which installation this is.
    pub installation: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The program's version.
    pub version: Option<String>,
    /// The schema of records.
    pub record_version: Option<u32>,
    /// The version of the store's file.
    pub store_version: Option<i64>,
    /// Whether the first whole look at the cloud is over.
    pub ready: Option<bool>,
    /// How many nodes are in which state; `STOPPED`: their records cannot be used.
    #[schema(value_type = Option<Object>)]
    pub nodes: Option<serde_json::Value>,
    /// How many nodes wait to be adopted.
    pub quarantined: Option<u64>,
    /// Markets that refused: `market`, `until`, and how many `nodes` leave it alone.
    #[schema(value_type = Option<Vec<Object>>)]
    pub cooled_markets: Option<Vec<serde_json::Value>>,
    /// The most replacements in an hour that are begun by Holdfast's own choice.
    pub voluntary_per_hour: Option<u64>,
    /// How many were begun within the last hour.
    pub voluntary_begun: Option<u64>,
    /// The cloud's limits on calls: `action`, what it publishes (`publishedPerSecond`), which share
    /// of that it is believed to give (`believedPercent`), and how many calls are `waiting`.
    #[schema(value_type = Option<Vec<Object>>)]
    pub call_limits: Option<Vec<serde_json::Value>>,
}

/// What no record accounts for, of one node.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unaccounted {
    /// Of which installation, by the tags.
    pub installation: String,
    /// Of which node.
    pub node: String,
    /// Whether it is of this installation.
    pub ours: bool,
    /// The generation of the record, if there is one.
    pub recorded: Option<u64>,
    /// What this means, and what would help.
    pub why: String,
    /// What an adoption would find.
    pub found: Option<String>,
    /// What only a person can decide: `part`, `why`, `candidates`.
    #[schema(value_type = Vec<Object>)]
    pub questions: Vec<serde_json::Value>,
    /// The resources as the cloud shows them.
    #[schema(value_type = Vec<Object>)]
    pub resources: Vec<serde_json::Value>,
}

/// What is to be adopted, and how.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdoptRequest {
    /// The node's document: needed where there is no record.
    pub managed_instance: Option<ManagedInstance>,
    /// What a person has decided: parts of the node, each with an id or `fresh`.
    #[schema(value_type = Option<Object>)]
    pub heads: Option<serde_json::Value>,
}
