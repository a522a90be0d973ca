//! Back to an earlier generation, and on to another image.

use crate::scene::{OTHER_IMAGE, SNAPSHOTS, Scene, WHOLE};
use holdfast_model::Kind;
use holdfast_model::facts::Fact;
use holdfast_model::record::{Record, RootHead};
use holdfast_model::time::{MINUTE, SECOND};
use holdfast_model::user::{Target, UserCommand};
use serde_json::json;
use std::sync::Arc;

fn record(scene: &Scene) -> Arc<Record> {
    scene.sim.record(&scene.node).expect("a node")
}

fn recycle(scene: &mut Scene) {
    let before = scene.generation();
    scene.trigger(Kind::Recycle, WHOLE);
    scene.wait_for_end(Kind::Recycle, before);
    scene.sim.run_for(2 * MINUTE);
}

fn roll_back(scene: &mut Scene, to: u64, data: Option<bool>) {
    let node = scene.node.clone();
    scene.sim.cloud.truth_mut().returns(&node);
    let to = Target::Generation(to);
    let word = scene.sim.say(UserCommand::Rollback { id: node, to, data });
    let before = scene.generation();
    scene.wait_for_end(Kind::Rollback, before);
    assert!(scene.sim.answers.get(&word).is_some_and(Result::is_ok));
}

/// The image that the instance runs from.
fn image_in_use(scene: &Scene) -> String {
    let holder = record(scene).instance.clone().expect("an instance");
    match scene.sim.cloud.truly(holder.id.as_str()) {
        Some(Fact::Instance(i)) => i.image.0.clone(),
        other => panic!("{other:?}"),
    }
}

fn image_of(scene: &Scene, generation: u64) -> String {
    let finals = record(scene).kept.final_snapshots.clone();
    let found = finals.iter().find(|f| f.generation == generation && f.of == "root");
    found.and_then(|f| f.image.clone()).expect("a root that is kept").0
}

#[test]
fn a_rollback_boots_the_generations_root_and_can_be_taken_back() {
    let mut scene = Scene::serving(31, WHOLE);
    recycle(&mut scene);
    recycle(&mut scene);
    let (first, now) = (image_of(&scene, 1), scene.generation());
    roll_back(&mut scene, 1, None);
    assert_eq!(image_in_use(&scene), first);
    let given_up = image_of(&scene, now);
    roll_back(&mut scene, now, None);
    assert_eq!(image_in_use(&scene), given_up, "what gave way had been kept");
    scene.judge(Kind::Rollback);
}

#[test]
fn a_rollback_of_data_in_snapshots_brings_the_data_back_too() {
    let mut scene = Scene::serving(32, SNAPSHOTS);
    recycle(&mut scene);
    let finals = record(&scene).kept.final_snapshots.clone();
    let wanted = finals.iter().find(|f| f.generation == 1 && f.of == "/dev/xvdb").expect("it");
    roll_back(&mut scene, 1, None);
    let volume = scene.sim.cloud.resources(&scene.node).into_iter().find_map(|fact| match fact {
        Fact::Volume(v) if v.snapshot.as_ref() == Some(&wanted.snapshot) => Some(v),
        _ => None,
    });
    assert!(volume.is_some_and(|v| v.attached_to.is_some()), "restored from {wanted:?}");
    scene.judge(Kind::Rollback);
}

#[test]
fn a_rollback_to_what_is_not_kept_is_refused_and_says_what_is() {
    let mut scene = Scene::serving(33, WHOLE);
    recycle(&mut scene);
    let (to, id) = (Target::Generation(9), scene.node.clone());
    let word = scene.sim.say(UserCommand::Rollback { id, to, data: None });
    scene.sim.run_for(10 * SECOND);
    let answer = scene.sim.answers.get(&word).expect("an answer");
    let why = format!("{:?}", answer.as_ref().expect_err("refused"));
    assert!(why.contains("generation 9") && why.contains("kept: 1"), "{why}");
    let (to, id) = (Target::Generation(1), scene.node.clone());
    let word = scene.sim.say(UserCommand::Rollback { id, to, data: Some(true) });
    scene.sim.run_for(10 * SECOND);
    let answer = scene.sim.answers.get(&word).expect("an answer");
    let why = format!("{:?}", answer.as_ref().expect_err("reattached data has no snapshot"));
    assert!(why.contains("/dev/xvdb"), "{why}");
    scene.judge(Kind::Recycle);
}

