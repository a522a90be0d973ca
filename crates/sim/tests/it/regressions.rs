//! One test for each bug that was found.

use crate::scene::{ROAMING, SNAPSHOTS, Scene, WHOLE};
use holdfast_cloud_sim::{Fault, When};
use holdfast_model::time::{HOUR, MINUTE, SECOND};
use holdfast_model::user::{Choice, Deallocation, UserCommand};
use holdfast_model::{CallState, Kind, Row};
use serde_json::json;

/// Runs until the newest call of the row has left and is not answered.
fn until_called(scene: &mut Scene, row: Row) {
    scene.wait("calling", move |s, n| {
        s.record(n).is_some_and(|r| {
            r.replacement.as_ref().is_some_and(|p| {
                let calls = p.rows.get(&row).map(|state| &state.calls);
                calls.is_some_and(|c| c.values().any(|c| c.state == CallState::Started))
            })
        })
    });
}

#[test]
fn a_pause_while_a_launch_is_refused_does_not_lose_the_kept_root() {
    let mut scene = Scene::serving(1, WHOLE);
    scene.trigger(Kind::Lost, WHOLE);
    until_called(&mut scene, Row::Launch);
    let launches = scene.sim.calls.len() + 1;
    let sent = scene.sim.calls.last() == Some(&"RunInstances");
    let nth = if sent { launches - 1 } else { launches };
    scene.sim.cloud.faults().add(When::Call(nth as u64), Fault::capacity());
    scene.trigger(Kind::Pause, WHOLE);
    scene.wait_for_end(Kind::Pause, 0);
    let before = scene.generation();
    scene.trigger(Kind::Resume, WHOLE);
    scene.wait_for_end(Kind::Resume, before);
    scene.judge(Kind::Resume);
}

#[test]
fn many_refusals_for_capacity_never_need_a_person() {
    let mut scene = Scene::serving(2, WHOLE);
    scene.drought(None, None, true);
    let before = scene.generation();
    scene.trigger(Kind::Lost, WHOLE);
    scene.sim.run_for(6 * HOUR);
    assert_ne!(scene.status(), "ERROR");
    scene.drought(None, None, false);
    scene.wait_for_end(Kind::Lost, before);
    scene.judge(Kind::Lost);
}

#[test]
fn a_mass_interruption_of_nodes_without_kept_addresses_does_not_freeze_the_fleet() {
    let mut scene = Scene::serving(3, ROAMING);
    let first = scene.node.clone();
    for number in 2..=6 {
        scene.node = holdfast_model::NodeId(format!("smi-0000000{number}"));
        scene.create(ROAMING);
    }
    scene.wait("all serving", |s, _| {
        let nodes: Vec<_> = s.fleet().nodes().collect();
        nodes.len() == 6
            && nodes.iter().all(|n| s.record(n).is_some_and(|r| r.status() == "ACTIVE"))
    });
    scene.sim.run_for(MINUTE);
    let nodes: Vec<_> = scene.sim.fleet().nodes().cloned().collect();
    let now = scene.sim.now;
    for node in &nodes {
        let holder = scene.sim.record(node).and_then(|r| r.holder.clone()).expect("an instance");
        scene.sim.cloud.kill(now, &holder.id);
    }
    scene.sim.run_for(10 * MINUTE);
    assert_eq!(scene.sim.fleet().frozen(), None);
    for node in nodes {
        let record = scene.sim.record(&node).expect("it serves");
        assert_eq!((record.status(), record.generation), ("ACTIVE", 2), "{node}");
    }
    scene.node = first;
}

#[test]
fn a_deletion_that_selects_nothing_keeps_a_paused_nodes_data_for_its_grace() {
    let mut scene = Scene::serving(4, WHOLE);
    scene.trigger(Kind::Pause, WHOLE);
    scene.wait_for_end(Kind::Pause, 0);
    let deallocation = Deallocation::default();
    scene.sim.say(UserCommand::Delete { id: scene.node.clone(), deallocation });
    scene.sim.run_for(HOUR);
    let record = scene.sim.record(&scene.node).expect("its leftovers wait for their grace");
    assert_eq!(record.status(), "DEALLOCATED");
    assert!(record.superseded.iter().any(|s| s.id.starts_with("vol-") && s.grace_ms > 0));
    assert!(record.superseded.iter().any(|s| s.id.starts_with("eni-") && s.grace_ms > 0));
    scene.judge(Kind::Pause);
}

#[test]
fn a_deletion_that_selects_nothing_lets_a_living_instance_go_on() {
    let mut scene = Scene::serving(5, WHOLE);
    let deallocation = Deallocation::default();
    scene.sim.say(UserCommand::Delete { id: scene.node.clone(), deallocation });
    scene.wait("let go", |s, n| s.record(n).is_none());
    scene.sim.run_for(100 * HOUR);
    let serving = scene.sim.cloud.truth().serving(&scene.node);
    assert_eq!(serving.len(), 1, "the instance serves on, without Holdfast");
    assert!(scene.sim.cloud.violations().is_empty());
}

