//! Reads `launchSpecification.networkInterfaces`.

use super::MAX_DEVICE_INDEX;
use super::reader::{Reader, what};
use serde_json::Value;
use std::collections::BTreeSet;

const PATH: &str = "compute.launchSpecification.networkInterfaces";

/// The device indices beside 0, in order.
pub(super) fn read_interfaces(r: &mut Reader<'_>) -> Vec<u32> {
    let items = match r.at(PATH) {
        None => return Vec::new(),
        Some(Value::Array(items)) => items,
        Some(other) => {
            r.wrong(PATH, format!("is {}", what(other)), "a list", "[{\"deviceIndex\": 1}]");
            return Vec::new();
        }
    };
    if items.len() > MAX_DEVICE_INDEX as usize + 1 {
        let problem = format!("has {} members", items.len());
        let allowed = format!("at most {} interfaces", MAX_DEVICE_INDEX + 1);
        r.wrong(PATH, problem, &allowed, "[{\"deviceIndex\": 1}]");
        return Vec::new();
    }
    let mut indices = BTreeSet::new();
    for (at, item) in items.iter().enumerate() {
        let field = |member: &str| format!("{PATH}[{at}].{member}");
        if item.get("networkInterfaceId").is_some_and(|id| !id.is_null()) {
            r.wrong(
                &field("networkInterfaceId"),
                "names an interface, but a node's interfaces are made and kept by Holdfast",
                "leaving it out; compute.privateIp chooses the primary address",
                "{\"deviceIndex\": 1}",
            );
        }
        let index = match item.get("deviceIndex").filter(|v| !v.is_null()) {
            None => Some(0),
            Some(value) => {
                r.checked_number(&field("deviceIndex"), value, 0, u64::from(MAX_DEVICE_INDEX))
            }
        };
        let Some(index) = index.and_then(|n| u32::try_from(n).ok()) else { continue };
        if !indices.insert(index) {
            let problem = format!("{index} stands twice");
            r.wrong(&field("deviceIndex"), problem, "each device index once", "1");
        }
    }
    indices.remove(&0);
    indices.into_iter().collect()
}
