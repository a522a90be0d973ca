//! Adoption puts right what a restored, copied or emptied store does not know.

use crate::scene::{ROAMING, SNAPSHOTS, Scene, Shape, WHOLE};
use holdfast_controller::Refusal;
use holdfast_model::adoption::{Heads, Stray};
use holdfast_model::facts::Fact;
use holdfast_model::record::{DataHead, RootHead};
use holdfast_model::time::{HOUR, MINUTE, SECOND};
use holdfast_model::user::{Deallocation, UserCommand};
use holdfast_model::{Kind, NodeId, Record};
use holdfast_store::memory::MemoryStore;
use holdfast_store::{Store, Write};
use std::sync::Arc;

const SHAPES: [Shape; 3] = [WHOLE, ROAMING, SNAPSHOTS];

fn adopt(
    scene: &mut Scene,
    document: Option<serde_json::Value>,
    heads: &[(&str, &str)],
) -> Result<Arc<Record>, Refusal> {
    let heads: Heads = heads.iter().map(|(p, id)| ((*p).to_owned(), (*id).to_owned())).collect();
    let word = UserCommand::Adopt { id: scene.node.clone(), document, heads };
    let number = scene.sim.say(word);
    scene.sim.run_for(SECOND);
    scene.sim.answers.remove(&number).expect("an answer")
}

/// A node that lived on after its store was backed up, and a controller on the backup.
fn restored(seed: u64, shape: Shape, since: &[Kind]) -> Scene {
    let mut scene = Scene::serving(seed, shape);
    let backup = scene.sim.store.copy();
    for kind in since {
        let before = scene.generation();
        scene.trigger(*kind, shape);
        scene.wait_for_end(*kind, before);
        scene.sim.run_for(2 * MINUTE);
    }
    scene.sim.restore(backup);
    scene.sim.run_for(2 * MINUTE);
    scene
}

/// It works as if nothing had been: nothing lost, every kind of replacement, nothing in the dark.
fn lives_on(scene: &mut Scene, shape: Shape) {
    for kind in [Kind::Recycle, Kind::Lost, Kind::Notice, Kind::Pause, Kind::Resume] {
        let before = scene.generation();
        scene.trigger(kind, shape);
        scene.wait_for_end(kind, before);
        scene.sim.run_for(2 * MINUTE);
    }
    scene.sim.run_for(30 * MINUTE);
    nothing_in_the_dark(scene);
}

/// Everything that is there is known to the record, or is shown as a stray.
fn nothing_in_the_dark(scene: &mut Scene) {
    let strays: Vec<Stray> = scene.sim.fleet().strays(scene.sim.now);
    let shown: Vec<&str> = strays.iter().flat_map(|s| &s.resources).map(Fact::id).collect();
    let mut known = scene.known();
    known.extend(shown.iter().map(|id| (*id).to_owned()));
    let record = scene.sim.record(&scene.node);
    known.extend(record.iter().flat_map(|r| &r.kept.pending_deletion).map(|s| s.id.clone()));
    let there = scene.sim.cloud.resources(&scene.node);
    for fact in &there {
        assert!(known.iter().any(|id| id == fact.id()), "{} is in the dark", fact.id());
    }
    let violations = scene.sim.cloud.violations();
    assert!(violations.is_empty(), "{violations:#?}\n{}", scene.sim.told());
}

#[test]
fn an_instance_of_a_later_generation_is_taken_over_without_an_interruption() {
    for (seed, shape) in (51..).zip(SHAPES) {
        for since in [&[Kind::Recycle][..], &[Kind::Lost, Kind::Notice, Kind::Pause, Kind::Resume]]
        {
            let mut scene = restored(seed, shape, since);
            assert_eq!(scene.status(), "ERROR");
            let serving = scene.sim.cloud.truth().serving(&scene.node);
            let strays = scene.sim.fleet().strays(scene.sim.now);
            assert!(strays.iter().any(|s| s.found.is_some()), "{strays:#?}");
            let calls = scene.sim.calls.len();
            let record = adopt(&mut scene, None, &[]).unwrap_or_else(|e| panic!("{shape:?}: {e}"));
            assert_eq!(record.status(), "ACTIVE");
            assert_eq!(record.instance.as_ref().map(|h| h.id.clone()), serving.first().cloned());
            scene.sim.run_for(10 * MINUTE);
            assert_eq!(scene.sim.cloud.truth().serving(&scene.node), serving, "it serves on");
            assert_eq!(scene.sim.calls[calls..], [] as [&str; 0], "nothing was changed");
            lives_on(&mut scene, shape);
        }
    }
}

