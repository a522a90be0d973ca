//! Records that cannot be read: their nodes are stopped. A damaged one can be replaced by an adoption
//! ([`super::adoption`]), or removed with the node that it was of.

use super::runner::Draft;
use super::{Effect, Fleet};
use crate::handle::Refusal;
use holdfast_model::facts::{Fact, InstanceState};
use holdfast_model::versions::RecordError;
use holdfast_model::{Event, EventCode, NodeId, Record, Time};
use std::sync::Arc;

/// A stored record that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Why, and what would help.
    pub why: String,
    /// Its revision, if it is damaged: then a person may have it replaced. A newer version's is
    /// whole, and never is.
    pub damaged: Option<u64>,
}

impl Unreadable {
    /// Of a record with this revision in the store.
    #[must_use]
    pub fn of(error: &RecordError, revision: u64) -> Unreadable {
        let damaged = matches!(error, RecordError::Damaged(_)).then_some(revision);
        Unreadable { why: error.to_string(), damaged }
    }
}

impl Fleet {
    /// Removes a record that is damaged, if nothing is left of its node. Of what is left nobody
    /// knows what the node's user wants of it, so then it is to be adopted first.
    pub(super) fn forget(&mut self, word: u64, node: NodeId, now: Time, effects: &mut Vec<Effect>) {
        let scene = self.scene(now);
        let is_over = |fact: &&Fact| matches!(fact, Fact::Instance(i) if i.state == InstanceState::Terminated);
        let left = scene.world.ours(&node, scene.installation).filter(|f| !is_over(f)).count();
        let refusal = if !scene.world.is_settled() {
            let why =
                "the cloud has not been looked at for long enough; try again in half a minute";
            Some(Refusal::Unavailable(why.to_owned()))
        } else if left > 0 {
            let why = format!(
                "its record is damaged, and the cloud shows {left} resources of it; have the \
                 record made anew (holdfast adopt {node} --spec FILE), then delete it"
            );
            Some(Refusal::Conflict { node: node.clone(), why })
        } else {
            None
        };
        let id = self.id();
        let refusal = match (refusal, self.runners.get_mut(&node)) {
            (None, Some(runner)) if runner.committing.is_none() => {
                let message = "deleted: its record was damaged, and the cloud shows nothing of it";
                let event = Event::new(now, node.clone(), EventCode::Forgotten, message);
                let nothing = serde_json::Value::Object(serde_json::Map::new());
                let draft = Draft {
                    record: None,
                    before: Arc::new(Record::new(node.clone(), nothing, now)),
                    events: vec![event],
                    words: vec![word],
                    replies: Vec::new(),
                    overtaken: Vec::new(),
                };
                effects.push(Effect::Commit {
                    id,
                    node: node.clone(),
                    expected: runner.stored_revision(),
                    record: None,
                    events: draft.events.clone(),
                });
                runner.committing = Some(draft);
                self.commits.insert(id, node);
                return;
            }
            (None, _) => Refusal::Unavailable("it is being deleted already".to_owned()),
            (Some(refusal), _) => refusal,
        };
        effects.push(Effect::Answer { id: word, answer: Err(refusal) });
    }
}
