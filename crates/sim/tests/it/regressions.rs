//! One test for each bug that was found.

use crate::scene::{ROAMING, SNAPSHOTS, Scene, WHOLE};
use holdfast_cloud_sim::{Class, Fault, When};
use holdfast_model::facts::Health;
use holdfast_model::time::{HOUR, MINUTE, SECOND};
use holdfast_model::user::{Choice, Deallocation, UserCommand};
use holdfast_model::{CallState, Command, InstanceId, Kind, NodeId, Row, Token};
use holdfast_sim::Simulation;
use serde_json::json;
use std::sync::Arc;

/// Runs until the newest call of the row has left and is not answered.
fn until_called(scene: &mut Scene, row: Row) {
    scene.wait("calling", move |s, n| {
        s.record(n).is_some_and(|r| {
            r.work.as_ref().is_some_and(|p| {
                let calls = p.rows.get(&row).map(|state| &state.calls);
                calls.is_some_and(|c| c.values().any(|c| c.state == CallState::Started))
            })
        })
    });
}

#[test]
fn a_pause_while_a_launch_is_refused_does_not_lose_the_kept_root() {
    let mut scene = Scene::serving(1, WHOLE);
    scene.trigger(Kind::Lost, WHOLE);
    until_called(&mut scene, Row::Launch);
    let launches = scene.sim.calls.len() + 1;
    let sent = scene.sim.calls.last() == Some(&"RunInstances");
    let nth = if sent { launches - 1 } else { launches };
    scene.sim.cloud.faults().add(When::Call(nth as u64), Fault::capacity());
    scene.trigger(Kind::Pause, WHOLE);
    scene.wait_for_end(Kind::Pause, 0);
    let before = scene.generation();
    scene.trigger(Kind::Resume, WHOLE);
    scene.wait_for_end(Kind::Resume, before);
    scene.judge(Kind::Resume);
}

#[test]
fn many_refusals_for_capacity_never_need_a_person() {
    let mut scene = Scene::serving(2, WHOLE);
    scene.drought(None, None, true);
    let before = scene.generation();
    scene.trigger(Kind::Lost, WHOLE);
    scene.sim.run_for(6 * HOUR);
    assert_ne!(scene.status(), "ERROR");
    scene.drought(None, None, false);
    scene.wait_for_end(Kind::Lost, before);
    scene.judge(Kind::Lost);
}

#[test]
fn a_mass_interruption_of_nodes_without_kept_addresses_does_not_freeze_the_fleet() {
    let mut scene = Scene::serving(3, ROAMING);
    let first = scene.node.clone();
    for number in 2..=6 {
        scene.node = holdfast_model::NodeId(format!("smi-0000000{number}"));
        scene.create(ROAMING);
    }
    scene.wait("all serving", |s, _| {
        let nodes: Vec<_> = s.fleet().nodes().collect();
        nodes.len() == 6
            && nodes.iter().all(|n| s.record(n).is_some_and(|r| r.status() == "ACTIVE"))
    });
    scene.sim.run_for(MINUTE);
    let nodes: Vec<_> = scene.sim.fleet().nodes().cloned().collect();
    let now = scene.sim.now;
    for node in &nodes {
        let holder = scene.sim.record(node).and_then(|r| r.instance.clone()).expect("an instance");
        scene.sim.cloud.kill(now, &holder.id);
    }
    scene.sim.run_for(10 * MINUTE);
    assert_eq!(scene.sim.fleet().frozen(), None);
    for node in nodes {
        let record = scene.sim.record(&node).expect("it serves");
        assert_eq!((record.status(), record.generations.number()), ("ACTIVE", 2), "{node}");
    }
    scene.node = first;
}

