//! Reads the members of `launchSpecification` that are handed to the cloud as they are, at every
//! launch: their values are checked here, so that a mistake is told when the spec is sent and not
//! at the first interruption.

use super::Tagged;
use super::reader::{Reader, what};
use serde_json::{Map, Value};

const BASE: &str = "compute.launchSpecification";
/// Members that every launch carries as received.
const PASSED_ON: [&str; 10] = [
    "creditSpecification",
    "ebsOptimized",
    "iamRole",
    "keyPair",
    "metadataOptions",
    "monitoring",
    "networkInterfaces",
    "resourceTagSpecification",
    "securityGroupIds",
    "tenancy",
];
/// EC2's highest hop limit (EC2 API reference, InstanceMetadataOptionsRequest).
const MAX_HOPS: u64 = 64;

/// Which resources carry the user's tags; the defaults are those of the published interface.
pub(super) fn read_tagged(r: &mut Reader<'_>) -> Tagged {
    let mut should = |of: &str, default: bool| {
        r.flag(&format!("{BASE}.resourceTagSpecification.{of}.shouldTag"), default)
    };
    Tagged {
        volumes: should("volumes", false),
        snapshots: should("snapshots", true),
        interfaces: should("enis", false),
        images: should("amis", true),
    }
}

/// What is handed on, with its values checked.
pub(super) fn passed_on(r: &mut Reader<'_>) -> Map<String, Value> {
    let at = |member: &str| format!("{BASE}.{member}");
    for flag in ["ebsOptimized", "monitoring"] {
        r.flag(&at(flag), false);
    }
    for (text, example) in [
        ("keyPair", "\"ops\""),
        ("iamRole.name", "\"orders-db\""),
        ("iamRole.arn", "\"arn:aws:iam::123456789012:instance-profile/orders-db\""),
    ] {
        r.text(&at(text), example);
    }
    r.one_of(&at("tenancy"), &[("default", ()), ("dedicated", ())], ());
    let credits = [("standard", ()), ("unlimited", ())];
    r.one_of(&at("creditSpecification.cpuCredits"), &credits, ());
    let tokens = [("required", ()), ("optional", ())];
    r.one_of(&at("metadataOptions.httpTokens"), &tokens, ());
    r.number(&at("metadataOptions.httpPutResponseHopLimit"), 1, 1, MAX_HOPS);
    let path = at("metadataOptions.instanceMetadataTags");
    if let Some(value) = r.at(&path) {
        let word = value.as_str().unwrap_or_default().to_ascii_lowercase();
        if word != "enabled" && word != "disabled" {
            let problem = format!("is {}", what(value));
            r.wrong(&path, problem, "enabled, disabled", "\"enabled\"");
        }
    }
    let Some(Value::Object(launch)) = r.at(BASE) else { return Map::new() };
    PASSED_ON
        .iter()
        .filter_map(|key| Some((*key, launch.get(*key).filter(|v| !v.is_null())?)))
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .collect()
}
