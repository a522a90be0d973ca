//! A deletion is taken back: each part begins with the newest that is kept of it, and what is lost
//! is named.

use crate::launches::replacement;
use holdfast_engine::context::refusal::NotDone;
use holdfast_engine::words::apply;
use holdfast_model::record::{
    DataHead, DataVolume, Deletion, Due, FinalSnapshot, Generations, Goal, HeldInterface,
    NeedsDecision, NodeLifecycle, PendingDeletion, Question, RootHead, SnapshotSet, Tombstone,
};
use holdfast_model::replacement::{Call, Replacement, RowState};
use holdfast_model::time::HOUR;
use holdfast_model::user::UserCommand;
use holdfast_model::{
    CallState, CloudError, Command, ErrorClass, ImageId, InterfaceId, Kind, NodeId, Record, Row,
    SnapshotId, SubnetId, Time, Token, VolumeId, Zone,
};
use std::collections::BTreeMap;

/// The generation that ran last.
const LAST: u64 = 4;

/// A final snapshot, named after what it is of.
fn last(generation: u64, of: &str) -> FinalSnapshot {
    let name = format!("{generation}-{}", of.trim_start_matches("/dev/"));
    FinalSnapshot {
        generation,
        of: of.to_owned(),
        snapshot: SnapshotId(format!("snap-{name}")),
        image: (of == "root").then(|| ImageId(format!("ami-{name}"))),
        taken_at: Time(generation * HOUR),
        size_gib: None,
        ready: true,
        set_aside: false,
        origin: None,
    }
}

fn finals(generations: impl Iterator<Item = u64> + Clone) -> Vec<FinalSnapshot> {
    ["root", "/dev/xvdb", "/dev/xvdc"]
        .into_iter()
        .flat_map(|of| generations.clone().map(move |generation| last(generation, of)))
        .collect()
}

fn data(device: &str) -> DataVolume {
    DataVolume {
        device: device.to_owned(),
        head: DataHead::Volume {
            id: VolumeId(format!("vol-{}", device.trim_start_matches("/dev/"))),
            zone: Zone::from("z"),
        },
        fs_uuid: Some("uuid".to_owned()),
        user_attached: None,
        restore: None,
    }
}

fn interface(index: u32) -> HeldInterface {
    HeldInterface {
        id: InterfaceId(format!("eni-{index}")),
        subnet: SubnetId::from("subnet-z"),
        zone: Zone::from("z"),
        private_ip: format!("10.0.0.{index}"),
        mac: String::new(),
        device_index: index,
    }
}

fn live() -> RootHead {
    RootHead::Live {
        volume: Some(VolumeId::from("vol-root")),
        generation: LAST,
        root_device: Some("/dev/xvda".to_owned()),
        kept: true,
        from: None,
        origin: None,
    }
}

fn captured(generation: u64) -> RootHead {
    let last = last(generation, "root");
    RootHead::Captured {
        snapshot: last.snapshot,
        image: last.image.unwrap(),
        root_device: "/dev/xvda".to_owned(),
    }
}

/// A node that has been given up: what it was, and what of it is kept.
fn deleted(root: RootHead, finals: Vec<FinalSnapshot>, gone: &[&str]) -> Record {
    let mut record = Record::new(NodeId::from("smi-1"), serde_json::json!({}), Time(0));
    record.generations = Generations::at(LAST);
    let was = Tombstone {
        root,
        data: vec![data("/dev/xvdb"), data("/dev/xvdc")],
        interface: Some(interface(0)),
        secondary: vec![interface(1)],
        final_snapshots: finals,
        sets: Vec::new(),
    };
    let mut ids: Vec<String> = ["vol-root", "vol-xvdb", "vol-xvdc", "eni-0", "eni-1", "vol-stray"]
        .map(str::to_owned)
        .into();
    for last in &was.final_snapshots {
        ids.push(last.snapshot.0.clone());
        ids.extend(last.image.iter().map(|image| image.0.clone()));
    }
    ids.retain(|id| !gone.contains(&id.as_str()));
    keep(&mut record, ids);
    let tombstone = Some(Box::new(was));
    record.lifecycle = NodeLifecycle::Deleted(Deletion { tombstone, ..Deletion::default() });
    record
}

