//! What an adoption takes for certain, and what it asks, case by case.

use crate::launches::{Played, market};
use holdfast_engine::Scene;
use holdfast_engine::life::adopt::{Adopted, adopt};
use holdfast_engine::life::strays::strays;
use holdfast_model::adoption::{Heads, Question};
use holdfast_model::facts::{
    Attachment, Fact, Health, ImageFact, ImageState, InstanceFact, InstanceState, InterfaceFact,
    InterfaceState, SnapshotFact, SnapshotState, VolumeFact, VolumeState,
};
use holdfast_model::record::{DataHead, Generations, HeldInterface, Record, RootHead};
use holdfast_model::{
    ImageId, InstanceId, InterfaceId, Lifecycle, NodeId, Shared, SnapshotId, SubnetId, Time,
    VolumeId, Zone, tags,
};
use serde_json::{Value, json};

const DEVICE: &str = "/dev/xvdb";
const DATA: &str = "data:/dev/xvdb";

/// The tags of what was made in this role for this generation, if any is told.
fn of(role: &str, generation: Option<u64>) -> tags::Tags {
    let fixed = [(tags::INSTALLATION, "us"), (tags::NODE, "smi-1"), (tags::ROLE, role)];
    let mut all: tags::Tags = fixed.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    all.extend(generation.map(|g| (tags::GENERATION.to_owned(), g.to_string())));
    all
}

/// An instance that runs and holds its root, and these volumes.
fn instance(id: &str, role: &str, generation: u64, holds: &[(&str, &str)]) -> InstanceFact {
    let held = |(device, volume): &(&str, &str)| Attachment {
        volume: VolumeId::from(*volume),
        device: (*device).to_owned(),
        delete_on_termination: false,
    };
    let root = ("/dev/xvda", "vol-root");
    InstanceFact {
        id: InstanceId::from(id),
        state: InstanceState::Running,
        reason: None,
        instance_type: "m5.large".to_owned(),
        zone: Zone::from("z"),
        lifecycle: Lifecycle::Spot,
        image: ImageId::from("ami-1"),
        launched_at: Time(2),
        private_ip: None,
        interface: None,
        root_device: "/dev/xvda".to_owned(),
        attachments: std::iter::once(&root).chain(holds).map(held).collect(),
        health: Health::Ok,
        health_why: None,
        no_successor: None,
        interruption_at: None,
        drained: false,
        tags: of(role, Some(generation)),
    }
}

fn runs(instance: InstanceFact) -> Fact {
    Fact::Instance(Shared::from(instance))
}

fn volume(id: &str, role: &str, generation: u64, held_by: Option<(&str, &str)>) -> Fact {
    Fact::Volume(Shared::from(VolumeFact {
        id: VolumeId::from(id),
        state: if held_by.is_some() { VolumeState::InUse } else { VolumeState::Available },
        zone: Zone::from("z"),
        size_gib: 4,
        attached_to: held_by.map(|(id, device)| (InstanceId::from(id), device.to_owned())),
        attachment_settled: true,
        snapshot: None,
        fs_uuid: None,
        tags: of(role, Some(generation)),
    }))
}

fn snapshot(id: &str, generation: u64, state: SnapshotState) -> Fact {
    Fact::Snapshot(Shared::from(SnapshotFact {
        id: SnapshotId::from(id),
        state,
        volume: VolumeId::from("vol-b"),
        started_at: Time(1),
        tags: of(DATA, Some(generation)),
    }))
}

fn image(id: &str, generation: u64) -> Fact {
    Fact::Image(Shared::from(ImageFact {
        id: ImageId::from(id),
        state: ImageState::Available,
        name: id.to_owned(),
        snapshot: Some(SnapshotId(format!("snap-of-{id}"))),
        architecture: "x86_64".to_owned(),
        root_device: "/dev/sda1".to_owned(),
        tags: of("root", Some(generation)),
    }))
}

fn interface(id: &str, held_by: Option<&str>) -> Fact {
    Fact::Interface(Shared::from(InterfaceFact {
        id: InterfaceId::from(id),
        state: if held_by.is_some() { InterfaceState::InUse } else { InterfaceState::Available },
        subnet: SubnetId::from("subnet-z"),
        zone: Zone::from("z"),
        private_ip: "10.0.0.9".to_owned(),
        mac: "02:00:00:00:00:09".to_owned(),
        attached_to: held_by.map(InstanceId::from),
        device_index: None,
        attachment_settled: true,
        association: None,
        tags: of("interface", None),
    }))
}

/// A node that keeps this, and what is said of it.
struct Case {
    node: Played,
    heads: Heads,
}