#[test]
fn a_deletion_that_selects_nothing_keeps_a_paused_nodes_data_for_its_grace() {
    let mut scene = Scene::serving(4, WHOLE);
    scene.trigger(Kind::Pause, WHOLE);
    scene.wait_for_end(Kind::Pause, 0);
    let deallocation = Deallocation::default();
    scene.sim.say(UserCommand::Delete { id: scene.node.clone(), deallocation });
    scene.sim.run_for(HOUR);
    let record = scene.sim.record(&scene.node).expect("its leftovers wait for their grace");
    assert_eq!(record.status(), "DEALLOCATED");
    assert!(record.kept.pending_deletion.iter().any(|s| s.id.starts_with("vol-") && !s.is_due()));
    assert!(record.kept.pending_deletion.iter().any(|s| s.id.starts_with("eni-") && !s.is_due()));
    scene.judge(Kind::Pause);
}

#[test]
fn a_deletion_that_selects_nothing_lets_a_living_instance_go_on() {
    let mut scene = Scene::serving(5, WHOLE);
    let deallocation = Deallocation::default();
    scene.sim.say(UserCommand::Delete { id: scene.node.clone(), deallocation });
    scene.wait("let go", |s, n| s.record(n).is_none());
    scene.sim.run_for(100 * HOUR);
    let serving = scene.sim.cloud.truth().serving(&scene.node);
    assert_eq!(serving.len(), 1, "the instance serves on, without Holdfast");
    assert!(scene.sim.cloud.violations().is_empty());
}

#[test]
fn a_corrected_spec_frees_a_node_that_no_market_fits_and_a_healthy_one_is_not_taken_down() {
    let mut scene = Scene::serving(6, WHOLE);
    let update = |scene: &mut Scene, subnet: &str| {
        let patch = json!({"compute": {"subnetIds": [subnet]}});
        scene.sim.say(UserCommand::Update { id: scene.node.clone(), patch });
    };
    // Its kept address pins the node to the first zone.
    update(&mut scene, "subnet-sim-1b");
    let before = scene.generation();
    scene.trigger(Kind::Recycle, WHOLE);
    scene.sim.run_for(20 * MINUTE);
    assert_eq!(scene.status(), "ERROR");
    assert_eq!(scene.sim.cloud.truth().serving(&scene.node).len(), 1, "it goes on serving");
    update(&mut scene, "subnet-sim-1a");
    scene.wait_for_end(Kind::Recycle, before);
    scene.judge(Kind::Recycle);
}

#[test]
fn a_kept_root_may_be_asked_for_later() {
    let mut scene = Scene::serving(7, ROAMING);
    let patch = json!({"persistence": {"persistRootDevice": true}});
    scene.sim.say(UserCommand::Update { id: scene.node.clone(), patch });
    scene.sim.run_for(MINUTE);
    for _ in 0..3 {
        let before = scene.generation();
        scene.trigger(Kind::Lost, ROAMING);
        scene.wait_for_end(Kind::Lost, before);
    }
    scene.judge(Kind::Lost);
    let record = scene.sim.record(&scene.node).expect("it serves");
    assert!(
        record.kept.final_snapshots.iter().any(|f| f.of == "root"),
        "from then on it is captured"
    );
}

#[test]
fn a_node_whose_new_volume_is_refused_can_be_given_up_and_leaves_nothing() {
    let mut scene = Scene::empty(8, SNAPSHOTS);
    let mut document = SNAPSHOTS.spec();
    document["compute"]["launchSpecification"]["blockDeviceMappings"][0]["ebs"]["snapshotId"] =
        json!("snap-0000000000000000");
    scene.sim.say(UserCommand::Create { id: scene.node.clone(), document });
    scene.sim.run_for(HOUR);
    assert_eq!(scene.status(), "ERROR", "{}", scene.sim.told());
    scene.trigger(Kind::Delete, SNAPSHOTS);
    scene.wait_for_end(Kind::Delete, 0);
    scene.judge(Kind::Delete);
}

