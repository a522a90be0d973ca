//! What is not known yet is waited for: a filesystem, an image, whether an instance can still be let
//! go.

use crate::scene::{OTHER_IMAGE, Scene, WHOLE};
use crate::unknown::given_up_unseen;
use holdfast_cloud_sim::config::SimImage;
use holdfast_cloud_sim::{Class, Fault, SimCloud, SimConfig, When};
use holdfast_controller::FleetConfig;
use holdfast_model::facts::{Fact, ImageState};
use holdfast_model::record::{DataHead, Record, RootHead};
use holdfast_model::time::{MINUTE, SECOND};
use holdfast_model::user::{Target, UserCommand};
use holdfast_model::{CallState, Command, ImageId, Installation, Kind, NodeId, Row, versions};
use holdfast_sim::Simulation;
use holdfast_store::{Store, Write, Written};
use serde_json::json;
use std::sync::{Arc, Mutex};

/// How long Describe is behind at most (`Tuning::ec2`): absence is no fact until then.
const WINDOW: u64 = 30 * SECOND;

/// The controller dies, and its successor finds another record of the node than it left.
fn rewritten(scene: &mut Scene, change: impl FnOnce(&mut Record)) {
    scene.sim.kill_controller();
    let stored = scene.sim.store.load().unwrap().pop().unwrap();
    let mut record = versions::read(&stored.json).unwrap();
    change(&mut record);
    record.revision = record.revision.map(|r| r + 1);
    let write = Write {
        node: stored.node,
        expected: stored.revision,
        record: serde_json::to_string(&record).ok(),
        events: Vec::new(),
    };
    assert_eq!(scene.sim.store.commit(&[write]), Ok(vec![Written::Done]));
}

fn volumes(record: &Record) -> Vec<String> {
    let ids = record.identity.data.iter().filter_map(|data| match &data.head {
        DataHead::Volume { id, .. } => Some(id.0.clone()),
        DataHead::Fresh => None,
    });
    ids.collect()
}

#[test]
fn a_gate_waits_for_a_filesystem_that_is_not_known() {
    let mut scene = Scene::serving(95, WHOLE);
    let before = scene.generation();
    let named: Arc<Mutex<Vec<bool>>> = Arc::default();
    scene.sim.cloud.faults().add(When::next("OpenGate"), Fault::LostRequest);
    scene.trigger(Kind::Lost, WHOLE);
    scene.wait("asked to open", |s, n| {
        let row = s.record(n).and_then(|r| r.row(Row::Ready).cloned());
        row.is_some_and(|row| row.calls.contains_key("gate"))
    });
    rewritten(&mut scene, |record| {
        record.identity.data.iter_mut().for_each(|data| data.fs_uuid = None);
        record.work.as_mut().unwrap().rows.remove(&Row::Ready);
    });
    let now = scene.sim.now;
    let record = scene.sim.record(&scene.node).unwrap();
    for id in volumes(&record) {
        scene.sim.cloud.hide(now, &id, now.plus(WINDOW - SECOND));
    }
    let listens = Arc::clone(&named);
    let listen = move |command: &Command| {
        if let Command::OpenGate { manifest, .. } = command {
            listens.lock().unwrap().push(manifest.iter().all(|mount| mount.fs_uuid.is_some()));
        }
        false
    };
    scene.sim.cloud.faults().add(When::Matches(Arc::new(listen), 1), Fault::refused());
    scene.wait_for_end(Kind::Lost, before);
    let named = named.lock().unwrap();
    assert!(!named.is_empty() && named.iter().all(|all| *all), "{named:?}");
    scene.judge(Kind::Lost);
}

