//! A node's network identity through replacements: a second interface and an Elastic IP.

use crate::scene::{ROAMING, SNAPSHOTS, Scene, Shape, WHOLE};
use holdfast_model::time::{MINUTE, SECOND};
use holdfast_model::user::UserCommand;
use holdfast_model::{AllocationId, Kind};
use serde_json::{Value, json};

/// A node that serves, has a second interface and an Elastic IP, and whose user was told so.
fn networked(seed: u64, shape: Shape) -> (Scene, AllocationId) {
    let mut scene = Scene::empty(seed, shape);
    let address = scene.sim.cloud.allocate_address(scene.sim.now).unwrap();
    let truth = scene.sim.cloud.truth_mut();
    truth.expect_elastic_ip(&scene.node);
    truth.expect_interfaces(&scene.node, [1]);
    let mut document = shape.spec();
    document["compute"]["elasticIp"] = json!(address);
    document["compute"]["launchSpecification"]["networkInterfaces"] =
        json!([{"deviceIndex": 0}, {"deviceIndex": 1}]);
    scene.sim.say(UserCommand::Create { id: scene.node.clone(), document });
    scene.wait("ACTIVE", |s, node| s.record(node).is_some_and(|r| r.status() == "ACTIVE"));
    scene.sim.run_for(2 * MINUTE);
    (scene, address)
}

fn update(scene: &mut Scene, patch: Value) {
    scene.sim.say(UserCommand::Update { id: scene.node.clone(), patch });
}

fn replace(scene: &mut Scene, kind: Kind, shape: Shape) {
    let before = scene.generation();
    scene.trigger(kind, shape);
    scene.wait_for_end(kind, before);
}

#[test]
fn a_second_interface_and_an_elastic_ip_survive_every_kind_of_replacement() {
    for shape in [WHOLE, ROAMING, SNAPSHOTS] {
        for kind in [Kind::Notice, Kind::Lost, Kind::Unhealthy, Kind::Recycle] {
            for seed in 1..=3 {
                let (mut scene, _) = networked(seed, shape);
                replace(&mut scene, kind, shape);
                scene.judge(kind);
            }
        }
        let (mut scene, _) = networked(4, shape);
        replace(&mut scene, Kind::Pause, shape);
        scene.judge(Kind::Pause);
        replace(&mut scene, Kind::Resume, shape);
        scene.judge(Kind::Resume);
    }
}

#[test]
fn an_elastic_ip_on_a_kept_interface_costs_a_replacement_no_call() {
    let (mut scene, _) = networked(1, WHOLE);
    let asked = |s: &Scene| s.sim.calls.iter().filter(|c| **c == "AssociateAddress").count();
    assert_eq!(asked(&scene), 1);
    replace(&mut scene, Kind::Lost, WHOLE);
    assert_eq!(asked(&scene), 1);
    let (mut scene, _) = networked(1, ROAMING);
    replace(&mut scene, Kind::Lost, ROAMING);
    assert_eq!(asked(&scene), 2, "a new primary interface has to be given the address");
}

#[test]
fn a_second_interface_pins_the_zone() {
    let (mut scene, _) = networked(2, ROAMING);
    let zone = |s: &Scene| s.sim.record(&s.node).unwrap().instance.clone().unwrap().market.zone;
    let home = zone(&scene);
    scene.drought(None, Some(home.as_str()), true);
    scene.trigger(Kind::Lost, ROAMING);
    scene.sim.run_for(30 * MINUTE);
    assert_eq!(scene.status(), "RECYCLING");
    scene.drought(None, Some(home.as_str()), false);
    scene.wait_for_end(Kind::Lost, 1);
    assert_eq!(zone(&scene), home);
    scene.judge(Kind::Lost);
}

#[test]
fn what_the_spec_no_longer_keeps_is_given_back_at_the_next_replacement() {
    let (mut scene, address) = networked(3, WHOLE);
    let node = scene.node.clone();
    let before = scene.sim.record(&node).unwrap();
    let old: Vec<String> = before.identity.interfaces().map(|i| i.id.0.clone()).collect();
    assert_eq!(old.len(), 2);
    update(
        &mut scene,
        json!({
            "persistence": {"persistPrivateIp": false},
            "compute": {
                "elasticIp": null,
                "launchSpecification": {"networkInterfaces": null}
            }
        }),
    );
    let shape = Shape { private_ip: false, ..WHOLE };
    scene.expect(shape);
    scene.sim.run_for(5 * MINUTE);
    assert_eq!(
        scene.sim.record(&node).unwrap().identity.interfaces().count(),
        2,
        "only at a replacement"
    );
    replace(&mut scene, Kind::Recycle, shape);
    scene.judge(Kind::Recycle);
    let record = scene.sim.record(&node).unwrap();
    assert_eq!(record.identity.interfaces().count(), 0);
    assert_eq!(record.identity.elastic_ip, None);
    for id in old {
        assert!(scene.sim.cloud.truly(&id).is_none(), "{id} is left");
    }
    // The address is the user's: it leads nowhere, and another node can have it.
    let mut document = ROAMING.spec();
    document["compute"]["elasticIp"] = json!(address);
    scene.node = "smi-00000002".into();
    scene.sim.say(UserCommand::Create { id: scene.node.clone(), document });
    scene.wait("ACTIVE", |s, node| s.record(node).is_some_and(|r| r.status() == "ACTIVE"));
}

