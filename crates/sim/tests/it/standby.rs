//! Make before break: the next instance is launched while the old one serves.

use crate::scene::{LIGHT, Scene, Shape, WHOLE};
use holdfast_engine::observed::survival::Survival;
use holdfast_engine::parts::standing_by;
use holdfast_engine::{Scene as Seen, Tuning, World, invariants};
use holdfast_model::facts::{Fact, InstanceState};
use holdfast_model::time::{MINUTE, SECOND};
use holdfast_model::user::UserCommand;
use holdfast_model::{Epoch, Installation, InstanceId, Invariant, Kind, Record, Row, Time};
use serde_json::json;

const VOLUNTARY: [Kind; 3] = [Kind::Notice, Kind::Recycle, Kind::Revert];

/// Waits until an instance stands by, and runs: which, and which one serves.
fn until_one_stands_by(scene: &mut Scene) -> (InstanceId, InstanceId) {
    scene.wait("standing by", |s, node| {
        s.record(node).is_some_and(|r| {
            let running = InstanceState::Running;
            let runs = |id: &str| matches!(s.cloud.truly(id), Some(Fact::Instance(i)) if i.state == running);
            standing_by::instance(&r).is_some_and(runs)
        })
    });
    let record = scene.sim.record(&scene.node).unwrap();
    let next = InstanceId::from(standing_by::instance(&record).unwrap());
    (next, record.instance.clone().unwrap().id)
}

/// How many instances were launched in all.
fn launches(scene: &Scene) -> usize {
    scene.sim.cloud.calls().iter().filter(|(_, action, _)| *action == "RunInstances").count()
}

fn last_rows(scene: &Scene) -> Vec<(Row, u64, u64)> {
    let record = scene.sim.record(&scene.node).unwrap();
    let rows = &record.memory.history.last().unwrap().rows;
    rows.iter().map(|(row, from, to)| (*row, from.0, to.unwrap().0)).collect()
}

fn row(rows: &[(Row, u64, u64)], which: Row) -> (u64, u64) {
    rows.iter().find(|(row, _, _)| *row == which).map(|(_, from, to)| (*from, *to)).unwrap()
}

#[test]
fn the_next_instance_runs_before_the_old_one_is_given_up_and_becomes_the_nodes() {
    for kind in VOLUNTARY {
        let mut scene = Scene::prepare(kind, 21, LIGHT);
        let (before, launched) = (scene.generation(), launches(&scene));
        scene.trigger(kind, LIGHT);
        let (next, old) = until_one_stands_by(&mut scene);
        assert_eq!(
            scene.sim.cloud.truth().serving(&scene.node),
            std::slice::from_ref(&old),
            "{kind:?}"
        );
        scene.wait_for_end(kind, before);
        let record = scene.sim.record(&scene.node).unwrap();
        assert_eq!(record.instance.as_ref().unwrap().id, next, "{kind:?}");
        assert_eq!(record.generations.number(), before + 1, "{kind:?}");
        let probes = usize::from(kind == Kind::Revert);
        assert_eq!(launches(&scene) - launched, 1 + probes, "{kind:?}");
        scene.sim.run_for(MINUTE);
        let rows = last_rows(&scene);
        assert!(row(&rows, Row::Standby).1 <= row(&rows, Row::Drain).0, "{kind:?}: {rows:?}");
        let (from, to) = row(&rows, Row::Launch);
        assert!(to - from < SECOND, "{kind:?}: it was there already: {rows:?}");
        scene.judge(kind);
    }
}

#[test]
fn the_same_node_is_away_for_less_time_than_in_the_ordinary_order() {
    let away = |shape: Shape, tag: &str| {
        let mut scene = Scene::empty(22, shape);
        let mut document = shape.spec();
        document["compute"]["launchSpecification"]["tags"] =
            json!([{"tagKey": "holdfast:make-before-break", "tagValue": tag}]);
        scene.sim.say(UserCommand::Create { id: scene.node.clone(), document });
        scene.wait("ACTIVE", |s, n| s.record(n).is_some_and(|r| r.status() == "ACTIVE"));
        scene.sim.run_for(2 * MINUTE);
        let before = scene.generation();
        scene.trigger(Kind::Recycle, shape);
        scene.wait_for_end(Kind::Recycle, before);
        scene.sim.run_for(MINUTE);
        let rows = last_rows(&scene);
        scene.judge(Kind::Recycle);
        row(&rows, Row::Ready).1 - row(&rows, Row::Drain).0
    };
    let (next_first, ordinary) = (away(LIGHT, "on"), away(LIGHT, "off"));
    assert!(next_first + 10 * SECOND < ordinary, "{next_first} ms, {ordinary} ms");
}

