//! Calls on their way: which may leave, and what happens when no definite answer comes.
//!
//! A call whose outcome is unknown is repeated byte for byte. Where the cloud takes no token, an
//! earlier attempt is looked for by its tag first, with a read that was asked after the
//! consistency window.

use super::queue::Waiting;
use super::runner::Answered;
use super::{Departure, Effect, Fleet};
use holdfast_engine::context::desk::pause;
use holdfast_engine::steps::stop::{self, Leaves};
use holdfast_model::record::Goal;
use holdfast_model::{
    CallState, CloudError, Command, ErrorClass, Kind, Record, Reply, Row, Time, Token, tags,
};

/// The most instances that one TerminateInstances names (EC2 takes 1,000; a smaller request that
/// is refused for one of them costs less).
const MOST_TOGETHER: u64 = 100;
/// A resource whose state will pass is tried again after this part of the time that it has been
/// waited for: seldom enough, and soon after it has passed.
const PART_OF_WAIT: u64 = 16;
/// How soon the answer must come that a termination relies on, in milliseconds.
const ANSWERED_WITHIN: u64 = 10_000;
/// EC2's code for an empty bucket. Others of the class throttled speak of one resource.
const BUCKET_IS_EMPTY: &str = "RequestLimitExceeded";

impl Fleet {
    /// Lets calls leave: the most urgent first, as many as the buckets let through and as may be
    /// under way.
    pub(super) fn send(&mut self, now: Time, effects: &mut Vec<Effect>) {
        self.queue.ripen(now);
        self.queue.held = self.held().is_some();
        if self.queue.held {
            return;
        }
        while let Some(token) = self.queue.next(now, self.config.calls_at_once) {
            let Some(first) = self.check_out(&token, now) else { continue };
            let action = first.command.action();
            let mut leaving = vec![(token, first)];
            self.gather(&mut leaving, now);
            self.queue.buckets.take(action, leaving.len() as u64, now);
            let together = leaving.len() > 1;
            let mut calls = Vec::with_capacity(leaving.len());
            for (token, mut waiting) in leaving {
                for id in waiting.command.touches() {
                    self.world.touch(id, now);
                }
                let id = self.id();
                let (node, command) = (waiting.node.clone(), waiting.command.clone());
                calls.push(Departure { id, node, row: waiting.row, command });
                waiting.together = together;
                waiting.left = now;
                waiting.first_left.get_or_insert(now);
                self.queue.leaves(id, token, waiting);
            }
            effects.push(Effect::Call { calls });
        }
        // Answers that needed no call may already let a plan go on.
        if !self.dirty.is_empty() {
            self.run_dirty(now, effects);
        }
    }

    /// Further terminations that leave in the same request.
    fn gather(&mut self, leaving: &mut Vec<(Token, Waiting)>, now: Time) {
        let single =
            |w: &Waiting| w.alone || !matches!(w.command, Command::TerminateInstances { .. });
        if leaving.first().is_none_or(|(_, w)| single(w)) {
            return;
        }
        let most = self.queue.buckets.room("TerminateInstances", now).min(MOST_TOGETHER);
        while (leaving.len() as u64) < most {
            let next = self.queue.first_of("TerminateInstances");
            let Some(token) = next.filter(|(_, w)| !single(w)).map(|(t, _)| t.clone()) else {
                return;
            };
            if let Some(waiting) = self.check_out(&token, now) {
                leaving.push((token, waiting));
            }
        }
    }

