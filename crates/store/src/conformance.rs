//! What every store must do, as checks that run against any [`Store`]. Each check has a sentence
//! for a name and begins with an empty store; a failure says which.

use crate::{
    EventFilter, MAX_EVENTS_KEPT, MAX_EVENTS_READ, MAX_GROUP, Store, StoreError, StoredEvent,
    StoredRecord, Write, Written,
};
use holdfast_model::{Event, EventCode, NodeId, Time};

type Check = fn(&dyn Store);

/// Runs every check, each on a new store from `make`.
///
/// # Panics
/// At the first check that fails, after its name was printed.
pub fn run(make: &mut dyn FnMut() -> Box<dyn Store>) {
    let checks: &[(&str, Check)] = &[
        ("a new store is empty", a_new_store_is_empty),
        ("a record is created, replaced and removed at its revision", a_record_has_revisions),
        ("a conflict does nothing and leaves the others done", a_conflict_does_nothing),
        ("writes of one node in one group build on each other", a_group_is_in_order),
        ("a removed record begins again at revision 1", a_removed_record_begins_again),
        ("record and events are written together or not at all", record_and_events_together),
        ("of many writers of one revision exactly one is done", one_of_many_is_done),
        ("a group beyond the limit is refused whole", a_group_has_a_limit),
        ("records come in the order of ids", records_come_in_order),
        ("text comes back as it went in", text_comes_back),
        ("events come oldest first and their numbers grow", events_come_in_order),
        ("events are filtered by node, time and number", events_are_filtered),
        ("a read returns the newest events up to its limit", a_read_has_a_limit),
        ("events outlive their record", events_outlive_their_record),
        ("the oldest events of a node go first, and of no other node", the_oldest_go_first),
        ("settings are set, replaced and kept apart", settings_are_set),
    ];
    for (name, check) in checks {
        eprintln!("{name}");
        check(make().as_ref());
    }
}

const ALL: EventFilter =
    EventFilter { node: None, from: Time(0), to: Time(u64::MAX), after: 0, limit: MAX_EVENTS_READ };

fn node(n: u32) -> NodeId {
    NodeId(format!("smi-{n:08x}"))
}

fn event(n: u32, at: u64, message: &str) -> Event {
    Event::new(Time(at), node(n), EventCode::Created, message)
}

fn put(n: u32, expected: u64, json: &str) -> Write {
    Write { node: node(n), expected, record: Some(json.to_owned()), events: Vec::new() }
}

fn remove(n: u32, expected: u64) -> Write {
    Write { node: node(n), expected, record: None, events: Vec::new() }
}

fn telling(mut write: Write, events: impl IntoIterator<Item = Event>) -> Write {
    write.events.extend(events);
    write
}

fn must<T>(result: Result<T, StoreError>) -> T {
    match result {
        Ok(value) => value,
        Err(e) => panic!("the store failed: {e}"),
    }
}

fn commit(s: &dyn Store, group: &[Write]) -> Vec<Written> {
    let written = must(s.commit(group));
    assert_eq!(written.len(), group.len(), "one result per write");
    written
}

fn commit_one(s: &dyn Store, write: Write) -> Written {
    commit(s, &[write]).remove(0)
}

fn stored(n: u32, revision: u64, json: &str) -> StoredRecord {
    StoredRecord { node: node(n), revision, json: json.to_owned(), fault: None }
}

fn messages(events: &[StoredEvent]) -> Vec<&str> {
    events.iter().map(|e| e.event.message.as_str()).collect()
}

fn a_new_store_is_empty(s: &dyn Store) {
    assert_eq!(must(s.load()), []);
    assert_eq!(must(s.events(&ALL)), []);
    assert_eq!(must(s.setting("installation")), None);
    assert_eq!(commit(s, &[]), [], "an empty group");
}

fn a_record_has_revisions(s: &dyn Store) {
    assert_eq!(commit_one(s, put(1, 0, "a")), Written::Done);
    assert_eq!(must(s.load()), [stored(1, 1, "a")]);
    assert_eq!(commit_one(s, put(1, 1, "b")), Written::Done);
    assert_eq!(must(s.load()), [stored(1, 2, "b")]);
    assert_eq!(commit_one(s, remove(1, 2)), Written::Done);
    assert_eq!(must(s.load()), []);
}

fn a_conflict_does_nothing(s: &dyn Store) {
    commit(s, &[put(1, 0, "a"), put(2, 0, "a"), put(3, 0, "a")]);
    let group = [
        put(1, 1, "b"),
        telling(put(2, 0, "wrong"), [event(2, 1, "wrong")]),
        put(2, 5, "wrong"),
        put(2, u64::MAX, "wrong"),
        telling(remove(2, 2), [event(2, 1, "wrong")]),
        remove(9, 1),
        put(9, 1, "wrong"),
        remove(3, 1),
        telling(put(4, 0, "a"), [event(4, 1, "right")]),
    ];
    let (at_1, none) = (Written::Conflict { found: 1 }, Written::Conflict { found: 0 });
    let expected = [
        Written::Done,
        at_1.clone(),
        at_1.clone(),
        at_1.clone(),
        at_1,
        none.clone(),
        none,
        Written::Done,
        Written::Done,
    ];
    assert_eq!(commit(s, &group), expected);
    assert_eq!(must(s.load()), [stored(1, 2, "b"), stored(2, 1, "a"), stored(4, 1, "a")]);
    assert_eq!(messages(&must(s.events(&ALL))), ["right"]);
}

