//! Words at awkward moments.

use crate::scene::{ROAMING, Scene, WHOLE};
use holdfast_model::time::{HOUR, MINUTE, SECOND};
use holdfast_model::user::{Deallocation, UserCommand};
use holdfast_model::{Kind, Lifecycle};
use serde_json::json;

#[test]
fn a_second_recycle_during_a_recycle_joins_it() {
    let mut scene = Scene::serving(1, WHOLE);
    let before = scene.generation();
    scene.trigger(Kind::Recycle, WHOLE);
    scene.sim.run_for(10 * SECOND);
    scene.trigger(Kind::Recycle, WHOLE);
    scene.wait_for_end(Kind::Recycle, before);
    scene.sim.run_for(HOUR);
    assert_eq!(scene.generation(), before + 1);
    scene.judge(Kind::Recycle);
}

#[test]
fn a_pause_said_at_any_moment_of_a_replacement_ends_in_a_pause() {
    for moment in (0..240).step_by(5) {
        let mut scene = Scene::serving(2, WHOLE);
        scene.trigger(Kind::Lost, WHOLE);
        scene.sim.run_for(moment * SECOND);
        scene.trigger(Kind::Pause, WHOLE);
        scene.wait_for_end(Kind::Pause, 0);
        scene.judge(Kind::Pause);
        let before = scene.generation();
        scene.trigger(Kind::Resume, WHOLE);
        scene.wait_for_end(Kind::Resume, before);
        scene.judge(Kind::Resume);
    }
}

#[test]
fn a_deletion_said_at_any_moment_of_a_replacement_leaves_nothing() {
    for moment in (0..240).step_by(5) {
        let mut scene = Scene::serving(3, WHOLE);
        scene.trigger(Kind::Recycle, WHOLE);
        scene.sim.run_for(moment * SECOND);
        scene.trigger(Kind::Delete, WHOLE);
        scene.wait_for_end(Kind::Delete, 0);
        scene.judge(Kind::Delete);
    }
}

#[test]
fn an_instance_lost_at_any_moment_of_a_replacement_is_replaced_again() {
    for moment in (0..300).step_by(7) {
        let mut scene = Scene::serving(4, WHOLE);
        let before = scene.generation();
        scene.trigger(Kind::Lost, WHOLE);
        scene.sim.run_for(moment * SECOND);
        let holder = scene.sim.record(&scene.node).and_then(|r| r.instance.clone());
        if let Some(holder) = holder {
            let now = scene.sim.now;
            scene.sim.cloud.interrupt(now, &holder.id, None);
        }
        scene.wait_for_end(Kind::Lost, before);
        scene.judge(Kind::Lost);
    }
}

#[test]
fn without_spot_capacity_anywhere_the_node_goes_on_demand_and_is_told() {
    let mut scene = Scene::serving(5, WHOLE);
    scene.drought(Some(Lifecycle::Spot), None, true);
    let before = scene.generation();
    scene.trigger(Kind::Lost, WHOLE);
    scene.wait_for_end(Kind::Lost, before);
    let record = scene.sim.record(&scene.node).expect("it serves");
    let holder = record.instance.clone().expect("an instance");
    assert_eq!(holder.market.lifecycle, Lifecycle::OnDemand);
    assert!(scene.sim.story.iter().any(|e| e.code == "market-refused"));
    scene.judge(Kind::Lost);
}

#[test]
fn without_any_capacity_the_node_waits_says_so_and_comes_back_by_itself() {
    let mut scene = Scene::serving(6, WHOLE);
    scene.drought(None, None, true);
    let before = scene.generation();
    scene.trigger(Kind::Lost, WHOLE);
    scene.sim.run_for(HOUR);
    assert_eq!(scene.status(), "RECYCLING");
    assert!(scene.sim.story.iter().any(|e| e.code == "no-market"));
    let asked = scene.sim.calls.iter().filter(|c| **c == "RunInstances").count();
    assert!(asked < 120, "a market that refused is left alone for a while: {asked} calls");
    scene.drought(None, None, false);
    scene.wait_for_end(Kind::Lost, before);
    scene.judge(Kind::Lost);
}

#[test]
fn a_node_moves_to_a_zone_with_capacity_with_all_its_data() {
    let mut scene = Scene::serving(8, ROAMING);
    let zone = |scene: &Scene| {
        let record = scene.sim.record(&scene.node).expect("it serves");
        record.instance.clone().expect("an instance").market.zone
    };
    let home = zone(&scene);
    scene.drought(None, Some(home.as_str()), true);
    let before = scene.generation();
    scene.trigger(Kind::Lost, ROAMING);
    scene.wait_for_end(Kind::Lost, before);
    assert_ne!(zone(&scene), home);
    scene.judge(Kind::Lost);
}

#[test]
fn a_changed_spec_takes_effect_at_the_next_replacement_and_not_before() {
    let mut scene = Scene::serving(9, WHOLE);
    let patch =
        json!({"compute": {"launchSpecification": {"instanceTypes": {"types": ["r5.large"]}}}});
    scene.sim.say(UserCommand::Update { id: scene.node.clone(), patch });
    scene.sim.run_for(MINUTE);
    let kind_of = |scene: &Scene| {
        let record = scene.sim.record(&scene.node).expect("it serves");
        record.instance.clone().expect("an instance").market.instance_type
    };
    assert_eq!(kind_of(&scene), "m5.large");
    let before = scene.generation();
    scene.trigger(Kind::Recycle, WHOLE);
    scene.wait_for_end(Kind::Recycle, before);
    assert_eq!(kind_of(&scene), "r5.large");
    scene.judge(Kind::Recycle);
}

#[test]
fn what_a_deletion_does_not_select_is_kept_for_its_grace_and_then_removed() {
    let mut scene = Scene::serving(10, WHOLE);
    let deallocation = Deallocation { should_terminate_instance: true, ..Deallocation::default() };
    scene.sim.say(UserCommand::Delete { id: scene.node.clone(), deallocation });
    scene.wait("deallocated", |s, n| s.record(n).is_some_and(|r| r.status() == "DEALLOCATED"));
    let before = scene.sim.now;
    scene.sim.run_for(95 * HOUR);
    assert!(scene.sim.record(&scene.node).is_some(), "the grace is 96 hours");
    let kept = scene.sim.cloud.resources(&scene.node).len();
    assert_eq!(kept, 4, "root, two data volumes and the interface are kept");
    let node = scene.node.clone();
    scene.sim.cloud.truth_mut().release(&node);
    let gone = scene.sim.run_until(4 * HOUR, |s| s.record(&node).is_none());
    assert!(gone.is_ok(), "after the grace nothing is kept: {gone:?}\n{}", scene.sim.told());
    assert!(scene.sim.now.since(before) >= 96 * HOUR);
    scene.judge(Kind::Delete);
}