fn was(record: &mut Record) -> &mut Tombstone {
    let NodeLifecycle::Deleted(deletion) = &mut record.lifecycle else { unreachable!() };
    deletion.tombstone.as_deref_mut().unwrap()
}

fn keep(record: &mut Record, ids: impl IntoIterator<Item = String>) {
    let kept = |id| PendingDeletion {
        id,
        reason: "the node was given up".to_owned(),
        due: Due::after(HOUR),
    };
    record.kept.pending_deletion.extend(ids.into_iter().map(kept));
}

/// Takes it back; what is lost.
fn undelete(record: &mut Record) -> Option<String> {
    let say = |record: &mut Record, accept_loss| {
        let id = record.id.clone();
        apply(record, &UserCommand::Undelete { id, accept_loss }, Time(9 * HOUR))
    };
    let before = record.clone();
    let why = match say(record, false) {
        Ok(()) => return None,
        Err(NotDone::Conflict(why)) => why,
        Err(NotDone::Invalid(errors)) => panic!("{errors:?}"),
    };
    assert_eq!(record, &before, "a refusal changes nothing");
    say(record, true).expect("its loss is accepted");
    Some(why)
}

/// The snapshot that the root is made from, if it is made from one.
fn root_from(record: &Record) -> Option<String> {
    let point = record.identity.rollback.as_ref()?.root.as_ref()?;
    Some(point.snapshot.0.clone())
}

/// The snapshot that a device begins with, if it begins with one.
fn begins_with(record: &Record, device: &str) -> Option<String> {
    let data = record.identity.data.iter().find(|d| d.device == device).expect("the device");
    data.restore.as_ref().map(|s| s.0.clone())
}

fn kept(record: &Record) -> Vec<&str> {
    record.kept.pending_deletion.iter().map(|s| s.id.as_str()).collect()
}

#[test]
fn what_is_there_is_the_nodes_again_and_only_the_rest_waits_for_its_grace() {
    let mut record = deleted(live(), finals(2..4), &[]);
    record.blocked.ask(NeedsDecision {
        row: Row::Stop,
        since: Time(0),
        why: String::new(),
        question: Question::Answered,
    });
    assert_eq!(undelete(&mut record), None);
    assert_eq!((record.lifecycle.goal(), record.lifecycle.is_deleted()), (Goal::Paused, false));
    assert_eq!((record.lifecycle.deletion(), record.blocked.decision()), (None, None));
    assert_eq!(record.identity.root, live());
    assert_eq!(record.identity.data, [data("/dev/xvdb"), data("/dev/xvdc")]);
    assert_eq!(record.identity.interface, Some(interface(0)));
    assert_eq!(record.identity.secondary, [interface(1)]);
    assert_eq!(record.kept.final_snapshots, finals(2..4));
    assert_eq!(kept(&record), ["vol-stray"]);
}

#[test]
fn a_volume_that_is_gone_begins_with_its_newest_final_snapshot() {
    for of in ["/dev/xvdb", "/dev/xvdc"] {
        let name = of.trim_start_matches("/dev/");
        let volume = format!("vol-{name}");
        // Whatever order they stand in: a rollback puts an older one before the others.
        let mut finals = finals(1..=LAST);
        finals.rotate_left(2);
        let mut record = deleted(captured(LAST), finals, &[volume.as_str()]);
        assert_eq!(undelete(&mut record), None, "a snapshot of the last generation has it all");
        assert_eq!(begins_with(&record, of), Some(format!("snap-{LAST}-{name}")));
        let data = record.identity.data.iter().find(|d| d.device == of).unwrap();
        assert_eq!((&data.head, &data.fs_uuid), (&DataHead::Fresh, &None));
        let other = if of == "/dev/xvdb" { "/dev/xvdc" } else { "/dev/xvdb" };
        assert_eq!(begins_with(&record, other), None, "it is there as it was");
    }
}

