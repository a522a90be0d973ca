//! Volumes that a user attaches to a node that runs.

use crate::scene::{ROAMING, SNAPSHOTS, Scene, Shape, WHOLE};
use holdfast_model::facts::Fact;
use holdfast_model::record::DataHead;
use holdfast_model::time::{HOUR, MINUTE};
use holdfast_model::user::{Deallocation, Target, UserCommand};
use holdfast_model::{Command, InstanceId, Kind, Token, VolumeId, Zone, tags};
use serde_json::{Map, json};

const DEVICE: &str = "/dev/xvdf";

fn zone(scene: &Scene) -> Zone {
    scene.sim.record(&scene.node).unwrap().instance.clone().unwrap().market.zone
}

fn holder(scene: &Scene) -> InstanceId {
    scene.sim.record(&scene.node).unwrap().instance.clone().unwrap().id
}

fn as_user(scene: &mut Scene, command: &Command) {
    let now = scene.sim.now;
    scene.sim.cloud.as_user(now, command).unwrap();
}

/// A volume of the user's own in a zone.
fn volume(scene: &mut Scene, token: &str, tags: tags::Tags) -> VolumeId {
    let command = Command::CreateVolume {
        token: Token::from(token),
        zone: zone(scene),
        size_gib: 7,
        snapshot: None,
        settings: Map::new(),
        tags,
    };
    let now = scene.sim.now;
    let reply = scene.sim.cloud.as_user(now, &command).unwrap();
    scene.sim.run_for(MINUTE);
    VolumeId(reply.facts[0].id().to_owned())
}

fn attach(scene: &mut Scene, volume: &VolumeId) {
    let (volume, instance) = (volume.clone(), holder(scene));
    as_user(scene, &Command::AttachVolume { volume, instance, device: DEVICE.to_owned() });
    scene.sim.run_for(3 * MINUTE);
}

fn detach(scene: &mut Scene, volume: &VolumeId) {
    let (volume, instance) = (volume.clone(), holder(scene));
    as_user(scene, &Command::DetachVolume { volume, instance });
    scene.sim.run_for(3 * MINUTE);
}

/// The volume that the node has under the device, if it has one.
fn head(scene: &Scene) -> Option<VolumeId> {
    let record = scene.sim.record(&scene.node).unwrap();
    record.identity.data.iter().find(|d| d.device == DEVICE).and_then(|d| match &d.head {
        DataHead::Volume { id, .. } => Some(id.clone()),
        DataHead::Fresh => None,
    })
}

fn tags_of(scene: &Scene, volume: &VolumeId) -> tags::Tags {
    scene.sim.cloud.truly(volume.as_str()).unwrap().tags().clone()
}

/// A node that serves, with a user's volume that has joined it and been written to.
fn joined(seed: u64, shape: Shape) -> (Scene, VolumeId) {
    let mut scene = Scene::serving(seed, shape);
    let id = volume(&mut scene, "mine", tags::Tags::new());
    attach(&mut scene, &id);
    assert_eq!(head(&scene).as_ref(), Some(&id), "{}", scene.sim.told());
    assert!(scene.sim.story.iter().any(|e| e.code == "volume-joined"));
    let kept: Vec<&str> = shape.kept().chain([DEVICE]).collect();
    scene.sim.cloud.truth_mut().expect(&scene.node, kept);
    replace(&mut scene, Kind::Recycle, shape);
    scene.sim.run_for(2 * MINUTE);
    scene.sim.cloud.settle(scene.sim.now, &scene.node);
    let acknowledged = scene.sim.cloud.truth().acknowledged(&scene.node, DEVICE);
    assert!(acknowledged > 0, "the workload writes to it");
    (scene, id)
}

fn replace(scene: &mut Scene, kind: Kind, shape: Shape) {
    let before = scene.generation();
    scene.trigger(kind, shape);
    scene.wait_for_end(kind, before);
}

#[test]
fn a_volume_that_a_user_attached_comes_along_through_every_kind_of_replacement() {
    for shape in [WHOLE, ROAMING, SNAPSHOTS] {
        for kind in [Kind::Notice, Kind::Lost, Kind::Unhealthy, Kind::Recycle] {
            let (mut scene, _) = joined(1, shape);
            replace(&mut scene, kind, shape);
            scene.judge(kind);
            assert!(head(&scene).is_some());
        }
        let (mut scene, _) = joined(2, shape);
        replace(&mut scene, Kind::Pause, shape);
        replace(&mut scene, Kind::Resume, shape);
        scene.judge(Kind::Resume);
    }
}

