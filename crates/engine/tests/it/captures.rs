//! What is saved before the next launch, and what is made of it.

use crate::fences::data;
use crate::launches::{Played, document, instance, is_launch, running, sees, volume};
use holdfast_engine::World;
use holdfast_model::facts::{
    Fact, InstanceFact, InstanceState, ResourceKind, SnapshotFact, SnapshotState, VolumeState,
};
use holdfast_model::record::{DataHead, FinalSnapshot, Generations};
use holdfast_model::tags::Tags;
use holdfast_model::{Command, Row, Shared, SnapshotId, Time, VolumeId, Zone};
use serde_json::{Value, json};

fn snapshot(id: &str, state: SnapshotState) -> Fact {
    Fact::Snapshot(Shared::from(SnapshotFact {
        id: SnapshotId::from(id),
        state,
        volume: VolumeId::from("vol-1"),
        started_at: Time(1),
        tags: Tags::new(),
    }))
}

fn last(id: &str) -> FinalSnapshot {
    FinalSnapshot {
        generation: 1,
        of: "/dev/xvdb".to_owned(),
        snapshot: SnapshotId::from(id),
        image: None,
        taken_at: Time(1),
        size_gib: Some(4),
        ready: true,
        set_aside: false,
        origin: None,
    }
}

fn keeps(mode: &str) -> Value {
    json!({ "persistBlockDevices": true, "blockDevicesMode": mode })
}

/// A node of one generation that has paused and is wanted again; its volume was in this zone, and
/// an earlier attempt has saved it.
fn resumed(mode: &str, zone: &str) -> Played {
    let mut node = Played::new(&keeps(mode), &["/dev/xvdb"]);
    node.record.generations = Generations::at(1);
    let head = DataHead::Volume { id: VolumeId::from("vol-1"), zone: Zone::from(zone) };
    node.record.identity.data =
        vec![holdfast_model::record::DataVolume { head, ..data("/dev/xvdb", "vol-1", false) }];
    node.record.kept.final_snapshots = vec![last("snap-1")];
    node.look(&["vol-1"], vec![volume("vol-1", VolumeState::Available, Tags::new())]);
    node.look(&["snap-1"], vec![snapshot("snap-1", SnapshotState::Completed)]);
    node
}

/// What is being saved.
fn saves(node: &Played) -> Vec<String> {
    let open = node.open(Row::Capture).into_iter();
    open.filter_map(|(_, call)| match call.command {
        Command::CreateSnapshot { volume, .. } => Some(volume.0),
        _ => None,
    })
    .collect()
}

/// From which snapshots volumes are being made.
fn made_from(node: &Played) -> Vec<Option<String>> {
    let open = node.open(Row::Launch).into_iter();
    open.filter_map(|(_, call)| match call.command {
        Command::CreateVolume { snapshot, .. } => Some(snapshot.map(|s| s.0)),
        _ => None,
    })
    .collect()
}

fn launched(node: &mut Played) {
    node.answer(is_launch, |launch| instance(launch, InstanceState::Running, None));
    node.plan();
}

#[test]
fn what_an_earlier_attempt_saved_counts_only_once_all_of_it_is_there() {
    let mut node = resumed("onLaunch", "z");
    node.look(&["snap-1"], vec![snapshot("snap-1", SnapshotState::Pending)]);
    let planned = node.plan();
    assert!(!node.is_done(Row::Capture));
    assert_eq!((saves(&node).len(), planned.watch), (0, vec!["snap-1".to_owned()]));
    node.look(&["snap-1"], vec![snapshot("snap-1", SnapshotState::Completed)]);
    node.plan();
    assert!(node.is_done(Row::Capture));
    launched(&mut node);
    assert_eq!(made_from(&node), [Some("snap-1".to_owned())]);
}

#[test]
fn what_an_earlier_attempt_saved_and_failed_is_saved_anew() {
    let mut node = resumed("onLaunch", "z");
    node.look(&["snap-1"], vec![snapshot("snap-1", SnapshotState::Error)]);
    node.plan();
    assert!(!node.is_done(Row::Capture));
    assert_eq!(saves(&node), ["vol-1"]);
    assert_eq!(node.record.kept.final_snapshots, []);
    assert!(node.record.kept.pending_deletion.iter().any(|s| s.id == "snap-1"));
}

