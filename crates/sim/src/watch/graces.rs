//! Times of grace: what is kept for a while after a deallocation may not be deleted before that
//! time has truly passed. The controller counts it by its own clock, which is wrong after some
//! starts: for each start since then it may be an hour short, and no more.

use holdfast_model::time::{HOUR, SECOND};
use holdfast_model::{Command, NodeId, Record, Time};
use std::collections::BTreeMap;

/// By how much one start of a controller may shorten a time of grace, in milliseconds.
const A_START: u64 = HOUR;
/// What is no matter, in milliseconds.
const SLACK: u64 = SECOND;

#[derive(Debug, Clone)]
struct Grace {
    /// When it began, truly.
    began: Time,
    millis: u64,
    /// How many controllers had started by then.
    starts: u64,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Graces {
    of: BTreeMap<NodeId, BTreeMap<String, Grace>>,
    starts: u64,
}

impl Graces {
    /// A controller starts.
    pub(super) fn started(&mut self) {
        self.starts += 1;
    }

    /// A record is durable, or gone.
    pub(super) fn committed(&mut self, now: Time, node: &NodeId, record: Option<&Record>) {
        let Some(record) = record else {
            self.of.remove(node);
            return;
        };
        let known = self.of.entry(node.clone()).or_default();
        // Before a deallocation the time may end early: what was refused is tried again at the next
        // replacement. It has begun all the same.
        let is_kept = |id: &String| {
            let kept = record.kept.pending_deletion.iter().find(|s| &s.id == id);
            kept.is_some_and(|s| !s.is_due() || record.lifecycle.deallocation().is_some())
        };
        known.retain(|id, _| is_kept(id));
        for kept in &record.kept.pending_deletion {
            let Some(millis) = kept.due.grace_left() else { continue };
            // A deletion that was refused again and again gets a new one.
            if known.get(&kept.id).is_none_or(|grace| grace.millis < millis) {
                let grace = Grace { began: now, millis, starts: self.starts };
                known.insert(kept.id.clone(), grace);
            }
        }
    }

    /// A call leaves, of a node with this record: what is wrong with that.
    pub(super) fn leaves(&self, now: Time, record: &Record, command: &Command) -> Option<String> {
        let deletes = matches!(
            command,
            Command::DeleteVolume { .. }
                | Command::DeleteSnapshot { .. }
                | Command::DeregisterImage { .. }
                | Command::DeleteNetworkInterface { .. }
        );
        let known = self
            .of
            .get(&record.id)
            .filter(|_| deletes && record.lifecycle.deallocation().is_some())?;
        let (id, grace) = command.touches().into_iter().find_map(|id| known.get_key_value(id))?;
        let passed = now.since(grace.began);
        let short = (self.starts - grace.starts) * A_START + SLACK;
        // A call of the very instant was let go before the record was durable: what follows from a
        // commit leaves later.
        (passed > 0 && passed + short < grace.millis).then(|| {
            format!(
                "{id} is deleted {passed} ms after a time of grace of {} ms began",
                grace.millis
            )
        })
    }
}