#[test]
fn a_kept_root_and_an_instance_that_has_ended_already_go_the_ordinary_way() {
    let mut kept = Scene::serving(23, WHOLE);
    let (before, launched) = (kept.generation(), launches(&kept));
    kept.trigger(Kind::Recycle, WHOLE);
    kept.wait_for_end(Kind::Recycle, before);
    let mut ended = Scene::serving(23, LIGHT);
    let old = ended.sim.record(&ended.node).unwrap().instance.clone().unwrap().id;
    let now = ended.sim.now;
    ended.sim.cloud.kill(now, &old);
    // Nobody looks before it is over.
    let is_over = |scene: &Scene| {
        let free = |fact: &Fact| !matches!(fact, Fact::Volume(v) if v.attached_to.is_some());
        scene.sim.cloud.resources(&scene.node).iter().all(free)
    };
    while !is_over(&ended) {
        ended.sim.kill_controller();
        ended.sim.run_for(SECOND);
    }
    ended.wait_for_end(Kind::Lost, before);
    for (scene, kind) in [(&mut kept, Kind::Recycle), (&mut ended, Kind::Lost)] {
        scene.sim.run_for(MINUTE);
        let record = scene.sim.record(&scene.node).unwrap();
        assert_eq!(record.generations.promised(), None, "{kind:?}");
        assert_eq!(launches(scene) - launched, 1, "{kind:?}");
        scene.judge(kind);
    }
}

#[test]
fn a_refused_launch_leaves_the_ordinary_order_and_cools_no_market() {
    let mut scene = Scene::serving(24, LIGHT);
    let before = scene.generation();
    let market = scene.sim.record(&scene.node).unwrap().instance.clone().unwrap().market;
    // Room for one instance in each: the next one has none before the old one is gone.
    for price in scene.sim.cloud.catalogue().prices {
        let here = price.market == market;
        scene.sim.cloud.set_capacity(&price.market, Some(u32::from(here)));
    }
    scene.trigger(Kind::Recycle, LIGHT);
    scene.wait_for_end(Kind::Recycle, before);
    let record = scene.sim.record(&scene.node).unwrap();
    assert_eq!(record.instance.as_ref().unwrap().market, market);
    assert!(record.memory.market_backoff.is_empty(), "{:?}", record.memory.market_backoff);
    assert!(scene.sim.story.iter().any(|e| e.code == "standby-refused"), "{}", scene.sim.told());
    scene.judge(Kind::Recycle);
}

#[test]
fn where_the_cloud_takes_the_room_for_itself_another_market_is_asked_at_once() {
    for kind in [Kind::Lost, Kind::Notice] {
        let mut scene = Scene::serving(35, LIGHT);
        let (before, asked) = (scene.generation(), launches(&scene));
        let first = scene.sim.record(&scene.node).unwrap().instance.clone().unwrap().market;
        scene.sim.cloud.set_capacity(&first, Some(0));
        scene.trigger(kind, LIGHT);
        scene.wait_for_end(kind, before);
        scene.sim.run_for(MINUTE);
        let record = scene.sim.record(&scene.node).unwrap();
        let holder = record.instance.as_ref().unwrap();
        assert_ne!(holder.market, first, "{kind:?}");
        assert!(holder.why.contains("; a better one refused lately"), "{kind:?}: {}", holder.why);
        assert!(
            record.memory.market_backoff.is_empty(),
            "{kind:?}: {:?}",
            record.memory.market_backoff
        );
        assert_eq!(launches(&scene) - asked, 2, "{kind:?}: {}", scene.sim.told());
        assert_eq!(
            record.generations.number(),
            before + 1,
            "{kind:?}: nothing came of the first launch"
        );
        let rows = last_rows(&scene);
        let told = |code: &str| scene.sim.story.iter().find(|e| e.code == code).map(|e| e.at.0);
        let elsewhere = told("standby-elsewhere").unwrap();
        assert!(elsewhere < row(&rows, Row::Stop).1, "{kind:?}: while the old one ended: {rows:?}");
        assert_eq!(told("standby-refused"), None, "{}", scene.sim.told());
        scene.judge(kind);
    }
}

