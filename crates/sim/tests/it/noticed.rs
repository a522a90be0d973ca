//! Small mistakes with large effects: each of these scenes fails if one condition is forgotten.

use crate::scene::{LIGHT, Scene, WHOLE};
use holdfast_engine::parts::standing_by;
use holdfast_model::facts::{Fact, InstanceState};
use holdfast_model::time::{HOUR, MINUTE, SECOND};
use holdfast_model::user::{Deallocation, UserCommand};
use holdfast_model::{InstanceId, Kind, Row, tags};
use std::collections::{BTreeMap, BTreeSet};

const DAY: u64 = 24 * HOUR;

/// A node that was given up and of which everything is kept for this long; what there is of it.
fn given_up(grace: u64) -> (Scene, BTreeSet<String>) {
    let mut scene = Scene::empty_with(81, WHOLE, |c| c.tuning.deallocation_grace = grace);
    scene.create(WHOLE);
    scene.wait("ACTIVE", |s, n| s.record(n).is_some_and(|r| r.status() == "ACTIVE"));
    scene.sim.run_for(2 * MINUTE);
    let deallocation = Deallocation { should_terminate_instance: true, ..Deallocation::default() };
    scene.sim.say(UserCommand::Delete { id: scene.node.clone(), deallocation });
    scene.wait("deallocated", |s, n| {
        s.record(n).is_some_and(|r| r.lifecycle.is_deleted() && r.work.is_none())
    });
    scene.sim.run_for(3 * MINUTE);
    let ids = kept(&scene);
    assert!(ids.len() >= 4, "a root, two volumes, an interface: {ids:?}");
    (scene, ids)
}

/// What there is of the node, but for instances.
fn kept(scene: &Scene) -> BTreeSet<String> {
    let all = scene.sim.cloud.resources(&scene.node);
    let others = all.iter().filter(|f| !matches!(f, Fact::Instance(_)));
    others.map(|f| f.id().to_owned()).collect()
}

/// The server starts again with a clock that is so far off.
fn restart_with_clock(scene: &mut Scene, ahead: u64) {
    scene.sim.wrong_clock(ahead as i64);
    scene.sim.run_for(10 * MINUTE);
}

#[test]
fn a_clock_ten_days_ahead_after_a_restart_deletes_nothing_that_has_its_grace() {
    let (mut scene, ids) = given_up(4 * HOUR);
    restart_with_clock(&mut scene, 10 * DAY);
    assert_eq!(kept(&scene), ids, "{}", scene.sim.told());
    // The clock is put right, and wrong again: each time an hour is counted at most.
    restart_with_clock(&mut scene, 0);
    restart_with_clock(&mut scene, 20 * DAY);
    assert_eq!(kept(&scene), ids, "{}", scene.sim.told());
    let node = scene.node.clone();
    scene.sim.cloud.truth_mut().release(&node);
    scene.wait("gone", |s, n| s.record(n).is_none());
    assert_eq!(kept(&scene), BTreeSet::new());
}

#[test]
fn a_grace_is_over_when_its_time_has_passed_though_the_clock_was_ahead_before() {
    let (mut scene, ids) = given_up(4 * HOUR);
    restart_with_clock(&mut scene, 10 * DAY);
    restart_with_clock(&mut scene, 0);
    assert_eq!(kept(&scene), ids);
    let node = scene.node.clone();
    scene.sim.cloud.truth_mut().release(&node);
    let from = scene.sim.now;
    let gone = scene.sim.run_until(4 * HOUR, |s| s.record(&node).is_none());
    assert!(gone.is_ok(), "{gone:?}");
    let passed = scene.sim.now.since(from);
    assert!(passed > 2 * HOUR, "an hour and some minutes were counted before: {passed} ms");
}

/// Everything that was ever launched of a node, with its generation.
#[derive(Default)]
struct Launched(BTreeMap<String, String>);

impl Launched {
    /// Runs for a while, and looks all the time.
    fn run(&mut self, scene: &mut Scene, millis: u64) {
        let end = scene.sim.now.plus(millis);
        while scene.sim.now < end {
            scene.sim.run_for(SECOND);
            self.look(scene);
        }
    }

    fn look(&mut self, scene: &Scene) {
        for fact in scene.sim.cloud.resources(&scene.node) {
            if let (Fact::Instance(i), Some(of)) = (&fact, fact.tags().get(tags::GENERATION)) {
                self.0.insert(i.id.0.clone(), of.clone());
            }
        }
    }

    fn check(&self, what: &str) {
        let numbers: BTreeSet<&String> = self.0.values().collect();
        assert_eq!(numbers.len(), self.0.len(), "{what}: a number was given twice: {:?}", self.0);
    }
}

