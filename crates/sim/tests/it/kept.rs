//! What a server keeps in memory of nodes that are gone: nothing.

use crate::scene::{Scene, WHOLE};
use holdfast_model::NodeId;
use holdfast_model::time::{HOUR, MINUTE};
use holdfast_model::user::{Deallocation, UserCommand};

/// How many nodes live and go in each round.
const NODES: u64 = 12;

/// Nodes that are made, serve, and are deleted with all that they have.
fn round(scene: &mut Scene, first: u64) {
    let ids: Vec<NodeId> = (0..NODES).map(|n| NodeId(format!("smi-{:08x}", first + n))).collect();
    for id in &ids {
        scene.sim.say(UserCommand::Create { id: id.clone(), document: WHOLE.spec() });
    }
    scene.sim.run_for(10 * MINUTE);
    let serving =
        ids.iter().filter(|id| scene.sim.record(id).is_some_and(|r| r.instance.is_some()));
    assert_eq!(serving.count() as u64, NODES, "{}", scene.sim.told());
    let deallocation = Deallocation {
        should_delete_images: true,
        should_delete_network_interfaces: true,
        should_delete_volumes: true,
        should_delete_snapshots: true,
        should_terminate_instance: true,
    };
    for id in &ids {
        scene.sim.say(UserCommand::Delete { id: id.clone(), deallocation });
    }
    // Longer than it is remembered what is gone, and than a terminated instance is shown.
    scene.sim.run_for(6 * HOUR);
    assert_eq!(scene.sim.fleet().nodes().count(), 0, "{}", scene.sim.told());
}

#[test]
fn nodes_that_are_made_and_deleted_leave_nothing_in_memory() {
    let mut scene = Scene::empty(80, WHOLE);
    scene.sim.run_for(HOUR);
    let before = scene.sim.fleet().kept();
    let mut after = Vec::new();
    for number in 0..3 {
        round(&mut scene, 0x100 + number * NODES);
        after.push(scene.sim.fleet().kept());
    }
    assert!(after.iter().all(|kept| *kept <= before + 2), "{before} before, then {after:?}");
}
