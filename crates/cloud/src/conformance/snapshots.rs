//! Snapshots of several volumes at one instant, while their instance runs (CreateSnapshots).

use super::Subject;
use super::checks::{
    attach, delete_volume, launch, root_of, run_instance, tags_for, terminate, volume, volume_is,
};
use holdfast_model::facts::{Fact, SnapshotFact, SnapshotState, VolumeState};
use holdfast_model::{Command, ErrorClass, InstanceId, Reply, Shared, SnapshotId, Time, VolumeId};
use std::collections::{BTreeMap, BTreeSet};

/// The set's own token, by which a set whose answer was lost is found.
const TOKEN: &str = "c-set";

pub(super) async fn all(s: &Subject) {
    eprintln!("volumes of one instance are saved together, at one instant, but for those left out");
    volumes_are_saved_together(s).await;
}

fn save(instance: &InstanceId, exclude_boot: bool, exclude: &[&VolumeId]) -> Command {
    Command::CreateSnapshots {
        instance: instance.clone(),
        exclude_boot,
        exclude: exclude.iter().map(|v| (*v).clone()).collect(),
        tags: tags_for(TOKEN, "periodic"),
    }
}

/// What an answer shows, by volume.
fn taken(reply: Reply) -> BTreeMap<VolumeId, Shared<SnapshotFact>> {
    let facts = reply.facts.into_iter().map(|fact| match fact {
        Fact::Snapshot(s) => s,
        other => panic!("CreateSnapshots answered with {other:?}"),
    });
    let all: Vec<_> = facts.collect();
    let count = all.len();
    let by_volume: BTreeMap<_, _> = all.into_iter().map(|s| (s.volume.clone(), s)).collect();
    assert_eq!(by_volume.len(), count, "one snapshot of each volume: {by_volume:?}");
    by_volume
}

/// When a snapshot was begun, once it is complete.
async fn begun(s: &Subject, id: &SnapshotId) -> Time {
    let complete = |f: Option<&Fact>| matches!(f, Some(Fact::Snapshot(x)) if x.state == SnapshotState::Completed);
    s.until(id.as_str(), "completed", complete).await;
    match s.look(id.as_str()).await {
        Some(Fact::Snapshot(x)) => {
            assert_eq!(x.tags, tags_for(TOKEN, "periodic"), "each carries the tags of its set");
            x.started_at
        }
        other => panic!("{id} is {other:?}"),
    }
}

async fn delete(s: &Subject, id: &SnapshotId) {
    s.must(Command::DeleteSnapshot { snapshot: id.clone() }).await;
    s.until(id.as_str(), "deleted", |f| f.is_none()).await;
}

async fn volumes_are_saved_together(s: &Subject) {
    let data = volume(s, "c-set-data", &s.market).await;
    let beside = volume(s, "c-set-beside", &s.market).await;
    let id = run_instance(s, launch(s, "c-set-1", &s.market)).await;
    let root = root_of(s, &id).await;
    s.must(attach(&data, &id)).await;
    volume_is(s, &data, VolumeState::InUse).await;

    let whole = taken(s.must(save(&id, false, &[])).await);
    let attached = BTreeSet::from([&data, &root]);
    assert!(whole.keys().eq(attached), "all that is attached, and no other: {whole:?}");
    let mut instants = Vec::new();
    for snapshot in whole.values() {
        instants.push(begun(s, &snapshot.id).await);
    }
    assert!(instants.windows(2).all(|w| w[0] == w[1]), "at one instant: {instants:?}");

    let only_data = taken(s.must(save(&id, true, &[])).await);
    assert!(only_data.keys().eq([&data]), "without the root: {only_data:?}");
    let only_root = taken(s.must(save(&id, false, &[&data])).await);
    assert!(only_root.keys().eq([&root]), "without the data volume: {only_root:?}");
    match s.one(save(&id, true, &[&data])).await {
        Err(e) => assert_eq!(e.class, ErrorClass::Refused, "{e}"),
        Ok(reply) => panic!("with every volume left out it took {reply:?}"),
    }

    // What was saved is there after its instance, and its volume, are gone.
    terminate(s, &id).await;
    match s.one(save(&id, false, &[])).await {
        Err(e) => assert!(e.class.is_definite(), "{e}"),
        Ok(reply) => panic!("of a terminated instance it took {reply:?}"),
    }
    volume_is(s, &data, VolumeState::Available).await;
    delete_volume(s, &data).await;
    delete_volume(s, &beside).await;
    for snapshot in [whole, only_data, only_root].iter().flat_map(BTreeMap::values) {
        begun(s, &snapshot.id).await;
        delete(s, &snapshot.id).await;
    }
}