/// A recycling has launched the next instance, which runs and stands by.
fn one_stands_by(seed: u64, launched: &mut Launched) -> (Scene, InstanceId) {
    let mut scene = Scene::serving(seed, LIGHT);
    launched.look(&scene);
    scene.trigger(Kind::Recycle, LIGHT);
    scene.wait("standing by", |s, node| {
        let runs = |id: &str| {
            let seen = s.cloud.truly(id);
            matches!(seen, Some(Fact::Instance(i)) if i.state == InstanceState::Running)
        };
        s.record(node).is_some_and(|r| standing_by::instance(&r).is_some_and(runs))
    });
    launched.look(&scene);
    let record = scene.sim.record(&scene.node).unwrap();
    let id = InstanceId::from(standing_by::instance(&record).unwrap());
    (scene, id)
}

/// What becomes of the instance that stands by.
#[derive(Debug, Clone, Copy)]
enum Ends {
    /// It is lost.
    Lost,
    /// Its launch is answered, and then a pause makes it needless.
    Paused,
    /// The same, and the controller dies besides.
    PausedAndKilled,
    /// It is lost, and so is the controller.
    LostAndKilled,
}

#[test]
fn a_number_is_never_given_again_however_an_instance_that_stood_by_ends_unused() {
    for ends in [Ends::Lost, Ends::Paused, Ends::PausedAndKilled, Ends::LostAndKilled] {
        let mut launched = Launched::default();
        let (mut scene, id) = one_stands_by(82, &mut launched);
        let now = scene.sim.now;
        match ends {
            Ends::Lost | Ends::LostAndKilled => scene.sim.cloud.kill(now, &id),
            Ends::Paused | Ends::PausedAndKilled => {
                scene.sim.say(UserCommand::Pause(scene.node.clone()));
                scene.sim.run_for(SECOND);
            }
        }
        if let Ends::PausedAndKilled | Ends::LostAndKilled = ends {
            scene.sim.kill_controller();
        }
        launched.run(&mut scene, 5 * MINUTE);
        scene.sim.say(UserCommand::Resume(scene.node.clone()));
        launched.run(&mut scene, 5 * MINUTE);
        assert_eq!(scene.status(), "ACTIVE", "{ends:?}");
        for _ in 0..2 {
            scene.trigger(Kind::Recycle, LIGHT);
            launched.run(&mut scene, 5 * MINUTE);
        }
        assert!(launched.0.len() >= 5, "{ends:?}: {:?}", launched.0);
        launched.check(&format!("{ends:?}"));
        scene.judge(Kind::Recycle);
    }
}

#[test]
fn nothing_is_adopted_before_everything_has_been_looked_at_for_a_whole_window() {
    let mut scene = Scene::serving(83, WHOLE);
    let backup = scene.sim.store.copy();
    let before = scene.generation();
    scene.trigger(Kind::Recycle, WHOLE);
    scene.wait_for_end(Kind::Recycle, before);
    scene.sim.restore(backup);
    scene.wait("quarantined", |s, n| s.record(n).is_some_and(|r| r.blocked.quarantine().is_some()));
    let began = scene.sim.now;
    let mut refused = 0;
    loop {
        let word =
            UserCommand::Adopt { id: scene.node.clone(), document: None, heads: BTreeMap::new() };
        let number = scene.sim.say(word);
        scene.sim.run_for(2 * SECOND);
        match scene.sim.answers.remove(&number).expect("an answer") {
            Ok(_) => break,
            Err(why) => assert!(why.to_string().contains("looked at for long enough"), "{why}"),
        }
        refused += 1;
        assert!(refused < 60, "{}", scene.sim.told());
    }
    assert!(scene.sim.fleet().world().is_settled());
    let window = holdfast_engine::Tuning::ec2().consistency_window;
    assert!(scene.sim.now.since(began) >= window, "{refused}");
    let record = scene.sim.record(&scene.node).unwrap();
    assert!(record.row(Row::Launch).is_none());
    scene.sim.run_for(MINUTE);
    scene.judge(Kind::Recycle);
}

#[test]
fn a_time_of_grace_begins_when_it_is_given_however_long_the_node_has_served() {
    let mut scene = Scene::empty_with(82, WHOLE, |c| c.tuning.deallocation_grace = 4 * HOUR);
    scene.create(WHOLE);
    scene.sim.run_for(3 * HOUR);
    let deallocation = Deallocation { should_terminate_instance: true, ..Deallocation::default() };
    scene.sim.say(UserCommand::Delete { id: scene.node.clone(), deallocation });
    scene.wait("deallocated", |s, n| s.record(n).is_some_and(|r| r.lifecycle.is_deleted()));
    let ids = kept(&scene);
    assert!(ids.len() >= 4, "a root, two volumes, an interface: {ids:?}");
    scene.sim.run_for(4 * HOUR - 10 * MINUTE);
    assert_eq!(kept(&scene), ids, "{}", scene.sim.told());
    let node = scene.node.clone();
    scene.sim.cloud.truth_mut().release(&node);
    scene.sim.run_until(HOUR, |s| s.record(&node).is_none()).expect("the grace is over");
}
