use crate::node::{DATA, Hand};
use holdfast_cloud_sim::config::IMAGE;
use holdfast_cloud_sim::{Class, SimConfig};
use holdfast_model::facts::{Fact, InstanceState};
use holdfast_model::{Command, ImageId};

#[test]
fn a_right_replacement_breaks_nothing_and_loses_no_acknowledged_write() {
    let mut hand = Hand::new(SimConfig::prompt());
    let (mut instance, data, interface) = hand.first();
    let mut acknowledged = hand.cloud.acknowledged(&hand.node);
    assert!(acknowledged > 100, "the workload writes: {acknowledged}");
    for _ in 0..10 {
        let (next, root, snapshot, _) = hand.replace(&instance, &data, &interface);
        hand.must(Command::DeleteVolume { volume: root });
        assert_eq!(hand.refused(Command::DeleteSnapshot { snapshot }).1, "InvalidSnapshot.InUse");
        hand.pass(500);
        let now = hand.cloud.acknowledged(&hand.node);
        assert!(now > acknowledged);
        acknowledged = now;
        instance = next;
    }
    assert!(hand.cloud.violations().is_empty(), "{:#?}", hand.cloud.violations());
}

#[test]
fn a_gate_that_opens_while_another_generation_serves_is_two_writers() {
    let mut hand = Hand::new(SimConfig::prompt());
    let (first, data, _) = hand.first();
    let copy = hand.snapshot(&data);
    let twin = hand.volume(Some(&copy));
    let launch = hand.launch(&ImageId::from(IMAGE), None);
    let second = hand.run(launch);
    hand.attach(&twin, &second);
    assert!(hand.broken().is_empty(), "two may live, as long as one serves");
    hand.open(&second, &twin);
    assert!(hand.broken().contains(&"one-writer"), "{:?}", hand.cloud.violations());
    assert_eq!(hand.cloud.truth().serving(&hand.node).len(), 2);
    hand.cloud.kill(hand.now, &first);
    assert_eq!(hand.cloud.truth().serving(&hand.node), [second]);
}

#[test]
fn a_volume_that_two_instances_can_write_to_is_two_writers() {
    let config = SimConfig { attaches_twice: true, ..SimConfig::prompt() };
    let mut hand = Hand::new(config);
    let (_, data, _) = hand.first();
    let launch = hand.launch(&ImageId::from(IMAGE), None);
    let second = hand.run(launch);
    assert!(hand.broken().is_empty());
    hand.attach(&data, &second);
    assert_eq!(hand.broken(), ["one-writer"]);
}

#[test]
fn an_older_snapshot_restored_is_an_acknowledged_write_lost() {
    let mut hand = Hand::new(SimConfig::prompt());
    let (first, data, interface) = hand.first();
    let old = hand.snapshot(&data);
    hand.pass(1_000);
    let root = hand.lose(&first, &data);
    let (root_copy, restored) = (hand.snapshot(&root), hand.volume(Some(&old)));
    let image = hand.image(&root_copy);
    let launch = hand.launch(&image, Some(interface));
    let next = hand.run(launch);
    hand.attach(&restored, &next);
    hand.open(&next, &restored);
    assert_eq!(hand.broken(), ["no-write-lost"], "{:?}", hand.cloud.violations());
    assert!(hand.cloud.violations()[0].sentence.contains(DATA));
}

#[test]
fn a_snapshot_begun_after_the_power_cut_holds_every_acknowledged_write() {
    let mut hand = Hand::new(SimConfig::prompt());
    let (first, data, interface) = hand.first();
    let root = hand.lose(&first, &data);
    let (root_copy, data_copy) = (hand.snapshot(&root), hand.snapshot(&data));
    let image = hand.image(&root_copy);
    let restored = hand.volume(Some(&data_copy));
    hand.must(Command::DeleteVolume { volume: data });
    let launch = hand.launch(&image, Some(interface));
    let next = hand.run(launch);
    hand.attach(&restored, &next);
    hand.open(&next, &restored);
    assert!(hand.broken().is_empty(), "{:?}", hand.cloud.violations());
}

#[test]
fn a_root_or_a_device_that_is_left_out_is_an_acknowledged_write_lost_and_another_identity() {
    let mut hand = Hand::new(SimConfig::prompt());
    let (first, data, interface) = hand.first();
    hand.lose(&first, &data);
    let launch = hand.launch(&ImageId::from(IMAGE), Some(interface));
    let next = hand.run(launch);
    hand.must(Hand::gate(&next, &[], "/data"));
    let names = hand.broken();
    let lost = names.iter().filter(|n| **n == "no-write-lost").count();
    let changed = names.iter().filter(|n| **n == "identity-kept").count();
    assert_eq!((lost, changed), (2, 2), "{:#?}", hand.cloud.violations());
}

#[test]
fn deleting_the_last_copy_is_seen_and_deleting_another_copy_is_not() {
    let mut hand = Hand::new(SimConfig::prompt());
    let (first, data, _) = hand.first();
    let old = hand.snapshot(&data);
    hand.pass(1_000);
    hand.lose(&first, &data);
    let newest = hand.snapshot(&data);
    hand.must(Command::DeleteVolume { volume: data });
    hand.must(Command::DeleteSnapshot { snapshot: old });
    assert!(hand.broken().is_empty(), "{:?}", hand.cloud.violations());
    hand.must(Command::DeleteSnapshot { snapshot: newest });
    assert_eq!(hand.broken(), ["last-copy-kept"]);
}

