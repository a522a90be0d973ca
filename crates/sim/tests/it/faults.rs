use crate::scene::{LIGHT, SNAPSHOTS, Scene, Shape, WHOLE};
use holdfast_cloud_sim::{Fault, When};
use holdfast_model::Kind;

/// Every fault of a single call.
fn all() -> [Fault; 6] {
    [
        Fault::refused(),
        Fault::capacity(),
        Fault::Throttled,
        Fault::LostReply,
        Fault::LostRequest,
        Fault::conflict(),
    ]
}

/// Lets every fault happen to every call of one replacement, one run for each.
fn fails_everywhere(kind: Kind, shape: Shape) {
    let seed = 23;
    let mut clean = Scene::prepare(kind, seed, shape);
    let (first, before) = (clean.sim.calls.len() + 1, clean.generation());
    clean.trigger(kind, shape);
    clean.wait_for_end(kind, before);
    let calls = clean.sim.calls.clone();
    for number in first..=calls.len() {
        for fault in all() {
            let launches = calls.get(number - 1) == Some(&"RunInstances");
            if fault == Fault::capacity() && !launches {
                continue;
            }
            let mut scene = Scene::prepare(kind, seed, shape);
            scene.sim.cloud.faults().add(When::Call(number as u64), fault);
            scene.trigger(kind, shape);
            scene.wait_for_end(kind, before);
            scene.judge(kind);
        }
    }
}

#[test]
fn every_row_of_a_creation_survives_every_fault() {
    fails_everywhere(Kind::Create, WHOLE);
}

#[test]
fn every_row_of_a_sudden_loss_survives_every_fault() {
    fails_everywhere(Kind::Lost, WHOLE);
}

#[test]
fn every_row_of_a_notice_survives_every_fault() {
    fails_everywhere(Kind::Notice, SNAPSHOTS);
}

#[test]
fn an_instance_that_stands_by_survives_every_fault() {
    for kind in [Kind::Notice, Kind::Recycle] {
        fails_everywhere(kind, LIGHT);
    }
}

#[test]
fn every_row_of_a_recycle_survives_every_fault() {
    fails_everywhere(Kind::Recycle, SNAPSHOTS);
}

#[test]
fn every_row_of_a_pause_survives_every_fault() {
    fails_everywhere(Kind::Pause, SNAPSHOTS);
}

#[test]
fn every_row_of_a_resume_survives_every_fault() {
    fails_everywhere(Kind::Resume, WHOLE);
}

#[test]
fn every_row_of_a_deletion_survives_every_fault() {
    fails_everywhere(Kind::Delete, WHOLE);
}
