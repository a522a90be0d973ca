//! Calls on their way: which leave, when, and what is made of answers that are none.

use crate::scene::{LIGHT, Scene, Shape, WHOLE};
use holdfast_cloud_sim::{Fault, Span, When};
use holdfast_controller::{CallLimits, Effect, Fleet, Input, Outcome};
use holdfast_model::time::{MINUTE, SECOND};
use holdfast_model::user::{Deallocation, UserCommand};
use holdfast_model::{Command, ErrorClass, Kind, NodeId, Time};
use std::sync::Arc;

/// How long each call takes, in milliseconds, where the test wants them all alike.
const REPLY: u64 = 5;

/// When requests of an action left.
fn left(scene: &Scene, action: &str) -> Vec<Time> {
    let calls = scene.sim.cloud.calls().iter();
    calls.filter(|(_, name, _)| *name == action).map(|(at, _, _)| *at).collect()
}

/// From the first of these times to each.
fn after_first(times: &[Time]) -> Vec<u64> {
    times.iter().map(|at| at.since(times[0])).collect()
}

#[test]
fn an_answer_that_comes_too_late_for_a_termination_to_rely_on_is_asked_for_again() {
    for (reply, asked) in [(9, 1), (15, 2)] {
        let mut scene = Scene::serving(201, WHOLE);
        let before = scene.generation();
        scene.sim.cloud.config().reply = Span::exactly(reply * SECOND);
        scene.sim.cloud.config().timeout = 100 * SECOND;
        scene.trigger(Kind::Recycle, WHOLE);
        scene.wait_for_end(Kind::Recycle, before);
        // The second time an answer may take twice as long.
        assert_eq!(left(&scene, "ModifyInstanceAttribute").len(), asked, "{reply} s");
        scene.judge(Kind::Recycle);
    }
}

/// Keeps nothing but its root, and has nothing to say when it is drained.
const BARE: Shape = Shape { data: None, private_ip: false, volumes: 0, script: false, ..WHOLE };

/// So many nodes that serve, in a fleet that has one call under way at most, and no other limit.
fn one_at_a_time(seed: u64, count: usize) -> Scene {
    let mut scene = Scene::empty_with(seed, BARE, |config| {
        config.limits = CallLimits::Unlimited;
        config.calls_at_once = 1;
    });
    scene.sim.cloud.config().reply = Span::exactly(REPLY);
    let nodes: Vec<NodeId> = (1..=count).map(|n| NodeId(format!("smi-{n:08}"))).collect();
    for node in &nodes {
        scene.node = node.clone();
        scene.create(BARE);
    }
    scene.wait("all ACTIVE", |s, _| {
        nodes.iter().all(|node| s.record(node).is_some_and(|r| r.status() == "ACTIVE"))
    });
    for node in &nodes {
        scene.sim.cloud.truth_mut().release(node);
        let deallocation = Deallocation::EVERYTHING;
        scene.sim.say(UserCommand::Delete { id: node.clone(), deallocation });
    }
    scene
}

/// When requests left within a minute that end instances, and how many each of them names.
fn ends(scene: &mut Scene) -> Vec<(Time, usize)> {
    let mut requests = Vec::new();
    let end = scene.sim.now.plus(MINUTE);
    while scene.sim.now < end {
        let before = scene.sim.calls.len();
        scene.sim.step(end);
        let calls = &scene.sim.calls[before..];
        let named = calls.iter().filter(|action| **action == "TerminateInstances").count();
        requests.extend((named > 0).then_some((scene.sim.now, named)));
    }
    requests
}

#[test]
fn one_request_names_a_hundred_instances_at_most() {
    let mut scene = one_at_a_time(202, 104);
    let named: Vec<usize> = ends(&mut scene).into_iter().map(|(_, named)| named).collect();
    assert_eq!(named, [100, 4]);
    assert_eq!(left(&scene, "TerminateInstances").len(), 2, "in one request");
}

#[test]
fn instances_that_were_refused_together_are_asked_for_one_by_one_at_once() {
    let mut scene = one_at_a_time(203, 5);
    let ended = |command: &Command| command.action() == "TerminateInstances";
    scene.sim.cloud.faults().add(When::Matches(Arc::new(ended), 3), Fault::refused());
    let requests = ends(&mut scene);
    let named: Vec<usize> = requests.iter().map(|(_, named)| *named).collect();
    assert_eq!(named, [4, 1, 1, 1, 1], "{requests:?}");
    let times: Vec<Time> = requests.iter().map(|(at, _)| *at).collect();
    assert_eq!(after_first(&times), [0, REPLY, 2 * REPLY, 3 * REPLY, 4 * REPLY]);
}

#[test]
fn only_so_many_launches_leave_as_the_bucket_holds() {
    let mut scene = Scene::empty(204, LIGHT);
    scene.sim.run_for(MINUTE);
    for n in 1..=9 {
        let id = NodeId(format!("smi-{n:08}"));
        scene.sim.say(UserCommand::Create { id, document: LIGHT.spec() });
    }
    scene.sim.run_for(3 * SECOND);
    let times = after_first(&left(&scene, "RunInstances"));
    assert!(times[4] < 500, "5 leave at once: {times:?}");
    assert_eq!(times[5..9], [500, 1_000, 1_500, 2_000], "and then 2 a second");
}

