//! What a running server checks of itself: a node that is seen to break an invariant is stopped, with
//! an event that names it, and the others go on; a call that would break one does not leave.

use crate::invariants::{data_volume, record, twin, writes};
use crate::scene::{Scene, WHOLE};
use holdfast_controller::Refusal;
use holdfast_model::replacement::{Call, CallState};
use holdfast_model::time::{MINUTE, SECOND};
use holdfast_model::user::{Deallocation, UserCommand};
use holdfast_model::{
    Command, InstanceId, Invariant, Kind, NodeId, Row, Severity, Token, VolumeId, tags,
};

/// The name of a call that no plan has made.
const STRAY: &str = "stray";

/// Two nodes that serve: the scene's, and another.
fn two(seed: u64) -> (Scene, NodeId) {
    let mut scene = Scene::serving(seed, WHOLE);
    let (first, other) = (scene.node.clone(), NodeId::from("smi-00000002"));
    scene.node = other.clone();
    scene.create(WHOLE);
    scene.wait("ACTIVE", |s, n| s.record(n).is_some_and(|r| r.status() == "ACTIVE"));
    scene.node = first;
    (scene, other)
}

/// The scene's node is stopped for that, nothing is done with it any more, and the other goes on.
fn is_stopped(mut scene: Scene, other: &NodeId, which: Invariant) {
    let node = scene.node.clone();
    scene.sim.run_for(5 * MINUTE);
    let said: Vec<_> = scene.sim.story.iter().filter(|e| e.code == "invariant-broken").collect();
    assert_eq!(said.len(), 1, "{}", scene.sim.told());
    assert_eq!((&said[0].node, said[0].severity), (&node, Severity::Error));
    assert!(said[0].message.starts_with(which.name()), "{}", said[0].message);
    let why = scene.sim.fleet().stopped(&node).expect("it is stopped").to_owned();
    assert!(why.starts_with(which.name()), "{why}");
    let shown = scene.sim.fleet().view(&node).and_then(|v| v.waits_for);
    assert_eq!(shown.as_deref(), Some(why.as_str()));

    // Whatever happens to it, nothing more is called.
    let before = record(&scene);
    scene.sim.trace = Some(Vec::new());
    let word = scene.sim.say(UserCommand::Recycle(node.clone()));
    let now = scene.sim.now;
    for instance in scene.sim.cloud.living(&node) {
        scene.sim.cloud.kill(now, &instance);
    }
    scene.sim.run_for(10 * MINUTE);
    let answer = scene.sim.answers.get(&word).expect("an answer");
    assert!(matches!(answer, Err(Refusal::Unavailable(said)) if *said == why), "{answer:?}");
    let noted = scene.sim.trace.take().expect("what happened");
    let called = noted.iter().find(|(_, what)| what.starts_with(&format!("{node} call")));
    assert_eq!(called, None);
    assert_eq!(record(&scene), before);

    scene.sim.say(UserCommand::Recycle(other.clone()));
    scene.node = other.clone();
    scene.wait("replaced", |s, n| {
        s.record(n).is_some_and(|r| r.generations.number() == 2 && r.status() == "ACTIVE")
    });
}

#[test]
pub fn a_node_with_two_live_instances_is_stopped_and_the_others_go_on() {
    let (mut scene, other) = two(931);
    let command = Command::RunInstances(Box::new(twin(&scene, "second")));
    let now = scene.sim.now;
    scene.sim.cloud.as_user(now, &command).expect("a second instance");
    is_stopped(scene, &other, Invariant::OneWriter);
}

#[test]
pub fn a_node_whose_address_is_another_one_is_stopped() {
    for (ip, mac) in [("10.0.0.99", None), ("", Some("02:00:00:00:00:99"))] {
        let (mut scene, other) = two(932);
        scene.sim.kill_controller();
        writes(&mut scene, |r| {
            let held = r.identity.interface.as_mut().expect("it is kept");
            if let Some(mac) = mac {
                mac.clone_into(&mut held.mac);
            } else {
                ip.clone_into(&mut held.private_ip);
            }
        });
        is_stopped(scene, &other, Invariant::IdentityKept);
    }
}

/// A server starts whose node's record asks for a call that no plan has made: it does not leave, and
/// is refused under the invariant's name.
fn is_refused(scene: &mut Scene, command: Command, which: Invariant) {
    let what = format!("{command:?}");
    let now = scene.sim.now;
    scene.sim.kill_controller();
    writes(scene, |r| {
        let call = Call {
            command,
            token: Token("stray-token".to_owned()),
            attempt: 1,
            at: now,
            state: CallState::Started,
            answered_at: None,
        };
        r.upkeep.row.calls.insert(STRAY.to_owned(), call.into());
    });
    let calls = scene.sim.calls.len();
    scene.sim.run_for(MINUTE);
    assert_eq!(scene.sim.calls[calls..], [] as [&str; 0], "{what}: {}", scene.sim.told());
    let record = record(scene);
    let stray = record.row(Row::Upkeep).and_then(|row| row.calls.get(STRAY)).expect("the call");
    match &stray.state {
        CallState::Refused { error, .. } => assert_eq!(error.code, which.name(), "{what}"),
        other => panic!("{what}: {other:?}"),
    }
    let violations = scene.sim.cloud.violations();
    assert!(violations.is_empty(), "{what}: {violations:#?}");
    writes(scene, |r| drop(r.upkeep.row.calls.remove(STRAY)));
}

