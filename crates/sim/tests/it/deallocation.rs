//! Giving a node up: every flag, in every state; what is not selected is kept for its time of grace,
//! an instance that is let go is never touched again, and until the grace is over the node comes back.

use crate::scene::{OTHER_IMAGE, SNAPSHOTS, Scene, Shape, WHOLE};
use holdfast_cloud_sim::{Fault, When};
use holdfast_model::facts::{Fact, InstanceState, ResourceKind};
use holdfast_model::record::DataHead;
use holdfast_model::time::{HOUR, MINUTE, SECOND};
use holdfast_model::user::{Deallocation, UserCommand};
use holdfast_model::{Command, Kind, Token, VolumeId, Zone, tags};
use holdfast_sim::scenario::flags;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What the servers of these tests are told in place of 96 hours.
const GRACE: u64 = 2 * HOUR;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Running,
    Paused,
    /// So many seconds after its instance was lost.
    Replaced(u64),
}

/// A node with a history, at a moment.
fn at(moment: Moment, shape: Shape) -> Scene {
    let mut scene = Scene::empty_with(7, shape, |c| c.tuning.deallocation_grace = GRACE);
    scene.create(shape);
    scene.wait("ACTIVE", |s, node| s.record(node).is_some_and(|r| r.status() == "ACTIVE"));
    scene.sim.run_for(2 * MINUTE);
    let before = scene.generation();
    scene.trigger(Kind::Recycle, shape);
    scene.wait_for_end(Kind::Recycle, before);
    scene.sim.run_for(2 * MINUTE);
    match moment {
        Moment::Running => {}
        Moment::Paused => {
            scene.trigger(Kind::Pause, shape);
            scene.wait_for_end(Kind::Pause, 0);
            scene.sim.run_for(2 * MINUTE);
        }
        Moment::Replaced(seconds) => {
            scene.trigger(Kind::Lost, shape);
            scene.sim.run_for(seconds * SECOND);
        }
    }
    scene
}

fn give_up(scene: &mut Scene, chosen: Deallocation) {
    if chosen.should_delete_volumes || chosen.should_delete_snapshots {
        // What its user selects need not be kept.
        let node = scene.node.clone();
        scene.sim.cloud.truth_mut().release(&node);
    }
    scene.sim.say(UserCommand::Delete { id: scene.node.clone(), deallocation: chosen });
    scene.wait("deallocated", |s, n| {
        s.record(n).is_none_or(|r| r.lifecycle.is_deleted() && r.work.is_none())
    });
    scene.sim.run_for(3 * MINUTE);
}

fn kind_is_selected(chosen: Deallocation, fact: &Fact) -> bool {
    match fact.kind() {
        ResourceKind::Instance => true,
        ResourceKind::Volume => chosen.should_delete_volumes,
        ResourceKind::Image => chosen.should_delete_images,
        // Those of an image stay as long as it does.
        ResourceKind::Snapshot => chosen.should_delete_snapshots && chosen.should_delete_images,
        ResourceKind::Interface => chosen.should_delete_network_interfaces,
    }
}

fn ids(scene: &Scene) -> BTreeSet<String> {
    scene.sim.cloud.resources(&scene.node).iter().map(|f| f.id().to_owned()).collect()
}

/// What is there of every kind: `true` if it is.
fn there(scene: &Scene, kind: ResourceKind) -> bool {
    scene.sim.cloud.resources(&scene.node).iter().any(|f| f.kind() == kind)
}

fn check_no_violation(scene: &Scene, what: &str) {
    let violations = scene.sim.cloud.violations();
    assert!(violations.is_empty(), "{what}: {violations:#?}\n{}", scene.sim.told());
    let broken = scene.sim.story.iter().find(|e| e.code == "invariant-broken");
    assert!(broken.is_none(), "{what}: {broken:?}\n{}", scene.sim.told());
}

