//! Snapshots while a node runs.

use crate::scene::{SNAPSHOTS, Scene, Shape, WHOLE};
use holdfast_model::facts::{Fact, Health, SnapshotState};
use holdfast_model::record::{DataHead, Record, RootHead, SnapshotSet};
use holdfast_model::tags::Tags;
use holdfast_model::time::{HOUR, MINUTE, SECOND};
use holdfast_model::user::{Choice, Target, UserCommand};
use holdfast_model::{Command, Kind, Row};
use holdfast_sim::{Crash, Side};
use std::sync::Arc;

fn record(scene: &Scene) -> Arc<Record> {
    scene.sim.record(&scene.node).expect("a node")
}

/// A node that has run long enough for its sets.
fn with_sets(seed: u64, shape: Shape) -> Scene {
    let mut scene = Scene::serving(seed, shape);
    scene.wait("three sets", |s, n| s.record(n).is_some_and(|r| r.upkeep.sets.len() == 3));
    scene
}

fn calls(scene: &Scene, action: &str) -> usize {
    scene.sim.calls.iter().filter(|c| **c == action).count()
}

#[test]
fn while_a_node_runs_its_volumes_are_saved_together_every_five_minutes_and_three_sets_stay() {
    let mut scene = Scene::serving(71, SNAPSHOTS);
    scene.sim.run_for(HOUR);
    let taken = calls(&scene, "CreateSnapshots");
    assert!((10..=12).contains(&taken), "{taken} in an hour");
    scene.sim.run_for(2 * MINUTE);
    let upkeep = record(&scene).upkeep.clone();
    assert_eq!(upkeep.sets.len(), 3);
    for set in &upkeep.sets {
        assert_eq!(set.snapshots.len(), 3, "the root and two data volumes: {set:?}");
        let begun: Vec<_> = set
            .snapshots
            .values()
            .map(|id| match scene.sim.cloud.truly(id.as_str()) {
                Some(Fact::Snapshot(s)) => {
                    assert_eq!(s.state, SnapshotState::Completed);
                    s.started_at
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(begun.windows(2).all(|w| w[0] == w[1]), "at one instant: {begun:?}");
    }
    let snapshots = scene.sim.cloud.resources(&scene.node);
    let kept = snapshots.iter().filter(|f| matches!(f, Fact::Snapshot(_))).count();
    assert!(kept <= 4 * 3, "what is older was deleted: {kept}");
    scene.judge(Kind::Lost);
}

#[test]
fn a_volume_that_is_attached_again_and_what_is_not_kept_are_not_saved() {
    let scene = with_sets(72, WHOLE);
    for set in &record(&scene).upkeep.sets {
        assert_eq!(set.snapshots.keys().collect::<Vec<_>>(), ["root"]);
    }
    let mut bare = Scene::serving(72, crate::scene::ROAMING);
    bare.sim.run_for(HOUR);
    assert_eq!(calls(&bare, "CreateSnapshots"), 0);
    bare.judge(Kind::Lost);
}

#[test]
fn the_interval_stretches_with_the_fleet() {
    let mut scene = Scene::serving(73, SNAPSHOTS);
    scene.sim.run_for(20 * MINUTE);
    assert_eq!(record(&scene).upkeep.interval_ms, 5 * MINUTE);
    let tuning = holdfast_engine::Tuning::ec2();
    // 1,500 volumes a region and five minutes: all that the bucket gives; half of it, 750.
    assert_eq!(750 * tuning.snapshot_spacing, tuning.snapshot_interval);
}

#[test]
fn whatever_kills_the_controller_each_set_is_taken_once_and_none_is_forgotten() {
    let mut clean = Scene::serving(74, SNAPSHOTS);
    let first = clean.sim.effects + 1;
    clean.sim.run_for(25 * MINUTE);
    let last = clean.sim.effects;
    assert!(last > first + 6, "there is something to kill it at");
    for effect in first..=last {
        for side in [Side::Before, Side::After] {
            let mut scene = Scene::serving(74, SNAPSHOTS);
            scene.sim.crash = Some(Crash { effect, side });
            scene.sim.run_for(40 * MINUTE);
            assert_eq!(scene.sim.deaths, 1, "it died at {side:?} {effect}");
            assert_eq!(record(&scene).upkeep.sets.len(), 3, "{side:?} {effect}");
            let taken = calls(&scene, "CreateSnapshots");
            assert!(taken <= 8, "{taken} calls at {side:?} {effect}");
            scene.judge(Kind::Lost);
        }
    }
}

#[test]
fn a_set_that_shows_up_after_it_was_given_up_is_deleted() {
    let mut clean = Scene::serving(74, SNAPSHOTS);
    let first = clean.sim.effects + 1;
    clean.sim.run_for(12 * MINUTE);
    for effect in first..=clean.sim.effects {
        let mut scene = Scene::serving(74, SNAPSHOTS);
        scene.sim.crash = Some(Crash { effect, side: Side::After });
        scene.wait("the controller's death", |s, _| s.deaths == 1);
        // The clock goes wrong meanwhile: what was just asked for seems to be hours late.
        scene.sim.wrong_clock(2 * HOUR as i64);
        scene.sim.run_for(HOUR);
        let mut known = scene.known();
        let record = record(&scene);
        known.extend(record.kept.pending_deletion.iter().map(|s| s.id.clone()));
        known.extend(record.upkeep.pending.iter().flat_map(|set| {
            let of_set = |f: &Fact| matches!(f, Fact::Snapshot(s) if s.started_at >= set.begun_at);
            scene
                .sim
                .cloud
                .resources(&scene.node)
                .into_iter()
                .filter(of_set)
                .map(|f| f.id().to_owned())
                .collect::<Vec<_>>()
        }));
        for fact in scene.sim.cloud.resources(&scene.node) {
            let is_snapshot = matches!(fact, Fact::Snapshot(_));
            assert!(
                !is_snapshot || known.iter().any(|id| id == fact.id()),
                "{effect}: {} is forgotten",
                fact.id()
            );
        }
    }
}

#[test]
fn a_node_returns_to_what_was_saved_while_it_ran() {
    let mut scene = with_sets(75, SNAPSHOTS);
    let set: SnapshotSet = record(&scene).upkeep.sets[1].clone();
    let node = scene.node.clone();
    scene.sim.cloud.truth_mut().returns(&node);
    let to = Target::Snapshot(set.snapshots["root"].clone());
    scene.sim.say(UserCommand::Rollback { id: node, to, data: None });
    let before = scene.generation();
    scene.wait_for_end(Kind::Rollback, before);
    let wanted = &set.snapshots["/dev/xvdb"];
    let restored = scene.sim.cloud.resources(&scene.node).into_iter().any(|fact| {
        matches!(fact, Fact::Volume(v)
            if v.snapshot.as_ref() == Some(wanted) && v.attached_to.is_some())
    });
    assert!(restored, "{}", scene.sim.told());
    for _ in 0..4 {
        let before = scene.generation();
        scene.trigger(Kind::Recycle, SNAPSHOTS);
        scene.wait_for_end(Kind::Recycle, before);
    }
    scene.judge(Kind::Rollback);
}

#[test]
fn a_root_that_was_deleted_from_outside_is_restored_if_a_person_accepts_the_named_loss() {
    let mut scene = with_sets(76, WHOLE);
    let holder = record(&scene).instance.clone().expect("an instance");
    let holdfast_model::record::RootHead::Live { volume: Some(root), .. } =
        record(&scene).identity.root.clone()
    else {
        panic!("it serves")
    };
    let now = scene.sim.now;
    scene.sim.cloud.kill(now, &holder.id);
    // Somebody is quicker than Holdfast.
    for _ in 0..60 {
        scene.sim.run_for(SECOND);
        let now = scene.sim.now;
        let command = Command::DeleteVolume { volume: root.clone() };
        if scene.sim.cloud.call(now, command).result.is_ok() {
            break;
        }
    }
    scene.wait("asked", |s, n| {
        s.record(n).and_then(|r| r.blocked.decision().cloned()).is_some_and(|stuck| {
            stuck.choices().contains(&Choice::Restore) && stuck.why.contains("minutes before")
        })
    });
    let node = scene.node.clone();
    scene.sim.cloud.truth_mut().returns(&node);
    scene.sim.say(UserCommand::Decide { id: node, choice: Choice::Restore });
    let before = scene.generation();
    scene.wait_for_end(Kind::Rollback, before);
}

/// A paused node, and what `restore` is offered for when this is deleted behind its back.
fn deleted_while_paused(scene: &mut Scene, shape: Shape, ids: impl Fn(&Record) -> Vec<String>) {
    scene.trigger(Kind::Pause, shape);
    scene.wait_for_end(Kind::Pause, 0);
    scene.sim.run_for(5 * MINUTE);
    let now = scene.sim.now;
    for id in ids(&record(scene)) {
        scene.sim.cloud.delete_behind(now, &id);
    }
    scene.sim.run_for(5 * MINUTE);
    scene.trigger(Kind::Resume, shape);
}

fn final_of(record: &Record, of: &str) -> String {
    record
        .kept
        .final_snapshots
        .iter()
        .rfind(|f| f.of == of)
        .expect("it is paused")
        .snapshot
        .0
        .clone()
}

fn volume_of(record: &Record, device: &str) -> String {
    match record.identity.data.iter().find(|d| d.device == device).map(|d| &d.head) {
        Some(DataHead::Volume { id, .. }) => id.0.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_final_snapshot_that_was_deleted_from_outside_is_taken_again_while_its_volume_is_there() {
    let mut scene = with_sets(82, SNAPSHOTS);
    deleted_while_paused(&mut scene, SNAPSHOTS, |r| vec![final_of(r, "/dev/xvdb")]);
    scene.wait_for_end(Kind::Resume, 1);
    scene.judge(Kind::Resume);
}

#[test]
fn of_several_volumes_only_the_one_that_was_lost_is_restored_and_the_others_stay_as_they_are() {
    let mut scene = with_sets(77, SNAPSHOTS);
    let last = record(&scene).upkeep.sets[2].clone();
    deleted_while_paused(&mut scene, SNAPSHOTS, |r| {
        vec![final_of(r, "/dev/xvdc"), volume_of(r, "/dev/xvdc")]
    });
    scene.wait("asked", |s, n| {
        let choices = s
            .record(n)
            .and_then(|r| r.blocked.decision().cloned())
            .map(|stuck| stuck.choices().to_vec());
        choices.is_some_and(|choices| choices.contains(&Choice::Restore))
    });
    assert!(record(&scene).instance.is_none(), "nothing is launched without it");
    let kept = record(&scene).kept.final_snapshots.clone();
    let node = scene.node.clone();
    scene.sim.cloud.truth_mut().returns(&node);
    scene.sim.say(UserCommand::Decide { id: node, choice: Choice::Restore });
    let before = scene.generation();
    scene.wait_for_end(Kind::Rollback, before);
    let of = |device: &str| {
        let record = record(&scene);
        let held = record.identity.data.iter().find(|d| d.device == device).expect("a volume");
        let DataHead::Volume { id, .. } = &held.head else { panic!("{held:?}") };
        match scene.sim.cloud.truly(id.as_str()) {
            Some(Fact::Volume(v)) => v.snapshot.clone().expect("made from one"),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(of("/dev/xvdc"), last.snapshots["/dev/xvdc"], "the newest that is left");
    let newest = kept.iter().rfind(|f| f.of == "/dev/xvdb").expect("it is paused");
    assert_eq!(of("/dev/xvdb"), newest.snapshot, "nothing else gave way");
    scene.judge(Kind::Rollback);
}

#[test]
fn what_is_deleted_while_the_next_instance_is_launched_already_can_be_restored_too() {
    let mut scene = with_sets(83, SNAPSHOTS);
    scene.trigger(Kind::Pause, SNAPSHOTS);
    scene.wait_for_end(Kind::Pause, 0);
    scene.trigger(Kind::Resume, SNAPSHOTS);
    scene.wait("captured", |s, n| {
        let replacement = s.record(n).and_then(|r| r.work.clone());
        replacement.is_some_and(|r| r.is_done(Row::Capture))
    });
    let now = scene.sim.now;
    let saved = record(&scene);
    scene.sim.cloud.delete_behind(now, &final_of(&saved, "/dev/xvdb"));
    scene.sim.cloud.delete_behind(now, &volume_of(&saved, "/dev/xvdb"));
    scene.wait("asked", |s, n| {
        let choices = s
            .record(n)
            .and_then(|r| r.blocked.decision().cloned())
            .map(|stuck| stuck.choices().to_vec());
        choices.is_some_and(|choices| choices.contains(&Choice::Restore))
    });
    let node = scene.node.clone();
    scene.sim.cloud.truth_mut().returns(&node);
    scene.sim.say(UserCommand::Decide { id: node, choice: Choice::Restore });
    let before = scene.generation();
    scene.wait_for_end(Kind::Rollback, before);
    scene.judge(Kind::Rollback);
}

#[test]
fn an_image_that_was_deleted_from_outside_is_made_again_from_its_snapshot() {
    let mut scene = with_sets(78, WHOLE);
    deleted_while_paused(&mut scene, WHOLE, |r| match &r.identity.root {
        RootHead::Captured { image, .. } => vec![image.0.clone()],
        other => panic!("{other:?}"),
    });
    scene.wait_for_end(Kind::Resume, 1);
    scene.judge(Kind::Resume);
}

#[test]
fn a_volume_of_which_nothing_is_left_is_asked_about_before_anything_is_launched() {
    let mut scene = with_sets(79, WHOLE);
    deleted_while_paused(&mut scene, WHOLE, |r| vec![volume_of(r, &r.identity.data[0].device)]);
    scene.wait("asked", |s, n| s.record(n).is_some_and(|r| r.blocked.decision().is_some()));
    let stuck = record(&scene).blocked.decision().cloned().expect("asked");
    assert_eq!(stuck.choices(), [Choice::Wait, Choice::Retry], "{}", stuck.why);
    assert!(record(&scene).instance.is_none());
    let word = UserCommand::Decide { id: scene.node.clone(), choice: Choice::Restore };
    let word = scene.sim.say(word);
    scene.sim.run_for(SECOND);
    assert!(scene.sim.answers[&word].is_err());
}

#[test]
fn an_instance_that_is_unwell_pushes_out_none_of_what_was_saved_before() {
    let mut scene = with_sets(80, SNAPSHOTS);
    let holder = record(&scene).instance.clone().expect("an instance");
    let patch = serde_json::json!({"healthCheck": {"autoHealing": false}});
    scene.sim.say(UserCommand::Update { id: scene.node.clone(), patch });
    let now = scene.sim.now;
    scene.sim.cloud.set_health(now, &holder.id, Health::Impaired);
    scene.sim.run_for(5 * MINUTE);
    let before = record(&scene).upkeep.sets.clone();
    scene.sim.run_for(HOUR);
    assert_eq!(record(&scene).upkeep.sets, before);
    let now = scene.sim.now;
    scene.sim.cloud.set_health(now, &holder.id, Health::Ok);
    scene.sim.run_for(20 * MINUTE);
    assert_ne!(record(&scene).upkeep.sets, before, "it goes on by itself");
    scene.judge(Kind::Lost);
}

#[test]
fn snapshots_that_were_not_begun_before_a_replacement_are_given_up_for_it() {
    let mut scene = with_sets(81, SNAPSHOTS);
    let due = record(&scene).upkeep.last_at.plus(5 * MINUTE);
    scene.sim.run_for(due.since(scene.sim.now) - 2 * SECOND);
    // Somebody else's snapshot, after which EBS takes no other one of this volume for a while.
    let DataHead::Volume { id, .. } = record(&scene).identity.data[0].head.clone() else {
        panic!("a volume")
    };
    let command = Command::CreateSnapshot { volume: id, tags: Tags::new() };
    let now = scene.sim.now;
    assert!(scene.sim.cloud.call(now, command).result.is_ok());
    let before = calls(&scene, "CreateSnapshots");
    scene.wait("refused for now", |s, _| {
        s.calls.iter().filter(|c| **c == "CreateSnapshots").count() > before
    });
    let before = calls(&scene, "CreateSnapshots");
    let (sets, generation) = (record(&scene).upkeep.sets.clone(), scene.generation());
    scene.trigger(Kind::Recycle, SNAPSHOTS);
    scene.wait_for_end(Kind::Recycle, generation);
    assert_eq!(calls(&scene, "CreateSnapshots"), before, "it was not said again");
    assert!(record(&scene).upkeep.pending.is_none());
    assert_eq!(record(&scene).upkeep.sets, sets, "what had been saved is kept");
    scene.judge(Kind::Recycle);
}
