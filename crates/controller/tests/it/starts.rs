//! A controller that has just started: what it shows, what it has loaded, and what time it is.

use holdfast_cloud_sim::{SimCloud, SimCloudHandle, SimConfig};
use holdfast_controller::FleetConfig;
use holdfast_controller::fleet::VOLUNTARY_PER_HOUR;
use holdfast_controller::serve::{Controller, start};
use holdfast_model::user::UserCommand;
use holdfast_model::{Installation, NodeId, Record, Time};
use holdfast_store::memory::MemoryStore;
use holdfast_store::{Store, Write};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

async fn begin(cloud: &SimCloudHandle, store: &Arc<MemoryStore>) -> Controller {
    let config = FleetConfig::local(Installation::from("0123abcd"));
    let store: Arc<dyn Store> = Arc::clone(store) as Arc<dyn Store>;
    start(Arc::new(cloud.clone()), store, config).await.unwrap()
}

fn region() -> SimCloudHandle {
    SimCloudHandle::new(SimCloud::new(1, SimConfig::prompt()))
}

fn spec() -> Value {
    json!({
        "name": "n", "region": "sim-1",
        "strategy": { "drainingTimeout": 150 },
        "persistence": { "persistRootDevice": true },
        "compute": {
            "vpcId": "vpc-sim", "subnetIds": ["subnet-sim-1a"],
            "launchSpecification": {
                "imageId": "ami-sim", "instanceTypes": { "types": ["m5.large"] },
                "shutdownScript": "IyEvYmluL3NoCg=="
            }
        }
    })
}

#[tokio::test]
async fn it_shows_whose_installation_it_is_and_how_much_it_may_do_by_its_own_choice() {
    let (cloud, store) = (region(), Arc::new(MemoryStore::new()));
    let controller = begin(&cloud, &store).await;
    controller.handle().look(|view| {
        assert_eq!(view.installation, "0123abcd");
        assert_eq!(view.voluntary_per_hour, VOLUNTARY_PER_HOUR);
        assert_eq!(view.voluntary_begun, 0);
    });
}

#[tokio::test]
async fn a_record_that_is_stored_under_anothers_id_or_revision_stops_its_node() {
    let (cloud, store) = (region(), Arc::new(MemoryStore::new()));
    let mut whole = Record::new(NodeId::from("smi-00000001"), spec(), Time(0));
    whole.revision = Some(1);
    let mut older = whole.clone();
    older.id = NodeId::from("smi-00000002");
    older.revision = Some(2);
    // The third is stored as the first one is.
    for (node, record) in [(1, &whole), (2, &older), (3, &whole)] {
        let node = NodeId(format!("smi-{node:08}"));
        let record = Some(serde_json::to_string(record).unwrap());
        store.commit(&[Write { node, expected: 0, record, events: Vec::new() }]).unwrap();
    }
    let controller = begin(&cloud, &store).await;
    controller.handle().look(|view| {
        let stopped: Vec<&str> = view.stopped.keys().map(NodeId::as_str).collect();
        assert_eq!(stopped, ["smi-00000002", "smi-00000003"]);
        for why in view.stopped.values() {
            assert!(why.contains("its revision or id is another's"), "{why}");
        }
    });
}

#[tokio::test]
async fn its_time_goes_on() {
    let (cloud, store) = (region(), Arc::new(MemoryStore::new()));
    let controller = begin(&cloud, &store).await;
    let mut made = Vec::new();
    for number in 1..=3 {
        let id = NodeId(format!("smi-{number:08}"));
        let word = UserCommand::Create { id, document: spec() };
        made.push(controller.handle().say(word).await.unwrap().created_at);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(made.is_sorted_by(|one, next| one < next), "{made:?}");
    assert!(made[0] > Time(1_600_000_000_000), "it is the time of the world: {made:?}");
}

#[tokio::test]
async fn a_drain_may_take_longer_than_any_other_call_is_waited_for() {
    let (cloud, store) = (region(), Arc::new(MemoryStore::new()));
    let controller = begin(&cloud, &store).await;
    let handle = controller.handle();
    let id = NodeId::from("smi-00000001");
    handle.say(UserCommand::Create { id: id.clone(), document: spec() }).await.unwrap();
    for (status, word) in [("ACTIVE", Some(UserCommand::Pause(id.clone()))), ("PAUSED", None)] {
        for _ in 0..2_000 {
            if handle.node(&id).is_some_and(|node| node.record.status() == status) {
                break;
            }
            cloud.pass(50);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let node = handle.node(&id).unwrap();
        assert_eq!(node.record.status(), status, "it waits for {:?}", node.waits_for);
        if let Some(word) = word {
            handle.say(word).await.unwrap();
        }
    }
    let drains = cloud.with(|cloud, _| cloud.calls_by_action().get("Drain").copied());
    assert_eq!(drains, Some(1));
}
