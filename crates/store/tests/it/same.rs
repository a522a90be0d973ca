//! The two stores do the same, whatever is done to them; also across closing and opening.

use crate::{ALL, event, node};
use holdfast_store::memory::MemoryStore;
use holdfast_store::sqlite::SqliteStore;
use holdfast_store::{EventFilter, EventLimits, Store, Write};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Small, so that both kinds of pruning happen often.
const LIMITS: EventLimits = EventLimits { per_node: 20, total: 45 };

/// Whom, the revision expected, whether to remove, and of whom events are told.
type Choice = (u64, u64, bool, Vec<u64>);

fn write((n, expected, removes, told): Choice) -> Write {
    Write {
        node: node(n),
        expected,
        record: (!removes).then(|| format!("{n} after {expected}")),
        events: told.into_iter().map(|of| event(&node(of), expected)).collect(),
    }
}

fn groups() -> impl Strategy<Value = Vec<(Vec<Choice>, bool)>> {
    // One node is told of more often, so that it reaches its limit before all reach theirs.
    let of = prop_oneof![2 => Just(0_u64), 1 => 0_u64..5];
    let told = prop::collection::vec(of, 0..8);
    let choice = (0_u64..4, 0_u64..3, prop::bool::weighted(0.2), told);
    prop::collection::vec((prop::collection::vec(choice, 0..6), prop::bool::weighted(0.1)), 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(holdfast_scratch::seed("two stores")),
        ..Default::default()
    })]

    #[test]
    fn the_memory_store_and_the_sqlite_store_do_the_same(groups in groups()) {
        let dir = tempfile::tempdir().unwrap();
        let memory = MemoryStore::with_limits(LIMITS);
        let mut sqlite = SqliteStore::open_with_limits(dir.path(), LIMITS).unwrap();
        for (choices, reopens) in groups {
            let group: Vec<Write> = choices.into_iter().map(write).collect();
            prop_assert_eq!(memory.commit(&group).unwrap(), sqlite.commit(&group).unwrap());
            if reopens {
                drop(sqlite);
                sqlite = SqliteStore::open_with_limits(dir.path(), LIMITS).unwrap();
            }
            prop_assert_eq!(memory.load().unwrap(), sqlite.load().unwrap());
            let events = memory.events(&ALL).unwrap();
            prop_assert!(events.len() <= LIMITS.total);
            prop_assert_eq!(events, sqlite.events(&ALL).unwrap());
        }
    }
}

/// The limit of all takes a node's events away; its own limit then counts only what is left.
fn a_node_fills_up_again(store: &dyn Store, limits: EventLimits) {
    let tell = |n: u64, events: usize| {
        let revision = store.load().unwrap().iter().find(|r| r.node == node(n)).map(|r| r.revision);
        let told = vec![n; events];
        store.commit(&[write((n, revision.unwrap_or(0), false, told))]).unwrap();
    };
    let count = |node: Option<_>| store.events(&EventFilter { node, ..ALL }).unwrap().len();
    let full = (limits.total / limits.per_node) as u64;
    (0..full).for_each(|n| tell(n, limits.per_node));
    assert_eq!(count(None), limits.total);
    tell(full, 1);
    assert_eq!(count(None), limits.total - limits.total / 10);
    assert_eq!(count(Some(node(0))), 0, "the oldest of all are gone");
    for told in 1..=limits.per_node {
        tell(0, 1);
        assert_eq!(count(Some(node(0))), told);
    }
    tell(0, 1);
    assert_eq!(count(Some(node(0))), limits.per_node - limits.per_node / 10);
    // Of whom something was left, that counts on.
    tell(full, limits.per_node);
    assert_eq!(count(Some(node(full))), limits.per_node - limits.per_node / 10);
}

#[test]
fn a_node_whose_events_went_for_the_limit_of_all_fills_up_again() {
    let limits = EventLimits { per_node: 20, total: 400 };
    a_node_fills_up_again(&MemoryStore::with_limits(limits), limits);
    let dir = tempfile::tempdir().unwrap();
    a_node_fills_up_again(&SqliteStore::open_with_limits(dir.path(), limits).unwrap(), limits);
}
