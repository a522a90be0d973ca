use crate::{ALL, put};
use holdfast_store::memory::MemoryStore;
use holdfast_store::sqlite::SqliteStore;
use holdfast_store::writer::{MAX_WAITING, Writer};
use holdfast_store::{
    EventFilter, MAX_GROUP, Store, StoreError, StoredEvent, StoredRecord, Write, Written,
};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

/// A memory store whose commits say that they have begun and then wait to be let through.
struct Gated {
    inner: MemoryStore,
    begun: Sender<usize>,
    gate: Mutex<Receiver<()>>,
}

impl Gated {
    /// The store, what reports the size of each group, and what lets one through (or, dropped,
    /// all).
    fn new() -> (Arc<Gated>, Receiver<usize>, Sender<()>) {
        let ((begun, sizes), (open, gate)) = (channel(), channel());
        let store = Gated { inner: MemoryStore::new(), begun, gate: Mutex::new(gate) };
        (Arc::new(store), sizes, open)
    }
}

impl Store for Gated {
    fn load(&self) -> Result<Vec<StoredRecord>, StoreError> {
        self.inner.load()
    }
    fn commit(&self, group: &[Write]) -> Result<Vec<Written>, StoreError> {
        let _ = self.begun.send(group.len());
        let _ = self.gate.lock().unwrap().recv();
        self.inner.commit(group)
    }
    fn events(&self, filter: &EventFilter) -> Result<Vec<StoredEvent>, StoreError> {
        self.inner.events(filter)
    }
    fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.inner.setting(name)
    }
    fn set_setting(&self, name: &str, value: &str) -> Result<(), StoreError> {
        self.inner.set_setting(name, value)
    }
}

type Answer = (u64, Result<Written, StoreError>);

fn submit(writer: &Writer, n: u64, expected: u64, answers: &Sender<Answer>) {
    let answers = answers.clone();
    writer.submit(put(n, expected, "r"), move |result| {
        let _ = answers.send((n, result));
    });
}

#[test]
fn many_concurrent_submissions_are_grouped() {
    const THREADS: u64 = 16;
    const EACH: u64 = 100;
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(dir.path()).unwrap());
    let writer = Writer::start(store.clone());
    let (sender, answers) = channel();
    // The writer is busy with its first write until all the others are there.
    let (open, gate) = channel::<()>();
    writer.submit(put(u64::MAX, 0, "r"), move |result| {
        let _ = gate.recv();
        assert_eq!(result, Ok(Written::Done));
    });
    std::thread::scope(|scope| {
        for t in 0..THREADS {
            let (writer, sender) = (&writer, sender.clone());
            scope.spawn(move || (0..EACH).for_each(|e| submit(writer, t * EACH + e, 0, &sender)));
        }
    });
    drop((open, sender));
    writer.stop();
    assert_eq!(answers.iter().filter(|(_, r)| *r == Ok(Written::Done)).count(), 1_600);
    assert_eq!(writer.writes(), 1 + THREADS * EACH);
    assert!(writer.groups() <= 4, "{} transactions", writer.groups());
    assert_eq!(store.load().unwrap().len() as u64, 1 + THREADS * EACH);
}

#[test]
fn what_gathers_during_a_commit_becomes_one_group() {
    let (store, sizes, open) = Gated::new();
    let writer = Writer::start(store.clone());
    let (sender, answers) = channel();
    submit(&writer, 0, 0, &sender);
    assert_eq!(sizes.recv().unwrap(), 1);
    // Of these, one builds on another, one conflicts; each is answered by itself and in order.
    for (n, expected) in [(1, 0), (2, 0), (1, 1), (2, 7), (3, 0)] {
        submit(&writer, n, expected, &sender);
    }
    drop(open);
    assert_eq!(sizes.recv().unwrap(), 5);
    writer.stop();
    drop(sender);
    let done = Ok(Written::Done);
    let conflict = Ok(Written::Conflict { found: 1 });
    let expected = [
        (0, done.clone()),
        (1, done.clone()),
        (2, done.clone()),
        (1, done.clone()),
        (2, conflict),
        (3, done),
    ];
    assert_eq!(answers.iter().collect::<Vec<_>>(), expected);
    assert_eq!((writer.writes(), writer.groups()), (6, 2));
}

