//! What the controller wants done: commits and calls.

use super::{Draft, MAX_STORY, Message, Simulation};
use crate::upset::Upset;
use holdfast_cloud_sim::Class;
use holdfast_controller::{Departure, Effect, Outcome};
use holdfast_model::record::Goal;
use holdfast_model::time::SECOND;
use holdfast_model::{CloudError, Command, Event, Invariant, NodeId, Record, Reply, versions};
use holdfast_store::{Store, StoreError, Write, Written};
use std::sync::Arc;

/// How long a commit takes, in milliseconds.
const COMMIT_TAKES: u64 = 2;
/// How long a slow one takes, in milliseconds.
const SLOW_COMMIT_TAKES: u64 = 10 * SECOND;
/// How long no look shows a resource at most: less than the half minute that Holdfast allows EC2.
const UNSHOWN: u64 = 20 * SECOND;
/// How long after a call left an instance of its node may die, in milliseconds.
const DOOM: u64 = 40 * SECOND;

impl Simulation {
    pub(super) fn carry_out(&mut self, effect: Effect, upset: Option<Upset>) {
        match effect {
            Effect::Commit { id, node, expected, record, events } => {
                if self.cloud.faults().draw(Class::SlowCommit) {
                    let takes = self.slow_commit(&node);
                    let draft = Box::new(Draft { node, expected, record, events });
                    self.post(self.now.plus(takes), Message::Durable(id, draft));
                    return;
                }
                let outcome = match upset {
                    Some(Upset::CommitFails) => Outcome::Failed("it was told to fail".to_owned()),
                    _ => self.commit(node, expected, record, events),
                };
                let slow = upset == Some(Upset::CommitIsSlow);
                let takes = if slow { SLOW_COMMIT_TAKES } else { COMMIT_TAKES };
                self.post(self.now.plus(takes), Message::Committed(id, outcome));
            }
            Effect::Call { calls } => {
                // What happened before this call, while the controller stood still say, is none of it.
                self.tally_hits(None);
                for Departure { node, command, .. } in &calls {
                    self.calls.push(command.action());
                    self.digest.debug(command);
                    self.watch.call(self.now, node, command, &mut self.cloud);
                    if self.cloud.faults().draw(Class::Death) {
                        let after = self.cloud.faults().between(Class::Death, 0, DOOM);
                        self.sequence += 1;
                        self.dooms.insert((self.now.plus(after), self.sequence), node.clone());
                    }
                }
                let commands = calls.iter().map(|c| c.command.clone()).collect();
                let answers = self.cloud.call_together(self.now, commands);
                if let Some(first) = calls.first() {
                    self.strike(upset, &first.node);
                }
                for (Departure { id, node, command, .. }, answer) in calls.into_iter().zip(answers)
                {
                    self.note(|| call_line(&node, &command, &answer.result));
                    self.watch.answered(self.now, &node, &command, &answer.result);
                    self.tally_hits(Some((&node, &command)));
                    self.post(answer.reply_at, Message::Replied(id, answer.result));
                }
            }
            Effect::Observe { id, query } => {
                if self.cloud.faults().draw(Class::Unshown) {
                    self.hide_what_is_going();
                }
                let (at, result) = self.look(&query, upset);
                self.post(at, Message::Observed(id, result));
            }
            Effect::Answer { id, answer } => {
                let open = self.open_words.remove(&id);
                if let (Some((act, doing)), true) = (open, answer.is_ok()) {
                    self.tally.act(act, doing);
                }
                if let Ok(record) = &answer {
                    self.watch.heard(record);
                }
                self.answers.insert(id, answer);
            }
            Effect::Show(_) => {}
        }
    }

    /// How long a slow commit takes: mostly some seconds, sometimes a minute. The next one of its
    /// node is made after its answer, so that they stay in their order.
    fn slow_commit(&mut self, node: &NodeId) -> u64 {
        let faults = self.cloud.faults();
        let most = if faults.between(Class::SlowCommit, 1, 8) == 1 { 60 } else { 8 };
        let takes = faults.between(Class::SlowCommit, SECOND, most * SECOND);
        let to = format!("a commit, for {} s", takes / SECOND);
        faults.hit(self.now, Class::SlowCommit, &to, Some(node.clone()));
        takes
    }