#[test]
fn a_snapshot_of_an_earlier_generation_is_a_loss_that_is_named() {
    let mut record = deleted(captured(LAST), finals(1..LAST), &["vol-xvdc"]);
    keep(&mut record, ["snap-4-root", "ami-4-root"].map(str::to_owned));
    let lost = undelete(&mut record).expect("a loss");
    assert!(lost.contains("vol-xvdc (/dev/xvdc), of which a snapshot of generation 3"), "{lost}");
    assert!(!lost.contains("xvdb") && !lost.contains("root") && !lost.contains("eni"), "{lost}");
    assert_eq!(begins_with(&record, "/dev/xvdc").as_deref(), Some("snap-3-xvdc"));
}

#[test]
fn of_two_snapshots_of_one_generation_the_later_one_has_its_content() {
    let mut finals = finals(1..=LAST);
    let mut again = last(LAST, "/dev/xvdb");
    again.snapshot = SnapshotId::from("snap-later");
    finals.push(again);
    let mut record = deleted(captured(LAST), finals, &["vol-xvdb"]);
    assert_eq!(undelete(&mut record), None);
    assert_eq!(begins_with(&record, "/dev/xvdb").as_deref(), Some("snap-later"));
}

#[test]
fn a_root_that_is_gone_is_made_from_its_newest_final_snapshot() {
    let mut shuffled = finals(1..LAST);
    shuffled.rotate_left(1);
    for finals in [finals(1..LAST), shuffled] {
        let mut record = deleted(live(), finals, &["vol-root"]);
        let lost = undelete(&mut record).expect("a loss");
        assert!(lost.contains("the root, of which generation 3 is kept"), "{lost}");
        assert_eq!(root_from(&record).as_deref(), Some("snap-3-root"));
        assert_eq!(record.identity.root, RootHead::Fresh);
    }
}

#[test]
fn a_root_whose_image_is_gone_is_made_from_the_snapshot_that_it_was_in() {
    // It had been rolled back: where it is, is not the newest that is kept of it.
    for generation in [2, LAST] {
        let image = format!("ami-{generation}-root");
        let mut record = deleted(captured(generation), finals(1..=LAST), &[image.as_str()]);
        assert_eq!(undelete(&mut record), None);
        assert_eq!(root_from(&record), Some(format!("snap-{generation}-root")));
        let point = record.identity.rollback.as_ref().and_then(|r| r.root.clone()).unwrap();
        assert_eq!(point.image, None, "it is registered again");
    }
}

#[test]
fn interfaces_that_are_gone_are_named_and_no_part_of_the_node() {
    let mut record = deleted(live(), finals(2..4), &["eni-1"]);
    let lost = undelete(&mut record).expect("a loss");
    assert!(lost.contains("eni-1 with its address 10.0.0.1") && !lost.contains("eni-0"), "{lost}");
    assert_eq!((record.identity.interface.is_some(), record.identity.secondary.len()), (true, 0));
    let mut record = deleted(live(), finals(2..4), &["eni-0"]);
    assert!(undelete(&mut record).expect("a loss").contains("eni-0"));
    assert_eq!((record.identity.interface.is_some(), record.identity.secondary.len()), (false, 1));
}

fn deletion(id: &str, refused: bool) -> RowState {
    let error = CloudError {
        class: ErrorClass::Refused,
        code: "DependencyViolation".to_owned(),
        message: String::new(),
    };
    let at = Time(0);
    let state = if refused { CallState::Refused { error, at } } else { CallState::Started };
    let call = Call {
        command: Command::DeleteSnapshot { snapshot: SnapshotId::from(id) },
        token: Token("t".to_owned()),
        attempt: 1,
        at,
        state,
        answered_at: None,
    };
    let calls = BTreeMap::from([(format!("delete:{id}"), call.into())]);
    RowState { started_at: Some(at), done_at: None, calls }
}

