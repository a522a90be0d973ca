//! A real server with a real node answers as it describes itself, on every path of this host's cloud.

use crate::life::Real;
use holdfast_wire::check::Description;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SPEC: &str = r"
name: gateway
region: local-1
persistence: { persistRootDevice: true, persistBlockDevices: true, blockDevicesMode: reattach, persistPrivateIp: true }
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
const LOCAL: &str = "/holdfast/v1/local";

/// Asks, and compares each answer to the description.
struct Asking {
    agent: ureq::Agent,
    base: String,
    bearer: String,
    description: Description,
    asked: BTreeSet<(String, String)>,
}

impl Asking {
    fn of(real: &Real) -> Asking {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let base = format!("http://{}", real.address());
        let token = std::fs::read_to_string(real.dir().join("token")).unwrap();
        let bearer = format!("Bearer {}", token.trim());
        let asked = agent.get(format!("{base}/openapi.json")).header("Authorization", &bearer);
        let text = asked.call().unwrap().body_mut().read_to_string().unwrap();
        let description = Description::read(&text).unwrap();
        Asking { agent, base, bearer, description, asked: BTreeSet::new() }
    }

    fn ask(&mut self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("{}{path}", self.base);
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(url)
            .header("Authorization", &self.bearer);
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = request.body(body).unwrap();
        let agent = &self.agent;
        let request = agent.configure_request(request).allow_non_standard_methods(true).build();
        let mut response = agent.run(request).unwrap();
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().unwrap();
        let checked = self.description.check(method, path, status, &text);
        checked.unwrap_or_else(|faults| panic!("{}\n{text}", faults.join("\n")));
        let template = self.description.template(path);
        let template = template.unwrap_or_else(|| panic!("{path} is not described")).to_owned();
        self.asked.insert((method.to_owned(), template));
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    /// The items of a success.
    fn items(&mut self, method: &str, path: &str, body: Option<Value>) -> Vec<Value> {
        let (status, answer) = self.ask(method, path, body);
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer["response"]["items"].as_array().cloned().unwrap_or_default()
    }

    fn local(&mut self, method: &str, path: &str, body: Option<Value>) -> Vec<Value> {
        self.items(method, &format!("{LOCAL}{path}"), body)
    }

    /// What is refused is described, too.
    fn refused(&mut self, method: &str, path: &str) {
        let (status, answer) = self.ask(method, &format!("{LOCAL}{path}"), None);
        assert!((400..500).contains(&status), "{method} {path}: {answer}");
    }
}

fn text<'a>(item: &'a Value, member: &str) -> &'a str {
    item[member].as_str().unwrap_or_else(|| panic!("{member}: {item}"))
}

#[test]
fn every_path_of_a_real_server_answers_as_it_is_described() {
    let real = Real::start();
    let spec = real.write("gateway.yaml", SPEC);
    real.done(&["create", "--wait", "-f", &spec]);
    let mut asking = Asking::of(&real);
    let id = text(&asking.items("GET", "/holdfast/v1/nodes", None)[0], "id").to_owned();

    let whole = asking.items("GET", &format!("/holdfast/v1/nodes/{id}"), None).remove(0);
    assert!(whole["instance"].is_object(), "{whole}");
    for known in ["volumes", "interfaces"] {
        assert!(!whole[known].as_array().unwrap().is_empty(), "{known}: {whole}");
    }
    let of_node = format!("/aws/ec2/managedInstance/{id}");
    asking.items("GET", "/aws/ec2/managedInstance", None);
    asking.items("GET", &of_node, None);
    asking.items("GET", &format!("{of_node}/status"), None);
    asking.items("GET", &format!("/aws/ec2/group/{id}/logs"), None);
    asking.items("GET", "/holdfast/v1/fleet", None);
    asking.items("GET", "/holdfast/v1/unaccounted", None);
    asking.ask("GET", "/holdfast/v1/events", None);
    asking.ask("GET", "/health", None);

    let place = asking.local("GET", &format!("/nodes/{id}/exec"), None).remove(0);
    let instances = asking.local("GET", "/instances", None);
    assert!(instances.iter().any(|i| i["instanceId"] == place["instanceId"]), "{instances:?}");
    asking.refused("DELETE", &format!("/instances/{}", text(&place, "instanceId")));
    asking.local("GET", "/pool", None);

    let address = asking.local("POST", "/addresses", None).remove(0);
    asking.local("GET", "/addresses", None);
    asking.local("DELETE", &format!("/addresses/{}", text(&address, "allocationId")), None);

    let new = json!({ "zone": "local-1a", "sizeGib": 1, "mount": "/srv" });
    let volume = asking.local("POST", "/volumes", Some(new)).remove(0);
    let of_volume = format!("/volumes/{}", text(&volume, "volumeId"));
    let to = json!({ "nodeId": id, "device": "/dev/xvdf" });
    let mounted = asking.local("POST", &format!("{of_volume}/attach"), Some(to)).remove(0);
    assert_eq!(mounted["mount"], "/srv");
    let held = asking.local("GET", "/volumes", None);
    assert!(held.iter().any(|v| v["device"] == "/dev/xvdf"), "{held:?}");
    asking.local("POST", &format!("{of_volume}/detach"), None);
    asking.ask("DELETE", &format!("{LOCAL}{of_volume}"), None);

    asking.local("GET", "/unaccounted", None);
    asking.refused("POST", "/unaccounted/vol-0123456789abcdef0/adopt");
    asking.refused("DELETE", "/unaccounted/vol-0123456789abcdef0");

    asking.local("GET", "/markets", None);
    let none = json!({ "instanceType": "all", "zone": "all", "spot": { "capacity": 0 } });
    let set = asking.local("PUT", "/markets", Some(none)).remove(0);
    assert_eq!(set["beyondCapacity"][0]["nodeName"], "gateway", "{set}");
    let usual = json!({ "instanceType": "all", "zone": "all", "usual": true });
    asking.local("PUT", "/markets", Some(usual));

    let before = real.generation("gateway");
    asking.local("POST", &format!("/nodes/{id}/interrupt"), None);
    // Also while it is being replaced, and afterwards, with what is kept of the one before.
    asking.items("GET", &format!("/holdfast/v1/nodes/{id}"), None);
    real.wait_for_generation_of("gateway", before);
    let whole = asking.items("GET", &format!("/holdfast/v1/nodes/{id}"), None).remove(0);
    assert!(whole["image"].is_object(), "{whole}");
    let kept = asking.items("GET", &format!("/holdfast/v1/nodes/{id}/generations"), None);
    assert!(!kept.is_empty());

    let all = asking.description.operations();
    let local: Vec<_> = all.iter().filter(|(_, path)| path.starts_with(LOCAL)).collect();
    assert!(!local.is_empty());
    for operation in local {
        assert!(asking.asked.contains(operation), "{operation:?} was never asked");
    }
    real.done(&["delete", "gateway", "--yes", "--wait"]);
}
