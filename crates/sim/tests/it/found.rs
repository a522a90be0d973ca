//! What was once found by chance, each as a scene of its own.

use crate::scene::{ROAMING, SNAPSHOTS, Scene, Shape, WHOLE};
use holdfast_cloud_sim::{Fault, Span, When};
use holdfast_controller::Input;
use holdfast_model::facts::{Fact, Health, ResourceKind};
use holdfast_model::record::DataHead;
use holdfast_model::standing::Cause;
use holdfast_model::time::{HOUR, MINUTE, SECOND};
use holdfast_model::user::UserCommand;
use holdfast_model::{CallState, Command, Kind, Row, tags};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn nobody_was_asked(scene: &Scene) {
    let asked = scene.sim.story.iter().find(|e| e.code == "needs-decision");
    assert!(asked.is_none(), "{asked:?}\n{}", scene.sim.told());
}

/// How often the fleet has made a call.
fn made(scene: &Scene, action: &str) -> usize {
    scene.sim.calls.iter().filter(|called| **called == action).count()
}

fn until_called(scene: &mut Scene, action: &'static str, times: usize) {
    scene.wait(action, |s, _| s.calls.iter().filter(|c| **c == action).count() >= times);
}

/// The calls that make the volume of a device.
fn makes(device: &'static str) -> impl Fn(&Command) -> bool + Send + Sync {
    move |command| match command {
        Command::CreateVolume { tags, .. } => {
            tags.get(tags::ROLE).is_some_and(|role| role.ends_with(device))
        }
        _ => false,
    }
}

#[test]
fn a_launch_is_done_only_when_every_new_volume_is_made_whichever_is_answered_last() {
    for late in ["/dev/xvdb", "/dev/xvdc"] {
        let mut scene = Scene::empty(81, ROAMING);
        let soon = if late == "/dev/xvdb" { "/dev/xvdc" } else { "/dev/xvdb" };
        // Both are made at once. When the first answer arrives, the instance runs already.
        for (device, lost) in [(soon, 6), (late, 7)] {
            let when = When::Matches(Arc::new(makes(device)), lost);
            scene.sim.cloud.faults().add(when, Fault::LostReply);
        }
        scene.create(ROAMING);
        scene.wait("launched", |s, n| {
            s.record(n).and_then(|r| r.work.clone()).is_some_and(|r| r.is_done(Row::Launch))
        });
        let record = scene.sim.record(&scene.node).unwrap();
        let made = |data: &holdfast_model::record::DataVolume| match &data.head {
            DataHead::Volume { id, .. } => scene.sim.cloud.truly(id.as_str()).is_some(),
            DataHead::Fresh => false,
        };
        assert!(record.identity.data.iter().all(made), "{late}: {:?}", record.identity.data);
        scene.wait_for_end(Kind::Create, 0);
        nobody_was_asked(&scene);
        scene.judge(Kind::Create);
    }
}

/// The interface that a new node keeps, as soon as it is made.
fn first_interface(scene: &Scene) -> String {
    let all = scene.sim.cloud.resources(&scene.node);
    let mut interfaces = all.iter().filter(|fact| fact.kind() == ResourceKind::Interface);
    interfaces.next().expect("it is made").id().to_owned()
}

