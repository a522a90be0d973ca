use crate::scene::{LIGHT, ROAMING, SNAPSHOTS, Scene, WHOLE};
use holdfast_model::Kind;

#[test]
fn every_kind_of_replacement_works_in_every_shape() {
    for shape in [WHOLE, LIGHT, ROAMING, SNAPSHOTS] {
        // Tidying up needs something that could not be deleted: see the regressions.
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Tidy) {
            if kind == Kind::Rollback && !shape.root {
                // Its data is one and the same volume: there is nothing to return to.
                continue;
            }
            for seed in 1..=5 {
                let mut scene = Scene::prepare(kind, seed, shape);
                let before = scene.generation();
                scene.trigger(kind, shape);
                scene.wait_for_end(kind, before);
                scene.judge(kind);
            }
        }
    }
}

#[test]
fn fifty_replacements_in_a_row_lose_nothing_and_keep_no_more_than_the_rules_allow() {
    let mut scene = Scene::serving(7, WHOLE);
    for round in 0..50 {
        let before = scene.generation();
        let kind = [Kind::Lost, Kind::Notice, Kind::Recycle][round % 3];
        scene.trigger(kind, WHOLE);
        scene.wait_for_end(kind, before);
    }
    scene.judge(Kind::Lost);
    let record = scene.sim.record(&scene.node).expect("it serves");
    assert_eq!(record.kept.final_snapshots.len(), holdfast_engine::parts::retention::FINALS_KEPT);
    assert!(record.memory.history.len() <= holdfast_model::record::MAX_HISTORY);
}

#[test]
fn the_same_seed_gives_the_same_story() {
    let story = |seed| {
        let mut scene = Scene::serving(seed, SNAPSHOTS);
        let before = scene.generation();
        scene.trigger(Kind::Lost, SNAPSHOTS);
        scene.wait_for_end(Kind::Lost, before);
        scene.sim.told()
    };
    assert_eq!(story(3), story(3));
    assert_ne!(story(3), story(4), "seeds differ");
}