#[test]
fn a_node_without_an_instance_is_adopted_where_its_newest_content_is() {
    for (seed, shape) in (54..).zip(SHAPES) {
        for since in [
            &[Kind::Recycle, Kind::Pause][..],
            &[Kind::Lost, Kind::Notice, Kind::Pause, Kind::Resume, Kind::Pause],
        ] {
            let mut scene = restored(seed, shape, since);
            let record = adopt(&mut scene, None, &[]).unwrap_or_else(|e| panic!("{shape:?}: {e}"));
            assert_eq!(record.status(), "RESUMING", "the backup wants it to run");
            scene.wait("ACTIVE", |s, n| s.record(n).is_some_and(|r| r.status() == "ACTIVE"));
            lives_on(&mut scene, shape);
        }
    }
}

#[test]
fn the_last_instance_may_have_died_while_nobody_looked() {
    for (seed, shape) in (57..).zip(SHAPES) {
        for later in [MINUTE, 3 * HOUR] {
            let mut scene = restored(seed, shape, &[Kind::Recycle, Kind::Notice]);
            let now = scene.sim.now;
            for instance in scene.sim.cloud.truth().serving(&scene.node) {
                scene.sim.cloud.kill(now, &instance);
            }
            scene.sim.run_for(later);
            adopt(&mut scene, None, &[]).unwrap_or_else(|e| panic!("{shape:?}: {e}"));
            scene.wait("ACTIVE", |s, n| s.record(n).is_some_and(|r| r.status() == "ACTIVE"));
            lives_on(&mut scene, shape);
        }
    }
}

#[test]
fn a_node_that_no_store_knows_is_adopted_with_its_spec() {
    for (seed, shape) in (60..).zip(SHAPES) {
        let mut scene = Scene::serving(seed, shape);
        scene.sim.restore(MemoryStore::new());
        scene.sim.run_for(2 * MINUTE);
        let strays = scene.sim.fleet().strays(scene.sim.now);
        assert_eq!(strays.len(), 1, "{strays:#?}");
        assert!(strays[0].ours && strays[0].recorded.is_none());
        let refused = adopt(&mut scene, None, &[]).expect_err("without a spec");
        assert!(refused.to_string().contains("--spec"), "{refused}");
        let document = Some(shape.spec());
        let record = adopt(&mut scene, document, &[]).unwrap_or_else(|e| panic!("{shape:?}: {e}"));
        assert_eq!(record.status(), "ACTIVE");
        lives_on(&mut scene, shape);
    }
}

#[test]
fn an_unknown_node_without_an_instance_rests_until_a_person_resumes_it() {
    let mut scene = Scene::serving(63, WHOLE);
    scene.trigger(Kind::Pause, WHOLE);
    scene.wait_for_end(Kind::Pause, 0);
    scene.sim.restore(MemoryStore::new());
    scene.sim.run_for(2 * MINUTE);
    let document = Some(WHOLE.spec());
    let record = adopt(&mut scene, document, &[]).expect("adopted");
    assert_eq!(record.status(), "PAUSED");
    scene.sim.run_for(HOUR);
    assert_eq!(scene.status(), "PAUSED");
    let before = scene.generation();
    scene.trigger(Kind::Resume, WHOLE);
    scene.wait_for_end(Kind::Resume, before);
    lives_on(&mut scene, WHOLE);
}

#[test]
fn what_is_not_certain_is_asked_and_answered_by_a_choice() {
    let mut scene = restored(64, WHOLE, &[Kind::Recycle, Kind::Pause]);
    let now = scene.sim.now;
    let root = scene.sim.cloud.resources(&scene.node).into_iter().find_map(|f| match f {
        Fact::Image(i) if i.tags.get("holdfast:generation").is_some_and(|g| g == "2") => Some(i),
        _ => None,
    });
    let root = root.expect("the image of the newest generation");
    // Somebody deletes the newest root, wherever it is: an older one is not silently taken.
    let volume = scene.sim.cloud.resources(&scene.node).into_iter().find_map(|f| match f {
        Fact::Volume(v) if v.tags.get("holdfast:role").is_some_and(|r| r == "instance") => Some(v),
        _ => None,
    });
    scene.sim.cloud.delete_behind(now, volume.expect("the captured root").id.as_str());
    scene.sim.cloud.delete_behind(now, root.id.as_str());
    scene.sim.run_for(10 * MINUTE);
    let refused = adopt(&mut scene, None, &[]).expect_err("it is not certain").to_string();
    assert!(refused.contains("--head root=ID"), "{refused}");
    let older = scene.sim.cloud.resources(&scene.node).into_iter().find_map(|f| match f {
        Fact::Image(i) => Some(i.id.0.clone()),
        _ => None,
    });
    let older = older.expect("the image before it");
    assert!(refused.contains(&older), "{refused}");
    let wrong = adopt(&mut scene, None, &[("root", "ami-0000")]).expect_err("no candidate");
    assert!(wrong.to_string().contains("none of its candidates"), "{wrong}");
    let part = adopt(&mut scene, None, &[("roof", "ami-0000")]).expect_err("no such part");
    assert!(part.to_string().contains("no such part"), "{part}");
    let before = scene.sim.cloud.resources(&scene.node).len();
    let record = adopt(&mut scene, None, &[("root", &older)]).expect("chosen");
    let from = match &record.identity.root {
        RootHead::Captured { image, .. } => Some(image.0.clone()),
        RootHead::Live { from, .. } => from.as_ref().map(|(_, image, _)| image.0.clone()),
        RootHead::Fresh => None,
    };
    assert_eq!(from, Some(older), "what the person chose");
    assert!(scene.sim.cloud.resources(&scene.node).len() >= before, "nothing goes");
}