#[test]
fn what_is_being_deleted_at_that_moment_is_gone_unless_that_was_refused() {
    for refused in [false, true] {
        let mut record = deleted(captured(LAST), finals(1..=LAST), &["vol-xvdb"]);
        record.work = Some(Replacement {
            number: 9,
            from_generation: Some(LAST),
            rows: BTreeMap::from([(Row::Retire, deletion("snap-4-xvdb", refused))]),
            ..replacement(Kind::Delete, Time(0))
        });
        let lost = undelete(&mut record);
        assert_eq!(lost.is_none(), refused, "{lost:?}");
        let newest = if refused { "snap-4-xvdb" } else { "snap-3-xvdb" };
        assert_eq!(begins_with(&record, "/dev/xvdb").as_deref(), Some(newest));
    }
}

/// What was taken while the node ran.
fn set(generation: u64, hours: u64) -> SnapshotSet {
    let of = |what: &str| {
        let name = what.trim_start_matches("/dev/");
        (what.to_owned(), SnapshotId(format!("snap-{generation}-{hours}-{name}")))
    };
    SnapshotSet {
        generation,
        begun_at: Time(hours * HOUR),
        origin: None,
        volumes: BTreeMap::new(),
        snapshots: ["root", "/dev/xvdb", "/dev/xvdc"].map(of).into(),
    }
}

#[test]
fn of_what_was_saved_while_it_ran_only_whole_sets_are_there_to_return_to() {
    let mut record = deleted(live(), finals(2..4), &[]);
    let sets = vec![set(LAST, 6), set(LAST, 7)];
    let ids = sets.iter().flat_map(|set| set.snapshots.values()).map(|s| s.0.clone());
    let ids: Vec<String> = ids.filter(|id| id != "snap-4-6-xvdb").collect();
    keep(&mut record, ids);
    was(&mut record).sets = sets;
    assert_eq!(undelete(&mut record), None);
    assert_eq!(record.upkeep.sets, [set(LAST, 7)]);
    assert_eq!(kept(&record), ["vol-stray", "snap-4-6-xvdc", "snap-4-6-root"][..]);
}

#[test]
fn a_final_snapshot_is_newer_than_what_was_saved_while_its_generation_ran() {
    let mut record = deleted(captured(LAST), finals(2..=LAST), &["vol-xvdb", "ami-4-root"]);
    let sets = vec![set(LAST, 6)];
    let ids: Vec<String> = sets[0].snapshots.values().map(|s| s.0.clone()).collect();
    keep(&mut record, ids);
    was(&mut record).sets = sets;
    assert_eq!(undelete(&mut record), None);
    assert_eq!(root_from(&record).as_deref(), Some("snap-4-root"));
    assert_eq!(begins_with(&record, "/dev/xvdb").as_deref(), Some("snap-4-xvdb"));
}

#[test]
fn what_was_saved_while_the_last_generation_ran_is_newer_than_what_an_earlier_one_left() {
    let gone = ["vol-root", "vol-xvdb", "vol-xvdc"];
    let mut record = deleted(live(), finals(2..LAST), &gone);
    let sets = vec![set(LAST, 6), set(LAST, 7)];
    let ids: Vec<String> =
        sets.iter().flat_map(|set| set.snapshots.values()).map(|s| s.0.clone()).collect();
    keep(&mut record, ids);
    was(&mut record).sets = sets;
    let lost = undelete(&mut record).expect("what was written since is lost");
    for told in [
        "vol-xvdb (/dev/xvdb), of which a snapshot of generation 4 is kept",
        "vol-xvdc (/dev/xvdc), of which a snapshot of generation 4 is kept",
        "the root, of which generation 4 is kept",
    ] {
        assert!(lost.contains(told), "{lost}");
    }
    assert_eq!(root_from(&record).as_deref(), Some("snap-4-7-root"));
    assert_eq!(begins_with(&record, "/dev/xvdb").as_deref(), Some("snap-4-7-xvdb"));
    assert_eq!(begins_with(&record, "/dev/xvdc").as_deref(), Some("snap-4-7-xvdc"));
}
