//! Whether a volume dies with its instance is a matter of who wrote last: it is set, and not read,
//! before the instance is terminated.

use crate::scene::{LIGHT, ROAMING, SNAPSHOTS, Scene, Shape, WHOLE};
use holdfast_cloud_sim::config::ROOT_DEVICE;
use holdfast_cloud_sim::{Fault, When};
use holdfast_model::facts::Fact;
use holdfast_model::time::{MINUTE, SECOND};
use holdfast_model::user::UserCommand;
use holdfast_model::{CallState, Command, ErrorClass, InstanceId, Kind, Row};
use serde_json::json;
use std::sync::{Arc, Mutex};

/// EC2's name of the call that sets it.
const SETS: &str = "ModifyInstanceAttribute";
const ENDS: &str = "TerminateInstances";

fn holder(scene: &Scene) -> InstanceId {
    scene.sim.record(&scene.node).unwrap().instance.clone().unwrap().id
}

/// Somebody sets that every volume dies with this instance. Nothing happens if it ends already.
fn doom(scene: &mut Scene, instance: &InstanceId) {
    doom_some(scene, instance, |_| true);
}

/// The same for some devices.
fn doom_some(scene: &mut Scene, instance: &InstanceId, which: impl Fn(&str) -> bool) {
    let Some(Fact::Instance(seen)) = scene.sim.cloud.truly(instance.as_str()) else { return };
    let devices = seen.attachments.iter().map(|a| a.device.clone());
    let devices = devices.filter(|device| which(device)).collect();
    let command =
        Command::SetDeleteOnTermination { instance: instance.clone(), devices, value: true };
    let now = scene.sim.now;
    drop(scene.sim.cloud.as_user(now, &command));
}

/// How often the fleet has made a call.
fn made(scene: &Scene, action: &str) -> usize {
    scene.sim.calls.iter().filter(|called| **called == action).count()
}

/// How the call of the row stop stands.
fn state(scene: &Scene, name: &str) -> Option<CallState> {
    let record = scene.sim.record(&scene.node)?;
    let call = record.row(Row::Stop)?.calls.get(name).cloned()?;
    Some(call.state.clone())
}

fn recycled(mut scene: Scene, kind: Kind, before: u64) {
    scene.wait_for_end(kind, before);
    scene.sim.run_for(MINUTE);
    scene.judge(kind);
}

#[test]
fn data_that_is_not_kept_and_died_with_its_instance_is_asked_of_nobody() {
    let shape = Shape { data: None, ..WHOLE };
    let mut scene = Scene::serving(61, shape);
    let (before, old) = (scene.generation(), holder(&scene));
    doom_some(&mut scene, &old, |device| device != ROOT_DEVICE);
    scene.trigger(Kind::Lost, shape);
    recycled(scene, Kind::Lost, before);
}

/// A node without a shutdown script: it is stopped at once.
const HASTY: Shape = Shape { script: false, ..WHOLE };

#[test]
fn volumes_that_were_set_to_die_just_before_a_replacement_outlive_the_instance() {
    for shape in [HASTY, WHOLE, LIGHT, ROAMING, SNAPSHOTS] {
        for kind in [Kind::Recycle, Kind::Pause, Kind::Unhealthy] {
            for earlier in [0, 1, 5, 14] {
                let mut scene = Scene::serving(61, shape);
                let (before, old) = (scene.generation(), holder(&scene));
                doom(&mut scene, &old);
                scene.sim.run_for(earlier * SECOND);
                scene.trigger(kind, shape);
                recycled(scene, kind, before);
            }
        }
    }
}

#[test]
fn volumes_that_are_set_to_die_while_the_instance_is_drained_outlive_it() {
    for tenths in (0..60).step_by(3) {
        let mut scene = Scene::serving(62, WHOLE);
        let (before, old) = (scene.generation(), holder(&scene));
        scene.trigger(Kind::Recycle, WHOLE);
        scene.sim.run_for(tenths * SECOND / 10);
        if state(&scene, "keep").is_some() {
            // What is set in between the last two calls nobody can help.
            break;
        }
        doom(&mut scene, &old);
        recycled(scene, Kind::Recycle, before);
    }
}

#[test]
fn a_replacement_sets_it_once_for_all_kept_devices_and_for_nothing_else() {
    for (shape, devices) in [
        (WHOLE, &["/dev/xvda", "/dev/xvdb", "/dev/xvdc"][..]),
        (LIGHT, &["/dev/xvdb", "/dev/xvdc"][..]),
        (Shape { data: None, ..WHOLE }, &["/dev/xvda"][..]),
        (Shape { data: None, root: false, ..WHOLE }, &[][..]),
    ] {
        let mut scene = Scene::serving(63, shape);
        let named: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
        let heard = Arc::clone(&named);
        let listen = move |command: &Command| {
            if let Command::SetDeleteOnTermination { devices, value, .. } = command {
                assert!(!value);
                heard.lock().unwrap().push(devices.clone());
            }
            false
        };
        let faults = scene.sim.cloud.faults();
        faults.add(When::Matches(Arc::new(listen), 1), Fault::refused());
        let before = scene.generation();
        scene.trigger(Kind::Recycle, shape);
        recycled(scene, Kind::Recycle, before);
        let named = named.lock().unwrap();
        let wanted: Vec<Vec<String>> = if devices.is_empty() {
            Vec::new()
        } else {
            vec![devices.iter().map(|device| (*device).to_owned()).collect()]
        };
        assert_eq!(*named, wanted, "{shape:?}");
    }
}