#[test]
fn a_volume_deleted_from_outside_stops_its_node_and_nothing_is_made_in_its_place() {
    let mut scene = Scene::serving(9, WHOLE);
    scene.trigger(Kind::Pause, WHOLE);
    scene.wait_for_end(Kind::Pause, 0);
    let record = scene.sim.record(&scene.node).expect("paused");
    let holdfast_model::record::DataHead::Volume { id, .. } = record.identity.data[0].head.clone()
    else {
        panic!("it has a data volume");
    };
    let now = scene.sim.now;
    scene.sim.cloud.delete_behind(now, id.as_str());
    scene.trigger(Kind::Resume, WHOLE);
    scene.sim.run_for(2 * HOUR);
    assert_eq!(scene.status(), "ERROR", "{}", scene.sim.told());
    assert!(scene.sim.cloud.truth().serving(&scene.node).is_empty(), "it does not serve without");
    let node = scene.node.clone();
    let word = UserCommand::Decide { id: node, choice: Choice::Retry };
    let number = scene.sim.say(word);
    scene.sim.run_for(10 * SECOND);
    assert!(scene.sim.answers[&number].is_ok());
    scene.sim.run_for(2 * HOUR);
    assert_eq!(scene.status(), "ERROR", "a retry does not conjure it up");
}

#[test]
fn launches_that_are_never_ready_end_with_a_question_and_do_not_pile_up() {
    let mut scene = Scene::serving(10, WHOLE);
    scene.trigger(Kind::Lost, WHOLE);
    let mut rounds = 0;
    while scene.status() != "ERROR" {
        scene.sim.run_for(SECOND);
        let record = scene.sim.record(&scene.node).expect("it is there");
        let ready = record.work.is_none();
        if let (Some(holder), false) = (&record.instance, ready) {
            let now = scene.sim.now;
            scene.sim.cloud.kill(now, &holder.id);
        }
        rounds += 1;
        assert!(rounds < 20_000, "nobody is asked: {}", scene.sim.told());
    }
    let record = scene.sim.record(&scene.node).expect("it is there");
    assert!(
        record.kept.final_snapshots.len() + record.kept.pending_deletion.len() < 40,
        "{:#?}",
        record.kept.pending_deletion
    );
    let before = scene.generation();
    let choice = Choice::Retry;
    scene.sim.say(UserCommand::Decide { id: scene.node.clone(), choice });
    scene.wait_for_end(Kind::Lost, before);
    scene.judge(Kind::Lost);
    let record = scene.sim.record(&scene.node).expect("it serves");
    // The good generation was not pushed out; of those that never became ready, only what the
    // instance was launched from is there.
    assert!(
        record.kept.final_snapshots.iter().any(|f| f.generation == 1 && f.ready),
        "{:#?}",
        record.kept.final_snapshots
    );
    assert_eq!(record.kept.final_snapshots.len(), 2, "{:#?}", record.kept.final_snapshots);
}

#[test]
fn a_recycle_of_an_instance_that_is_never_ready_replaces_it() {
    let mut scene = Scene::serving(11, WHOLE);
    let before = scene.generation();
    scene.trigger(Kind::Lost, WHOLE);
    scene.wait("launched again", |s, n| {
        s.record(n).is_some_and(|r| r.generations.number() > before && r.instance.is_some())
    });
    // Its agent never answers: it will never be ready.
    let record = scene.sim.record(&scene.node).expect("it is there");
    let first = record.instance.clone().expect("an instance").id;
    let dumb = first.clone();
    let its_gate = move |command: &holdfast_model::Command| matches!(command, holdfast_model::Command::OpenGate { instance, .. } if instance == &dumb);
    let when = holdfast_cloud_sim::When::Matches(std::sync::Arc::new(its_gate), u32::MAX);
    scene.sim.cloud.faults().add(when, holdfast_cloud_sim::Fault::conflict());
    scene.sim.run_for(5 * MINUTE);
    assert_eq!(scene.status(), "RECYCLING", "{}", scene.sim.told());
    scene.trigger(Kind::Recycle, WHOLE);
    scene.wait_for_end(Kind::Recycle, before + 1);
    let record = scene.sim.record(&scene.node).expect("it serves");
    assert_ne!(record.instance.as_ref().map(|h| &h.id), Some(&first));
    assert_eq!(record.generations.number(), before + 2);
    scene.judge(Kind::Recycle);
}