#[test]
fn an_interface_that_is_deleted_before_it_was_used_is_made_again_and_holds_up_no_deletion() {
    for word in [Kind::Create, Kind::Delete] {
        let mut scene = Scene::empty(82, WHOLE);
        scene.create(WHOLE);
        until_called(&mut scene, "CreateNetworkInterface", 1);
        // Its answer is heard while nothing may be planned.
        scene.sim.order(Input::Freeze(Cause::Asked, "somebody looks".to_owned()));
        scene.sim.run_for(10 * SECOND);
        let record = scene.sim.record(&scene.node).unwrap();
        let mut calls = record.row(Row::Launch).unwrap().calls.values();
        assert!(calls.all(|call| matches!(call.state, CallState::Done { .. })), "{record:?}");
        assert!(record.identity.interface.is_none(), "{record:?}");
        let (now, first) = (scene.sim.now, first_interface(&scene));
        scene.sim.cloud.delete_behind(now, &first);
        scene.sim.run_for(5 * MINUTE);
        scene.sim.order(Input::Thaw);
        if word == Kind::Delete {
            scene.trigger(Kind::Delete, WHOLE);
        }
        scene.wait_for_end(word, 0);
        nobody_was_asked(&scene);
        assert!(scene.sim.story.iter().any(|e| e.code == "interface-lost"), "{word:?}");
        scene.judge(word);
    }
}

#[test]
fn an_interface_that_is_deleted_before_its_makers_answer_comes_is_made_anew() {
    for word in [Kind::Create, Kind::Delete] {
        let mut scene = Scene::empty(83, WHOLE);
        let next = When::next("CreateNetworkInterface");
        scene.sim.cloud.faults().add(next, Fault::LostReply);
        scene.create(WHOLE);
        until_called(&mut scene, "CreateNetworkInterface", 1);
        let (now, first) = (scene.sim.now, first_interface(&scene));
        scene.sim.cloud.delete_behind(now, &first);
        if word == Kind::Delete {
            scene.trigger(Kind::Delete, WHOLE);
        }
        scene.wait_for_end(word, 0);
        nobody_was_asked(&scene);
        scene.judge(word);
    }
}

#[test]
fn deletions_that_meet_something_in_use_leave_the_node_its_calls() {
    let mut scene = Scene::serving(84, SNAPSHOTS);
    let in_use = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&in_use);
    let deletes = move |c: &Command| c.action() == "DeleteVolume" && asked.load(Ordering::Relaxed);
    let when = When::Matches(Arc::new(deletes), u32::MAX);
    scene.sim.cloud.faults().add(when, Fault::conflict());
    let before = scene.generation();
    scene.trigger(Kind::Lost, SNAPSHOTS);
    until_called(&mut scene, "DeleteVolume", 1);
    scene.sim.run_for(MINUTE);
    let deletions = made(&scene, "DeleteVolume");
    assert!((3..=50).contains(&deletions), "three volumes: {deletions} calls in a minute");
    in_use.store(false, Ordering::Relaxed);
    scene.wait_for_end(Kind::Lost, before);
    scene.wait("tidied up", |s, n| {
        s.record(n).is_some_and(|r| r.work.is_none() && r.kept.pending_deletion.is_empty())
    });
    scene.judge(Kind::Lost);
}

/// A node without a shutdown script: it is stopped at once.
const HASTY: Shape = Shape { script: false, ..SNAPSHOTS };

/// A node of whose set of snapshots nobody has heard: who asked has died, and its successor believes
/// that the answer is hours late and asks for it no more. They show only after a while.
fn with_a_set_unheard_of(seed: u64) -> (Scene, Vec<String>) {
    let mut scene = Scene::serving(seed, HASTY);
    let config = scene.sim.cloud.config();
    (config.shutting_down, config.release) = (Span::exactly(SECOND), Span::exactly(SECOND));
    let taken = made(&scene, "CreateSnapshots");
    until_called(&mut scene, "CreateSnapshots", taken + 1);
    let now = scene.sim.now;
    let all = scene.sim.cloud.resources(&scene.node);
    let snapshots = all.iter().filter(|fact| fact.kind() == ResourceKind::Snapshot);
    let ids: Vec<String> = snapshots.map(|fact| fact.id().to_owned()).collect();
    for id in &ids {
        scene.sim.cloud.hide(now, id, now.plus(29 * SECOND));
    }
    scene.sim.wrong_clock(2 * HOUR as i64);
    scene.wait("given up", |s, n| {
        s.is_up() && s.record(n).is_some_and(|r| r.upkeep.pending.is_none())
    });
    (scene, ids)
}

