//! Calls on their way: which may leave, in which order, and what happens when no definite answer
//! comes.
//!
//! A call whose outcome is unknown is repeated byte for byte. Where the cloud takes no token, an
//! earlier attempt is looked for by its tag first, with a read that was asked after the
//! consistency window.

use super::runner::Answered;
use super::{Effect, Fleet};
use holdfast_model::replacement::Replacement;
use holdfast_model::{
    CallState, CloudError, Command, ErrorClass, Kind, NodeId, Reply, Row, Time, Token, tags,
};
use std::collections::BTreeMap;

/// Queues by priority: a smaller number goes first.
fn priority(kind: Kind) -> u8 {
    match kind {
        Kind::Notice | Kind::Lost => 0,
        Kind::Create | Kind::Recycle | Kind::Pause | Kind::Resume | Kind::Delete => 1,
        Kind::Unhealthy => 2,
    }
}

/// One call that should leave.
#[derive(Debug, Clone)]
struct Waiting {
    node: NodeId,
    row: Row,
    name: String,
    command: Command,
    priority: u8,
    /// Not before.
    at: Time,
    tries: u32,
    /// Since when it may have been done by an attempt whose answer never came.
    unknown_since: Option<Time>,
}

impl Waiting {
    fn is_drain(&self) -> bool {
        matches!(self.command, Command::Drain { .. })
    }
}

/// Calls by their tokens: waiting, or under way.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeMap<Token, Waiting>,
    under_way: BTreeMap<u64, (Token, Waiting)>,
    sent: BTreeMap<Token, u64>,
    /// Tokens that an earlier process may have sent, last at the time given.
    suspects: BTreeMap<Token, Time>,
    /// When calls were last let out: what waits from before waits for a free place.
    tried: Time,
}

impl Queue {
    /// Every started call of a record that an earlier process committed may have left.
    pub(super) fn suspect(&mut self, replacement: &Replacement, now: Time) {
        for call in replacement.rows.values().flat_map(|row| row.calls.values()) {
            if call.state == CallState::Started {
                self.suspects.insert(call.token.clone(), now);
            }
        }
    }

    /// Takes in the started calls of a committed record.
    pub(super) fn offer(&mut self, node: &NodeId, replacement: &Replacement) {
        self.waiting.retain(|token, waiting| {
            &waiting.node != node
                || replacement
                    .rows
                    .values()
                    .filter(|row| row.done_at.is_none())
                    .flat_map(|row| row.calls.values())
                    .any(|call| &call.token == token && call.state == CallState::Started)
        });
        for (row, state) in &replacement.rows {
            if state.done_at.is_some() {
                continue;
            }
            for (name, call) in &state.calls {
                let new = call.state == CallState::Started
                    && !self.sent.contains_key(&call.token)
                    && !self.waiting.contains_key(&call.token);
                if new {
                    let waiting = Waiting {
                        node: node.clone(),
                        row: *row,
                        name: name.clone(),
                        command: call.command.clone(),
                        priority: priority(replacement.kind),
                        at: Time(0),
                        tries: 0,
                        unknown_since: self.suspects.remove(&call.token),
                    };
                    self.waiting.insert(call.token.clone(), waiting);
                }
            }
        }
    }

    /// Nothing of this node leaves any more.
    pub(super) fn withdraw(&mut self, node: &NodeId) {
        self.waiting.retain(|_, waiting| &waiting.node != node);
    }

    /// When a waiting call may leave.
    pub(super) fn next_try(&self) -> Option<Time> {
        self.waiting.values().map(|w| w.at).filter(|at| *at > self.tried).min()
    }
}

