//! What there is of a data directory's nodes on this host: counted before and after.

use holdfast_cloud_local::network;
use holdfast_cloud_local::storage::Inventory;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The most directories and files that are looked at.
const MAX_ENTRIES: usize = 1_000_000;
/// Where control groups are, in every kind of hierarchy, and how deep nodes' groups lie.
const GROUPS: &str = "/sys/fs/cgroup";
const GROUPS_BELOW: [&str; 2] = ["holdfast/nodes", "nodes"];

/// What there is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// Loop devices.
    pub loops: BTreeSet<String>,
    /// Mounts.
    pub mounts: BTreeSet<String>,
    /// Network namespaces, with files that are left of one.
    pub namespaces: BTreeSet<String>,
    /// Links of nodes.
    pub veths: BTreeSet<String>,
    /// Control groups.
    pub cgroups: BTreeSet<String>,
    /// Processes of nodes.
    pub processes: BTreeSet<String>,
    /// Files, but for the memory (cloud.db, and the labels of what was set for markets, which stays set),
    /// the consoles of terminated instances, which are kept for an hour, and what blank roots are
    /// copied from.
    pub files: BTreeSet<String>,
}

impl Ledger {
    /// What there is now.
    pub fn of(cloud_dir: &Path) -> Result<Ledger, String> {
        let stored = Inventory::of(cloud_dir).map_err(|e| e.to_string())?;
        let net = network::inventory(cloud_dir).map_err(|e| e.to_string())?;
        let mut ledger = Ledger {
            loops: stored.loops.iter().map(|(_, file)| show(file)).collect(),
            mounts: stored.mounts.iter().map(|m| show(m)).collect(),
            namespaces: net.nodes.into_iter().chain(net.leftovers).collect(),
            veths: net.links.into_iter().chain(net.retired).collect(),
            ..Ledger::default()
        };
        if net.fabric {
            ledger.namespaces.insert("fabric".to_owned());
        }
        ledger.cgroups = cgroups(&instances(cloud_dir));
        ledger.processes = processes(&cloud_dir.join("nodes"));
        walk(cloud_dir, cloud_dir, &mut ledger.files);
        Ok(ledger)
    }

    /// Each kind with what is in it.
    fn kinds(&self) -> [(&'static str, &BTreeSet<String>); 7] {
        [
            ("loop devices", &self.loops),
            ("mounts", &self.mounts),
            ("namespaces", &self.namespaces),
            ("veths", &self.veths),
            ("control groups", &self.cgroups),
            ("processes", &self.processes),
            ("files", &self.files),
        ]
    }

    /// How much there is of each kind.
    pub fn counts(&self) -> [(&'static str, usize); 7] {
        self.kinds().map(|(name, found)| (name, found.len()))
    }

    /// What there is now and was not before.
    pub fn differences(&self, before: &Ledger) -> Vec<String> {
        let pairs = self.kinds().into_iter().zip(before.kinds());
        let new = pairs.flat_map(|((name, now), (_, then))| {
            now.difference(then).map(move |what| format!("{name}: {what}"))
        });
        new.collect()
    }
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

/// The instances that there were: their directories stay for an hour.
fn instances(cloud_dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(cloud_dir.join("nodes")).into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().into_string().ok()).collect()
}

fn cgroups(instances: &BTreeSet<String>) -> BTreeSet<String> {
    let hierarchies = std::fs::read_dir(GROUPS).into_iter().flatten().flatten();
    let roots = hierarchies.map(|h| h.path()).chain([PathBuf::from(GROUPS)]);
    let mut found = BTreeSet::new();
    for place in roots.flat_map(|root| GROUPS_BELOW.map(|below| root.join(below))) {
        let groups = std::fs::read_dir(&place).into_iter().flatten().flatten();
        let ours = groups.filter_map(|g| g.file_name().into_string().ok());
        found.extend(ours.filter(|g| instances.contains(g)).map(|g| show(&place.join(g))));
    }
    found
}

/// Shims, by their command lines.
fn processes(nodes: &Path) -> BTreeSet<String> {
    let nodes = nodes.display().to_string();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = entries.filter_map(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let pid = entry.file_name().into_string().ok()?;
        line.contains(&nodes).then(|| format!("{pid}: {line}"))
    });
    lines.collect()
}

fn walk(root: &Path, dir: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.strip_prefix(root).unwrap_or(&path).to_owned();
        let ours = name.as_os_str().to_string_lossy();
        let stays = ["nodes", "pool/masters"].contains(&&*ours)
            || ["cloud.db", "pool/labels/market-"].iter().any(|kept| ours.starts_with(kept));
        if stays || found.len() >= MAX_ENTRIES {
            continue;
        }
        let is_dir = entry.file_type().is_ok_and(|t| t.is_dir());
        found.insert(show(&name));
        if is_dir {
            walk(root, &path, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_is_a_difference_and_what_has_gone_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let before = Ledger::of(dir.path()).unwrap();
        std::fs::create_dir_all(dir.path().join("pool/labels")).unwrap();
        std::fs::write(dir.path().join("pool/labels/market-m5.label"), "").unwrap();
        std::fs::write(dir.path().join("pool/left"), "").unwrap();
        std::fs::write(dir.path().join("cloud.db"), "").unwrap();
        let after = Ledger::of(dir.path()).unwrap();
        assert_eq!(
            after.differences(&before),
            ["files: pool", "files: pool/labels", "files: pool/left"]
        );
        assert_eq!(before.differences(&after), [] as [String; 0]);
    }
}