#[test]
fn a_drought_everywhere_ends_the_asking_and_loses_nothing() {
    for kind in [Kind::Lost, Kind::Notice] {
        let mut scene = Scene::serving(36, LIGHT);
        let (before, asked) = (scene.generation(), launches(&scene));
        scene.drought(None, None, true);
        scene.trigger(kind, LIGHT);
        scene.sim.run_for(20 * MINUTE);
        let told = |code: &str| scene.sim.story.iter().filter(|e| e.code == code).count();
        assert!(told("standby-elsewhere") <= 2, "{kind:?}: {}", scene.sim.told());
        assert!(launches(&scene) - asked < 60, "{kind:?}");
        scene.drought(None, None, false);
        scene.wait_for_end(kind, before);
        scene.judge(kind);
    }
}

#[test]
fn an_instance_that_is_lost_while_it_stands_by_is_replaced_and_not_missed() {
    for kind in VOLUNTARY {
        for moment in (0..30).step_by(3) {
            let mut scene = Scene::prepare(kind, 25, LIGHT);
            let before = scene.generation();
            scene.trigger(kind, LIGHT);
            let (next, _) = until_one_stands_by(&mut scene);
            scene.sim.run_for(moment * SECOND);
            let now = scene.sim.now;
            scene.sim.cloud.kill(now, &next);
            scene.sim.run_for(10 * MINUTE);
            scene.wait_for_end(kind, before);
            scene.judge(kind);
        }
    }
}

#[test]
fn an_old_instance_that_is_lost_at_any_moment_leaves_the_node_to_the_next_one() {
    for kind in VOLUNTARY {
        for moment in 0..30 {
            let mut scene = Scene::prepare(kind, 26, LIGHT);
            let before = scene.generation();
            let old = scene.sim.record(&scene.node).unwrap().instance.clone().unwrap().id;
            scene.trigger(kind, LIGHT);
            scene.sim.run_for(moment * 2 * SECOND);
            let now = scene.sim.now;
            scene.sim.cloud.kill(now, &old);
            scene.sim.run_for(10 * MINUTE);
            scene.wait_for_end(kind, before);
            scene.judge(kind);
        }
    }
}

#[test]
fn a_word_at_any_moment_leaves_no_instance_that_stands_by() {
    for word in [Kind::Pause, Kind::Delete] {
        for moment in 0..40 {
            let mut scene = Scene::serving(27, LIGHT);
            scene.trigger(Kind::Recycle, LIGHT);
            scene.sim.run_for(moment * 2 * SECOND);
            scene.trigger(word, LIGHT);
            scene.wait_for_end(word, 0);
            scene.sim.run_for(10 * MINUTE);
            assert!(scene.sim.cloud.living(&scene.node).is_empty(), "{word:?} at {moment}");
            scene.judge(word);
            if word == Kind::Pause {
                let before = scene.generation();
                scene.trigger(Kind::Resume, LIGHT);
                scene.wait_for_end(Kind::Resume, before);
                scene.judge(Kind::Resume);
            }
        }
    }
}

#[test]
fn a_notice_during_a_recycle_is_heard_while_one_stands_by() {
    let mut scene = Scene::serving(28, LIGHT);
    let before = scene.generation();
    scene.trigger(Kind::Recycle, LIGHT);
    scene.sim.run_for(3 * SECOND);
    scene.trigger(Kind::Notice, LIGHT);
    scene.wait("told", |s, n| {
        s.record(n).is_some_and(|r| r.work.as_ref().is_some_and(|r| r.deadline.is_some()))
    });
    scene.wait_for_end(Kind::Recycle, before);
    scene.judge(Kind::Recycle);
}

