//! Nodes: mistakes, words, states.

use crate::server::{NODES, Server, sample};
use serde_json::json;

#[test]
fn every_mistake_of_a_document_is_told_at_once_with_its_field() {
    let server = Server::start();
    let mut document = sample("");
    document["description"] = json!(7);
    document["strategy"] = json!({ "drainingTimeout": "soon", "orientation": "sideways" });
    document["compute"]["vpcId"] = json!(null);
    let reply = server.post(&document);
    assert_eq!(reply.status, 400);
    assert_eq!(
        reply.fields(),
        [
            "compute.vpcId",
            "description",
            "name",
            "strategy.drainingTimeout",
            "strategy.orientation"
        ]
    );
    assert_eq!(server.get(NODES).response()["count"], 0);
    for error in reply.response()["errors"].as_array().unwrap() {
        assert_eq!(error["code"], "INVALID_VALUE");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("allowed:") && message.contains("for example"), "{message}");
    }
}

#[test]
fn user_data_is_never_in_an_error() {
    let server = Server::start();
    let mut document = sample("a");
    document["compute"]["launchSpecification"]["userData"] = json!("password=hunter2");
    let reply = server.post(&document);
    assert_eq!(reply.fields(), ["compute.launchSpecification.userData"]);
    assert!(!reply.body.to_string().contains("hunter2"));
}

#[test]
fn what_cannot_change_is_refused_and_what_is_equal_is_not() {
    let server = Server::start();
    let id = server.create(&sample("a"));
    let same = json!({ "region": "local-1", "compute": { "product": "Linux/UNIX" } });
    assert_eq!(server.put(&id, &same).status, 200);
    let other = json!({ "region": "us-west-2", "compute": { "product": "Windows" } });
    assert_eq!(server.put(&id, &other).fields(), ["compute.product", "region"]);
}

#[test]
fn a_required_member_cannot_be_unset() {
    let server = Server::start();
    let id = server.create(&sample("a"));
    let reply = server.put(&id, &json!({ "name": null }));
    assert_eq!((reply.status, reply.fields()), (400, vec!["name"]));
    assert_eq!(server.get(&format!("{NODES}/{id}")).item()["name"], "a");
}

#[test]
fn half_resource_requirements_are_refused_unless_the_rest_is_there() {
    let server = Server::start();
    let path = "compute.launchSpecification.instanceTypes.resourceRequirements";
    let patch = |requirements| {
        json!({ "compute": { "launchSpecification": { "instanceTypes": {
            "resourceRequirements": requirements } } } })
    };
    let id = server.create(&sample("a"));
    let half = patch(json!({ "requiredVCpu": { "minimum": 1, "maximum": 4 } }));
    assert_eq!(server.put(&id, &half).fields(), [format!("{path}.requiredMemory")]);
    let whole = patch(json!({
        "requiredVCpu": { "minimum": 1, "maximum": 4 },
        "requiredMemory": { "minimum": 1, "maximum": 4 },
        "requiredGpu": { "minimum": null, "maximum": null },
    }));
    assert_eq!(server.put(&id, &whole).status, 200);
    let more = patch(json!({ "requiredVCpu": { "maximum": 8 } }));
    assert_eq!(server.put(&id, &more).status, 200);
}

#[test]
fn a_status_shows_the_instance_and_leaves_out_what_there_is_not() {
    let server = Server::start();
    let id = server.create(&sample("a"));
    let status = || server.get(&format!("{NODES}/{id}/status"));
    let expected = json!({
        "id": id, "name": "a", "status": "ACTIVE", "instanceId": "i-0123456789abcdef0",
        "instanceType": "m5.large", "createdAt": "2020-05-05T08:53:12.000Z",
        "launchedAt": "2020-05-05T08:53:12.005Z",
    });
    assert_eq!(status().item(), &expected);
    assert_eq!(status().response()["kind"], "spotinst:aws:ec2:managedInstanceStatus");
    assert_eq!(server.ask("PUT", &format!("{NODES}/{id}/pause"), None).status, 200);
    let expected = json!({
        "id": id, "name": "a", "status": "PAUSED", "createdAt": "2020-05-05T08:53:12.000Z",
    });
    assert_eq!(status().item(), &expected);
}