/// The instance runs on with all that it holds, and nothing of it is ours any more.
fn check_let_go(scene: &Scene, instance: &str, what: &str) {
    let Some(Fact::Instance(fact)) = scene.sim.cloud.truly(instance) else {
        panic!("{what}: {instance} is gone\n{}", scene.sim.told())
    };
    assert_eq!(fact.state, InstanceState::Running, "{what}\n{}", scene.sim.told());
    let mut held: Vec<String> = fact.attachments.iter().map(|a| a.volume.0.clone()).collect();
    assert_eq!(held.len(), 3, "{what}: root and two data volumes");
    held.extend(fact.interface.iter().map(|i| i.0.clone()));
    held.push(instance.to_owned());
    for id in held {
        let fact = scene.sim.cloud.truly(&id).unwrap_or_else(|| panic!("{what}: {id} is gone"));
        assert_eq!(fact.tags().get(tags::NODE), None, "{what}: {id}");
        assert_eq!(fact.tags().get(tags::INSTALLATION), None, "{what}: {id}");
        assert_eq!(fact.tags().get(tags::RELEASED), Some(&scene.node.0), "{what}: {id}");
    }
}

fn play(moment: Moment, bits: u8) {
    let chosen = flags(bits);
    let what = format!("{moment:?}, {chosen:?}");
    let mut scene = at(moment, WHOLE);
    let holder = scene.sim.record(&scene.node).and_then(|r| r.instance.clone());
    give_up(&mut scene, chosen);
    let released = scene.sim.cloud.released(&scene.node);
    let let_go = !released.is_empty();
    assert!(!let_go || !chosen.should_terminate_instance, "{what}\n{}", scene.sim.told());
    match moment {
        Moment::Running => assert_eq!(let_go, !chosen.should_terminate_instance, "{what}"),
        Moment::Paused => assert!(!let_go, "{what}: there is no instance"),
        // If it was lost at that very moment, only what it held is there.
        Moment::Replaced(_) => {}
    }
    let instance = released.iter().find(|f| f.kind() == ResourceKind::Instance);
    let instance = instance.map(|f| f.id().to_owned());
    assert!(moment != Moment::Running || instance == holder.map(|h| h.id.0).filter(|_| let_go));
    // At once: what is selected is gone.
    for fact in scene.sim.cloud.resources(&scene.node) {
        assert!(
            !kind_is_selected(chosen, &fact),
            "{what}: {} is left\n{}",
            fact.id(),
            scene.sim.told()
        );
    }
    // The rest is there, to the last hour of its grace.
    if !let_go {
        assert_eq!(there(&scene, ResourceKind::Volume), !chosen.should_delete_volumes, "{what}");
        let kept = !chosen.should_delete_network_interfaces;
        assert_eq!(there(&scene, ResourceKind::Interface), kept, "{what}");
    }
    assert_eq!(there(&scene, ResourceKind::Image), !chosen.should_delete_images, "{what}");
    let kept = ids(&scene);
    scene.sim.run_for(GRACE - 10 * MINUTE);
    assert_eq!(ids(&scene), kept, "{what}: the grace is not over");
    if let Some(instance) = &instance {
        check_let_go(&scene, instance, &what);
    }
    check_no_violation(&scene, &what);
    // After it nothing is left, and nothing is remembered.
    let node = scene.node.clone();
    scene.sim.cloud.truth_mut().release(&node);
    let gone = scene.sim.run_until(HOUR, |s| s.record(&node).is_none());
    assert!(gone.is_ok(), "{what}: {gone:?}\n{}", scene.sim.told());
    assert_eq!(ids(&scene), BTreeSet::new(), "{what}");
    if let Some(instance) = &instance {
        scene.sim.run_for(HOUR);
        check_let_go(&scene, instance, &what);
    }
    check_no_violation(&scene, &what);
}

#[test]
fn every_flag_is_obeyed_while_the_node_runs() {
    (0..32).for_each(|bits| play(Moment::Running, bits));
}

#[test]
fn every_flag_is_obeyed_while_the_node_is_paused() {
    (0..32).for_each(|bits| play(Moment::Paused, bits));
}

#[test]
fn every_flag_is_obeyed_in_the_middle_of_a_replacement() {
    for bits in 0..32 {
        for step in 0..2 {
            play(Moment::Replaced(u64::from(bits % 4) * 20 + step * 80), bits);
        }
    }
}

