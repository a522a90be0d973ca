use crate::launches;
use holdfast_engine::World;
use holdfast_model::facts::{Fact, Health, InstanceFact, InstanceState, ResourceKind, VolumeState};
use holdfast_model::{ImageId, InstanceId, Known, Lifecycle, Reply, Shared, Time, VolumeId, Zone};

/// The consistency window of these tests, in milliseconds.
const WINDOW: u64 = 1_000;

fn volume(state: VolumeState) -> Fact {
    let tags = [("holdfast:installation", "ours"), ("holdfast:node", "smi-1")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
    launches::volume("vol-1", state, tags.into())
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

fn instance(state: InstanceState) -> Fact {
    Fact::Instance(Shared::from(InstanceFact {
        id: InstanceId::from("i-1"),
        state,
        reason: None,
        instance_type: "m5.large".to_owned(),
        zone: Zone::from("z"),
        lifecycle: Lifecycle::Spot,
        image: ImageId::from("ami-1"),
        launched_at: Time(1),
        private_ip: None,
        interface: None,
        root_device: "/dev/xvda".to_owned(),
        attachments: Vec::new(),
        health: Health::Ok,
        health_why: None,
        no_successor: None,
        interruption_at: None,
        drained: false,
        tags: [("holdfast:installation", "ours"), ("holdfast:node", "smi-1")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    }))
}

#[test]
fn an_instance_that_has_ended_does_not_come_back_whatever_a_later_read_says() {
    use InstanceState::{Pending, Running, ShuttingDown, Stopped, Stopping, Terminated};
    let ids = ["i-1".to_owned()];
    for (first, then, believed) in [
        (Terminated, Running, Terminated),
        (Terminated, ShuttingDown, Terminated),
        (Terminated, Stopped, Terminated),
        (ShuttingDown, Running, ShuttingDown),
        (ShuttingDown, Terminated, Terminated),
        (Pending, Running, Running),
        (Running, Stopping, Stopping),
        (Stopped, Running, Running),
        (Stopped, Terminated, Terminated),
    ] {
        for by_page in [false, true] {
            let mut world = World::new(WINDOW);
            world.absorb_ids(&ids, vec![instance(first)], Time(10));
            if by_page {
                world.absorb_page(vec![instance(then)], Time(20));
            } else {
                world.absorb_ids(&ids, vec![instance(then)], Time(20));
            }
            let state = world.instance("i-1").present().expect("seen").state;
            assert_eq!(state, believed, "{then:?} after {first:?}");
        }
    }
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
fn what_a_slow_answer_shows_is_not_gone_because_its_question_is_old() {
    let mut world = World::new(WINDOW);
    // Asked long before it was made; the answer is newer than that.
    let came = 10_000;
    world.answered(Time(came));
    world.absorb_ids(&ids(), vec![volume(VolumeState::Available)], Time(10));
    world.answered(Time(came + WINDOW / 2));
    world.absorb_ids(&ids(), Vec::new(), Time(came + WINDOW / 2));
    assert_eq!(world.volume("vol-1"), Known::Unknown, "it may not be visible everywhere yet");
    world.answered(Time(came + WINDOW));
    world.absorb_ids(&ids(), Vec::new(), Time(came + WINDOW));
    assert_eq!(world.volume("vol-1"), Known::Absent);
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

/// A volume of a node, if it has one.
fn volume_of(id: &str, node: Option<&str>, size_gib: u32) -> Fact {
    let Fact::Volume(mut fact) = volume(VolumeState::Available) else { panic!("a volume") };
    fact.id = VolumeId::from(id);
    fact.size_gib = size_gib;
    fact.tags.remove("holdfast:node");
    fact.tags.extend(node.map(|node| ("holdfast:node".to_owned(), node.to_owned())));
    Fact::Volume(fact)
}

fn ids_of(world: &World, node: &str) -> Vec<String> {
    world.of_node(&node.into()).map(|fact| fact.id().to_owned()).collect()
}

#[test]
fn a_page_is_taken_in_whole_in_whatever_order_it_comes() {
    let mut world = World::new(WINDOW);
    let page = |size| -> Vec<Fact> {
        ["vol-2", "vol-3", "vol-1"].map(|id| volume_of(id, Some("smi-1"), size)).to_vec()
    };
    world.absorb_page(page(1), Time(10));
    assert_eq!(ids_of(&world, "smi-1"), ["vol-1", "vol-2", "vol-3"]);
    world.take_changed();
    // The same again is no news, but it is a newer read: nothing of it is missing.
    world.absorb_page(page(1), Time(20));
    assert!(world.take_changed().is_empty());
    assert!(world.complete_sweep(ResourceKind::Volume, Time(20)).is_empty());
    world.absorb_page(page(2), Time(30));
    for id in ["vol-1", "vol-2", "vol-3"] {
        assert!(matches!(world.volume(id), Known::Present(v) if v.size_gib == 2), "{id}");
    }
    assert_eq!(world.take_changed().len(), 1);
}

#[test]
fn what_a_sweep_misses_is_not_shown_as_its_nodes_until_it_shows_again() {
    let mut world = World::new(WINDOW);
    let both = || vec![volume_of("vol-1", Some("smi-1"), 1), volume_of("vol-2", Some("smi-1"), 1)];
    world.absorb_page(both(), Time(10));
    world.absorb_page(vec![volume_of("vol-1", Some("smi-1"), 1)], Time(20));
    assert_eq!(world.complete_sweep(ResourceKind::Volume, Time(20)), ["vol-2"]);
    assert_eq!(ids_of(&world, "smi-1"), ["vol-1"]);
    world.absorb_page(both(), Time(30));
    assert_eq!(ids_of(&world, "smi-1"), ["vol-1", "vol-2"]);
}

#[test]
fn whoever_takes_a_nodes_tag_off_or_changes_it_takes_the_resource_from_the_node() {
    let mut world = World::new(WINDOW);
    world.absorb_page(vec![volume_of("vol-1", Some("smi-1"), 1)], Time(10));
    world.absorb_page(vec![volume_of("vol-1", Some("smi-2"), 1)], Time(20));
    assert_eq!((ids_of(&world, "smi-1").len(), ids_of(&world, "smi-2").len()), (0, 1));
    world.absorb_page(vec![volume_of("vol-1", None, 1)], Time(30));
    assert_eq!((ids_of(&world, "smi-1").len(), ids_of(&world, "smi-2").len()), (0, 0));
}

#[test]
fn a_command_on_what_was_seen_and_is_looked_for_again_leaves_it_unknown_until_a_newer_read() {
    let mut world = World::new(WINDOW);
    // The command leaves before the resource shows for the first time.
    world.touch("vol-1", Time(50));
    world.absorb_page(vec![volume_of("vol-1", Some("smi-1"), 1)], Time(10));
    assert_eq!(world.volume("vol-1"), Known::Unknown);
    world.take_changed();
    world.absorb_page(vec![volume_of("vol-1", Some("smi-1"), 1)], Time(60));
    assert!(matches!(world.volume("vol-1"), Known::Present(_)));
    assert_eq!(world.take_changed().len(), 1, "what became certain is news");
}

#[test]
fn what_was_hidden_for_longer_than_it_is_remembered_is_there_again_as_soon_as_it_shows() {
    let hour = 3_600_000;
    let mut world = World::new(WINDOW);
    let sweep = |world: &mut World, facts: Vec<Fact>, asked: u64| {
        world.answered(Time(asked));
        world.absorb_page(facts, Time(asked));
        world.complete_sweep(ResourceKind::Volume, Time(asked));
    };
    let seen = || vec![volume(VolumeState::Available)];
    sweep(&mut world, seen(), 1);
    for tenths in 1..=30 {
        sweep(&mut world, Vec::new(), tenths * hour / 10);
    }
    assert_eq!(world.volume("vol-1"), Known::Absent);
    // An answer that is older than that it was forgotten is none.
    world.absorb_ids(&ids(), seen(), Time(hour));
    assert_eq!(world.volume("vol-1"), Known::Absent);
    sweep(&mut world, seen(), 3 * hour + 1);
    assert!(matches!(world.volume("vol-1"), Known::Present(_)));
    assert_eq!(ids_of(&world, "smi-1"), ["vol-1"]);
}

#[test]
fn what_a_read_confirms_after_the_command_that_made_it_is_no_news() {
    for by_page in [false, true] {
        let mut world = World::new(WINDOW);
        let made = Reply { facts: vec![volume(VolumeState::Available)], gone: Vec::new() };
        world.absorb_reply(&made, Time(100));
        world.take_changed();
        if by_page {
            world.absorb_page(vec![volume(VolumeState::Available)], Time(200));
        } else {
            world.absorb_ids(&ids(), vec![volume(VolumeState::Available)], Time(200));
        }
        assert!(world.take_changed().is_empty(), "it was certain already");
    }
}

#[test]
fn of_two_reads_that_were_asked_at_once_the_one_that_shows_it_is_believed() {
    let mut world = World::new(WINDOW);
    world.absorb_ids(&ids(), vec![volume(VolumeState::Available)], Time(10));
    world.absorb_ids(&ids(), Vec::new(), Time(10));
    assert!(matches!(world.volume("vol-1"), Known::Present(_)));
}

#[test]
fn what_a_command_was_just_sent_to_is_not_absent_before_a_sweep_a_window_later() {
    let mut world = World::new(WINDOW);
    for asked in [10, 10 + WINDOW] {
        world.complete_sweep(ResourceKind::Volume, Time(asked));
    }
    assert_eq!(world.volume("vol-1"), Known::Absent);
    let sent = 20 * WINDOW;
    world.touch("vol-1", Time(sent));
    for after in [1, WINDOW / 2, WINDOW - 1] {
        world.complete_sweep(ResourceKind::Volume, Time(sent + after));
        assert_eq!(world.volume("vol-1"), Known::Unknown, "{after} ms after the command");
    }
    world.complete_sweep(ResourceKind::Volume, Time(sent + WINDOW));
    assert_eq!(world.volume("vol-1"), Known::Absent);
}

#[test]
fn an_answer_that_is_older_than_a_disappearance_is_disbelieved_for_two_hours_and_no_longer() {
    let hour = 3_600_000;
    for (later, believed) in [(2 * hour - 1, false), (2 * hour, true)] {
        let mut world = World::new(WINDOW);
        world.absorb_page(vec![volume(VolumeState::Available)], Time(1));
        let forgotten = 3 * hour;
        assert_eq!(world.complete_sweep(ResourceKind::Volume, Time(forgotten)), ["vol-1"]);
        world.complete_sweep(ResourceKind::Volume, Time(forgotten + later));
        world.absorb_ids(&ids(), vec![volume(VolumeState::Available)], Time(forgotten));
        let shown = world.volume("vol-1").present().is_some();
        assert_eq!(shown, believed, "{later} ms later");
    }
}

#[test]
fn an_old_state_that_a_page_shows_is_a_sighting_all_the_same() {
    let mut world = World::new(WINDOW);
    let ids = ["i-1".to_owned()];
    world.answered(Time(10));
    world.absorb_ids(&ids, vec![instance(InstanceState::ShuttingDown)], Time(10));
    world.answered(Time(5_000));
    world.absorb_page(vec![instance(InstanceState::Running)], Time(5_000));
    world.answered(Time(5_000 + WINDOW));
    world.absorb_ids(&ids, Vec::new(), Time(5_000 + WINDOW - 1));
    assert_eq!(world.instance("i-1"), Known::Unknown, "it was shown a moment ago");
    world.absorb_ids(&ids, Vec::new(), Time(5_000 + WINDOW));
    assert_eq!(world.instance("i-1"), Known::Absent);
}

#[test]
fn what_is_remembered_is_counted_with_what_is_gone_and_what_was_only_spoken_of() {
    let mut world = World::new(WINDOW);
    let page = ["vol-1", "vol-2", "vol-3"].map(|id| volume_of(id, Some("smi-1"), 1)).to_vec();
    world.absorb_page(page, Time(10));
    assert_eq!(world.remembers(), 3);
    for id in ["vol-4", "vol-5"] {
        world.touch(id, Time(20));
    }
    assert_eq!(world.remembers(), 5);
    world.absorb_reply(&Reply { facts: Vec::new(), gone: ids() }, Time(30));
    // Two that are seen; one that is gone, and the command that took it; two that were spoken of.
    assert_eq!(world.remembers(), 6);
    // Of what was forgotten the id is kept for two hours more.
    let hour = 3_600_000;
    let after = [3, 4, 5].map(|hours| {
        world.complete_sweep(ResourceKind::Volume, Time(30 + hours * hour));
        world.remembers()
    });
    assert_eq!(after, [2, 2, 0]);
}
