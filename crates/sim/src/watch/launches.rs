//! Launches: no number of a generation is given twice, and none leaves against its user's word.
//!
//! A number counts as given as soon as a launch with it leaves, until the cloud has definitely
//! refused that. A launch is against the user's word if a word was answered that left the node
//! paused or given up, and it has never left before. One that may have left is repeated whatever
//! its user has said since, for only the answer tells what it has made; after a restart that is
//! every launch that stands in the store.

use holdfast_model::command::Launch;
use holdfast_model::record::Goal;
use holdfast_model::{
    CallState, CloudError, Command, Invariant, NodeId, Record, Reply, Token, tags,
};
use std::collections::{BTreeMap, BTreeSet};

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Launches {
    /// Which launch was given which number.
    given: BTreeMap<NodeId, BTreeMap<String, Token>>,
    /// Launches that have left, or that an earlier process may have let leave.
    left: BTreeMap<NodeId, BTreeSet<Token>>,
    /// Nodes whose users have been answered that no instance is wanted.
    unwanted: BTreeSet<NodeId>,
}

impl Launches {
    /// A controller starts with this record.
    pub(super) fn stored(&mut self, record: &Record) {
        self.heard(record);
        for call in record.rows().flat_map(|(_, row)| row.calls.values()) {
            if let (CallState::Started, Command::RunInstances(_)) = (&call.state, &call.command) {
                self.left.entry(record.id.clone()).or_default().insert(call.token.clone());
            }
        }
    }

    /// A word was answered with this record.
    pub(super) fn heard(&mut self, record: &Record) {
        if record.lifecycle.goal() == Goal::Running {
            self.unwanted.remove(&record.id);
        } else {
            self.unwanted.insert(record.id.clone());
        }
    }

    /// A launch leaves: what is wrong with that.
    pub(super) fn leaves(&mut self, node: &NodeId, launch: &Launch) -> Vec<(Invariant, String)> {
        let mut wrong = Vec::new();
        let first = self.left.entry(node.clone()).or_default().insert(launch.token.clone());
        if first && self.unwanted.contains(node) {
            let what = "a launch leaves though its user wants no instance".to_owned();
            wrong.push((Invariant::NoUnwantedLaunch, what));
        }
        let number = launch.tags.get(tags::GENERATION).cloned().unwrap_or_default();
        let given = self.given.entry(node.clone()).or_default();
        let other = given.insert(number.clone(), launch.token.clone());
        if other.is_some_and(|other| other != launch.token) {
            let what = format!("the number {number} is given to a second launch");
            wrong.push((Invariant::GenerationOnce, what));
        }
        wrong
    }

    /// A launch was answered.
    pub(super) fn answered(
        &mut self,
        node: &NodeId,
        launch: &Launch,
        result: &Result<Reply, CloudError>,
    ) {
        if !result.as_ref().is_err_and(|error| error.class.is_definite()) {
            return;
        }
        if let Some(given) = self.given.get_mut(node) {
            given.retain(|_, token| token != &launch.token);
        }
    }

    /// The node is gone.
    pub(super) fn forget(&mut self, node: &NodeId) {
        self.given.remove(node);
        self.left.remove(node);
        self.unwanted.remove(node);
    }
}
