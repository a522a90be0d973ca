//! What can be seen of the nodes and of the fleet without asking the controller.

use crate::fleet::buckets::Belief;
use holdfast_model::facts::{ImageFact, InstanceFact, InterfaceFact, VolumeFact};
use holdfast_model::market::Catalogue;
use holdfast_model::{NodeId, Record, Shared, Standing};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A node as it can be seen: what was decided, and what the cloud shows.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeView {
    /// The committed record.
    pub record: Arc<Record>,
    /// The instance that holds the identity, if it has been seen.
    pub instance: Option<Shared<InstanceFact>>,
    /// The volumes of the identity that have been seen.
    pub volumes: Vec<Shared<VolumeFact>>,
    /// The interfaces of the instance, or of the identity, that have been seen.
    pub interfaces: Vec<Shared<InterfaceFact>>,
    /// The image that the instance was launched from, if it is one of ours.
    pub image: Option<Shared<ImageFact>>,
    /// What the node waits for, as a sentence, if it is not where its spec wants it.
    pub waits_for: Option<String>,
}

/// Everything that can be seen without asking the controller.
#[derive(Debug, Default)]
pub struct View {
    /// Nodes, also deallocated ones whose leftovers wait.
    pub nodes: BTreeMap<NodeId, NodeView>,
    /// Nodes whose record cannot be used, and why.
    pub stopped: BTreeMap<NodeId, String>,
    /// What the region offers.
    pub catalogue: Arc<Catalogue>,
    /// Which installation this is.
    pub installation: String,
    /// What concerns the fleet as a whole: its epoch, and why nothing is changed, if so.
    pub standing: Standing,
    /// Whether the first sweep has been completed.
    pub ready: bool,
    /// What is believed of the cloud's buckets for calls; empty where it has no limits.
    pub beliefs: Vec<Belief>,
    /// The most replacements in an hour by the fleet's own choice.
    pub voluntary_per_hour: usize,
    /// How many were begun within the last hour.
    pub voluntary_begun: usize,
}
