//! A node's log, and the stream of events.

use crate::server::{NODES, Server, sample};
use holdfast_model::Severity;
use serde_json::json;

fn messages(server: &Server, query: &str) -> Vec<String> {
    let reply = server.get(query);
    assert_eq!(reply.status, 200, "{}", reply.body);
    let items = reply.response()["items"].as_array().unwrap();
    items.iter().map(|i| i["message"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_log_is_chosen_by_time_severity_resource_and_number() {
    let server = Server::start();
    let id = server.create(&sample("a"));
    let second = 1_588_668_792_000;
    server.log(&id, second, Severity::Info, "launched i-1");
    server.log("smi-00000002", second, Severity::Info, "another node's");
    server.log(&id, second + 1, Severity::Debug, "details");
    server.log(&id, second + 2, Severity::Warn, "i-1 was interrupted");
    server.log(&id, second + 3, Severity::Error, "stuck");
    let path = format!("/aws/ec2/group/{id}/logs");
    let all = ["launched i-1", "details", "i-1 was interrupted", "stuck"];
    assert_eq!(messages(&server, &path), all);
    let window = format!("{path}?fromDate={}&toDate={}&severity=ALL", second + 1, second + 2);
    assert_eq!(messages(&server, &window), all[1..3]);
    assert_eq!(messages(&server, &format!("{path}?severity=WARN")), all[2..]);
    assert_eq!(messages(&server, &format!("{path}?resourceId=i-1")), [all[0], all[2]]);
    assert_eq!(messages(&server, &format!("{path}?limit=1")), all[3..]);
    assert_eq!(messages(&server, &format!("{path}?fromDate=2020-05-06")), [""; 0]);
    let reply = server.get(&path);
    assert_eq!(reply.response()["kind"], "spotinst:aws:ec2:group:log");
    let expected = json!({
        "message": "launched i-1", "severity": "INFO", "createdAt": "2020-05-05T08:53:12.000Z",
    });
    assert_eq!(reply.response()["items"][0], expected);
}

#[test]
fn a_log_is_read_far_enough_back_for_what_is_rare() {
    let server = Server::start();
    let id = server.create(&sample("a"));
    server.log(&id, 1, Severity::Warn, "rare");
    for at in 2..2_500 {
        server.log(&id, at, Severity::Debug, "common");
    }
    assert_eq!(messages(&server, &format!("/aws/ec2/group/{id}/logs?severity=WARN")), ["rare"]);
}

#[test]
fn every_mistake_of_a_log_query_is_told() {
    let server = Server::start();
    let id = server.create(&sample("a"));
    let query = "fromDate=yesterday&toDate=x&severity=LOUD&limit=5000";
    let reply = server.get(&format!("/aws/ec2/group/{id}/logs?{query}"));
    assert_eq!(reply.fields(), ["fromDate", "limit", "severity", "toDate"]);
}

#[test]
fn the_log_of_a_node_that_never_was_is_not_found_and_of_one_given_up_is() {
    let server = Server::start();
    let id = server.create(&sample("a"));
    server.log(&id, 5, Severity::Info, "made");
    server.ask("DELETE", &format!("{NODES}/{id}"), None);
    assert_eq!(messages(&server, &format!("/aws/ec2/group/{id}/logs")), ["made"]);
    let reply = server.get("/aws/ec2/group/smi-00000000/logs");
    assert_eq!(reply.codes(), ["MANAGED_INSTANCE_DOESNT_EXIST"]);
}

#[test]
fn events_come_one_on_a_line_and_go_on_where_a_reader_left() {
    let server = Server::start();
    for at in 1..=3 {
        server.log("smi-00000001", at, Severity::Info, &format!("event {at}"));
    }
    let read = |query: &str| server.lines(&format!("/holdfast/v1/events?{query}"));
    let all = read("node=smi-00000001");
    assert_eq!(all.len(), 3);
    assert_eq!(all[0]["message"], "event 1");
    assert_eq!(all[0]["at"], "1970-01-01T00:00:00.001Z");
    assert_eq!(all[2]["sequence"], 3);
    assert_eq!(read("after=2").len(), 1);
    assert_eq!(read("limit=2")[0]["sequence"], 2);
    assert_eq!(read("node=smi-00000009").len(), 0);
}
