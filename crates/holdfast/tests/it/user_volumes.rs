//! The commands of docs/your-volumes.md, on a real node.

use crate::docs::blocks;
use crate::life::Real;
use std::time::{Duration, Instant};

const SPEC: &str = r"
name: gateway
region: local-1
persistence: { persistBlockDevices: true, blockDevicesMode: reattach }
compute:
  vpcId: vpc-local
  subnetIds: [subnet-local-1a]
  launchSpecification:
    imageId: ami-host
    instanceTypes: { types: [t3.micro] }
    blockDeviceMappings: [{ deviceName: /dev/xvdb, ebs: { volumeSize: 1 } }]
    userData: |
      #!/bin/sh
      exec sleep infinity
";
/// By when a node has noticed its volume.
const PATIENCE: Duration = Duration::from_secs(60);

fn wait_for(real: &Real, joined: bool) {
    let began = Instant::now();
    loop {
        let node = real.show("gateway");
        let data = node.pointer("/record/data").and_then(|d| d.as_array()).unwrap();
        if data.iter().any(|d| d["device"] == "/dev/xvdf") == joined {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{node}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_users_volume_joins_a_real_node_and_leaves_it_again() {
    let real = Real::start();
    let spec = real.write("gateway.yaml", SPEC);
    real.done(&["create", "--wait", "-f", &spec]);
    let mut volume = String::new();
    let commands = blocks("your-volumes.md", "sh").join("\n");
    for line in commands.lines() {
        let (group, rest) = line.strip_prefix("holdfast ").unwrap().split_once(' ').unwrap();
        let mut words: Vec<String> = Vec::new();
        for (at, part) in rest.split('"').enumerate() {
            if at % 2 == 1 {
                words.push(part.to_owned());
            } else {
                words.extend(part.split_whitespace().map(str::to_owned));
            }
        }
        for word in words.iter_mut().filter(|w| *w == "VOLUME") {
            volume.clone_into(word);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let before = (words[0] == "interrupt").then(|| real.generation("gateway"));
        let said = if group == "local" { real.local(&words) } else { real.done(&words) };
        if let Some(before) = before {
            real.wait_for_generation_of("gateway", before);
        }
        match words[1] {
            "create" => said.trim().clone_into(&mut volume),
            "attach" => wait_for(&real, true),
            "detach" => wait_for(&real, false),
            _ => {}
        }
        if words.contains(&"cat") {
            assert_eq!(said, "kept\n");
            // It is the node's: nobody deletes it behind its back.
            assert_eq!(real.local_ended(&["volume", "delete", &volume]).code, 1);
            let list = real.local(&["volume", "list"]);
            assert!(list.contains(&volume) && list.contains("smi-"), "{list}");
        }
        if words.contains(&"detach") {
            // The node's tags come off at the next replacement.
            let before = real.generation("gateway");
            real.done(&["recycle", "gateway", "--wait"]);
            real.wait_for_generation_of("gateway", before);
        }
    }
    assert!(!real.local(&["volume", "list"]).contains(&volume));
    real.done(&["delete", "gateway", "--yes", "--wait"]);
}
