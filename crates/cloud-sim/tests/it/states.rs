//! Which states take which calls, and how many of a thing there may be.

use crate::node::{DATA, Hand};
use holdfast_cloud_sim::config::{IMAGE, SimConfig, Span};
use holdfast_model::facts::{Fact, InstanceState};
use holdfast_model::tags::Tags;
use holdfast_model::time::{HOUR, SECOND};
use holdfast_model::{Command, ErrorClass, ImageId, InstanceId, SnapshotId, VolumeId};

const REFUSED: ErrorClass = ErrorClass::Refused;
const CONFLICT: ErrorClass = ErrorClass::Conflict;

fn attach(volume: &VolumeId, instance: &InstanceId, device: &str) -> Command {
    let (volume, instance) = (volume.clone(), instance.clone());
    Command::AttachVolume { volume, instance, device: device.to_owned() }
}

fn snapshot(volume: &VolumeId) -> Command {
    Command::CreateSnapshot { volume: volume.clone(), tags: Tags::new() }
}

fn begun(hand: &mut Hand, volume: &VolumeId) -> SnapshotId {
    SnapshotId::from(hand.must(snapshot(volume)).facts[0].id())
}

/// An instance that has been asked for and is still `pending`.
fn pending(hand: &mut Hand) -> InstanceId {
    let launch = hand.launch(&ImageId::from(IMAGE), None);
    let reply = hand.must(Command::RunInstances(Box::new(launch)));
    InstanceId::from(reply.facts[0].id())
}

#[test]
fn a_volume_goes_to_no_instance_that_is_pending_or_ending_and_to_no_device_that_is_taken() {
    let mut hand = Hand::new(SimConfig::prompt());
    let (data, other) = (hand.volume(None), hand.volume(None));
    let instance = pending(&mut hand);
    assert_eq!(hand.refused(attach(&data, &instance, DATA)).0, CONFLICT);
    hand.pass(SECOND);
    hand.attach(&data, &instance);
    assert_eq!(hand.refused(attach(&other, &instance, DATA)).0, CONFLICT, "the device is taken");
    let next = pending(&mut hand);
    hand.pass(SECOND);
    assert_eq!(hand.refused(attach(&data, &next, DATA)).1, "VolumeInUse");
    hand.must(Command::TerminateInstances { instance: instance.clone() });
    assert_eq!(hand.refused(attach(&other, &instance, "/dev/xvdc")).0, REFUSED);
    assert_eq!(hand.refused(attach(&data, &next, DATA)).1, "VolumeInUse", "until it is released");
    hand.pass(SECOND);
    assert_eq!(hand.refused(attach(&other, &instance, "/dev/xvdc")).0, REFUSED);
    hand.attach(&data, &next);
}

#[test]
fn a_volume_that_is_on_its_way_is_neither_attached_nor_deleted() {
    let mut hand = Hand::new(SimConfig::prompt());
    let (first, data, _) = hand.first();
    hand.must(Command::DetachVolume { volume: data.clone(), instance: first.clone() });
    assert_eq!(hand.refused(attach(&data, &first, DATA)).1, "VolumeInUse", "while detaching");
    let delete = Command::DeleteVolume { volume: data.clone() };
    assert_eq!(hand.refused(delete.clone()).1, "VolumeInUse");
    hand.free(&data);
    hand.must(attach(&data, &first, DATA));
    assert_eq!(hand.refused(delete).1, "VolumeInUse", "while attaching");
    let root = Command::DetachVolume { volume: hand.root(&first), instance: first };
    assert_eq!(hand.refused(root).1, "OperationNotPermitted");
}

#[test]
fn an_instance_holds_twenty_eight_volumes_and_interfaces_together() {
    let mut hand = Hand::new(SimConfig::prompt());
    let interface = hand.interface();
    let instance = pending(&mut hand);
    hand.pass(SECOND);
    hand.must(Command::AttachNetworkInterface {
        interface,
        instance: instance.clone(),
        device_index: 1,
    });
    // The root, the primary interface and that one are three.
    for number in 0..25 {
        let volume = hand.volume(None);
        hand.must(attach(&volume, &instance, &format!("/dev/xvd{number}")));
    }
    let (volume, further) = (hand.volume(None), hand.interface());
    assert_eq!(hand.refused(attach(&volume, &instance, "/dev/xvdz")).1, "AttachmentLimitExceeded");
    let further = Command::AttachNetworkInterface { interface: further, instance, device_index: 2 };
    assert_eq!(hand.refused(further).1, "AttachmentLimitExceeded");
}