#[test]
fn a_volume_that_dies_with_its_instance_can_be_the_last_copy_too() {
    let mut hand = Hand::new(SimConfig::prompt());
    let (first, data, _) = hand.first();
    hand.must(Command::SetDeleteOnTermination {
        instance: first.clone(),
        devices: vec![DATA.to_owned()],
        value: true,
    });
    hand.must(Command::TerminateInstances { instance: first });
    hand.until(data.as_str(), |f| f.is_none());
    assert_eq!(hand.broken(), ["last-copy-kept"]);
}

#[test]
fn a_snapshot_that_is_not_complete_is_no_copy() {
    let mut hand = Hand::new(SimConfig::prompt());
    let (first, data, _) = hand.first();
    hand.lose(&first, &data);
    let tags = hand.tags("data");
    hand.must(Command::CreateSnapshot { volume: data.clone(), tags });
    hand.must(Command::DeleteVolume { volume: data });
    assert_eq!(hand.broken(), ["last-copy-kept"]);
}

#[test]
fn after_the_users_release_everything_may_go() {
    let mut hand = Hand::new(SimConfig::prompt());
    let (first, data, interface) = hand.first();
    let root = hand.root(&first);
    hand.cloud.truth_mut().release(&hand.node);
    hand.must(Command::TerminateInstances { instance: first });
    hand.free(&data);
    hand.must(Command::DeleteVolume { volume: data });
    hand.must(Command::DeleteVolume { volume: root });
    assert_eq!(hand.cloud.check_leaks(hand.now, &hand.node, &[]), [interface.to_string()]);
    assert_eq!(hand.broken(), ["nothing-forgotten"]);
    hand.must(Command::DeleteNetworkInterface { interface });
    assert!(hand.cloud.check_leaks(hand.now, &hand.node, &[]).is_empty());
}

#[test]
fn another_interface_is_another_identity() {
    let mut hand = Hand::new(SimConfig::prompt());
    let (first, data, _) = hand.first();
    let other = hand.interface();
    hand.replace(&first, &data, &other);
    assert_eq!(hand.broken(), ["identity-kept", "identity-kept"], "IP and MAC");
}

#[test]
fn another_mount_is_another_identity() {
    let mut hand = Hand::new(SimConfig::prompt());
    let (first, data, interface) = hand.first();
    let root = hand.lose(&first, &data);
    let copy = hand.snapshot(&root);
    let image = hand.image(&copy);
    let launch = hand.launch(&image, Some(interface));
    let next = hand.run(launch);
    hand.attach(&data, &next);
    hand.must(Hand::gate(&next, &[&data], "/elsewhere"));
    assert_eq!(hand.broken(), ["identity-kept"]);
}

#[test]
fn content_deleted_behind_our_back_is_no_violation_until_a_gate_opens_without_it() {
    let mut hand = Hand::new(SimConfig::prompt());
    let (first, data, interface) = hand.first();
    let root = hand.lose(&first, &data);
    hand.cloud.delete_behind(hand.now, data.as_str());
    assert!(hand.broken().is_empty());
    let copy = hand.snapshot(&root);
    let image = hand.image(&copy);
    let launch = hand.launch(&image, Some(interface));
    let next = hand.run(launch);
    let blank = hand.volume(None);
    hand.attach(&blank, &next);
    hand.open(&next, &blank);
    assert!(hand.broken().contains(&"no-write-lost"));
}

#[test]
fn a_resource_beyond_the_allowed_ones_is_a_leak() {
    let mut hand = Hand::new(SimConfig::prompt());
    let (first, data, interface) = hand.first();
    let root = hand.root(&first);
    let allowed = [first.as_str(), data.as_str(), interface.as_str(), root.as_str()];
    assert!(hand.cloud.check_leaks(hand.now, &hand.node, &allowed).is_empty());
    let second = hand.volume(None);
    assert_eq!(hand.cloud.check_leaks(hand.now, &hand.node, &allowed), [second.to_string()]);
    assert_eq!(hand.broken(), ["nothing-forgotten"]);
}

#[test]
fn what_ends_by_itself_is_not_left_behind() {
    let mut hand = Hand::new(SimConfig::prompt());
    let mut launch = hand.launch(&ImageId::from(IMAGE), None);
    launch.root_delete_on_termination = true;
    let instance = hand.run(launch);
    let left = hand.cloud.check_leaks(hand.now, &hand.node, &[]);
    assert_eq!(left.len(), 3, "it runs, with its root and its own interface: {left:?}");
    hand.cloud.faults().set(Class::SlowTerminate, 1_000_000);
    hand.must(Command::TerminateInstances { instance: instance.clone() });
    let state = match hand.cloud.truly(instance.as_str()) {
        Some(Fact::Instance(i)) => i.state,
        other => panic!("{other:?}"),
    };
    assert_eq!(state, InstanceState::ShuttingDown);
    assert!(hand.cloud.check_leaks(hand.now, &hand.node, &[]).is_empty());
}
