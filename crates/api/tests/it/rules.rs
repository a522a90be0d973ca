//! The rules that decide whether unmodified clients work.

use crate::server::{NODES, Server, sample};
use serde_json::{Value, json};

#[test]
fn every_success_is_200_in_the_envelope() {
    let server = Server::start();
    let id = server.create(&sample("a"));
    let of_node = |tail: &str| format!("{NODES}/{id}{tail}");
    let patch = json!({ "managedInstance": {} }).to_string();
    let calls = [
        ("GET", NODES.to_owned(), None, true),
        ("GET", of_node(""), None, true),
        ("GET", of_node("/status"), None, true),
        ("GET", format!("/aws/ec2/group/{id}/logs"), None, true),
        ("PUT", of_node(""), Some(patch.as_str()), true),
        ("PUT", of_node("/pause"), None, false),
        ("PUT", of_node("/resume"), None, false),
        ("PUT", of_node("/recycle"), None, false),
        ("DELETE", of_node(""), None, false),
    ];
    for (method, path, body, with_items) in calls {
        let reply = server.ask(method, &format!("{path}?accountId=act-1"), body);
        assert_eq!(reply.status, 200, "{method} {path}: {}", reply.body);
        let request = &reply.body["request"];
        assert_eq!(request["id"].as_str().map(str::len), Some(36));
        assert_eq!(request["method"], method);
        assert_eq!(request["url"], format!("{path}?accountId=act-1"));
        assert!(request["timestamp"].as_str().unwrap().ends_with('Z'));
        assert_eq!(reply.response()["status"], json!({ "code": 200, "message": "OK" }));
        assert_eq!(reply.response()["kind"].is_string(), with_items, "{method} {path}");
        let items = reply.response()["items"].as_array().map(Vec::len);
        assert_eq!(items.is_some(), with_items, "{method} {path}");
        assert_eq!(reply.response()["count"].as_u64(), items.map(|n| n as u64));
    }
}

#[test]
fn every_failure_is_json_in_the_envelope() {
    let server = Server::start();
    let missing = format!("{NODES}/smi-00000000");
    let calls = [
        ("GET", missing.as_str(), None, 404, "MANAGED_INSTANCE_DOESNT_EXIST"),
        ("DELETE", missing.as_str(), None, 404, "MANAGED_INSTANCE_DOESNT_EXIST"),
        ("GET", "/no/such/path", None, 404, "NOT_FOUND"),
        ("PATCH", NODES, Some("{}"), 405, "METHOD_NOT_ALLOWED"),
        ("POST", NODES, Some("{\"managedInstance\": "), 400, "INVALID_REQUEST"),
        ("POST", NODES, None, 400, "INVALID_VALUE"),
        ("POST", NODES, Some("[]"), 400, "INVALID_VALUE"),
        ("GET", "/holdfast/v1/events?follow=perhaps", None, 400, "INVALID_REQUEST"),
        ("GET", "/aws/ec2/managedInstance/%ff", None, 400, "INVALID_REQUEST"),
    ];
    for (method, path, body, status, code) in calls {
        let reply = server.ask(method, path, body);
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.body);
        assert_eq!(reply.response()["status"]["code"], status);
        assert_eq!(reply.codes()[0], code, "{method} {path}");
        assert!(reply.response()["errors"][0]["message"].is_string());
        assert!(reply.body["request"]["id"].is_string());
    }
}

#[test]
fn a_list_has_its_items_flat_and_under_config() {
    let server = Server::start();
    let id = server.create(&sample("first"));
    server.create(&sample("second"));
    let reply = server.get(NODES);
    assert_eq!(reply.response()["count"], 2);
    assert_eq!(reply.response()["kind"], "spotinst:aws:ec2:managedInstance");
    let items = reply.response()["items"].as_array().unwrap();
    let item = items.iter().find(|i| i["id"] == id.as_str()).unwrap();
    assert_eq!(item["name"], "first");
    assert_eq!(item["config"]["name"], "first");
    assert_eq!(item["config"]["compute"], item["compute"]);
    assert_eq!(item["createdAt"], "2020-05-05T08:53:12.000Z");
    assert!(item["config"].get("id").is_none());
    let rest = server.get(&format!("{NODES}?after=zzz"));
    assert_eq!(rest.response()["count"], 0);
    assert_eq!(rest.response()["items"], json!([]));
}