#[test]
fn a_snapshot_whose_request_was_lost_is_asked_for_again_once_it_is_certain_that_it_is_not_there() {
    let mut scene = Scene::serving(205, WHOLE);
    let before = scene.generation();
    scene.sim.cloud.faults().add(When::next("CreateSnapshot"), Fault::LostRequest);
    scene.trigger(Kind::Recycle, WHOLE);
    scene.wait_for_end(Kind::Recycle, before);
    let times = after_first(&left(&scene, "CreateSnapshot"));
    assert!(times.len() == 2 && times[1] > 30 * SECOND, "{times:?}");
    scene.judge(Kind::Recycle);
}

#[test]
fn an_empty_bucket_is_waited_for_and_everything_else_that_is_throttled_is_tried_after_a_pause() {
    let other = Fault::Error { class: ErrorClass::Throttled, code: "OfOneVolume".to_owned() };
    for (fault, pause) in [(Fault::Throttled, SECOND / 2), (other, SECOND)] {
        let mut scene = Scene::empty(206, LIGHT);
        scene.sim.cloud.config().reply = Span::exactly(REPLY);
        scene.sim.run_for(MINUTE);
        scene.sim.cloud.faults().add(When::next("RunInstances"), fault);
        scene.create(LIGHT);
        scene.sim.run_for(3 * SECOND);
        let times = after_first(&left(&scene, "RunInstances"));
        assert_eq!(times[..2], [0, REPLY + pause], "{times:?}");
    }
}

/// A launch that was refused for a minute, and its fleet: a commit of its node ends so.
fn after_commit(scene: &Scene, outcome: &Outcome) -> Vec<(u64, &'static str)> {
    let mut fleet: Fleet = scene.sim.fleet().clone();
    let (from, mut now) = (scene.sim.now, scene.sim.now);
    let word = UserCommand::Recycle(scene.node.clone());
    let mut effects = fleet.handle(now, Input::Word(1, word));
    let mut happened = Vec::new();
    while now < from.plus(2 * MINUTE) {
        for effect in std::mem::take(&mut effects) {
            match effect {
                Effect::Commit { id, .. } => {
                    happened.push((now.since(from), "commit"));
                    effects.extend(fleet.handle(now, Input::Committed(id, outcome.clone())));
                }
                Effect::Call { calls } => {
                    happened.extend(calls.iter().map(|c| (now.since(from), c.command.action())));
                }
                _ => {}
            }
        }
        now = fleet.next_wake().min(now.plus(SECOND));
        effects.extend(fleet.handle(now, Input::Tick));
    }
    happened
}

#[test]
fn nothing_leaves_for_a_node_whose_record_another_process_has_written() {
    let mut scene = Scene::empty(207, LIGHT);
    scene.sim.cloud.config().reply = Span::exactly(REPLY);
    scene.sim.run_for(MINUTE);
    let code = "UnauthorizedOperation".to_owned();
    let unauthorised = Fault::Error { class: ErrorClass::Unauthorised, code };
    scene.sim.cloud.faults().add(When::next("RunInstances"), unauthorised);
    scene.create(LIGHT);
    scene.sim.run_for(30 * SECOND);
    assert_eq!(after_commit(&scene, &Outcome::Conflict), [(0, "commit")]);
    let other = after_commit(&scene, &Outcome::Done);
    assert!(other.iter().any(|(_, what)| *what == "RunInstances"), "{other:?}");
}

#[test]
fn a_launch_that_is_not_wanted_any_more_when_its_turn_comes_is_answered_and_planned_with_at_once() {
    let mut scene = Scene::empty(209, LIGHT);
    scene.sim.run_for(MINUTE);
    let nodes: Vec<NodeId> = (1..=9).map(|n| NodeId(format!("smi-{n:08}"))).collect();
    for id in &nodes {
        scene.sim.say(UserCommand::Create { id: id.clone(), document: LIGHT.spec() });
    }
    let waiting = |fleet: &Fleet, now: Time| {
        let beliefs = fleet.beliefs(now);
        beliefs.iter().find(|b| b.action == "RunInstances").map_or(0, |b| b.waiting)
    };
    scene.wait("launches wait", |s, _| waiting(s.fleet(), s.now) == 4);
    let last = nodes[8].clone();
    scene.sim.say(UserCommand::Pause(last.clone()));
    scene.sim.run_for(SECOND);
    // From here on nothing is answered: launches leave one by one, as the bucket fills.
    let (mut fleet, mut now) = (scene.sim.fleet().clone(), scene.sim.now);
    let before = waiting(&fleet, now);
    let mut launched = Vec::new();
    while waiting(&fleet, now) > 0 {
        let waited = waiting(&fleet, now);
        now = fleet.next_wake();
        let mut left = 0;
        let mut commits = Vec::new();
        for effect in fleet.handle(now, Input::Tick) {
            match effect {
                Effect::Call { calls } => {
                    for call in calls.into_iter().filter(|c| c.command.action() == "RunInstances") {
                        launched.push(call.node);
                        left += 1;
                    }
                }
                Effect::Commit { node, .. } => commits.push(node),
                _ => {}
            }
        }
        let refused = waited.saturating_sub(waiting(&fleet, now) + left);
        assert_eq!(commits, vec![last.clone(); refused], "at {now:?}, after {launched:?}");
    }
    assert!(!launched.contains(&last), "{launched:?}");
    assert_eq!(launched.len(), before - 1);
}
