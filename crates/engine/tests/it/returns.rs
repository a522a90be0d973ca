//! To what a person may return, and what is kept for that.

use crate::launches::document;
use holdfast_engine::parts::retention::{expire, is_needed};
use holdfast_engine::words::apply;
use holdfast_model::record::{
    FinalSnapshot, Generations, NeedsDecision, Question, RootHead, SnapshotSet,
};
use holdfast_model::user::{Choice, Target, UserCommand};
use holdfast_model::{ImageId, NodeId, Record, Row, SnapshotId, Time};
use serde_json::json;
use std::collections::BTreeMap;

fn node(generation: u64) -> Record {
    let document = document(&json!({ "persistRootDevice": true }), &[]);
    let mut record = Record::new(NodeId::from("smi-1"), document, Time(1));
    record.generations = Generations::at(generation);
    record
}

/// What was saved of the root while a generation ran.
fn set(generation: u64, number: u64) -> SnapshotSet {
    let id = SnapshotId(format!("snap-{generation}-{number}"));
    SnapshotSet {
        generation,
        begun_at: Time(100 * generation + number),
        origin: None,
        volumes: BTreeMap::new(),
        snapshots: [("root".to_owned(), id)].into(),
    }
}

fn last(generation: u64, of: &str) -> FinalSnapshot {
    FinalSnapshot {
        generation,
        of: of.to_owned(),
        snapshot: SnapshotId(format!("snap-{generation}")),
        image: Some(ImageId(format!("ami-{generation}"))),
        taken_at: Time(1_000 * generation),
        size_gib: None,
        ready: true,
        set_aside: false,
        origin: None,
    }
}

fn root_from(record: &Record) -> Option<&str> {
    Some(record.identity.rollback.as_ref()?.root.as_ref()?.snapshot.as_str())
}

#[test]
fn a_generation_without_final_snapshots_is_returned_to_by_the_newest_set_that_was_saved_of_it() {
    for generation in 1..=3 {
        let mut record = node(5);
        record.kept.final_snapshots = vec![last(4, "root")];
        for of in 1..=3 {
            record.upkeep.sets.extend([set(of, 1), set(of, 2)]);
        }
        let (id, to) = (NodeId::from("smi-1"), Target::Generation(generation));
        apply(&mut record, &UserCommand::Rollback { id, to, data: None }, Time(9)).unwrap();
        assert_eq!(root_from(&record), Some(format!("snap-{generation}-2").as_str()));
    }
}

#[test]
fn what_was_lost_is_restored_from_the_snapshot_that_was_offered() {
    for offered in 1..=3 {
        let mut record = node(4);
        record.kept.final_snapshots = (1..=3).map(|generation| last(generation, "root")).collect();
        let snapshot = SnapshotId(format!("snap-{offered}"));
        record.blocked.ask(NeedsDecision {
            row: Row::Fence,
            since: Time(1),
            why: "it is gone".to_owned(),
            question: Question::Asked {
                choices: vec![Choice::Wait, Choice::Restore],
                restore: [("root".to_owned(), snapshot.clone())].into(),
            },
        });
        let word = UserCommand::Decide { id: NodeId::from("smi-1"), choice: Choice::Restore };
        apply(&mut record, &word, Time(9)).unwrap();
        assert_eq!(root_from(&record), Some(snapshot.as_str()));
        let rollback = record.identity.rollback.as_ref().unwrap();
        assert_eq!(rollback.generation, offered);
    }
}

#[test]
fn what_was_saved_of_the_newest_generation_stays_until_another_is_launched() {
    let mut record = node(7);
    let unready = FinalSnapshot { ready: false, ..last(7, "/dev/xvdb") };
    record.kept.final_snapshots = vec![unready.clone()];
    expire(&mut record);
    assert_eq!(record.kept.final_snapshots, [unready], "nothing else is as new");
    record.generations = Generations::at(8);
    expire(&mut record);
    assert_eq!(record.kept.final_snapshots, []);
    assert!(record.kept.pending_deletion.iter().any(|s| s.id == "snap-7"));
}

#[test]
fn the_snapshot_and_the_image_that_a_root_waits_in_are_both_needed() {
    let mut record = node(1);
    record.identity.root = RootHead::Captured {
        snapshot: SnapshotId::from("snap-1"),
        image: ImageId::from("ami-1"),
        root_device: "/dev/xvda".to_owned(),
    };
    assert!(is_needed(&record, "snap-1") && is_needed(&record, "ami-1"));
    assert!(!is_needed(&record, "snap-2"));
}