#[test]
fn a_corrected_spec_frees_a_node_that_no_market_fits_and_a_healthy_one_is_not_taken_down() {
    let mut scene = Scene::serving(6, WHOLE);
    let update = |scene: &mut Scene, subnet: &str| {
        let patch = json!({"compute": {"subnetIds": [subnet]}});
        scene.sim.say(UserCommand::Update { id: scene.node.clone(), patch });
    };
    // Its kept address pins the node to the first zone.
    update(&mut scene, "subnet-sim-1b");
    let before = scene.generation();
    scene.trigger(Kind::Recycle, WHOLE);
    scene.sim.run_for(20 * MINUTE);
    assert_eq!(scene.status(), "ERROR");
    assert_eq!(scene.sim.cloud.truth().serving(&scene.node).len(), 1, "it goes on serving");
    update(&mut scene, "subnet-sim-1a");
    scene.wait_for_end(Kind::Recycle, before);
    scene.judge(Kind::Recycle);
}

#[test]
fn a_kept_root_may_be_asked_for_later() {
    let mut scene = Scene::serving(7, ROAMING);
    let patch = json!({"persistence": {"persistRootDevice": true}});
    scene.sim.say(UserCommand::Update { id: scene.node.clone(), patch });
    scene.sim.run_for(MINUTE);
    for _ in 0..3 {
        let before = scene.generation();
        scene.trigger(Kind::Lost, ROAMING);
        scene.wait_for_end(Kind::Lost, before);
    }
    scene.judge(Kind::Lost);
    let record = scene.sim.record(&scene.node).expect("it serves");
    assert!(record.finals.iter().any(|f| f.of == "root"), "from then on it is captured");
}

#[test]
fn a_node_whose_new_volume_is_refused_can_be_given_up_and_leaves_nothing() {
    let mut scene = Scene::empty(8, SNAPSHOTS);
    let mut document = SNAPSHOTS.spec();
    document["compute"]["launchSpecification"]["blockDeviceMappings"][0]["ebs"]["snapshotId"] =
        json!("snap-0000000000000000");
    scene.sim.say(UserCommand::Create { id: scene.node.clone(), document });
    scene.sim.run_for(HOUR);
    assert_eq!(scene.status(), "ERROR", "{}", scene.sim.told());
    scene.trigger(Kind::Delete, SNAPSHOTS);
    scene.wait_for_end(Kind::Delete, 0);
    scene.judge(Kind::Delete);
}

#[test]
fn a_volume_deleted_from_outside_stops_its_node_and_nothing_is_made_in_its_place() {
    let mut scene = Scene::serving(9, WHOLE);
    scene.trigger(Kind::Pause, WHOLE);
    scene.wait_for_end(Kind::Pause, 0);
    let record = scene.sim.record(&scene.node).expect("paused");
    let holdfast_model::record::DataHead::Volume { id, .. } = record.data[0].head.clone() else {
        panic!("it has a data volume");
    };
    let now = scene.sim.now;
    scene.sim.cloud.delete_behind(now, id.as_str());
    scene.trigger(Kind::Resume, WHOLE);
    scene.sim.run_for(2 * HOUR);
    assert_eq!(scene.status(), "ERROR", "{}", scene.sim.told());
    assert!(scene.sim.cloud.truth().serving(&scene.node).is_empty(), "it does not serve without");
    let node = scene.node.clone();
    let word = UserCommand::Decide { id: node, choice: Choice::Retry };
    let number = scene.sim.say(word);
    scene.sim.run_for(10 * SECOND);
    assert!(scene.sim.answers[&number].is_ok());
    scene.sim.run_for(2 * HOUR);
    assert_eq!(scene.status(), "ERROR", "a retry does not conjure it up");
}

#[test]
fn launches_that_are_never_ready_end_with_a_question_and_do_not_pile_up() {
    let mut scene = Scene::serving(10, WHOLE);
    scene.trigger(Kind::Lost, WHOLE);
    let mut rounds = 0;
    while scene.status() != "ERROR" {
        scene.sim.run_for(SECOND);
        let record = scene.sim.record(&scene.node).expect("it is there");
        let ready = record.replacement.is_none();
        if let (Some(holder), false) = (&record.holder, ready) {
            let now = scene.sim.now;
            scene.sim.cloud.kill(now, &holder.id);
        }
        rounds += 1;
        assert!(rounds < 20_000, "nobody is asked: {}", scene.sim.told());
    }
    let record = scene.sim.record(&scene.node).expect("it is there");
    assert!(record.finals.len() + record.superseded.len() < 40, "{:#?}", record.superseded);
    let before = scene.generation();
    let choice = Choice::Retry;
    scene.sim.say(UserCommand::Decide { id: scene.node.clone(), choice });
    scene.wait_for_end(Kind::Lost, before);
    scene.judge(Kind::Lost);
    let record = scene.sim.record(&scene.node).expect("it serves");
    assert_eq!(record.finals.len(), holdfast_engine::retention::FINALS_KEPT);
}