    /// For a while no look shows something of a node that has been given up.
    fn hide_what_is_going(&mut self) {
        let given_up = |record: &Arc<Record>| record.lifecycle.goal() == Goal::Deleted;
        let all = self.watch.durable.iter().filter(|(_, record)| given_up(record));
        let nodes: Vec<NodeId> = all.map(|(node, _)| node.clone()).collect();
        let Some(last) = (nodes.len() as u64).checked_sub(1) else { return };
        let node = &nodes[self.cloud.faults().between(Class::Unshown, 0, last) as usize];
        let there = self.cloud.resources(node);
        let Some(last) = (there.len() as u64).checked_sub(1) else { return };
        let faults = self.cloud.faults();
        let id = there[faults.between(Class::Unshown, 0, last) as usize].id();
        let until = self.now.plus(faults.between(Class::Unshown, SECOND, UNSHOWN));
        faults.hit(self.now, Class::Unshown, id, Some(node.clone()));
        self.cloud.hide(self.now, id, until);
    }

    pub(super) fn commit(
        &mut self,
        node: NodeId,
        expected: u64,
        record: Option<Arc<Record>>,
        events: Vec<Event>,
    ) -> Outcome {
        if self.cloud.faults().draw(Class::StoreError) {
            self.cloud.faults().hit(self.now, Class::StoreError, "a commit", Some(node));
            return Outcome::Failed("a fault of the simulation".to_owned());
        }
        let json = match record.as_deref().map(serde_json::to_string).transpose() {
            Ok(json) => json,
            Err(e) => return Outcome::Failed(e.to_string()),
        };
        if let (true, Some(json), Some(record)) = (self.reads_back, &json, record.as_deref()) {
            let read = versions::read(json);
            if !read.as_ref().is_ok_and(|r| r == record) {
                let what = format!("a record cannot be read back: {:?} {json}", read.err());
                let now = self.now;
                self.cloud.truth_mut().broken(Invariant::CommitBeforeAct, now, &node, what);
            }
        }
        self.digest.number(self.now.0);
        self.digest.bytes(json.as_deref().unwrap_or_default().as_bytes());
        let write = Write { node: node.clone(), expected, record: json, events };
        let written: Result<Vec<Written>, StoreError> =
            self.store.commit(std::slice::from_ref(&write));
        match written {
            Ok(written) if written.first() == Some(&Written::Done) => {
                for event in &write.events {
                    self.note(|| format!("{node} {}: {}", event.code, event.message));
                }
                let room = MAX_STORY.saturating_sub(self.story.len());
                self.tally.committed(
                    &node,
                    self.watch.durable.get(&node),
                    record.as_ref(),
                    &self.cloud,
                );
                if self.follows_users {
                    let before = self.watch.durable.get(&node).map(Arc::as_ref);
                    let both = (before, record.as_deref());
                    let grace = self.config.tuning.deallocation_grace;
                    self.accepted.committed(self.now, both, &write.events, grace, &mut self.cloud);
                }
                self.watch.committed(self.now, &node, record, &write.events, &mut self.cloud);
                self.story.extend(write.events.into_iter().take(room));
                Outcome::Done
            }
            Ok(_) => Outcome::Conflict,
            Err(e) => Outcome::Failed(e.to_string()),
        }
    }
}

/// A call and its outcome, for people.
fn call_line(node: &NodeId, command: &Command, result: &Result<Reply, CloudError>) -> String {
    let about = command.touches().join(" ");
    let result = match result {
        Ok(reply) => match (command.makes(), reply.facts.first()) {
            (Some(_), Some(made)) => format!("made {}", made.id()),
            _ => "done".to_owned(),
        },
        Err(e) => format!("{e}"),
    };
    format!("{node} call {} {about}: {result}", command.action())
}