#[test]
fn two_volumes_for_one_device_are_a_question() {
    let mut scene = restored(65, SNAPSHOTS, &[Kind::Recycle, Kind::Pause]);
    let volume = scene.sim.cloud.resources(&scene.node).into_iter().find_map(|f| match f {
        Fact::Volume(v) if v.tags.get("holdfast:role").is_some_and(|r| r == "data:/dev/xvdb") => {
            Some(v)
        }
        _ => None,
    });
    let volume = volume.expect("a data volume");
    // Another controller made a second one, and nobody knows whether it was written to.
    let command = holdfast_model::Command::CreateVolume {
        token: "hf-00000001-7-00".into(),
        zone: volume.zone.clone(),
        size_gib: volume.size_gib,
        snapshot: None,
        settings: serde_json::Map::new(),
        tags: volume.tags.clone(),
    };
    let now = scene.sim.now;
    scene.sim.cloud.call(now, command);
    scene.sim.run_for(5 * MINUTE);
    let refused = adopt(&mut scene, None, &[]).expect_err("it is not certain").to_string();
    assert!(refused.contains("--head /dev/xvdb=ID"), "{refused}");
    let chosen = volume.id.0.clone();
    let record = adopt(&mut scene, None, &[("/dev/xvdb", &chosen)]).expect("chosen");
    let head = record.identity.data.iter().find(|d| d.device == "/dev/xvdb").map(|d| &d.head);
    assert!(matches!(head, Some(DataHead::Volume { id, .. }) if id == &volume.id));
    scene.wait("ACTIVE", |s, n| s.record(n).is_some_and(|r| r.status() == "ACTIVE"));
    lives_on(&mut scene, SNAPSHOTS);
}

#[test]
fn data_of_which_only_a_snapshot_is_left_begins_with_the_one_that_a_person_chooses() {
    let mut scene = Scene::serving(69, SNAPSHOTS);
    scene.trigger(Kind::Pause, SNAPSHOTS);
    scene.wait_for_end(Kind::Pause, 0);
    scene.sim.restore(MemoryStore::new());
    let now = scene.sim.now;
    let of = |role: &str, fact: &Fact| fact.tags().get("holdfast:role").is_some_and(|r| r == role);
    let there = scene.sim.cloud.resources(&scene.node);
    for volume in there.iter().filter(|f| matches!(f, Fact::Volume(_)) && of("data:/dev/xvdb", f)) {
        scene.sim.cloud.delete_behind(now, volume.id());
    }
    scene.sim.run_for(10 * MINUTE);
    let document = Some(SNAPSHOTS.spec());
    let refused = adopt(&mut scene, document.clone(), &[]).expect_err("a choice").to_string();
    assert!(refused.contains("only snapshots are left of it"), "{refused}");
    let copies = there.iter().filter(|f| matches!(f, Fact::Snapshot(_)) && of("data:/dev/xvdb", f));
    let copy = copies.map(|f| f.id().to_owned()).max().expect("the final snapshot");
    assert!(refused.contains(&copy), "{refused}");
    let record = adopt(&mut scene, document, &[("/dev/xvdb", &copy)]).expect("chosen");
    assert_eq!(record.status(), "PAUSED");
    scene.sim.run_for(6 * HOUR);
    let before = scene.generation();
    scene.trigger(Kind::Resume, SNAPSHOTS);
    scene.wait_for_end(Kind::Resume, before);
    let made = scene.sim.cloud.resources(&scene.node).into_iter().find_map(|f| match f {
        Fact::Volume(v) if v.snapshot.as_ref().is_some_and(|s| s.as_str() == copy) => Some(v),
        _ => None,
    });
    assert!(made.is_some_and(|v| v.attached_to.is_some()), "made from the snapshot, and in use");
    lives_on(&mut scene, SNAPSHOTS);
}

