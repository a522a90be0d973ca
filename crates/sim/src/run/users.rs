//! A user who looks after their nodes: answers what they ask, says again what was not heard, has
//! adopted what a restored store does not know.

use super::{Run, Slot};
use crate::people::Act;
use holdfast_cloud_sim::config::ROOT_DEVICE;
use holdfast_controller::Refusal;
use holdfast_model::adoption::{Candidate, FRESH, Heads, Question};
use holdfast_model::record::{DataHead, Goal, NeedsDecision};
use holdfast_model::user::{Choice, UserCommand};
use holdfast_model::{InstanceId, NodeId, VolumeId};

/// Of so many questions one is answered by an adoption.
const ADOPTS_ONE_OF: u64 = 10;

impl Run {
    /// The user looks at every node.
    pub(super) fn look_after(&mut self) {
        for index in 0..self.slots.len() {
            self.attach(index);
            self.hear(index);
            self.own(index);
            let Some(record) = self.record(index) else {
                self.adopt_unknown(index);
                continue;
            };
            if record.blocked.quarantine().is_some() && record.lifecycle.goal() != Goal::Deleted {
                self.adopt(index, false);
            } else if let Some(stuck) = record.blocked.decision().filter(|s| s.is_asked()) {
                self.decide(index, stuck);
            }
        }
    }

    /// A node asks: what it offers is chosen from.
    fn decide(&mut self, index: usize, stuck: &NeedsDecision) {
        let id = self.slots[index].node.clone();
        let restores = self.acts.contains(&Act::DecideRestore);
        let offers = restores && stuck.choices().contains(&Choice::Restore);
        let choice = match self.rng.between(0, 2) {
            0 if offers => Choice::Restore,
            0 => Choice::Wait,
            _ => Choice::Retry,
        };
        let adopts =
            self.rng.between(1, ADOPTS_ONE_OF) == 1 && self.acts.contains(&Act::AdoptKnown);
        if self.slots[index].goal != Goal::Deleted && adopts {
            return self.adopt(index, false);
        }
        self.sim.note(|| format!("USER decides for {id}: {choice:?}"));
        self.sim.say(UserCommand::Decide { id, choice });
    }

    /// What was answered to a word that brings a node back.
    fn hear(&mut self, index: usize) {
        let Some(asked) = self.slots[index].asked else { return };
        let Some(answer) = self.sim.answers.get(&asked) else { return };
        let slot = &mut self.slots[index];
        slot.asked = None;
        match answer {
            // Something was lost, and is named.
            Err(Refusal::Conflict { why, .. }) if why.contains("--accept-loss") => {
                slot.accepts = true;
            }
            Err(Refusal::Conflict { .. } | Refusal::NoSuchNode(_)) => slot.goal = Goal::Deleted,
            _ => {}
        }
    }

    /// A volume that its user took away while the node was not being replaced has left it once the
    /// node's record says so; what came back with a replacement is the node's again.
    fn own(&mut self, index: usize) {
        let Some(record) = self.record(index) else { return };
        let is_nodes = |id: &VolumeId| {
            record
                .identity
                .data
                .iter()
                .any(|d| matches!(&d.head, DataHead::Volume { id: of, .. } if of == id))
        };
        if record.lifecycle.goal() == Goal::Deleted {
            self.slots[index].theirs.retain(|id| record.identity.detached_by_user.contains(id));
        } else {
            self.slots[index].theirs.retain(|id| !is_nodes(id) || record.work.is_none());
        }
    }

    /// A node that no record speaks of although the cloud shows something of it.
    fn adopt_unknown(&mut self, index: usize) {
        let Slot { node, goal, .. } = &self.slots[index];
        let is_there = !self.sim.cloud.resources(node).is_empty();
        if *goal != Goal::Deleted && is_there && self.sim.is_up() {
            self.adopt(index, true);
        }
    }

    /// The user has a node adopted, and chooses what the controller is not certain of.
    fn adopt(&mut self, index: usize, unknown: bool) {
        let Slot { node: id, document, .. } = &self.slots[index];
        let (id, document) = (id.clone(), unknown.then(|| document.clone()));
        let strays = self.sim.fleet().strays(self.sim.now);
        let questions = strays.into_iter().filter(|s| s.node == id.as_str() && s.ours);
        let questions: Vec<Question> = questions.flat_map(|s| s.questions).collect();
        let mut heads = Heads::new();
        for question in questions {
            if let Some(head) = self.answer(&id, &question) {
                heads.insert(question.part, head);
            }
        }
        self.sim.note(|| format!("USER has {id} adopted: {heads:?}"));
        self.sim.say(UserCommand::Adopt { id, document, heads });
    }

    /// What a person would say who knows what each copy holds: the one that lacks the least.
    fn answer(&mut self, node: &NodeId, question: &Question) -> Option<String> {
        let all = &question.candidates;
        match question.part.as_str() {
            // There is nothing to choose: it is waited for.
            "node" | "spec" => None,
            "instance" if all.len() > 1 => {
                for candidate in all.iter().skip(1) {
                    let id = InstanceId::from(candidate.id.as_str());
                    self.sim.cloud.kill(self.sim.now, &id);
                }
                None
            }
            "instance" => all.first().map(|c| c.id.clone()),
            part if part.starts_with("interface") => {
                Some(all.first().map_or(FRESH.to_owned(), |c| c.id.clone()))
            }
            part => {
                let device = if part == "root" { ROOT_DEVICE } else { part };
                let lacks =
                    |c: &&Candidate| self.sim.cloud.lacks(node, device, &c.id).unwrap_or(u64::MAX);
                Some(all.iter().min_by_key(lacks).map_or(FRESH.to_owned(), |c| c.id.clone()))
            }
        }
    }

    /// A user whose word was not heard says it again; one whose node lost what it needs gives it
    /// up, once it has said so.
    pub(super) fn say_again(&mut self, index: usize) {
        let Slot { node, goal, document, .. } = &self.slots[index];
        let (id, goal, document) = (node.clone(), *goal, document.clone());
        let harmed = self.slots[index].harmed || self.sim.cloud.is_bereft(&id);
        match self.record(index) {
            // Its grace was over before it could come back.
            None if self.slots[index].is_back && self.sim.cloud.resources(&id).is_empty() => {
                self.slots[index].goal = Goal::Deleted;
            }
            None if self.sim.cloud.resources(&id).is_empty() => {
                self.sim.say(UserCommand::Create { id, document });
            }
            None => {}
            Some(record) if record.lifecycle.goal() == Goal::Deleted && goal != Goal::Deleted => {
                let accept_loss = self.slots[index].accepts;
                self.slots[index].asked =
                    Some(self.sim.say(UserCommand::Undelete { id, accept_loss }));
            }
            Some(record) if goal != Goal::Deleted && *record.document != document => {
                self.sim.say(UserCommand::Update { id, patch: document });
            }
            Some(record) if record.lifecycle.goal() != goal => self.want(index, goal),
            Some(record) if harmed && record.status() == "ERROR" => {
                self.want(index, Goal::Deleted);
            }
            Some(_) => {}
        }
    }
}
