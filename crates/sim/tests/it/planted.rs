//! Directed scenes for bugs that are planted (`crates/mutants/list/planted.toml`): what the swarm
//! finds by chance is found here at once, and always.

use crate::scene::{LIGHT, SNAPSHOTS, Scene, Shape, WHOLE};
use holdfast_cloud_sim::{Fault, When};
use holdfast_engine::parts::retention::{FINALS_KEPT, SET_ASIDE_KEPT};
use holdfast_model::facts::{Fact, InstanceState};
use holdfast_model::time::{MINUTE, SECOND};
use holdfast_model::{InstanceId, Kind, Row};

fn holder(scene: &Scene) -> InstanceId {
    let record = scene.sim.record(&scene.node).expect("a node");
    record.instance.as_ref().expect("an instance").id.clone()
}

/// Lets the node be replaced so many times, and judges each.
fn replaced(shape: Shape, kind: Kind, times: u32) -> Scene {
    let mut scene = Scene::serving(41, shape);
    for _ in 0..times {
        let before = scene.generation();
        scene.trigger(kind, shape);
        scene.wait_for_end(kind, before);
        scene.judge(kind);
    }
    scene
}

#[test]
fn nothing_is_launched_while_the_old_instance_can_write() {
    let mut scene = Scene::serving(41, WHOLE);
    let old = holder(&scene);
    let launches = |calls: &[&str]| calls.iter().filter(|c| **c == "RunInstances").count();
    let before = launches(&scene.sim.calls);
    scene.trigger(Kind::Recycle, WHOLE);
    scene.wait("the next launch", |s, _| launches(&s.calls) > before);
    match scene.sim.cloud.truly(old.as_str()) {
        Some(Fact::Instance(i)) => assert_eq!(i.state, InstanceState::Terminated),
        other => panic!("{other:?}"),
    }
    scene.wait_for_end(Kind::Recycle, 1);
    scene.judge(Kind::Recycle);
}

#[test]
fn snapshots_hold_what_was_written_last() {
    replaced(SNAPSHOTS, Kind::Recycle, 1);
}

#[test]
fn a_call_whose_answer_is_lost_makes_nothing_twice() {
    for action in ["CreateVolume", "CreateNetworkInterface", "RunInstances"] {
        let mut scene = Scene::empty(41, WHOLE);
        scene.sim.cloud.faults().add(When::next(action), Fault::LostReply);
        scene.create(WHOLE);
        scene.wait_for_end(Kind::Create, 0);
        scene.judge(Kind::Create);
        let made = scene.sim.cloud.resources(&scene.node).len();
        assert_eq!(made, 5, "an instance, a root, two volumes and an interface");
    }
}

#[test]
fn a_kept_address_comes_back_at_every_replacement() {
    replaced(WHOLE, Kind::Recycle, 1);
}

#[test]
fn the_last_snapshot_of_a_root_stays_until_the_next_one_serves() {
    replaced(WHOLE, Kind::Lost, 1);
}

#[test]
fn a_drain_takes_no_volume_from_an_instance_that_writes() {
    let mut scene = Scene::serving(41, WHOLE);
    let detached = |calls: &[&str]| calls.iter().filter(|c| **c == "DetachVolume").count();
    scene.trigger(Kind::Recycle, WHOLE);
    scene.wait_for_end(Kind::Recycle, 1);
    scene.judge(Kind::Recycle);
    assert_eq!(detached(&scene.sim.calls), 0, "the end of its instance lets a volume go");
}

#[test]
fn every_call_of_a_creation_and_a_loss_stands_in_a_durable_record() {
    replaced(WHOLE, Kind::Lost, 1);
}

#[test]
fn what_a_read_does_not_show_yet_is_not_gone() {
    let mut scene = Scene::serving(41, WHOLE);
    let (before, hidden) = (scene.generation(), holder(&scene));
    let until = scene.sim.now.plus(25 * SECOND);
    scene.sim.cloud.hide(scene.sim.now, hidden.as_str(), until);
    scene.sim.run_for(5 * MINUTE);
    assert_eq!((scene.generation(), holder(&scene)), (before, hidden));
    let told = scene.sim.story.iter().any(|e| e.message.contains("lost"));
    assert!(!told, "{}", scene.sim.told());
    scene.judge(Kind::Lost);
}

#[test]
fn a_gate_opens_on_every_volume_of_the_node() {
    let mut scene = replaced(LIGHT, Kind::Recycle, 1);
    let before = scene.acknowledged();
    scene.sim.run_for(MINUTE);
    assert!(scene.acknowledged() > before, "it writes on what it kept");
    scene.judge(Kind::Recycle);
}

#[test]
fn a_root_never_goes_back_to_the_image_of_before() {
    replaced(WHOLE, Kind::Lost, 2);
}

#[test]
fn a_kept_root_outlives_an_instance_that_is_lost() {
    replaced(WHOLE, Kind::Lost, 1);
}

#[test]
fn six_replacements_keep_no_more_snapshots_than_the_rules_allow() {
    let scene = replaced(WHOLE, Kind::Recycle, 6);
    let record = scene.sim.record(&scene.node).expect("a node");
    let kept = record.kept.final_snapshots.iter().filter(|f| f.of == "root").count();
    assert!(kept <= FINALS_KEPT + SET_ASIDE_KEPT, "{kept} of the root are kept");
}

#[test]
fn a_market_that_refused_is_left_alone_for_a_while() {
    let mut scene = Scene::empty(41, WHOLE);
    scene.drought(None, None, true);
    scene.create(WHOLE);
    scene.sim.run_for(6 * MINUTE);
    let markets = scene.sim.cloud.catalogue().prices.len();
    let asked = scene.sim.calls.iter().filter(|c| **c == "RunInstances").count();
    assert!(asked <= 3 * markets, "{markets} markets were asked {asked} times in six minutes");
    scene.drought(None, None, false);
    scene.wait_for_end(Kind::Create, 0);
    scene.judge(Kind::Create);
}

#[test]
fn a_node_without_any_capacity_says_what_it_waits_for() {
    let mut scene = Scene::empty(41, WHOLE);
    scene.drought(None, None, true);
    scene.create(WHOLE);
    scene.sim.run_for(2 * MINUTE);
    let view = scene.sim.fleet().view(&scene.node).expect("a node");
    let says = view.waits_for.unwrap_or_default();
    assert!(says.contains("capacity"), "{says:?}");
}

#[test]
fn what_an_overtaken_launch_has_made_is_not_forgotten() {
    let mut scene = Scene::serving(41, SNAPSHOTS);
    scene.trigger(Kind::Lost, SNAPSHOTS);
    scene.wait("new volumes", |s, n| {
        s.record(n).and_then(|r| r.work.clone()).is_some_and(|r| {
            let launch = r.rows.get(&Row::Launch);
            launch.is_some_and(|row| row.calls.values().any(|c| c.command.makes().is_some()))
        })
    });
    scene.trigger(Kind::Pause, SNAPSHOTS);
    scene.wait_for_end(Kind::Pause, 0);
    scene.judge(Kind::Pause);
}