#[test]
fn an_elastic_ip_that_leads_elsewhere_is_not_taken_and_the_user_is_told() {
    let (mut scene, address) = networked(5, WHOLE);
    let mut document = ROAMING.spec();
    document["compute"]["elasticIp"] = json!(address);
    scene.node = "smi-00000002".into();
    scene.sim.say(UserCommand::Create { id: scene.node.clone(), document });
    scene.wait("ERROR", |s, node| s.record(node).is_some_and(|r| r.status() == "ERROR"));
    let why = scene.sim.record(&scene.node).unwrap().blocked.decision().cloned().unwrap().why;
    assert!(why.contains("Resource.AlreadyAssociated"), "{why}");
    assert!(why.contains(address.as_str()), "{why}");
}

#[test]
fn a_node_that_is_given_up_leaves_its_elastic_ip_to_its_user() {
    use holdfast_model::user::Deallocation;
    let (mut scene, address) = networked(6, WHOLE);
    let node = scene.node.clone();
    scene.sim.cloud.truth_mut().release(&node);
    // The interface is kept for its grace, but not the address.
    let deallocation = Deallocation { should_terminate_instance: true, ..Deallocation::default() };
    scene.sim.say(UserCommand::Delete { id: node.clone(), deallocation });
    scene.wait("deallocated", |s, n| s.record(n).is_some_and(|r| r.status() == "DEALLOCATED"));
    let mut document = ROAMING.spec();
    document["compute"]["elasticIp"] = json!(address);
    scene.node = "smi-00000002".into();
    scene.sim.say(UserCommand::Create { id: scene.node.clone(), document });
    scene.wait("ACTIVE", |s, node| s.record(node).is_some_and(|r| r.status() == "ACTIVE"));
}

/// A paused node whose kept interfaces were deleted from outside: which, with their addresses.
fn without_interfaces(scene: &mut Scene, shape: Shape) -> Vec<(String, String)> {
    replace(scene, Kind::Pause, shape);
    let record = scene.sim.record(&scene.node).unwrap();
    let held: Vec<_> =
        record.identity.interfaces().map(|i| (i.id.0.clone(), i.private_ip.clone())).collect();
    let now = scene.sim.now;
    for (id, _) in &held {
        scene.sim.cloud.delete_behind(now, id);
    }
    held
}

#[test]
fn kept_interfaces_that_were_deleted_from_outside_are_made_again_with_their_addresses() {
    for seed in 1..=6 {
        let (mut scene, _) = networked(seed, WHOLE);
        let node = scene.node.clone();
        let before = without_interfaces(&mut scene, WHOLE);
        assert_eq!(before.len(), 2);
        // Also where that is not known yet when the resume begins.
        scene.sim.run_for((seed - 1) * MINUTE);
        replace(&mut scene, Kind::Resume, WHOLE);
        scene.judge(Kind::Resume);
        let record = scene.sim.record(&node).unwrap();
        let after: Vec<_> = record.identity.interfaces().collect();
        for ((old, address), new) in before.iter().zip(&after) {
            assert_eq!(&new.private_ip, address, "seed {seed}");
            assert_ne!(&new.id.0, old, "seed {seed}");
        }
        let told = scene.sim.story.iter().filter(|e| e.code == "interface-again").count();
        assert_eq!((after.len(), told), (2, 2), "seed {seed}: {}", scene.sim.told());
        assert!(!scene.sim.story.iter().any(|e| e.code == "decision-needed"), "seed {seed}");
        replace(&mut scene, Kind::Lost, WHOLE);
        scene.judge(Kind::Lost);
    }
}

#[test]
fn a_launch_that_waits_for_a_look_at_its_interface_is_not_planned_over_and_over_meanwhile() {
    let (mut scene, _) = networked(1, WHOLE);
    without_interfaces(&mut scene, WHOLE);
    scene.trigger(Kind::Resume, WHOLE);
    let end = scene.sim.now.plus(2 * MINUTE);
    let (mut steps, mut waited) = (0, 0);
    while scene.sim.now < end {
        let before = scene.sim.now;
        scene.sim.step(end);
        let view = scene.sim.fleet().view(&scene.node);
        let waits_for = view.and_then(|view| view.waits_for).unwrap_or_default();
        if waits_for.starts_with("a look at the interface") {
            steps += 1;
            waited += scene.sim.now.since(before);
        }
    }
    assert!(waited > 10 * SECOND, "{}", scene.sim.told());
    assert!(steps < waited / 50, "{steps} in {waited} ms");
}