#[test]
fn a_rollback_waits_for_an_image_that_is_not_seen() {
    // Another image names its root volume otherwise.
    let mut config = SimConfig::default();
    let (id, root_device) = (ImageId::from(OTHER_IMAGE), "/dev/sda1".to_owned());
    let first = config.images[0].root_device.clone();
    config.images.push(SimImage { id, root_device, ..config.images[0].clone() });
    let fleet = FleetConfig::ec2(Installation::from("0123abcd"));
    let sim = Simulation::new(SimCloud::new(96, config), fleet);
    let node = NodeId::from("smi-00000001");
    let mut scene = Scene { sim, node: node.clone(), seed: 96 };
    scene.create(WHOLE);
    scene.wait("ACTIVE", |s, n| s.record(n).is_some_and(|r| r.status() == "ACTIVE"));
    let patch = json!({"compute": {"launchSpecification": {"imageId": OTHER_IMAGE}}});
    scene.sim.say(UserCommand::Update { id: node.clone(), patch });
    scene.sim.run_for(MINUTE);
    let before = scene.generation();
    scene.trigger(Kind::Recycle, WHOLE);
    scene.wait_for_end(Kind::Recycle, before);
    scene.sim.run_for(MINUTE);
    let record = scene.sim.record(&node).unwrap();
    let RootHead::Live { root_device, .. } = &record.identity.root else { panic!("it serves") };
    assert_eq!(root_device.as_deref(), Some("/dev/sda1"));
    let kept =
        record.kept.final_snapshots.iter().find(|f| f.generation == 1 && f.of == "root").unwrap();
    let image = kept.image.clone().unwrap();

    let to = Target::Generation(1);
    scene.sim.say(UserCommand::Rollback { id: node, to, data: None });
    // What gives way has been saved, and the next controller knows nothing of the image at first.
    scene.wait("saved", |s, n| {
        let record = s.record(n).unwrap();
        let call = record.row(Row::Capture).and_then(|row| row.calls.get("root-image").cloned());
        let Some(CallState::Done { id: Some(id) }) = call.map(|call| call.state.clone()) else {
            return false;
        };
        let seen = s.cloud.truly(&id);
        matches!(seen, Some(Fact::Image(i)) if i.state == ImageState::Available)
    });
    assert!(
        scene.sim.record(&scene.node).unwrap().identity.rollback.is_some(),
        "it is not in place yet"
    );
    let now = scene.sim.now;
    scene.sim.cloud.hide(now, image.as_str(), now.plus(WINDOW - SECOND));
    scene.sim.kill_controller();
    scene.wait("in place", |s, n| {
        s.is_up() && s.record(n).is_some_and(|r| r.identity.rollback.is_none())
    });
    match &scene.sim.record(&scene.node).unwrap().identity.root {
        RootHead::Captured { root_device, image: begins, .. } => {
            assert_eq!((root_device, begins), (&first, &image));
        }
        RootHead::Live { from: Some((_, begins, root_device)), .. } => {
            assert_eq!((root_device, begins), (&first, &image));
        }
        other => panic!("{other:?}"),
    }
    scene.wait_for_end(Kind::Rollback, before + 1);
}

#[test]
fn what_can_no_longer_be_let_go_is_ended_and_fenced_before_anything_is_given_up() {
    let (mut scene, holder) = given_up_unseen(97, WHOLE);
    // The rows that end an instance are done, because it was to be let go; and then it fails.
    rewritten(&mut scene, |record| {
        let replacement = record.work.as_mut().unwrap();
        assert_eq!(replacement.kind, Kind::Delete);
        let at = Some(replacement.started_at);
        for row in [Row::Drain, Row::Stop, Row::Fence] {
            let state = replacement.rows.entry(row).or_default();
            (state.started_at, state.done_at) = (at, at);
        }
    });
    scene.sim.cloud.faults().set(Class::SlowDetach, 1_000_000);
    let now = scene.sim.now;
    scene.sim.cloud.kill(now, &holder);
    let record = scene.sim.durable(&scene.node).unwrap().clone();
    scene.wait("given up", |s, n| {
        s.is_up() && s.record(n).is_some_and(|r| r.lifecycle.is_deleted())
    });
    for id in volumes(&record) {
        match scene.sim.cloud.truly(&id) {
            Some(Fact::Volume(v)) => assert_eq!(v.attached_to, None, "{}", scene.sim.told()),
            other => panic!("{other:?}"),
        }
    }
    scene.sim.run_for(MINUTE);
    assert_eq!(scene.status(), "DEALLOCATED");
    scene.judge(Kind::Pause);
}
