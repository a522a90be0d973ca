//! What is said to the fleet as a whole.

use crate::server::{Server, sample};
use holdfast_model::Time;
use holdfast_model::standing::{Cause, Freeze, MAX_REASON};
use serde_json::json;

#[test]
fn a_freeze_wants_a_reason_and_is_shown_with_it_until_it_is_lifted() {
    let server = Server::start();
    for body in
        [json!({}), json!({ "reason": " " }), json!({ "reason": "x".repeat(MAX_REASON + 1) })]
    {
        let reply = server.ask("POST", "/holdfast/v1/freeze", Some(&body.to_string()));
        assert_eq!((reply.status, reply.fields()), (400, vec!["reason"]), "{}", reply.body);
    }
    let body = json!({ "reason": "the network is being moved" }).to_string();
    let reply = server.ask("POST", "/holdfast/v1/freeze", Some(&body));
    assert_eq!(reply.status, 200, "{}", reply.body);
    let fleet = server.ask("GET", "/holdfast/v1/fleet", None);
    let fleet = &fleet.response()["items"][0];
    assert_eq!(fleet["frozen"], true);
    assert_eq!(fleet["freezes"][0]["cause"], "asked");
    assert_eq!(fleet["freezes"][0]["reason"], "the network is being moved");
    assert_eq!(server.ask_as("GET", "/health", None, None).status, 503);
    assert_eq!(server.ask("POST", "/holdfast/v1/thaw", None).status, 200);
    assert_eq!(server.ask_as("GET", "/health", None, None).status, 200);
}

#[test]
fn a_thaw_that_leaves_a_reason_says_so() {
    let server = Server::start();
    let reason = "the credentials are of another account".to_owned();
    let freeze = Freeze { since: Time(0), reason, ids: Vec::new() };
    server.view.write().unwrap().standing.freezes.insert(Cause::Account, freeze);
    let reply = server.ask("POST", "/holdfast/v1/thaw", None);
    assert_eq!((reply.status, reply.codes()), (409, vec!["FROZEN"]));
    assert!(reply.body.to_string().contains("another account"));
}

#[test]
fn the_fleet_is_counted_by_state_and_says_its_versions() {
    let server = Server::start();
    server.create(&sample("a"));
    server.create(&sample("b"));
    let fleet = server.ask("GET", "/holdfast/v1/fleet", None);
    let fleet = &fleet.response()["items"][0];
    assert_eq!(fleet["nodes"], json!({ "ACTIVE": 2 }));
    assert_eq!((&fleet["frozen"], &fleet["ready"]), (&json!(false), &json!(true)));
    for version in ["version", "recordVersion", "storeVersion"] {
        assert!(!fleet[version].is_null(), "{version}");
    }
}

#[test]
fn an_adoption_names_the_field_that_is_wrong() {
    let server = Server::start();
    let path = "/holdfast/v1/nodes/smi-0000abcd/adopt";
    let reply = server.ask("POST", path, Some("{\"heads\": [\"root\"]}"));
    assert_eq!((reply.status, reply.fields()), (400, vec!["heads"]), "{}", reply.body);
    assert_eq!(server.ask("POST", path, None).status, 404);
}