fn undelete(scene: &mut Scene, accept_loss: bool) -> bool {
    let word = UserCommand::Undelete { id: scene.node.clone(), accept_loss };
    let number = scene.sim.say(word);
    scene.sim.run_for(MINUTE);
    scene.sim.answers.get(&number).expect("an answer").is_ok()
}

fn resume(scene: &mut Scene, shape: Shape) {
    let before = scene.generation();
    scene.wait("PAUSED", |s, n| {
        s.record(n).is_some_and(|r| r.status() == "PAUSED" && r.work.is_none())
    });
    scene.trigger(Kind::Resume, shape);
    scene.wait_for_end(Kind::Resume, before);
    scene.sim.run_for(2 * MINUTE);
}

#[test]
fn a_deletion_that_took_nothing_is_taken_back_with_every_write_and_the_address() {
    for shape in [WHOLE, SNAPSHOTS] {
        for moment in [Moment::Running, Moment::Paused, Moment::Replaced(40), Moment::Replaced(90)]
        {
            let mut scene = at(moment, shape);
            give_up(&mut scene, flags(16));
            scene.sim.run_for(GRACE - 20 * MINUTE);
            assert!(undelete(&mut scene, false), "{moment:?}\n{}", scene.sim.told());
            resume(&mut scene, shape);
            // What was kept is the node's again: no grace runs on.
            scene.sim.run_for(3 * GRACE);
            assert_eq!(scene.status(), "ACTIVE");
            scene.judge(Kind::Resume);
        }
    }
}

#[test]
fn what_an_overtaken_replacement_had_saved_is_kept_as_long_as_the_rest() {
    for seconds in (20..140).step_by(20) {
        let mut scene = at(Moment::Replaced(seconds), SNAPSHOTS);
        give_up(&mut scene, flags(16));
        assert!(undelete(&mut scene, false), "{seconds} s\n{}", scene.sim.told());
        resume(&mut scene, SNAPSHOTS);
        // What was made for nothing goes after its grace.
        scene.sim.run_for(3 * GRACE);
        scene.judge(Kind::Resume);
    }
}

#[test]
fn a_deletion_is_taken_back_at_any_moment_while_it_is_carried_out() {
    for terminate in [0, 16] {
        for moment in (0..150).step_by(10) {
            let mut scene = at(Moment::Running, WHOLE);
            let deallocation = flags(terminate);
            scene.sim.say(UserCommand::Delete { id: scene.node.clone(), deallocation });
            scene.sim.run_for(moment * SECOND);
            let done = undelete(&mut scene, false);
            if scene.sim.record(&scene.node).is_none_or(|r| r.lifecycle.is_handed_over()) {
                assert!(!done, "{moment} s");
                continue;
            }
            assert!(done, "{moment} s\n{}", scene.sim.told());
            resume(&mut scene, WHOLE);
            scene.judge(Kind::Resume);
        }
    }
}

#[test]
fn what_a_deletion_took_is_named_and_only_an_accepted_loss_brings_the_rest_back() {
    let mut refused = 0;
    for shape in [WHOLE, SNAPSHOTS] {
        for moment in [Moment::Running, Moment::Paused] {
            for bits in 16..32 {
                let chosen = flags(bits);
                let what = format!("{moment:?}, {chosen:?}");
                let mut scene = at(moment, shape);
                give_up(&mut scene, chosen);
                if scene.sim.record(&scene.node).is_none() {
                    continue;
                }
                let whole = undelete(&mut scene, false);
                if whole {
                    // Then nothing may be missing.
                    scene.expect(shape);
                } else {
                    refused += 1;
                    let before = scene.sim.record(&scene.node).unwrap();
                    assert!(before.lifecycle.is_deleted(), "{what}");
                    let node = scene.node.clone();
                    scene.sim.cloud.truth_mut().release(&node);
                    assert!(undelete(&mut scene, true), "{what}\n{}", scene.sim.told());
                }
                resume(&mut scene, shape);
                assert_eq!(scene.status(), "ACTIVE", "{what}\n{}", scene.sim.told());
                scene.judge(Kind::Resume);
            }
        }
    }
    assert!(refused > 10, "{refused}");
}