#[test]
fn a_word_that_changes_nothing_is_no_error() {
    let server = Server::start();
    let id = server.create(&sample("a"));
    let say = |word: &str| server.ask("PUT", &format!("{NODES}/{id}/{word}"), None).status;
    let status = || {
        let reply = server.get(&format!("{NODES}/{id}/status"));
        reply.item()["status"].as_str().unwrap().to_owned()
    };
    assert_eq!((say("resume"), status().as_str()), (200, "ACTIVE"));
    assert_eq!((say("pause"), say("pause"), status().as_str()), (200, 200, "PAUSED"));
    assert_eq!((say("recycle"), status().as_str()), (200, "ACTIVE"));
    assert_eq!((say("recycle"), say("recycle"), status().as_str()), (200, 200, "RECYCLE"));
}

#[test]
fn a_node_whose_record_is_damaged_is_an_error_and_not_missing() {
    let server = Server::start();
    let why = "the record is damaged".to_owned();
    server.view.write().unwrap().stopped.insert("smi-00000001".into(), why);
    let reply = server.get(&format!("{NODES}/smi-00000001"));
    assert_eq!((reply.status, reply.codes()), (500, vec!["NODE_STOPPED"]));
    let listed = server.get("/holdfast/v1/nodes");
    assert_eq!(listed.item()["status"], "ERROR");
}

#[test]
fn a_decision_that_nobody_waits_for_is_refused_with_the_reason() {
    let server = Server::start();
    let id = server.create(&sample("a"));
    let decide =
        |body: &str| server.ask("POST", &format!("/holdfast/v1/nodes/{id}/decide"), Some(body));
    let reply = decide("{\"choice\": \"retry\"}");
    assert_eq!((reply.status, reply.codes()), (409, vec!["MANAGED_INSTANCE_STATE_CONFLICT"]));
    assert_eq!(decide("{\"choice\": \"explode\"}").fields(), ["choice"]);
}

#[test]
fn a_node_is_shown_whole_even_after_it_was_given_up() {
    let server = Server::start();
    let id = server.create(&sample("a"));
    let path = format!("/holdfast/v1/nodes/{id}");
    let reply = server.get(&path);
    assert_eq!(reply.item()["record"]["document"]["name"], "a");
    assert_eq!(reply.item()["market"]["instance_type"], "m5.large");
    server.ask("DELETE", &format!("{NODES}/{id}"), None);
    assert_eq!(server.get(&path).item()["record"]["goal"], "deleted");
    assert_eq!(server.get("/holdfast/v1/nodes").response()["count"], 0);
    assert_eq!(server.get("/holdfast/v1/nodes?all=true").response()["count"], 1);
}

#[test]
fn the_description_has_every_path_and_the_documents_members() {
    let server = Server::start();
    let reply = server.get("/openapi.json");
    let paths = reply.body["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 22);
    assert!(paths.contains_key("/aws/ec2/managedInstance/{id}/recycle"));
    let schema = &reply.body["components"]["schemas"]["ManagedInstance"]["properties"];
    assert_eq!(
        schema["strategy"]["properties"]["drainingTimeout"]["type"],
        json!(["integer", "null"])
    );
}

#[test]
fn what_the_author_of_a_spec_should_know_stands_in_the_answer() {
    let server = Server::start();
    let mut document = sample("a");
    assert_eq!(server.post(&document).response()["status"]["message"], "OK");
    document["scheduling"] = json!({ "tasks": [{ "taskType": "pause", "frequency": "daily" }] });
    let reply = server.post(&document);
    assert_eq!(reply.status, 200);
    let message = reply.response()["status"]["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("OK; ") && message.contains("scheduling.tasks"), "{message}");
}
