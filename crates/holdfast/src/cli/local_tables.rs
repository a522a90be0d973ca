//! Tables of what there is on this host.

use super::tables::{or_dash, table, words};
use holdfast_wire::local::{LocalInstance, LocalUnaccounted, LocalVolume};

/// Volumes of this host in a table.
pub fn local_volumes(volumes: &[LocalVolume]) -> String {
    if volumes.is_empty() {
        return "There are no volumes.\n".to_owned();
    }
    let header = ["VOLUME", "ZONE", "GIB", "STATE", "NODE", "INSTANCE", "DEVICE", "MOUNT"];
    let rows = volumes.iter().map(|v| {
        vec![
            v.volume_id.clone(),
            v.zone.clone(),
            v.size_gib.to_string(),
            v.state.clone(),
            or_dash(v.node_id.clone()),
            or_dash(v.instance_id.clone()),
            or_dash(v.device.clone()),
            or_dash(v.mount.clone()),
        ]
    });
    table(words(&header), rows.collect())
}

/// Instances of this host in a table.
pub fn local_instances(instances: &[LocalInstance]) -> String {
    if instances.is_empty() {
        return "There are no instances.\n".to_owned();
    }
    let header = ["INSTANCE", "STATE", "TYPE", "ZONE", "ADDRESS", "NODE", "LET GO BY"];
    let rows = instances.iter().map(|i| {
        vec![
            i.instance_id.clone(),
            i.state.clone(),
            i.instance_type.clone(),
            i.zone.clone(),
            or_dash(i.private_ip.clone()),
            or_dash(i.node_id.clone()),
            or_dash(i.let_go_by.clone()),
        ]
    });
    table(words(&header), rows.collect())
}

/// What is not accounted for, in a table.
pub fn unaccounted(found: &[LocalUnaccounted]) -> String {
    if found.is_empty() {
        return "Everything on this host is accounted for.\n".to_owned();
    }
    let rows = found
        .iter()
        .map(|f| vec![f.id.clone(), f.thing.clone(), or_dash(f.node_id.clone()), f.what.clone()]);
    table(words(&["ID", "WHAT", "NODE", "KNOWN"]), rows.collect())
}
