//! The example of docs/network.md on a real node: every address answers, before and after its
//! power is cut.

use crate::docs::blocks;
use crate::life::Real;
use holdfast_cloud::Cloud;
use holdfast_cloud_local::network::in_fabric;
use holdfast_cloud_local::{LocalCloud, LocalOptions};
use holdfast_model::{Command, InterfaceId};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

/// A server may take this long to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a Redis answers at this address of the VPC, in the end.
fn answers(real: &Real, address: &str) -> bool {
    let address: Ipv4Addr = address.parse().unwrap();
    let ping = || -> std::io::Result<[u8; 7]> {
        let limit = Duration::from_secs(2);
        let mut stream = TcpStream::connect_timeout(&(address, 6379).into(), limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(b"PING\r\n")?;
        let mut pong = [0; 7];
        stream.read_exact(&mut pong)?;
        Ok(pong)
    };
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Ok(pong) = in_fabric(&real.cloud(), ping).unwrap() {
            return &pong == b"+PONG\r\n";
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn addresses(node: &Value) -> Vec<String> {
    let at = |path: &str| node.pointer(path).and_then(Value::as_str).unwrap().to_owned();
    let interfaces = node["interfaces"].as_array().unwrap();
    let led = interfaces.iter().find_map(|i| i.pointer("/association/public_ip"));
    vec![
        at("/record/interface/private_ip"),
        at("/record/secondary/0/private_ip"),
        led.and_then(Value::as_str).unwrap_or_else(|| panic!("{interfaces:?}")).to_owned(),
    ]
}

#[test]
fn the_gateway_of_the_documentation_keeps_all_its_addresses() {
    let real = Real::start();
    let allocated: Value =
        serde_json::from_str(&real.local(&["address", "allocate", "--json"])).unwrap();
    let id = allocated["allocationId"].as_str().unwrap();
    let example = blocks("network.md", "yaml").remove(0);
    assert!(example.contains("eipalloc-0123456789abcdef0"));
    let spec = real.write("gateway.yaml", &example.replace("eipalloc-0123456789abcdef0", id));
    real.done(&["create", "--wait", "-f", &spec]);
    let before = addresses(&real.show("gateway"));
    assert_eq!(before[2], allocated["publicIp"].as_str().unwrap());
    for address in &before {
        assert!(answers(&real, address), "{address}");
    }
    let shown = real.done(&["show", "gateway"]);
    for word in ["elastic IP", "interface   1: ", "for good"] {
        assert!(shown.contains(word), "{word} is not in {shown}");
    }

    real.done(&["interrupt", "gateway"]);
    real.wait_for_generation_of("gateway", 1);
    assert_eq!(addresses(&real.show("gateway")), before);
    for address in &before {
        assert!(answers(&real, address), "{address} after the power cut");
    }
    let list = real.local(&["address", "list"]);
    assert!(list.contains(id) && list.contains("eni-"), "{list}");

    // What leads to a node is not released; given back, it leads nowhere.
    assert_eq!(real.local_ended(&["address", "release", id]).code, 1);
    let patch = real.write("patch.yaml", "compute:\n  elasticIp: null\n");
    real.done(&["update", "gateway", "-f", &patch]);
    let generation = real.generation("gateway");
    real.done(&["recycle", "gateway", "--wait"]);
    real.wait_for_generation_of("gateway", generation);
    real.local(&["address", "release", id]);
    assert!(answers(&real, &before[0]) && answers(&real, &before[1]));
    real.done(&["delete", "gateway", "--yes", "--wait"]);
}

#[test]
fn an_interface_that_was_deleted_from_outside_while_its_node_was_paused_is_made_again() {
    let mut real = Real::start();
    let spec = real.write("diary.yaml", crate::life::SPEC);
    real.done(&["create", "--wait", "-f", &spec]);
    let held = |real: &Real, what: &str| {
        let shown = real.show("diary");
        shown.pointer(&format!("/record/interface/{what}")).unwrap().as_str().unwrap().to_owned()
    };
    let (id, address) = (held(&real, "id"), held(&real, "private_ip"));
    real.done(&["pause", "diary", "--wait"]);
    assert_eq!(real.terminate(), Some(0));
    let program = std::path::PathBuf::from(env!("CARGO_BIN_EXE_holdfast"));
    let gone = Command::DeleteNetworkInterface { interface: InterfaceId(id.clone()) };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cloud = LocalCloud::open(&LocalOptions::new(real.cloud(), program)).unwrap();
    let replies = runtime.block_on(cloud.execute(vec![gone]));
    assert!(replies.iter().all(Result::is_ok), "{replies:?}");
    drop(cloud);
    drop(runtime);

    real.serve_with(&[]);
    real.done(&["resume", "diary", "--wait"]);
    assert_eq!(held(&real, "private_ip"), address);
    assert_ne!(held(&real, "id"), id);
    let shown = real.done(&["exec", "diary", "--", "ip", "-4", "address"]);
    assert!(shown.contains(&address), "{shown}");
    let events = real.done(&["events", "diary"]);
    assert!(events.contains("was deleted from outside"), "{events}");
    real.done(&["delete", "diary", "--yes", "--wait"]);
}
