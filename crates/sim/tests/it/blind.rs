//! A controller that sees nothing for hours, and then sees again.

use crate::scene::{LIGHT, Scene, WHOLE};
use holdfast_cloud_sim::Class;
use holdfast_controller::Input;
use holdfast_model::record::RootHead;
use holdfast_model::time::{HOUR, MINUTE, SECOND};
use holdfast_model::user::UserCommand;
use holdfast_model::{InstanceId, NodeId};

/// Longer than what has vanished is remembered by the controller.
const HIDDEN: u64 = 5 * HOUR / 2;

/// Nodes that serve.
fn fleet(seed: u64, count: usize) -> (Scene, Vec<NodeId>) {
    let mut scene = Scene::serving(seed, WHOLE);
    let mut nodes = vec![scene.node.clone()];
    for number in 2..=count {
        scene.node = NodeId(format!("smi-0000000{number}"));
        scene.expect(WHOLE);
        scene.create(WHOLE);
        scene.wait("ACTIVE", |s, n| s.record(n).is_some_and(|r| r.status() == "ACTIVE"));
        nodes.push(scene.node.clone());
    }
    scene.sim.run_for(5 * MINUTE);
    (scene, nodes)
}

fn holders(scene: &Scene, nodes: &[NodeId]) -> Vec<(InstanceId, u64, &'static str)> {
    let of = |node: &NodeId| {
        let record = scene.sim.record(node).unwrap();
        (record.instance.clone().unwrap().id, record.generations.number(), record.status())
    };
    nodes.iter().map(of).collect()
}

fn judge_all(mut scene: Scene, nodes: Vec<NodeId>) {
    for node in nodes {
        scene.node = node;
        scene.judge(holdfast_model::Kind::Recycle);
    }
}

#[test]
fn a_fleet_that_was_blind_for_hours_thaws_by_itself_and_no_node_is_replaced() {
    for restarts in [false, true] {
        let (mut scene, nodes) = fleet(51, 5);
        let before = holders(&scene, &nodes);
        scene.sim.cloud.config().blind = true;
        scene.sim.run_for(HIDDEN / 2);
        assert!(scene.sim.fleet().frozen().is_some(), "{}", scene.sim.told());
        if restarts {
            scene.sim.kill_controller();
        }
        scene.sim.run_for(HIDDEN / 2);
        assert!(scene.sim.fleet().frozen().is_some());
        scene.sim.cloud.config().blind = false;
        scene.sim.run_for(3 * MINUTE);
        assert_eq!(scene.sim.fleet().frozen(), None, "restarts: {restarts}");
        // A person who is used to it says so as well.
        scene.sim.order(Input::Thaw);
        scene.sim.run_for(HOUR);
        assert_eq!(holders(&scene, &nodes), before, "{}", scene.sim.told());
        judge_all(scene, nodes);
    }
}

#[test]
fn the_freeze_is_not_lifted_before_everything_was_looked_at_again() {
    let (mut scene, nodes) = fleet(52, 5);
    let before = holders(&scene, &nodes);
    scene.sim.cloud.config().blind = true;
    scene.sim.run_for(HIDDEN);
    // Instances show again, and volumes do not yet.
    scene.sim.cloud.config().blind = false;
    let now = scene.sim.now;
    for node in &nodes {
        for fact in scene.sim.cloud.resources(node) {
            if fact.id().starts_with("vol-") {
                scene.sim.cloud.hide(now, fact.id(), now.plus(20 * MINUTE));
            }
        }
    }
    scene.sim.run_for(10 * MINUTE);
    assert!(scene.sim.fleet().frozen().is_some(), "{}", scene.sim.told());
    scene.sim.run_for(15 * MINUTE);
    assert_eq!(scene.sim.fleet().frozen(), None, "{}", scene.sim.told());
    assert_eq!(holders(&scene, &nodes), before);
    judge_all(scene, nodes);
}

#[test]
fn a_fleet_whose_looks_fail_for_hours_goes_on_as_if_nothing_had_been() {
    let (mut scene, nodes) = fleet(53, 5);
    let before = holders(&scene, &nodes);
    scene.sim.cloud.faults().set(Class::LostDescribe, 1_000_000);
    scene.sim.run_for(HIDDEN);
    scene.sim.cloud.faults().stop();
    scene.sim.run_for(HOUR);
    assert_eq!(scene.sim.fleet().frozen(), None);
    assert_eq!(holders(&scene, &nodes), before, "{}", scene.sim.told());
    judge_all(scene, nodes);
}

#[test]
fn a_node_too_small_to_freeze_for_serves_on_when_it_shows_again() {
    for shape in [WHOLE, LIGHT] {
        let mut scene = Scene::serving(54, shape);
        let nodes = vec![scene.node.clone()];
        let before = holders(&scene, &nodes);
        scene.sim.cloud.config().blind = true;
        scene.sim.run_for(HIDDEN);
        scene.sim.cloud.config().blind = false;
        scene.sim.run_for(10 * SECOND + 5 * MINUTE);
        assert_eq!(holders(&scene, &nodes), before, "{}", scene.sim.told());
        judge_all(scene, nodes);
    }
}

#[test]
fn what_shows_of_another_kind_is_no_reason_to_believe_that_all_of_one_kind_is_gone() {
    let (mut scene, nodes) = fleet(55, 4);
    let before = holders(&scene, &nodes);
    let now = scene.sim.now;
    for (holder, _, _) in &before {
        scene.sim.cloud.hide(now, holder.as_str(), now.plus(10 * MINUTE));
    }
    scene.sim.run_for(30 * SECOND);
    assert!(scene.sim.fleet().frozen().is_some(), "{}", scene.sim.told());
    scene.sim.run_for(20 * MINUTE);
    assert_eq!(scene.sim.fleet().frozen(), None);
    assert_eq!(holders(&scene, &nodes), before, "{}", scene.sim.told());
    judge_all(scene, nodes);
}

#[test]
fn a_single_image_that_does_not_come_back_keeps_no_fleet_frozen() {
    let (mut scene, nodes) = fleet(56, 5);
    scene.sim.say(UserCommand::Pause(nodes[4].clone()));
    scene.wait("PAUSED", |s, node| s.record(node).is_some_and(|r| r.status() == "PAUSED"));
    scene.sim.run_for(5 * MINUTE);
    let root = scene.sim.record(&nodes[4]).unwrap().identity.root.clone();
    let RootHead::Captured { image, .. } = root else { panic!("{root:?}") };
    scene.sim.cloud.config().blind = true;
    scene.sim.run_for(10 * MINUTE);
    assert!(scene.sim.fleet().frozen().is_some(), "{}", scene.sim.told());
    let now = scene.sim.now;
    scene.sim.cloud.delete_behind(now, image.as_str());
    scene.sim.cloud.config().blind = false;
    scene.sim.run_for(10 * MINUTE);
    assert_eq!(scene.sim.fleet().frozen(), None, "it is the only image, and all else shows");
}
