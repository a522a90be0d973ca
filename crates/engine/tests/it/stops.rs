//! What a user has attached counts before an instance is stopped, and after it has ended.

use crate::launches::{self, Played, sees};
use holdfast_engine::Tuning;
use holdfast_model::facts::{
    Attachment, Fact, Health, InstanceFact, InstanceState, VolumeFact, VolumeState,
};
use holdfast_model::record::{DataHead, DataVolume, UserAttached};
use holdfast_model::tags::Tags;
use holdfast_model::time::SECOND;
use holdfast_model::{Command, ErrorClass, InstanceId, Row, Shared, Time, VolumeId, Zone};
use serde_json::json;

/// A node without data of its own, whose instance runs, and what is seen of that.
fn running(root: bool) -> (Played, InstanceFact) {
    let kept = json!({
        "persistRootDevice": root, "persistBlockDevices": true, "blockDevicesMode": "reattach",
    });
    let (node, seen) = launches::running(&kept);
    (node, InstanceFact { health: Health::Ok, ..seen })
}

fn device(number: u32) -> String {
    format!("/dev/xvd{}", char::from(b'e' + u8::try_from(number).unwrap()))
}

fn attachment(number: u32) -> Attachment {
    Attachment {
        volume: VolumeId(format!("vol-{number}")),
        device: device(number),
        delete_on_termination: false,
    }
}

/// A user's volume, as it shows.
fn show(node: &mut Played, number: u32, state: VolumeState, to: Option<&str>, settled: bool) {
    let id = VolumeId(format!("vol-{number}"));
    let fact = VolumeFact {
        id: id.clone(),
        state,
        zone: Zone::from("z"),
        size_gib: 4,
        attached_to: to.map(|instance| (InstanceId::from(instance), device(number))),
        attachment_settled: settled,
        snapshot: None,
        fs_uuid: None,
        tags: Tags::new(),
    };
    node.now = node.now.plus(1);
    node.world.absorb_ids(&[id.0], vec![Fact::Volume(Shared::from(fact))], node.now);
}

/// What the row that stops the instance has asked for.
fn asked(node: &Played) -> Vec<Command> {
    let calls = node.row(Row::Stop).into_iter().flat_map(|row| row.calls.values());
    calls.map(|call| call.command.clone()).collect()
}

#[test]
fn an_instance_is_not_stopped_while_a_volume_is_just_being_attached_to_it() {
    use VolumeState::InUse;
    for number in [0, 1] {
        let (mut node, seen) = running(true);
        let other = 1 - number;
        let attachments = vec![attachment(0), attachment(1)];
        let seen = InstanceFact { attachments, ..seen };
        show(&mut node, other, InUse, Some("i-1"), true);
        node.record.lifecycle.set_recycle(true);
        sees(&mut node, seen.clone());
        assert!(node.row(Row::Stop).is_some(), "{:?}", node.record.work);
        assert_eq!(asked(&node), [], "vol-{number} has not been looked at");
        for (to, settled) in [(None, true), (Some("i-2"), true), (Some("i-1"), false)] {
            show(&mut node, number, InUse, to, settled);
            node.plan();
            assert_eq!(asked(&node), [], "vol-{number} is attached to {to:?}, {settled}");
        }
        show(&mut node, number, InUse, Some("i-1"), true);
        node.plan();
        let both = Command::SetDeleteOnTermination {
            instance: InstanceId::from("i-1"),
            devices: vec![device(0), device(1)],
            value: false,
        };
        assert_eq!(asked(&node), [both]);
    }
}

#[test]
fn the_fence_waits_for_a_volume_that_joined_the_node() {
    let (mut node, seen) = running(false);
    for number in [0, 1] {
        node.record.identity.data.push(DataVolume {
            device: device(number),
            head: DataHead::Volume { id: VolumeId(format!("vol-{number}")), zone: "z".into() },
            fs_uuid: None,
            user_attached: Some(UserAttached {
                size_gib: 4,
                mount: format!("/mnt/{number}"),
                since: Time(1),
            }),
            restore: None,
        });
        show(&mut node, number, VolumeState::InUse, Some("i-1"), true);
    }
    sees(&mut node, InstanceFact { state: InstanceState::Terminated, ..seen });
    let fenced = |node: &mut Played| {
        node.plan();
        assert!(node.row(Row::Fence).is_some(), "{:?}", node.record.work);
        node.is_done(Row::Fence)
    };
    assert!(!fenced(&mut node), "both are in use");
    show(&mut node, 1, VolumeState::Available, None, true);
    assert!(!fenced(&mut node), "the first one is in use");
    show(&mut node, 0, VolumeState::Available, Some("i-1"), true);
    assert!(!fenced(&mut node), "the first one is shown as attached");
    show(&mut node, 0, VolumeState::Available, None, true);
    assert!(fenced(&mut node), "{:?}", node.record.work);
}

#[test]
fn an_instance_that_is_said_to_end_is_asked_for_nothing_until_that_must_have_shown() {
    let (mut node, seen) = running(true);
    node.tuning = Tuning::ec2();
    let seen = InstanceFact { attachments: vec![attachment(0)], ..seen };
    show(&mut node, 0, VolumeState::InUse, Some("i-1"), true);
    node.record.lifecycle.set_recycle(true);
    sees(&mut node, seen);
    assert_eq!(asked(&node).len(), 1);
    node.refuse(Row::Stop, ErrorClass::Refused, "IncorrectInstanceState");
    let (said, window) = (node.now, node.tuning.consistency_window);
    for after in [SECOND, window / 2, window - SECOND] {
        node.now = said.plus(after);
        let planned = node.plan();
        assert_eq!(node.open(Row::Stop).len(), 0, "after {after} ms");
        assert_eq!(planned.wake, Some(said.plus(window)), "after {after} ms");
    }
    node.now = said.plus(window);
    node.plan();
    assert_eq!(node.open(Row::Stop).len(), 1, "it shows as running all the same");
}

#[test]
fn a_drain_is_over_when_the_script_has_ended() {
    let mut spec = launches::document(&json!({ "persistRootDevice": true }), &[]);
    spec["compute"]["launchSpecification"]["shutdownScript"] = json!("IyEvYmluL3NoCg==");
    let (mut node, seen) = running(true);
    node.record.document = spec.into();
    node.record.lifecycle.set_recycle(true);
    sees(&mut node, seen.clone());
    assert!(!node.is_done(Row::Drain));
    node.ends(Row::Drain, |c| matches!(c, Command::Drain { .. }), |_| Ok(Vec::new()));
    sees(&mut node, seen);
    assert!(node.is_done(Row::Drain), "nothing else is waited for");
}
