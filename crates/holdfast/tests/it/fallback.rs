//! Real nodes and the real controller, without the command line: what a market's drought does.

use base64::Engine as _;
use holdfast_cloud_local::{LocalCloud, LocalOptions, MarketChange, reset};
use holdfast_controller::{FleetConfig, Handle, serve};
use holdfast_model::user::UserCommand;
use holdfast_model::{Installation, Lifecycle, NodeId, Record};
use holdfast_scratch::Scratch;
use holdfast_store::sqlite::SqliteStore;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often a test looks before it gives up, 20 ms apart.
const MAX_LOOKS: u32 = 3_000;

/// The local cloud's directory; at the end every trace of it goes.
struct Place(Scratch);

impl Place {
    fn new() -> Place {
        Place(Scratch::with_end(|dir| {
            if let Err(e) = reset(&dir.join("local")) {
                eprintln!("cleaning up: {e}");
            }
        }))
    }

    fn cloud(&self) -> PathBuf {
        self.0.path().join("local")
    }
}

fn document(user_data: &str) -> serde_json::Value {
    serde_json::json!({
        "name": "drought",
        "region": "local-1",
        "persistence": {
            "persistBlockDevices": true, "blockDevicesMode": "reattach", "persistPrivateIp": true
        },
        "compute": {
            "vpcId": "vpc-local",
            "subnetIds": ["subnet-local-1c"],
            "launchSpecification": {
                "imageId": "ami-host",
                "instanceTypes": {"types": ["t3.micro", "t3.small"]},
                "userData": base64::engine::general_purpose::STANDARD.encode(user_data),
                "blockDeviceMappings": [{"deviceName": "/dev/xvdb", "ebs": {"volumeSize": 1}}],
                "tags": [{"tagKey": "holdfast:mount:/dev/xvdb", "tagValue": "/data"}]
            }
        }
    })
}

async fn active_after(handle: &Handle, id: &NodeId, generation: u64) -> Arc<Record> {
    for _ in 0..MAX_LOOKS {
        if let Some(node) = handle.node(id)
            && node.record.generations.number() > generation
            && node.record.status() == "ACTIVE"
        {
            return node.record;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it does not serve: {:#?}", handle.node(id));
}

/// Boots counted by the node itself, on its data volume.
fn boots(cloud: &LocalCloud, record: &Record) -> usize {
    let dir = cloud.instance_dir(&record.instance.as_ref().unwrap().id);
    for _ in 0..MAX_LOOKS {
        let status = holdfast_agent::ShimHandle::open(&dir)
            .and_then(|shim| shim.client())
            .and_then(|mut client| client.ping());
        if let Ok(status) = status
            && matches!(status.workload, holdfast_agent::WorkloadState::Ended { code: 0 })
        {
            return read_counter(&dir);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the user data does not end");
}

fn read_counter(dir: &Path) -> usize {
    let console = std::fs::read_to_string(holdfast_agent::console_path(dir)).unwrap();
    let last = console.lines().rev().find_map(|l| l.split("boots: ").nth(1).map(str::to_owned));
    last.unwrap_or_else(|| panic!("no count in {console}")).trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_spot_capacity_a_real_node_goes_on_demand_with_its_data_and_its_address() {
    let scratch = Place::new();
    let options = LocalOptions::new(scratch.cloud(), PathBuf::from(env!("CARGO_BIN_EXE_holdfast")));
    let cloud = LocalCloud::open(&options).unwrap();
    let store = Arc::new(SqliteStore::open(scratch.0.path()).unwrap());
    let config = FleetConfig::local(Installation::from("0123abcd"));
    let controller = serve::start(Arc::new(cloud.clone()), store, config).await.unwrap();
    let handle = controller.handle();
    let id = NodeId::from("smi-0000d0d0");
    let script =
        "#!/bin/sh\necho boot >> /data/boots && sync && echo boots: $(wc -l < /data/boots)";
    handle.say(UserCommand::Create { id: id.clone(), document: document(script) }).await.unwrap();
    let first = active_after(&handle, &id, 0).await;
    assert_eq!(first.instance.as_ref().unwrap().market.lifecycle, Lifecycle::Spot);
    assert_eq!(boots(&cloud, &first), 1);

    for price in handle.look(|view| view.catalogue.prices.clone()) {
        if price.market.lifecycle == Lifecycle::Spot {
            cloud.change_markets(&[(price.market, MarketChange::capacity(Some(0)))]).unwrap();
        }
    }
    let lost = first.instance.as_ref().unwrap().id.clone();
    let taking = cloud.clone();
    tokio::task::spawn_blocking(move || taking.interrupt(&lost, None)).await.unwrap().unwrap();

    let second = active_after(&handle, &id, first.generations.number()).await;
    assert_eq!(second.instance.as_ref().unwrap().market.lifecycle, Lifecycle::OnDemand);
    assert_eq!(second.identity.interface, first.identity.interface, "the same address");
    assert_eq!(second.identity.data, first.identity.data, "the same volume");
    assert_eq!(boots(&cloud, &second), 2, "with what was on it");
}