#[test]
fn a_node_that_is_given_up_before_its_set_was_seen_leaves_nothing() {
    let (mut scene, _) = with_a_set_unheard_of(85);
    scene.trigger(Kind::Delete, HASTY);
    scene.wait_for_end(Kind::Delete, 0);
    scene.judge(Kind::Delete);
}

#[test]
fn what_shows_up_after_nobody_asked_for_it_any_more_is_deleted() {
    let (mut scene, ids) = with_a_set_unheard_of(88);
    assert!(!ids.is_empty(), "snapshots were taken");
    scene.sim.run_for(10 * MINUTE);
    for id in ids {
        assert_eq!(scene.sim.cloud.truly(&id), None, "{}", scene.sim.told());
    }
    scene.judge(Kind::Lost);
}

#[test]
fn an_instance_that_gets_well_after_it_was_given_up_unready_is_replaced_all_the_same() {
    let mut scene = Scene::serving(89, WHOLE);
    let first = scene.generation();
    scene.trigger(Kind::Lost, WHOLE);
    // After so many of them the pause before the next attempt is longer than a sweep.
    for attempt in 1..=6 {
        scene.wait("an instance that is not ready", |s, n| {
            s.record(n).is_some_and(|r| {
                let launched = r.work.as_ref().is_some_and(|p| p.is_done(Row::Launch));
                r.generations.number() == first + attempt && launched
            })
        });
        let holder = scene.sim.record(&scene.node).unwrap().instance.clone().unwrap();
        scene.sim.cloud.set_health(scene.sim.now, &holder.id, Health::Impaired);
        scene.wait("given up", |s, n| {
            let record = s.record(n).unwrap();
            let lost = record.memory.history.iter().rev().take_while(|h| h.lost_again).count();
            lost as u64 == attempt
        });
    }
    scene.wait("resting", |s, n| s.record(n).is_some_and(|r| r.work.is_none()));
    let holder = scene.sim.record(&scene.node).unwrap().instance.clone().unwrap();
    scene.sim.cloud.set_health(scene.sim.now, &holder.id, Health::Ok);
    scene.wait_for_end(Kind::Unhealthy, first + 6);
    let next = scene.sim.record(&scene.node).unwrap().instance.clone().unwrap();
    assert_ne!(next.id, holder.id);
    scene.judge(Kind::Unhealthy);
}

/// A node whose set of snapshots is asked for, the answer lost, while an older snapshot is tidied up.
fn with_a_set_while_tidying(seed: u64) -> (Scene, usize) {
    let mut scene = Scene::serving(seed, SNAPSHOTS);
    scene.wait("three sets", |s, n| s.record(n).is_some_and(|r| r.upkeep.sets.len() == 3));
    let next = Arc::new(AtomicBool::new(false));
    let (early, late) = (Arc::clone(&next), Arc::clone(&next));
    let is = |c: &Command| c.action() == "DeleteSnapshot";
    let in_use = move |c: &Command| is(c) && !early.load(Ordering::Relaxed);
    let refused = move |c: &Command| is(c) && late.load(Ordering::Relaxed);
    let faults = scene.sim.cloud.faults();
    faults.add(When::Matches(Arc::new(in_use), u32::MAX), Fault::conflict());
    faults.add(When::Matches(Arc::new(refused), 1), Fault::refused());
    let deleted = made(&scene, "DeleteSnapshot");
    until_called(&mut scene, "DeleteSnapshot", deleted + 1);
    faults_of_the_next_set(&mut scene);
    let taken = made(&scene, "CreateSnapshots");
    until_called(&mut scene, "CreateSnapshots", taken + 1);
    next.store(true, Ordering::Relaxed);
    scene.wait("tidying up", |s, n| {
        let replacement = s.record(n).and_then(|r| r.work.clone());
        replacement.is_some_and(|r| r.kind == Kind::Tidy)
    });
    (scene, taken + 1)
}