#[test]
fn a_rollback_said_at_any_moment_of_a_replacement_ends_in_that_generation() {
    for moment in (0..240).step_by(8) {
        let mut scene = Scene::serving(34, WHOLE);
        recycle(&mut scene);
        let wanted = image_of(&scene, 1);
        scene.trigger(Kind::Lost, WHOLE);
        scene.sim.run_for(moment * SECOND);
        let id = scene.node.clone();
        scene.sim.cloud.truth_mut().returns(&id);
        let to = Target::Generation(1);
        scene.sim.say(UserCommand::Rollback { id, to, data: None });
        scene.wait("rolled back and ACTIVE", |s, n| {
            s.record(n).is_some_and(|r| {
                let done = r.memory.history.last().is_some_and(|h| h.kind == Kind::Rollback);
                r.status() == "ACTIVE" && done && r.identity.rollback.is_none()
            })
        });
        assert_eq!(image_in_use(&scene), wanted, "said after {moment} s");
        scene.judge(Kind::Rollback);
    }
}

#[test]
fn another_image_in_the_spec_begins_the_root_anew_and_the_old_one_is_kept_to_roll_back_to() {
    let mut scene = Scene::serving(35, WHOLE);
    recycle(&mut scene);
    let other = OTHER_IMAGE;
    let patch = json!({"compute": {"launchSpecification": {"imageId": other}}});
    scene.sim.say(UserCommand::Update { id: scene.node.clone(), patch });
    scene.sim.run_for(MINUTE);
    let node = scene.node.clone();
    scene.sim.cloud.truth_mut().returns(&node);
    recycle(&mut scene);
    assert_eq!(image_in_use(&scene), other);
    assert!(scene.sim.story.iter().any(|e| e.code == "image-changed"));
    let RootHead::Live { origin, .. } = record(&scene).identity.root.clone() else {
        panic!("it serves")
    };
    assert_eq!(origin.expect("known").0, other);
    // From now on it is a root like any other.
    recycle(&mut scene);
    assert_ne!(image_in_use(&scene), other);
    let old = image_of(&scene, 2);
    roll_back(&mut scene, 2, None);
    assert_eq!(image_in_use(&scene), old);
    recycle(&mut scene);
    let RootHead::Live { origin, .. } = record(&scene).identity.root.clone() else {
        panic!("it serves")
    };
    assert_ne!(origin.expect("known").0, other, "it is registered like the image it began with");
    scene.judge(Kind::Recycle);
}

#[test]
fn what_gives_way_to_an_earlier_generation_is_saved_first_and_set_aside_and_nothing_else_is() {
    let mut scene = Scene::serving(36, SNAPSHOTS);
    recycle(&mut scene);
    let now = scene.generation();
    roll_back(&mut scene, 1, None);
    let finals = record(&scene).kept.final_snapshots.clone();
    let of = |generation: u64, aside: bool| -> Vec<String> {
        let of = finals.iter().filter(|f| f.generation == generation && f.set_aside == aside);
        let mut of: Vec<String> = of.map(|f| f.of.clone()).collect();
        of.sort();
        of
    };
    let all = ["/dev/xvdb", "/dev/xvdc", "root"];
    assert_eq!((of(now, true), of(now, false)), (all.map(str::to_owned).into(), Vec::new()));
    assert_eq!((of(1, false), of(1, true)), (all.map(str::to_owned).into(), Vec::new()));
    scene.judge(Kind::Rollback);
}
