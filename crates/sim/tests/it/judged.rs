//! What the simulation once held against a fleet that did nothing wrong.

use crate::scene::{LIGHT, ROAMING, Scene};
use holdfast_cloud_sim::{Fault, When};
use holdfast_controller::Input;
use holdfast_model::facts::Fact;
use holdfast_model::standing::Cause;
use holdfast_model::time::{HOUR, MINUTE, SECOND};
use holdfast_model::{Command, Kind, Row, Token};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A node whose replacement cannot attach its volumes until the flag is taken down.
fn waiting(seed: u64) -> (Scene, Arc<AtomicBool>) {
    let mut scene = Scene::serving(seed, ROAMING);
    let waits = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&waits);
    let attaches = move |c: &Command| c.action() == "AttachVolume" && flag.load(Ordering::Relaxed);
    scene.sim.cloud.faults().add(When::Matches(Arc::new(attaches), u32::MAX), Fault::conflict());
    scene.trigger(Kind::Lost, ROAMING);
    scene.wait("attaching", |s, n| {
        s.record(n).is_some_and(|r| r.row(Row::Attach).is_some_and(|row| row.started_at.is_some()))
    });
    scene.sim.run_for(6 * MINUTE);
    (scene, waits)
}

fn nothing_is_wrong(scene: &Scene) {
    let violations = scene.sim.cloud.violations();
    assert!(violations.is_empty(), "{violations:#?}\n{}", scene.sim.told());
}

#[test]
fn a_wait_that_only_seems_long_because_the_clock_jumped_is_no_silence() {
    // The nodes are looked at every other minute: in one of these the next look is the first thing
    // that happens.
    for tens in 0..13 {
        let (mut scene, waits) = waiting(91);
        scene.sim.run_for(tens * 10 * SECOND);
        scene.sim.wrong_clock(2 * HOUR as i64);
        scene.sim.run_for(2 * MINUTE);
        nothing_is_wrong(&scene);
        waits.store(false, Ordering::Relaxed);
        scene.wait_for_end(Kind::Lost, 1);
        scene.judge(Kind::Lost);
    }
}

#[test]
fn a_wait_in_a_frozen_fleet_is_no_silence() {
    let (mut scene, waits) = waiting(92);
    scene.sim.order(Input::Freeze(Cause::Asked, "somebody looks".to_owned()));
    scene.sim.run_for(2 * HOUR);
    nothing_is_wrong(&scene);
    scene.sim.order(Input::Thaw);
    scene.sim.run_for(MINUTE);
    waits.store(false, Ordering::Relaxed);
    scene.wait_for_end(Kind::Lost, 1);
    scene.judge(Kind::Lost);
}

#[test]
fn many_leftovers_that_are_each_deleted_once_are_no_flood_of_calls() {
    let mut scene = Scene::serving(93, ROAMING);
    let all = scene.sim.cloud.resources(&scene.node);
    let data = all.into_iter().find_map(|fact| match fact {
        Fact::Volume(v) if v.attached_to.as_ref().is_some_and(|(_, d)| d == "/dev/xvdb") => Some(v),
        _ => None,
    });
    let data = data.expect("it has a data volume");
    for number in 0..120 {
        let make = Command::CreateVolume {
            token: Token(format!("leftover-{number}")),
            zone: data.zone.clone(),
            size_gib: 1,
            snapshot: None,
            settings: serde_json::Map::new(),
            tags: data.tags.clone(),
        };
        let now = scene.sim.now;
        scene.sim.cloud.as_user(now, &make).expect("made");
    }
    scene.sim.run_for(90 * SECOND);
    let before = scene.sim.now;
    scene.trigger(Kind::Delete, ROAMING);
    scene.wait_for_end(Kind::Delete, 0);
    let deletions = scene.sim.cloud.calls().iter();
    let times = deletions.filter(|(at, what, _)| *at >= before && *what == "DeleteVolume");
    let times: Vec<u64> = times.map(|(at, _, _)| at.0).collect();
    let most = times
        .iter()
        .map(|from| times.iter().filter(|at| (*from..from + MINUTE).contains(at)).count());
    assert!(most.max().unwrap_or(0) > 100, "many in one minute: {times:?}");
    scene.judge(Kind::Delete);
}

#[test]
fn the_root_and_the_interface_of_an_instance_that_stood_by_in_vain_are_known_by_it() {
    let mut scene = Scene::serving(94, LIGHT);
    let holder = scene.sim.record(&scene.node).unwrap().instance.clone().unwrap().id;
    // It cannot be ended for a while: its node is at rest meanwhile.
    let ends = move |c: &Command| match c {
        Command::TerminateInstances { instance } => instance != &holder,
        _ => false,
    };
    scene.sim.cloud.faults().add(When::Matches(Arc::new(ends), 5), Fault::refused());
    scene.trigger(Kind::Recycle, LIGHT);
    scene.wait("standing by", |s, n| s.cloud.living(n).len() == 2);
    scene.trigger(Kind::Pause, LIGHT);
    scene.wait("at rest", |s, n| {
        let at_rest = s.record(n).is_some_and(|r| r.work.is_none() && r.instance.is_none());
        at_rest && s.cloud.living(n).len() == 1
    });
    nothing_is_wrong(&scene);
    scene.wait("ended", |s, n| s.cloud.living(n).is_empty());
    scene.judge(Kind::Pause);
}