#[test]
fn a_commit_conflict_stops_its_node_once_and_is_not_tried_again_and_again() {
    use holdfast_store::{Store, Write, Written};
    let mut scene = Scene::serving(12, WHOLE);
    let before = scene.generation();
    // Another process writes the record behind this one's back.
    let stored = scene.sim.store.load().expect("the store").pop().expect("a record");
    let mut record = holdfast_model::versions::read(&stored.json).expect("readable");
    record.revision = record.revision.map(|r| r + 1);
    let write = Write {
        node: stored.node,
        expected: stored.revision,
        record: serde_json::to_string(&record).ok(),
        events: Vec::new(),
    };
    assert_eq!(scene.sim.store.commit(&[write]), Ok(vec![Written::Done]));
    let (effects, calls) = (scene.sim.effects, scene.sim.calls.len());
    scene.trigger(Kind::Lost, WHOLE);
    scene.sim.run_for(HOUR);
    assert_eq!(scene.sim.effects - effects, 1, "one commit was tried, and no call left");
    assert_eq!(scene.sim.calls.len(), calls);
    let stopped = scene.sim.fleet().stopped(&scene.node).expect("it is stopped");
    assert!(stopped.contains("written by another process"), "{stopped}");
    let number = scene.sim.say(UserCommand::Pause(scene.node.clone()));
    scene.sim.run_for(SECOND);
    assert!(scene.sim.answers[&number].is_err(), "a word to it is refused, and not left waiting");
    // Started again, the server goes on from what is stored.
    scene.sim.kill_controller();
    scene.wait_for_end(Kind::Lost, before);
    let violations = scene.sim.cloud.violations();
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn with_one_place_for_calls_a_slow_drain_keeps_nobody_waiting() {
    let mut scene = Scene::empty_with(13, WHOLE, |config| config.calls_at_once = 1);
    scene.sim.cloud.config().drain = holdfast_cloud_sim::Span::exactly(25 * SECOND);
    let nodes: Vec<holdfast_model::NodeId> =
        (1..=3).map(|n| holdfast_model::NodeId(format!("smi-0000000{n}"))).collect();
    for node in &nodes {
        scene.node = node.clone();
        scene.create(WHOLE);
    }
    scene.wait("all serving", |s, _| {
        s.fleet().nodes().count() == 3
            && s.fleet().nodes().all(|n| s.record(n).is_some_and(|r| r.status() == "ACTIVE"))
    });
    scene.node = nodes[0].clone();
    scene.trigger(Kind::Recycle, WHOLE);
    scene.wait("draining", |s, _| s.calls.last() == Some(&"Drain"));
    // While the drain takes its time, the others are lost and come on.
    for node in &nodes[1..] {
        scene.node = node.clone();
        scene.trigger(Kind::Lost, WHOLE);
    }
    let calls = scene.sim.calls.len();
    scene.sim.run_for(20 * SECOND);
    let since: Vec<_> = scene.sim.calls[calls..].to_vec();
    assert!(since.contains(&"CreateSnapshot"), "{since:?}");
    for node in nodes {
        scene.node = node;
        scene.wait_for_end(Kind::Lost, 1);
    }
    scene.judge(Kind::Lost);
}

#[test]
fn a_launch_that_ended_before_it_ran_and_took_its_root_volume_along_does_not_lose_the_root() {
    use holdfast_model::record::RootHead;
    let mut scene = Scene::serving(15, WHOLE);
    let before = scene.generation();
    scene.trigger(Kind::Lost, WHOLE);
    scene.wait("launched again", |s, n| {
        s.record(n).is_some_and(|r| r.generations.number() > before && r.instance.is_some())
    });
    let holder =
        scene.sim.record(&scene.node).and_then(|r| r.instance.clone()).expect("an instance");
    let now = scene.sim.now;
    scene.sim.cloud.kill(now, &holder.id);
    scene.wait("its root was seen", |s, n| {
        s.record(n)
            .is_some_and(|r| matches!(r.identity.root, RootHead::Live { volume: Some(_), .. }))
    });
    let record = scene.sim.record(&scene.node).expect("it is there");
    let RootHead::Live { volume: Some(root), .. } = record.identity.root.clone() else {
        panic!("{record:?}")
    };
    let now = scene.sim.now;
    scene.sim.cloud.delete_behind(now, root.as_str());
    scene.wait_for_end(Kind::Lost, before + 1);
    scene.judge(Kind::Lost);
}

#[test]
fn what_could_not_be_deleted_at_once_is_deleted_later_without_another_replacement() {
    let mut scene = Scene::serving(11, SNAPSHOTS);
    let deletes = |c: &holdfast_model::Command| c.action() == "DeleteVolume";
    scene.sim.cloud.faults().add(When::Matches(Arc::new(deletes), 15), Fault::refused());
    let before = scene.generation();
    scene.trigger(Kind::Lost, SNAPSHOTS);
    scene.wait_for_end(Kind::Lost, before);
    let left =
        |s: &Simulation, n: &NodeId| s.record(n).map_or(0, |r| r.kept.pending_deletion.len());
    assert!(left(&scene.sim, &scene.node) > 0, "{}", scene.sim.told());
    scene.wait("tidied up", |s, n| left(s, n) == 0);
    assert_eq!((scene.status(), scene.generation()), ("ACTIVE", before + 1));
    scene.judge(Kind::Lost);
}

#[test]
fn what_an_ended_replacement_still_wanted_to_say_is_not_said_any_more() {
    let mut scene = Scene::serving(12, WHOLE);
    let drains = |c: &holdfast_model::Command| c.action() == "Drain";
    scene.sim.cloud.faults().add(When::Matches(Arc::new(drains), 50), Fault::LostRequest);
    scene.trigger(Kind::Recycle, WHOLE);
    scene.sim.run_for(5 * SECOND);
    // Its instance goes, so that nothing is left to drain while the drain is still repeated.
    let now = scene.sim.now;
    let living = scene.sim.cloud.living(&scene.node);
    living.iter().for_each(|id| scene.sim.cloud.delete_behind(now, id.as_str()));
    scene.trigger(Kind::Delete, WHOLE);
    scene.wait_for_end(Kind::Delete, 0);
    scene.sim.run_for(10 * MINUTE);
    scene.judge(Kind::Delete);
}

#[test]
fn a_clock_that_was_two_hours_ahead_before_a_restart_delays_nothing() {
    let mut scene = Scene::serving(13, WHOLE);
    let refused = |c: &holdfast_model::Command| c.action() == "CreateSnapshot";
    scene.sim.cloud.faults().add(When::Matches(Arc::new(refused), 4), Fault::refused());
    scene.sim.wrong_clock(2 * HOUR as i64);
    let before = scene.generation();
    scene.trigger(Kind::Lost, WHOLE);
    scene.wait("refused", |s, _| s.calls.iter().filter(|c| **c == "CreateSnapshot").count() == 4);
    scene.sim.run_for(SECOND);
    scene.sim.wrong_clock(0);
    let gone = scene.sim.now;
    scene.wait_for_end(Kind::Lost, before);
    assert!(scene.sim.now.since(gone) < 20 * MINUTE, "{}", scene.sim.told());
    scene.judge(Kind::Lost);
}

#[test]
fn a_describe_that_shows_the_dead_as_living_for_a_while_stops_no_node() {
    // One generation is over, the next is there, and a late answer shows both as running.
    for seed in 1..=12 {
        let mut scene = Scene::serving(seed, ROAMING);
        scene.sim.cloud.faults().set(Class::Stale, 700_000);
        for _ in 0..4 {
            let before = scene.generation();
            scene.trigger(Kind::Lost, ROAMING);
            scene.wait_for_end(Kind::Lost, before);
        }
        assert_eq!(scene.sim.fleet().stopped(&scene.node), None, "seed {seed}");
        scene.judge(Kind::Lost);
    }
}

#[test]
fn a_controller_that_stood_still_stops_no_node_for_what_it_saw_before() {
    // Somewhere in here the second instance has been seen, and not for long enough.
    for after in (5..60).step_by(5) {
        let mut scene = Scene::serving(3, ROAMING);
        let holder = scene.sim.record(&scene.node).and_then(|r| r.instance.clone()).expect("it");
        let mut twin = scene.sim.cloud.launch_of(&holder.id).expect("it was launched").clone();
        twin.token = Token::from("twin");
        let now = scene.sim.now;
        let twin = Command::RunInstances(Box::new(twin));
        let made = scene.sim.cloud.as_user(now, &twin).expect("launched");
        scene.sim.run_for(after * SECOND);
        assert_eq!(scene.sim.fleet().stopped(&scene.node), None, "too late: {after} s");
        // It goes, and nobody looks for minutes: what comes next is the time that is over.
        let now = scene.sim.now;
        scene.sim.cloud.kill(now, &InstanceId(made.facts[0].id().to_owned()));
        scene.sim.cloud.faults().set(Class::Stall, 1_000_000);
        scene.sim.run_until(MINUTE, |s| !s.is_up()).expect("it stands still");
        scene.sim.cloud.faults().set(Class::Stall, 0);
        scene.sim.run_for(10 * MINUTE);
        assert_eq!(scene.sim.fleet().stopped(&scene.node), None, "seen for {after} s");
        assert_eq!(scene.status(), "ACTIVE", "{}", scene.sim.told());
    }
}

/// Runs until the next instance runs and is not ready, and makes it unwell.
fn spoil_next(scene: &mut Scene, after: u64) {
    scene.wait("an instance that is not ready", move |s, n| {
        s.record(n).is_some_and(|r| {
            let replacement = r.work.as_ref();
            r.generations.number() > after && replacement.is_some_and(|p| p.is_done(Row::Launch))
        })
    });
    let holder = scene.sim.record(&scene.node).and_then(|r| r.instance.clone()).expect("a holder");
    scene.sim.cloud.set_health(scene.sim.now, &holder.id, Health::Impaired);
}

#[test]
fn an_instance_that_is_unwell_before_it_was_ever_ready_is_replaced_without_a_person() {
    let mut scene = Scene::serving(14, WHOLE);
    let before = scene.generation();
    scene.trigger(Kind::Lost, WHOLE);
    spoil_next(&mut scene, before);
    scene.wait("serving", |s, n| s.record(n).is_some_and(|r| r.status() == "ACTIVE"));
    assert_eq!(scene.generation(), before + 2, "{}", scene.sim.told());
    assert!(scene.sim.story.iter().all(|e| e.code != "needs-decision"), "{}", scene.sim.told());
    scene.judge(Kind::Lost);
}

#[test]
fn an_instance_that_was_given_up_before_it_was_ready_does_not_stay_when_it_gets_well() {
    let mut scene = Scene::serving(15, WHOLE);
    let first = scene.generation();
    scene.trigger(Kind::Lost, WHOLE);
    // After a few of them there is a pause before the next attempt.
    for attempt in 0..4 {
        spoil_next(&mut scene, first + attempt);
        scene.wait("given up", |s, n| {
            s.record(n).is_some_and(|r| r.memory.history.last().is_some_and(|h| h.lost_again))
        });
    }
    scene.wait("resting", |s, n| s.record(n).is_some_and(|r| r.work.is_none()));
    let holder = scene.sim.record(&scene.node).and_then(|r| r.instance.clone()).expect("a holder");
    scene.sim.cloud.set_health(scene.sim.now, &holder.id, Health::Ok);
    scene.wait("serving", |s, n| s.record(n).is_some_and(|r| r.status() == "ACTIVE"));
    assert_ne!(
        scene.sim.record(&scene.node).and_then(|r| r.instance.clone()).map(|h| h.id),
        Some(holder.id)
    );
    scene.judge(Kind::Lost);
}