    /// Takes a call out of its line, if it should leave now: not if an earlier attempt has done it,
    /// or if it would break what may never happen.
    fn check_out(&mut self, token: &Token, now: Time) -> Option<Waiting> {
        let mut waiting = self.queue.remove(token)?;
        if !self.is_wanted(&waiting, token) {
            // What is being committed no longer asks for it; if that fails, it is offered again.
            return None;
        }
        if let Some(since) = waiting.unknown_since
            && waiting.command.needs_lookup()
        {
            match self.find_earlier(&waiting, token, since) {
                Earlier::Found(reply) => {
                    self.answer(waiting, token.clone(), Ok(reply));
                    return None;
                }
                Earlier::Unsure => {
                    self.reads.sweep_soon(now);
                    let at = now.plus(self.config.poll_interval);
                    self.queue.put(token.clone(), waiting, at);
                    return None;
                }
                Earlier::None => waiting.unknown_since = None,
            }
        }
        let record = self.runners.get(&waiting.node).and_then(|r| r.record.clone());
        if record.as_ref().is_some_and(|r| is_too_late(r, &waiting)) {
            let error = CloudError {
                class: ErrorClass::Refused,
                code: "NodeIsReplaced".to_owned(),
                message: "its node is being replaced, which saves it anyway".to_owned(),
            };
            self.answer(waiting, token.clone(), Err(error));
            return None;
        }
        if record.as_ref().is_some_and(|r| is_unwanted(r, &waiting)) {
            let error = CloudError {
                class: ErrorClass::Refused,
                code: "NotWantedAnyMore".to_owned(),
                message: "its user wants no instance any more".to_owned(),
            };
            self.answer(waiting, token.clone(), Err(error));
            return None;
        }
        let leaves = match (waiting.first_left, waiting.unknown_since) {
            (Some(_), _) => Leaves::Again,
            (None, Some(_)) => Leaves::Anew,
            (None, None) => Leaves::First,
        };
        let keep_first =
            |r: &Record| stop::comes_too_late(r, &waiting.command, leaves, &self.scene(now));
        if record.as_deref().is_some_and(keep_first) {
            let error = CloudError {
                class: ErrorClass::Refused,
                code: stop::KEEP_FIRST.to_owned(),
                message: "that its volumes outlive it was set too long ago".to_owned(),
            };
            self.answer(waiting, token.clone(), Err(error));
            return None;
        }
        if let Some(broken) = record.and_then(|r| self.may_leave(&r, &waiting.command, now).err()) {
            let error = CloudError {
                class: ErrorClass::Refused,
                code: broken.name.name().to_owned(),
                message: format!("Holdfast refuses this itself: {}", broken.what),
            };
            self.answer(waiting, token.clone(), Err(error));
            return None;
        }
        Some(waiting)
    }

    /// Looks for what an attempt without an answer may have made.
    fn find_earlier(&self, waiting: &Waiting, token: &Token, since: Time) -> Earlier {
        let kind = waiting.command.makes();
        let found = self.world.of_node(&waiting.node).filter(|fact| {
            Some(fact.kind()) == kind && fact.tags().get(tags::TOKEN) == Some(&token.0)
        });
        let facts: Vec<_> = found.cloned().collect();
        if !facts.is_empty() {
            return Earlier::Found(Reply { facts, gone: Vec::new() });
        }
        let certain = since.plus(self.config.tuning.consistency_window);
        match kind.and_then(|kind| self.world.swept(kind)) {
            Some(asked) if asked > certain => Earlier::None,
            _ => Earlier::Unsure,
        }
    }