#[test]
fn several_living_instances_are_a_question_and_neither_is_touched() {
    // Two servers of one installation made a node each, without knowing of each other.
    let mut scene = Scene::serving(66, ROAMING);
    scene.sim.restore(MemoryStore::new());
    scene.sim.run_for(2 * MINUTE);
    scene.sim.cloud.truth_mut().release(&scene.node);
    scene.create(ROAMING);
    scene.sim.run_for(10 * MINUTE);
    let alive = |scene: &Scene| {
        let of = scene.sim.cloud.resources(&scene.node);
        of.iter().filter(|f| f.id().starts_with("i-")).count()
    };
    assert_eq!(alive(&scene), 1, "its record begins below what the cloud shows: it makes nothing");
    assert_eq!(scene.status(), "ERROR", "{}", scene.sim.told());
}

#[test]
fn a_healthy_node_and_one_that_nobody_has_are_not_adopted() {
    let mut scene = Scene::serving(67, WHOLE);
    let refused = adopt(&mut scene, None, &[]).expect_err("healthy").to_string();
    assert!(refused.contains("nothing to adopt"), "{refused}");
    scene.node = NodeId::from("smi-ffffffff");
    assert_eq!(
        adopt(&mut scene, None, &[]),
        Err(Refusal::NoSuchNode(NodeId::from("smi-ffffffff")))
    );
    let document = Some(WHOLE.spec());
    let refused = adopt(&mut scene, document, &[]).expect_err("nothing of it").to_string();
    assert!(refused.contains("shows nothing of it"), "{refused}");
    assert!(scene.sim.record(&scene.node).is_none());
}

#[test]
fn another_installations_resources_are_shown_and_can_be_taken_over_by_its_name() {
    let mut scene = Scene::serving(68, WHOLE);
    scene.sim.installation("another1");
    scene.sim.restore(MemoryStore::new());
    scene.sim.run_for(2 * MINUTE);
    let strays = scene.sim.fleet().strays(scene.sim.now);
    assert_eq!(strays.len(), 1);
    assert!(!strays[0].ours && strays[0].why.contains("--installation 0123abcd"), "{strays:#?}");
    let document = Some(WHOLE.spec());
    assert!(adopt(&mut scene, document.clone(), &[]).is_err(), "it is not ours");
    // The same store, told who it is.
    scene.sim.installation("0123abcd");
    scene.sim.kill_controller();
    scene.sim.run_for(2 * MINUTE);
    adopt(&mut scene, document, &[]).expect("ours");
    lives_on(&mut scene, WHOLE);
}

/// The node's record is now this text, and the controller starts again on it.
fn damage(scene: &mut Scene, text: &str) {
    let store = scene.sim.store.copy();
    let stored = store.load().expect("a store");
    let expected = stored.iter().find(|r| r.node == scene.node).map_or(0, |r| r.revision);
    let record = Some(text.to_owned());
    let write = Write { node: scene.node.clone(), expected, record, events: Vec::new() };
    store.commit(&[write]).expect("it is written");
    scene.sim.restore(store);
    scene.sim.run_for(2 * MINUTE);
    assert!(scene.sim.fleet().stopped(&scene.node).is_some(), "the node is stopped");
    assert!(scene.sim.record(&scene.node).is_none());
}

fn stored(scene: &Scene) -> Vec<String> {
    scene.sim.store.load().expect("a store").into_iter().map(|r| r.json).collect()
}

