//! Adoption: a person says that what the cloud shows of a node is to be taken up.

use super::hearing::take_up;
use super::runner::Runner;
use super::{Effect, Fleet};
use crate::refusal::Refusal;
use holdfast_engine::life::{adopt, strays};
use holdfast_model::adoption::Stray;
use holdfast_model::record::NodeLifecycle;
use holdfast_model::standing::Cause;
use holdfast_model::user::UserCommand;
use holdfast_model::{NodeId, Record, Spec, Time};
use std::sync::Arc;

impl Fleet {
    /// What is in the cloud and no record accounts for, by node.
    #[must_use]
    pub fn strays(&self, now: Time) -> Vec<Stray> {
        let records = self.runners.values().filter_map(|r| r.record.as_deref());
        strays::strays(records, &self.scene(now))
    }

    /// Takes the word in, if it can be carried out: it is tried here first, and then said to the
    /// runner, so that it finds the record as it is then.
    pub(super) fn adopt(
        &mut self,
        id: u64,
        word: UserCommand,
        now: Time,
        effects: &mut Vec<Effect>,
    ) {
        match self.try_adoption(&word, now) {
            Err(refusal) => effects.push(Effect::Answer { id, answer: Err(refusal) }),
            Ok(unborn) => {
                let node = word.node().clone();
                if let Some(record) = unborn {
                    let record = Arc::new(record);
                    // It was tried only with a damaged one, or with none.
                    let damaged = self.runners.remove(&node).and_then(|r| r.replaces);
                    let runner = match damaged {
                        Some(damaged) => Runner::instead(record, damaged),
                        None => Runner::new(record),
                    };
                    self.runners.insert(node.clone(), runner);
                }
                // Whoever adopts takes over: from here on the other controller, if there still is
                // one, sees that it is no longer the newest.
                let scene = self.scene(now);
                if let Some(seen) = adopt::newest_epoch(&node, &scene)
                    && seen.is_beyond(self.standing.epoch)
                {
                    self.standing.epoch = seen.next(now);
                }
                if let Some(runner) = self.runners.get_mut(&node) {
                    runner.words.push_back((id, word));
                }
                self.dirty.insert(node);
            }
        }
    }

    /// Whether it can be done now. Returns the record of a node that was not known.
    fn try_adoption(&self, word: &UserCommand, now: Time) -> Result<Option<Record>, Refusal> {
        let UserCommand::Adopt { id: node, document, .. } = word else { return Ok(None) };
        let conflict = |why: String| Refusal::Conflict { node: node.clone(), why };
        if let Some(freeze) = self.standing.freezes.get(&Cause::Account) {
            return Err(conflict(freeze.reason.clone()));
        }
        if let Some(document) = document {
            let document = holdfast_model::document::without_nulls(document);
            // The limits of what is sent are not asked of it: the node was accepted once, maybe by
            // a version that had others, and must not be lost to them.
            let checked = Spec::read(&document).and_then(|spec| self.check_spec(&spec));
            checked.map_err(Refusal::Invalid)?;
        }
        let record = match (self.runners.get(node), document) {
            (Some(runner), document) => match (&runner.record, document) {
                (Some(record), _) if runner.stopped.is_none() => (**record).clone(),
                (None, Some(document)) if runner.is_damaged() => unknown(node, document, now),
                _ => return Err(conflict(runner.stopped.clone().unwrap_or_default())),
            },
            (None, Some(document)) => unknown(node, document, now),
            (None, None) => {
                let scene = self.scene(now);
                let ours = scene.world.ours(node, scene.installation).next().is_some();
                return Err(if ours {
                    conflict("it has no record here: give its spec with --spec".to_owned())
                } else {
                    Refusal::NoSuchNode(node.clone())
                });
            }
        };
        take_up(&mut record.clone(), word, &self.scene(now))?;
        Ok((record.revision.is_none()).then_some(record))
    }
}

/// A node that has no record: without a living instance it rests until a person resumes it.
fn unknown(node: &NodeId, document: &serde_json::Value, now: Time) -> Record {
    let document = holdfast_model::document::without_nulls(document);
    let mut record = Record::new(node.clone(), document, now);
    record.lifecycle = NodeLifecycle::Paused;
    record
}
