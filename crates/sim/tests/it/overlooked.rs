//! What a node that rests would do, asked from outside: so a wait for what is so already is seen.

use crate::scene::{Scene, WHOLE};
use holdfast_controller::Fleet;
use holdfast_model::time::{HOUR, SECOND};

const DAY: u64 = 24 * HOUR;

#[test]
fn a_node_that_has_a_call_on_its_way_does_not_rest() {
    let mut scene = Scene::empty(211, WHOLE);
    scene.create(WHOLE);
    scene.sim.run_for(SECOND / 2);
    let fleet: &Fleet = scene.sim.fleet();
    let record = scene.sim.record(&scene.node).unwrap();
    assert!(record.rows().any(|(_, row)| row.open_calls().next().is_some()), "{record:#?}");
    assert!(!fleet.rests(&scene.node));
    assert_eq!(fleet.overlooked(&scene.node, scene.sim.now.plus(DAY)), None);
}

#[test]
fn what_a_node_that_was_not_woken_would_change_is_named() {
    let scene = Scene::serving(212, WHOLE);
    let (fleet, now) = (scene.sim.fleet(), scene.sim.now);
    assert!(fleet.rests(&scene.node));
    assert_eq!(fleet.overlooked(&scene.node, now), None);
    // The next snapshots are due by then.
    assert_eq!(
        fleet.overlooked(&scene.node, now.plus(DAY)).as_deref(),
        Some("it waits for nothing, and could go on:  (changed: upkeep)")
    );
}
