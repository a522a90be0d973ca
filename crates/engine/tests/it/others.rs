use crate::launches::volume;
use holdfast_engine::observed::survival::Survival;
use holdfast_engine::{Scene, Tuning, World, invariants};
use holdfast_model::facts::VolumeState;
use holdfast_model::market::Catalogue;
use holdfast_model::record::Generations;
use holdfast_model::{Command, Epoch, Installation, NodeId, Record, Time, VolumeId, tags};
use serde_json::json;

const EPOCH: Epoch = Epoch { count: 3, began: Time(30) };

/// Whether a volume with these tags may be deleted for a node of generation 2.
fn may_go(changed: &[(&str, Option<&str>)]) -> bool {
    let mut of: tags::Tags = [
        (tags::INSTALLATION, "us"),
        (tags::NODE, "smi-1"),
        (tags::GENERATION, "2"),
        (tags::EPOCH, "3@30"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    for (name, value) in changed {
        match value {
            Some(value) => of.insert((*name).to_owned(), (*value).to_owned()),
            None => of.remove(*name),
        };
    }
    let fact = volume("vol-1", VolumeState::Available, of);
    let mut world = World::new(0);
    world.absorb_page(vec![fact], Time(1));
    let mut record = Record::new(NodeId::from("smi-1"), json!({}), Time(0));
    record.generations = Generations::at(2);
    let (installation, tuning) = (Installation::from("us"), Tuning::local());
    let catalogue = Catalogue::default();
    let scene = Scene {
        world: &world,
        catalogue: &catalogue,
        installation: &installation,
        epoch: EPOCH,
        survival: &Survival::default(),
        tuning: &tuning,
        snapshot_volumes: 0,
        choice_from: Time(0),
        now: Time(2),
    };
    let command = Command::DeleteVolume { volume: VolumeId::from("vol-1") };
    invariants::may_leave(&record, &command, &scene).is_ok()
}

#[test]
fn what_is_anothers_or_of_later_than_the_record_knows_is_never_deleted() {
    assert!(may_go(&[]), "its own");
    assert!(may_go(&[(tags::GENERATION, Some("1")), (tags::EPOCH, Some("2@20"))]), "older");
    assert!(may_go(&[(tags::EPOCH, None)]), "of a version that had no epochs");
    for (others, what) in [
        ((tags::INSTALLATION, Some("them")), "another installation's"),
        ((tags::INSTALLATION, None), "nobody's"),
        ((tags::NODE, Some("smi-2")), "another node's"),
        ((tags::GENERATION, Some("3")), "of a later generation"),
        ((tags::EPOCH, Some("4@40")), "of a later epoch"),
        ((tags::EPOCH, Some("3@31")), "of another server that counts on from the same copy"),
    ] {
        assert!(!may_go(&[others]), "{what}");
    }
}
