//! What the author of a spec is told when the node is created.

use crate::looking::Looking;
use holdfast_cloud_sim::{SimCloud, SimConfig};
use holdfast_controller::{Effect, Input};
use holdfast_model::user::UserCommand;
use holdfast_model::{NodeId, Severity};
use serde_json::{Value, json};

fn spec(subnets: &[&str], keeps_address: bool) -> Value {
    json!({
        "name": "n", "region": "sim-1",
        "persistence": { "persistRootDevice": true, "persistPrivateIp": keeps_address },
        "compute": {
            "vpcId": "vpc-sim", "subnetIds": subnets,
            "launchSpecification": {
                "imageId": "ami-sim", "instanceTypes": { "types": ["m5.large"] }
            }
        }
    })
}

/// The events that are written with the first record of such a node.
fn told(document: Value) -> Vec<(Severity, String, String)> {
    let mut looking = Looking::new();
    looking.take(Input::Catalogue(SimCloud::new(1, SimConfig::default()).catalogue()));
    let id = NodeId::from("smi-00000001");
    looking.take(Input::Word(1, UserCommand::Create { id, document }));
    let events = looking.wants.into_iter().find_map(|effect| match effect {
        Effect::Commit { events, .. } => Some(events),
        _ => None,
    });
    let events = events.expect("a commit").into_iter();
    events.map(|event| (event.severity, event.code.name().to_owned(), event.message)).collect()
}

fn codes(document: Value) -> Vec<String> {
    told(document).into_iter().map(|(_, code, _)| code).collect()
}

#[test]
fn a_node_that_can_go_anywhere_and_asks_for_nothing_unusual_is_only_created() {
    let two = ["subnet-sim-1a", "subnet-sim-1b"];
    assert_eq!(codes(spec(&two, false)), ["created"]);
    assert_eq!(codes(spec(&two[..1], true)), ["created"], "there is but one zone for it anyway");
}

#[test]
fn an_address_that_is_kept_keeps_its_node_in_one_of_several_zones() {
    let told = told(spec(&["subnet-sim-1b", "subnet-sim-1a"], true));
    let (severity, code, message) = &told[1];
    assert_eq!((*severity, code.as_str()), (Severity::Warn, "zone-pinned"));
    assert!(message.starts_with("a private IP that is kept cannot leave its zone"), "{message}");
    assert!(message.contains("of sim-1a, sim-1b the node stays in"), "{message}");
    assert_eq!(told.len(), 2);
}

#[test]
fn what_a_spec_asks_for_and_nobody_does_is_named() {
    let mut document = spec(&["subnet-sim-1a"], false);
    document["scheduling"] = json!({ "tasks": [{ "taskType": "pause" }] });
    let told = told(document);
    let (severity, code, message) = &told[1];
    assert_eq!((*severity, code.as_str()), (Severity::Warn, "not-acted-on"));
    assert!(message.ends_with("scheduling.tasks"), "{message}");
    assert_eq!(told.len(), 2);
}
