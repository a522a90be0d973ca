//! The nodes of a soak: the examples, made to roam or to stay, and quick to be found unwell.

use crate::trial::workload::Workload;
use serde_json::{Value, json};

/// What a node keeps, besides its data volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Its address, and so its zone.
    Address,
    /// The same, and its root volume.
    AddressAndRoot,
    /// Nothing: it goes wherever there is capacity.
    Nothing,
}

/// A node that is to be made.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Its name.
    pub name: String,
    /// The server in it.
    pub workload: Workload,
    /// What it keeps.
    pub kept: Kept,
}

/// In this order, and again from the start.
const KINDS: [(Workload, Kept); 10] = [
    (Workload::Postgres, Kept::AddressAndRoot),
    (Workload::Redis, Kept::Nothing),
    (Workload::Sqlite, Kept::Nothing),
    (Workload::Etcd, Kept::Address),
    (Workload::Mariadb, Kept::Address),
    (Workload::Postgres, Kept::Nothing),
    (Workload::Redis, Kept::AddressAndRoot),
    (Workload::Mariadb, Kept::Nothing),
    (Workload::Etcd, Kept::Nothing),
    (Workload::Sqlite, Kept::AddressAndRoot),
];

/// So many nodes.
pub fn subjects(count: usize) -> Vec<Subject> {
    let kinds = KINDS.iter().cycle().take(count).enumerate();
    kinds
        .map(|(index, (workload, kept))| Subject {
            name: format!("{}-{}", workload.name(), index + 1),
            workload: *workload,
            kept: *kept,
        })
        .collect()
}

impl Subject {
    /// Its spec, as JSON.
    pub fn spec(&self) -> Result<String, String> {
        let text = self.workload.spec();
        let mut document: Value = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
        let spec = &mut document["managedInstance"];
        spec["name"] = json!(self.name);
        spec["strategy"]["drainingTimeout"] = json!(5);
        // So that a stopped node is not away for minutes.
        spec["healthCheck"] = json!({ "unhealthyDuration": 3, "gracePeriod": 3 });
        spec["persistence"]["persistRootDevice"] = json!(self.kept == Kept::AddressAndRoot);
        spec["persistence"]["persistPrivateIp"] = json!(self.kept != Kept::Nothing);
        if self.kept == Kept::Nothing {
            spec["compute"]["subnetIds"] =
                json!(["subnet-local-1a", "subnet-local-1b", "subnet-local-1c"]);
        }
        Ok(document.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_nodes_are_of_five_servers_and_roam_and_stay() {
        let ten = subjects(10);
        let mut servers: Vec<&str> = ten.iter().map(|s| s.workload.name()).collect();
        servers.sort_unstable();
        servers.dedup();
        assert_eq!(servers.len(), 5);
        for kept in [Kept::Address, Kept::AddressAndRoot, Kept::Nothing] {
            assert!(ten.iter().any(|s| s.kept == kept), "{kept:?}");
        }
        let roaming = ten[1].spec().unwrap();
        assert!(roaming.contains("subnet-local-1c"), "{roaming}");
    }
}
