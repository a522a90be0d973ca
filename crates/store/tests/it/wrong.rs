//! The checks that every store must pass notice a store that is wrong in one thing.

use holdfast_model::NodeId;
use holdfast_store::memory::MemoryStore;
use holdfast_store::{
    EventFilter, EventLimits, Store, StoreError, StoredEvent, StoredRecord, Write, Written,
    conformance,
};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    /// A conflict tells the revision that there was before its group.
    OldRevisions,
    /// What was removed cannot be made again.
    NeverAgain,
    /// The events of a record go with it.
    EventsGo,
    /// No event ever goes.
    EventsStay,
}

/// A store that is right in everything else.
struct Wrong {
    mistake: Option<Mistake>,
    store: MemoryStore,
    removed: Mutex<BTreeSet<NodeId>>,
}

impl Wrong {
    fn new(mistake: Option<Mistake>) -> Wrong {
        let store = if mistake == Some(Mistake::EventsStay) {
            MemoryStore::with_limits(EventLimits { per_node: usize::MAX, total: usize::MAX })
        } else {
            MemoryStore::new()
        };
        Wrong { mistake, store, removed: Mutex::default() }
    }
}

impl Store for Wrong {
    fn load(&self) -> Result<Vec<StoredRecord>, StoreError> {
        self.store.load()
    }

    fn commit(&self, group: &[Write]) -> Result<Vec<Written>, StoreError> {
        let mut removed = self.removed.lock().unwrap();
        if self.mistake == Some(Mistake::NeverAgain)
            && group.iter().any(|w| w.record.is_some() && removed.contains(&w.node))
        {
            return Ok(vec![Written::Conflict { found: 0 }; group.len()]);
        }
        let before = self.store.load()?;
        let mut written = self.store.commit(group)?;
        for (write, written) in group.iter().zip(&mut written) {
            match written {
                Written::Conflict { found } if self.mistake == Some(Mistake::OldRevisions) => {
                    let stored = before.iter().find(|stored| stored.node == write.node);
                    *found = stored.map_or(0, |stored| stored.revision);
                }
                Written::Done if write.record.is_none() => drop(removed.insert(write.node.clone())),
                Written::Done | Written::Conflict { .. } => {}
            }
        }
        Ok(written)
    }

    fn events(&self, filter: &EventFilter) -> Result<Vec<StoredEvent>, StoreError> {
        let mut events = self.store.events(filter)?;
        let removed = self.removed.lock().unwrap();
        let go = self.mistake == Some(Mistake::EventsGo);
        events.retain(|stored| !(go && removed.contains(&stored.event.node)));
        Ok(events)
    }

    fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.store.setting(name)
    }

    fn set_setting(&self, name: &str, value: &str) -> Result<(), StoreError> {
        self.store.set_setting(name, value)
    }
}

#[test]
fn a_store_that_is_wrong_in_one_thing_passes_not_all_checks() {
    let passes = |mistake| {
        let run = || conformance::run(&mut || Box::new(Wrong::new(mistake)));
        catch_unwind(AssertUnwindSafe(run)).is_ok()
    };
    assert!(passes(None));
    for mistake in
        [Mistake::OldRevisions, Mistake::NeverAgain, Mistake::EventsGo, Mistake::EventsStay]
    {
        assert!(!passes(Some(mistake)), "{mistake:?} is not noticed");
    }
}