#[test]
fn what_was_let_go_cannot_be_brought_back() {
    let mut scene = at(Moment::Running, WHOLE);
    give_up(&mut scene, flags(0));
    assert!(!undelete(&mut scene, true));
    assert!(!undelete(&mut scene, false));
}

#[test]
fn what_another_installation_made_for_a_node_of_the_same_name_outlives_its_deletion() {
    let mut scene = at(Moment::Running, WHOLE);
    let mut tags = tags::Tags::new();
    tags.insert(tags::INSTALLATION.to_owned(), "another".to_owned());
    tags.insert(tags::NODE.to_owned(), scene.node.0.clone());
    let made = Command::CreateVolume {
        token: Token("theirs".to_owned()),
        zone: Zone::from("sim-1a"),
        size_gib: 1,
        snapshot: None,
        settings: serde_json::Map::new(),
        tags,
    };
    let reply = scene.sim.cloud.as_user(scene.sim.now, &made).unwrap();
    let theirs = reply.facts[0].id().to_owned();
    for bits in [31, 16] {
        scene.sim.run_for(2 * MINUTE);
        if scene.sim.record(&scene.node).is_some() {
            give_up(&mut scene, flags(bits));
        }
    }
    let node = scene.node.clone();
    scene.sim.cloud.truth_mut().release(&node);
    scene.sim.run_for(2 * GRACE);
    assert!(scene.sim.record(&node).is_none(), "{}", scene.sim.told());
    assert!(scene.sim.cloud.truly(&theirs).is_some(), "it is theirs\n{}", scene.sim.told());
    assert_eq!(ids(&scene), BTreeSet::from([theirs]));
}

