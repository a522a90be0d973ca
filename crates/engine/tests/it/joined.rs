//! Which of the volumes that its instance holds are a node's.

use crate::launches::{Played, running, sees};
use holdfast_model::facts::{Attachment, Fact, Health, InstanceFact, VolumeFact, VolumeState};
use holdfast_model::record::{DataHead, Due, PendingDeletion};
use holdfast_model::time::HOUR;
use holdfast_model::{InstanceId, Shared, VolumeId, Zone};
use serde_json::json;

const DEVICE: &str = "/dev/xvdf";

fn node() -> (Played, InstanceFact) {
    let kept = json!({ "persistBlockDevices": true, "blockDevicesMode": "reattach" });
    let (node, seen) = running(&kept);
    (node, InstanceFact { health: Health::Ok, ..seen })
}

/// The user's volume, held by this instance if by any.
fn volume(node: &mut Played, held_by: Option<&str>) {
    let volume = Fact::Volume(Shared::from(VolumeFact {
        id: VolumeId::from("vol-1"),
        state: if held_by.is_some() { VolumeState::InUse } else { VolumeState::Available },
        zone: Zone::from("z"),
        size_gib: 4,
        attached_to: held_by.map(|id| (InstanceId::from(id), DEVICE.to_owned())),
        attachment_settled: true,
        snapshot: None,
        fs_uuid: None,
        tags: [].into(),
    }));
    node.now = node.now.plus(1);
    node.world.absorb_ids(&["vol-1".to_owned()], vec![volume], node.now);
}

fn with_it(seen: &InstanceFact) -> InstanceFact {
    let mut seen = seen.clone();
    seen.attachments.push(Attachment {
        volume: VolumeId::from("vol-1"),
        device: DEVICE.to_owned(),
        delete_on_termination: false,
    });
    seen
}

fn is_its(node: &Played) -> bool {
    let head = |head: &DataHead| matches!(head, DataHead::Volume { id, .. } if id.0 == "vol-1");
    node.record.identity.data.iter().any(|data| head(&data.head))
}

#[test]
fn a_volume_that_is_to_be_deleted_does_not_join_and_others_do_meanwhile() {
    for (going, joins) in [("vol-1", false), ("vol-2", true)] {
        let (mut node, seen) = node();
        let reason = "the node was given up".to_owned();
        node.record.kept.pending_deletion =
            vec![PendingDeletion { id: going.to_owned(), reason, due: Due::after(HOUR) }];
        volume(&mut node, Some("i-1"));
        sees(&mut node, with_it(&seen));
        assert_eq!(is_its(&node), joins, "{going} is to go: {:?}", node.record.identity.data);
    }
}

#[test]
fn a_volume_leaves_once_it_is_seen_elsewhere_and_not_while_its_own_look_is_behind() {
    for elsewhere in [None, Some("i-2")] {
        let (mut node, seen) = node();
        volume(&mut node, Some("i-1"));
        sees(&mut node, with_it(&seen));
        assert!(is_its(&node));
        let planned = sees(&mut node, seen);
        assert!(is_its(&node), "the volume still shows as held by its instance");
        assert!(planned.watch.iter().any(|id| id == "vol-1"), "{:?}", planned.watch);
        volume(&mut node, elsewhere);
        let planned = node.plan();
        assert!(!is_its(&node), "it is seen at {elsewhere:?}");
        assert_eq!(node.record.identity.detached_by_user, [VolumeId::from("vol-1")]);
        assert!(planned.events.iter().any(|e| e.code == "volume-left"), "{:?}", planned.events);
    }
}