#[test]
fn a_change_is_merged_deeply_and_empty_parents_change_nothing() {
    let server = Server::start();
    let mut first = sample("a");
    first["strategy"] = json!({ "drainingTimeout": 60, "orientation": "cheapest" });
    let id = server.create(&first);
    let unchanged = server.get(&format!("{NODES}/{id}")).item().clone();
    let empty = json!({
        "strategy": {}, "healthCheck": {}, "scheduling": {}, "integrations": {},
        "compute": { "launchSpecification": { "instanceTypes": {} } },
    });
    assert_eq!(server.put(&id, &empty).item(), &unchanged);
    let patch = json!({
        "id": "smi-ffffffff",
        "description": "b",
        "strategy": { "drainingTimeout": null },
        "compute": {
            "subnetIds": ["subnet-local-1c"],
            "launchSpecification": { "instanceTypes": {}, "tags": null },
        },
        "scheduling": { "tasks": null },
        "integrations": { "route53": null },
    });
    let changed = server.put(&id, &patch);
    let item = changed.item();
    assert_eq!(item["id"], id.as_str());
    assert_eq!(item["description"], "b");
    assert_eq!(item["strategy"], json!({ "orientation": "cheapest" }));
    assert_eq!(item["compute"]["subnetIds"], json!(["subnet-local-1c"]));
    assert!(item["compute"]["launchSpecification"].get("tags").is_none());
    assert_eq!(
        item["compute"]["launchSpecification"]["instanceTypes"]["types"],
        json!(["m5.large", "m5.xlarge"])
    );
    assert_eq!(item["updatedAt"], "2020-05-05T08:53:13.007Z");
    assert_eq!(server.get(&format!("{NODES}/{id}")).item(), item);
}

#[test]
fn one_node_echoes_what_was_set_and_nothing_else() {
    let server = Server::start();
    let document = sample("a");
    let id = server.create(&document);
    let mut item = server.get(&format!("{NODES}/{id}")).item().clone();
    let members = item.as_object_mut().unwrap();
    assert_eq!(members.remove("id"), Some(json!(id)));
    assert_eq!(members.remove("createdAt"), Some(json!("2020-05-05T08:53:12.000Z")));
    assert_eq!(members.remove("updatedAt"), Some(json!("2020-05-05T08:53:12.000Z")));
    assert_eq!(item, document);
    assert!(id.strip_prefix("smi-").is_some_and(|hex| hex.len() == 8));
}

#[test]
fn instance_types_are_always_there_and_dangerous_objects_never_empty() {
    let server = Server::start();
    let mut document = sample("a");
    let launch = &mut document["compute"]["launchSpecification"];
    launch["metadataOptions"] = json!({});
    launch["resourceTagSpecification"] = json!({ "volumes": null });
    launch["instanceTypes"]["resourceRequirements"] = json!({});
    document["strategy"] = json!({ "revertToSpot": {} });
    let id = server.create(&document);
    let reply = server.get(&format!("{NODES}/{id}"));
    let launch = &reply.item()["compute"]["launchSpecification"];
    assert!(launch["instanceTypes"].is_object());
    assert!(launch.get("metadataOptions").is_none());
    assert!(launch.get("resourceTagSpecification").is_none());
    assert!(launch["instanceTypes"].get("resourceRequirements").is_none());
    assert!(reply.item()["strategy"].get("revertToSpot").is_none());
}

#[test]
fn a_missing_node_has_both_spellings() {
    let server = Server::start();
    let reply = server.get(&format!("{NODES}/smi-00000000/status"));
    assert_eq!(reply.codes(), ["MANAGED_INSTANCE_DOESNT_EXIST"]);
    assert!(reply.response().to_string().contains("MANAGED_INSTANCE_DOES_NOT_EXIST"));
}