#[test]
fn it_moves_to_another_zone_with_what_is_on_it() {
    let (mut scene, id) = joined(3, ROAMING);
    let home = zone(&scene);
    scene.drought(None, Some(home.as_str()), true);
    replace(&mut scene, Kind::Lost, ROAMING);
    assert_ne!(zone(&scene), home);
    let now = head(&scene).unwrap();
    assert_ne!(now, id);
    match scene.sim.cloud.truly(now.as_str()) {
        Some(Fact::Volume(v)) => assert_eq!(v.size_gib, 7),
        other => panic!("{other:?}"),
    }
    scene.judge(Kind::Lost);
}

#[test]
fn with_reattach_it_is_the_same_volume_with_its_device_name_and_our_tags() {
    let (mut scene, id) = joined(4, WHOLE);
    replace(&mut scene, Kind::Lost, WHOLE);
    match scene.sim.cloud.truly(id.as_str()) {
        Some(Fact::Volume(v)) => {
            assert_eq!(v.attached_to, Some((holder(&scene), DEVICE.to_owned())));
            assert_eq!(v.tags.get(tags::NODE), Some(&scene.node.0));
        }
        other => panic!("{other:?}"),
    }
    scene.judge(Kind::Lost);
}

#[test]
fn a_volume_that_its_user_takes_away_is_theirs_again_and_is_never_deleted() {
    let (mut scene, id) = joined(5, WHOLE);
    scene.sim.cloud.truth_mut().expect(&scene.node, WHOLE.kept());
    detach(&mut scene, &id);
    assert_eq!(head(&scene), None, "{}", scene.sim.told());
    assert!(scene.sim.story.iter().any(|e| e.code == "volume-left"));
    replace(&mut scene, Kind::Recycle, WHOLE);
    scene.sim.run_for(5 * MINUTE);
    assert!(!tags_of(&scene, &id).contains_key(tags::NODE), "our tags come off");
    scene.judge(Kind::Recycle);
    scene.trigger(Kind::Delete, WHOLE);
    scene.wait_for_end(Kind::Delete, 0);
    assert!(scene.sim.cloud.truly(id.as_str()).is_some(), "it is its user's");
}

#[test]
fn one_that_was_taken_away_outlives_its_node_though_it_carries_our_tags_still() {
    let (mut scene, id) = joined(6, WHOLE);
    scene.sim.cloud.truth_mut().expect(&scene.node, WHOLE.kept());
    detach(&mut scene, &id);
    assert!(tags_of(&scene, &id).contains_key(tags::NODE));
    scene.trigger(Kind::Delete, WHOLE);
    scene.wait_for_end(Kind::Delete, 0);
    assert!(!tags_of(&scene, &id).contains_key(tags::NODE));
}

#[test]
fn one_that_joined_goes_with_its_node_when_its_volumes_do() {
    let (mut scene, id) = joined(7, WHOLE);
    let node = scene.node.clone();
    scene.sim.cloud.truth_mut().release(&node);
    let deallocation = Deallocation { should_terminate_instance: true, ..Deallocation::default() };
    scene.sim.say(UserCommand::Delete { id: node.clone(), deallocation });
    scene.wait("deallocated", |s, n| s.record(n).is_some_and(|r| r.status() == "DEALLOCATED"));
    assert!(scene.sim.cloud.truly(id.as_str()).is_some(), "it is kept for its grace");
    let gone = scene.sim.run_until(100 * HOUR, |s| s.record(&node).is_none());
    assert!(gone.is_ok(), "{gone:?}");
    assert!(scene.sim.cloud.truly(id.as_str()).is_none());
}

