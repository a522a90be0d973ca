//! Adoption: a person says that what the cloud shows of a node is to be taken up.

use super::runner::Runner;
use super::{Effect, Fleet};
use crate::handle::Refusal;
use holdfast_engine::Scene;
use holdfast_engine::life::{adopt, strays};
use holdfast_model::adoption::Stray;
use holdfast_model::record::NodeLifecycle;
use holdfast_model::standing::Cause;
use holdfast_model::user::UserCommand;
use holdfast_model::{CallState, Event, NodeId, Record, Spec, Time};
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
        hear(&mut record.clone(), word, &self.scene(now))?;
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

/// Takes up what the cloud shows.
pub(super) fn hear(
    record: &mut Record,
    word: &UserCommand,
    scene: &Scene<'_>,
) -> Result<Event, Refusal> {
    let node = record.id.clone();
    let conflict = |why: &str| Refusal::Conflict { node: node.clone(), why: why.to_owned() };
    let UserCommand::Adopt { document, heads, .. } = word else {
        return Err(conflict("this is no adoption"));
    };
    let needed = record.blocked.quarantine().is_some()
        || record.blocked.decision().is_some()
        || record.revision.is_none();
    if !needed {
        return Err(conflict("there is nothing to adopt: its record is as new as the cloud"));
    }
    if record.blocked.quarantine().is_none() && has_open_creations(record) {
        return Err(conflict("a call that makes something is not answered yet; try again later"));
    }
    let mut next = record.clone();
    if let Some(document) = document {
        let document = holdfast_model::document::without_nulls(document);
        if next.revision.is_some() && *next.document != document {
            next.spec_revision += 1;
            next.updated_at = scene.now;
        }
        next.document = document.into();
    }
    let adopted = adopt::adopt(&next, heads, scene).map_err(|questions| {
        let all: Vec<String> = questions.iter().map(ToString::to_string).collect();
        conflict(&format!("it is not adopted and nothing was changed; {}", all.join(". -- ")))
    })?;
    let event = adopt::event(&adopted, scene);
    *record = adopted.record;
    Ok(event)
}

/// Whether what a call makes may still come into the world.
fn has_open_creations(record: &Record) -> bool {
    let mut calls = record.rows().flat_map(|(_, row)| row.calls.values());
    calls.any(|c| c.state == CallState::Started && c.command.makes().is_some())
}