impl Case {
    fn new(keeps: &Value, devices: &[&str], facts: Vec<Fact>) -> Case {
        let mut node = Played::new(keeps, devices);
        node.world.absorb_page(facts, Time(1));
        Case { node, heads: Heads::new() }
    }

    fn scene<T>(&self, look: impl FnOnce(&Record, &Scene<'_>) -> T) -> T {
        self.node.scene(|scene| look(&self.node.record, scene))
    }

    fn adopt(&self) -> Result<Adopted, Vec<Question>> {
        self.scene(|record, scene| adopt(record, &self.heads, scene))
    }

    fn adopted(&self) -> Adopted {
        self.adopt().unwrap_or_else(|questions| panic!("{questions:#?}"))
    }

    /// The only question that is asked.
    fn asked(&self) -> Question {
        match self.adopt() {
            Err(questions) if questions.len() == 1 => questions[0].clone(),
            other => panic!("one question was to be asked: {other:#?}"),
        }
    }
}

fn data() -> Value {
    json!({ "persistBlockDevices": true, "blockDevicesMode": "reattach" })
}

fn root() -> Value {
    json!({ "persistRootDevice": true })
}

#[test]
fn an_instance_is_doubted_if_anything_but_a_standby_is_of_a_later_generation() {
    let serves = || {
        let held = volume("vol-b", DATA, 2, Some(("i-1", DEVICE)));
        vec![runs(instance("i-1", "instance", 2, &[(DEVICE, "vol-b")])), held]
    };
    let adopted = Case::new(&data(), &[DEVICE], serves()).adopted();
    assert_eq!(adopted.record.instance.map(|h| (h.id.0, h.market)), Some(("i-1".into(), market())));
    assert!(!adopted.record.lifecycle.wants_recycle());

    let mut ended = instance("i-2", "standby", 3, &[]);
    ended.state = InstanceState::Terminated;
    let case = Case::new(&data(), &[DEVICE], [serves(), vec![runs(ended)]].concat());
    assert_eq!(case.adopted().found, "i-1 of generation 3 goes on");

    let later = snapshot("snap-1", 3, SnapshotState::Completed);
    let mut case = Case::new(&data(), &[DEVICE], [serves(), vec![later]].concat());
    let asked = case.adopt().expect_err("it may hold older content");
    let why = &asked[0].why;
    assert!(why.starts_with("snap-1 is of a later generation"), "{why}");
    case.heads.insert("instance".to_owned(), "i-1".to_owned());
    assert_eq!(case.adopted().found, "i-1 of generation 3 goes on");
}

#[test]
fn a_standby_goes_unless_it_holds_an_address_of_the_node_already() {
    let both = |holds: &str| {
        vec![
            runs(instance("i-1", "instance", 2, &[])),
            runs(instance("i-2", "standby", 3, &[])),
            interface("eni-1", Some(holds)),
        ]
    };
    let keeps = json!({ "persistPrivateIp": true });
    let adopted = Case::new(&keeps, &[], both("i-1")).adopted();
    assert_eq!(adopted.record.instance.map(|h| h.id.0).as_deref(), Some("i-1"));
    let going: Vec<&str> =
        adopted.record.kept.pending_deletion.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(going, ["i-2"]);

    let asked = Case::new(&keeps, &[], both("i-2")).asked();
    assert!(asked.why.starts_with("several instances live"), "{}", asked.why);
    let offered: Vec<&str> = asked.candidates.iter().map(|c| c.id.as_str()).collect();
    assert_eq!(offered, ["i-1", "i-2"], "neither goes");
}

#[test]
fn an_instance_that_holds_another_volume_than_the_nodes_is_replaced() {
    // What it holds under the device's name is nobody's; the node's own volume is free.
    let facts = vec![
        runs(instance("i-1", "instance", 2, &[(DEVICE, "vol-other")])),
        volume("vol-b", DATA, 2, None),
    ];
    let adopted = Case::new(&data(), &[DEVICE], facts).adopted();
    let head = &adopted.record.identity.data[0].head;
    assert!(matches!(head, DataHead::Volume { id, .. } if id.0 == "vol-b"), "{head:?}");
    assert!(
        adopted.record.lifecycle.wants_recycle(),
        "the next instance gets the node's own volume"
    );
}

#[test]
fn an_address_that_is_lost_or_not_certain_is_a_question() {
    let keeps = json!({ "persistPrivateIp": true });
    let held = HeldInterface {
        id: InterfaceId::from("eni-9"),
        subnet: SubnetId::from("subnet-z"),
        zone: Zone::from("z"),
        private_ip: "10.0.0.9".to_owned(),
        mac: "02:00:00:00:00:09".to_owned(),
        device_index: 0,
    };
    let mut case = Case::new(&keeps, &[], vec![snapshot("snap-1", 1, SnapshotState::Completed)]);
    case.node.record.identity.interface = Some(held);
    let why = case.asked().why;
    assert_eq!(why, "none is left; --head interface=fresh gives the node another address");
    case.heads.insert("interface".to_owned(), "fresh".to_owned());
    assert_eq!(case.adopted().record.identity.interface, None);

    // Nothing was launched yet, and two were made.
    let two = vec![interface("eni-1", None), interface("eni-2", None)];
    let case = Case::new(&keeps, &[], two);
    let asked = case.asked();
    assert_eq!(asked.why, "choose with --head interface=ID");
    assert_eq!(asked.candidates.len(), 2);
    // Nothing was launched yet, and none was made.
    let case = Case::new(&keeps, &[], vec![volume("vol-x", "instance", 0, None)]);
    assert_eq!(case.adopted().record.identity.interface, None);
}

#[test]
fn a_choice_names_of_which_generation_each_candidate_is() {
    let mut unknown = volume("vol-2", DATA, 0, None);
    if let Fact::Volume(fact) = &mut unknown {
        fact.tags.remove(tags::GENERATION);
    }
    let two = vec![volume("vol-1", DATA, 7, None), unknown];
    let asked = Case::new(&data(), &[DEVICE], two).asked();
    let told: Vec<&str> = asked.candidates.iter().map(|c| c.what.as_str()).collect();
    assert_eq!(
        told,
        ["generation 7, 4 GiB in z, free", "of an unknown generation, 4 GiB in z, free"]
    );
}

#[test]
fn the_device_of_a_free_root_is_the_one_that_an_image_of_it_tells() {
    let facts = vec![volume("vol-1", "instance", 2, None), image("ami-9", 1)];
    let adopted = Case::new(&root(), &[], facts).adopted();
    let RootHead::Live { volume, root_device, generation, .. } = &adopted.record.identity.root
    else {
        panic!("{:?}", adopted.record.identity.root)
    };
    assert_eq!(volume.as_ref().map(VolumeId::as_str), Some("vol-1"));
    assert_eq!((root_device.as_deref(), *generation), (Some("/dev/sda1"), 2));
}

#[test]
fn data_of_a_node_that_was_never_launched_begins_as_its_spec_says() {
    let keeps = json!({
        "persistBlockDevices": true, "blockDevicesMode": "reattach", "persistPrivateIp": true
    });
    let case = Case::new(&keeps, &[DEVICE], vec![interface("eni-1", None)]);
    let adopted = case.adopted();
    assert_eq!(adopted.record.generations.number(), 0);
    assert_eq!(adopted.record.identity.data[0].head, DataHead::Fresh);
    let told = "no instance lives; its root begins with the spec's image, /dev/xvdb begins anew, \
                address 10.0.0.9";
    assert_eq!(adopted.found, told);

    // Of one that was, nothing being left is a question.
    let mut case = Case::new(&keeps, &[DEVICE], vec![interface("eni-1", None)]);
    case.node.record.generations = Generations::at(1);
    assert!(case.asked().why.starts_with("nothing is left of it"), "{}", case.asked().why);
}

#[test]
fn only_complete_copies_of_earlier_generations_are_kept_to_return_to() {
    let facts = || {
        vec![
            image("ami-1", 1),
            image("ami-2", 2),
            snapshot("snap-1", 1, SnapshotState::Completed),
            snapshot("snap-2", 1, SnapshotState::Pending),
            snapshot("snap-3", 2, SnapshotState::Completed),
            volume("vol-b", DATA, 2, Some(("i-1", DEVICE))),
        ]
    };
    let keeps = json!({
        "persistRootDevice": true, "persistBlockDevices": true, "blockDevicesMode": "reattach"
    });
    let lives = runs(instance("i-1", "instance", 2, &[(DEVICE, "vol-b")]));
    let adopted = Case::new(&keeps, &[DEVICE], [facts(), vec![lives]].concat()).adopted();
    let kept: Vec<&str> =
        adopted.record.kept.final_snapshots.iter().map(|f| f.snapshot.as_str()).collect();
    // The image of the second generation would be that of the root that is written to.
    assert_eq!(kept, ["snap-1", "snap-of-ami-1"]);
}

#[test]
fn what_a_nodes_record_names_is_no_stray_and_what_it_does_not_name_is() {
    let facts = vec![
        volume("vol-b", DATA, 1, None),
        volume("vol-c", DATA, 1, None),
        interface("eni-1", None),
        image("ami-1", 1),
    ];
    let mut case = Case::new(&data(), &[DEVICE], facts);
    case.heads.insert(DEVICE.to_owned(), "vol-b".to_owned());
    let mut record = case.adopted().record;
    record.identity.interface = Some(HeldInterface {
        id: InterfaceId::from("eni-1"),
        subnet: SubnetId::from("subnet-z"),
        zone: Zone::from("z"),
        private_ip: "10.0.0.9".to_owned(),
        mac: "02:00:00:00:00:09".to_owned(),
        device_index: 0,
    });
    assert_eq!(record.id, NodeId::from("smi-1"));
    let strays = case.scene(|_, scene| strays(std::iter::once(&record), scene));
    assert_eq!(strays.len(), 1, "{strays:#?}");
    let shown: Vec<&str> = strays[0].resources.iter().map(Fact::id).collect();
    assert_eq!(shown, ["vol-c"]);
}

#[test]
fn a_root_of_which_nothing_is_left_is_a_question_once_the_node_was_launched() {
    let facts = || vec![interface("eni-1", None)];
    let case = Case::new(&root(), &[], facts());
    assert_eq!(case.adopted().record.identity.root, RootHead::Fresh, "it was never launched");
    let mut case = Case::new(&root(), &[], facts());
    case.node.record.generations = Generations::at(1);
    let why = case.asked().why;
    let told = "nothing is left of it; --head root=fresh begins with the spec's image";
    assert_eq!(why, told);
}

#[test]
fn a_free_volume_holds_the_newest_content_unless_a_copy_of_another_is_as_new() {
    for (of_volume, of_copy, certain) in [(2, 1, true), (2, 2, false), (1, 2, false)] {
        let facts = vec![
            volume("vol-n", DATA, of_volume, None),
            snapshot("snap-1", of_copy, SnapshotState::Completed),
        ];
        let case = Case::new(&data(), &[DEVICE], facts);
        let what = format!("a volume of generation {of_volume}, a copy of {of_copy}");
        if certain {
            let head = &case.adopted().record.identity.data[0].head;
            assert!(matches!(head, DataHead::Volume { id, .. } if id.0 == "vol-n"), "{what}");
        } else {
            let why = case.asked().why;
            let told = "the snapshot snap-1 may hold newer content; choose with --head \
                        /dev/xvdb=ID";
            assert_eq!(why, told, "{what}");
        }
    }
    // Its own copies, and the one that it was made from, are no newer than it is.
    for source in [None, Some("snap-1")] {
        let mut made = volume(if source.is_some() { "vol-n" } else { "vol-b" }, DATA, 2, None);
        if let Fact::Volume(fact) = &mut made {
            fact.snapshot = source.map(SnapshotId::from);
        }
        let copy = snapshot("snap-1", 2, SnapshotState::Completed);
        Case::new(&data(), &[DEVICE], vec![made, copy]).adopted();
    }
}

#[test]
fn numbers_of_replacements_go_on_far_beyond_the_newest_that_a_token_tells() {
    let mut made = volume("vol-b", DATA, 2, None);
    if let Fact::Volume(fact) = &mut made {
        fact.tags.insert(tags::TOKEN.to_owned(), "hf-1-250-0123456789abcdef".to_owned());
    }
    let mut case = Case::new(&data(), &[DEVICE], vec![made]);
    assert_eq!(case.adopted().record.memory.replacements, 350);
    case.node.record.memory.replacements = 300;
    assert_eq!(case.adopted().record.memory.replacements, 400, "the record knows of later ones");
}

#[test]
fn what_shows_that_another_controller_knew_more_is_named_by_its_generation_or_its_epoch() {
    for (generation, epoch, named) in [
        (3, "1@1", "snap-1 of generation 3, but the record ends at generation 2"),
        (2, "4@40", "snap-1 of the controller's epoch 4, and this is 1, but the record ends"),
        (3, "4@40", "snap-1 of generation 3, but"),
    ] {
        let mut fact = snapshot("snap-1", generation, SnapshotState::Completed);
        if let Fact::Snapshot(fact) = &mut fact {
            fact.tags.insert(tags::EPOCH.to_owned(), epoch.to_owned());
        }
        let mut case = Case::new(&data(), &[DEVICE], vec![fact]);
        case.node.record.generations = Generations::at(2);
        case.node.plan();
        let found = case.node.record.blocked.quarantine().cloned().expect("somebody knew more");
        assert!(found.why.contains(named), "{}", found.why);
        assert_eq!(found.ids, ["snap-1"]);
    }
}
