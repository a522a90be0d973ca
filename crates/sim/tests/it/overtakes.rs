//! While what is superseded is deleted, and a deletion gets no answer, the world goes on: whatever
//! happens to the node begins at once, and does not wait for the deletion.

use crate::scene::{SNAPSHOTS, Scene, WHOLE};
use holdfast_cloud_sim::{Fault, When};
use holdfast_model::record::DataHead;
use holdfast_model::time::MINUTE;
use holdfast_model::user::UserCommand;
use holdfast_model::{Command, Kind, Record, Row};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What may happen to a node that serves.
const HAPPENS: [Kind; 7] = [
    Kind::Pause,
    Kind::Delete,
    Kind::Recycle,
    Kind::Rollback,
    Kind::Lost,
    Kind::Notice,
    Kind::Unhealthy,
];

/// Volumes are not deleted: no request arrives until the switch is turned off.
fn deletions_are_lost(scene: &mut Scene) -> Arc<AtomicBool> {
    let lost = Arc::new(AtomicBool::new(true));
    let on = Arc::clone(&lost);
    let is = move |c: &Command| c.action() == "DeleteVolume" && on.load(Ordering::Relaxed);
    scene.sim.cloud.faults().add(When::Matches(Arc::new(is), u32::MAX), Fault::LostRequest);
    lost
}

fn in_flight(scene: &Scene) -> Option<Kind> {
    scene.sim.record(&scene.node)?.work.as_ref().map(|r| r.kind)
}

/// Something happens: its replacement is under way soon, and all ends well once deletions arrive.
fn begins_at_once(mut scene: Scene, kind: Kind, lost: &AtomicBool) {
    let before = scene.generation();
    scene.trigger(kind, SNAPSHOTS);
    // A deletion without an answer is left to later after five minutes: nothing waits for that.
    let soon = scene.sim.now.plus(3 * MINUTE);
    scene.wait("begun", |s, n| {
        let kind_now = s.record(n).and_then(|r| r.work.as_ref().map(|r| r.kind));
        s.now <= soon && kind_now == Some(kind)
    });
    lost.store(false, Ordering::Relaxed);
    scene.wait_for_end(kind, before);
    scene.judge(kind);
}

#[test]
fn a_node_that_serves_and_still_deletes_what_it_was_takes_up_whatever_happens() {
    for (seed, kind) in (501..).zip(HAPPENS) {
        let mut scene = Scene::serving(seed, SNAPSHOTS);
        let lost = deletions_are_lost(&mut scene);
        scene.trigger(Kind::Lost, SNAPSHOTS);
        let retires = |r: &Record| {
            r.work.as_ref().is_some_and(|r| r.is_done(Row::Ready) && r.has_called(Row::Retire))
        };
        scene.wait("retiring", |s, n| s.record(n).is_some_and(|r| retires(&r)));
        begins_at_once(scene, kind, &lost);
    }
}

#[test]
fn a_node_that_only_tidies_up_takes_up_whatever_happens() {
    for (seed, kind) in (521..).zip(HAPPENS) {
        let mut scene = Scene::serving(seed, SNAPSHOTS);
        let refused = |c: &Command| c.action() == "DeleteVolume";
        scene.sim.cloud.faults().add(When::Matches(Arc::new(refused), 15), Fault::refused());
        let before = scene.generation();
        scene.trigger(Kind::Lost, SNAPSHOTS);
        scene.wait_for_end(Kind::Lost, before);
        scene.wait("left to later", |s, n| s.record(n).is_some_and(|r| r.work.is_none()));
        let lost = deletions_are_lost(&mut scene);
        scene.wait("tidying", |s, n| {
            s.record(n).and_then(|r| r.work.as_ref().map(|r| r.kind)) == Some(Kind::Tidy)
        });
        begins_at_once(scene, kind, &lost);
    }
}

#[test]
fn a_paused_node_whose_volume_is_being_deleted_resumes_at_once() {
    let mut scene = Scene::serving(540, WHOLE);
    scene.trigger(Kind::Pause, WHOLE);
    scene.wait_for_end(Kind::Pause, 1);
    let record = scene.sim.record(&scene.node).unwrap();
    let volume = record.identity.data.iter().find_map(|d| match &d.head {
        DataHead::Volume { id, .. } => Some(id.clone()),
        DataHead::Fresh => None,
    });
    let lost = deletions_are_lost(&mut scene);
    scene.sim.cloud.truth_mut().release(&scene.node);
    let id = scene.node.clone();
    scene.sim.say(UserCommand::DeleteVolume { id, volume: volume.expect("a kept volume") });
    scene.sim.run_for(MINUTE);
    assert_eq!(in_flight(&scene), Some(Kind::Tidy), "{}", scene.sim.told());
    scene.sim.say(UserCommand::Resume(scene.node.clone()));
    scene.sim.run_for(MINUTE);
    assert_eq!(in_flight(&scene), Some(Kind::Resume), "{}", scene.sim.told());
    scene.wait("ACTIVE", |s, n| s.record(n).is_some_and(|r| r.status() == "ACTIVE"));
    lost.store(false, Ordering::Relaxed);
}

#[test]
fn a_launch_that_every_market_refuses_follows_the_spec_that_its_user_mends() {
    let mut scene = Scene::serving(550, SNAPSHOTS);
    let of_old =
        |c: &Command| matches!(c, Command::RunInstances(l) if l.market.instance_type == "m5.large");
    scene.sim.cloud.faults().add(When::Matches(Arc::new(of_old), u32::MAX), Fault::refused());
    let before = scene.generation();
    scene.trigger(Kind::Lost, SNAPSHOTS);
    scene.wait("a question", |s, n| s.record(n).is_some_and(|r| r.blocked.decision().is_some()));
    let patch =
        json!({"compute": {"launchSpecification": {"instanceTypes": {"types": ["r5.large"]}}}});
    scene.sim.say(UserCommand::Update { id: scene.node.clone(), patch });
    scene.wait_for_end(Kind::Lost, before);
    let holder = scene.sim.record(&scene.node).unwrap().instance.clone().unwrap();
    assert_eq!(holder.market.instance_type, "r5.large");
    scene.judge(Kind::Lost);
}