#[test]
fn what_travels_as_a_snapshot_needs_no_look_at_its_volume() {
    let mut node = resumed("onLaunch", "z");
    node.world = World::new(0);
    for kind in ResourceKind::ALL.into_iter().filter(|kind| *kind != ResourceKind::Volume) {
        node.world.complete_sweep(kind, Time(1));
    }
    node.look(&["snap-1"], vec![snapshot("snap-1", SnapshotState::Completed)]);
    let planned = node.plan();
    assert!(node.is_done(Row::Capture), "{:?}", planned.waits_for);
}

#[test]
fn a_volume_that_moves_is_saved_anew_and_what_was_saved_before_gives_way() {
    // In another zone than all markets: meanwhile a person may have written to it.
    let mut node = resumed("reattach", "y");
    node.plan();
    assert_eq!(saves(&node), ["vol-1"]);
    let anew = |state| snapshot("snap-2", state);
    node.ends(Row::Capture, |_| true, |_| Ok(vec![anew(SnapshotState::Pending)]));
    node.plan();
    assert!(!node.is_done(Row::Capture), "what is older is complete, and does not count");
    node.look(&["snap-2"], vec![anew(SnapshotState::Completed)]);
    node.plan();
    assert!(node.is_done(Row::Capture));
    let kept: Vec<&str> =
        node.record.kept.final_snapshots.iter().map(|f| f.snapshot.as_str()).collect();
    assert_eq!(kept, ["snap-2"]);
    assert!(node.record.kept.pending_deletion.iter().any(|s| s.id == "snap-1"));
    launched(&mut node);
    assert_eq!(made_from(&node), [Some("snap-2".to_owned())]);
}

#[test]
fn a_volume_that_stays_in_its_zone_is_attached_again_whatever_was_saved_of_it() {
    let mut node = resumed("reattach", "z");
    node.plan();
    launched(&mut node);
    assert_eq!(made_from(&node), []);
    assert!(node.is_done(Row::Launch));
    let DataHead::Volume { id, .. } = &node.record.identity.data[0].head else {
        panic!("it is lost")
    };
    assert_eq!(id.as_str(), "vol-1");
    assert!(
        node.record.kept.pending_deletion.is_empty(),
        "{:?}",
        node.record.kept.pending_deletion
    );
}

#[test]
fn a_users_volume_that_no_sweep_can_show_is_not_taken_for_deleted() {
    let mut node = resumed("reattach", "z");
    node.record.identity.data.push(data("/dev/xvdf", "vol-users", true));
    node.plan();
    assert_eq!(node.asks(), None, "{:?}", node.record.blocked.decision());
}

#[test]
fn a_root_that_is_kept_no_longer_by_the_spec_that_is_taken_up_holds_up_no_launch() {
    let (mut node, seen) = running(&json!({ "persistRootDevice": true }));
    let mut changed = document(&json!({ "persistRootDevice": true }), &[]);
    changed["compute"]["launchSpecification"]["instanceTypes"] = json!({ "types": ["none.large"] });
    node.record.document = changed.into();
    node.look(&["vol-root"], vec![volume("vol-root", VolumeState::Available, Tags::new())]);
    sees(&mut node, InstanceFact { state: InstanceState::Terminated, ..seen });
    assert_eq!(node.asks(), Some(Row::Place), "no market fits");
    assert!(node.is_done(Row::Fence));
    let kept = json!({ "persistBlockDevices": true, "blockDevicesMode": "reattach" });
    node.record.document = document(&kept, &[]).into();
    node.record.spec_revision += 1;
    node.plan();
    assert_eq!(node.asks(), None, "{:?}", node.record.blocked.decision());
    assert!(node.open(Row::Launch).iter().any(|(_, call)| is_launch(&call.command)));
    let given_up: Vec<&str> =
        node.record.kept.pending_deletion.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(given_up, ["vol-root"], "nobody speaks of it any more");
}
