//! Stores that know less than the cloud: restored from a backup, copied, emptied. Nothing may be
//! deleted, nothing launched from what is old, and everything is shown.

use crate::scene::{ROAMING, SNAPSHOTS, Scene, Shape, WHOLE};
use holdfast_controller::Input;
use holdfast_model::standing::Cause;
use holdfast_model::time::{HOUR, MINUTE, SECOND};
use holdfast_model::{Kind, NodeId, Record};
use holdfast_store::memory::MemoryStore;
use std::collections::BTreeSet;

/// Calls that take something away.
const TAKING: [&str; 6] = [
    "TerminateInstances",
    "DeleteVolume",
    "DeleteSnapshot",
    "DeregisterImage",
    "DeleteNetworkInterface",
    "DetachVolume",
];

/// What a node truly has.
fn resources(scene: &Scene) -> BTreeSet<String> {
    scene.sim.cloud.resources(&scene.node).iter().map(|f| f.id().to_owned()).collect()
}

/// A node, a backup of its store, and what happened to it since.
fn outlived(seed: u64, shape: Shape, since: &[Kind]) -> (Scene, MemoryStore) {
    let mut scene = Scene::serving(seed, shape);
    let backup = scene.sim.store.copy();
    for kind in since {
        let before = scene.generation();
        scene.trigger(*kind, shape);
        scene.wait_for_end(*kind, before);
        scene.sim.run_for(2 * MINUTE);
    }
    (scene, backup)
}

/// For so long nothing is changed at all; what dies, dies by itself.
fn touches_nothing_for(scene: &mut Scene, millis: u64) {
    let lasting = |scene: &Scene| -> Vec<String> {
        resources(scene).into_iter().filter(|id| !id.starts_with("i-")).collect()
    };
    let (before, calls) = (lasting(scene), scene.sim.calls.len());
    scene.sim.run_for(millis);
    assert_eq!(lasting(scene), before, "{}", scene.sim.told());
    assert_eq!(scene.sim.calls[calls..], [] as [&str; 0], "{}", scene.sim.told());
    assert_eq!(scene.sim.cloud.violations(), [], "{}", scene.sim.told());
}

#[test]
fn a_store_older_than_the_cloud_stops_its_node_as_it_is_and_says_why() {
    for shape in [WHOLE, ROAMING, SNAPSHOTS] {
        for since in
            [&[Kind::Lost][..], &[Kind::Recycle, Kind::Notice], &[Kind::Recycle, Kind::Pause]]
        {
            let (mut scene, backup) = outlived(31, shape, since);
            scene.sim.restore(backup);
            touches_nothing_for(&mut scene, 3 * HOUR);
            assert_eq!(scene.status(), "ERROR", "{shape:?} {since:?}");
            let record = scene.sim.record(&scene.node).expect("it is there");
            let quarantine = record.blocked.quarantine().cloned().expect("it is in quarantine");
            assert!(quarantine.why.contains("holdfast adopt"), "{}", quarantine.why);
            assert!(scene.sim.story.iter().any(|e| e.code == "quarantined"));
        }
    }
}

#[test]
fn a_replacement_in_flight_in_the_backup_that_is_long_over_is_not_taken_up_again() {
    for shape in [WHOLE, ROAMING, SNAPSHOTS] {
        // A backup of every moment of a replacement.
        let mut scene = Scene::serving(32, shape);
        let before = scene.generation();
        scene.trigger(Kind::Lost, shape);
        let mut backups = Vec::new();
        let mut effects = scene.sim.effects;
        let node = scene.node.clone();
        loop {
            let known = effects;
            let is_over = |s: &holdfast_sim::Simulation, n: &NodeId| {
                let over = |r: &Record| r.work.is_none() && r.generations.number() > before;
                s.record(n).is_some_and(|r| over(&r))
            };
            scene.wait("another effect", |s, n| s.effects > known || is_over(s, n));
            effects = scene.sim.effects;
            if is_over(&scene.sim, &node) {
                break;
            }
            backups.push(scene.sim.store.copy());
        }
        for _ in 0..2 {
            let before = scene.generation();
            scene.trigger(Kind::Recycle, shape);
            scene.wait_for_end(Kind::Recycle, before);
        }
        scene.sim.run_for(2 * HOUR);
        assert!(backups.len() > 10, "{} moments", backups.len());
        for backup in backups {
            scene.sim.restore(backup);
            touches_nothing_for(&mut scene, 2 * MINUTE);
            assert_eq!(scene.status(), "ERROR");
        }
    }
}

#[test]
fn nodes_that_the_store_does_not_know_are_left_alone() {
    let mut scene = Scene::empty(33, WHOLE);
    let backup = scene.sim.store.copy();
    scene.create(WHOLE);
    scene.wait("ACTIVE", |s, n| s.record(n).is_some_and(|r| r.status() == "ACTIVE"));
    scene.sim.restore(backup);
    touches_nothing_for(&mut scene, HOUR);
    assert!(scene.sim.record(&scene.node).is_none());
    assert_eq!(scene.sim.cloud.truth().serving(&scene.node).len(), 1, "it serves on");
}

#[test]
fn a_node_deleted_since_the_backup_asks_a_person_and_makes_nothing() {
    let (mut scene, backup) = outlived(34, WHOLE, &[Kind::Delete]);
    scene.sim.run_for(2 * HOUR);
    scene.sim.restore(backup);
    touches_nothing_for(&mut scene, 2 * HOUR);
    let record = scene.sim.record(&scene.node).expect("the backup knows it");
    assert!(
        record.status() == "ERROR" || scene.sim.fleet().frozen().is_some(),
        "{}",
        scene.sim.told()
    );
}

