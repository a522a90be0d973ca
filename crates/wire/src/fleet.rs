//! The fleet as a whole, and adoption.

use crate::{ManagedInstance, RequestBody, Resource};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use utoipa::ToSchema;

/// Whether the server is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ready`, `starting` or `frozen`.
    pub status: String,
}

/// Why nothing is to be changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct FreezeRequest {
    /// A sentence in one line.
    pub reason: Option<String>,
}

impl RequestBody for FreezeRequest {
    const EXAMPLE: &'static str = "{\"reason\": \"the network is being moved\"}";
}

/// Why nothing is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Freeze {
    /// `asked`, `account` or `vanished`.
    pub cause: String,
    /// Since when: RFC 3339 in UTC with milliseconds.
    pub since: String,
    /// A sentence: why, and what lifts it.
    pub reason: String,
}

/// What freezes the fleet, and which controller it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Whether nothing is changed at the moment.
    pub frozen: bool,
    /// Why.
    pub freezes: Vec<Freeze>,
    /// Counts the starts of this installation's server.
    pub epoch: u64,
    /// When this one began: RFC 3339 in UTC with milliseconds.
    pub epoch_began: String,
}

/// A market that refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CooledMarket {
    /// The market, as a text.
    pub market: String,
    /// Until when it is left alone: RFC 3339 in UTC with milliseconds.
    pub until: String,
    /// How many nodes leave it alone.
    pub nodes: usize,
}

/// One of the cloud's limits on calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallLimit {
    /// Of which action.
    pub action: String,
    /// What the cloud publishes.
    pub published_per_second: u64,
    /// Which share of that it is believed to give.
    pub believed_percent: u64,
    /// How many calls wait.
    pub waiting: usize,
}

/// How the fleet is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FleetStatus {
    /// What freezes it, and which controller it has.
    #[serde(flatten)]
    pub standing: Standing,
    /// Which installation this is.
    pub installation: String,
    /// The region.
    pub region: String,
    /// The program's version.
    pub version: String,
    /// The schema of records.
    pub record_version: u32,
    /// The version of the store's file.
    pub store_version: i64,
    /// Whether the first whole look at the cloud is over.
    pub ready: bool,
    /// How many nodes are in which state; `STOPPED`: their records cannot be used.
    pub nodes: BTreeMap<String, usize>,
    /// How many nodes wait to be adopted.
    pub quarantined: usize,
    /// Markets that refused.
    pub cooled_markets: Vec<CooledMarket>,
    /// The most replacements in an hour that are begun by Holdfast's own choice.
    pub voluntary_per_hour: usize,
    /// How many were begun within the last hour.
    pub voluntary_begun: usize,
    /// The cloud's limits on calls; empty where it has none.
    pub call_limits: Vec<CallLimit>,
}

/// What could stand for a part of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Candidate {
    /// Its id.
    pub id: String,
    /// What is known of it.
    pub what: String,
}

/// What only a person can decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Question {
    /// Which part of the node.
    pub part: String,
    /// What is not certain, and what would help.
    pub why: String,
    /// What could stand for it.
    pub candidates: Vec<Candidate>,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.part, self.why)?;
        for (index, candidate) in self.candidates.iter().enumerate() {
            let before = if index == 0 { ". There is" } else { ", and" };
            write!(f, "{before} {} ({})", candidate.id, candidate.what)?;
        }
        Ok(())
    }
}

/// What no record accounts for, of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// What an adoption would find without further answers.
    pub found: Option<String>,
    /// What only a person can decide.
    pub questions: Vec<Question>,
    /// The resources as the cloud shows them.
    pub resources: Vec<Resource>,
}

/// What is to be adopted, and how; it may be left out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdoptRequest {
    /// The node's document: needed where there is no record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_instance: Option<ManagedInstance>,
    /// What a person has decided: parts of the node, each with an id or `fresh`.
    #[serde(default)]
    pub heads: BTreeMap<String, String>,
}

impl RequestBody for AdoptRequest {
    const EXAMPLE: &'static str =
        "{\"heads\": {\"root\": \"ami-0a1b\", \"/dev/xvdb\": \"vol-0a1b\"}}";
}