#[test]
fn a_volume_has_five_snapshots_under_way_and_one_in_fifteen_seconds() {
    let mut config = SimConfig::prompt();
    config.snapshot = Span::exactly(HOUR);
    config.snapshot_interval = SimConfig::default().snapshot_interval;
    let mut hand = Hand::new(config);
    let data = hand.volume(None);
    let mut first = None;
    for _ in 0..5 {
        let id = begun(&mut hand, &data);
        first = first.or(Some(id));
        hand.pass(15 * SECOND - 1);
        let (class, code) = hand.refused(snapshot(&data));
        if code != "ConcurrentSnapshotLimitExceeded" {
            assert_eq!(
                (class, code.as_str()),
                (ErrorClass::Throttled, "SnapshotCreationPerVolumeRateExceeded")
            );
        }
        hand.pass(1);
    }
    assert_eq!(hand.refused(snapshot(&data)).1, "ConcurrentSnapshotLimitExceeded");
    let snapshot_id = first.expect("it was begun");
    hand.must(Command::DeleteSnapshot { snapshot: snapshot_id });
    begun(&mut hand, &data);
}

#[test]
fn a_region_holds_so_many_snapshots_and_no_more() {
    let mut config = SimConfig::prompt();
    config.snapshots_at_most = 3;
    let mut hand = Hand::new(config);
    let (first, data, _) = hand.first();
    let kept = begun(&mut hand, &data);
    begun(&mut hand, &data);
    let full = (ErrorClass::Storage, "SnapshotLimitExceeded".to_owned());
    let together = Command::CreateSnapshots {
        instance: first,
        exclude_boot: false,
        exclude: Vec::new(),
        tags: Tags::new(),
    };
    assert_eq!(hand.refused(together.clone()), full, "of two volumes: all or none");
    begun(&mut hand, &data);
    assert_eq!(hand.refused(snapshot(&data)), full);
    hand.must(Command::DeleteSnapshot { snapshot: kept });
    begun(&mut hand, &data);
    assert_eq!(SimConfig::default().snapshots_at_most, 100_000);
}

#[test]
fn what_is_not_complete_is_restored_registered_and_launched_by_nobody() {
    let mut config = SimConfig::prompt();
    config.image = Span::exactly(HOUR);
    let mut hand = Hand::new(config);
    let (first, data, _) = hand.first();
    let root = hand.root(&first);
    let of_root = begun(&mut hand, &root);
    let register = |name: &str| Command::RegisterImage {
        name: name.to_owned(),
        snapshot: of_root.clone(),
        like: ImageId::from(IMAGE),
        root_device: "/dev/xvda".to_owned(),
        tags: Tags::new(),
    };
    assert_eq!(hand.refused(register("an image")).0, CONFLICT);
    let of_data = begun(&mut hand, &data);
    let restore = |token: &str, size_gib: u32| Command::CreateVolume {
        token: token.into(),
        zone: Hand::here().zone,
        size_gib,
        snapshot: Some(of_data.clone()),
        settings: serde_json::Map::new(),
        tags: Tags::new(),
    };
    assert_eq!(hand.refused(restore("whole", 10)).0, CONFLICT);
    hand.pass(SECOND);
    assert_eq!(hand.refused(restore("small", 9)).0, REFUSED, "smaller than what it holds");
    hand.must(restore("whole", 10));
    for wrong in ["ab", &"n".repeat(129), "a:colon"] {
        assert_eq!(hand.refused(register(wrong)).1, "InvalidAMIName.Malformed", "{wrong}");
    }
    let reply = hand.must(register("an image"));
    assert_eq!(hand.refused(register("an image")).1, "InvalidAMIName.Duplicate");
    let launch = hand.launch(&ImageId::from(reply.facts[0].id()), None);
    let run = Command::RunInstances(Box::new(launch));
    assert_eq!(hand.refused(run.clone()), (CONFLICT, "InvalidAMIID.Unavailable".to_owned()));
    hand.pass(HOUR);
    hand.must(run);
}

