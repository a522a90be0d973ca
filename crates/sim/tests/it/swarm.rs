//! Many nodes, many faults, then peace: each seed draws which faults are on and how often. While
//! they last, nothing may be lost; once they stop, every node must reach what its user wants.

use crate::scene::{ROAMING, SNAPSHOTS, Scene, Shape, WHOLE};
use holdfast_cloud_sim::Class;
use holdfast_cloud_sim::rng::SplitMix64;
use holdfast_model::time::{HOUR, MINUTE, SECOND};
use holdfast_model::user::UserCommand;
use holdfast_model::{Kind, NodeId};

/// How long the faults last, in virtual time.
const STORM: u64 = 3 * HOUR;
/// How many nodes there are.
const NODES: usize = 3;
/// Seeds of one test run.
const SEEDS: u64 = 25;

fn run(seed: u64) {
    let mut rng = SplitMix64::new(seed);
    let shapes: [Shape; 3] = [WHOLE, ROAMING, SNAPSHOTS];
    let mut scene = Scene::empty(seed, WHOLE);
    let mut nodes: Vec<(NodeId, Shape)> = Vec::new();
    for number in 0..NODES {
        let shape = shapes[rng.between(0, 2) as usize];
        scene.node = NodeId(format!("smi-0000000{}", number + 1));
        scene.expect(shape);
        scene.create(shape);
        nodes.push((scene.node.clone(), shape));
    }
    scene.wait("all serving", |s, _| {
        s.fleet().nodes().count() == NODES
            && s.fleet().nodes().all(|n| s.record(n).is_some_and(|r| r.status() == "ACTIVE"))
    });
    {
        let faults = scene.sim.cloud.faults();
        let mut chance = |most: u64| {
            if rng.between(0, 1) == 0 { 0 } else { rng.between(0, most) as u32 }
        };
        faults.set(Class::LostReply, chance(100_000));
        faults.set(Class::LostRequest, chance(100_000));
        faults.set(Class::Throttled, chance(200_000));
        faults.set(Class::Capacity, chance(500_000));
        faults.set(Class::LostDescribe, chance(200_000));
        faults.set(Class::NoticeLost, chance(500_000));
    }
    let end = scene.sim.now.plus(STORM);
    while scene.sim.now < end {
        let (node, shape) = nodes[rng.between(0, NODES as u64 - 1) as usize].clone();
        scene.node = node.clone();
        let has_holder = scene.sim.record(&node).is_some_and(|r| r.holder.is_some());
        match rng.between(0, 9) {
            0 | 1 if has_holder => scene.trigger(Kind::Lost, shape),
            2 | 3 if has_holder => scene.trigger(Kind::Notice, shape),
            4 => scene.trigger(Kind::Recycle, shape),
            5 => scene.trigger(Kind::Pause, shape),
            6 => scene.trigger(Kind::Resume, shape),
            7 => scene.sim.kill_controller(),
            8 => scene.sim.store.fail_next(rng.between(1, 5)),
            _ => {}
        }
        scene.sim.run_for(rng.between(SECOND, 6 * MINUTE));
    }
    scene.sim.cloud.faults().stop();
    scene.sim.store.fail_next(0);
    for (node, _) in &nodes {
        // A dead controller hears nothing: its user says it again.
        let mut heard = false;
        for _ in 0..10 {
            let number = scene.sim.say(UserCommand::Resume(node.clone()));
            scene.sim.run_for(30 * SECOND);
            heard |= scene.sim.answers.get(&number).is_some_and(Result::is_ok);
            if heard {
                break;
            }
        }
        assert!(heard, "seed {seed}: the controller hears nothing");
    }
    for (node, _) in &nodes {
        scene.node = node.clone();
        // Five refusals in a row are a matter for a person, who says: again.
        if scene.status() == "ERROR" {
            let choice = holdfast_model::user::Choice::Retry;
            scene.sim.say(UserCommand::Decide { id: node.clone(), choice });
        }
        scene.wait("ACTIVE in the end", |s, n| {
            s.record(n).is_some_and(|r| r.status() == "ACTIVE" && r.replacement.is_none())
        });
    }
    for (node, _) in nodes {
        scene.node = node;
        scene.judge(Kind::Lost);
    }
}

#[test]
fn whatever_goes_wrong_nothing_is_lost_and_all_is_well_once_it_stops() {
    match std::env::var("HOLDFAST_SEED").ok().and_then(|s| s.parse().ok()) {
        Some(seed) => run(seed),
        None => {
            for seed in 1..=SEEDS {
                run(seed);
            }
        }
    }
}