impl Fleet {
    /// Lets calls leave: the most urgent first, as many as may be under way.
    pub(super) fn send(&mut self, now: Time, effects: &mut Vec<Effect>) {
        self.queue.tried = now;
        if self.held().is_some() {
            return;
        }
        // Drains take as long as their scripts: they do not keep others waiting.
        let busy = self.queue.under_way.values().filter(|(_, w)| !w.is_drain()).count();
        let free = self.config.calls_at_once.saturating_sub(busy);
        let mut ready: Vec<(u8, Token)> = self
            .queue
            .waiting
            .iter()
            .filter(|(_, w)| w.at <= now)
            .map(|(token, w)| (w.priority, token.clone()))
            .collect();
        ready.sort();
        for (_, token) in ready.into_iter().take(free) {
            let Some(mut waiting) = self.queue.waiting.remove(&token) else { continue };
            if let Some(since) = waiting.unknown_since
                && waiting.command.needs_lookup()
            {
                match self.find_earlier(&waiting, &token, since) {
                    Earlier::Found(reply) => {
                        self.answer(waiting, token, Ok(reply));
                        continue;
                    }
                    Earlier::Unsure => {
                        self.reads.sweep_soon();
                        waiting.at = now.plus(self.config.poll_interval);
                        self.queue.waiting.insert(token, waiting);
                        continue;
                    }
                    Earlier::None => waiting.unknown_since = None,
                }
            }
            let record = self.runners.get(&waiting.node).and_then(|r| r.record.clone());
            if let Some(broken) =
                record.and_then(|r| self.may_leave(&r, &waiting.command, now).err())
            {
                let error = CloudError {
                    class: ErrorClass::Refused,
                    code: broken.name.to_owned(),
                    message: format!("Holdfast refuses this itself: {}", broken.what),
                };
                self.answer(waiting, token, Err(error));
                continue;
            }
            for id in waiting.command.touches() {
                self.world.touch(id, now);
            }
            let id = self.id();
            let node = waiting.node.clone();
            effects.push(Effect::Call { id, node, command: waiting.command.clone() });
            self.queue.sent.insert(token.clone(), id);
            self.queue.under_way.insert(id, (token, waiting));
        }
        // Answers that needed no call may already let a plan go on.
        if !self.dirty.is_empty() {
            self.run_dirty(now, effects);
        }
    }

    /// Looks for what an attempt without an answer may have made.
    fn find_earlier(&self, waiting: &Waiting, token: &Token, since: Time) -> Earlier {
        let kind = waiting.command.makes();
        let found = self.world.of_node(&waiting.node).find(|fact| {
            Some(fact.kind()) == kind && fact.tags().get(tags::TOKEN) == Some(&token.0)
        });
        if let Some(fact) = found {
            return Earlier::Found(Reply { facts: vec![fact.clone()], gone: Vec::new() });
        }
        let certain = since.plus(self.config.tuning.consistency_window);
        match kind.and_then(|kind| self.world.swept(kind)) {
            Some(asked) if asked > certain => Earlier::None,
            _ => Earlier::Unsure,
        }
    }

    /// A call was answered, or its answer never came.
    pub(super) fn replied(&mut self, id: u64, result: Result<Reply, CloudError>, now: Time) {
        let Some((token, mut waiting)) = self.queue.under_way.remove(&id) else { return };
        self.queue.sent.remove(&token);
        for id in waiting.command.touches() {
            self.world.touch(id, now);
        }
        self.dirty.insert(waiting.node.clone());
        match result {
            Ok(reply) => {
                self.world.absorb_reply(&reply, now);
                self.answer(waiting, token, Ok(reply));
            }
            Err(error) if error.class.is_definite() => self.answer(waiting, token, Err(error)),
            Err(error) => {
                if error.class == ErrorClass::OutcomeUnknown {
                    waiting.unknown_since = Some(now);
                }
                waiting.tries = waiting.tries.saturating_add(1);
                waiting.at = now.plus(self.pause(&error, waiting.tries));
                if let Some(runner) = self.runners.get_mut(&waiting.node) {
                    runner.waits_for = Some(format!("{}: {error}", waiting.command.action()));
                }
                // What it was about is looked at before it is said again.
                for id in waiting.command.touches() {
                    self.reads.want(id);
                }
                self.queue.waiting.insert(token, waiting);
            }
        }
    }

    fn pause(&self, error: &CloudError, tries: u32) -> u64 {
        match error.class {
            ErrorClass::Unauthorised => self.config.call_retry_most,
            _ => holdfast_engine::desk::pause(self.config.call_retry, tries)
                .min(self.config.call_retry_most),
        }
    }

    fn answer(&mut self, waiting: Waiting, token: Token, result: Result<Reply, CloudError>) {
        self.dirty.insert(waiting.node.clone());
        if let Some(runner) = self.runners.get_mut(&waiting.node) {
            let Waiting { row, name, .. } = waiting;
            runner.replies.push(Answered { row, name, token, result });
        }
    }
}

enum Earlier {
    Found(Reply),
    None,
    Unsure,
}
