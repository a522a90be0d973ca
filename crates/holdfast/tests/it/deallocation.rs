//! The commands of docs/deallocation.md, on a real node: given up, brought back, less one volume, let go.

use crate::docs::blocks;
use crate::life::Real;
use holdfast_cloud_local::network::in_fabric;
use serde_json::Value;
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

/// What the server does by itself may take this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The words of a command after `holdfast node`; what stands in quotes is one.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for (at, part) in line.strip_prefix("holdfast node ").unwrap().split('"').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// Whether a server answers at this address of the VPC, in the end.
fn answers(real: &Real, address: &str) -> bool {
    let address: Ipv4Addr = address.parse().unwrap();
    let limit = Duration::from_secs(2);
    let connect = || TcpStream::connect_timeout(&(address, 6379).into(), limit);
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if in_fabric(&real.cloud(), connect).unwrap().is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn wait_until_forgotten(real: &Real) {
    let began = Instant::now();
    loop {
        let all = real.node(&["list", "--all", "--json"]).json();
        if all == serde_json::json!([]) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{all}\n{}", real.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_real_node_is_given_up_brought_back_and_let_go() {
    let mut real = Real::start();
    let spec = real.write("ledger.yaml", &blocks("deallocation.md", "yaml")[0]);
    let commands = blocks("deallocation.md", "sh").remove(0);
    let (mut address, mut volume) = (None, String::new());
    for line in commands.lines() {
        let mut words = words(line);
        for word in words.iter_mut().filter(|word| *word == "ledger.yaml") {
            spec.clone_into(word);
        }
        match words[0].as_str() {
            "create" | "resume" => words.push("--wait".to_owned()),
            "delete" => words.extend(["--yes", "--wait"].map(str::to_owned)),
            "volume" => {
                words.push("--yes".to_owned());
                let node = real.show("ledger");
                let id = node.pointer("/record/data/1/head/id").and_then(|id| id.as_str());
                id.unwrap().clone_into(&mut volume);
            }
            _ => {}
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let said = real.done(&words);
        match words[0] {
            "show" => assert!(said.contains("kept") && said.contains("vol-"), "{said}"),
            "undelete" => assert!(said.contains("PAUSED"), "{said}"),
            "exec" if words.contains(&"cat") => assert_eq!(said, "kept\n"),
            "create" | "resume" => {
                let node = real.show("ledger");
                let ip = node["privateIp"].as_str().unwrap().to_owned();
                assert_eq!(address.get_or_insert_with(|| ip.clone()), &ip, "the address is kept");
            }
            _ => {}
        }
    }
    let address = address.unwrap();
    assert!(!real.local(&["volume", "list"]).contains(&volume), "{volume} was deleted");
    // It was let go: no node any more, and it serves.
    wait_until_forgotten(&real);
    assert!(answers(&real, &address));
    assert_eq!(real.terminate(), Some(0));

    // A server with a shorter grace does not touch it, and removes what it was told to.
    real.serve_with(&["--deallocation-grace", "2s"]);
    real.done(&["create", "--wait", "-f", &spec]);
    let node = real.show("ledger");
    let kept = node.pointer("/record/data/0/head/id").and_then(|id| id.as_str()).unwrap();
    real.done(&["delete", "ledger", "--yes", "--wait", "--keep-volumes", "--keep-interface"]);
    assert!(real.local(&["volume", "list"]).contains(kept), "{}", real.log());
    wait_until_forgotten(&real);
    assert!(!real.local(&["volume", "list"]).contains(kept));
    assert!(answers(&real, &address), "it is nobody's but its user's");
    end_by_hand(&real, &address);
}

/// The page's commands for an instance that was let go; then its address is free again.
fn end_by_hand(real: &Real, address: &str) {
    let lists = blocks("deallocation.md", "sh").remove(1);
    let lists: Vec<Vec<&str>> =
        lists.lines().map(|line| line.split_whitespace().skip(2).collect()).collect();
    let listed = real.local(&lists[0]);
    assert!(listed.contains("running") && listed.contains(address), "{listed}");
    let all: Value = serde_json::from_str(&real.local(&["instance", "list", "--json"])).unwrap();
    assert_eq!(all.as_array().map(Vec::len), Some(1), "{all}");
    assert!(all[0]["nodeId"].is_null() && all[0]["letGoBy"].as_str().is_some(), "{all}");
    let instance = all[0]["instanceId"].as_str().unwrap();
    let end: Vec<&str> =
        lists[1].iter().map(|word| if *word == "INSTANCE" { instance } else { *word }).collect();
    assert!(real.local(&end).contains("Its volumes are kept"));
    real.local(&end);
    assert_eq!(real.local(&["instance", "list"]), "There are no instances.\n");
    let volumes = real.local(&lists[2]);
    assert!(volumes.contains("available"), "{volumes}");

    // Its address is given back, and what a node holds is not ended behind its back.
    let example = blocks("deallocation.md", "yaml").remove(0);
    let chosen = format!("compute:\n    privateIp: {address}\n");
    let spec = real.write("heir.yaml", &example.replacen("compute:\n", &chosen, 1));
    real.done(&["create", "--wait", "-f", &spec]);
    assert!(answers(real, address));
    let held = real.show("ledger");
    let held = held["instanceId"].as_str().unwrap();
    let refused = real.local_ended(&["instance", "terminate", held, "--yes"]);
    assert_eq!(refused.code, 1, "{}", refused.err);
    assert!(refused.err.contains("belongs to smi-"), "{}", refused.err);
    let unknown = real.local_ended(&["instance", "terminate", "i-0", "--yes"]);
    assert!(unknown.err.contains("InvalidInstanceID.NotFound"), "{}", unknown.err);
    real.done(&["delete", "ledger", "--yes", "--wait"]);
}
