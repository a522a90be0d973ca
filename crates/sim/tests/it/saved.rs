//! What was saved of a volume after the fence is its content, whatever becomes of the volume: it is
//! used, and never thrown away.

use crate::scene::{ROAMING, SNAPSHOTS, Scene, Shape};
use holdfast_model::facts::{Fact, SnapshotState};
use holdfast_model::record::{DataHead, RootHead};
use holdfast_model::time::{MINUTE, SECOND};
use holdfast_model::user::{Target, UserCommand};
use holdfast_model::{CallState, Kind, Lifecycle, Row};

/// A node that is lost and has to leave its zone, right after the snapshot of a volume was begun.
/// Returns the volume and the snapshot.
fn moving(seed: u64, shape: Shape, of: &str) -> (Scene, String, String) {
    let mut scene = Scene::serving(seed, shape);
    let record = scene.sim.record(&scene.node).unwrap();
    let zone = record.instance.clone().unwrap().market.zone;
    let call = if of == "root" { "root-snapshot".to_owned() } else { format!("snapshot:{of}") };
    scene.drought(Some(Lifecycle::Spot), Some(zone.as_str()), true);
    scene.trigger(Kind::Lost, shape);
    scene.wait("saving", |s, node| {
        let record = s.record(node).unwrap();
        let state = record.row(Row::Capture).and_then(|r| r.calls.get(&call).cloned());
        state.is_some_and(|call| matches!(call.state, CallState::Done { .. }))
    });
    let record = scene.sim.record(&scene.node).unwrap();
    let volume = match (of, &record.identity.root) {
        ("root", RootHead::Live { volume: Some(volume), .. }) => volume.clone(),
        _ => match &record.identity.data.iter().find(|d| d.device == of).unwrap().head {
            DataHead::Volume { id, .. } => id.clone(),
            DataHead::Fresh => panic!("{of} has a volume"),
        },
    };
    let CallState::Done { id: Some(snapshot) } =
        record.row(Row::Capture).unwrap().calls[&call].state.clone()
    else {
        panic!("it was begun");
    };
    match scene.sim.cloud.truly(&snapshot) {
        Some(Fact::Snapshot(s)) => assert_eq!(s.state, SnapshotState::Pending),
        other => panic!("{other:?}"),
    }
    (scene, volume.0, snapshot)
}

/// The same, and the volume was deleted from outside. Returns the snapshot.
fn without_volume(seed: u64, shape: Shape, of: &str) -> (Scene, String) {
    let (mut scene, volume, snapshot) = moving(seed, shape, of);
    let now = scene.sim.now;
    scene.sim.cloud.delete_behind(now, &volume);
    (scene, snapshot)
}

fn nobody_was_asked(scene: &Scene) {
    let asked = scene.sim.story.iter().find(|e| e.code == "needs-decision");
    assert!(asked.is_none(), "{asked:?}\n{}", scene.sim.told());
}

#[test]
fn a_volume_that_is_deleted_while_it_is_being_saved_is_not_missed() {
    for (shape, of) in [(ROAMING, "/dev/xvdb"), (SNAPSHOTS, "/dev/xvdc"), (SNAPSHOTS, "root")] {
        for seed in 1..=4 {
            let (mut scene, _) = without_volume(seed, shape, of);
            let before = scene.generation();
            scene.sim.run_for(10 * SECOND);
            scene.wait_for_end(Kind::Lost, before);
            nobody_was_asked(&scene);
            scene.judge(Kind::Lost);
        }
    }
}

#[test]
fn a_pause_keeps_what_was_saved_of_a_volume_that_is_gone() {
    for dies in [false, true] {
        for (moment, seed) in (0..6).map(|n| (n * 15 * SECOND, 10 + n)) {
            let (mut scene, snapshot) = without_volume(seed, ROAMING, "/dev/xvdb");
            scene.sim.run_for(moment);
            scene.sim.say(UserCommand::Pause(scene.node.clone()));
            if dies {
                // The next controller knows nothing of the volume at first.
                scene.sim.run_for(moment / 7);
                scene.sim.kill_controller();
            }
            scene.sim.run_for(15 * MINUTE);
            let record = scene.sim.record(&scene.node).unwrap();
            if record.status() == "PAUSED" {
                let there = scene.sim.cloud.truly(&snapshot);
                assert!(matches!(there, Some(Fact::Snapshot(_))), "{}", scene.sim.told());
                let before = scene.generation();
                scene.trigger(Kind::Resume, ROAMING);
                scene.wait_for_end(Kind::Resume, before);
            }
            nobody_was_asked(&scene);
            scene.judge(Kind::Resume);
        }
    }
}

#[test]
fn what_a_pause_kept_can_be_returned_to_and_nothing_of_it_is_left_over() {
    let (mut scene, _, snapshot) = moving(20, ROAMING, "/dev/xvdb");
    scene.sim.say(UserCommand::Pause(scene.node.clone()));
    scene.sim.run_for(15 * MINUTE);
    let record = scene.sim.record(&scene.node).unwrap();
    assert_eq!(record.status(), "PAUSED");
    assert!(
        record.kept.final_snapshots.iter().any(|f| f.snapshot.as_str() == snapshot),
        "{:?}",
        record.kept.final_snapshots
    );
    let (id, before) = (scene.node.clone(), record.generations.number());
    scene.sim.cloud.truth_mut().returns(&id);
    let to = Target::Generation(before);
    scene.sim.say(UserCommand::Rollback { id, to, data: Some(true) });
    scene.wait_for_end(Kind::Rollback, before);
    for _ in 0..4 {
        let before = scene.generation();
        scene.trigger(Kind::Recycle, ROAMING);
        scene.wait_for_end(Kind::Recycle, before);
    }
    scene.judge(Kind::Recycle);
}