fn volume_of(scene: &Scene, device: &str) -> VolumeId {
    let record = scene.sim.record(&scene.node).unwrap();
    match record.identity.data.iter().find(|d| d.device == device).map(|d| d.head.clone()) {
        Some(DataHead::Volume { id, .. }) => id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_volume_of_a_paused_node_is_deleted_and_the_rest_comes_back() {
    for shape in [WHOLE, SNAPSHOTS] {
        let mut scene = at(Moment::Running, shape);
        let volume = volume_of(&scene, "/dev/xvdb");
        let word = UserCommand::DeleteVolume { id: scene.node.clone(), volume: volume.clone() };
        let number = scene.sim.say(word.clone());
        scene.sim.run_for(MINUTE);
        assert!(scene.sim.answers.get(&number).unwrap().is_err(), "it is in use");
        scene.trigger(Kind::Pause, shape);
        scene.wait_for_end(Kind::Pause, 0);
        scene.sim.cloud.truth_mut().release(&scene.node.clone());
        scene.sim.say(word);
        let gone = |s: &holdfast_sim::Simulation| s.cloud.truly(volume.as_str()).is_none();
        scene.sim.run_until(10 * MINUTE, gone).expect("it is gone");
        scene.sim.run_for(HOUR);
        assert_eq!(scene.status(), "PAUSED");
        check_no_violation(&scene, "paused");
        // The root and the other volume must come back as they were.
        let node = scene.node.clone();
        scene.sim.cloud.truth_mut().expect(&node, ["/dev/xvda", "/dev/xvdc"]);
        resume(&mut scene, shape);
        assert_ne!(volume_of(&scene, "/dev/xvdb"), volume);
        scene.judge(Kind::Resume);
    }
}

#[test]
fn an_image_that_the_deletion_took_is_made_again_from_its_snapshot() {
    let mut scene = at(Moment::Paused, WHOLE);
    // Only images: the final snapshot of the root stays.
    give_up(&mut scene, flags(16 | 1));
    assert!(!there(&scene, ResourceKind::Image));
    assert!(undelete(&mut scene, false), "{}", scene.sim.told());
    resume(&mut scene, WHOLE);
    let holder = scene.sim.record(&scene.node).unwrap().instance.clone().unwrap();
    let launch = scene.sim.cloud.launch_of(&holder.id).unwrap();
    assert!(!["ami-sim", OTHER_IMAGE].contains(&launch.image.as_str()), "{}", launch.image);
    scene.judge(Kind::Resume);
}

#[test]
fn what_was_saved_while_the_node_ran_comes_back_where_its_volumes_are_gone() {
    for (shape, devices) in
        [(SNAPSHOTS, &["/dev/xvda", "/dev/xvdb", "/dev/xvdc"][..]), (WHOLE, &["/dev/xvda"][..])]
    {
        let mut scene = at(Moment::Running, shape);
        let written = |scene: &mut Scene| -> Vec<u64> {
            scene.sim.cloud.settle(scene.sim.now, &scene.node);
            let truth = scene.sim.cloud.truth();
            devices.iter().map(|device| truth.acknowledged(&scene.node, device)).collect()
        };
        let ended_with = written(&mut scene);
        let mut noted = Vec::new();
        for _ in 0..80 {
            scene.sim.run_for(15 * SECOND);
            noted.push((scene.sim.now, written(&mut scene)));
        }
        let record = scene.sim.record(&scene.node).unwrap();
        let newest = record.upkeep.sets.last().expect("it ran for twenty minutes").clone();
        assert_eq!(newest.generation, record.generations.number());
        let saved = noted.iter().rev().find(|(at, _)| *at <= newest.begun_at).unwrap().1.clone();
        give_up(&mut scene, flags(16 | 4));
        scene.expect(shape);
        assert!(!undelete(&mut scene, false), "what was written since is lost");
        let node = scene.node.clone();
        scene.sim.cloud.truth_mut().returns(&node);
        assert!(undelete(&mut scene, true), "{}", scene.sim.told());
        let told = scene.sim.told();
        let named = format!("of which a snapshot of generation {} is kept", newest.generation);
        assert_eq!(told.contains(&named), devices.len() > 1, "{told}");
        assert!(told.contains(&format!("the root, of which generation {}", newest.generation)));
        let before = scene.generation();
        scene.trigger(Kind::Resume, shape);
        scene.wait_for_end(Kind::Resume, before);
        // What a gate does not open on, was told as lost, and is not counted any more.
        let now = written(&mut scene);
        for (index, device) in devices.iter().enumerate() {
            assert!(saved[index] > ended_with[index] + 100, "{device}: it writes all the time");
            assert!(now[index] >= saved[index], "{device}: {now:?}, {saved:?} were saved");
        }
        scene.judge(Kind::Resume);
    }
}

#[test]
fn tags_that_cannot_be_taken_off_what_is_let_go_are_named_and_asked_for_no_longer() {
    let mut scene = at(Moment::Running, WHOLE);
    let refused = When::Matches(
        Arc::new(
            |c: &Command| matches!(c, Command::DeleteTags { resource, .. } if resource.starts_with("i-")),
        ),
        u32::MAX,
    );
    scene.sim.cloud.faults().add(refused, Fault::refused());
    let instance = scene.sim.record(&scene.node).unwrap().instance.clone().unwrap().id;
    scene.sim.say(UserCommand::Delete { id: scene.node.clone(), deallocation: flags(0) });
    scene.sim.run_for(3 * MINUTE);
    assert!(!scene.sim.told().contains("not-untagged"), "it is asked for again");
    scene.sim.run_for(30 * MINUTE);
    let told: Vec<&str> = scene
        .sim
        .story
        .iter()
        .filter(|e| e.code == "not-untagged")
        .map(|e| e.message.as_str())
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains(instance.as_str()), "{told:?}");
    let asked = scene.sim.calls.iter().filter(|c| **c == "DeleteTags").count();
    assert!((10..40).contains(&asked), "{asked}");
    let still = scene.sim.cloud.released(&scene.node);
    assert!(still.iter().any(|f| f.id() == instance.as_str()), "it runs on");
    // What is left of it for its grace goes, and the record with it.
    let node = scene.node.clone();
    scene.sim.cloud.truth_mut().release(&node);
    scene.sim.run_until(2 * GRACE, |s| s.record(&node).is_none()).expect("it is over");
    assert!(scene.sim.cloud.truly(instance.as_str()).is_some());
}