#[test]
fn a_full_queue_refuses_at_once_and_a_group_has_its_limit() {
    let (store, sizes, open) = Gated::new();
    let writer = Writer::start(store.clone());
    let (sender, answers) = channel();
    submit(&writer, 0, 0, &sender);
    sizes.recv().unwrap();
    for n in 1..=MAX_WAITING as u64 {
        submit(&writer, n, 0, &sender);
    }
    assert!(answers.try_recv().is_err(), "all of them wait");
    submit(&writer, u64::MAX, 0, &sender);
    let (n, refused) = answers.try_recv().expect("answered at once");
    assert!(n == u64::MAX && matches!(refused, Err(StoreError::Failed { .. })), "{refused:?}");
    drop(open);
    writer.stop();
    drop(sender);
    assert!(answers.iter().all(|(_, result)| result == Ok(Written::Done)));
    assert!(sizes.try_iter().all(|size| size == MAX_GROUP));
    assert_eq!(store.load().unwrap().len(), MAX_WAITING + 1);
}

#[test]
fn stopping_finishes_what_was_accepted_and_refuses_what_comes_later() {
    let (store, sizes, open) = Gated::new();
    let writer = Writer::start(store.clone());
    let (sender, answers) = channel();
    (0..10).for_each(|n| submit(&writer, n, 0, &sender));
    sizes.recv().unwrap();
    std::thread::scope(|scope| {
        let stops = [scope.spawn(|| writer.stop()), scope.spawn(|| writer.stop())];
        drop(open);
        stops.into_iter().for_each(|stop| stop.join().unwrap());
    });
    assert_eq!(answers.try_iter().count(), 10, "answered before stop returned");
    assert_eq!(store.load().unwrap().len(), 10);
    submit(&writer, 11, 0, &sender);
    let (_, late) = answers.try_recv().expect("answered at once");
    assert!(matches!(late, Err(StoreError::Failed { .. })), "{late:?}");
    assert_eq!(store.load().unwrap().len(), 10);
}

#[test]
fn dropping_finishes_what_was_accepted() {
    let store = Arc::new(MemoryStore::new());
    let writer = Writer::start(store.clone());
    let (sender, answers) = channel();
    (0..100).for_each(|n| submit(&writer, n, 0, &sender));
    drop(writer);
    assert_eq!(answers.try_iter().count(), 100);
    assert_eq!(store.events(&ALL).unwrap().len(), 100);
}

#[test]
fn a_failed_group_is_told_to_all_of_it_and_the_next_goes_on() {
    let (store, sizes, open) = Gated::new();
    store.inner.fail_next(2);
    let writer = Writer::start(store.clone());
    let (sender, answers) = channel();
    submit(&writer, 0, 0, &sender);
    sizes.recv().unwrap();
    submit(&writer, 1, 0, &sender);
    submit(&writer, 2, 0, &sender);
    open.send(()).unwrap();
    sizes.recv().unwrap();
    submit(&writer, 0, 0, &sender);
    drop(open);
    writer.stop();
    let results: Vec<bool> = answers.try_iter().map(|(_, result)| result.is_ok()).collect();
    assert_eq!(results, [false, false, false, true]);
    assert_eq!(store.load().unwrap().len(), 1);
    assert_eq!(store.events(&ALL).unwrap().len(), 1, "no events of what failed");
}

#[test]
fn a_panic_after_a_commit_harms_nobody_else() {
    let store = Arc::new(MemoryStore::new());
    let writer = Writer::start(store.clone());
    let (sender, answers) = channel();
    writer.submit(put(1, 0, "r"), |_| panic!("on purpose"));
    submit(&writer, 2, 0, &sender);
    writer.stop();
    assert_eq!(answers.try_iter().collect::<Vec<_>>(), [(2, Ok(Written::Done))]);
    assert_eq!(store.load().unwrap().len(), 2);
}

#[test]
fn the_last_holder_may_let_go_of_the_writer_on_its_own_thread() {
    let (store, sizes, open) = Gated::new();
    let writer = Arc::new(Writer::start(store.clone()));
    let (sender, answers) = channel();
    let (held, sent) = (Arc::clone(&writer), sender.clone());
    writer.submit(put(1, 0, "r"), move |result| {
        drop(held);
        sent.send((1, result)).unwrap();
    });
    sizes.recv().unwrap();
    submit(&writer, 2, 0, &sender);
    drop((writer, open, sender));
    assert_eq!(answers.iter().count(), 2, "both are answered, then the thread ends");
}
