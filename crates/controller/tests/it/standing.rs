use crate::looking::document;
use holdfast_cloud_sim::{SimCloud, SimCloudHandle, SimConfig};
use holdfast_controller::FleetConfig;
use holdfast_controller::serve::{Controller, start};
use holdfast_model::standing::Cause;
use holdfast_model::user::UserCommand;
use holdfast_model::{Installation, NodeId};
use holdfast_store::Store;
use holdfast_store::memory::MemoryStore;
use serde_json::json;
use std::sync::Arc;

async fn begin(cloud: &SimCloudHandle, store: &Arc<MemoryStore>) -> Controller {
    let config = FleetConfig::ec2(Installation::from("0123abcd"));
    let store: Arc<dyn Store> = Arc::clone(store) as Arc<dyn Store>;
    start(Arc::new(cloud.clone()), store, config).await.unwrap()
}

fn region() -> SimCloudHandle {
    SimCloudHandle::new(SimCloud::new(1, SimConfig::prompt()))
}

/// Makes a node, and waits for as long as its first call would take to leave.
async fn create(controller: &Controller) {
    let document = document("persistPrivateIp");
    let id = NodeId::from("smi-00000001");
    controller.handle().say(UserCommand::Create { id, document }).await.unwrap();
}

/// What the cloud was asked to change.
fn changes(cloud: &SimCloudHandle) -> Vec<&'static str> {
    let asked = |c: &SimCloud| -> Vec<&'static str> {
        c.calls().iter().map(|(_, action, _)| *action).collect()
    };
    let all = cloud.with(|cloud, _| asked(cloud));
    all.into_iter().filter(|action| !action.starts_with("Describe")).collect()
}

async fn until_changed(cloud: &SimCloudHandle) {
    for _ in 0..2_000 {
        if !changes(cloud).is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("nothing is done");
}

#[tokio::test]
async fn credentials_of_another_account_freeze_everything_until_the_right_ones_are_there() {
    let (cloud, store) = (region(), Arc::new(MemoryStore::new()));
    store.set_setting("account", "999999999999/sim-1").unwrap();
    let controller = begin(&cloud, &store).await;
    let handle = controller.handle();
    let reason = handle.look(|view| view.standing.frozen().unwrap().reason.clone());
    assert!(reason.contains("belongs to 999999999999/sim-1"), "{reason}");
    create(&controller).await;
    let left = handle.thaw().await.unwrap();
    assert!(left.freezes.contains_key(&Cause::Account), "a person cannot lift that");
    // Whole looks are taken, and nothing is changed.
    for _ in 0..200 {
        if handle.look(|view| view.ready) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(handle.look(|view| view.ready));
    assert_eq!(changes(&cloud), [] as [&str; 0]);
    drop(controller);

    store.set_setting("account", "000000000000/sim-1").unwrap();
    let controller = begin(&cloud, &store).await;
    assert_eq!(controller.handle().look(|view| view.standing.frozen().cloned()), None);
    until_changed(&cloud).await;
}

#[tokio::test]
async fn a_freeze_is_durable_when_it_is_answered_and_outlives_the_process() {
    let (cloud, store) = (region(), Arc::new(MemoryStore::new()));
    let controller = begin(&cloud, &store).await;
    let first = controller.handle().freeze("the network is being moved".to_owned()).await.unwrap();
    drop(controller);
    let controller = begin(&cloud, &store).await;
    let handle = controller.handle();
    let second = handle.look(|view| view.standing.clone());
    assert_eq!(second.frozen().unwrap().reason, "the network is being moved");
    assert_eq!(second.epoch.count, first.epoch.count + 1, "each start begins an epoch");
    create(&controller).await;
    assert_eq!(changes(&cloud), [] as [&str; 0]);
    assert_eq!(handle.thaw().await.unwrap().frozen(), None);
    until_changed(&cloud).await;
}

#[tokio::test]
async fn a_standing_of_a_newer_version_keeps_the_server_from_starting() {
    let (cloud, store) = (region(), Arc::new(MemoryStore::new()));
    let newer = json!({ "schema": 99, "epoch": { "count": 7, "began": 1 } });
    store.set_setting("fleet", &newer.to_string()).unwrap();
    let config = FleetConfig::ec2(Installation::from("0123abcd"));
    let refused = start(Arc::new(cloud), store, config).await.err().unwrap().to_string();
    assert!(refused.contains("run the newer version again"), "{refused}");
}
