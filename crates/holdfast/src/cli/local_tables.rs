//! Tables of what there is on this host.

use super::client::printable;
use super::tables::{table, words};

/// Volumes of this host in a table.
pub fn local_volumes(volumes: &[serde_json::Value]) -> String {
    let header = ["VOLUME", "ZONE", "GIB", "STATE", "NODE", "INSTANCE", "DEVICE", "MOUNT"];
    let names = ["volumeId", "zone", "sizeGib", "state", "nodeId", "instanceId", "device", "mount"];
    local_things("volumes", volumes, &header, &names)
}

/// Instances of this host in a table.
pub fn local_instances(instances: &[serde_json::Value]) -> String {
    let header = ["INSTANCE", "STATE", "TYPE", "ZONE", "ADDRESS", "NODE", "LET GO BY"];
    let names = ["instanceId", "state", "instanceType", "zone", "privateIp", "nodeId", "letGoBy"];
    local_things("instances", instances, &header, &names)
}

/// What is not accounted for, in a table.
pub fn unaccounted(found: &[serde_json::Value]) -> String {
    if found.is_empty() {
        return "Everything on this host is accounted for.\n".to_owned();
    }
    let header = ["ID", "WHAT", "NODE", "KNOWN"];
    local_things("things", found, &header, &["id", "thing", "nodeId", "what"])
}

fn local_things(
    what: &str,
    things: &[serde_json::Value],
    header: &[&str],
    names: &[&str],
) -> String {
    if things.is_empty() {
        return format!("There are no {what}.\n");
    }
    let cell = |thing: &serde_json::Value, name: &str| match thing.get(name) {
        Some(serde_json::Value::String(text)) => printable(text),
        Some(serde_json::Value::Number(number)) => number.to_string(),
        _ => "-".to_owned(),
    };
    let rows = things.iter().map(|t| names.iter().map(|name| cell(t, name)).collect());
    table(words(header), rows.collect())
}
