//! What docs/restore.md says, done: a store lost, restored and given up, under a real node.

use crate::docs::{blocks, root};
use crate::life::Real;
use serde_json::Value;
use std::collections::BTreeMap;

/// What of the node is in the cloud, by what the server lists of it and what it knows.
fn of_node(real: &Real) -> (u64, String) {
    let node = real.node(&["show", "redis", "--json"]).json();
    let instance = node["instanceId"].as_str().unwrap_or_default().to_owned();
    (node["generation"].as_u64().unwrap(), instance)
}

#[test]
fn a_store_that_was_lost_or_restored_is_put_right_as_the_page_says() {
    let mut real = Real::start();
    let mut variables: BTreeMap<&str, String> = BTreeMap::new();
    let mut said: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let example = root().join("examples/redis.yaml").display().to_string();
    let backup = real.dir().with_extension("backup").display().to_string();
    let mut before_restore = None;
    let page = blocks("restore.md", "sh").join("\n");
    for line in page.lines().filter(|l| !l.is_empty()) {
        if line.starts_with("cp /root/") {
            let node = of_node_before(&before_restore);
            assert_eq!(node.0, 3, "interrupted and recycled since the backup");
        }
        let line = line
            .replace("examples/redis.yaml", &example)
            .replace("/root/holdfast-backup", &backup)
            .replace("/var/lib/holdfast", &real.dir().display().to_string())
            .replace("$INSTALLATION", variables.get("installation").map_or("", String::as_str))
            .replace("$NODE", variables.get("node").map_or("", String::as_str));
        let words = split(&line);
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[0] {
            "pkill" => {
                before_restore = Some(of_node(&real));
                let status = real.top(&["status", "--json"]).json();
                variables.insert("installation", status["installation"].as_str().unwrap().into());
                let node = real.node(&["show", "redis", "--json"]).json();
                variables.insert("node", node["id"].as_str().unwrap().into());
                assert_eq!(real.terminate(), Some(0), "{}", real.log());
            }
            "cp" => drop(std::fs::copy(words[1], words[2]).unwrap()),
            "rm" => {
                for file in &words[2..] {
                    let _ = std::fs::remove_file(file);
                }
            }
            "holdfast" if words[1] == "serve" => {
                real.serve_with(&words[2..]);
                // What was seen first is committed a moment later.
                real.wait_until_quiet();
            }
            "holdfast" if words[1] == "backup" || words[1..] == ["local", "rebuild"] => {
                let ended = real.offline(&words[1..]);
                assert_eq!(ended.code, 0, "{line}: {}{}\n{}", ended.out, ended.err, real.log());
                said.entry(words[1..].join(" ")).or_default().push(ended.out);
            }
            "holdfast" if words[1] == "node" => {
                let generation = (words[2] == "interrupt").then(|| of_node(&real).0);
                if ["create", "recycle"].contains(&words[2]) {
                    words.push("--wait");
                }
                let told = real.done(&words[2..]);
                if let Some(generation) = generation {
                    real.wait_for_generation_of("redis", generation);
                }
                said.entry(words[2..].join(" ")).or_default().push(told);
            }
            "holdfast" => {
                let ended = real.top(&words[1..]);
                assert_eq!(ended.code, 0, "{line}: {}{}\n{}", ended.out, ended.err, real.log());
                said.entry(words[1..].join(" ")).or_default().push(ended.out);
            }
            other => panic!("the page says {other}, which this test does not know"),
        }
        if line == "holdfast adopt" {
            // Nothing was touched: it still serves what the lost store knew of.
            let listed = real.top(&["adopt", "--json"]).json();
            let (_, instance) = of_node_before(&before_restore);
            let resources = listed[0]["resources"].as_array();
            let resources = resources.unwrap_or_else(|| panic!("{listed}\n{}", real.log()));
            let serves = |f: &&Value| f["id"] == instance.as_str() && f["state"] == "running";
            assert!(resources.iter().any(|f| serves(&f)), "{listed}");
            let node = real.node(&["show", "redis", "--json"]).json();
            assert_eq!((&node["status"], &node["generation"]), (&"ERROR".into(), &1.into()));
        }
    }
    let (generation, instance) = of_node(&real);
    assert_eq!((generation, instance), of_node_before(&before_restore), "it was never replaced");
    assert_eq!(said["exec redis -- redis-cli get greeting"], ["later\n", "later\n", "later\n"]);
    let rebuilt = &said["local rebuild"][0];
    assert!(rebuilt.contains(" instance") && !rebuilt.contains("Not accounted"), "{rebuilt}");
    assert_eq!(said["local unaccounted list"], ["Everything on this host is accounted for.\n"]);
    let kept: Vec<_> = std::fs::read_dir(real.dir().join("backups")).unwrap().collect();
    assert!((1..=8).contains(&kept.len()), "the server's own copies: {kept:?}");
    let found = &said["adopt"][0];
    assert!(found.contains("of generation 3 goes on"), "{found}");
    let states = &said["status"];
    assert!(
        states[0].contains("1 ERROR") && states[0].contains("to adopt      1"),
        "{}",
        states[0]
    );
    assert!(states[1].contains("FROZEN") && states[1].contains("the network is being moved"));

    // It is a node like any other again.
    let before = real.generation("redis");
    real.done(&["interrupt", "redis"]);
    real.wait_for_generation_of("redis", before);
    assert_eq!(real.redis("redis", &["get", "greeting"]), "later");
    assert_eq!(real.top(&["adopt"]).out, "Everything in the cloud is accounted for.\n");

    // And a second server on the same data directory does not start.
    let second = real.second_server();
    assert_eq!(second.code, 1);
    assert!(second.err.contains("is used by another holdfast server"), "{}", second.err);
    real.done(&["delete", "redis", "--yes", "--wait"]);
}

fn of_node_before(before: &Option<(u64, String)>) -> (u64, String) {
    before.clone().expect("the server was stopped before")
}

/// Words of a command line, quoted ones together.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('"').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}