fn paused(seed: u64) -> Scene {
    let mut scene = Scene::serving(seed, WHOLE);
    scene.trigger(Kind::Pause, WHOLE);
    scene.wait_for_end(Kind::Pause, 0);
    scene
}

#[test]
pub fn a_deletion_of_what_its_node_needs_does_not_leave() {
    let mut scene = paused(933);
    let known = record(&scene);
    let root = known
        .kept
        .final_snapshots
        .iter()
        .find(|f| f.of == "root")
        .expect("its root is kept")
        .clone();
    for command in [
        Command::DeleteVolume { volume: data_volume(&known) },
        Command::DeleteSnapshot { snapshot: root.snapshot },
        Command::DeregisterImage { image: root.image.expect("an image") },
        Command::DeleteNetworkInterface {
            interface: known.identity.interface.clone().expect("kept").id,
        },
    ] {
        is_refused(&mut scene, command, Invariant::LastCopyKept);
    }
}

#[test]
pub fn a_deletion_of_what_is_anothers_does_not_leave() {
    let mut scene = Scene::serving(934, WHOLE);
    let mut launch = twin(&scene, "theirs");
    launch.tags.insert(tags::NODE.to_owned(), "smi-0000000f".to_owned());
    (launch.volume_tags, launch.interface_tags) = (None, None);
    scene.trigger(Kind::Pause, WHOLE);
    scene.wait_for_end(Kind::Pause, 0);
    let volume = data_volume(&record(&scene));
    let mut tags = scene.sim.cloud.truly(volume.as_str()).expect("a volume").tags().clone();
    tags.insert(tags::NODE.to_owned(), "smi-0000000f".to_owned());
    let now = scene.sim.now;
    let taken = Command::CreateSnapshot { volume, tags };
    let snapshot = scene.sim.cloud.as_user(now, &taken).expect("a snapshot");
    let launched = Command::RunInstances(Box::new(launch));
    let instance = scene.sim.cloud.as_user(now, &launched).expect("an instance");
    let instance = InstanceId::from(instance.facts[0].id());
    scene.sim.run_for(MINUTE);
    let held = scene.sim.cloud.truly(instance.as_str()).expect("it is there");
    let holdfast_model::facts::Fact::Instance(held) = held else { panic!("{held:?}") };
    for command in [
        Command::DeleteSnapshot { snapshot: snapshot.facts[0].id().into() },
        Command::TerminateInstances { instance },
        Command::DeleteVolume { volume: VolumeId(held.attachments[0].volume.0.clone()) },
        Command::DeleteNetworkInterface { interface: held.interface.clone().expect("its own") },
    ] {
        is_refused(&mut scene, command, Invariant::OthersLeftAlone);
    }
}

#[test]
pub fn a_deletion_of_what_is_in_its_grace_does_not_leave() {
    let mut scene = paused(935);
    let deallocation = Deallocation::default();
    scene.sim.say(UserCommand::Delete { id: scene.node.clone(), deallocation });
    scene.wait("deallocated", |s, n| {
        s.record(n).is_some_and(|r| r.lifecycle.is_deleted() && r.work.is_none())
    });
    let volume = data_volume(&record(&scene));
    is_refused(&mut scene, Command::DeleteVolume { volume }, Invariant::GraceKept);
}

#[test]
pub fn a_launch_with_the_number_of_an_instance_that_lives_does_not_leave() {
    let mut scene = Scene::serving(936, WHOLE);
    let mut launch = twin(&scene, "second");
    launch.tags.insert(tags::GENERATION.to_owned(), "2".to_owned());
    scene.trigger(Kind::Pause, WHOLE);
    scene.wait_for_end(Kind::Pause, 0);
    scene.trigger(Kind::Resume, WHOLE);
    scene.wait("about to launch", |s, n| {
        s.durable(n).is_some_and(|r| {
            r.row(Row::Launch).is_some_and(|row| {
                row.open_calls().any(|(_, c)| matches!(c.command, Command::RunInstances(_)))
            })
        })
    });
    let calls = scene.sim.calls.len();
    // Another server, which has the same record, was faster.
    scene.sim.kill_controller();
    let now = scene.sim.now;
    let second = scene.sim.cloud.as_user(now, &Command::RunInstances(Box::new(launch)));
    let second = InstanceId::from(second.expect("an instance").facts[0].id());
    for _ in 0..60 {
        scene.sim.run_for(SECOND);
        scene.sim.kill_controller();
    }
    scene.sim.run_for(5 * MINUTE);
    assert_eq!(scene.sim.calls[calls..], [] as [&str; 0], "{}", scene.sim.told());
    assert_eq!(scene.sim.cloud.living(&scene.node), [second]);
    assert!(
        record(&scene).blocked.quarantine().is_some(),
        "a person is asked\n{}",
        scene.sim.told()
    );
}
