//! What a node still needs, whose it is, and what may be given up of it.

use crate::launches::{Played, document, market, replacement, running};
use holdfast_engine::observed::survival::{FIRST_GUESS, Survival};
use holdfast_engine::parts::retention::is_needed;
use holdfast_engine::parts::standing_by::stands_by;
use holdfast_engine::words::apply;
use holdfast_model::facts::{Fact, SnapshotFact, SnapshotState};
use holdfast_model::record::{
    DataHead, Due, NodeLifecycle, PendingDeletion, Rollback, RootPoint, ServingInstance,
    SnapshotSet,
};
use holdfast_model::time::HOUR;
use holdfast_model::user::UserCommand;
use holdfast_model::{
    ImageId, InstanceId, Kind, NodeId, Record, Shared, SnapshotId, Time, Token, VolumeId, tags,
};
use serde_json::json;
use std::collections::BTreeMap;

fn node() -> Record {
    let document = document(&json!({ "persistRootDevice": true }), &[]);
    Record::new(NodeId::from("smi-1"), document, Time(1))
}

fn rollback(root: bool, data: bool) -> Rollback {
    let point = || RootPoint {
        snapshot: SnapshotId::from("snap-r"),
        image: Some(ImageId::from("ami-r")),
        origin: None,
        taken_at: Time(1),
    };
    let snapshot = |_| ("/dev/xvdb".to_owned(), SnapshotId::from("snap-d"));
    Rollback {
        generation: 1,
        root: root.then(point),
        data: data.then_some(()).map(snapshot).into_iter().collect(),
        reason: "the user returns".to_owned(),
    }
}

#[test]
fn what_a_node_returns_to_is_needed_be_it_its_root_or_its_data_alone() {
    for (root, data) in [(true, false), (false, true), (true, true), (false, false)] {
        let mut record = node();
        record.identity.rollback = Some(rollback(root, data));
        let needed = ["snap-r", "ami-r", "snap-d"].map(|id| is_needed(&record, id));
        assert_eq!(needed, [root, root, data]);
    }
}

#[test]
fn an_instance_without_a_token_stands_by_for_nobody() {
    let (mut node, seen) = running(&json!({ "persistRootDevice": true }));
    let mut foreign = seen.clone();
    foreign.tags.remove(tags::TOKEN);
    assert!(!stands_by(&node.record, &foreign));
    assert!(!stands_by(&node.record, &seen));
    node.record.lifecycle.set_recycle(true);
    node.plan();
    assert!(!stands_by(&node.record, &foreign), "{:?}", node.record.work);
    assert!(!stands_by(&node.record, &seen), "{:?}", node.record.work);
}

#[test]
fn a_volume_of_a_paused_node_may_be_given_up_though_something_else_is_being_deleted() {
    for (kind, may) in [(None, true), (Some(Kind::Tidy), true), (Some(Kind::Pause), false)] {
        let mut record = node();
        record.lifecycle = NodeLifecycle::Paused;
        record.identity.data = vec![crate::fences::data("/dev/xvdb", "vol-1", false)];
        record.work = kind.map(|kind| replacement(kind, Time(1)));
        let (id, volume) = (NodeId::from("smi-1"), VolumeId::from("vol-1"));
        let result = apply(&mut record, &UserCommand::DeleteVolume { id, volume }, Time(9));
        assert_eq!(result.is_ok(), may, "{kind:?}: {result:?}");
        assert_eq!(record.identity.data[0].head == DataHead::Fresh, may, "{kind:?}");
        assert_eq!(record.kept.pending_deletion.iter().any(|s| s.id == "vol-1"), may, "{kind:?}");
    }
}

#[test]
fn of_what_shows_up_late_only_what_nothing_speaks_of_is_deleted() {
    let (mut node, _) = running(&json!({ "persistRootDevice": true }));
    node.record.upkeep.unseen = vec![Token("late".to_owned())];
    node.record.upkeep.sets = vec![SnapshotSet {
        generation: 1,
        begun_at: Time(1),
        origin: None,
        volumes: BTreeMap::new(),
        snapshots: [("root".to_owned(), SnapshotId::from("snap-1"))].into(),
    }];
    let made = |id: &str| {
        let all = [(tags::INSTALLATION, "us"), (tags::NODE, "smi-1"), (tags::TOKEN, "late")];
        Fact::Snapshot(Shared::from(SnapshotFact {
            id: SnapshotId::from(id),
            state: SnapshotState::Completed,
            volume: VolumeId::from("vol-root"),
            started_at: Time(1),
            tags: all.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        }))
    };
    // The third is kept for a while.
    node.record.kept.pending_deletion = vec![PendingDeletion {
        id: "snap-3".to_owned(),
        reason: "it is not needed".to_owned(),
        due: Due::after(HOUR),
    }];
    let all = ["snap-1", "snap-2", "snap-3"];
    node.look(&all, all.map(made).into());
    node.plan();
    assert_eq!(node.record.upkeep.expired, ["snap-2"]);
}

#[test]
fn all_instances_that_run_in_a_market_count_for_how_long_one_lives_there() {
    let mut survival = Survival::default();
    assert_eq!(survival.expect(&market(), Time(0)).life_ms, FIRST_GUESS);
    for hour in [1, 2, 3] {
        let mut record = node();
        record.instance = Some(ServingInstance {
            id: InstanceId(format!("i-{hour}")),
            market: market(),
            why: String::new(),
            launched_at: Time(hour * HOUR),
            impaired_since: None,
        });
        survival.follow(None, Some(&record));
    }
    let expected = survival.expect(&market(), Time(4 * HOUR));
    assert_eq!(expected.served_ms, (6 * HOUR) as f64);
}

/// A node is played to the end of what is under way: what is told.
fn told(node: &mut Played, code: &str) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..4 {
        let events = node.plan().events.into_iter();
        all.extend(events.filter(|event| event.code == code).map(|event| event.message));
    }
    all
}

#[test]
fn a_node_that_was_given_up_is_told_to_be_deallocated() {
    let mut node = Played::new(&json!({ "persistRootDevice": true }), &[]);
    node.record.lifecycle.delete(holdfast_model::user::Deallocation::default());
    let told = told(&mut node, "replacement-done");
    assert!(told.len() == 1 && told[0].starts_with("deallocated after "), "{told:?}");
}
