//! What EC2 does that no fault does: limits, and answers that come too late to be of use.

use crate::scene::{ROAMING, SNAPSHOTS, Scene, Shape, WHOLE};
use holdfast_cloud_sim::{Fault, When};
use holdfast_model::facts::{Fact, InstanceState};
use holdfast_model::record::DataHead;
use holdfast_model::tags::{self, MAX_TAGS, Tags};
use holdfast_model::time::{HOUR, MINUTE, SECOND};
use holdfast_model::user::UserCommand;
use holdfast_model::{Command, InstanceId, Kind, Token, VolumeId};
use serde_json::{Map, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The newest instance of the node, if it is another one than `than`.
fn newest(scene: &Scene, than: &InstanceId) -> Option<InstanceId> {
    scene.sim.cloud.living(&scene.node).into_iter().find(|id| id != than)
}

/// Loses the instance, and every answer from the moment when the next one is launched until that
/// has been lost too and is terminated, so that the launch is repeated after its instance's end.
fn lose_the_answer_and_its_instance(seed: u64, shape: Shape, runs: bool, shown: u64) {
    let mut scene = Scene::serving(seed, shape);
    scene.sim.cloud.config().terminated_shown = shown;
    let before = scene.generation();
    let old = scene.sim.record(&scene.node).unwrap().instance.clone().unwrap().id;
    let losing = Arc::new(AtomicBool::new(true));
    let lost = Arc::clone(&losing);
    let launches = move |c: &Command| c.action() == "RunInstances" && lost.load(Relaxed);
    let answers = When::Matches(Arc::new(launches), u32::MAX);
    scene.sim.cloud.faults().add(answers, Fault::LostReply);
    scene.trigger(Kind::Lost, shape);
    let first = old.clone();
    scene.wait("launched", |s, node| s.cloud.living(node).iter().any(|id| id != &first));
    let next = newest(&scene, &old).expect("it was launched");
    if runs {
        scene.wait("running", |s, _| {
            matches!(s.cloud.truly(next.as_str()),
                Some(Fact::Instance(i)) if i.state == InstanceState::Running)
        });
    }
    let now = scene.sim.now;
    scene.sim.cloud.kill(now, &next);
    scene.wait("terminated", |s, _| match s.cloud.truly(next.as_str()) {
        Some(Fact::Instance(i)) => i.state == InstanceState::Terminated,
        _ => true,
    });
    scene.sim.run_for(20 * SECOND);
    losing.store(false, Relaxed);
    scene.wait_for_end(Kind::Lost, before);
    // Where the root is not kept it may have stood by: nothing of the node was in it.
    let lost = scene.sim.story.iter().any(|e| e.code == "launch-lost");
    assert!(lost || !shape.root, "{}", scene.sim.told());
    scene.judge(Kind::Lost);
    scene.sim.run_for(HOUR);
    scene.judge(Kind::Lost);
    assert!(
        scene.sim.story.iter().all(|e| e.code != "needs-decision"),
        "seed {seed}: {}",
        scene.sim.told()
    );
}

#[test]
fn a_launch_whose_instance_ended_before_its_answer_came_is_a_loss_and_nothing_is_left_behind() {
    for seed in 1..=3 {
        for shape in [WHOLE, ROAMING, SNAPSHOTS] {
            for runs in [true, false] {
                lose_the_answer_and_its_instance(seed, shape, runs, HOUR);
            }
        }
    }
}

#[test]
fn a_launch_whose_instance_is_not_even_shown_any_more_leaves_its_root_to_the_next_one() {
    for seed in 1..=3 {
        for shape in [WHOLE, ROAMING, SNAPSHOTS] {
            for runs in [true, false] {
                lose_the_answer_and_its_instance(seed, shape, runs, 0);
            }
        }
    }
}

#[test]
fn a_region_that_holds_no_more_snapshots_delays_a_node_and_it_says_so() {
    let mut scene = Scene::serving(4, WHOLE);
    let before = scene.generation();
    scene.sim.cloud.config().snapshots_at_most = 0;
    scene.trigger(Kind::Lost, WHOLE);
    scene.sim.run_for(HOUR);
    assert_eq!(scene.generation(), before);
    assert_ne!(scene.status(), "ERROR", "{}", scene.sim.told());
    let told = scene.sim.told();
    assert!(told.contains("SnapshotLimitExceeded"), "{told}");
    scene.sim.cloud.config().snapshots_at_most = 100_000;
    scene.wait_for_end(Kind::Lost, before);
    scene.judge(Kind::Lost);
}

fn many(count: usize) -> Tags {
    (0..count).map(|n| (format!("key-{n}"), "value".to_owned())).collect::<Tags>()
}

/// A user's volume with so many tags, attached to a node that serves.
fn with_a_volume(seed: u64, count: usize) -> (Scene, VolumeId) {
    let mut scene = Scene::serving(seed, WHOLE);
    let holder = scene.sim.record(&scene.node).unwrap().instance.clone().unwrap();
    let make = Command::CreateVolume {
        token: Token::from("mine"),
        zone: holder.market.zone.clone(),
        size_gib: 7,
        snapshot: None,
        settings: Map::new(),
        tags: many(count),
    };
    let now = scene.sim.now;
    let reply = scene.sim.cloud.as_user(now, &make).unwrap();
    let volume = VolumeId(reply.facts[0].id().to_owned());
    scene.sim.run_for(MINUTE);
    let now = scene.sim.now;
    let (to, device) = (holder.id, "/dev/xvdf".to_owned());
    let attach = Command::AttachVolume { volume: volume.clone(), instance: to, device };
    scene.sim.cloud.as_user(now, &attach).unwrap();
    scene.sim.run_for(3 * MINUTE);
    (scene, volume)
}

fn has(scene: &Scene, volume: &VolumeId) -> bool {
    let record = scene.sim.record(&scene.node).unwrap();
    record
        .identity
        .data
        .iter()
        .any(|d| matches!(&d.head, DataHead::Volume { id, .. } if id == volume))
}

#[test]
fn a_users_volume_without_room_for_the_nodes_tags_stays_its_users_and_stops_no_replacement() {
    let (mut scene, volume) = with_a_volume(5, MAX_TAGS - 4);
    let before = scene.generation();
    scene.trigger(Kind::Recycle, WHOLE);
    scene.wait_for_end(Kind::Recycle, before);
    scene.judge(Kind::Recycle);
    assert!(!has(&scene, &volume), "{}", scene.sim.told());
    assert_eq!(scene.sim.cloud.truly(volume.as_str()).unwrap().tags().len(), MAX_TAGS - 4);

    let (mut scene, volume) = with_a_volume(6, MAX_TAGS - 6);
    let kept: Vec<&str> = WHOLE.kept().chain(["/dev/xvdf"]).collect();
    scene.sim.cloud.truth_mut().expect(&scene.node, kept);
    let before = scene.generation();
    scene.trigger(Kind::Recycle, WHOLE);
    scene.wait_for_end(Kind::Recycle, before);
    scene.judge(Kind::Recycle);
    assert!(has(&scene, &volume), "there is room for ours: {}", scene.sim.told());
    assert_eq!(scene.sim.cloud.truly(volume.as_str()).unwrap().tags().len(), MAX_TAGS);
}

#[test]
fn a_node_with_as_many_tags_as_a_user_may_give_is_replaced_paused_and_given_up() {
    let user: Vec<_> = (0..tags::MAX_USER_TAGS)
        .map(|n| json!({"tagKey": format!("key-{n}"), "tagValue": "value"}))
        .collect();
    let mut scene = Scene::serving(7, WHOLE);
    let patch = json!({"compute": {"launchSpecification": {"tags": user}}});
    scene.sim.say(UserCommand::Update { id: scene.node.clone(), patch });
    scene.sim.run_for(MINUTE);
    for kind in [Kind::Recycle, Kind::Lost, Kind::Pause, Kind::Resume] {
        let before = scene.generation();
        scene.trigger(kind, WHOLE);
        scene.wait_for_end(kind, before);
        scene.judge(kind);
    }
    let holder = scene.sim.record(&scene.node).unwrap().instance.clone().unwrap().id;
    let shown = scene.sim.cloud.truly(holder.as_str()).unwrap().tags().len();
    assert_eq!(shown, MAX_TAGS, "all of the user's and ours");
    scene.trigger(Kind::Delete, WHOLE);
    scene.wait_for_end(Kind::Delete, 0);
    scene.judge(Kind::Delete);
}
