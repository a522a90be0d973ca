use holdfast_engine::World;
use holdfast_model::facts::{Fact, ResourceKind, VolumeFact, VolumeState};
use holdfast_model::{Known, Reply, Time, VolumeId, Zone};

/// The consistency window of these tests, in milliseconds.
const WINDOW: u64 = 1_000;

fn volume(state: VolumeState) -> Fact {
    Fact::Volume(VolumeFact {
        id: VolumeId::from("vol-1"),
        state,
        zone: Zone::from("z"),
        size_gib: 1,
        attached_to: None,
        attachment_settled: true,
        snapshot: None,
        fs_uuid: None,
        tags: [("holdfast:installation", "ours"), ("holdfast:node", "smi-1")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    })
}

fn ids() -> Vec<String> {
    vec!["vol-1".to_owned()]
}

#[test]
fn nothing_is_known_of_what_was_never_looked_at() {
    assert_eq!(World::new(WINDOW).volume("vol-1"), Known::Unknown);
}

#[test]
fn a_read_that_was_asked_before_the_last_command_returned_proves_nothing() {
    let mut world = World::new(WINDOW);
    world.absorb_ids(&ids(), vec![volume(VolumeState::Available)], Time(10));
    assert!(matches!(world.volume("vol-1"), Known::Present(_)));
    world.touch("vol-1", Time(20));
    assert_eq!(world.volume("vol-1"), Known::Unknown);
    world.absorb_ids(&ids(), vec![volume(VolumeState::Available)], Time(15));
    assert_eq!(world.volume("vol-1"), Known::Unknown, "asked before the command returned");
    world.absorb_ids(&ids(), vec![volume(VolumeState::InUse)], Time(21));
    assert!(matches!(world.volume("vol-1"), Known::Present(_)));
}

#[test]
fn an_older_read_that_arrives_late_changes_nothing() {
    let mut world = World::new(WINDOW);
    world.absorb_ids(&ids(), vec![volume(VolumeState::InUse)], Time(20));
    world.absorb_ids(&ids(), vec![volume(VolumeState::Available)], Time(10));
    let seen = world.volume("vol-1").present().expect("seen");
    assert_eq!(seen.state, VolumeState::InUse);
}

#[test]
fn not_found_within_the_consistency_window_is_unknown_and_after_it_absent() {
    let mut world = World::new(WINDOW);
    let made = Reply { facts: vec![volume(VolumeState::Available)], gone: Vec::new() };
    world.absorb_reply(&made, Time(100));
    world.absorb_ids(&ids(), Vec::new(), Time(100 + WINDOW - 1));
    assert_eq!(world.volume("vol-1"), Known::Unknown);
    world.absorb_ids(&ids(), Vec::new(), Time(100 + WINDOW));
    assert_eq!(world.volume("vol-1"), Known::Absent);
    world.absorb_ids(&ids(), vec![volume(VolumeState::Available)], Time(5_000));
    assert!(matches!(world.volume("vol-1"), Known::Present(_)), "it was only invisible");
}

#[test]
fn a_sweep_of_a_fresh_process_proves_absence_only_after_the_window() {
    let mut world = World::new(WINDOW);
    world.complete_sweep(ResourceKind::Volume, Time(10));
    assert_eq!(world.volume("vol-1"), Known::Unknown);
    world.complete_sweep(ResourceKind::Volume, Time(10 + WINDOW));
    assert_eq!(world.volume("vol-1"), Known::Absent);
}

#[test]
fn what_a_command_deleted_stays_deleted_whatever_a_stale_read_shows() {
    let mut world = World::new(WINDOW);
    world.absorb_ids(&ids(), vec![volume(VolumeState::Available)], Time(10));
    world.absorb_reply(&Reply { facts: Vec::new(), gone: ids() }, Time(20));
    world.absorb_ids(&ids(), vec![volume(VolumeState::Available)], Time(25));
    assert_eq!(world.volume("vol-1"), Known::Absent);
}

#[test]
fn resources_that_vanish_in_one_sweep_are_told_once() {
    let mut world = World::new(WINDOW);
    world.absorb_page(vec![volume(VolumeState::Available)], Time(10));
    assert!(world.complete_sweep(ResourceKind::Volume, Time(10)).is_empty());
    assert_eq!(world.complete_sweep(ResourceKind::Volume, Time(20)), ["vol-1"]);
    assert!(world.complete_sweep(ResourceKind::Volume, Time(30)).is_empty());
}

#[test]
fn what_carries_none_of_our_tags_is_not_missed_by_a_sweep_but_by_a_look_at_it() {
    let mut world = World::new(WINDOW);
    let Fact::Volume(mut theirs) = volume(VolumeState::InUse) else { panic!("a volume") };
    theirs.tags.clear();
    world.absorb_ids(&ids(), vec![Fact::Volume(theirs)], Time(10));
    for at in [2_000, 4_000, 6_000] {
        world.absorb_page(Vec::new(), Time(at));
        assert!(world.complete_sweep(ResourceKind::Volume, Time(at)).is_empty());
    }
    assert!(matches!(world.volume("vol-1"), Known::Present(_)));
    world.absorb_ids(&ids(), Vec::new(), Time(7_000));
    assert_eq!(world.volume("vol-1"), Known::Absent);
}