const AWAY: [Kind; 2] = [Kind::Lost, Kind::Unhealthy];

#[test]
fn after_a_loss_and_for_an_unwell_instance_the_next_one_is_launched_while_the_old_one_ends() {
    for kind in AWAY {
        let away = |tag: &str| {
            let mut scene = Scene::empty(29, LIGHT);
            let mut document = LIGHT.spec();
            document["compute"]["launchSpecification"]["tags"] =
                json!([{"tagKey": "holdfast:make-before-break", "tagValue": tag}]);
            scene.sim.say(UserCommand::Create { id: scene.node.clone(), document });
            scene.wait("ACTIVE", |s, n| s.record(n).is_some_and(|r| r.status() == "ACTIVE"));
            scene.sim.run_for(2 * MINUTE);
            let (before, launched) = (scene.generation(), launches(&scene));
            scene.trigger(kind, LIGHT);
            scene.wait_for_end(kind, before);
            assert_eq!(launches(&scene) - launched, 1, "{kind:?}");
            scene.sim.run_for(MINUTE);
            let rows = last_rows(&scene);
            scene.judge(kind);
            rows
        };
        let (beside, ordinary) = (away("on"), away("off"));
        let length = |rows: &[(Row, u64, u64)]| row(rows, Row::Ready).1 - row(rows, Row::Place).0;
        let asked = row(&beside, Row::Standby);
        assert_eq!(asked.0, asked.1, "{kind:?}: nothing waits for it: {beside:?}");
        let (saved, ending) = (length(&ordinary) - length(&beside), row(&beside, Row::Stop));
        assert!(saved >= 5 * SECOND, "{kind:?}: {saved} ms; {beside:?}; {ordinary:?}");
        assert!(ending.1 - ending.0 >= 5 * SECOND, "{kind:?}: {beside:?}");
    }
}

#[test]
fn an_instance_that_is_lost_while_the_old_one_ends_is_replaced_and_not_missed() {
    for kind in AWAY {
        for moment in (0..60).step_by(3) {
            let mut scene = Scene::serving(30, LIGHT);
            let before = scene.generation();
            let old = scene.sim.record(&scene.node).unwrap().instance.clone().unwrap().id;
            scene.trigger(kind, LIGHT);
            scene.sim.run_for(moment * SECOND);
            let now = scene.sim.now;
            for next in scene.sim.cloud.living(&scene.node) {
                if next != old {
                    scene.sim.cloud.kill(now, &next);
                }
            }
            scene.sim.run_for(15 * MINUTE);
            assert!(scene.generation() > before, "{kind:?} at {moment}: {}", scene.sim.told());
            scene.judge(kind);
        }
    }
}

#[test]
fn a_word_at_any_moment_after_a_loss_leaves_no_instance_that_stands_by() {
    for (kind, word) in [(Kind::Lost, Kind::Pause), (Kind::Unhealthy, Kind::Delete)] {
        for moment in 0..30 {
            let mut scene = Scene::serving(33, LIGHT);
            scene.trigger(kind, LIGHT);
            scene.sim.run_for(moment * 3 * SECOND);
            scene.trigger(word, LIGHT);
            scene.wait_for_end(word, 0);
            scene.sim.run_for(10 * MINUTE);
            assert!(scene.sim.cloud.living(&scene.node).is_empty(), "{word:?} at {moment}");
            scene.judge(word);
        }
    }
}

#[test]
fn after_a_loss_a_refused_launch_is_asked_for_again_once_the_old_instance_has_ended() {
    let mut scene = Scene::serving(34, LIGHT);
    let before = scene.generation();
    let market = scene.sim.record(&scene.node).unwrap().instance.clone().unwrap().market;
    for price in scene.sim.cloud.catalogue().prices {
        let here = price.market == market;
        scene.sim.cloud.set_capacity(&price.market, Some(u32::from(here)));
    }
    scene.trigger(Kind::Lost, LIGHT);
    scene.wait_for_end(Kind::Lost, before);
    assert!(scene.generation() > before);
    scene.judge(Kind::Lost);
}

