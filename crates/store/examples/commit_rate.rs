//! How many commits per second the disk allows: one by one, and grouped by the writer.
//! `cargo run -p holdfast-store --example commit_rate [DIR]` (DIR: on the disk to measure).

use holdfast_model::{Event, EventCode, NodeId, Severity, Time};
use holdfast_store::sqlite::SqliteStore;
use holdfast_store::writer::Writer;
use holdfast_store::{Store, Write, Written};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Instant;

/// Bytes of one record, about those of a node with two volumes.
const RECORD: usize = 4_000;
const ALONE: u64 = 2_000;
const GROUPED: u64 = 50_000;
/// Writes on their way at once.
const AT_ONCE: [u64; 4] = [1, 10, 100, 1_000];

fn write(n: u64, expected: u64) -> Write {
    let node = NodeId(format!("smi-{n:08x}"));
    let event = Event {
        at: Time(expected),
        node: node.clone(),
        severity: Severity::Info,
        code: EventCode::RowDone,
        message: "launch is done: i-0123456789 runs in local-1a".to_owned(),
    };
    Write { node, expected, record: Some("x".repeat(RECORD)), events: vec![event] }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let dir = tempfile::tempdir_in(Path::new(&root))?;
    let store = Arc::new(SqliteStore::open(dir.path())?);

    let began = Instant::now();
    for revision in 0..ALONE {
        store.commit(&[write(u64::from(u32::MAX), revision)])?;
    }
    let rate = ALONE as f64 / began.elapsed().as_secs_f64();
    println!("one by one: {rate:.0} commits/s");

    for at_once in AT_ONCE {
        let total = GROUPED.min(ALONE * at_once);
        let first = at_once * 1_000_000;
        let writer = Writer::start(store.clone());
        let (sender, answers) = mpsc::channel();
        let submit = |n: u64, revision: u64| {
            let sender = sender.clone();
            writer.submit(write(first + n, revision), move |result| {
                let _ = sender.send((n, revision + 1, result));
            });
        };
        let began = Instant::now();
        (0..at_once).for_each(|n| submit(n, 0));
        for answered in 1..=total {
            let (n, revision, result) = answers.recv()?;
            assert_eq!(result, Ok(Written::Done));
            if answered + at_once <= total {
                submit(n, revision);
            }
        }
        let rate = total as f64 / began.elapsed().as_secs_f64();
        writer.stop();
        println!(
            "{at_once} at once: {rate:.0} commits/s ({} writes in {} transactions)",
            writer.writes(),
            writer.groups()
        );
    }
    Ok(())
}