#[test]
fn a_deleted_node_is_not_found_at_once_and_not_deleted_twice() {
    let server = Server::start();
    let id = server.create(&sample("a"));
    let path = format!("{NODES}/{id}");
    assert_eq!(server.ask("DELETE", &path, None).status, 200);
    for (method, tail) in [("GET", ""), ("DELETE", ""), ("GET", "/status"), ("PUT", "/pause")] {
        let reply = server.ask(method, &format!("{path}{tail}"), None);
        assert_eq!(reply.codes(), ["MANAGED_INSTANCE_DOESNT_EXIST"], "{method} {tail}");
    }
    assert_eq!(server.get(NODES).response()["count"], 0);
}

#[test]
fn a_deletion_takes_a_full_body_nulls_texts_or_none() {
    let server = Server::start();
    let full = json!({
        "deallocationConfig": {
            "shouldDeleteImages": true, "shouldDeleteNetworkInterfaces": "true",
            "shouldDeleteVolumes": true, "shouldDeleteSnapshots": "false",
            "shouldTerminateInstance": true, "unknown": 5,
        },
        "amiBackup": { "shouldDeleteImages": true },
    });
    let nulls = json!({ "deallocationConfig": null, "amiBackup": null });
    let inner = json!({ "deallocationConfig": { "shouldDeleteImages": null } });
    for body in [
        Some(full.to_string()),
        Some(nulls.to_string()),
        Some(inner.to_string()),
        Some("{}".to_owned()),
        Some(String::new()),
        None,
    ] {
        let id = server.create(&sample("a"));
        let reply = server.ask("DELETE", &format!("{NODES}/{id}?MI_ID={id}"), body.as_deref());
        assert_eq!(reply.status, 200, "{body:?}: {}", reply.body);
        let chosen =
            server.view.read().unwrap().nodes[&id.as_str().into()].record.lifecycle.deallocation();
        let chosen = chosen.unwrap();
        let is_full = body.as_deref().is_some_and(|b| b.contains("unknown"));
        assert_eq!(chosen.should_delete_network_interfaces, is_full);
        assert_eq!(chosen.should_terminate_instance, is_full);
        assert!(!chosen.should_delete_snapshots);
    }
    let id = server.create(&sample("a"));
    let wrong = json!({ "deallocationConfig": {
        "shouldDeleteImages": 3, "shouldDeleteVolumes": "perhaps" } });
    let reply = server.ask("DELETE", &format!("{NODES}/{id}"), Some(&wrong.to_string()));
    let fields =
        ["deallocationConfig.shouldDeleteImages", "deallocationConfig.shouldDeleteVolumes"];
    assert_eq!(reply.fields(), fields);
}

#[test]
fn numbers_and_flags_as_texts_come_back_as_what_they_are() {
    let server = Server::start();
    let mut document = sample("a");
    document["strategy"] = json!({ "drainingTimeout": "120", "fallbackToOd": "false" });
    let launch = &mut document["compute"]["launchSpecification"];
    launch["ebsOptimized"] = json!("True");
    launch["networkInterfaces"] = json!([{ "deviceIndex": "0" }]);
    launch["blockDeviceMappings"] =
        json!([{ "deviceName": "/dev/xvdb", "ebs": { "volumeSize": "10" } }]);
    let id = server.create(&document);
    let reply = server.get(&format!("{NODES}/{id}"));
    let item = reply.item();
    assert_eq!(item["strategy"], json!({ "drainingTimeout": 120, "fallbackToOd": false }));
    let launch = &item["compute"]["launchSpecification"];
    assert_eq!(launch["ebsOptimized"], json!(true));
    assert_eq!(launch["networkInterfaces"][0]["deviceIndex"], json!(0));
    assert_eq!(launch["blockDeviceMappings"][0]["ebs"]["volumeSize"], json!(10));
    let patch = json!({ "healthCheck": { "gracePeriod": "45", "autoHealing": "true" } });
    let changed = server.put(&id, &patch);
    let expected: Value = json!({ "gracePeriod": 45, "autoHealing": true });
    assert_eq!(changed.item()["healthCheck"], expected);
}