fn faults_of_the_next_set(scene: &mut Scene) {
    let next = When::next("CreateSnapshots");
    scene.sim.cloud.faults().add(next, Fault::LostReply);
}

#[test]
fn snapshots_that_meet_something_in_use_leave_the_node_its_calls_and_no_set_is_taken_twice() {
    let (mut scene, taken) = with_a_set_while_tidying(86);
    scene.wait("tidied up", |s, n| s.record(n).is_some_and(|r| r.work.is_none()));
    scene.wait("taken", |s, n| s.record(n).is_some_and(|r| r.upkeep.pending.is_none()));
    assert_eq!(made(&scene, "CreateSnapshots"), taken, "{}", scene.sim.told());
    assert!(scene.sim.story.iter().all(|e| e.code != "snapshots-failed"), "{}", scene.sim.told());
    scene.judge(Kind::Tidy);
}

#[test]
fn snapshots_of_two_instants_are_no_set_and_none_of_them_stays() {
    let mut scene = Scene::serving(87, SNAPSHOTS);
    scene.sim.cloud.config().snapshot = Span::exactly(2 * MINUTE);
    let taken = made(&scene, "CreateSnapshots");
    until_called(&mut scene, "CreateSnapshots", taken + 1);
    let record = scene.sim.record(&scene.node).unwrap();
    let again = record.upkeep.row.calls.values().next().expect("a set is taken").command.clone();
    scene.sim.run_for(30 * SECOND);
    // An attempt that was on its way all the time arrives after all.
    let now = scene.sim.now;
    scene.sim.cloud.as_user(now, &again).expect("it is taken twice");
    scene.wait("given up", |s, n| s.record(n).is_some_and(|r| r.upkeep.pending.is_none()));
    assert!(scene.sim.story.iter().any(|e| e.code == "snapshots-failed"), "{}", scene.sim.told());
    scene.wait("the next set", |s, n| s.record(n).is_some_and(|r| !r.upkeep.sets.is_empty()));
    for set in &scene.sim.record(&scene.node).unwrap().upkeep.sets {
        let begun = set.snapshots.values().map(|id| match scene.sim.cloud.truly(id.as_str()) {
            Some(Fact::Snapshot(s)) => s.started_at,
            other => panic!("{other:?}"),
        });
        assert!(begun.collect::<std::collections::BTreeSet<_>>().len() == 1, "{set:?}");
    }
    scene.judge(Kind::Lost);
}

/// Its user keeps the root no longer, at a moment when it has been fenced and not captured.
#[test]
fn a_root_that_is_kept_no_longer_while_no_market_fits_is_not_left_over() {
    let mut scene = Scene::serving(90, WHOLE);
    let before = scene.generation();
    let update = |scene: &mut Scene, patch| {
        let word = scene.sim.say(UserCommand::Update { id: scene.node.clone(), patch });
        scene.sim.run_for(SECOND);
        assert!(scene.sim.answers[&word].is_ok(), "{:?}", scene.sim.answers[&word]);
    };
    // Its address lies in another subnet.
    update(&mut scene, json!({"compute": {"subnetIds": ["subnet-sim-1b"]}}));
    scene.trigger(Kind::Lost, WHOLE);
    scene.wait("fenced, and without a market", |s, n| {
        let record = s.record(n).unwrap();
        record.blocked.decision().is_some()
            && record.work.as_ref().is_some_and(|r| r.is_done(Row::Fence))
    });
    let shape = Shape { root: false, ..WHOLE };
    scene.expect(shape);
    let kept = json!({"persistRootDevice": false});
    let subnets = json!({"subnetIds": ["subnet-sim-1a"]});
    update(&mut scene, json!({"persistence": kept, "compute": subnets}));
    scene.wait_for_end(Kind::Lost, before);
    scene.judge(Kind::Lost);
}
