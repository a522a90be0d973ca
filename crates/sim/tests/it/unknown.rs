//! What is not known satisfies no guard: resources that a new controller has not seen yet.

use crate::scene::{LIGHT, Scene, Shape};
use holdfast_cloud_sim::{Fault, When};
use holdfast_model::facts::Fact;
use holdfast_model::record::DataHead;
use holdfast_model::time::{MINUTE, SECOND};
use holdfast_model::user::{Deallocation, UserCommand};
use holdfast_model::{Command, InstanceId, Kind, Row};
use std::sync::Arc;

/// How long Describe is behind at most (`Tuning::ec2`): absence is no fact until then.
const WINDOW: u64 = 30 * SECOND;

/// The address by which the node is known, and the instance that holds it.
fn address(scene: &Scene) -> (String, bool) {
    let record = scene.sim.record(&scene.node).unwrap();
    let (kept, holder) =
        (record.identity.interface.clone().unwrap(), record.instance.clone().unwrap());
    match scene.sim.cloud.truly(kept.id.as_str()) {
        Some(Fact::Interface(i)) => (i.private_ip.clone(), i.attached_to == Some(holder.id)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_instance_that_is_not_seen_yet_after_a_restart_gets_the_kept_interface_before_its_gate_opens()
{
    let mut scene = Scene::serving(41, LIGHT);
    let (before, generation) = (address(&scene), scene.generation());
    // The kept interface is asked for in vain until the volumes are attached.
    let moves = |command: &Command| command.action() == "AttachNetworkInterface";
    scene.sim.cloud.faults().add(When::Matches(Arc::new(moves), 4), Fault::LostRequest);
    scene.trigger(Kind::Recycle, LIGHT);
    scene.wait("all but the interface attached", |s, node| {
        let record = s.record(node).unwrap();
        let Some(holder) =
            record.instance.clone().filter(|_| record.generations.number() > generation)
        else {
            return false;
        };
        record.identity.data.iter().all(|data| {
            let DataHead::Volume { id, .. } = &data.head else { return false };
            matches!(s.cloud.truly(id.as_str()), Some(Fact::Volume(v)) if v.attachment_settled
                && v.attached_to.as_ref().is_some_and(|(instance, _)| instance == &holder.id))
        })
    });
    let record = scene.sim.record(&scene.node).unwrap();
    let holder = record.instance.clone().unwrap().id;
    let stood_by = record.generations.promised();
    assert_eq!(stood_by, record.generations.current(), "its primary interface is not the kept one");
    let now = scene.sim.now;
    scene.sim.cloud.hide(now, holder.as_str(), now.plus(WINDOW - SECOND));
    scene.sim.kill_controller();
    scene.wait_for_end(Kind::Recycle, generation);
    assert_eq!(address(&scene), before, "{}", scene.sim.told());
    scene.judge(Kind::Recycle);
}

/// A node that is given up, to be let go, while a new controller has not seen its instance yet; and
/// that instance.
pub fn given_up_unseen(seed: u64, shape: Shape) -> (Scene, InstanceId) {
    let mut scene = Scene::serving(seed, shape);
    let holder = scene.sim.record(&scene.node).unwrap().instance.clone().unwrap().id;
    let now = scene.sim.now;
    scene.sim.cloud.hide(now, holder.as_str(), now.plus(WINDOW - SECOND));
    scene.sim.kill_controller();
    scene.sim.run_for(5 * SECOND);
    let deallocation = Deallocation::default();
    scene.sim.say(UserCommand::Delete { id: scene.node.clone(), deallocation });
    scene.sim.run_for(5 * SECOND);
    (scene, holder)
}

#[test]
fn an_instance_that_is_not_seen_yet_is_not_let_go_before_it_is_seen_to_live() {
    let (mut scene, holder) = given_up_unseen(42, LIGHT);
    let record = scene.sim.record(&scene.node).unwrap();
    let replacement = record.work.clone().unwrap();
    assert_eq!(replacement.kind, Kind::Delete);
    assert!(!replacement.is_done(Row::Stop), "nobody knows whether it lives");
    scene.wait("let go", |s, node| s.record(node).is_none_or(|r| r.lifecycle.is_handed_over()));
    scene.sim.run_for(5 * MINUTE);
    assert_eq!(scene.sim.cloud.truth().serving(&scene.node), [holder], "without Holdfast");
}
