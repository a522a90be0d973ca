//! What is missing once an instance has ended, and what that means.

use crate::launches::{Played, is_launch, running, sees, volume};
use holdfast_model::facts::{Fact, InstanceFact, InstanceState, ResourceKind, VolumeState};
use holdfast_model::record::{DataHead, DataVolume, RootHead, UserAttached};
use holdfast_model::{ErrorClass, InstanceId, Kind, Row, Time, VolumeId, Zone, tags, tags::Tags};
use serde_json::json;

fn free(id: &str) -> Fact {
    volume(id, VolumeState::Available, Tags::new())
}

pub fn data(device: &str, id: &str, joined: bool) -> DataVolume {
    DataVolume {
        device: device.to_owned(),
        head: DataHead::Volume { id: VolumeId::from(id), zone: Zone::from("z") },
        fs_uuid: None,
        user_attached: joined.then(|| UserAttached {
            size_gib: 4,
            mount: "/mnt/1".to_owned(),
            since: Time(1),
        }),
        restore: None,
    }
}

#[test]
fn a_users_volume_that_is_gone_is_asked_about_where_the_nodes_own_may_die() {
    for gone in ["vol-own", "vol-users"] {
        let (mut node, seen) = running(&json!({ "persistRootDevice": true }));
        node.record.identity.data =
            vec![data("/dev/xvdb", "vol-own", false), data("/dev/xvdf", "vol-users", true)];
        let all = ["vol-root", "vol-own", "vol-users"];
        node.look(&all, all.iter().map(|id| free(id)).collect());
        node.look(&[gone], Vec::new());
        sees(&mut node, InstanceFact { state: InstanceState::Terminated, ..seen });
        let asks = (gone == "vol-users").then_some(Row::Fence);
        assert_eq!(node.asks(), asks, "{gone}");
        assert_eq!(node.is_done(Row::Fence), asks.is_none(), "{gone}");
    }
}

#[test]
fn a_kept_root_that_is_gone_though_its_instance_ran_is_asked_about() {
    for reason in ["Client.UserInitiatedShutdown: by a person", "Server.InternalError: at last"] {
        let (mut node, seen) = running(&json!({ "persistRootDevice": true }));
        node.look(&["vol-root"], vec![free("vol-root")]);
        node.look(&["vol-root"], Vec::new());
        let reason = Some(reason.to_owned());
        sees(&mut node, InstanceFact { state: InstanceState::Terminated, reason, ..seen });
        assert_eq!(node.asks(), Some(Row::Fence));
        let RootHead::Live { volume, .. } = &node.record.identity.root else {
            panic!("it began anew: {:?}", node.record.identity.root)
        };
        assert_eq!(volume.as_ref().map(VolumeId::as_str), Some("vol-root"));
    }
}

/// A launch whose answer is that its instance has ended since.
fn ended_since() -> (Played, Tags) {
    let mut node = Played::new(&json!({ "persistRootDevice": true }), &[]);
    node.plan();
    let (_, call) = node.open(Row::Launch).pop().expect("a launch");
    let holdfast_model::Command::RunInstances(launch) = call.command else { unreachable!() };
    node.refuse(Row::Launch, ErrorClass::Refused, "IdempotentInstanceTerminated");
    (node, launch.tags)
}

#[test]
fn of_all_that_ended_the_launch_counts_as_answered_with_the_instance_that_has_its_token() {
    let (_, seen) = running(&json!({ "persistRootDevice": true }));
    for own in ["i-1", "i-2", "i-3"] {
        let (mut node, of) = ended_since();
        let mut shown = Vec::new();
        for id in ["i-1", "i-2", "i-3"] {
            let mut tags = of.clone();
            if id != own {
                tags.insert(tags::TOKEN.to_owned(), format!("another, {id}"));
            }
            let state = InstanceState::Terminated;
            let fact = InstanceFact { id: InstanceId::from(id), state, tags, ..seen.clone() };
            shown.push(Fact::Instance(fact.into()));
        }
        node.look(&["i-1", "i-2", "i-3"], shown);
        node.plan();
        let holder = node.record.instance.as_ref().map(|h| h.id.as_str().to_owned());
        assert_eq!(holder.as_deref(), Some(own));
    }
}

#[test]
fn the_root_that_an_unseen_instance_left_over_is_taken_once_it_is_free() {
    let (mut node, of) = ended_since();
    node.look(&["vol-9"], vec![volume("vol-9", VolumeState::InUse, of.clone())]);
    let asked = node.now.plus(10);
    for kind in ResourceKind::ALL {
        node.world.complete_sweep(kind, asked);
    }
    // A sweep that does not show it forgets nothing that was seen after it began.
    node.now = asked.plus(10);
    node.look(&["vol-9"], vec![volume("vol-9", VolumeState::InUse, of.clone())]);
    let planned = node.plan();
    assert_eq!(planned.watch, ["vol-9"]);
    assert_eq!(node.record.memory.history.len(), 0, "{:?}", node.record.identity.root);
    assert!(!node.open(Row::Launch).iter().any(|(_, call)| is_launch(&call.command)));
    node.look(&["vol-9"], vec![volume("vol-9", VolumeState::Available, of)]);
    node.plan();
    assert!(node.record.memory.history.iter().any(|h| h.lost_again), "{:?}", node.record.work);
    assert_eq!(node.record.work.as_ref().map(|r| r.kind), Some(Kind::Resume));
}