#[test]
fn a_volume_of_another_node_or_installation_is_never_taken() {
    for (key, value) in [(tags::NODE, "smi-0000beef"), (tags::INSTALLATION, "somebody")] {
        let mut scene = Scene::serving(8, WHOLE);
        let mut theirs = tags::Tags::from([(tags::NODE.to_owned(), scene.node.0.clone())]);
        theirs.insert(tags::INSTALLATION.to_owned(), "0123abcd".to_owned());
        theirs.insert(key.to_owned(), value.to_owned());
        let id = volume(&mut scene, "theirs", theirs.clone());
        attach(&mut scene, &id);
        assert_eq!(head(&scene), None);
        replace(&mut scene, Kind::Recycle, WHOLE);
        scene.sim.run_for(3 * MINUTE);
        match scene.sim.cloud.truly(id.as_str()) {
            Some(Fact::Volume(v)) => assert_eq!((&v.attached_to, &v.tags), (&None, &theirs)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn where_no_data_is_kept_a_users_volume_stays_its_users() {
    let shape = Shape { data: None, ..WHOLE };
    let mut scene = Scene::serving(9, shape);
    let id = volume(&mut scene, "mine", tags::Tags::new());
    attach(&mut scene, &id);
    assert_eq!(head(&scene), None);
    replace(&mut scene, Kind::Recycle, shape);
    scene.judge(Kind::Recycle);
    assert!(scene.sim.cloud.truly(id.as_str()).is_some());
    // Turned off later, what had joined is let go, with what is on it.
    let (mut scene, id) = joined(10, WHOLE);
    let patch = json!({"persistence": {"persistBlockDevices": false}});
    scene.sim.say(UserCommand::Update { id: scene.node.clone(), patch });
    scene.expect(shape);
    replace(&mut scene, Kind::Recycle, shape);
    scene.sim.run_for(3 * MINUTE);
    assert_eq!(head(&scene), None);
    assert!(!tags_of(&scene, &id).contains_key(tags::NODE));
}

#[test]
fn a_controller_that_died_meanwhile_finds_it_on_the_instance() {
    let mut scene = Scene::serving(11, WHOLE);
    let id = volume(&mut scene, "mine", tags::Tags::new());
    let (volume, instance) = (id.clone(), holder(&scene));
    as_user(&mut scene, &Command::AttachVolume { volume, instance, device: DEVICE.to_owned() });
    scene.sim.kill_controller();
    scene.sim.run_for(5 * MINUTE);
    assert_eq!(head(&scene), Some(id.clone()), "{}", scene.sim.told());
    // It joined and carries no tags yet; another death and a loss.
    scene.sim.kill_controller();
    let before = scene.generation();
    scene.trigger(Kind::Lost, WHOLE);
    scene.wait_for_end(Kind::Lost, before);
    assert_eq!(head(&scene), Some(id));
    scene.judge(Kind::Lost);
}

#[test]
fn a_rollback_with_data_takes_it_back_too_and_names_what_was_not_saved_then() {
    let (mut scene, _) = joined(12, SNAPSHOTS);
    let saved = scene.sim.record(&scene.node).unwrap();
    let to = saved.generations.number() - 1;
    let wanted = saved.kept.final_snapshots.iter().find(|f| f.generation == to && f.of == DEVICE);
    let wanted = wanted.expect("it was saved when that generation ended").snapshot.clone();
    // Another one joins, of which nothing was saved then.
    let other = volume(&mut scene, "later", tags::Tags::new());
    let (volume, instance) = (other.clone(), holder(&scene));
    let device = "/dev/xvdg".to_owned();
    as_user(&mut scene, &Command::AttachVolume { volume, instance, device });
    scene.sim.run_for(3 * MINUTE);
    let node = scene.node.clone();
    scene.sim.cloud.truth_mut().returns(&node);
    let (before, to) = (scene.generation(), Target::Generation(to));
    let word = scene.sim.say(UserCommand::Rollback { id: node, to, data: Some(true) });
    scene.wait_for_end(Kind::Rollback, before);
    assert!(scene.sim.answers.get(&word).is_some_and(Result::is_ok));
    let head = head(&scene).unwrap();
    match scene.sim.cloud.truly(head.as_str()) {
        Some(Fact::Volume(v)) => assert_eq!(v.snapshot, Some(wanted), "{}", scene.sim.told()),
        fact => panic!("{fact:?}"),
    }
    let told = scene.sim.story.iter().find(|e| e.code == "rollback").unwrap();
    assert!(told.message.contains("/dev/xvdf"), "{}", told.message);
    assert!(told.message.contains("/dev/xvdg stays at its newest content"), "{}", told.message);
    scene.judge(Kind::Rollback);
}

#[test]
fn what_was_saved_under_its_device_name_before_it_joined_is_not_put_in_its_place() {
    let (mut scene, first) = joined(13, SNAPSHOTS);
    let to = scene.generation() - 1;
    let now = head(&scene).unwrap();
    assert_ne!(now, first, "it travels as a snapshot");
    scene.sim.cloud.truth_mut().expect(&scene.node, SNAPSHOTS.kept());
    detach(&mut scene, &now);
    let second = volume(&mut scene, "second", tags::Tags::new());
    attach(&mut scene, &second);
    assert_eq!(head(&scene).as_ref(), Some(&second), "{}", scene.sim.told());
    let node = scene.node.clone();
    scene.sim.cloud.truth_mut().returns(&node);
    let before = scene.generation();
    let to = Target::Generation(to);
    scene.sim.say(UserCommand::Rollback { id: node, to, data: Some(true) });
    scene.wait_for_end(Kind::Rollback, before);
    let told = scene.sim.story.iter().find(|e| e.code == "rollback").unwrap();
    assert!(told.message.contains("/dev/xvdf stays at its newest content"), "{}", told.message);
    scene.judge(Kind::Rollback);
}
