//! Whether a node waits for what is so already. Nothing here changes anything: the simulation asks
//! from time to time.

use super::Fleet;
use super::runner::Runner;
use holdfast_engine::{Plan, plan};
use holdfast_model::{NodeId, Record, Time};

impl Fleet {
    /// What a plan of this record would say now, whatever is on its way.
    #[must_use]
    pub fn would_plan(&self, record: Record, now: Time) -> Plan {
        plan(record, &self.scene(now))
    }

    /// Whether nothing of a node is being planned, committed, called or tried again: what it does
    /// next, it does because of something new.
    #[must_use]
    pub fn rests(&self, node: &NodeId) -> bool {
        let calls =
            |record: &Record| record.rows().any(|(_, row)| row.open_calls().next().is_some());
        // A commit that failed is made again, at a time of its own.
        let tries_again = |runner: &Runner| {
            runner.waits_for.as_ref().is_some_and(|what| what.starts_with("the store: "))
        };
        let is_idle = |runner: &Runner| {
            runner.committing.is_none()
                && !tries_again(runner)
                && runner.replies.is_empty()
                && runner.words.is_empty()
                && runner.stopped.is_none()
                && runner.record.as_ref().is_some_and(|r| r.revision.is_some() && !calls(r))
        };
        self.held().is_none()
            && !self.dirty.contains(node)
            && self.runners.get(node).is_some_and(is_idle)
    }

    /// What a node that rests has overlooked, as a sentence: another plan of it, now, would change
    /// something, or would look for something else, or be made again sooner.
    #[must_use]
    pub fn overlooked(&self, node: &NodeId, now: Time) -> Option<String> {
        let runner = self.runners.get(node).filter(|_| self.rests(node))?;
        let record = runner.record.as_deref()?;
        let mut again = self.would_plan(record.clone(), now);
        // While a market is asked for in vain, the sentence on it is of the newest plan.
        if let (Some(new), Some(old)) = (&mut again.record.work, &record.work) {
            new.market_why.clone_from(&old.market_why);
        }
        if again.record != *record || !again.events.is_empty() || again.forget {
            let told: Vec<&str> = again.events.iter().map(|e| e.message.as_str()).collect();
            let waited = runner.waits_for.as_deref().unwrap_or("nothing");
            return Some(format!(
                "it waits for {waited}, and could go on: {} (changed: {})",
                told.join("; "),
                changed(record, &again.record).join(", ")
            ));
        }
        let missed = again.watch.iter().find(|id| !runner.watch.contains(id));
        if let Some(id) = missed {
            return Some(format!("it waits for {id}, and nobody looks for it"));
        }
        let late = again.wake.filter(|at| runner.wake.is_none_or(|wake| wake > *at));
        late.map(|at| format!("it has something to do at {}, and is woken {:?}", at.0, runner.wake))
    }
}

/// Which members of a record differ.
fn changed(before: &Record, after: &Record) -> Vec<String> {
    let members = |record: &Record| match serde_json::to_value(record) {
        Ok(serde_json::Value::Object(members)) => members,
        _ => serde_json::Map::new(),
    };
    let (before, after) = (members(before), members(after));
    let keys = before.keys().chain(after.keys().filter(|key| !before.contains_key(*key)));
    keys.filter(|key| before.get(*key) != after.get(*key)).cloned().collect()
}
