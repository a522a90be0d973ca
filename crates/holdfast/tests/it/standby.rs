//! Make before break on a real node: the commands of docs/blackout.md.

use crate::docs::{blocks, root};
use crate::life::Real;
use serde_json::Value;

fn text(node: &Value, path: &str) -> String {
    node.pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("{path}: {node}"))
        .to_owned()
}

/// What the workload is known by: address, its MAC, its volume.
fn identity(node: &Value) -> Vec<String> {
    let paths = ["interface/private_ip", "interface/mac", "data/0/head/id"];
    let mut known = paths.map(|path| text(node, &format!("/record/{path}"))).to_vec();
    known.push(text(node, "/privateIp"));
    known
}

/// When a row of the last replacement began and ended.
fn row(node: &Value, name: &str) -> (u64, u64) {
    let rows = node.pointer("/record/history").and_then(Value::as_array).unwrap();
    let rows = rows.last().unwrap()["rows"].as_array().unwrap();
    let row = rows.iter().find(|r| r[0] == name).unwrap_or_else(|| panic!("{name}: {rows:?}"));
    (row[1].as_u64().unwrap(), row[2].as_u64().unwrap())
}

#[test]
fn the_next_instance_of_a_real_node_stands_by_before_the_old_one_ends() {
    let real = Real::start();
    let mut before = None;
    for line in blocks("blackout.md", "sh")[0].lines() {
        let mut words: Vec<&str> = line.split_whitespace().skip(2).collect();
        let example = root().join("examples/redis.yaml").display().to_string();
        for word in words.iter_mut().filter(|w| **w == "examples/redis.yaml") {
            *word = &example;
        }
        if words[0] == "recycle" {
            before = Some(real.show("redis"));
            assert_eq!(real.redis("redis", &["set", "greeting", "hello"]), "OK");
        }
        if ["create", "recycle"].contains(&words[0]) {
            words.push("--wait");
        }
        let said = real.done(&words);
        match words[0] {
            "events" => assert!(!said.contains("standby-refused"), "{said}"),
            "show" => assert!(said.contains("STANDBY"), "{said}"),
            "exec" => {
                let ip = text(&real.show("redis"), "/record/interface/private_ip");
                assert_eq!(said.trim(), format!("ip-{}", ip.replace('.', "-")));
            }
            _ => {}
        }
    }
    let (before, after) = (before.unwrap(), real.show("redis"));
    assert_eq!(identity(&before), identity(&after));
    assert_ne!(text(&before, "/record/holder/id"), text(&after, "/record/holder/id"));
    assert!(row(&after, "standby").1 <= row(&after, "drain").0, "{after}");
    assert_eq!(real.redis("redis", &["get", "greeting"]), "hello");
    // What leaves the node has its address, and no other address is left in it.
    let ip = text(&after, "/record/interface/private_ip");
    let addresses = real.done(&["exec", "redis", "--", "hostname", "-I"]);
    assert_eq!(addresses.trim(), ip, "{addresses}");
    // Without notice the next instance is asked for while the old one ends.
    let generation = real.generation("redis");
    real.done(&["interrupt", "redis"]);
    real.wait_for_generation_of("redis", generation);
    let lost = real.show("redis");
    assert_eq!(identity(&lost), identity(&before));
    assert!(row(&lost, "standby").1 <= row(&lost, "stop").1, "{lost}");
    assert!(!real.done(&["events", "redis"]).contains("standby-lost"));
    assert_eq!(real.redis("redis", &["get", "greeting"]), "hello");
    real.done(&["delete", "redis", "--yes", "--wait"]);
}
