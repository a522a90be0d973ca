//! A server that is killed in the middle of commits. (The kernel lives on here: this shows that
//! nothing is acknowledged before SQLite has it, not that the disk does.)

use crate::{node, put};
use holdfast_model::NodeId;
use holdfast_store::sqlite::SqliteStore;
use holdfast_store::writer::Writer;
use holdfast_store::{EventFilter, Store, Written};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};

/// Tells the test, executed anew, that it is the server that will be killed.
const ROLE: &str = "HOLDFAST_TEST_STORE_DIR";
const NODES: u64 = 8;
/// After how many acknowledgements each server is killed.
const KILLS: [usize; 6] = [1, 7, 50, 200, 33, 400];
/// Ends a server that nobody kills.
const MAX_COMMITS: usize = 1_000_000;

/// Commits for every node, always the next revision, and prints each acknowledgement.
fn serve(dir: &Path) {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(dir).unwrap());
    let mut revisions: BTreeMap<NodeId, u64> = (0..NODES).map(|n| (node(n), 0)).collect();
    revisions.extend(store.load().unwrap().into_iter().map(|r| (r.node, r.revision)));
    let writer = Writer::start(store);
    let (sender, acknowledged) = mpsc::channel();
    let submit = |n: u64, revision: u64| {
        let sender = sender.clone();
        writer.submit(put(n, revision, &revision.to_string()), move |result| {
            assert_eq!(result, Ok(Written::Done));
            sender.send((n, revision + 1)).unwrap();
        });
    };
    for n in 0..NODES {
        submit(n, revisions[&node(n)]);
    }
    let mut out = std::io::stdout().lock();
    for (n, revision) in acknowledged.iter().take(MAX_COMMITS) {
        writeln!(out, "\nack {n} {revision}").unwrap();
        out.flush().unwrap();
        submit(n, revision);
    }
}

#[test]
fn what_was_acknowledged_is_there_after_kill_9() {
    if let Some(dir) = std::env::var_os(ROLE) {
        return serve(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeMap::<u64, u64>::new();
    for kill_after in KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::what_was_acknowledged_is_there_after_kill_9"])
            .arg("--nocapture")
            .env(ROLE, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut seen = 0;
        // What it still said before it died counts as well: read to the end.
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let Some((n, revision)) = line.strip_prefix("ack ").and_then(|l| l.split_once(' '))
            else {
                continue;
            };
            // A line that was cut off would be a lower revision: still one that must be there.
            let (Ok(n), Ok(revision)) = (n.parse::<u64>(), revision.parse::<u64>()) else {
                continue;
            };
            let newest = acknowledged.entry(n).or_default();
            *newest = revision.max(*newest);
            seen += 1;
            if seen == kill_after {
                child.kill().unwrap();
            }
        }
        assert!(!child.wait().unwrap().success(), "it was killed");
        assert!(seen >= kill_after, "it acknowledged {seen}");

        let store = SqliteStore::open(dir.path()).unwrap();
        let records: BTreeMap<NodeId, u64> =
            store.load().unwrap().into_iter().map(|r| (r.node, r.revision)).collect();
        for (n, newest) in &acknowledged {
            let stored = records[&node(*n)];
            // One more may have been on its way.
            assert!((*newest..=newest + 1).contains(&stored), "node {n}: {stored} of {newest}");
            let filter = EventFilter { node: Some(node(*n)), ..crate::ALL };
            let told = store.events(&filter).unwrap().into_iter().map(|e| e.event.at.0);
            assert!(told.eq(1..=stored), "node {n}: one event for each revision to {stored}");
        }
    }
}