#[test]
fn a_node_whose_address_somebody_else_took_meanwhile_asks_a_person() {
    let mut scene = Scene::serving(7, WHOLE);
    let (_, address) = without_interfaces(&mut scene, WHOLE).remove(0);
    let other = holdfast_model::NodeId::from("smi-00000002");
    let mut document = WHOLE.spec();
    document["compute"]["privateIp"] = json!(address);
    scene.sim.say(UserCommand::Create { id: other.clone(), document });
    scene.sim.run_for(10 * MINUTE);
    assert_eq!(scene.sim.record(&other).unwrap().status(), "ACTIVE", "{}", scene.sim.told());
    scene.trigger(Kind::Resume, WHOLE);
    scene.sim.run_for(60 * MINUTE);
    let record = scene.sim.record(&scene.node).unwrap();
    let stuck = record.blocked.decision().cloned().expect("a decision");
    assert!(format!("{stuck:?}").contains(&address), "{stuck:?}");
    assert!(scene.sim.cloud.truth().serving(&scene.node).is_empty(), "not with another address");

    // Given back, a retry brings the node back as it was.
    let deallocation = holdfast_model::user::Deallocation::EVERYTHING;
    scene.sim.say(UserCommand::Delete { id: other.clone(), deallocation });
    scene.sim.run_for(10 * MINUTE);
    let choice = holdfast_model::user::Choice::Retry;
    scene.sim.say(UserCommand::Decide { id: scene.node.clone(), choice });
    scene.wait_for_end(Kind::Resume, 1);
    assert_eq!(
        scene.sim.record(&scene.node).unwrap().identity.interface.as_ref().unwrap().private_ip,
        address
    );
}

#[test]
fn a_chosen_address_decides_in_which_subnet_the_node_runs() {
    let mut scene = Scene::empty(9, ROAMING);
    let mut document = ROAMING.spec();
    // Of the second of three subnets.
    document["compute"]["privateIp"] = json!("10.1.0.77");
    scene.sim.cloud.truth_mut().expect_address(&scene.node);
    let id = scene.node.clone();
    let word = scene.sim.say(UserCommand::Create { id, document });
    scene.wait("ACTIVE", |s, node| s.record(node).is_some_and(|r| r.status() == "ACTIVE"));
    assert!(scene.sim.answers[&word].is_ok());
    scene.sim.run_for(2 * MINUTE);
    let record = scene.sim.record(&scene.node).unwrap();
    let held = record.identity.interface.clone().unwrap();
    assert_eq!((held.private_ip.as_str(), held.zone.as_str()), ("10.1.0.77", "sim-1b"));
    replace(&mut scene, Kind::Lost, ROAMING);
    scene.judge(Kind::Lost);
}

#[test]
fn an_address_that_no_listed_subnet_has_is_refused_and_gives_up_no_instance() {
    let mut scene = Scene::serving(10, WHOLE);
    let running = scene.sim.record(&scene.node).unwrap().instance.clone();
    for address in ["10.1.0.77", "10.0.0.3", "10.0.255.255"] {
        let mut document = WHOLE.spec();
        document["compute"]["privateIp"] = json!(address);
        let create = UserCommand::Create { id: "smi-00000002".into(), document };
        let patch = json!({"compute": {"privateIp": address}});
        let update = UserCommand::Update { id: scene.node.clone(), patch };
        for word in [create, update] {
            let word = scene.sim.say(word);
            scene.sim.run_for(MINUTE);
            let why = format!("{:?}", scene.sim.answers[&word].as_ref().expect_err("refused"));
            for named in ["compute.privateIp", address, "10.0.0.0/16 (subnet-sim-1a)"] {
                assert!(why.contains(named), "{why}");
            }
        }
    }
    let record = scene.sim.record(&scene.node).unwrap();
    assert_eq!((record.status(), &record.instance), ("ACTIVE", &running));
}

#[test]
fn a_new_node_leaves_the_zone_that_has_no_capacity_and_the_interface_that_was_made_there() {
    let shape = Shape { zones: 3, ..WHOLE };
    // Where it would go.
    let mut first = Scene::serving(11, shape);
    let home = first.sim.record(&first.node).unwrap().instance.clone().unwrap().market.zone;
    first.judge(Kind::Create);
    let mut scene = Scene::empty(11, shape);
    scene.drought(None, Some(home.as_str()), true);
    scene.create(shape);
    scene.wait("ACTIVE", |s, node| s.record(node).is_some_and(|r| r.status() == "ACTIVE"));
    let record = scene.sim.record(&scene.node).unwrap();
    let zone = record.instance.clone().unwrap().market.zone;
    assert_ne!(zone, home);
    let kept = record.identity.interface.clone().expect("its address is kept");
    assert_eq!(kept.zone, zone, "no instance can have an interface of another zone");
    let made = scene.sim.calls.iter().filter(|c| **c == "CreateNetworkInterface").count();
    assert_eq!(made, 2, "one for each zone: {}", scene.sim.told());
    scene.wait("tidied up", |s, n| {
        s.record(n).is_some_and(|r| r.work.is_none() && r.kept.pending_deletion.is_empty())
    });
    scene.judge(Kind::Create);
}