fn a_group_is_in_order(s: &dyn Store) {
    let group = [put(1, 0, "a"), put(1, 1, "b"), put(1, 1, "wrong"), put(1, 2, "c")];
    let expected = [Written::Done, Written::Done, Written::Conflict { found: 2 }, Written::Done];
    assert_eq!(commit(s, &group), expected);
    assert_eq!(must(s.load()), [stored(1, 3, "c")]);
}

fn a_removed_record_begins_again(s: &dyn Store) {
    commit(s, &[put(1, 0, "a"), put(1, 1, "b"), remove(1, 2)]);
    assert_eq!(commit_one(s, put(1, 2, "wrong")), Written::Conflict { found: 0 });
    assert_eq!(commit_one(s, remove(1, 0)), Written::Done, "what is not there is removed");
    assert_eq!(must(s.load()), []);
    assert_eq!(commit_one(s, put(1, 0, "c")), Written::Done);
    assert_eq!(must(s.load()), [stored(1, 1, "c")]);
}

fn record_and_events_together(s: &dyn Store) {
    for revision in 0..20 {
        let says = format!("revision {}", revision + 1);
        let write = telling(put(1, revision, &says), [event(1, revision, &says)]);
        assert_eq!(commit_one(s, write.clone()), Written::Done);
        assert_eq!(commit_one(s, write), Written::Conflict { found: revision + 1 });
        assert_eq!(must(s.load()), [stored(1, revision + 1, &says)]);
        let events = must(s.events(&ALL));
        assert_eq!(events.len() as u64, revision + 1, "one event per revision");
        assert_eq!(events.last().map(|e| e.event.message.as_str()), Some(says.as_str()));
    }
}

fn one_of_many_is_done(s: &dyn Store) {
    const WRITERS: u32 = 4;
    const REVISIONS: u64 = 10;
    let won = std::thread::scope(|scope| {
        let writer = |who: u32| {
            move || {
                let mut won = 0_u64;
                for revision in 0..REVISIONS {
                    let write = telling(put(1, revision, "a"), [event(1, revision, "won")]);
                    match commit_one(s, write) {
                        Written::Done => won += 1,
                        Written::Conflict { found } => {
                            assert!(
                                found != revision,
                                "writer {who}: {found} conflicts with itself"
                            );
                        }
                    }
                }
                won
            }
        };
        let threads: Vec<_> = (0..WRITERS).map(|who| scope.spawn(writer(who))).collect();
        threads.into_iter().map(|t| t.join().unwrap_or_else(|_| panic!("a writer"))).sum::<u64>()
    });
    // A writer never skips a revision that nobody has written, so all were written.
    assert_eq!(won, REVISIONS, "each revision is won once");
    assert_eq!(must(s.load()), [stored(1, REVISIONS, "a")]);
    assert_eq!(must(s.events(&ALL)).len() as u64, REVISIONS);
}

fn a_group_has_a_limit(s: &dyn Store) {
    let mut group: Vec<Write> = (0..).take(MAX_GROUP + 1).map(|n| put(n, 0, "a")).collect();
    assert!(matches!(s.commit(&group), Err(StoreError::Failed { .. })), "one too many");
    assert_eq!(must(s.load()), []);
    group.pop();
    assert!(commit(s, &group).iter().all(|w| *w == Written::Done));
    assert_eq!(must(s.load()).len(), MAX_GROUP);
}

fn records_come_in_order(s: &dyn Store) {
    for n in [7, 0xffff_ffff, 0, 0xa0, 3] {
        commit(s, &[put(n, 0, "a")]);
    }
    let ids: Vec<NodeId> = must(s.load()).into_iter().map(|r| r.node).collect();
    assert_eq!(ids, [node(0), node(3), node(7), node(0xa0), node(0xffff_ffff)]);
}

fn text_comes_back(s: &dyn Store) {
    for (n, text) in (0..).zip(["", "{\"a\": 1}", "not JSON at all", "ü😀'\"\\\n", "a\0b"]) {
        commit(s, &[telling(put(n, 0, text), [event(n, 1, text)])]);
        assert_eq!(must(s.load()).pop(), Some(stored(n, 1, text)));
        let last = must(s.events(&ALL)).pop().map(|e| e.event);
        assert_eq!(last, Some(event(n, 1, text)));
    }
}