#[test]
fn a_kept_interface_that_is_deleted_before_it_could_move_is_made_again_with_its_address() {
    let mut again = 0;
    for kind in [Kind::Recycle, Kind::Lost, Kind::Notice] {
        for moment in 0..120 {
            let mut scene = Scene::serving(37, LIGHT);
            let before = scene.generation();
            let kept = scene.sim.record(&scene.node).unwrap().identity.interface.clone().unwrap();
            scene.trigger(kind, LIGHT);
            scene.sim.run_for(moment * 700);
            let now = scene.sim.now;
            let free = |fact: &Fact| matches!(fact, Fact::Interface(i) if i.attached_to.is_none());
            if !scene.sim.cloud.truly(kept.id.as_str()).is_some_and(|fact| free(&fact)) {
                continue;
            }
            scene.sim.cloud.delete_behind(now, kept.id.as_str());
            scene.wait_for_end(kind, before);
            let record = scene.sim.record(&scene.node).unwrap();
            let new = record.identity.interface.clone().unwrap();
            assert_ne!(new.id, kept.id, "{kind:?} at {moment}");
            assert_eq!(new.private_ip, kept.private_ip, "{kind:?} at {moment}");
            let asked = scene.sim.story.iter().any(|e| e.code == "needs-decision");
            assert!(!asked, "{kind:?} at {moment}: {}", scene.sim.told());
            scene.judge(kind);
            again += 1;
        }
    }
    assert!(again >= 3, "only {again} of all moments found it free");
}

#[test]
fn one_that_stands_by_is_no_second_writer_unless_it_holds_something_of_the_node() {
    let mut scene = Scene::serving(31, LIGHT);
    scene.trigger(Kind::Recycle, LIGHT);
    let (next, old) = until_one_stands_by(&mut scene);
    let record = scene.sim.record(&scene.node).unwrap();
    let facts = scene.sim.cloud.resources(&scene.node);
    let several = |record: &Record, facts: Vec<Fact>| {
        let mut world = World::new(0);
        world.absorb_page(facts, scene.sim.now);
        let seen = Seen {
            world: &world,
            catalogue: &scene.sim.cloud.catalogue(),
            installation: &Installation::from("0123abcd"),
            epoch: Epoch { count: 1, began: Time(0) },
            survival: &Survival::default(),
            tuning: &Tuning::ec2(),
            snapshot_volumes: 0,
            choice_from: Time(0),
            now: scene.sim.now,
        };
        invariants::check(record, &seen).iter().any(|b| b.name == Invariant::OneWriter)
    };
    assert!(!several(&record, facts.clone()));
    // It has the node's volume, or its interface.
    let is_the_nodes = |fact: &&Fact| match fact {
        Fact::Volume(v) => v.attached_to == Some((old.clone(), "/dev/xvdb".to_owned())),
        Fact::Interface(i) => i.attached_to.as_ref() == Some(&old),
        _ => false,
    };
    let held: Vec<&Fact> = facts.iter().filter(is_the_nodes).collect();
    assert_eq!(held.len(), 2);
    for taken in held {
        let mut moved = facts.clone();
        for fact in moved.iter_mut().filter(|fact| fact.id() == taken.id()) {
            match fact {
                Fact::Volume(v) => v.attached_to = Some((next.clone(), "/dev/xvdb".into())),
                Fact::Interface(i) => i.attached_to = Some(next.clone()),
                _ => {}
            }
        }
        assert!(several(&record, moved), "{}", taken.id());
    }
    // Nothing in the record speaks of it.
    let mut stranger = (*record).clone();
    stranger.work.as_mut().unwrap().rows.remove(&Row::Standby);
    assert!(several(&stranger, facts));
}

#[test]
fn a_notice_that_is_over_when_it_is_heard_leaves_no_launch_unanswered() {
    let mut scene = Scene::serving(32, LIGHT);
    let before = scene.generation();
    // By the controller's clock the instance is gone already: the row is done as soon as it began.
    scene.sim.wrong_clock(10 * MINUTE as i64);
    scene.trigger(Kind::Notice, LIGHT);
    scene.wait_for_end(Kind::Notice, before);
    assert!(
        scene.sim.record(&scene.node).unwrap().blocked.decision().is_none(),
        "{}",
        scene.sim.told()
    );
    scene.judge(Kind::Notice);
}
