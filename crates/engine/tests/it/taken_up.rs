//! What an adoption takes up of addresses and volumes, and how much of what is left over is shown.

use crate::launches::{Played, document, volume};
use holdfast_engine::life::adopt::{Adopted, adopt};
use holdfast_engine::life::strays::{MAX_STRAYS, strays};
use holdfast_model::adoption::{Heads, Question};
use holdfast_model::facts::{
    Association, Fact, ImageFact, ImageState, InterfaceFact, InterfaceState, VolumeFact,
    VolumeState,
};
use holdfast_model::record::{DataHead, Generations, HeldInterface, RootHead};
use holdfast_model::{
    AllocationId, ImageId, InterfaceId, NodeId, Record, Shared, SnapshotId, SubnetId, Time, Zone,
    tags,
};
use serde_json::{Value, json};

const DEVICE: &str = "/dev/xvdb";

fn of(node: &str, role: &str) -> tags::Tags {
    let all = [
        (tags::INSTALLATION, "us"),
        (tags::NODE, node),
        (tags::ROLE, role),
        (tags::GENERATION, "1"),
    ];
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn interface(id: &str, role: &str, elastic_ip: Option<&str>) -> Fact {
    Fact::Interface(Shared::from(InterfaceFact {
        id: InterfaceId::from(id),
        state: InterfaceState::Available,
        subnet: SubnetId::from("subnet-z"),
        zone: Zone::from("z"),
        private_ip: "10.0.0.9".to_owned(),
        mac: "02:00:00:00:00:09".to_owned(),
        attached_to: None,
        device_index: None,
        attachment_settled: true,
        association: elastic_ip.map(|id| Association {
            allocation: AllocationId(id.to_owned()),
            public_ip: "192.0.2.1".to_owned(),
        }),
        tags: of("smi-1", role),
    }))
}

fn held(id: &str, device_index: u32) -> HeldInterface {
    HeldInterface {
        id: InterfaceId::from(id),
        subnet: SubnetId::from("subnet-z"),
        zone: Zone::from("z"),
        private_ip: "10.0.0.9".to_owned(),
        mac: "02:00:00:00:00:09".to_owned(),
        device_index,
    }
}

/// A volume of the node's data, as it is shown.
fn shown(state: VolumeState, attached: bool) -> Fact {
    let fact = volume("vol-1", state, of("smi-1", "data:/dev/xvdb"));
    let Fact::Volume(fact) = fact else { unreachable!() };
    let attached_to = attached.then(|| ("i-9".into(), DEVICE.to_owned()));
    Fact::Volume(VolumeFact { attached_to, ..(*fact).clone() }.into())
}

/// What an adoption makes of a node that had one generation, in a cloud that shows this.
fn adopted(
    spec: Value,
    had: impl FnOnce(&mut Record),
    facts: Vec<Fact>,
) -> Result<Adopted, Vec<Question>> {
    let mut node = Played::of(spec);
    node.record.generations = Generations::at(1);
    had(&mut node.record);
    node.world.absorb_page(facts, Time(1));
    node.scene(|scene| adopt(&node.record, &Heads::new(), scene))
}

fn with_interfaces() -> Value {
    let mut spec = document(&json!({ "persistPrivateIp": true }), &[]);
    spec["compute"]["launchSpecification"]["networkInterfaces"] =
        json!([{ "deviceIndex": 0 }, { "deviceIndex": 1 }]);
    spec
}

#[test]
fn a_further_interface_that_was_never_made_is_no_question() {
    let record = adopted(with_interfaces(), |_| {}, vec![interface("eni-1", "interface", None)]);
    let record = record.unwrap().record;
    assert_eq!(record.identity.interface.map(|held| held.id.0).as_deref(), Some("eni-1"));
    assert_eq!(record.identity.secondary, []);
}

#[test]
fn of_several_interfaces_for_one_index_the_one_that_the_record_names_is_the_nodes() {
    let facts = || {
        vec![
            interface("eni-1", "interface", None),
            interface("eni-2", "interface:1", None),
            interface("eni-3", "interface:1", None),
        ]
    };
    for known in ["eni-2", "eni-3"] {
        let had = |record: &mut Record| {
            record.identity.interface = Some(held("eni-1", 0));
            record.identity.secondary = vec![held(known, 1)];
        };
        let record = adopted(with_interfaces(), had, facts()).unwrap().record;
        assert_eq!(record.identity.secondary, [held(known, 1)]);
    }
    let asked = adopted(with_interfaces(), |_| {}, facts()).unwrap_err();
    assert_eq!(asked[0].why, "choose with --head interface:1=ID");
}

#[test]
fn the_elastic_ip_is_the_nodes_only_where_it_leads_to_something_of_the_nodes() {
    for (leads_from, is_its_own) in [("eipalloc-1", true), ("eipalloc-2", false)] {
        let mut spec = document(&json!({ "persistPrivateIp": true }), &[]);
        spec["compute"]["elasticIp"] = json!("eipalloc-1");
        let facts = vec![interface("eni-1", "interface", Some(leads_from))];
        let record = adopted(spec, |_| {}, facts).unwrap().record;
        let known = record.identity.elastic_ip.map(|id| id.0);
        assert_eq!(known.as_deref(), is_its_own.then_some("eipalloc-1"));
    }
}

#[test]
fn a_volume_that_is_not_kept_from_instance_to_instance_is_not_taken_up() {
    let image = Fact::Image(Shared::from(ImageFact {
        id: ImageId::from("ami-9"),
        state: ImageState::Available,
        name: "n".to_owned(),
        snapshot: Some(SnapshotId::from("snap-9")),
        architecture: "x86_64".to_owned(),
        root_device: "/dev/sda1".to_owned(),
        tags: of("smi-1", "root"),
    }));
    let spec = document(&json!({ "persistRootDevice": true }), &[DEVICE]);
    let facts = vec![image, shown(VolumeState::Available, false)];
    let record = adopted(spec, |_| {}, facts).unwrap().record;
    assert!(
        matches!(record.identity.root, RootHead::Captured { .. }),
        "{:?}",
        record.identity.root
    );
    assert_eq!(record.identity.data[0].head, DataHead::Fresh);
}

#[test]
fn a_volume_is_taken_up_only_if_it_is_free_and_shown_as_attached_to_nothing() {
    let keeps = json!({ "persistBlockDevices": true, "blockDevicesMode": "reattach" });
    for (state, attached, free) in [
        (VolumeState::Available, false, true),
        (VolumeState::Available, true, false),
        (VolumeState::InUse, false, false),
    ] {
        let result = adopted(document(&keeps, &[DEVICE]), |_| {}, vec![shown(state, attached)]);
        match result {
            Ok(adopted) => {
                assert!(free, "{state:?}, {attached}");
                let head = &adopted.record.identity.data[0].head;
                assert!(matches!(head, DataHead::Volume { id, .. } if id.0 == "vol-1"));
            }
            Err(asked) => {
                assert!(!free, "{asked:?}");
                assert_eq!(asked[0].why, "it is not free; adopt again when it is");
            }
        }
    }
}

#[test]
fn of_all_that_is_left_over_so_much_is_shown_and_no_more() {
    let mut node = Played::new(&json!({ "persistRootDevice": true }), &[]);
    let each = MAX_STRAYS / 2 + 1;
    for of_node in ["smi-7", "smi-8"] {
        let name = |number| format!("vol-{of_node}-{number}");
        let tags = of(of_node, "instance");
        let facts = (0..each).map(|n| volume(&name(n), VolumeState::Available, tags.clone()));
        node.world.absorb_page(facts.collect(), Time(1));
    }
    let found = node.scene(|scene| strays(std::iter::empty(), scene));
    let shown: Vec<(NodeId, usize)> =
        found.iter().map(|s| (NodeId::from(s.node.as_str()), s.resources.len())).collect();
    assert_eq!(shown, [("smi-7".into(), each), ("smi-8".into(), MAX_STRAYS - each)]);
}