#[test]
fn an_elastic_ip_waits_until_its_instance_runs() {
    let mut hand = Hand::new(SimConfig::prompt());
    let address = hand.cloud.allocate_address(hand.now).expect("an address");
    let interface = hand.interface();
    let launch = hand.launch(&ImageId::from(IMAGE), Some(interface.clone()));
    hand.must(Command::RunInstances(Box::new(launch)));
    let associate = Command::AssociateAddress {
        allocation: address,
        interface: interface.clone(),
        allow_reassociation: false,
    };
    let pending = (CONFLICT, "IncorrectInstanceState".to_owned());
    assert_eq!(hand.refused(associate.clone()), pending);
    let settled = |hand: &Hand| match hand.cloud.truly(interface.as_str()) {
        Some(Fact::Interface(i)) => i.attachment_settled,
        other => panic!("{other:?}"),
    };
    assert!(!settled(&hand), "attaching, until the instance runs");
    hand.pass(SECOND);
    assert!(settled(&hand));
    hand.must(associate);
}

#[test]
fn an_interface_in_use_is_neither_deleted_nor_launched_with_until_its_instance_is_gone() {
    let mut config = SimConfig::prompt();
    config.release = Span::exactly(5 * SECOND);
    let mut hand = Hand::new(config);
    let (first, _, interface) = hand.first();
    let delete = Command::DeleteNetworkInterface { interface: interface.clone() };
    let in_use = (CONFLICT, "InvalidNetworkInterface.InUse".to_owned());
    let launch = hand.launch(&ImageId::from(IMAGE), Some(interface));
    let run = Command::RunInstances(Box::new(launch));
    assert_eq!(hand.refused(delete.clone()), in_use);
    hand.must(Command::TerminateInstances { instance: first.clone() });
    assert_eq!(hand.refused(run.clone()), in_use, "while it shuts down");
    hand.pass(SECOND);
    let over = |f: Option<Fact>| matches!(f, Some(Fact::Instance(i)) if i.state == InstanceState::Terminated);
    assert!(over(hand.cloud.truly(first.as_str())));
    assert_eq!(hand.refused(run.clone()), in_use, "until it is released");
    assert_eq!(hand.refused(delete), in_use);
    hand.pass(5 * SECOND);
    hand.must(run);
}

#[test]
fn whether_a_volume_dies_with_its_instance_can_be_changed_until_that_begins_to_end() {
    let mut hand = Hand::new(SimConfig::prompt());
    let mut launch = hand.launch(&ImageId::from(IMAGE), None);
    launch.root_delete_on_termination = true;
    let first = hand.run(launch);
    let (data, doomed) = (hand.volume(None), hand.volume(None));
    hand.attach(&data, &first);
    hand.must(attach(&doomed, &first, "/dev/xvdc"));
    hand.pass(SECOND);
    let set_all = |devices: &[&str], value: bool| Command::SetDeleteOnTermination {
        instance: first.clone(),
        devices: devices.iter().map(|device| (*device).to_owned()).collect(),
        value,
    };
    let set = |device: &str, value: bool| set_all(&[device], value);
    assert_eq!(hand.refused(set("/dev/xvdq", false)).0, REFUSED);
    assert_eq!(hand.refused(set_all(&[], false)).1, "InvalidParameterValue");
    let flags = |hand: &Hand| match hand.cloud.truly(first.as_str()) {
        Some(Fact::Instance(i)) => {
            i.attachments.iter().map(|a| a.delete_on_termination).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    let before = flags(&hand);
    hand.refused(set_all(&["/dev/xvda", "/dev/xvdq"], false));
    assert_eq!(flags(&hand), before, "all of them or none");
    hand.must(set_all(&["/dev/xvda", "/dev/xvdb", "/dev/xvdc"], false));
    assert_eq!(flags(&hand), [false; 3]);
    hand.must(set("/dev/xvdc", true));
    let root = hand.root(&first);
    hand.must(Command::TerminateInstances { instance: first.clone() });
    assert_eq!(hand.refused(set("/dev/xvdc", false)).1, "IncorrectInstanceState");
    hand.pass(SECOND);
    assert!(hand.cloud.truly(root.as_str()).is_some(), "it was kept after all");
    assert!(hand.cloud.truly(data.as_str()).is_some(), "attached later, it is kept by itself");
    assert_eq!(hand.cloud.truly(doomed.as_str()), None);
}
