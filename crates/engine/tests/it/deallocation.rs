//! When a deallocated node's record may go: what it still has to do is forgotten otherwise.

use crate::launches::{Played, running, volume};
use holdfast_model::facts::{Fact, SnapshotFact, SnapshotState, VolumeState};
use holdfast_model::record::{Deletion, Due, Generations, NodeLifecycle, PendingDeletion};
use holdfast_model::replacement::Call;
use holdfast_model::time::{HOUR, MINUTE};
use holdfast_model::user::Deallocation;
use holdfast_model::{CallState, Command, Time, Token, VolumeId, tags};
use serde_json::json;

/// A node of which nothing is left but its tombstone.
fn tombstone() -> Played {
    let mut node = Played::new(&json!({ "persistRootDevice": true }), &[]);
    node.record.lifecycle = NodeLifecycle::Deleted(Deletion::default());
    node.record.generations = Generations::at(1);
    node
}

fn kept(id: &str) -> PendingDeletion {
    PendingDeletion {
        id: id.to_owned(),
        reason: "the node was given up".to_owned(),
        due: Due::after(HOUR),
    }
}

fn of_ours() -> tags::Tags {
    [(tags::INSTALLATION, "us"), (tags::NODE, "smi-1"), (tags::GENERATION, "1")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

#[test]
fn a_node_of_which_nothing_is_left_is_forgotten() {
    assert!(tombstone().plan().forget);
}

#[test]
fn a_node_whose_instance_was_let_go_is_remembered_until_what_was_kept_beside_it_is_gone() {
    let mut node = tombstone();
    let handed_over = Deletion { handed_over: true, ..Deletion::default() };
    node.record.lifecycle = NodeLifecycle::Deleted(handed_over);
    node.record.kept.pending_deletion = vec![kept("snap-1")];
    let snapshot = SnapshotFact {
        id: "snap-1".into(),
        state: SnapshotState::Completed,
        volume: VolumeId::from("vol-1"),
        started_at: Time(1),
        tags: of_ours(),
    };
    node.world.absorb_page(vec![Fact::Snapshot(snapshot.into())], Time(1));
    for _ in 0..30 {
        node.now = node.now.plus(MINUTE);
        assert!(!node.plan().forget, "{:?}", node.record.kept.pending_deletion);
    }
    assert_eq!(node.record.kept.pending_deletion.len(), 1, "its grace is not over");
    node.record.kept.pending_deletion.clear();
    assert!(node.plan().forget);
}

#[test]
fn a_node_is_remembered_as_long_as_a_call_beside_its_replacements_is_not_answered() {
    let mut node = tombstone();
    let command = Command::CreateSnapshots {
        instance: "i-1".into(),
        exclude_boot: false,
        exclude: Vec::new(),
        tags: of_ours(),
    };
    let token = Token("hf-1".to_owned());
    let (at, state) = (Time(1), CallState::Started);
    let call = Call { command, token, attempt: 1, at, state, answered_at: None };
    node.record.upkeep.row.calls.insert("set:1".to_owned(), call.into());
    for _ in 0..3 {
        assert!(!node.plan().forget, "what it makes would belong to nobody");
    }
    node.record.upkeep.row.calls.clear();
    assert!(node.plan().forget);
}

#[test]
fn what_shows_up_after_the_deallocation_is_kept_for_its_grace_beside_what_is_kept_already() {
    let mut node = tombstone();
    node.record.kept.pending_deletion = vec![kept("vol-1"), kept("vol-2")];
    let page = ["vol-1", "vol-2", "vol-3"]
        .map(|id| volume(id, VolumeState::Available, of_ours()))
        .to_vec();
    node.world.absorb_page(page, Time(1));
    assert!(!node.plan().forget);
    let listed: Vec<&str> =
        node.record.kept.pending_deletion.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(listed, ["vol-1", "vol-2", "vol-3"]);
    assert_eq!(node.record.kept.pending_deletion[2].due, Due::after(96 * HOUR));
    node.plan();
    assert_eq!(node.record.kept.pending_deletion.len(), 3, "each of them once");
}

#[test]
fn what_was_let_go_and_is_another_nodes_by_now_keeps_the_tags_of_that_node() {
    for (installation, theirs) in [("us", "smi-2"), ("them", "smi-1")] {
        let (mut node, _) = running(&json!({ "persistRootDevice": true }));
        node.now = node.now.plus(1);
        node.world
            .absorb_page(vec![volume("vol-root", VolumeState::Available, of_ours())], node.now);
        node.record.lifecycle.delete(Deallocation::default());
        node.plan();
        assert!(node.record.lifecycle.is_handed_over(), "{:?}", node.record.work);
        assert!(node.record.lifecycle.untag().iter().any(|id| id == "vol-root"));
        let Fact::Volume(mut root) = volume("vol-root", VolumeState::Available, of_ours()) else {
            unreachable!()
        };
        root.tags.insert(tags::INSTALLATION.to_owned(), installation.to_owned());
        root.tags.insert(tags::NODE.to_owned(), theirs.to_owned());
        node.now = node.now.plus(1);
        node.world.absorb_page(vec![Fact::Volume(root)], node.now);
        node.plan();
        assert!(
            node.record.lifecycle.untag().iter().all(|id| id != "vol-root"),
            "it is {theirs}'s"
        );
    }
}
