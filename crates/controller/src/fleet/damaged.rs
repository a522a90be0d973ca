//! Damaged records: one can be removed with the node that it was of, or replaced by an adoption
//! ([`super::adoption`]).

use super::Fleet;
use super::messages::Effect;
use super::runner::Draft;
use crate::refusal::Refusal;
use holdfast_model::facts::{Fact, InstanceState};
use holdfast_model::{Event, EventCode, NodeId, Record, Time};
use std::sync::Arc;

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
