//! Nodes in Holdfast's own interface.

use crate::record::NodeRecord;
use crate::{Image, Instance, Interface, RequestBody, Volume, flag};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// How an instance is paid for, and whether the cloud may take it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Lifecycle {
    /// Cheap, taken back with two minutes' notice or none.
    Spot,
    /// Full price, kept until terminated.
    OnDemand,
}

impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Lifecycle::Spot => "spot",
            Lifecycle::OnDemand => "on-demand",
        })
    }
}

/// Where and how an instance runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Market {
    /// EC2's name of the instance type, such as `m5.large`.
    pub instance_type: String,
    /// The availability zone.
    pub zone: String,
    /// The subnet in that zone.
    pub subnet: String,
    /// `spot` or `on-demand`.
    pub lifecycle: Lifecycle,
}

impl fmt::Display for Market {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} in {}", self.instance_type, self.lifecycle, self.zone)
    }
}

/// A node in short. Of one that is stopped, because its record cannot be used, nothing is known but
/// its id and why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeSummary {
    /// The node.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its state, as in Spot's interface.
    pub status: String,
    /// Where its instance runs, if it has one.
    pub market: Option<Market>,
    /// The instance, if it has one.
    pub instance_id: Option<String>,
    /// The private IPv4 address.
    pub private_ip: Option<String>,
    /// Counts its instances.
    pub generation: Option<u64>,
    /// Counts its replacements.
    pub replacements: Option<u64>,
    /// How much time is between two snapshots at the moment, in milliseconds, if any are taken.
    pub snapshot_interval_ms: Option<u64>,
    /// When it was made: RFC 3339 in UTC with milliseconds.
    pub created_at: Option<String>,
    /// What it waits for, if it is not where its spec wants it.
    pub waits_for: Option<String>,
    /// Whether the user has given it up.
    pub given_up: bool,
}

/// A node with all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WholeNode {
    /// In short.
    #[serde(flatten)]
    pub summary: NodeSummary,
    /// What was decided, with the timeline of replacements.
    pub record: NodeRecord,
    /// The instance as the cloud showed it last.
    pub instance: Option<Instance>,
    /// The volumes as the cloud showed them last.
    pub volumes: Vec<Volume>,
    /// The interfaces as the cloud showed them last.
    pub interfaces: Vec<Interface>,
    /// The image that the next root comes from, as the cloud showed it last.
    pub image: Option<Image>,
}

/// What a person can choose where a node cannot go on by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// Wait again for as long as before.
    Wait,
    /// Try again from the row that is stuck.
    Retry,
    /// Return to the newest snapshots that are kept, and accept the loss of what came after.
    Restore,
}

impl Choice {
    /// As people and programs say it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Choice::Wait => "wait",
            Choice::Retry => "retry",
            Choice::Restore => "restore",
        }
    }
}

/// A decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecisionRequest {
    /// One that the node offers.
    pub choice: Choice,
}

impl RequestBody for DecisionRequest {
    const EXAMPLE: &'static str = "{\"choice\": \"retry\"}";
}

/// How a node comes back that was given up; it may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UndeleteRequest {
    /// Whether it comes back even if the deletion took something of it; missing: no. A flag, also as
    /// text.
    #[serde(deserialize_with = "flag::read")]
    pub accept_loss: Option<bool>,
}

impl RequestBody for UndeleteRequest {
    const EXAMPLE: &'static str = "{\"acceptLoss\": true}";
}

/// Where a node returns to: one of `generation` and `snapshotId`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
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

impl RequestBody for RollbackRequest {
    const EXAMPLE: &'static str = "{\"generation\": 3, \"data\": false}";
}

/// One volume's part of what a node can return to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Generation {
    /// The generation that wrote it.
    pub generation: u64,
    /// `final`: what it left behind; `periodic`: taken while it ran.
    pub kind: String,
    /// When it was taken: RFC 3339 in UTC with milliseconds.
    pub taken_at: Option<String>,
    /// Whether the generation had become ready.
    pub ready: bool,
    /// Whether a rollback or another image took its place.
    pub set_aside: bool,
    /// The volumes.
    pub volumes: Vec<KeptVolume>,
}

/// One event: a line of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Counts the events of the installation.
    pub sequence: u64,
    /// When: RFC 3339 in UTC with milliseconds.
    pub at: String,
    /// Which node.
    pub node: String,
    /// `DEBUG`, `INFO`, `WARN` or `ERROR`.
    pub severity: String,
    /// What it is about, for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}