#[test]
fn a_damaged_record_is_made_anew_from_a_spec_and_what_the_cloud_shows() {
    for (seed, shape) in (70..).zip(SHAPES) {
        for paused in [false, true] {
            let mut scene = Scene::serving(seed, shape);
            if paused {
                scene.trigger(Kind::Pause, shape);
                scene.wait_for_end(Kind::Pause, 0);
                scene.sim.run_for(2 * MINUTE);
            }
            damage(&mut scene, "{\"schema\": 1, \"id\": ");
            let serving = scene.sim.cloud.truth().serving(&scene.node);
            let calls = scene.sim.calls.len();
            let refused = adopt(&mut scene, None, &[]).expect_err("without a spec").to_string();
            assert!(refused.contains("--spec"), "{refused}");
            let mistaken = adopt(&mut scene, Some(serde_json::json!({})), &[]);
            assert!(matches!(mistaken, Err(Refusal::Invalid(_))), "{mistaken:?}");
            assert!(scene.sim.fleet().stopped(&scene.node).is_some(), "still stopped");

            let record = adopt(&mut scene, Some(shape.spec()), &[]).expect("with its spec");
            assert_eq!(record.status(), if paused { "PAUSED" } else { "ACTIVE" });
            assert!(scene.sim.fleet().stopped(&scene.node).is_none());
            scene.sim.run_for(10 * MINUTE);
            assert_eq!(scene.sim.cloud.truth().serving(&scene.node), serving, "it serves on");
            assert_eq!(scene.sim.calls[calls..], [] as [&str; 0], "nothing was changed");
            // What is stored now is whole.
            scene.sim.kill_controller();
            scene.sim.run_for(2 * MINUTE);
            if paused {
                let before = scene.generation();
                scene.trigger(Kind::Resume, shape);
                scene.wait_for_end(Kind::Resume, before);
            }
            lives_on(&mut scene, shape);
        }
    }
}

#[test]
fn a_spec_that_an_earlier_version_accepted_is_adopted_whatever_limits_there_are_now() {
    let mut scene = Scene::serving(76, WHOLE);
    damage(&mut scene, "{");
    let mut spec = WHOLE.spec();
    spec["description"] = "x".repeat(5_000).into();
    assert!(holdfast_model::Spec::accept(&spec, None).is_err(), "it would not be taken anew");
    let record = adopt(&mut scene, Some(spec), &[]).expect("it was accepted once");
    assert_eq!(record.status(), "ACTIVE");
    lives_on(&mut scene, WHOLE);
}

#[test]
fn a_newer_versions_record_is_never_replaced() {
    let mut scene = Scene::serving(73, WHOLE);
    let newer = "{\"schema\": 99}";
    damage(&mut scene, newer);
    let refused = adopt(&mut scene, Some(WHOLE.spec()), &[]).expect_err("it is whole").to_string();
    assert!(refused.contains("newer version"), "{refused}");
    let number = scene
        .sim
        .say(UserCommand::Delete { id: scene.node.clone(), deallocation: Deallocation::default() });
    scene.sim.run_for(SECOND);
    assert!(scene.sim.answers.remove(&number).expect("an answer").is_err());
    assert_eq!(stored(&scene), [newer]);
}

#[test]
fn a_node_whose_record_is_damaged_is_deleted_if_nothing_is_left_of_it_and_else_adopted_first() {
    let delete = |scene: &mut Scene| {
        let (id, deallocation) = (scene.node.clone(), Deallocation::default());
        let number = scene.sim.say(UserCommand::Delete { id, deallocation });
        scene.sim.run_for(SECOND);
        scene.sim.answers.remove(&number).expect("an answer")
    };
    let mut scene = Scene::serving(74, WHOLE);
    damage(&mut scene, "not JSON at all");
    let there = scene.sim.cloud.resources(&scene.node).len();
    let refused = delete(&mut scene).expect_err("something is left").to_string();
    assert!(refused.contains("holdfast adopt smi-00000001 --spec"), "{refused}");
    assert_eq!(stored(&scene), ["not JSON at all"]);
    adopt(&mut scene, Some(WHOLE.spec()), &[]).expect("with its spec");
    delete(&mut scene).expect("now it can be deleted");
    assert!(there > 0 && scene.status().starts_with("DEALLOCAT"), "{}", scene.status());

    let mut scene = Scene::empty(75, WHOLE);
    scene.sim.run_for(MINUTE);
    damage(&mut scene, "");
    delete(&mut scene).expect("nothing is left of it");
    assert_eq!(stored(&scene), [""; 0]);
    assert!(scene.sim.fleet().stopped(&scene.node).is_none());
    scene.create(WHOLE);
    scene.wait("ACTIVE", |s, n| s.record(n).is_some_and(|r| r.status() == "ACTIVE"));
}

#[test]
fn a_spec_that_is_given_with_an_adoption_is_a_new_revision_of_it() {
    let mut scene = restored(68, WHOLE, &[Kind::Recycle]);
    let before = scene.sim.record(&scene.node).unwrap();
    let mut document = WHOLE.spec();
    document["name"] = "another".into();
    let record = adopt(&mut scene, Some(document), &[]).unwrap();
    assert_eq!(record.spec_revision, before.spec_revision + 1);
    assert!(record.updated_at > before.updated_at);
    // The same one again is none.
    let mut scene = restored(68, WHOLE, &[Kind::Recycle]);
    let record = adopt(&mut scene, Some(WHOLE.spec()), &[]).unwrap();
    assert_eq!(record.spec_revision, before.spec_revision);
}
