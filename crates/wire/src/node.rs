//! Nodes in Spot's interface.

use crate::{RequestBody, flag};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A node's document, or a part of one: kept and echoed as it was received. Its members are
/// described by the server, which knows them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ManagedInstance(pub Map<String, Value>);

impl PartialSchema for ManagedInstance {
    fn schema() -> RefOr<Schema> {
        let any = AdditionalProperties::FreeForm(true);
        ObjectBuilder::new().schema_type(Type::Object).additional_properties(Some(any)).into()
    }
}

impl ToSchema for ManagedInstance {}

/// A document, or a part of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeRequest {
    /// The document.
    pub managed_instance: ManagedInstance,
}

impl RequestBody for NodeRequest {
    const EXAMPLE: &'static str = "{\"managedInstance\": {\"name\": \"db\"}}";
}

/// A node's document with what only the server sets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    // First: what only the server sets comes after it, and so counts.
    /// What was set, and nothing else.
    #[serde(flatten)]
    pub document: ManagedInstance,
    /// `smi-` and eight hexadecimal digits.
    pub id: String,
    /// When it was made: RFC 3339 in UTC with milliseconds.
    pub created_at: String,
    /// When its document last changed.
    pub updated_at: String,
}

/// A node in a list: flat, and under `config` again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ListedNode {
    /// The node.
    #[serde(flatten)]
    pub node: Node,
    /// Its document again.
    pub config: ManagedInstance,
}

/// A node's state. What there is not is left out: an empty time could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// That instance's type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// The image it runs from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// The private IPv4 address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_ip: Option<String>,
    /// The Elastic IP that leads to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_ip: Option<String>,
    /// When the node was made.
    pub created_at: String,
    /// When the instance was launched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launched_at: Option<String>,
}

/// An entry of a node's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogEntry {
    /// A sentence.
    pub message: String,
    /// `DEBUG`, `INFO`, `WARN` or `ERROR`.
    pub severity: String,
    /// When: RFC 3339 in UTC with milliseconds.
    pub created_at: String,
}

/// What goes at once when a node is given up; what is missing is `false`. Flags may come as texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Deallocation {
    /// The instance; `false` lets it go on without Holdfast.
    #[serde(deserialize_with = "flag::read")]
    pub should_terminate_instance: Option<bool>,
    /// Images.
    #[serde(deserialize_with = "flag::read")]
    pub should_delete_images: Option<bool>,
    /// Interfaces.
    #[serde(deserialize_with = "flag::read")]
    pub should_delete_network_interfaces: Option<bool>,
    /// Volumes.
    #[serde(deserialize_with = "flag::read")]
    pub should_delete_volumes: Option<bool>,
    /// Snapshots.
    #[serde(deserialize_with = "flag::read")]
    pub should_delete_snapshots: Option<bool>,
}

/// The body of a deletion; it may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// What goes at once.
    pub deallocation_config: Option<Deallocation>,
}

impl RequestBody for Deletion {
    const EXAMPLE: &'static str = "{\"deallocationConfig\": {\"shouldTerminateInstance\": true}}";
}