#[test]
fn many_nodes_deleted_since_the_backup_freeze_the_fleet_until_a_person_lifts_it() {
    let mut scene = Scene::empty(35, ROAMING);
    let nodes: Vec<NodeId> = (1..=6).map(|n| NodeId(format!("smi-0000000{n}"))).collect();
    for node in &nodes {
        scene.node = node.clone();
        scene.create(ROAMING);
    }
    scene.wait("all serving", |s, _| {
        s.fleet().nodes().count() == 6
            && s.fleet().nodes().all(|n| s.record(n).is_some_and(|r| r.status() == "ACTIVE"))
    });
    let backup = scene.sim.store.copy();
    for node in &nodes {
        scene.node = node.clone();
        scene.trigger(Kind::Delete, ROAMING);
        scene.wait_for_end(Kind::Delete, 0);
    }
    scene.sim.run_for(2 * HOUR);
    scene.sim.restore(backup);
    touches_nothing_for(&mut scene, HOUR);
    assert!(scene.sim.fleet().standing().freezes.contains_key(&Cause::Vanished));
    // A restart does not lift it, a person does, and then it stays lifted.
    scene.sim.kill_controller();
    scene.sim.run_for(10 * SECOND);
    assert!(scene.sim.fleet().frozen().is_some(), "it is remembered");
    scene.sim.order(Input::Thaw);
    scene.sim.run_for(MINUTE);
    scene.sim.kill_controller();
    scene.sim.run_for(10 * MINUTE);
    assert_eq!(scene.sim.fleet().frozen(), None);
}

#[test]
fn a_freeze_keeps_everything_as_it_is_through_restarts_until_it_is_lifted() {
    let mut scene = Scene::serving(36, WHOLE);
    let before = scene.generation();
    scene.sim.order(Input::Freeze(Cause::Asked, "the network is being moved".to_owned()));
    scene.trigger(Kind::Lost, WHOLE);
    touches_nothing_for(&mut scene, HOUR);
    scene.sim.kill_controller();
    touches_nothing_for(&mut scene, HOUR);
    assert_eq!(scene.sim.fleet().frozen(), Some("the network is being moved"));
    assert!(scene.sim.story.iter().any(|e| e.code == "frozen"));
    scene.sim.order(Input::Thaw);
    scene.wait_for_end(Kind::Lost, before);
    assert!(scene.sim.story.iter().any(|e| e.code == "thawed"));
    scene.judge(Kind::Lost);
}

#[test]
fn a_node_of_the_same_id_of_another_installation_is_left_alone_and_does_not_disturb() {
    let mut scene = Scene::serving(37, WHOLE);
    let theirs = resources(&scene);
    // An emptied store: another installation, which makes a node with the same id.
    scene.sim.installation("another1");
    scene.sim.restore(MemoryStore::new());
    scene.sim.run_for(MINUTE);
    scene.sim.cloud.truth_mut().release(&scene.node);
    scene.create(ROAMING);
    scene.wait("ACTIVE", |s, n| s.record(n).is_some_and(|r| r.status() == "ACTIVE"));
    scene.trigger(Kind::Delete, ROAMING);
    scene.wait_for_end(Kind::Delete, 0);
    assert_eq!(resources(&scene), theirs, "{}", scene.sim.told());
    let calls: Vec<_> = scene.sim.calls.iter().filter(|c| TAKING.contains(c)).collect();
    assert!(!calls.is_empty(), "its own went");
}

/// Two servers of one installation on one cloud, by turns, for so long.
fn by_turns(scene: &mut Scene, other: &mut holdfast_sim::Brain, millis: u64, turn: u64) {
    let end = scene.sim.now.plus(millis);
    while scene.sim.now < end {
        scene.sim.run_for(turn);
        scene.sim.swap(other);
    }
}

#[test]
fn of_two_servers_on_copies_of_one_store_neither_undoes_what_the_other_does() {
    for (shape, turn) in [
        (WHOLE, SECOND),
        (WHOLE, 7 * SECOND),
        (ROAMING, SECOND),
        (ROAMING, 7 * SECOND),
        (SNAPSHOTS, 3 * SECOND),
    ] {
        for seed in 40..44 {
            let mut scene = Scene::serving(seed, shape);
            let mut other = scene.sim.second(scene.sim.store.copy());
            by_turns(&mut scene, &mut other, 2 * MINUTE, turn);
            for kind in [Kind::Lost, Kind::Notice] {
                let serving = scene.sim.cloud.truth().serving(&scene.node);
                let now = scene.sim.now;
                for instance in serving {
                    match kind {
                        Kind::Lost => scene.sim.cloud.kill(now, &instance),
                        _ => scene.sim.cloud.interrupt(now, &instance, Some(120 * SECOND)),
                    }
                }
                by_turns(&mut scene, &mut other, 30 * MINUTE, turn);
            }
            let violations = scene.sim.cloud.violations();
            assert!(violations.is_empty(), "{violations:#?} {}", scene.sim.told());
            let told = scene.sim.story.iter().any(|e| e.code == "quarantined");
            assert!(told, "{shape:?} {seed}: one of them says so: {}", scene.sim.told());
        }
    }
}