fn events_come_in_order(s: &dyn Store) {
    // Instants need not grow: a clock may be set back. Numbers do.
    let told = [event(1, 50, "a"), event(1, 40, "b"), event(2, 60, "c"), event(1, 45, "d")];
    commit(s, &[telling(put(1, 0, "r"), told[..2].iter().cloned())]);
    commit(s, &[telling(put(2, 0, "r"), told[2..3].iter().cloned())]);
    commit(s, &[telling(put(1, 1, "r"), told[3..].iter().cloned())]);
    let events = must(s.events(&ALL));
    assert!(events.iter().map(|e| &e.event).eq(&told), "{events:?}");
    assert!(events[0].sequence >= 1, "numbers begin at 1");
    assert!(events.is_sorted_by(|a, b| a.sequence < b.sequence), "{events:?}");
}

fn events_are_filtered(s: &dyn Store) {
    let told = (1..=9).map(|n| event(u32::from(n % 3 == 0), n * 10, &n.to_string()));
    commit(s, &[telling(put(0, 0, "r"), told)]);
    let find = |filter: EventFilter| -> String { messages(&must(s.events(&filter))).join(" ") };
    assert_eq!(find(ALL), "1 2 3 4 5 6 7 8 9");
    let of_1 = EventFilter { node: Some(node(1)), ..ALL };
    assert_eq!(find(of_1.clone()), "3 6 9");
    assert_eq!(find(EventFilter { node: Some(node(2)), ..ALL }), "");
    assert_eq!(find(EventFilter { from: Time(30), to: Time(60), ..ALL }), "3 4 5 6");
    assert_eq!(find(EventFilter { from: Time(31), to: Time(59), ..of_1.clone() }), "");
    assert_eq!(find(EventFilter { from: Time(60), to: Time(30), ..ALL }), "");
    let fourth = must(s.events(&ALL))[3].sequence;
    assert_eq!(find(EventFilter { after: fourth, ..ALL }), "5 6 7 8 9");
    assert_eq!(find(EventFilter { after: fourth, to: Time(80), ..of_1 }), "6");
    assert_eq!(find(EventFilter { after: u64::MAX, ..ALL }), "");
}

fn a_read_has_a_limit(s: &dyn Store) {
    const TOLD: usize = MAX_EVENTS_READ + 5;
    let told = (0..TOLD).map(|n| event(1, n as u64, &n.to_string()));
    commit(s, &[telling(put(1, 0, "r"), told)]);
    for node in [None, Some(node(1))] {
        let read = |limit| must(s.events(&EventFilter { node: node.clone(), limit, ..ALL }));
        assert_eq!(read(0), []);
        assert_eq!(messages(&read(3)), ["1002", "1003", "1004"], "the newest, oldest first");
        for limit in [MAX_EVENTS_READ, MAX_EVENTS_READ + 1, usize::MAX] {
            let events = read(limit);
            assert_eq!(events.len(), MAX_EVENTS_READ);
            assert_eq!(events[0].event.message, "5");
        }
    }
}

fn events_outlive_their_record(s: &dyn Store) {
    commit(s, &[telling(put(1, 0, "r"), [event(1, 1, "made")])]);
    commit(s, &[telling(remove(1, 1), [event(1, 2, "removed")])]);
    assert_eq!(messages(&must(s.events(&ALL))), ["made", "removed"]);
}

fn the_oldest_go_first(s: &dyn Store) {
    const PART: usize = 500;
    commit(s, &[telling(put(2, 0, "r"), [event(2, 0, "of another node")])]);
    let parts = (MAX_EVENTS_KEPT / PART + 1) as u64;
    for revision in 0..parts {
        let first = revision * PART as u64;
        let told = (first..).take(PART).map(|n| event(1, n, &n.to_string()));
        commit(s, &[telling(put(1, revision, "r"), told)]);
    }
    // All that is kept: an event's instant is its place, so reads up to an instant do not overlap.
    let mut kept: Vec<StoredEvent> = Vec::new();
    for to in (0..parts * PART as u64).rev().step_by(MAX_EVENTS_READ) {
        let filter = EventFilter { node: Some(node(1)), to: Time(to), ..ALL };
        kept.splice(..0, must(s.events(&filter)));
    }
    assert!(kept.len() <= MAX_EVENTS_KEPT, "{} kept", kept.len());
    assert!(kept.len() >= MAX_EVENTS_KEPT - MAX_EVENTS_KEPT / 10, "only {} kept", kept.len());
    let oldest = parts * PART as u64 - kept.len() as u64;
    assert!(kept.iter().map(|e| e.event.at.0).eq(oldest..parts * PART as u64), "no gap");
    let other = EventFilter { node: Some(node(2)), ..ALL };
    assert_eq!(messages(&must(s.events(&other))), ["of another node"]);
}

fn settings_are_set(s: &dyn Store) {
    must(s.set_setting("installation", "one"));
    must(s.set_setting("token", ""));
    must(s.set_setting("installation", "two"));
    assert_eq!(must(s.setting("installation")), Some("two".to_owned()));
    assert_eq!(must(s.setting("token")), Some(String::new()));
    assert_eq!(must(s.setting("")), None);
}