    /// A call was answered, or its answer never came.
    pub(super) fn replied(&mut self, id: u64, result: Result<Reply, CloudError>, now: Time) {
        let Some((token, mut waiting)) = self.queue.returns(id) else { return };
        for id in waiting.command.touches() {
            self.world.touch(id, now);
        }
        self.dirty.insert(waiting.node.clone());
        let error = match result {
            Ok(_) if is_late(&waiting, now) => CloudError {
                class: ErrorClass::OutcomeUnknown,
                code: "AnsweredLate".to_owned(),
                message: "the answer is so old that it may have been changed since".to_owned(),
            },
            Ok(reply) => {
                self.world.absorb_reply(&reply, now);
                self.answer(waiting, token, Ok(reply));
                return;
            }
            Err(error) => error,
        };
        let action = waiting.command.action();
        let empty = error.class == ErrorClass::Throttled && error.code == BUCKET_IS_EMPTY;
        let bucket = empty && self.queue.buckets.limits(action);
        if bucket {
            self.queue.buckets.throttled(action, waiting.left, now);
        } else if waiting.together {
            // One of them may have spoilt it for all: each speaks for itself.
            waiting.alone = true;
        } else if error.class.is_definite() {
            self.answer(waiting, token, Err(error));
            return;
        }
        if !self.is_wanted(&waiting, &token) {
            // Its replacement has ended meanwhile: nobody waits for the answer any more.
            return;
        }
        if error.class == ErrorClass::OutcomeUnknown {
            waiting.unknown_since = Some(now);
        }
        if !bucket {
            waiting.tries = waiting.tries.saturating_add(1);
            // What it was about is looked at before it is said again.
            for id in waiting.command.touches() {
                self.reads.want(id);
            }
        }
        let at = if bucket { now } else { now.plus(self.pause(&error, &waiting, now)) };
        if let Some(runner) = self.runners.get_mut(&waiting.node) {
            runner.waits_for = Some(format!("{action}: {error}"));
        }
        self.queue.put(token, waiting, at);
    }

    /// Whether the record still asks for this call, as it is or as it is about to be.
    fn is_wanted(&self, waiting: &Waiting, token: &Token) -> bool {
        let Some(runner) = self.runners.get(&waiting.node) else { return false };
        let record = match &runner.committing {
            Some(draft) => draft.record.as_ref(),
            None => runner.record.as_ref(),
        };
        record
            .and_then(|r| r.row(waiting.row)?.calls.get(&waiting.name))
            .is_some_and(|call| &call.token == token && call.state == CallState::Started)
    }

    /// How long a call waits that came to no definite end.
    fn pause(&self, error: &CloudError, waiting: &Waiting, now: Time) -> u64 {
        let most = self.config.call_retry_most;
        match error.class {
            _ if waiting.together => 0,
            ErrorClass::Unauthorised => most,
            ErrorClass::Conflict | ErrorClass::NotYetVisible => {
                let waited = now.since(waiting.first_left.unwrap_or(now));
                // Nobody waits for what is tidied up, and there may be much of it.
                let retry = self.config.call_retry;
                let tidies = matches!(waiting.row, Row::Retire | Row::Upkeep);
                let least = if tidies { retry * 4 } else { retry / 4 };
                (waited / PART_OF_WAIT).clamp(least, most)
            }
            _ => pause(self.config.call_retry, waiting.tries).min(most),
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

/// Whether a snapshot while the node runs would only delay the replacement that has begun since:
/// EBS takes two of one volume 15 s apart.
fn is_too_late(record: &Record, waiting: &Waiting) -> bool {
    matches!(waiting.command, Command::CreateSnapshots { .. })
        && record.work.as_ref().is_some_and(|r| r.kind != Kind::Tidy)
}

/// Whether a launch has never left and its user has said since that no instance is wanted. One that
/// may have left is repeated all the same: what it made must not be forgotten.
fn is_unwanted(record: &Record, waiting: &Waiting) -> bool {
    matches!(waiting.command, Command::RunInstances(_))
        && record.lifecycle.goal() != Goal::Running
        && waiting.first_left.is_none()
        && waiting.unknown_since.is_none()
}

/// Whether an answer came so late that what the call has set may have been changed since: a
/// termination relies on it. Each time it may take twice as long.
fn is_late(waiting: &Waiting, now: Time) -> bool {
    let most = pause(ANSWERED_WITHIN, waiting.tries.saturating_add(1));
    matches!(waiting.command, Command::SetDeleteOnTermination { .. })
        && now.since(waiting.left) > most
}

enum Earlier {
    Found(Reply),
    None,
    Unsure,
}
