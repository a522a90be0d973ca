//! A store in memory, for the simulation and for tests: deterministic, able to fail on demand, and
//! gone when dropped.

use crate::{
    EventFilter, EventLimits, MAX_EVENTS_READ, Store, StoreError, StoredEvent, StoredRecord, Write,
    Written, check_group, left_after_pruning,
};
use holdfast_model::{Event, NodeId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What errors name in place of a file.
const PATH: &str = "in memory";

/// See the module.
#[derive(Debug, Default)]
pub struct MemoryStore {
    limits: EventLimits,
    content: Mutex<Content>,
}

#[derive(Debug, Default, Clone)]
struct Content {
    records: BTreeMap<NodeId, (u64, String)>,
    /// By sequence number.
    events: BTreeMap<u64, StoredEvent>,
    /// The sequence numbers in `events`, by node.
    by_node: BTreeMap<NodeId, VecDeque<u64>>,
    last_sequence: u64,
    settings: BTreeMap<String, String>,
    /// How many commits are still to fail.
    failures: u64,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// An empty store that keeps other numbers of events.
    #[must_use]
    pub fn with_limits(limits: EventLimits) -> MemoryStore {
        MemoryStore { limits, ..MemoryStore::default() }
    }

    /// Makes the next `n` commits fail with [`StoreError::Failed`], with nothing written. Replaces
    /// what is left of an earlier call.
    pub fn fail_next(&self, n: u64) {
        self.content().failures = n;
    }

    /// A store that holds these records as they were stored once.
    #[must_use]
    pub fn holding(records: impl IntoIterator<Item = StoredRecord>) -> MemoryStore {
        let store = MemoryStore::new();
        let each = records.into_iter().map(|r| (r.node, (r.revision, r.json)));
        store.content().records.extend(each);
        store
    }

    /// A store with the same content, as a backup has it.
    #[must_use]
    pub fn copy(&self) -> MemoryStore {
        MemoryStore { limits: self.limits, content: Mutex::new(self.content().clone()) }
    }

    /// Every setting, with its value.
    #[must_use]
    pub fn settings(&self) -> Vec<String> {
        let content = self.content();
        content.settings.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        // Nothing in here panics halfway through a change.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for MemoryStore {
    fn clone(&self) -> MemoryStore {
        self.copy()
    }
}

impl Content {
    fn apply(&mut self, write: &Write, limits: EventLimits) -> Written {
        let found = self.records.get(&write.node).map_or(0, |(revision, _)| *revision);
        if found != write.expected {
            return Written::Conflict { found };
        }
        match &write.record {
            Some(json) => {
                self.records.insert(write.node.clone(), (found + 1, json.clone()));
            }
            None => {
                self.records.remove(&write.node);
            }
        }
        for event in &write.events {
            self.add(event, limits);
        }
        Written::Done
    }

    fn add(&mut self, event: &Event, limits: EventLimits) {
        self.last_sequence += 1;
        let sequence = self.last_sequence;
        self.events.insert(sequence, StoredEvent { sequence, event: event.clone() });
        let of_node = self.by_node.entry(event.node.clone()).or_default();
        of_node.push_back(sequence);
        if of_node.len() > limits.per_node {
            let surplus = of_node.len() - left_after_pruning(limits.per_node);
            for sequence in of_node.drain(..surplus) {
                self.events.remove(&sequence);
            }
        }
        if self.events.len() > limits.total {
            while self.events.len() > left_after_pruning(limits.total)
                && let Some((_, oldest)) = self.events.pop_first()
            {
                // The oldest of all is the oldest of its node.
                if let Some(of_node) = self.by_node.get_mut(&oldest.event.node) {
                    of_node.pop_front();
                }
            }
            self.by_node.retain(|_, sequences| !sequences.is_empty());
        }
    }
}

impl Store for MemoryStore {
    fn load(&self) -> Result<Vec<StoredRecord>, StoreError> {
        let content = self.content();
        let records = content.records.iter().map(|(node, (revision, json))| StoredRecord {
            node: node.clone(),
            revision: *revision,
            json: json.clone(),
            fault: None,
        });
        Ok(records.collect())
    }

    fn commit(&self, group: &[Write]) -> Result<Vec<Written>, StoreError> {
        check_group(PATH, group)?;
        let mut content = self.content();
        if content.failures > 0 {
            content.failures -= 1;
            let why = "it was told to fail".to_owned();
            return Err(StoreError::Failed { path: PATH.to_owned(), why });
        }
        Ok(group.iter().map(|write| content.apply(write, self.limits)).collect())
    }

    fn events(&self, filter: &EventFilter) -> Result<Vec<StoredEvent>, StoreError> {
        let content = self.content();
        let mut newest: Vec<StoredEvent> = content
            .events
            .range(filter.after..)
            .rev()
            .map(|(_, stored)| stored)
            .filter(|stored| filter.holds(stored))
            .take(filter.limit.min(MAX_EVENTS_READ))
            .cloned()
            .collect();
        newest.reverse();
        Ok(newest)
    }

    fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        Ok(self.content().settings.get(name).cloned())
    }

    fn set_setting(&self, name: &str, value: &str) -> Result<(), StoreError> {
        self.content().settings.insert(name.to_owned(), value.to_owned());
        Ok(())
    }
}
