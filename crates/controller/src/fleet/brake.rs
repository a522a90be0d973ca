//! The brake: how many replacements the fleet begins in an hour by its own choice, because a node
//! could run somewhere better. Each of them is a blackout that nobody asked for, and a mistake in
//! what is known of markets would be made for all nodes at once. What was lost or taken away, and
//! what a user orders, is never braked.
//!
//! What counts stands in the records, so a restart begins with what there was.

use holdfast_model::time::HOUR;
use holdfast_model::{Kind, NodeId, Record, Time};
use std::collections::BTreeSet;

/// See the module.
#[derive(Debug, Clone)]
pub struct Brake {
    most: usize,
    /// Begun within the last hour: when, which node, and the replacement's number.
    begun: BTreeSet<(Time, NodeId, u64)>,
}

/// Whether a kind of replacement is begun because Holdfast would like it so.
fn is_by_choice(kind: Kind) -> bool {
    kind == Kind::Revert
}

impl Brake {
    /// At most so many in an hour; 0: none.
    #[must_use]
    pub fn new(most: usize) -> Brake {
        Brake { most, begun: BTreeSet::new() }
    }

    /// At most so many in an hour.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most
    }

    /// How many were begun within the last hour.
    #[must_use]
    pub fn begun(&self) -> usize {
        self.begun.len()
    }

    /// Forgets what was begun more than an hour ago.
    pub fn pass(&mut self, now: Time) {
        while self.begun.first().is_some_and(|(at, _, _)| now.since(*at) >= HOUR) {
            self.begun.pop_first();
        }
    }

    /// From when on the next one may begin; what has passed already means at once.
    #[must_use]
    pub fn next(&self, now: Time) -> Time {
        let Some(excess) = self.begun.len().checked_sub(self.most) else { return Time(0) };
        // Once so many more are an hour old, there is room for one.
        let oldest = self.begun.iter().nth(excess);
        oldest.map_or(now.plus(HOUR), |(at, _, _)| at.plus(HOUR))
    }

    /// A record is loaded: what it has begun within the last hour counts.
    pub fn load(&mut self, record: &Record, now: Time) {
        let past = record.memory.history.iter().map(|h| (h.kind, h.started_at, h.number));
        let current = record.work.iter().map(|r| (r.kind, r.started_at, r.number));
        for (kind, at, number) in past.chain(current) {
            if is_by_choice(kind) && now.since(at) < HOUR {
                self.begun.insert((at, record.id.clone(), number));
            }
        }
    }

    /// A record becomes another. What has come to nothing before anything was given up for it does
    /// not count any more.
    pub fn follow(&mut self, before: &Record, after: Option<&Record>) {
        let after_number = after.and_then(|r| r.work.as_ref()).map(|r| r.number);
        if let Some(was) = before.work.as_ref().filter(|r| is_by_choice(r.kind))
            && after_number != Some(was.number)
        {
            let left_a_trace = |r: &Record| r.memory.history.iter().any(|h| h.number == was.number);
            if !after.is_some_and(left_a_trace) {
                self.begun.remove(&(was.started_at, before.id.clone(), was.number));
            }
        }
        if let Some(is) = after.and_then(|r| r.work.as_ref()).filter(|r| is_by_choice(r.kind)) {
            self.begun.insert((is.started_at, before.id.clone(), is.number));
        }
    }
}