#[test]
fn a_termination_that_did_not_get_through_is_not_repeated_before_it_is_set_again() {
    for fault in [
        Fault::LostRequest,
        Fault::Error { class: ErrorClass::Unreachable, code: "Unreachable".to_owned() },
        Fault::refused(),
    ] {
        for times in [1, 3] {
            let mut scene = Scene::serving(64, HASTY);
            let (before, old) = (scene.generation(), holder(&scene));
            let ends = |command: &Command| command.action() == ENDS;
            let faults = scene.sim.cloud.faults();
            faults.add(When::Matches(Arc::new(ends), times), fault.clone());
            scene.trigger(Kind::Recycle, HASTY);
            for nth in 1..=times as usize {
                let node = scene.node.clone();
                let asked = move |s: &holdfast_sim::Simulation| {
                    let record = s.record(&node);
                    let gone = record.is_none_or(|r| r.work.is_none());
                    gone || s.calls.iter().filter(|c| **c == ENDS).count() >= nth
                };
                scene.sim.run_until(10 * MINUTE, asked).unwrap();
                scene.sim.run_for(1_500);
                doom(&mut scene, &old);
            }
            let sets = made(&scene, SETS);
            recycled(scene, Kind::Recycle, before);
            assert!(sets >= 1, "{fault:?}");
        }
    }
}

#[test]
fn nothing_is_terminated_before_it_is_set_whatever_becomes_of_that_call() {
    for fault in [
        Fault::LostRequest,
        Fault::LostReply,
        Fault::Throttled,
        Fault::refused(),
        Fault::conflict(),
        Fault::Error { class: ErrorClass::Refused, code: "IncorrectInstanceState".to_owned() },
    ] {
        let mut scene = Scene::serving(65, HASTY);
        let (before, old) = (scene.generation(), holder(&scene));
        doom(&mut scene, &old);
        let sets = |command: &Command| command.action() == SETS;
        let faults = scene.sim.cloud.faults();
        faults.add(When::Matches(Arc::new(sets), 2), fault.clone());
        let ended = made(&scene, ENDS);
        scene.trigger(Kind::Recycle, HASTY);
        scene.wait("set three times", |s, _| {
            let sets = s.calls.iter().filter(|c| **c == SETS).count();
            let ends = s.calls.iter().filter(|c| **c == ENDS).count();
            assert!(sets >= 3 || ends == ended, "terminated too early");
            sets >= 3
        });
        let asked = scene.sim.story.iter().any(|e| e.code == "needs-decision");
        assert!(!asked, "{fault:?}: {}", scene.sim.told());
        recycled(scene, Kind::Recycle, before);
    }
}

#[test]
fn an_instance_that_is_lost_at_any_moment_of_its_stop_is_replaced_and_nobody_is_asked() {
    for shape in [HASTY, LIGHT] {
        for moment in 0..30 {
            let mut scene = Scene::serving(66, shape);
            let (before, old) = (scene.generation(), holder(&scene));
            scene.trigger(Kind::Recycle, shape);
            scene.wait("being stopped", |s, node| {
                s.record(node)
                    .is_some_and(|r| r.row(Row::Stop).is_some_and(|row| row.started_at.is_some()))
            });
            scene.sim.run_for(moment * 100);
            let now = scene.sim.now;
            scene.sim.cloud.kill(now, &old);
            scene.wait_for_end(Kind::Recycle, before);
            let asked = scene.sim.story.iter().any(|e| e.code == "needs-decision");
            assert!(!asked, "{moment}: {}", scene.sim.told());
            recycled(scene, Kind::Recycle, before);
        }
    }
}

#[test]
fn a_controller_that_dies_before_the_termination_left_sets_it_again() {
    let mut dead = 0;
    for moment in 0..60 {
        let mut scene = Scene::serving(67, HASTY);
        let (before, old) = (scene.generation(), holder(&scene));
        scene.trigger(Kind::Recycle, HASTY);
        scene.sim.run_for(moment * 25);
        let ended = made(&scene, ENDS);
        scene.sim.kill_controller();
        let Some(Fact::Instance(seen)) = scene.sim.cloud.truly(old.as_str()) else { continue };
        if ended == 0 && seen.state == holdfast_model::facts::InstanceState::Running {
            doom(&mut scene, &old);
            dead += usize::from(state(&scene, "keep").is_some());
        }
        recycled(scene, Kind::Recycle, before);
    }
    assert!(dead > 0, "no death came between the two calls");
}

#[test]
fn a_freeze_between_the_two_calls_makes_the_first_one_old() {
    let mut scene = Scene::serving(68, HASTY);
    let (before, old) = (scene.generation(), holder(&scene));
    scene.trigger(Kind::Recycle, HASTY);
    scene.wait("set", |s, _| s.calls.contains(&SETS));
    let cause = holdfast_model::standing::Cause::Asked;
    scene.sim.order(holdfast_controller::Input::Freeze(cause, "somebody looks".to_owned()));
    scene.sim.run_for(10 * MINUTE);
    assert_eq!(made(&scene, ENDS), 0);
    doom(&mut scene, &old);
    scene.sim.order(holdfast_controller::Input::Thaw);
    let sets = made(&scene, SETS);
    scene.wait("terminated", |s, _| s.calls.contains(&ENDS));
    assert!(made(&scene, SETS) > sets, "{}", scene.sim.told());
    recycled(scene, Kind::Recycle, before);
}

#[test]
fn a_root_that_is_kept_from_now_on_outlives_the_instance_that_was_launched_before() {
    let mut scene = Scene::serving(69, ROAMING);
    let patch = json!({"persistence": {"persistRootDevice": true}});
    scene.sim.say(UserCommand::Update { id: scene.node.clone(), patch });
    scene.sim.run_for(MINUTE);
    scene.expect(Shape { root: true, ..ROAMING });
    let before = scene.generation();
    scene.trigger(Kind::Recycle, ROAMING);
    recycled(scene, Kind::Recycle, before);
}
