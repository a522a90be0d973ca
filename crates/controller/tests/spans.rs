//! What is done for a node stands in spans that name the node, the generation and the row, and never what
//! a user has told it. In a process of its own: whether a span is wanted is remembered for all threads.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails should panic")]

use holdfast_cloud_sim::{SimCloud, SimCloudHandle, SimConfig};
use holdfast_controller::FleetConfig;
use holdfast_controller::serve::start;
use holdfast_model::user::UserCommand;
use holdfast_model::{Installation, NodeId};
use holdfast_store::memory::MemoryStore;
use serde_json::json;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing_subscriber::fmt::format::FmtSpan;

/// "#!/bin/sh\necho hunter2\n"
const USER_DATA: &str = "IyEvYmluL3NoCmVjaG8gaHVudGVyMgo=";

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn plans_calls_and_commits_stand_in_spans_of_their_node_without_its_user_data() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::CLOSE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _here = tracing::subscriber::set_default(subscriber);
    let cloud = SimCloudHandle::new(SimCloud::new(1, SimConfig::prompt()));
    let config = FleetConfig::local(Installation::from("0123abcd"));
    let store = Arc::new(MemoryStore::new());
    let controller = start(Arc::new(cloud.clone()), store, config).await.unwrap();
    let id = NodeId::from("smi-00000001");
    let document = json!({
        "name": "n", "region": "sim-1",
        "persistence": { "persistRootDevice": true },
        "compute": {
            "vpcId": "vpc-sim", "subnetIds": ["subnet-sim-1a"],
            "launchSpecification": {
                "imageId": "ami-sim", "instanceTypes": { "types": ["m5.large"] },
                "userData": USER_DATA
            }
        }
    });
    controller.handle().say(UserCommand::Create { id: id.clone(), document }).await.unwrap();
    for _ in 0..2_000 {
        if controller.handle().node(&id).is_some_and(|n| n.record.status() == "ACTIVE") {
            break;
        }
        cloud.pass(50);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for says in [
        "plan{node=smi-00000001 generation=0",
        "call{node=smi-00000001 generation=1 row=\"launch\" action=\"RunInstances\"}",
        "call{node=smi-00000001 generation=1 row=\"ready\" action=\"OpenGate\"}",
        "commit{node=smi-00000001 generation=1 row=\"launch\"}",
    ] {
        assert!(log.contains(says), "{says} is not in\n{log}");
    }
    for secret in ["hunter2", USER_DATA] {
        assert!(!log.contains(secret), "{log}");
    }
}
